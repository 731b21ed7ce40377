"""Values as a person reads them, as HTML in which nothing of the data is ever code.

Markdown has no HTML, no images and links to http and https alone; everything else is text. Beside
what is not shown letter by letter stands the text as it is.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

MARKDOWN = 20_000  # characters; a longer text is shown as it is
PART = 4_000  # characters of a longer one that are laid out at once
LONG = 2_400  # characters or
LINES = 40  # lines from which a text is folded
ROWS, COLUMNS = 200, 12  # of a table
FIELDS = 6  # of a mapping in a mapping; one with more is folded
DEPTH = 3  # of mappings in mappings; below, JSON
ROLES = ("role", "speaker", "author", "from")
CONTENTS = ("content", "text", "message", "value")
TURNS = ("messages", "turns", "history", "conversation")

_TAG = re.compile(r"<[^>]*>")
_MARKS = re.compile(r"^\s*```[\w-]*$|[\s*_`#>|\\:-]|\d+[.)]", re.M)
# No character of HTML, and what turns the letters behind it round: they would read as others.
_UNSEEN = dict.fromkeys((0x00, 0x202D, 0x202E), "\ufffd")
_SAFE = re.compile(r"https?://", re.I)


def _renderer() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.disable("image")
    made.validateLink = lambda url: bool(_SAFE.match(url))  # type: ignore[method-assign]
    made.add_render_rule("link_open", _link)
    made.add_render_rule("heading_open", _heading)
    made.add_render_rule("heading_close", _heading)
    return made


def _link(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrs |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
    return self.renderToken(tokens, at, options, env)


def _heading(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A heading of the data is no heading of the page."""
    level = tokens[at].tag[1:]
    return f'<p class="heading level-{level}"><b>' if tokens[at].nesting == 1 else "</b></p>\n"


_markdown = _renderer()


def text(value: str) -> Markup:
    """A text of the data: JSON as JSON, Markdown rendered, very long ones as they are; folded."""
    if not value.strip():
        return Markup('<p class="empty">empty</p>')
    if (parsed := _json(value)) is not None:
        pretty = _pretty(parsed)
        return _folded(value, _pre(pretty, "json") + _plain(value, pretty))
    if len(value) > MARKDOWN:
        return _folded(value, _pre(value))
    made = _markdown.render(value.translate(_UNSEEN))
    shown = Markup(f'<div class="prose" dir="auto">{made}</div>')
    return _folded(
        value, shown + _plain(value.translate(_UNSEEN), html.unescape(_TAG.sub("", made)))
    )


def markdown(value: str) -> Markup:
    """Markdown that is there to be read, such as the rubric: rendered whole, nothing folded."""
    return Markup(f'<div class="prose" dir="auto">{_markdown.render(value)}</div>')


def value(given: Any, depth: int = 0) -> Markup:
    """Any value of a context."""
    if isinstance(given, str):
        return text(given)
    if given is None or (isinstance(given, Mapping | list | tuple) and not given):
        return Markup('<p class="empty">empty</p>')
    if isinstance(given, Mapping):
        return _mapping(given, depth)
    if isinstance(given, list | tuple):
        return _list(given, depth)
    return Markup(f'<p dir="auto">{_text(json.dumps(given))}</p>')


def turns(context: Mapping[str, Any]) -> tuple[list[tuple[str, Markup]], dict[str, Any]]:
    """The earlier turns of a conversation as (role, content), and the rest of the context."""
    for name in TURNS:
        given = context.get(name)
        if isinstance(given, list | tuple) and given and all(map(_is_turn, given)):
            rest = {key: other for key, other in context.items() if key != name}
            return [_turn(one) for one in given], rest
    return [], dict(context)


def _is_turn(one: Any) -> bool:
    return (
        isinstance(one, Mapping)
        and any(isinstance(one.get(name), str) for name in ROLES)
        and any(name in one for name in CONTENTS)
    )


def _turn(one: Mapping[str, Any]) -> tuple[str, Markup]:
    role = next(name for name in ROLES if isinstance(one.get(name), str))
    content = next(name for name in CONTENTS if name in one)
    made = value(one[content])
    if more := {key: given for key, given in one.items() if key not in (role, content)}:
        made += value(more)
    return one[role], made


def _mapping(given: Mapping[str, Any], depth: int) -> Markup:
    if depth >= DEPTH:
        return _pre(_pretty(given), "json")
    rows = "".join(
        f'<div><dt dir="auto">{_text(name)}</dt><dd>{value(one, depth + 1)}</dd></div>'
        for name, one in given.items()
    )
    shown = Markup(f"<dl>{rows}</dl>")
    if not depth or len(given) <= FIELDS:
        return shown
    names = f"{len(given)} fields: {', '.join(map(str, given))}"[:160]
    return Markup(
        f'<details><summary class="names" dir="auto">{_text(names)}</summary>{shown}</details>'
    )


def _list(given: Sequence[Any], depth: int) -> Markup:
    names = list(dict.fromkeys(key for one in given if isinstance(one, Mapping) for key in one))
    if all(isinstance(one, Mapping) for one in given) and len(names) <= COLUMNS:
        return _table(given, names, depth)
    if depth < DEPTH and all(isinstance(one, str | int | float | None) for one in given):
        rows = "".join(f"<li>{value(one, depth + 1)}</li>" for one in given[:ROWS])
        return Markup(f"<ul>{rows}</ul>{_rest(given)}")
    shown = _pretty(given)
    return _folded(shown, _pre(shown, "json"))


def _table(given: Sequence[Mapping[str, Any]], names: Sequence[str], depth: int) -> Markup:
    head = "".join(f'<th scope="col" dir="auto">{_text(name)}</th>' for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(one.get(name))}</td>" for name in names) + "</tr>"
        for one in given[:ROWS]
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    label = 'role="region" aria-label="table" tabindex="0"'
    return Markup(f'<div class="wide" {label}>{table}</div>{_rest(given)}')


def _cell(given: Any) -> Markup:
    if given is None or given == "":
        return Markup("")
    shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return _folded(shown, Markup(f'<span dir="auto">{_text(shown)}</span>'))


def _rest(given: Sequence[Any]) -> str:
    if len(given) <= ROWS:
        return ""
    shown = _pre(_pretty(given), "json")
    return f"<details><summary>all {len(given)} as JSON</summary>{shown}</details>"


def _folded(source: str, shown: Markup) -> Markup:
    """A long text behind its beginning."""
    lines = source.count("\n") + 1
    if len(source) <= LONG and lines <= LINES:
        return shown
    start = " ".join(source[:400].split())[:160]
    size = f"{len(source):,} characters, {lines:,} line{'s' * (lines > 1)}"
    return Markup(
        f'<details class="long"><summary><span class="start" dir="auto">{_text(start)} …</span> '
        f'<span class="size">{size}</span></summary>{shown}</details>'
    )


def _plain(source: str, read: str) -> Markup:
    """The text as it is, where a reader does not see every letter of it."""
    if _letters(source) == _letters(read):
        return Markup("")
    return Markup(
        f'<details class="plain"><summary>as plain text</summary>{_pre(source)}</details>'
    )


def _pre(source: str, kind: str = "text") -> Markup:
    attributes = 'tabindex="0" role="region" aria-label="text as it is"'
    shown = _text(source)
    if len(source) > MARKDOWN:
        shown = "".join(f'<span class="part">{_text(part)}</span>' for part in _parts(source))
    return Markup(f'<pre class="{kind}" dir="auto" {attributes}>{shown}</pre>')


def _parts(source: str) -> Iterator[str]:
    """A long text in parts, which end with a line or a word where they can: a browser lays out
    those in sight alone. A line of a megabyte takes it many seconds."""
    start = 0
    while start < len(source):
        end = start + PART
        if end < len(source):
            breaks = (source.rfind(mark, start + PART // 2, end) + 1 for mark in ("\n", " "))
            end = next(filter(None, breaks), end)
        yield source[start:end]
        start = end


def _pretty(given: Any) -> str:
    return json.dumps(given, indent=2, ensure_ascii=False)


def _json(source: str) -> Any:
    if source.lstrip()[:1] not in ("{", "[") or len(source) > 10 * MARKDOWN:
        return None
    try:
        return json.loads(source) or None
    except (ValueError, RecursionError):
        return None


def _text(source: Any) -> str:
    return html.escape(str(source).translate(_UNSEEN))


def _letters(source: str) -> str:
    """What a reader reads: all but spaces and the marks of emphasis, lists, fences and tables."""
    return _MARKS.sub("", source)
