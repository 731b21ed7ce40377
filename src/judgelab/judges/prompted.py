"""A model that reads a rubric, some of the expert's critiques and the interaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from judgelab import prompts, resources
from judgelab.calls.budget import estimated_cost
from judgelab.calls.line import Calls
from judgelab.calls.stream import as_completed
from judgelab.data.split import TrainSet
from judgelab.demos.base import DemoSelector
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.parsing import Parsed, parse
from judgelab.types import Interaction, Verdict

REPAIRABLE = ("unparsable", "out_of_enum")


class PromptedJudge(Judge):
    """`rubric` and `template` are names in prompts/; `repair` asks once more where an answer cannot
    be read, with the template's block of that name."""

    def __init__(
        self,
        rubric: str,
        template: str,
        reasoning: str,
        model: Model,
        demos: DemoSelector,
        context: str | Sequence[str] = "all",
        repeats: int = 1,
        repair: bool = False,
    ) -> None:
        if repeats < 1:
            raise ValueError(f"repeats must be >= 1, got {repeats}")
        if not isinstance(model, Model) or not isinstance(demos, DemoSelector):
            raise ConfigError(
                "judge: a prompted judge needs a model and a demo selector: "
                f"model= one of {', '.join(resources.names('conf/model', '.yaml'))}, "
                f"demos= one of {', '.join(resources.names('conf/demos', '.yaml'))}."
            )
        self.prompt = prompts.Prompt(
            rubric=prompts.rubric(rubric),
            template=prompts.template(template),
            reasoning=reasoning,
            context=context,
            show=demos.show,
        )
        self.model = model
        self.demos = demos
        self.repeats = repeats
        self.repair = self.prompt.repair if repair else None
        self.llm = model.llm

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        # Without a critique in the answer there is none in the demonstrations either.
        return ("demos.show",) if node.get("reasoning") == "none" else ()

    def texts(self) -> dict[str, str]:
        return {"rubric.md": self.prompt.rubric, "template.j2": self.prompt.template}

    def check(self) -> None:
        self.model.check()

    def prepare(self, train: TrainSet, calls: Calls) -> None:
        self.calls = calls
        self.demos.prepare(train)

    def request(self, interaction: Interaction, repeat: int) -> Request:
        """The request whose answer is the verdict."""
        messages = self.prompt.messages(self.demos.pick(interaction), interaction)
        return self.model.request(messages, repeat, interaction.id)

    def ask_estimate(self, interaction: Interaction, repeat: int) -> tuple[int, int, int, float]:
        request = self.request(interaction, repeat)
        if self.model.local or request.too_long or self.calls.pool.has(request):
            return 0, 0, 0, 0.0
        return 1, *request.estimated_tokens(), estimated_cost(self.model, request)

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        async def one(interaction: Interaction) -> Verdict | None:
            try:
                async with self.calls.pool.turn(self.model):
                    reply, parsed = await self._ask(interaction, repeat)
            except CallFailed as failure:
                self.calls.failed(failure)
                return None
            return Verdict(
                interaction.id,
                parsed.label,
                reason=parsed.reason,
                critique=parsed.critique,
                repeat=repeat,
                confidence=reply.confidence,
            )

        workers = self.calls.pool.workers(self.model)
        async with aclosing(as_completed(interactions, one, workers)) as verdicts:
            async for verdict in verdicts:
                if verdict is not None:
                    yield verdict

    async def _ask(self, interaction: Interaction, repeat: int) -> tuple[Reply, Parsed]:
        request = self.request(interaction, repeat)
        reply = await self.calls.ask(self.model, request)
        parsed = parse(reply)
        if self.repair and parsed.reason in REPAIRABLE:
            said = {"role": "assistant", "content": reply.text}
            again = {"role": "user", "content": self.repair}
            messages = (*request.messages, said, again)
            self.calls.accounts.repaired += 1
            reply = await self.calls.ask(
                self.model, self.model.request(messages, repeat, interaction.id)
            )
            parsed = parse(reply)
        return reply, parsed
