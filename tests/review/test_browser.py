"""The expert's room in a real browser: by keyboard, in two tabs, over a killed server."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.events import Event, EventLog, Given
from labs import Lab, rows, write_rows

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
if not CHROMIUM:
    pytest.skip("there is no Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WORDS = "The answer names the second service, where the table holds the third"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
PAGE = 60_000  # milliseconds: a machine that others use may be slow


class Served:
    """`judgelab review` in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder)
        data = rows(30)
        for row in data:
            del row["label"], row["critique"]
        data[0] |= {
            "id": "hostile",
            "input": f"=HYPERLINK(1)\n\n{HOSTILE}",
            "output": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
            "context": {HOSTILE: HOSTILE, "long": "word " * 200_000, "more": "x y " * 250_000},
            "dimensions": {"kind": HOSTILE},
        }
        data[1]["context"] = {
            "messages": [{"role": "user", "content": "earlier"}],
            "table": [{"service": "cart", "n": 1}],
        }
        write_rows(folder / "data.jsonl", data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        own = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
        self.process = self.lab.start("review", *own, "--expert", "ann", "--port", str(self.port))
        assert self.process.stdout
        self.link = self.process.stdout.readline().strip()
        assert self.link, self.process.communicate()[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> subprocess.Popen[str]:
        self.process.send_signal(signal.SIGINT)
        self.said = self.process.communicate(timeout=20)
        return self.process

    @property
    def path(self) -> Path:
        return self.lab.folder / "labels" / "own.jsonl"

    @property
    def events(self) -> list[Event]:
        return EventLog(self.path).events


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    if made.process.poll() is None:
        made.kill()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    made = browser.new_context()
    made.set_default_timeout(PAGE)
    yield made
    made.close()


@pytest.fixture
def page(context: Any) -> Any:
    return context.new_page()


def keys(page: Any, *pressed: str) -> None:
    for key in pressed:
        page.keyboard.press(key)


def save(page: Any) -> None:
    """Ctrl+Enter, and wait until the page that follows says that it is saved."""
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")


def here(page: Any) -> str:
    return str(page.get_attribute("body", "data-item"))


def test_twenty_by_keyboard_alone_then_edits_and_undoes(served: Served, page: Any) -> None:
    page.goto(served.link)
    keys(page, "Tab", "Tab", "Tab", "Tab", "Tab")
    assert page.evaluate("document.activeElement.textContent") == "Start"
    with page.expect_navigation():
        keys(page, "Enter")
    expected = []
    for number in range(20):
        id_, verdict = here(page), ("fail", "pass", "cannot_judge")[number % 3]
        if verdict == "cannot_judge":
            keys(page, "c")  # goes where it is to be said
            page.keyboard.insert_text(f"order {number}")
        else:
            keys(page, verdict[0], "e")
            page.keyboard.insert_text(f"{WORDS} {number}: ")
            page.keyboard.type("pfcjku/")  # single keys are letters here
        save(page)
        assert page.locator(".saved").inner_text() == f"Saved: {id_} " + (
            "cannot be judged" if verdict == "cannot_judge" else verdict
        )
        expected.append((id_, verdict))
    assert [(event.id, event.verdict) for event in served.events] == expected
    assert len({id_ for id_, _ in expected}) == 20
    assert served.events[0].critique == f"{WORDS} 0: pfcjku/"
    assert "10 left" in page.locator(".count").inner_text()

    with page.expect_navigation():
        keys(page, "k")
    assert here(page) == expected[-1][0]
    keys(page, "f", "e", "Control+End")
    page.keyboard.type(" and more")
    keys(page, "Escape")
    with page.expect_navigation():
        keys(page, "k")  # moving on saves
    assert here(page) == expected[-2][0]
    edited = served.events[-1]
    assert (edited.id, edited.version, edited.supersedes) == (expected[-1][0], 2, 20)
    assert edited.critique.endswith(" and more")

    for version in (2, 1):
        with page.expect_navigation():
            keys(page, "u")
        assert here(page) == expected[-1][0]
        assert "Undone" in page.locator(".notice").inner_text()
        assert served.events[-1].kind == "undo"
        assert page.locator("#critique").input_value(), version
    assert "11 left" in page.locator(".count").inner_text()
    assert served.stop().returncode == 0
    assert "the labels are in" in served.said[1]


def test_two_tabs_meet_on_a_page_that_shows_both(served: Served, context: Any) -> None:
    first, second = context.new_page(), context.new_page()
    for tab in (first, second):
        tab.goto(f"{served.link}item?id=item-003")
    keys(first, "p", "e")
    first.keyboard.type("of the first tab")
    save(first)
    keys(second, "f", "e")
    second.keyboard.type("of the second tab")
    save(second)
    assert second.locator("h1").inner_text() == "Two labels of item-003"
    assert len(served.events) == 1
    assert second.locator("#critique").input_value() == "of the second tab\n\nof the first tab"
    save(second)
    assert [(e.verdict, e.version) for e in served.events] == [("pass", 1), ("fail", 2)]
    assert "of the first tab" in served.events[1].critique
    second.goto(f"{served.link}item?id=item-003")
    assert second.locator("#draft").is_hidden()


@pytest.mark.slow
def test_a_killed_server_loses_neither_label_nor_draft(served: Served, page: Any) -> None:
    page.goto(f"{served.link}item?id=item-005")
    keys(page, "f", "e")
    page.keyboard.type(WORDS)
    save(page)
    served.kill()
    saved = here(page)
    keys(page, "p", "e")
    page.keyboard.type("written while the server was down")
    with page.expect_event("requestfailed"):
        keys(page, "Control+Enter")
    assert [event.critique for event in served.events] == [WORDS]
    served.start()
    page.goto(f"{served.link}item?id={saved}")
    assert page.locator("#draft").is_visible()
    assert page.locator("#critique").input_value() == "written while the server was down"
    assert page.locator("#v-pass").is_checked()
    save(page)
    assert [event.critique for event in served.events] == [
        WORDS,
        "written while the server was down",
    ]
    page.goto(f"{served.link}item?id={saved}")
    assert page.locator("#draft").is_hidden()


@pytest.mark.slow
def test_a_draft_of_an_older_version_overwrites_nothing(served: Served, context: Any) -> None:
    page, other = context.new_page(), context.new_page()
    page.goto(f"{served.link}item?id=item-007")
    keys(page, "f", "e")
    page.keyboard.type("a draft")
    other.goto(f"{served.link}item?id=item-008")
    other.evaluate("localStorage.clear()")  # as in another browser
    other.goto(f"{served.link}item?id=item-007")
    keys(other, "p")
    save(other)
    page.keyboard.type(", longer")
    page.goto(f"{served.link}item?id=item-007")
    assert page.locator("#critique").input_value() == "a draft, longer"
    save(page)
    assert page.locator("h1").inner_text() == "Two labels of item-007"
    with page.expect_navigation():
        page.locator("#discard").click()
    assert page.locator("#draft").is_hidden()
    assert page.locator("#v-pass").is_checked()


@pytest.mark.slow
def test_hostile_content_does_nothing(served: Served, page: Any) -> None:
    dialogs, asked, errors = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{served.link}item?id=hostile")
    keys(page, "f", "e")
    page.keyboard.insert_text(HOSTILE + "=1+1")
    save(page)
    for path in ("item?id=hostile", "history?id=hostile", "item?queue=search&about=script", ""):
        page.goto(served.link + path)
    page.goto(f"{served.link}item?id=hostile")
    assert page.locator(".output .prose p").evaluate("e => getComputedStyle(e).direction") == "rtl"
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    long = page.locator("pre").filter(has_text="word word")
    reserved = "(one) => one.offsetHeight == 60 * parseFloat(getComputedStyle(one).fontSize)"
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert long.locator(".part").nth(200).evaluate(reserved), "out of sight it is not laid out"
    assert long.text_content().count("word") == 200_000
    assert (dialogs, errors) == ([], [])
    assert all(url.startswith(served.link) for url in asked), asked
    assert page.locator("article img, article script, article a[href^='javascript']").count() == 0
    assert served.events[0].critique.endswith("=1+1")


@pytest.mark.slow
def test_no_page_needs_a_script(served: Served, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PAGE)
    page = context.new_page()
    page.goto(served.link)
    page.get_by_role("link", name="Start").first.click()
    page.get_by_label("Fail").check()
    page.get_by_label("Critique").fill(WORDS)
    page.get_by_role("button", name="Save and next").click()
    assert "Saved" in page.locator(".saved").inner_text()
    page.get_by_role("button", name="Undo").click()
    assert page.get_by_label("Critique").input_value() == WORDS
    page.get_by_label("Search").fill("the")
    page.get_by_role("button", name="Find").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Search: the"
    assert [event.kind for event in served.events] == ["label", "undo"]
    context.close()


def propose(page: Any, more: str) -> None:
    text = page.get_by_label("The rubric as it should be")
    text.fill(f"{text.input_value()}\n\n{more}")
    page.get_by_label("Why?").fill("It was missing.")
    page.get_by_role("button", name="Propose").click()
    assert "Proposed as number" in page.locator(".notice").inner_text()


def window(browser: Any, scheme: str, width: int) -> Any:
    """A browser's context of that width, light or dark."""
    made = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    made.set_default_timeout(PAGE)
    return made


def accessible(axe: Any, page: Any, where: str, width: int) -> None:
    """No violation, and nothing wider than the window."""
    if width > 390:
        found = axe.run(page).response["violations"]
        told = [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found]
        assert told == [], json.dumps({where: told}, indent=1)
    over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert over <= 0, f"{where} is {over} pixels too wide for {width}"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_root_cause_is_named_by_keyboard(served: Served, browser: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for width in (1280, 390):
        context = window(browser, scheme, width)
        page = context.new_page()
        page.goto(f"{served.link}item?id=item-002")
        keys(page, "f", "e")
        page.keyboard.type(f"Bad {width}")
        save(page)
        accessible(axe, page, "a fail, with the way to its root cause", width)
        page.goto(f"{served.link}item?id=item-002")
        keys(page, "m")
        if width == 390:  # the one of before is there to choose
            keys(page, "Space", "Tab")
        page.keyboard.insert_text(f"No day {width}")
        accessible(axe, page, "a root cause", width)
        save(page)
        assert "the root cause of item-002" in page.locator(".notice").inner_text()
        page.goto(f"{served.link}causes")
        accessible(axe, page, "root causes", width)
        assert f"No day {width}" in page.locator("table").inner_text()
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_pass_an_accessibility_checker(served: Served, browser: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for width in (1280, 390):
        context = window(browser, scheme, width)
        page = context.new_page()

        def check(where: str, page: Any = page, width: int = width) -> None:
            accessible(axe, page, where, width)

        page.goto(served.link)
        check("overview")
        page.goto(f"{served.link}item?id=item-001")
        keys(page, "p", "e")
        page.keyboard.type(f"Good {width}")
        check("item")
        save(page)
        check("saved, with a nudge")
        for path in ("history?id=item-001", "item?queue=search&about=the"):
            page.goto(served.link + path)
            check(path)
        page.goto(f"{served.link}rubric")
        propose(page, f"Days count, {width}.")
        check("a proposal")
        page.get_by_role("button", name="Accept").click()
        assert "is in force now" in page.locator(".notice").inner_text()
        check("an accepted one")
        propose(page, f"Nothing counts, {width}.")
        page.get_by_role("button", name="Decline").click()
        assert "Say why it is declined" in page.locator(".wrong").inner_text()
        check("a reason is asked for")
        page.get_by_label("Reason").fill("It is too short.")
        page.get_by_role("button", name="Decline").click()
        assert "The rubric stays" in page.locator(".notice").inner_text()
        page.goto(f"{served.link}item?id=item-002")
        content = str(page.get_attribute("body", "data-content"))
        log = EventLog(served.path)
        other = Given(id="item-002", content=content, expert="ann", verdict="fail", critique=WORDS)
        log.append(other, log.chain(other.key).head)
        keys(page, "p")
        save(page)
        check("conflict")
        keys(page, "c")
        page.locator("#missing").fill("")
        save(page)
        check("what is missing")
        context.close()
