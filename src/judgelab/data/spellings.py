"""Expert labels as a file spells them; a spelling is looked up, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.data.readers.problems import LISTED, Problems, quoted, rows_count, rows_text
from judgelab.data.readers.values import is_empty, key_text
from judgelab.errors import ConfigError
from judgelab.types import LABELS, Label

DISTINCT = 10  # unknown spellings listed
_WHOLE_NUMBER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_YAML_BOOLEANS = {"yes", "no", "on", "off"}


def spelling(value: Any) -> str:
    """What labels are compared by: stripped, lower case, 1.0 is "1", True is "true"."""
    return key_text(value).casefold()


class Spellings:
    """Reads labels by `dataset.labels`: lists of the spellings that mean pass and fail."""

    def __init__(self, labels: Mapping[str, Any]) -> None:
        unknown = [str(key) for key in labels if key not in LABELS]
        if unknown:
            raise ConfigError(
                f"dataset.labels has {', '.join(map(repr, unknown))}; allowed: pass and fail, "
                "each a list of spellings."
            )
        self.lists = {label: _spellings(label, labels.get(label, [label])) for label in LABELS}
        self.has_booleans = any(
            isinstance(value, bool) for label in LABELS for value in _as_list(labels.get(label, []))
        )
        self._known: dict[str, Label] = {}
        for label in LABELS:
            for text in self.lists[label]:
                if self._known.setdefault(text, label) != label:
                    raise ConfigError(
                        f"dataset.labels: {text!r} is both pass and fail; it can be one of them."
                    )

    def read(self, value: Any) -> Label | None:
        """The label of a spelling; None where the cell is empty.

        Raises:
            KeyError: the spelling is in neither list.
        """
        return None if is_empty(value) else self._known[spelling(value)]

    def read_all(
        self, cells: Sequence[tuple[str, Any]], column: str, problems: Problems
    ) -> list[Label | None]:
        """The label of every (where, cell); unknown spellings become one problem."""
        labels: list[Label | None] = []
        unknown: dict[str, list[str]] = {}
        for where, value in cells:
            try:
                labels.append(self.read(value))
            except KeyError:
                labels.append(None)
                unknown.setdefault(key_text(value), []).append(where)
        if unknown:
            problems.say(self._explain(unknown, column))
        return labels

    def _explain(self, unknown: Mapping[str, Sequence[str]], column: str) -> str:
        common = sorted(unknown, key=lambda text: (-len(unknown[text]), text))
        listed = [
            f"{quoted(text)} in {len(unknown[text])} "
            f"({rows_text(list(unknown[text][:LISTED]), len(unknown[text]))})"
            for text in common[:DISTINCT]
        ]
        rest = len(common) - len(listed)
        return " ".join(
            [
                f"labels in column {column!r} that are neither pass nor fail,",
                f"{rows_count(sum(map(len, unknown.values())))}: {', '.join(listed)}"
                + (f" and {rest} more spellings." if rest else "."),
                f"Allowed: {self._allowed()}, upper and lower case alike.",
                *self._advice(common),
            ]
        )

    def _allowed(self) -> str:
        texts = (
            f"{label} = {', '.join(map(repr, self.lists[label])) or 'nothing yet'}"
            for label in LABELS
        )
        return "; ".join(texts)

    def _advice(self, unknown: Sequence[str]) -> list[str]:
        folded = {text.casefold() for text in unknown}
        numbers = [text for text in unknown if _NUMBER.fullmatch(text)]
        whole = [text for text in numbers if _WHOLE_NUMBER.fullmatch(text)]
        if self.has_booleans and folded & _YAML_BOOLEANS:
            return [
                'YAML reads a bare yes or no as true or false: put it in quotes, pass: ["yes"].'
            ]
        if len(whole) < len(numbers):
            return [
                "A score is not a verdict: ask the expert where passing begins, and write pass or "
                "fail into the file."
            ]
        if numbers and folded <= {"0", "1"}:
            return [
                "Which number passes differs between tools, so it is never guessed: set "
                "dataset.labels to {pass: [1], fail: [0]} or to {pass: [0], fail: [1]}."
            ]
        if numbers:
            return [
                "A score is not a verdict: where passing begins is the expert's decision. Map "
                "every score in dataset.labels, for example {pass: [4, 5], fail: [1, 2, 3]}."
            ]
        if folded <= {"true", "false"}:
            return [
                "Whether true is a pass depends on the question asked: set dataset.labels to "
                "{pass: [true], fail: [false]} or the other way round."
            ]
        return [
            "Say which spellings pass and which fail in dataset.labels, for example "
            "{pass: [good], fail: [bad]}; empty the cell of what is not labelled yet."
        ]


def _spellings(label: str, value: Any) -> list[str]:
    texts = [spelling(item) for item in _as_list(value)]
    if all(texts):
        return texts
    raise ConfigError(
        f"dataset.labels.{label} is {value!r}; allowed: a list of spellings such as [good]. An "
        "empty cell always means unlabelled."
    )


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [value]
