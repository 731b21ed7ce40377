"""Is the query in a sample answer well-formed, and does it use columns that exist?

The sample's assistant writes Lantern queries. The grammar, stages in this order, all but the
first optional:

    from DATASET last 2h            (or: between "2026-03-02 09:00" and "2026-03-02 10:00")
    | where CONDITION
    | stats AGGREGATE [as NAME], ... [by COLUMN, ...] [every 5m]
    | compare 7d
    | having CONDITION
    | sort NAME [asc|desc]
    | select COLUMN, ...
    | limit N
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from judgelab.types import Interaction

STAGES = ("from", "where", "stats", "compare", "having", "sort", "select", "limit")
OF_COLUMN = {
    *("sum", "avg", "min", "max", "count_distinct", "heatmap"),
    *(f"p{n}" for n in (50, 75, 90, 95, 99)),
}
OF_CONDITION = {"ratio", "count_if"}
TOKEN = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|\d+(?:\.\d+)?(?:ms|s|m|h|d)?\b|[A-Za-z_][\w.]*|!=|>=|<=|[=<>(),|])'
)
DURATION = re.compile(r"\d+[smhd]")
NUMBER = re.compile(r"-?\d+(\.\d+)?(ms|s|m|h|d)?")
QUERY = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)


class QueryError(Exception):
    """What is wrong with a query, in words for its author."""


def valid_query(interaction: Interaction) -> tuple[bool, str]:
    """(True, why) where every query of the answer parses against the dataset's schema."""
    queries = QUERY.findall(interaction.output)
    schema = interaction.context.get("schema", {})
    try:
        for text in queries:
            _Parser(text, schema).query()
    except QueryError as error:
        return False, f"The query does not run: {error}."
    if not queries:
        return True, "The answer holds no query, so there is none that could be broken."
    return True, "The query parses and uses only columns that the dataset has."


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, text: str, schema: Mapping[str, Any]) -> None:
        self.tokens: list[str] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise QueryError(f"unexpected {text[at : at + 12].strip()!r}")
            self.tokens.append(match[1])
            at = match.end()
        self.at = 0
        self.dataset = schema.get("dataset")
        self.columns = set(schema.get("columns", {}))
        self.names: set[str] = set()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *allowed: str) -> str:
        token = self.peek()
        if allowed and token.lower() not in allowed:
            raise QueryError(f"expected {' or '.join(allowed)}, found {token or 'the end'!r}")
        self.at += 1
        return token

    def maybe(self, *allowed: str) -> bool:
        if self.peek().lower() in allowed:
            self.at += 1
            return True
        return False

    def query(self) -> None:
        self.take("from")
        name = self.take()
        if self.dataset and name != self.dataset:
            raise QueryError(f"there is no dataset {name!r} here, only {self.dataset!r}")
        if self.take("last", "between") == "last":
            self.duration()
        else:
            self.text()
            self.take("and")
            self.text()
        last = 0
        while self.peek():
            self.take("|")
            stage = self.take(*STAGES[1:]).lower()
            if STAGES.index(stage) <= last:
                raise QueryError(f"stage {stage!r} comes twice or too late")
            last = STAGES.index(stage)
            getattr(self, f"stage_{stage}")()

    def stage_where(self) -> None:
        self.condition(self.columns)

    def stage_stats(self) -> None:
        while True:
            self.names.add(self.aggregate())
            if self.maybe("as"):
                self.names.add(self.take())
            if not self.maybe(","):
                break
        if self.maybe("by"):
            self.names.add(self.column())
            while self.maybe(","):
                self.names.add(self.column())
        if self.maybe("every"):
            self.duration()

    def stage_compare(self) -> None:
        self.duration()

    def stage_having(self) -> None:
        if not self.names:
            raise QueryError("having needs a stats stage before it")
        self.condition(self.names)

    def stage_sort(self) -> None:
        self.operand(self.names or self.columns)
        self.maybe("asc", "desc")

    def stage_select(self) -> None:
        self.column()
        while self.maybe(","):
            self.column()

    def stage_limit(self) -> None:
        if not self.take().isdigit():
            raise QueryError("limit takes a whole number")

    def aggregate(self) -> str:
        name = self.take().lower()
        self.take("(")
        inner = ""
        if name in OF_CONDITION:
            self.condition(self.columns)
        elif name in OF_COLUMN:
            inner = self.column()
        elif name != "count":
            raise QueryError(f"there is no aggregate {name!r}")
        self.take(")")
        return f"{name}({inner})"

    def condition(self, names: set[str]) -> None:
        while True:
            if self.maybe("not"):
                pass
            if self.maybe("("):
                self.condition(names)
                self.take(")")
            else:
                self.comparison(names)
            if not self.maybe("and", "or"):
                return

    def comparison(self, names: set[str]) -> None:
        self.operand(names)
        negated = self.maybe("not")
        operator = self.take().lower()
        if operator == "exists":
            return
        if operator == "in":
            self.take("(")
            self.value(names)
            while self.maybe(","):
                self.value(names)
            self.take(")")
        elif operator in ("contains", "starts_with") or (
            operator in ("=", "!=", ">", ">=", "<", "<=") and not negated
        ):
            self.value(names)
        else:
            raise QueryError(f"there is no operator {operator!r}")

    def operand(self, names: set[str]) -> str:
        if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] == "(":
            name = self.aggregate()
        else:
            name = self.take()
        if names and name not in names:
            raise QueryError(f"unknown column {name!r}")
        return name

    def column(self) -> str:
        name = self.take()
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            raise QueryError(f"expected a column, found {name or 'the end'!r}")
        if self.columns and name not in self.columns:
            raise QueryError(f"unknown column {name!r}")
        return name

    def value(self, names: set[str]) -> None:
        token = self.take()
        literal = token.startswith('"') or NUMBER.fullmatch(token) or token in ("true", "false")
        if not literal and token not in names:
            raise QueryError(f"{token or 'the end'!r} is no value: texts need double quotes")

    def duration(self) -> None:
        token = self.take()
        if not DURATION.fullmatch(token):
            raise QueryError(f"expected a duration such as 15m or 7d, found {token!r}")

    def text(self) -> None:
        token = self.take()
        if not token.startswith('"'):
            raise QueryError(f"expected a quoted time, found {token!r}")
