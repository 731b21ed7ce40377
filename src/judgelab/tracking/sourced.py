"""Numbers as HTML that says which file they are from, so that each can be held against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from judgelab.metrics.names import why_missing
from judgelab.scoring import in_words_of, p_in_words, short

COUNTED = "counted"  # what stands for a file where a number was counted from the data


@dataclass(frozen=True)
class Source:
    """A JSON file; `place` is its path below runs/. A path into it is keys from the top."""

    place: str
    content: Mapping[str, Any]

    def metric(self, *path: str | int) -> Markup:
        """A metric and its interval: `.84 [.72, .91]`; where one is missing it says why."""
        metric = self._at(path)
        bounds = {f"data-{end}": metric.get(end) for end in ("lo", "hi")}
        shown = _data(self._pointer(path), metric["value"], in_words_of(metric), bounds)
        if metric.get("reason"):
            shown += Markup(" <small>{}</small>").format(why_missing(metric["reason"]))
        return shown

    def number(self, *path: str | int) -> Markup:
        """A number without an interval, in the same digits."""
        return self._shown(path, short)

    def count(self, *path: str | int) -> Markup:
        """A whole number."""
        return self._shown(path, lambda value: f"{value:,}")

    def share(self, *path: str | int) -> Markup:
        """A share in percent, three digits of it."""
        return self._shown(path, lambda value: f"{100 * value:.3g} %")

    def usd(self, *path: str | int) -> Markup:
        """Money, to a hundredth of a cent."""
        return self._shown(path, dollars)

    def p(self, *path: str | int) -> Markup:
        """A p-value, three digits of it."""
        return self._shown(path, p_in_words)

    def _shown(self, path: tuple[str | int, ...], form: Callable[[Any], str]) -> Markup:
        value = self._at(path)
        return _data(self._pointer(path), value, "–" if value is None else form(value), {})

    def _at(self, path: tuple[str | int, ...]) -> Any:
        found: Any = self.content
        for step in path:
            found = found[step]
        return found

    def _pointer(self, path: tuple[str | int, ...]) -> str:
        """As in RFC 6901."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
        return f"{self.place}#/{'/'.join(steps)}"


def counted(number: int) -> Markup:
    """A number that is in no file: it was counted for the page."""
    return _data(COUNTED, number, f"{number:,}", {})


def estimated(value: float, lo: float | None, hi: float | None) -> Markup:
    """A share with its interval that is in no file: it was counted for the page."""
    said = in_words_of({"value": value, "lo": lo, "hi": hi})
    return _data(COUNTED, value, said, {"data-lo": lo, "data-hi": hi})


def summed(usd: float) -> Markup:
    """Money that is in no file: it was summed for the page."""
    return _data(COUNTED, usd, dollars(usd), {})


def dollars(usd: float) -> str:
    """Money, to a hundredth of a cent."""
    return f"${usd:.4f}" if usd >= 0.001 else f"${usd:.2g}" if usd else "0"


def _data(source: str, value: Any, text: str, more: Mapping[str, Any]) -> Markup:
    given = {"value": value, **more}
    attributes = Markup().join(
        Markup(' {}="{}"').format(name, json.dumps(one)) for name, one in given.items()
    )
    return Markup('<data{} data-from="{}">{}</data>').format(attributes, source, text)
