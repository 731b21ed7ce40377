"""The sheet with a judge beside the expert: it goes out, what is said of the judge comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from judgelab.data.readers.base import Row
from judgelab.data.readers.problems import Problems, quoted
from judgelab.data.readers.values import body_text, key_text
from judgelab.data.remarks import AGREEMENT, DISAGREEMENT, Remark, RemarkLog
from judgelab.data.sheets.cells import cut, fits
from judgelab.data.sheets.merged import Merged
from judgelab.data.sheets.rows import Sheet
from judgelab.data.standing import DIGITS, Standing
from judgelab.errors import DataError
from judgelab.types import Verdict, sha256

JUDGE = "judge"  # the sheet
MISTAKE, REASON, COMMENT = "whose_mistake", "same_reason", "comment"
TYPED = (MISTAKE, REASON, COMMENT)
SEEN = ("run", "version", "state")
# What may stand in a column, and what the remark then says.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    MISTAKE: {key.replace("_", " "): key for key in DISAGREEMENT},
    REASON: dict(zip(("yes", "no", "unclear"), AGREEMENT, strict=True)),
}

Verdicts = Mapping[str, Verdict]


@dataclass(frozen=True)
class Comment:
    """What a row says of a judge's verdict.

    Attributes:
        where: the row, as a person finds it.
        version: of the texts, the label and the verdict that stood in it.
        state: what was said when it was written.
        column: where the answer stands; "" where there is none.
        says: as in a remark.
    """

    where: str
    id: str
    run: str
    version: str
    state: str
    column: str
    says: str
    comment: str

    @property
    def now(self) -> str:
        """The state that it leaves behind."""
        return _state(self.says, self.comment)


@dataclass(frozen=True)
class Pair:
    """A label of an expert beside a judge's verdict on the same texts."""

    id: str
    content: str
    expert: str
    run: str
    label: str
    verdict: str

    @classmethod
    def of(cls, standing: Standing, run: str, verdict: Verdict | None) -> Pair | None:
        """None where the expert or the judge has not decided."""
        if verdict is None or verdict.verdict is None or verdict.id not in standing.items:
            return None
        label, item = standing.said(verdict.id).verdict, standing.items[verdict.id]
        if label not in ("pass", "fail"):
            return None
        return cls(item.id, item.content, standing.expert, run, label, verdict.verdict)

    @property
    def version(self) -> str:
        return "v" + sha256([self.content, self.label, self.verdict])[:DIGITS]

    @property
    def column(self) -> str:
        """Where the answer belongs."""
        return REASON if self.label == self.verdict else MISTAKE

    def remark(self, says: str, comment: str) -> Remark:
        return Remark(**vars(self), says=says, comment=comment)

    def before(self, remarks: RemarkLog) -> Remark | None:
        """What the expert has said of just this."""
        found = remarks.on(self.expert, self.id, self.content, self.run)
        same = found is not None and (found.label, found.verdict) == (self.label, self.verdict)
        return found if same else None


def judged(standing: Standing, verdicts: Verdicts, run: str, remarks: RemarkLog) -> Sheet:
    """The judge beside the expert, for what the expert has decided; disagreements come first.

    Args:
        verdicts: of the run, on the items as they are.
        remarks: what the expert has said of them already is filled in.
    """
    rows = []
    for id_, verdict in verdicts.items():
        if (pair := Pair.of(standing, run, verdict)) is None:
            continue
        typed, before = dict.fromkeys(TYPED, ""), pair.before(remarks)
        if before:
            spelt = {says: word for word, says in ANSWERS[pair.column].items()}
            typed |= {pair.column: spelt[before.says], COMMENT: before.comment}
        shown = {
            "id": id_,
            "input": standing.items[id_].input,
            "output": standing.items[id_].output,
            "expert_verdict": pair.label,
            "judge_verdict": pair.verdict,
            "expert_critique": standing.said(id_).critique,
            "judge_critique": verdict.critique,
        }
        state = _state(before.says, before.comment) if before else _state("", "")
        seen = dict(zip(SEEN, (run, pair.version, state), strict=True))
        if fits(typed[COMMENT]):  # the expert's own words are never cut
            rows.append({name: cut(text, id_) for name, text in shown.items()} | typed | seen)
    rows.sort(key=lambda row: row["expert_verdict"] == row["judge_verdict"])
    columns = list(rows[0]) if rows else []
    choices = {column: tuple(words) for column, words in ANSWERS.items()}
    return Sheet(JUDGE, columns, rows, choices, SEEN, TYPED)


def read(rows: Sequence[Row], source: str) -> list[Comment]:
    """What each row says.

    Raises DataError for columns that are missing, and for unknown answers, two answers, ids that
    occur twice: all such rows at once.
    """
    if lost := [name for name in ("id", *TYPED, *SEEN) if rows and name not in rows[0].values]:
        raise DataError(
            f"{source}: nothing was imported. The sheet {JUDGE!r} has no column "
            f"{', '.join(map(repr, lost))}. Import a file that judgelab data export wrote, with "
            "all of its columns, or without that sheet."
        )
    problems, once = Problems(source), dict[tuple[str, str], str]()
    found = [_comment(row, problems) for row in rows]
    for one in found:
        if (before := once.setdefault((one.id, one.run), one.where)) != one.where:
            text = f"{quoted(one.id)}, as in {before}"
            problems.add("ids that occur twice", one.where, text, "one row an item")
    problems.check()
    return found


def merge(
    comments: Iterable[Comment],
    standing: Standing,
    remarks: RemarkLog,
    verdicts: Callable[[str], Verdicts],
) -> tuple[Merged[Comment], list[Remark]]:
    """Where every row belongs, and the remarks that the new ones become; nothing is written.

    A row is a conflict where the texts, the label or the verdict are others than those that stood
    in it, or where the expert has said something else of the verdict since.

    Args:
        verdicts: of a run, by its id; asked for only where something new is said.
    """
    made, found = Merged[Comment](), list[Remark]()
    for one in comments:
        if not one.says:
            made.empty.append(one)
            if one.comment or one.state != one.now:
                made.stray.append(one)
        elif one.state == one.now:
            made.untouched.append(one)
        elif _is_known(one, standing, remarks):
            made.known.append(one)
        else:
            pair = Pair.of(standing, one.run, verdicts(one.run).get(one.id))
            if pair is None or (why := _conflict(one, pair, remarks)):
                made.conflicts.append((one, why if pair else CHANGED))
            else:
                made.new.append(one)
                found.append(pair.remark(one.says, one.comment))
    return made, found


CHANGED = "the texts, the label or the judge's verdict are others than in this row"


def _conflict(one: Comment, pair: Pair, remarks: RemarkLog) -> str:
    if one.version != pair.version:
        return CHANGED
    before = pair.before(remarks)
    if one.state != (_state(before.says, before.comment) if before else _state("", "")):
        said = f"{before.says.replace('_', ' ')!r} on {before.at[:10]}" if before else "nothing"
        return f"{pair.expert} has said {said} of this verdict since"
    if one.column != pair.column:
        how = "agree" if pair.column == REASON else "differ"
        return f"expert and judge {how} here: the answer belongs in {pair.column}"
    return ""


def _is_known(one: Comment, standing: Standing, remarks: RemarkLog) -> bool:
    """Whether this was said, of what stood in the row, whatever the label is by now."""
    item = standing.items.get(one.id)
    found = item and remarks.on(standing.expert, one.id, item.content, one.run)
    if not found or _state(found.says, found.comment) != one.now:
        return False
    pair = Pair(found.id, found.content, found.expert, found.run, found.label, found.verdict)
    return pair.version == one.version


def _comment(row: Row, problems: Problems) -> Comment:
    values = row.values
    given = {column: key_text(values[column]).casefold() for column in ANSWERS}
    for column, word in given.items():
        if word and word not in ANSWERS[column]:
            kind = f"unknown answers (column {column!r})"
            allowed = f"{', '.join(ANSWERS[column])}, or empty"
            problems.add(kind, row.where, quoted(word), allowed)
    if all(given.values()):
        problems.add("rows with two answers", row.where, "", f"{MISTAKE} or {REASON}")
    column = next((name for name, word in given.items() if word), "")
    return Comment(
        where=row.where,
        **{name: key_text(values[name]) for name in ("id", *SEEN)},
        column=column,
        says=ANSWERS[column].get(given[column], "") if column else "",
        comment=body_text(values[COMMENT]).strip(),
    )


def _state(says: str, comment: str) -> str:
    return "r" + sha256([says, *comment.strip().splitlines()])[:DIGITS]
