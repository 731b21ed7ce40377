"""Which column of a stranger's file probably is what: a proposal, for a person to confirm."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from judgelab.data.mapping import FIELDS, OBJECTS
from judgelab.data.readers import reader_for
from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.csv import DELIMITERS, CsvReader
from judgelab.data.readers.problems import Problems
from judgelab.data.readers.text import lines
from judgelab.data.readers.values import body_text, is_empty, key_text
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.types import Label

LABEL_VALUES = 10  # a label column has no more distinct values
LABEL_LENGTH = 40  # characters
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")

# Words of column names, the most telling first.
WORDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "uuid", "key", "index", "row", "nr", "no", "number"),
    "input": (
        *("input", "question", "prompt", "query", "request", "instruction", "user_message"),
        *("user_input", "ask", "task", "problem", "message", "user"),
    ),
    "output": (
        *("output", "answer", "response", "completion", "reply", "generated", "generation"),
        *("prediction", "result", "assistant", "bot", "model_output", "candidate", "summary"),
    ),
    "label": (
        *("label", "verdict", "judgment", "judgement", "pass_fail", "grade", "rating", "score"),
        *("decision", "outcome", "correct", "correctness", "acceptable", "accepted", "ok"),
        *("passed", "pass", "thumbs", "quality", "assessment", "evaluation"),
    ),
    "critique": (
        *("critique", "explanation", "reason", "reasoning", "rationale", "comment", "comments"),
        *("feedback", "justification", "notes", "note", "remark", "remarks", "why", "review"),
    ),
    "group": (
        *("group", "conversation", "thread", "session", "dialog", "dialogue", "chat", "ticket"),
        *("user", "customer", "document", "doc", "case", "episode", "trace"),
    ),
    "annotator": (
        *("annotator", "labeler", "labeller", "rater", "grader", "reviewer", "labeled_by"),
        *("labelled_by", "graded_by", "reviewed_by", "expert"),
    ),
}
# In this order a column that fits several fields is given away.
ORDER = ("label", "critique", "output", "input", "group", "annotator", "id")

PAIRS: tuple[tuple[str, str], ...] = (
    *(("pass", "fail"), ("passed", "failed"), ("passes", "fails"), ("p", "f")),
    *(("good", "bad"), ("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("1", "0")),
    *(("correct", "incorrect"), ("correct", "wrong"), ("right", "wrong"), ("ok", "not ok")),
    *(("acceptable", "unacceptable"), ("acceptable", "not acceptable"), ("accept", "reject")),
    *(("accepted", "rejected"), ("approve", "reject"), ("approved", "rejected")),
    *(("positive", "negative"), ("up", "down"), ("thumbs up", "thumbs down"), ("👍", "👎")),
    *(("thumbs_up", "thumbs_down"), ("valid", "invalid"), ("helpful", "unhelpful")),
    *(("satisfactory", "unsatisfactory"), ("relevant", "irrelevant"), ("safe", "unsafe")),
)
# Answers to a question; under a name such as has_error, "yes" is the fail.
ANSWERS = {"yes", "no", "y", "n", "true", "false", "t", "f", "1", "0", "positive", "negative"}
FAULTS = {
    *("error", "errors", "bad", "wrong", "fail", "failed", "failure", "fault", "faulty", "issue"),
    *("issues", "problem", "bug", "defect", "hallucination", "hallucinated", "incorrect", "flag"),
    *("flagged", "violation", "toxic", "reject", "rejected", "invalid", "unsafe", "harmful"),
}


# With one of these words in its name a column is not that field, whatever else the name says.
_REFERENCE = {"expected", "reference", "correct", "gold", "golden", "ideal", "truth", "target"}
_MACHINE = {"judge", "llm", "gpt", "model", "predicted", "prediction", "auto", "automatic"}
_ABOUT = {"id", "template", "version", "type", "category", "language", "source", "url", "date"}
NEVER: Mapping[str, set[str]] = {
    "input": _ABOUT | _REFERENCE | {"system"},
    "output": _ABOUT | _REFERENCE,
    "label": _ABOUT | _MACHINE,
    "critique": _ABOUT | _MACHINE,
}


@dataclass(frozen=True)
class Column:
    """What is known of a column: its texts (empty cells left out) and how many rows there are."""

    name: str
    texts: tuple[str, ...]
    rows: int

    @property
    def words(self) -> list[str]:
        """The name in lower-case words: `userQuestion` and `user_question` are two words."""
        name = self.name.split(".", 1)[1] if _is_own(self.name) else self.name
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
        return re.findall(r"[^\W_]+", spaced.casefold())

    @property
    def distinct(self) -> int:
        return len(set(self.texts))

    @property
    def is_prose(self) -> bool:
        return bool(self.texts) and not all(map(_NUMBER.fullmatch, self.texts))

    @property
    def is_full(self) -> bool:
        return len(self.texts) == self.rows

    @property
    def longest(self) -> int:
        """Words of the longest text."""
        return max((len(text.split()) for text in self.texts), default=0)

    @property
    def is_label(self) -> bool:
        return 0 < self.distinct <= LABEL_VALUES and max(map(len, self.texts)) <= LABEL_LENGTH


@dataclass(frozen=True)
class Proposal:
    """A mapping to confirm.

    `columns`: our field -> their column, None where none was found. `filled`: cells that hold
    something, by column. `spellings`: rows by label spelling, as they are written. `labels`: what
    to put into the yaml; both lists are empty where nobody can know.
    """

    path: Path
    reader: Reader
    rows: int
    columns: Mapping[str, str | None]
    filled: Mapping[str, int]
    spellings: Mapping[str, int]
    labels: Mapping[Label, list[str]]
    unread: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def propose(path: Path) -> Proposal:
    """Reads a file and proposes which column is what, by names first and by content second.

    Raises:
        DataError: the file cannot be read (see the readers).
    """
    reader, remarks = _reader(path)
    rows = list(reader.rows(path))
    columns = _columns(rows)
    chosen = _choose(columns)
    label = chosen.get("label")
    spellings = Counter(label.texts if label else ())
    known = _known_pair(label) if spellings else (["pass"], ["fail"])
    if known is None and _is_aligneval(columns, spellings):
        known = (["0"], ["1"])
        if any(column.name == "prediction" for column in columns):
            chosen.pop("critique", None)  # the explanation is then the model's
        remarks.append("these are AlignEval's columns: it writes 0 for pass and 1 for fail")
    taken = {column.name for column in chosen.values()}
    return Proposal(
        path=path,
        reader=reader,
        rows=len(rows),
        columns={name: chosen[name].name if name in chosen else None for name in FIELDS},
        filled={column.name: len(column.texts) for column in columns},
        spellings=dict(spellings.most_common()),
        labels={"pass": known[0] if known else [], "fail": known[1] if known else []},
        unread=tuple(
            column.name
            for column in columns
            if column.texts and column.name not in taken and not _is_own(column.name)
        ),
        remarks=tuple(remarks),
    )


def _reader(path: Path) -> tuple[Reader, list[str]]:
    """The reader with the arguments that this file needs, and what to say about them."""
    reader = reader_for(path)
    if isinstance(reader, XlsxReader):
        first, *others = reader.sheets(path)
        if others:
            others_text = ", ".join(map(repr, others))
            return XlsxReader(first), [f"sheet {first!r} was taken; there are also {others_text}"]
    elif isinstance(reader, CsvReader) and path.is_file():
        return CsvReader(_delimiter(path)), []
    return reader, []


def _delimiter(path: Path) -> str:
    head = next((line for _, line in lines(path, Problems(str(path)))), "")
    bare = re.sub(r'"[^"]*"', "", head)
    return max(DELIMITERS, key=bare.count)


def _columns(rows: Sequence[Row]) -> list[Column]:
    texts: dict[str, list[str]] = {}
    for row in rows:
        for name, value in _flat(row.values):
            cells = texts.setdefault(name, [])
            if not is_empty(value):
                short = isinstance(value, bool | int | float)
                cells.append(key_text(value) if short else body_text(value).strip())
    return [Column(name, tuple(cells), len(rows)) for name, cells in texts.items()]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Cells by dotted path; objects are entered, lists are cells."""
    flat = []
    for key, value in values.items():
        path = f"{prefix}{key}"
        flat += _flat(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return flat


def _choose(columns: Sequence[Column]) -> dict[str, Column]:
    fits = sorted(
        (-_score(column, name), ORDER.index(name), place, name)
        for place, column in enumerate(columns)
        for name in ORDER
        if _score(column, name)
    )
    chosen: dict[str, Column] = {}
    for _, _, place, name in fits:
        if name not in chosen and columns[place] not in chosen.values():
            chosen[name] = columns[place]
    if "label" not in chosen:
        free = [column for column in columns if column not in chosen.values()]
        left = [column for column in free if _known_pair(column) and _may_be(column, "label")]
        if len(left) == 1:
            chosen["label"] = left[0]
    return chosen


def _score(column: Column, name: str) -> int:
    """How well a column's name says that it is this field; 0 where its content cannot be."""
    if column.name == name:
        return 1000
    if not _may_be(column, name):
        return 0
    words, joined = column.words, "_".join(column.words)
    parts = {*words, *("_".join(two) for two in pairwise(words))}
    bonus = 450 if name == "label" and _known_pair(column) else 0
    for rank, word in enumerate(WORDS[name]):
        if joined == word or (name == "group" and joined == f"{word}_id"):
            return 500 - rank + bonus
        if word in parts:
            return 100 - rank + bonus
    return 0


def _may_be(column: Column, name: str) -> bool:
    if _is_own(column.name) and (name != "group" or column.name.startswith("dimensions")):
        return False
    return _POSSIBLE[name](column) and not NEVER.get(name, set()) & set(column.words)


def _is_own(name: str) -> bool:
    return name.startswith(tuple(f"{own}." for own in OBJECTS))


_POSSIBLE: Mapping[str, Callable[[Column], bool]] = {
    "id": lambda c: c.is_full and c.rows == c.distinct,
    "input": lambda c: c.is_prose and c.is_full and (c.words != ["user"] or c.longest > 5),
    "output": lambda c: c.is_prose and c.is_full,
    "label": lambda c: c.is_label,
    "critique": lambda c: c.is_prose and _known_pair(c) is None,
    "group": lambda c: 0 < c.longest <= 5,
    "annotator": lambda c: c.is_prose and c.is_label,
}


def _known_pair(column: Column | None) -> tuple[list[str], list[str]] | None:
    """(pass, fail) spellings where everybody writes them so; None where it would be a guess."""
    if column is None or not column.texts:
        return None
    written = {text.casefold(): text for text in column.texts}
    if written.keys() <= ANSWERS and FAULTS & set(column.words):
        return None
    if written.keys() <= {"0", "1"} and column.name == "label":
        return None  # 1 is fail in AlignEval, pass elsewhere
    for good, bad in PAIRS:
        if written.keys() <= {good, bad}:
            return [written.get(good, good)], [written.get(bad, bad)]
    return None


def _is_aligneval(columns: Sequence[Column], spellings: Mapping[str, int]) -> bool:
    names = {column.name for column in columns}
    return names >= {"id", "input", "output", "label"} and spellings.keys() <= {"0", "1"}
