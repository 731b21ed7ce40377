"""A server whose verdicts depend on the rubric in a known way, and that can learn it.

The expert fails an answer that is in local time. The judge passes everything, until its rubric
says so; asked to write, the server says so where the expert's critiques do.
"""

from __future__ import annotations

import json
import random
import threading
from typing import Any

from builders import text
from judgelab.types import Example, Interaction
from server import Body

LEARNT = "Fail what is in local time: times are UTC."
WHY = "The times are local, and this user needs UTC."
JUDGING = "You judge the work of an AI product"


def items(n: int, start: int = 0, every: int = 3) -> list[Example]:
    """Every third fails."""
    found = []
    for i in range(start, start + n):
        fails = i % every == 0
        output = f"{text(f'o{i}', 8)} {'local' if fails else 'zulu'} {text(f'p{i}', 4)}"
        interaction = Interaction(f"i{i:03}", text(f"q{i}", 8), output)
        critique = f"{WHY} {text(f'c{i}', 4)}" if fails else f"Fine: {text(f'c{i}', 5)}"
        found.append(Example(interaction, "fail" if fails else "pass", critique, "ada"))
    return found


def rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "id": e.id,
            "input": e.interaction.input,
            "output": e.interaction.output,
            "label": e.label,
            "critique": e.critique,
        }
        for e in items(n)
    ]


def is_judging(body: Body) -> bool:
    return str(body["messages"][0]["content"]).startswith(JUDGING)


def all_text(body: Body) -> str:
    return "\n".join(str(message["content"]) for message in body["messages"])


class Learner:
    """Answers both kinds of requests; `sampled` says whether a sample may be right by chance."""

    def __init__(self, *, sampled: bool = False, knows: str = WHY) -> None:
        self.sampled = sampled
        self.knows = knows
        self._lock = threading.Lock()
        self.wrote = 0

    def __call__(self, body: Body) -> str:
        return self.judge(body) if is_judging(body) else self.write(body)

    def judge(self, body: Body) -> str:
        system, *turns = [str(message["content"]) for message in body["messages"]]
        local = " local " in turns[-1]
        knows = LEARNT in system
        if self.sampled and body.get("temperature") == 1.0:
            knows = knows or random.Random(json.dumps(body)).random() < 0.5
        verdict = "fail" if local and knows else "pass"
        return json.dumps(
            {"critique": f"It is {'local' if local else 'zulu'}.", "verdict": verdict}
        )

    def write(self, body: Body) -> str:
        with self._lock:
            self.wrote += 1
        said = all_text(body)
        rubric = (
            f"Judge the times.\n\n{LEARNT}" if self.knows in said else "Judge kindly.\nBe fair."
        )
        if "new_instruction" in said:
            return json.dumps({"new_instruction": rubric})
        fields = {
            "observations": f"They are about times. {WHY if WHY in said else ''}",
            "summary": f"They are about times. {WHY if WHY in said else ''}",
            "program_description": "It judges.",
            "module_description": "It judges.",
            "proposed_instruction": rubric,
        }
        if "module_advice" in said:
            advice = json.dumps({"judge": rubric})
            return (
                f"[[ ## discussion ## ]]\nIt was wrong.\n\n[[ ## module_advice ## ]]\n{advice}\n\n"
                "[[ ## completed ## ]]"
            )
        asked = said.rpartition("starting with the field `[[ ## ")[2].partition(" ")[0]
        return f"[[ ## {asked} ## ]]\n{fields[asked]}\n\n[[ ## completed ## ]]"
