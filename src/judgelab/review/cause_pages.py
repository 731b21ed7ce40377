"""Root causes in the room: naming what is wrong with a fail, the taxonomy, what is proposed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from judgelab.data.modes import Classified, ModeLog, ModesMovedError
from judgelab.data.taxonomy import Mode, named
from judgelab.errors import UserError
from judgelab.review.forms import number_in, typed
from judgelab.review.room import Room
from judgelab.review.routes import does, shows

SHOWN = 6  # critiques of a proposal
LONGEST = 500  # characters of a description
OTHERS = "Not saved: {} said {} meanwhile. What is ticked now is theirs; tick again what you mean."


class CausePages:
    """`page` fills a template, `item` shows an item with a notice."""

    def __init__(
        self,
        room: Room,
        log: ModeLog,
        page: Callable[..., Response],
        item: Callable[..., Response],
    ) -> None:
        self.room, self.log, self.page, self.item = room, log, page, item

    @property
    def routes(self) -> list[Route]:
        return [
            shows("/causes", self.causes),
            does("/causes/name", self.name),
            does("/causes/decide", self.decide),
        ]

    def causes(self, query: Mapping[str, str], *, status: int = 200, wrong: str = "") -> Response:
        self.room.refresh()
        critiques = {id_: one.said.critique for id_, one in self.room.labelled.items()}
        counts = Counter(name for id_ in critiques for name in self.room.modes(id_))
        fails = [id_ for id_ in self.room.labelled if self.room.is_fail(id_)]
        proposals = [
            (one, [(id_, critiques[id_]) for id_ in one.items if critiques.get(id_)][:SHOWN])
            for one in self.log.open
        ]
        return self.page(
            "causes.html",
            status=status,
            modes=self.log.taxonomy.modes,
            counts=counts,
            fails=len(fails),
            left=sum(not self.room.modes(id_) for id_ in fails),
            proposals=proposals,
            notice="Decided." if query.get("decided") else "",
            wrong=wrong,
        )

    def name(self, form: Mapping[str, str]) -> Response:
        """The modes of an item, those that are ticked and a new one."""
        room, id_ = self.room, form.get("id", "")
        room.refresh()
        if not room.is_fail(id_):
            raise HTTPException(404, "There is no such item that you failed.")
        ticked = [value for name, value in form.items() if name.startswith("mode-")]
        content = room.items[id_].content
        try:
            new = [named(text)] if (text := typed(form.get("new", ""))) else []
            known = {name: self.log.taxonomy.spelt(name) for name in [*ticked, *new]}
            given = Classified(
                id=id_,
                content=content,
                modes=tuple(known[name] or name for name in [*ticked, *new]),
                by=room.expert,
                supersedes=number_in(form.get("head", "")),
            )
            self.log.classify([given], [Mode(name) for name in new if not known[name]])
        except ModesMovedError as error:
            now = error.now
            says = (now.by, ", ".join(now.modes) or "none") if now else ("somebody", "none")
            return self.item(id_, form, OTHERS.format(*says), 409)
        except (UserError, ValueError) as error:
            return self.item(id_, form, f"Not saved: {error}", 422)
        except OSError as error:
            return self.item(id_, form, f"Not saved: {error.strerror or error}.", 507)
        query = {"queue": form.get("queue", ""), "about": form.get("about", ""), "named": id_}
        if form.get("go") == "stay":
            query["id"] = id_
        return RedirectResponse(f"/item?{urlencode({k: v for k, v in query.items() if v})}", 303)

    def decide(self, form: Mapping[str, str]) -> Response:
        """A proposal into the taxonomy, under the name that is in the form, or not."""
        if not self.room.principal:
            raise HTTPException(403, "Whose labels decide decides on the root causes too.")
        name, text = typed(form.get("name", "")), typed(form.get("description", ""))
        wrong = ""
        if form.get("do") not in ("accept", "decline"):
            wrong = "Accept or decline."
        elif form["do"] == "accept" and not name:
            wrong = "Give it a name that says what fails."
        else:
            try:
                self.log.decide(
                    number_in(form.get("proposal", "")) or 0,
                    by=self.room.expert,
                    name=name if form["do"] == "accept" else "",
                    description=text[:LONGEST],
                )
            except (UserError, ValueError) as error:
                wrong = str(error)
            except OSError as error:
                wrong = f"Not saved: {error.strerror or error}."
        if wrong:
            return self.causes({}, status=422, wrong=wrong)
        return RedirectResponse("/causes?decided=1", 303)


def of_item(room: Room, log: ModeLog, id_: str) -> dict[str, Any] | None:
    """What the form of an item's root causes holds; None where it is no fail."""
    if not room.is_fail(id_):
        return None
    last = log.on((id_, room.items[id_].content))
    return {
        "modes": log.taxonomy.modes,
        "own": room.modes(id_),
        "suggested": log.suggested(id_),
        "head": last.sequence if last else None,
        "by": f"{last.by} on {last.at[:10]}" if last else "",
    }
