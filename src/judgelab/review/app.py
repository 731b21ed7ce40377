"""The pages of the expert's room and what they write: GET shows, POST says, nothing else does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from judgelab.data.events import CANNOT, ConflictError, Event
from judgelab.data.links import links_of
from judgelab.data.remarks import AGREEMENT, DISAGREEMENT
from judgelab.data.standing import Said
from judgelab.errors import UserError
from judgelab.expert.same_reason import wrong_reasons
from judgelab.review import forms, rendering
from judgelab.review.cause_pages import CausePages, of_item
from judgelab.review.queues import QUEUES, Queue
from judgelab.review.room import SETTLED, Room, Standing
from judgelab.review.routes import does, shows
from judgelab.review.rubric_pages import RubricPages
from judgelab.review.safety import App, Guard, Refusal, RefusedError
from judgelab.review.told import Opinion

HERE = Path(__file__).parent
STATIC = {"style.css": "text/css", "keys.js": "text/javascript", "icon.svg": "image/svg+xml"}
KEPT = 16  # orders of queues
LISTED = 100  # items that were found
WORDS = {"pass": "pass", "fail": "fail", CANNOT: "cannot be judged"}
REMARKED = "Saved: what you say of the judge on {}."
UNDONE = "Undone. What you had written is below, and is not saved."


def made(room: Room, hosts: Sequence[str], token: str = "") -> App:
    """The whole app, guarded."""
    pages = Pages(room)
    routes = [
        shows("/", pages.home),
        shows("/item", pages.item),
        shows("/history", pages.history),
        does("/label", pages.label),
        does("/undo", pages.undo),
        does("/remark", pages.remark),
        *(Route(f"/static/{name}", pages.static) for name in STATIC),
    ]
    if room.book:
        routes += RubricPages(room, room.book, pages._page).routes
    if room.causes:
        routes += CausePages(room, room.causes, pages._page, pages.named).routes
    handlers: dict[Any, Any] = {
        HTTPException: pages.refused,
        RefusedError: pages.refused,
        UserError: pages.broken,
        OSError: pages.broken,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, hosts, token, pages.door)


class Pages:
    """Templates filled from the room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._orders: dict[tuple[Any, ...], list[str]] = {}
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "room": room,
            "words": WORDS,
            "queues": QUEUES,
            "to": lambda path, **query: _address(path, query),
        }

    # --- what is shown

    def home(self, query: Mapping[str, str]) -> Response:
        self.room.refresh()
        orders = {name: self._order(one, "") for name, one in QUEUES.items() if not one.about}
        left = {
            name: sum(1 for _ in QUEUES[name].still_open(self.room, order))
            for name, order in orders.items()
            if order or not (QUEUES[name].of_run or QUEUES[name].causes)
        }
        recent = [(id_, self.room.labelled[id_]) for id_ in self.room.done_here[:-9:-1]]
        told, reasons = self.room.told, None
        if told:
            groups = {id_: item.group for id_, item in self.room.items.items()}
            remarks = list(told.remarks(self.room.expert).values())
            reasons = wrong_reasons(remarks, groups).to_json()
        return self._page("home.html", left=left, recent=recent, reasons=reasons)

    def item(self, query: Mapping[str, str]) -> Response:
        """The item that is asked for, or the first open one of the queue."""
        self.room.refresh()
        queue, about = self._queue(query)
        order = self._order(queue, about)
        saved = self._saved(query.get("saved", ""))
        if queue.about and "id" not in query and not saved:
            return self._found(queue, about, order)
        id_ = query.get("id") or self._open(queue, order, None)
        if id_ is None:
            return self._page(
                "done.html",
                queue=queue,
                about=about,
                saved=saved,
                saved_nudges=self._nudges(saved),
                found=len(order),
            )
        said, notice = None, ""
        remarked = query.get("remarked", "")
        if remarked in self.room.items and (remark := self.room.remark(remarked)):
            notice = REMARKED.format(remarked)
            if remark.says in SETTLED and remarked == id_:
                notice += " If your label should change, change it now."
        if self.room.causes and query.get("named", "") in self.room.items:
            notice = f"Saved: the root cause of {query['named']}."
        undone = self._saved(query.get("undone", ""), "undo")
        if undone and undone.id == id_:
            said, notice = self.room.taken_back(undone), UNDONE
        return self._item(id_, queue, about, said=said, saved=saved, notice=notice)

    def _found(self, queue: Queue, about: str, order: list[str]) -> Response:
        """What a search found, labelled or not."""
        return self._page(
            "found.html",
            queue=queue,
            about=about,
            total=len(order),
            first=self._open(queue, order, None),
            listed=[(self.room.items[id_], self.room.labelled.get(id_)) for id_ in order[:LISTED]],
        )

    def _item(
        self,
        id_: str,
        queue: Queue,
        about: str,
        *,
        said: Said | None = None,
        saved: Event | None = None,
        notice: str = "",
        wrong: str = "",
        head: int | None = None,
        status: int = 200,
    ) -> Response:
        """An item's page; `said` is in the form instead of what stands."""
        item, room = self._known(id_), self.room
        order = self._order(queue, about)
        place = order.index(id_) if id_ in order else None
        standing = room.labelled.get(id_)
        earlier, context = rendering.turns(item.context)
        return self._page(
            "item.html",
            status=status,
            item=item,
            texts={"input": rendering.text(item.input), "output": rendering.text(item.output)},
            earlier=earlier,
            context=[(name, rendering.value(one)) for name, one in context.items()],
            links=list(links_of(item, room.links)),
            queue=queue,
            about=about,
            place=place,
            total=len(order),
            left=sum(1 for _ in queue.still_open(room, order)),
            before=order[place - 1] if place else None,
            after=order[place + 1] if place is not None and place + 1 < len(order) else None,
            standing=standing,
            said=said or (standing.said if standing else Said()),
            head=head if wrong else room.head(id_),
            opened=int(time.time()),
            nudges=room.nudges(id_, standing.said) if standing and not said else [],
            own={verdict: room.own_critiques(verdict) for verdict in ("pass", "fail")},
            versions=len(room.log.of(id_)) if standing else 0,
            saved=saved,
            saved_nudges=self._nudges(saved),
            last=room.last,
            notice=notice,
            wrong=wrong,
            opinion=(opinion := room.opinion(id_)),
            remark=room.remark(id_),
            rubric=rendering.markdown(room.book.log.text) if room.book else None,
            choices=_choices(standing, opinion),
            named=of_item(room, room.causes, id_) if room.causes else None,
        )

    def named(self, id_: str, form: Mapping[str, str], notice: str, status: int) -> Response:
        """An item whose root causes were not saved."""
        return self._item(id_, *self._queue(form), notice=notice, status=status)

    def history(self, query: Mapping[str, str]) -> Response:
        self.room.refresh()
        queue, about = self._queue(query)
        item = self._known(query.get("id", ""))
        return self._page(
            "history.html",
            item=item,
            queue=queue,
            about=about,
            events=self.room.history(item.id),
            file=self.room.from_files.get(item.id),
        )

    # --- what is said

    def label(self, form: Mapping[str, str]) -> Response:
        room = self.room
        queue, about = self._queue(form)
        item, head, said = self._known(form.get("id", "")), forms.head(form), forms.said(form)
        room.refresh()
        order = self._order(queue, about)
        if wrong := forms.wrong(said):
            return self._item(item.id, queue, about, said=said, wrong=wrong, head=head, status=422)
        seconds = forms.seconds(form.get("opened", ""))
        try:
            event = room.save(item.id, said, head, seconds)
        except ConflictError as error:
            return self._conflict(item.id, queue, about, said, error)
        except OSError as error:
            why = f"Not saved: {error.strerror or error}. What you wrote is still here; try again."
            return self._item(item.id, queue, about, said=said, wrong=why, head=head, status=507)
        following = self._following(queue, order, item.id, form.get("go", "next"))
        query = {"queue": queue.name, "about": about, "id": following, "saved": event.sequence}
        return RedirectResponse(_address("/item", query), 303)

    def _conflict(
        self, id_: str, queue: Queue, about: str, said: Said, error: ConflictError
    ) -> Response:
        """Both labels side by side; nothing is written until one is chosen."""
        return self._page(
            "conflict.html",
            status=409,
            item=self.room.items[id_],
            queue=queue,
            about=about,
            said=said,
            other=error.chain.label,
            both="\n\n".join(forms.both(said, error.chain.label)),
            head=error.chain.head,
            opened=int(time.time()),
        )

    def undo(self, form: Mapping[str, str]) -> Response:
        queue, about = self._queue(form)
        item = self._known(form.get("id", ""))
        try:
            event = self.room.undo(item.id, forms.head(form))
        except ConflictError:
            notice = "Nothing was undone: this item was labelled anew meanwhile. This is its label."
            return self._item(item.id, queue, about, notice=notice, status=409)
        query = {"queue": queue.name, "about": about, "id": item.id, "undone": event.sequence}
        return RedirectResponse(_address("/item", query), 303)

    def remark(self, form: Mapping[str, str]) -> Response:
        queue, about = self._queue(form)
        item = self._known(form.get("id", ""))
        self.room.refresh()
        order = self._order(queue, about)
        says, comment = form.get("says", ""), forms.typed(form.get("comment", ""))
        try:
            self.room.say(item.id, says, comment)
        except ValueError:
            notice = "Not saved: choose one of the answers on the judge’s verdict."
            return self._item(item.id, queue, about, notice=notice, status=422)
        following = item.id if says in SETTLED else self._open(queue, order, item.id)
        query = {"queue": queue.name, "about": about, "id": following, "remarked": item.id}
        return RedirectResponse(_address("/item", query), 303)

    # --- what goes wrong

    async def refused(self, request: Request, error: HTTPException | RefusedError) -> Response:
        status = error.status if isinstance(error, RefusedError) else error.status_code
        says = str(error) if isinstance(error, RefusedError) else error.detail
        return self._page("message.html", status=status, title=f"{status}", says=says)

    async def broken(self, request: Request, error: Exception) -> Response:
        title = "The labels cannot be read or written"
        return self._page("message.html", status=500, title=title, says=str(error))

    async def static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name])

    def door(self, refusal: Refusal) -> bytes:
        """The page of a request that does not reach the room."""
        return self._html("door.html", refusal=refusal)

    # --- how

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        return Response(self._html(name, **values), status, media_type="text/html")

    def _html(self, name: str, **values: Any) -> bytes:
        # A lone surrogate is in no UTF-8; the data may hold one.
        return self._templates.get_template(name).render(values).encode("utf-8", "replace")

    def _known(self, id_: str) -> Any:
        if id_ not in self.room.items:
            raise HTTPException(404, "There is no such item in this dataset.")
        return self.room.items[id_]

    def _queue(self, query: Mapping[str, str]) -> tuple[Queue, str]:
        name = query.get("queue") or next(iter(QUEUES))
        if name not in QUEUES:
            raise HTTPException(404, f"There is no such queue. There are: {', '.join(QUEUES)}.")
        return QUEUES[name], query.get("about", "")

    def _order(self, queue: Queue, about: str) -> list[str]:
        key = (queue.name, about, self.room.stamp)
        if key not in self._orders:
            order = list(queue.order(self.room, about))
            while len(self._orders) >= KEPT:
                self._orders.pop(next(iter(self._orders)), None)
            self._orders[key] = order
        return self._orders[key]

    def _open(self, queue: Queue, order: list[str], after: str | None) -> str | None:
        """The first open item behind another, or the first of all."""
        start = order.index(after) + 1 if after in order else 0
        ring = (*order[start:], *order[:start])
        return next(queue.still_open(self.room, ring), None)

    def _following(self, queue: Queue, order: list[str], id_: str, go: str) -> str | None:
        if go == "stay":
            return id_
        if go in ("previous", "after") and id_ in order:
            at = order.index(id_) + (1 if go == "after" else -1)
            return order[at] if 0 <= at < len(order) else id_
        return self._open(queue, order, id_)

    def _nudges(self, saved: Event | None) -> list[str]:
        return self.room.nudges(saved.id, Said.of(saved)) if saved else []

    def _saved(self, number: str, kind: str = "label") -> Event | None:
        """The event that a page speaks of: what the log holds, whatever the address says."""
        event = self.room.event(int(number)) if number.isdecimal() and len(number) < 12 else None
        return event if event and event.kind == kind and event.id in self.room.items else None


def _choices(standing: Standing | None, opinion: Opinion | None) -> Mapping[str, str]:
    """What can be said of a judge's verdict."""
    if standing is None or opinion is None:
        return {}
    return AGREEMENT if standing.said.verdict == opinion.verdict else DISAGREEMENT


def _address(path: str, query: Mapping[str, Any]) -> str:
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, errors='replace')}"
