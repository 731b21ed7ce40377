"""The page of the rubric: its versions, what is proposed for it, and deciding on that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from judgelab.data.rubrics import LONGEST, Entry, MovedError
from judgelab.data.seen import Before, labelled_before
from judgelab.review.book import Book
from judgelab.review.diffs import difference
from judgelab.review.forms import typed
from judgelab.review.rendering import markdown
from judgelab.review.room import Room
from judgelab.review.routes import does, shows

SAID = {
    "proposed": "Proposed as number {}. Nothing is in force until it is accepted.",
    "accepted": "Accepted: proposal {} is in force now, as version {}.",
    "declined": "Declined: proposal {}. The rubric stays as it is.",
}


class RubricPages:
    """`page` fills a template; a room without a rubric has no such pages."""

    def __init__(self, room: Room, book: Book, page: Callable[..., Response]) -> None:
        self.room, self.book, self.page = room, book, page

    @property
    def routes(self) -> list[Route]:
        return [
            shows("/rubric", self.rubric),
            does("/rubric/propose", self.propose),
            does("/rubric/decide", self.decide),
        ]

    def rubric(
        self,
        query: Mapping[str, str],
        *,
        status: int = 200,
        wrong: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        """The page; `typed` is a form that was not taken, `wrong` why."""
        self.room.refresh()
        log = self.book.log
        text, now, versions = log.text, log.now, log.versions
        return self.page(
            "rubric.html",
            status=status,
            shown=markdown(text),
            text=text,
            now=now,
            edited=bool(versions) and versions[-1].hash != now,
            versions=_versions(versions),
            open=[self._proposal(one, text, now) for one in log.open],
            decided=[(one, _by(log.entries, one.proposal)) for one in log.decisions],
            material=self.book.material if self.room.principal else [],
            before=self._before(now),
            notice=self._notice(query),
            wrong=wrong,
            typed=typed or {},
            longest=LONGEST,
        )

    def _proposal(self, one: Entry, text: str, now: str) -> dict[str, Any]:
        """With its difference to what is in force; where it was made from another text, with what
        it meant to change in that."""
        moved = one.base != now
        base = self.book.log.text_of(one.base) if moved else None
        return {
            "entry": one,
            "lines": difference(text, one.text),
            "moved": moved,
            "meant": difference(base, one.text) if base is not None else [],
        }

    def _before(self, now: str) -> list[Before]:
        """Where the labels of this room decide, and some of them say under which text they were
        given."""
        room = self.room
        if not room.principal:
            return []
        content = {id_: one.content for id_, one in room.items.items()}
        parts = self.book.parts()
        older = self.book.older(now, content)
        found = labelled_before(room.labelled, room.log, content, parts, now, room.expert, older)
        return found if any(one.labels > one.unknown for one in found) else []

    def propose(self, form: Mapping[str, str]) -> Response:
        text, why = typed(form.get("text", "")), typed(form.get("why", ""))
        wrong = _too_long(text)
        if not why:
            wrong = "Say why: who decides on it should not have to guess."
        if not wrong:
            known = {one.ref for one in self.book.material} if self.room.principal else set()
            drawn = [value for name, value in form.items() if name.startswith("remark-")]
            try:
                made = self.book.log.propose(
                    text,
                    by=self.room.expert,
                    why=why,
                    base=form.get("base", "")[:64],
                    remarks=[ref for ref in drawn if ref in known],
                )
            except ValueError as error:
                wrong = f"Not proposed: {error}."
            except OSError as error:
                return self.rubric({}, status=507, wrong=_unsaved(error), typed=form)
            else:
                return _to("proposed", made.sequence)
        return self.rubric({}, status=422, wrong=wrong, typed=form)

    def decide(self, form: Mapping[str, str]) -> Response:
        if not self.room.principal:
            raise HTTPException(403, "Whose labels decide decides on the rubric too.")
        number = _number(form.get("proposal", ""))
        text, why = typed(form.get("text", "")), typed(form.get("why", ""))
        by, log = self.room.expert, self.book.log
        wrong = _too_long(text)
        if form.get("do") not in ("accept", "decline"):
            wrong = "Accept or decline."
        if form.get("do") == "decline" and not why:
            wrong = "Say why it is declined: who proposed it learns from it."
        if wrong:
            return self.rubric({}, status=422, wrong=wrong, typed=form)
        try:
            if form["do"] == "accept":
                log.accept(number, by=by, onto=form.get("onto", ""), why=why, text=text)
            else:
                log.decline(number, by=by, why=why)
        except MovedError as error:
            says = str(error)
            wrong = f"{says[0].upper()}{says[1:]}"
            return self.rubric({}, status=409, wrong=wrong, typed=form)
        except OSError as error:
            return self.rubric({}, status=507, wrong=_unsaved(error), typed=form)
        return _to("accepted" if form["do"] == "accept" else "declined", number)

    def _notice(self, query: Mapping[str, str]) -> str:
        """What was done, as the history has it, whatever the address says."""
        log = self.book.log
        for kind, words in SAID.items():
            number = _number(query.get(kind, ""))
            if kind == "proposed" and any(one.sequence == number for one in log.open):
                return words.format(number)
            if any(one.kind == kind and one.proposal == number for one in log.decisions):
                versions = [one.proposal for one in log.versions]
                place = versions.index(number) + 1 if number in versions else 0
                return words.format(number, place)
        return ""


def _versions(versions: Any) -> list[dict[str, Any]]:
    """The newest first, each with its number and the difference to the one before."""
    found = []
    for number, one in enumerate(versions, 1):
        before = versions[number - 2].text if number > 1 else None
        lines = difference(before, one.text) if before is not None else []
        found.append({"number": number, "entry": one, "lines": lines})
    return found[::-1]


def _by(entries: Any, sequence: int | None) -> Entry | None:
    return next((one for one in entries if one.sequence == sequence), None)


def _too_long(text: str) -> str:
    if len(text) <= LONGEST:
        return ""
    return f"A rubric has at most {LONGEST:,} characters; this one has {len(text):,}."


def _unsaved(error: OSError) -> str:
    return f"Not saved: {error.strerror or error}. What you wrote is still here; try again."


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def _to(kind: str, number: int) -> Response:
    return RedirectResponse(f"/rubric?{kind}={number}", 303)
