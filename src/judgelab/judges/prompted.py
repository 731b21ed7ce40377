"""A model that reads a rubric, some of the expert's critiques and the interaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from judgelab import prompts, resources
from judgelab.calls.budget import estimated_cost
from judgelab.calls.line import Calls
from judgelab.calls.stream import as_completed
from judgelab.data.split import TrainSet
from judgelab.demos.base import DemoSelector, Rehearsed
from judgelab.errors import ConfigError
from judgelab.judges.base import NOTHING, Estimate, Judge, added
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.parsing import Parsed, parse
from judgelab.types import Example, Interaction, Label, Verdict, sha256

REPAIRABLE = ("unparsable", "out_of_enum")


class PromptedJudge(Judge):
    """`rubric` and `template` are names in prompts/; `repair` asks once more where an answer cannot
    be read, with the template's block of that name.

    The demo selector's rehearsal is judged at the start of the first `judge`; where a call of it
    fails, no item gets a verdict.
    """

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
        self.answers = 2 if repair else 1
        self._rehearsing = asyncio.Lock()

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
        self._rehearsal = self.demos.rehearsal()
        self.rehearsed = self.answers * len(self._rehearsal)
        # Out of fold an example is rehearsed for several folds: each is a part of its own.
        ids = sorted(example.id for _, example in self._rehearsal)
        self._rehearsal_calls = calls.part(f"demos {sha256(ids)[:8]}")

    def request(self, interaction: Interaction, repeat: int) -> Request:
        """The request whose answer is the verdict."""
        return self._request(self.demos.pick(interaction), interaction, repeat)

    def ask_estimate(self, interaction: Interaction, repeat: int) -> Estimate:
        request = self.request(interaction, repeat)
        return self._estimate(request, self.calls.known(request))

    def rehearsal_estimate(self) -> Estimate:
        whole, verdicts = NOTHING, dict[str, Label | None]()
        for demos, example in self._rehearsal:
            request = self._request(demos, example.interaction, 0)
            reply = self._rehearsal_calls.known(request)
            whole = added(whole, self._estimate(request, reply))
            if reply is not None:
                verdicts[example.id] = parse(reply).label
        if verdicts and len(verdicts) == len(self._rehearsal):
            self.demos.learn(verdicts)
        return whole

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        async def one(interaction: Interaction) -> Verdict | None:
            try:
                async with self.calls.pool.turn(self.model):
                    request = self.request(interaction, repeat)
                    reply, parsed = await self._ask(self.calls, request)
            except CallFailed as failure:
                self.calls.failed(failure, interaction.id, repeat)
                return None
            return Verdict(
                interaction.id,
                parsed.label,
                reason=parsed.reason,
                critique=parsed.critique,
                repeat=repeat,
                confidence=reply.confidence,
            )

        if failure := await self._rehearse():
            for interaction in interactions:
                self.calls.failed(failure, interaction.id, repeat)
            return
        workers = self.calls.pool.workers(self.model)
        async with aclosing(as_completed(interactions, one, workers)) as verdicts:
            async for verdict in verdicts:
                if verdict is not None:
                    yield verdict

    async def _rehearse(self) -> CallFailed | None:
        """Judge what the demo selector asks for, once; gives what went wrong."""

        async def one(pair: Rehearsed) -> tuple[str, Label | None]:
            demos, example = pair
            async with self.calls.pool.turn(self.model):
                request = self._request(demos, example.interaction, 0)
                _, parsed = await self._ask(self._rehearsal_calls, request)
            return example.id, parsed.label

        async with self._rehearsing:
            if not self._rehearsal:
                return None
            workers = self.calls.pool.workers(self.model)
            try:
                async with aclosing(as_completed(self._rehearsal, one, workers)) as found:
                    self.demos.learn({id_: label async for id_, label in found})
            except CallFailed as failure:
                return failure
            self._rehearsal = []
        return None

    def _request(self, demos: Sequence[Example], interaction: Interaction, repeat: int) -> Request:
        messages = self.prompt.messages(demos, interaction)
        return self.model.request(messages, repeat, interaction.id)

    def _estimate(self, request: Request, known: Reply | None) -> Estimate:
        if self.model.local or request.too_long or known is not None:
            return NOTHING
        return 1, *request.estimated_tokens(), estimated_cost(self.model, request)

    async def _ask(self, calls: Calls, request: Request) -> tuple[Reply, Parsed]:
        reply = await calls.ask(self.model, request)
        parsed = parse(reply)
        if self.repair and parsed.reason in REPAIRABLE:
            said = {"role": "assistant", "content": reply.text}
            again = {"role": "user", "content": self.repair}
            messages = (*request.messages, said, again)
            calls.accounts.repaired += 1
            once_more = self.model.request(messages, request.repeat, request.item)
            reply = await calls.ask(self.model, once_more)
            parsed = parse(reply)
        return reply, parsed
