"""Values as a person reads them; nothing of the data is ever code."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from judgelab.review.rendering import text as rendered
from judgelab.review.rendering import turns, value

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x) <javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    "![x](https://evil.example/pixel.png)",
    "![x](x.png)",
    '"><svg onload=alert(1)>',
    "</pre></details></main><form action=//evil.example>",
    "`</code><script>alert(1)</script>`",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    '[t](https://h "onmouseover=alert(1)")',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- hidden -->",
    "<style>*{display:none}</style><base href=//evil><meta http-equiv=refresh>",
    '=HYPERLINK("http://evil.example","y")',
]
TAGS = {
    *("p", "div", "span", "pre", "code", "details", "summary", "ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tr", "th", "td", "a", "b", "em", "strong", "s", "blockquote"),
    *("br", "hr"),
}
ATTRIBUTES = {"class", "dir", "tabindex", "role", "aria-label", "scope", "href", "rel", "target"}
ATTRIBUTES |= {"title", "start"}


def check(made: str) -> None:
    """Only known tags with known attributes, and links to http and https."""
    for tag in re.findall(r"<[^>]*>", made):
        name = re.match(r"</?([a-z0-9]+)", tag)
        assert name, tag
        assert name[1] in TAGS, tag
        for attribute in re.findall(r'\s([\w-]+)="', re.sub(r'"[^"]*"', '""', tag)):
            assert attribute in ATTRIBUTES, tag
    for address in re.findall(r'href="([^"]*)"', made):
        assert re.match("https?://", address), address
    assert "<img" not in made


@pytest.mark.parametrize("source", HOSTILE)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda source: source,
        lambda source: {"a": source, source: {"b": {"c": {"d": source}}}},
        lambda source: [source, source],
        lambda source: [{"a": source, source: 1}],
        lambda source: json.dumps({"a": source, source: [source]}),
        lambda source: f"{source}\n" * 300,
        lambda source: source + "x" * 30_000,
    ],
    ids=["text", "mapping", "list", "table", "json", "lines", "long"],
)
def test_hostile_content_stays_text(source: str, wrap: Any) -> None:
    check(value(wrap(source)))


def test_hostile_turns_stay_text() -> None:
    for source in HOSTILE:
        given = {"messages": [{"role": source, "content": source, source: source}]}
        earlier, rest = turns(given)
        assert rest == {}
        assert earlier[0][0] == source, "the template escapes it"
        check(earlier[0][1])


def test_markdown_is_rendered_and_its_links_open_elsewhere() -> None:
    made = rendered("# Title\n\n**bold** and [docs](https://h/x) and `code`\n\n- one\n- two")
    assert '<p class="heading level-1"><b>Title</b></p>' in made
    assert "<strong>bold</strong>" in made
    assert '<a href="https://h/x" rel="noopener noreferrer nofollow" target="_blank">' in made
    assert "<code>code</code>" in made
    assert made.count("<li>") == 2
    assert "<h1" not in made


def test_what_is_not_seen_letter_by_letter_can_be_seen_as_it_is() -> None:
    assert "as plain text" not in rendered("Plain **words**, `code`:\n\n1. one\n2. two")
    for source in ("[docs](https://h/x)", "a&nbsp;b", "x\n\n[x]: https://hidden"):
        made = rendered(source)
        assert "as plain text" in made, source
    assert "https://hidden" in rendered("x\n\n[x]: https://hidden")


def test_json_is_pretty_and_its_letters_are_kept() -> None:
    made = rendered('{"b": [1, 2], "a": "\u00e9"}')
    assert '<pre class="json"' in made
    assert "as plain text" not in made
    for odd in ('{"a": 1, "a": 2}', '{"a": 1.10}', '{"a": "\\u00e9"}'):
        assert "as plain text" in rendered(odd), odd
    assert "<pre" not in rendered("{not json}")
    assert "<pre" not in rendered("[1] as a footnote")
    rendered("[" * 50_000)


def test_rows_are_a_table_and_a_long_one_is_all_there() -> None:
    given = [{"name": f"row {n}", "n": n, "deep": {"x": n}} for n in range(300)]
    made = value(given)
    assert made.count("<tr>") == 201
    assert "all 300 as JSON" in made
    assert "row 299" in made
    assert '<th scope="col" dir="auto">name</th>' in made
    assert "<table" not in value([{"a": 1}, 2])
    assert "<table" not in value([{f"c{n}": 1 for n in range(40)}])


def test_a_long_text_is_folded_and_whole() -> None:
    source = "".join(f"word{n} " for n in range(300_000))[:2_000_000]
    start = time.process_time()
    made = rendered(source)
    assert time.process_time() - start < 1
    assert '<details class="long">' in made
    assert "2,000,000 characters, 1 line<" in made
    assert source in "".join(re.findall(r'<span class="part">(.*?)</span>', made, re.S))


@pytest.mark.parametrize(
    ("source", "ends"),
    [("ab c\n" * 10_000, "\n"), ("ab c " * 10_000, " "), ("abc" * 10_000, "abc")],
    ids=["lines", "words", "one word"],
)
def test_a_very_long_text_is_in_parts_that_end_where_they_can(source: str, ends: str) -> None:
    """A browser lays out those in sight alone."""
    parts = re.findall(r'<span class="part">(.*?)</span>', rendered(source), re.S)
    assert "".join(parts) == source
    assert max(map(len, parts)) <= 4_000
    assert all(part[-1] in ends for part in parts)
    assert "part" not in rendered("abc " * 4_000)


def test_right_to_left_text_finds_its_own_direction() -> None:
    assert '<div class="prose" dir="auto"><p>\u0645\u0631\u062d\u0628\u0627' in rendered(
        "\u0645\u0631\u062d\u0628\u0627"
    )
    assert 'dir="auto"' in value({"\u0645": 1})


def test_letters_that_are_turned_round_stand_as_they_are() -> None:
    """The judge reads `lla`; an expert who reads `all` labels another text."""
    for made in (
        rendered("delete \u202ella"),
        value({"\u202dx": "\u202e"}),
        rendered('["\u202e"]'),
    ):
        assert "\ufffd" in made
        assert not set("\u202d\u202e") & set(made)


@pytest.mark.parametrize("given", [None, "", "  ", [], {}])
def test_nothing_is_said_to_be_nothing(given: Any) -> None:
    assert "empty" in value(given)


@pytest.mark.parametrize("given", [0, False, 1.5, "0"])
def test_what_looks_like_nothing_is_shown(given: Any) -> None:
    assert "empty" not in value(given)
    assert str(given).lower() in value(given)


def test_earlier_turns_are_found_under_their_usual_names() -> None:
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool": "x"}]
    for name in ("messages", "turns", "history", "conversation"):
        earlier, rest = turns({name: said, "other": 1})
        assert [role for role, _ in earlier] == ["user", "assistant"]
        assert rest == {"other": 1}
        assert "tool" in earlier[1][1]
    for other in ([], [1], [{"role": "user"}], "text", [{"content": "x"}]):
        assert turns({"messages": other}) == ([], {"messages": other})


@pytest.mark.parametrize(
    "source", ["[" * 20_000, "*a_" * 6_000, "[a](" * 5_000, "> " * 10_000, "`" * 19_999]
)
def test_markdown_made_to_be_slow_is_not(source: str) -> None:
    start = time.process_time()
    rendered(source)
    assert time.process_time() - start < 2
