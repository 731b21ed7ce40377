"""What stands between a network and the room: every header, and every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rooms import HOST, HOSTS, SAME, Visitor, room, visitor

from judgelab.errors import ConfigError, UserError
from judgelab.review.app import Pages, made
from judgelab.review.safety import ATTEMPTS, LARGEST, WINDOW, Guard
from judgelab.review.serve import is_loopback, place

TOKEN = "a token of twenty and more"
PATHS = ("/", "/item", "/item?id=i1", "/history?id=i1", "/static/style.css", "/static/keys.js")


@pytest.fixture
def ann(tmp_path: Path) -> Visitor:
    return visitor(room(tmp_path))


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/item?id=nobody", "/item?queue=nothing"])
def test_every_answer_has_the_headers(ann: Visitor, path: str) -> None:
    for answer in (ann.get(path), ann.get(path, headers={"host": "evil.example"})):
        policy = answer["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["x-frame-options"] == "DENY"
        assert answer["referrer-policy"] == "same-origin"
        assert answer["cache-control"] == "no-store"
        assert not answer["server"]


@pytest.mark.parametrize("path", PATHS)
def test_pages_hold_no_inline_code_and_nothing_from_elsewhere(ann: Visitor, path: str) -> None:
    answer = ann.get(path)
    assert answer.status == 200
    if "static" in path:
        assert "http://" not in answer.text
        assert "https://" not in answer.text
        assert "import" not in answer.text
        return
    assert answer.text.count("<script") == answer.text.count('<script src="/static/keys.js" defer>')
    for word in ("<style", " style=", " onclick", " onload", "javascript:", "http://", "https://"):
        assert word not in answer.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8123", "127.0.0.1.evil.example", "", "localhost@evil", "["],
)
def test_a_foreign_name_is_refused(ann: Visitor, host: str) -> None:
    answer = ann.get("/", headers={"host": host})
    assert answer.status == 403
    assert "i1" not in answer.text
    assert ann.get("/", headers={"host": None}).status == 403


@pytest.mark.parametrize("host", [HOST, "localhost:9000", "LOCALHOST", "[::1]:8123"])
def test_own_names_are_answered_whatever_the_port(ann: Visitor, host: str) -> None:
    assert ann.get("/", headers={"host": host}).status == 200


def test_a_header_that_stands_twice_is_refused(ann: Visitor) -> None:
    assert ann.ask("GET", "/", twice="host").status == 400


FOREIGN = {
    "another site": {"sec-fetch-site": "cross-site"},
    "another port": {"sec-fetch-site": "same-site"},
    "another origin": {"sec-fetch-site": None, "origin": "http://evil.example"},
    "another port's origin": {"sec-fetch-site": None, "origin": "http://127.0.0.1:9"},
    "null": {"sec-fetch-site": None, "origin": "null"},
    "nowhere": {"sec-fetch-site": None, "origin": None},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("path", ["/label", "/undo"])
def test_a_form_of_another_page_writes_nothing(
    tmp_path: Path, path: str, headers: dict[str, str | None]
) -> None:
    made = room(tmp_path)
    ann = visitor(made)
    form = {"id": "i1", "verdict": "fail", "head": ""}
    assert ann.post(path, form, headers=headers).status == 403
    assert not made.log.path.exists()


@pytest.mark.parametrize("left_out", ["origin", "sec-fetch-site"])
def test_either_proof_of_origin_is_enough(ann: Visitor, left_out: str) -> None:
    form = {"id": "i1", "verdict": "fail", "head": ""}
    assert ann.post("/label", form, headers={left_out: None}).status == 303


@pytest.mark.parametrize("path", ["/label", "/undo"])
def test_nothing_is_written_by_get(tmp_path: Path, path: str) -> None:
    made = room(tmp_path)
    ann = visitor(made)
    assert ann.get(f"{path}?id=i1&verdict=fail&head=").status == 405
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert ann.ask(method, path, headers=dict(SAME)).status == 405
    for page in ("/", "/item?id=i1", "/item?id=i1&saved=1", "/history?id=i1"):
        ann.get(page)
    assert not made.log.path.exists()


@pytest.mark.parametrize("chunks", [1, 7])
def test_a_body_that_is_too_large_is_refused(tmp_path: Path, chunks: int) -> None:
    made = room(tmp_path)
    body = b"id=i1&verdict=fail&head=&critique=" + b"x" * LARGEST
    answer = visitor(made).post("/label", body, chunks=chunks)
    assert answer.status == 413
    assert not made.log.path.exists()


@pytest.mark.parametrize("body", [b"&".join(b"a%d=b" % n for n in range(60)), b"id=\xff\xfe"])
def test_what_is_no_form_is_refused(ann: Visitor, body: bytes) -> None:
    assert ann.post("/label", body).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/",
        "/../../etc/passwd",
        "/item?id=../../../etc/passwd",
        "/history?id=/etc/passwd",
        "/static/style.css/x",
        "/docs",
    ],
)
def test_a_path_is_no_file(ann: Visitor, path: str) -> None:
    answer = ann.get(path)
    assert answer.status == 404
    assert "root:" not in answer.text


# --- the token


@pytest.fixture
def stranger(tmp_path: Path) -> Visitor:
    return visitor(room(tmp_path), TOKEN)


def link(token: str = TOKEN, path: str = "/") -> str:
    return f"{path}?token={token.replace(' ', '+')}"


@pytest.mark.parametrize("path", [path for path in PATHS if "static" not in path])
def test_without_the_token_there_is_a_door(stranger: Visitor, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status == 401
    assert "i1" not in answer.text
    assert "made" not in answer.text
    assert stranger.get("/static/style.css").status == 200
    assert stranger.post("/label", {"id": "i1", "verdict": "fail", "head": ""}).status == 401


def test_the_link_lets_in_and_the_cookie_is_kept_well(stranger: Visitor) -> None:
    answer = stranger.get(link(path="/item"))
    assert answer.status == 200, "a page, which then goes on: a redirect would lose the cookie"
    assert 'content="0; url=/item"' in answer.text
    kept = answer["set-cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=Strict" in kept
    assert TOKEN not in kept
    assert stranger.get("/").status == 200
    assert stranger.post("/label", {"id": "i1", "verdict": "fail", "head": ""}).status == 303


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example"])
def test_the_door_leads_to_this_server_alone(stranger: Visitor, path: str) -> None:
    answer = Visitor(stranger.app).ask("GET", f"http://h{link(path=path)}")
    assert "url=/evil" in answer.text


def test_the_forms_token_lets_in_too(stranger: Visitor) -> None:
    assert stranger.post("/", {"token": TOKEN}).status == 200
    assert stranger.get("/").status == 200


def test_wrong_tokens_and_cookies_are_counted(tmp_path: Path) -> None:
    now = [0.0]
    made_room = room(tmp_path)
    inner = made(made_room, HOSTS)
    guard = Guard(inner, HOSTS, TOKEN, Pages(made_room).door, clock=lambda: now[0])
    stranger = Visitor(guard)
    for number in range(ATTEMPTS):
        if number % 2:
            assert stranger.get(link("guess")).status == 401
        else:
            stranger.cookie = "judgelab_review=guess"
            answer = stranger.get("/")
            assert (answer.status, stranger.cookie) == (401, ""), "a wrong cookie is taken away"
    answer = stranger.get(link())
    assert answer.status == 429, "the right one neither, or guessing would not be slower"
    assert answer["retry-after"]
    assert Visitor(guard, address="10.0.0.2").get(link()).status == 200, "others may come in"
    assert stranger.get("/").status == 401, "who brings nothing guesses nothing"
    now[0] += WINDOW
    assert stranger.get(link()).status == 200


# --- where it listens


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.1.2.3", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.5", False),
        ("", False),
        ("box.example", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_off_loopback_it_does_not_start_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGELAB_REVIEW_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="export JUDGELAB_REVIEW_TOKEN=") as error:
        place("0.0.0.0", 0, "made")
    assert len(str(error.value).rpartition("=")[2]) >= 32
    monkeypatch.setenv("JUDGELAB_REVIEW_TOKEN", "short")
    for host in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(ConfigError, match="at least 16"):
            place(host, 0, "made")
    monkeypatch.setenv("JUDGELAB_REVIEW_TOKEN", TOKEN)
    at = place("0.0.0.0", 0, "made")
    at.listening.close()
    assert at.is_open
    assert at.token == TOKEN
    assert "token=a%20token" in at.link
    assert "127.0.0.1" in at.hosts


def test_a_lab_has_a_port_of_its_own_and_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.delenv("JUDGELAB_REVIEW_TOKEN", raising=False)
    first = place("127.0.0.1", None, "made")
    second = place("127.0.0.1", None, "made", "/item?queue=unlabelled")
    assert first.link != second.link
    assert second.link.endswith("/item?queue=unlabelled")
    port = first.listening.getsockname()[1]
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}.*another program"):
        place("127.0.0.1", port, "made")
    first.listening.close()
    again = place("127.0.0.1", None, "made")
    assert again.link == first.link, "links and drafts stay over a restart"
    again.listening.close()
    second.listening.close()
    assert not first.is_open
