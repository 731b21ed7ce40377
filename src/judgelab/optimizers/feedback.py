"""What the one who writes a rubric is told of a verdict: the expert's words beside the judge's."""

from __future__ import annotations

from judgelab.types import Example


def feedback(example: Example, verdict: str, critique: str) -> str:
    """Both verdicts and both critiques; `verdict` is pass, fail, or none with the reason."""
    right = verdict == example.label
    said = [
        "The judge agrees with the expert." if right else "The judge is wrong.",
        f"The expert's verdict: {example.label}.",
        f"The expert's critique: {example.critique.strip() or '(the expert gave none)'}",
        f"The judge's verdict: {verdict}.",
        f"The judge's critique: {critique.strip() or '(the judge gave none)'}",
    ]
    if not right and verdict not in ("pass", "fail"):
        said.insert(1, "Its answer could not be read as a verdict.")
    return "\n".join(said)


ABOUT_RUBRICS = """The instruction is the rubric of a judge that shadows one domain expert. \
Write it for that expert to read and edit: plain words, short Markdown, what to look at and how \
much a flaw has to matter before an answer fails. Draw it from the expert's critiques; where the \
judge is too strict or too lenient, say what the expert lets pass and what not. Keep what works \
in the current rubric. Name kinds of flaws, not single interactions. Say nothing of the format of \
the answer: that is given to the judge elsewhere."""
