"""What DSPy works with: a program that is our judge, an adapter, a model, a quiet room."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO
from weakref import WeakSet

from judgelab.models.base import Model
from judgelab.optimizers.dspy_bridge import FIELDS, NO_VERDICT, Bridge, asking, sampling
from judgelab.types import Example

if TYPE_CHECKING:
    from dspy import lm15

_lock = threading.Lock()


def in_room(bridge: Bridge, work: Callable[[Bridge], None]) -> str:
    """Do the work where DSPy is ours; how it ended, in words."""
    with at_work(bridge):
        from dspy.utils.exceptions import AdapterParseError

        try:
            work(bridge)
        except AdapterParseError:
            return f"an answer of {bridge.writer.name}, which writes, could not be read"
    return "finished"


@contextmanager
def at_work(bridge: Bridge) -> Iterator[None]:
    """DSPy set up for this thread and those it starts: our adapter, no cache, no history."""
    room = _room()
    with (
        _quiet(),
        room.dspy.context(
            lm=room.lm(bridge, bridge.exam.judge.model),
            adapter=room.adapter(bridge),
            callbacks=[room.watch(bridge)],
            num_threads=bridge.threads,
            max_errors=10**9,  # what ends the work is no error
            disable_history=True,
        ),
    ):
        yield


def writer(bridge: Bridge) -> Any:
    """The model that writes, as DSPy's LM."""
    return _room().lm(bridge, bridge.writer)


def program(bridge: Bridge) -> Any:
    """The judge as DSPy's program, with its rubric as the instructions."""
    made = _room().program(bridge.exam.judge.prompt.rubric)
    if bridge.demos:
        made.judge.demos = [example_of(bridge, bridge.exam.train[i]) for i in bridge.own_demos]
    return made


def example_of(bridge: Bridge, example: Example) -> Any:
    """A labelled example as DSPy's: all but the interaction are labels."""
    return (
        _room()
        .dspy.Example(
            interaction=bridge.shown(example.interaction),
            verdict=example.label,
            critique=example.critique,
        )
        .with_inputs("interaction")
    )


@cache
def _room() -> Any:
    """The classes that need DSPy to be imported, once: it takes seconds."""
    with _lock:
        before = os.environ.get("TQDM_DISABLE")
        os.environ["TQDM_DISABLE"] = "1"  # read where tqdm is imported
        try:
            import dspy
        finally:
            if before is None:
                del os.environ["TQDM_DISABLE"]
            else:
                os.environ["TQDM_DISABLE"] = before
        from tqdm import tqdm

        tqdm._instances = _Bars(tqdm._instances)
    return _classes(dspy)


class _Bars(WeakSet[Any]):
    """The bars that tqdm knows. DSPy forgets those of every thread where it begins one of its own,
    and a bar that ended then would end the optimiser beside it with a KeyError."""

    def remove(self, item: Any) -> None:
        self.discard(item)


def _classes(dspy: Any) -> Any:
    from dspy import lm15
    from dspy.utils.callback import BaseCallback

    class Judge(dspy.Signature):  # type: ignore[misc]
        interaction: str = dspy.InputField(desc="what is judged, as JSON")
        critique: str = dspy.OutputField(desc="why it passes or fails, as the expert would say it")
        verdict: str = dspy.OutputField(desc="pass or fail, as the expert would decide")

    class JudgeProgram(dspy.Module):  # type: ignore[misc]
        def __init__(self, rubric: str) -> None:
            super().__init__()
            self.judge = dspy.Predict(Judge.with_instructions(rubric))

        def forward(self, interaction: str) -> Any:
            return self.judge(interaction=interaction)

    class Engine:
        def __init__(self, bridge: Bridge, model: Model) -> None:
            self.bridge = bridge
            self.model = model

        def __deepcopy__(self, memo: object) -> Engine:
            return self

        def complete(self, request: lm15.Request) -> lm15.Response:
            reply = self.bridge.complete(self.model, request)
            # What the endpoint would not answer reads as no answer.
            silent = reply.refusal or reply.finish in ("content_filter", "too_long")
            return lm15.Response(
                id=None,
                model=request.model,
                message=lm15.Message.assistant([lm15.TextPart("" if silent else reply.text)]),
                finish_reason="length" if reply.finish == "length" else "stop",
                usage=lm15.Usage(
                    input_tokens=reply.tokens_in,
                    output_tokens=reply.tokens_out,
                    total_tokens=reply.tokens_in + reply.tokens_out,
                ),
            )

        def close(self) -> None:
            """The pool is not ours to close."""

    class PoolLM(dspy.LM):  # type: ignore[misc]
        def __call__(self, prompt: Any = None, *, messages: Any = None, **more: Any) -> Any:
            with sampling({**self.kwargs, **more}.get("rollout_id")):
                return super().__call__(prompt, messages=messages, **more)

    class JudgeAdapter(dspy.ChatAdapter):  # type: ignore[misc]
        """Formats the judge with our template and reads it with our parser; all else as usual."""

        def __init__(self, bridge: Bridge) -> None:
            super().__init__()
            self.bridge = bridge

        def __call__(
            self,
            lm: Any,
            lm_kwargs: dict[str, Any],
            signature: Any,
            demos: Sequence[Mapping[str, Any]],
            inputs: dict[str, Any],
        ) -> list[dict[str, Any]]:
            if set(signature.fields) != FIELDS:
                said: list[dict[str, Any]]
                said = super().__call__(lm, lm_kwargs, signature, demos, inputs)
                return said
            bridge = self.bridge
            interaction = bridge.example(inputs["interaction"]).interaction
            candidate = bridge.candidate(signature.instructions, demos)
            system, *turns = bridge.exam.messages(candidate, interaction)
            options = {**lm.kwargs, **lm_kwargs}
            request = lm15.Request(
                model=lm.model,
                system=system["content"],
                messages=tuple(
                    getattr(lm15.Message, turn["role"])(turn["content"]) for turn in turns
                ),
                config=lm15.Config(temperature=options.get("temperature")),
            )
            with asking(interaction.id), sampling(options.get("rollout_id")):
                response = lm(request)
                parsed = bridge.judged(candidate, interaction, response.text or "")
            verdict = parsed.label or f"{NO_VERDICT} ({parsed.reason})"
            return [{"critique": parsed.critique, "verdict": verdict}]

    class Watch(BaseCallback):  # type: ignore[misc]
        def __init__(self, bridge: Bridge) -> None:
            self.bridge = bridge

        def on_evaluate_end(
            self, call_id: str, outputs: Any, exception: BaseException | None = None
        ) -> None:
            if exception is None:
                self.bridge.settle()

    class Room:
        dspy: Any = None
        program = JudgeProgram
        adapter = JudgeAdapter
        watch = Watch

        @staticmethod
        def lm(bridge: Bridge, model: Model) -> Any:
            return PoolLM("judgelab/pool", cache=False, num_retries=0, engine=Engine(bridge, model))

    Room.dspy = dspy
    return Room


class _MainThread:
    """A stream that only the main thread writes to, and in the end nobody: a progress bar that
    was left open is closed when its memory is wanted back."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.open = True

    def write(self, text: str) -> int:
        if self.open and threading.current_thread() is threading.main_thread():
            return self.stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_working = 0


@contextmanager
def _quiet() -> Iterator[None]:
    """DSPy prints and logs as it goes; stdout is for our tables. The last to leave puts it back."""
    global _working  # noqa: PLW0603 - streams and loggers belong to the process
    loggers = [logging.getLogger(name) for name in ("dspy", "optuna")]
    levels = [logging.INFO, logging.INFO]
    with _lock:
        _working += 1
        if _working == 1:
            sys.stdout = _MainThread(sys.stdout)
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        with _lock:
            _working -= 1
            if not _working:
                if isinstance(sys.stdout, _MainThread):
                    sys.stdout.open = False
                    sys.stdout = sys.stdout.stream
                for logger, level in zip(loggers, levels, strict=True):
                    logger.setLevel(level)
