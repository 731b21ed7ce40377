"""`judgelab generate outputs`: three kinds of systems, hostile inputs, errors, kill and resume."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labs import Lab, read_lines, write_rows

HOSTILE = [
    "plain",
    "; touch pwned; $(touch pwned) `touch pwned` && touch pwned",
    '"}, "admin": true, {"x": "',
    "--help -rf / {id} {context.plan} {{input}} %s",
    "two\nlines\r\nand a tab\t, \u202eback\u202c 😀 naïve",
    "../../etc/passwd?a=b&c=d#e",
    "'; DROP TABLE users; --",
    "=1+1",
]
APP = """
import threading, time

seen = []

def answer(text):
    if text == "plain":
        raise ValueError("no plain today")
    return "said: " + text

async def whole(item):
    return {
        "output": item["input"].upper(),
        "context": {"documents": ["d1"]},
        "metadata": {"tokens": 7, "group": item["group"]},
    }

def odd(text):
    return {"a number": 5, "nothing": None, "a list": ["x"], "empty": " ", "nul": "a\\0b",
            "half": "\\ud800", "deep": {"output": "x", "context": {"d": eval("[" * 60 + "]" * 60)}},
            "nan": {"output": "x", "metadata": {"n": float("nan")}},
            "exit": None}[text] if text != "exit" else exit(3)

def slow(text):
    with open("asked.txt", "a") as file:
        file.write(text + "\\n")
    time.sleep(float(text.split()[-1]))
    return text
"""
PROGRAM = """
import json, os, sys
text = sys.stdin.buffer.read().decode()
if text.startswith("=1"):
    print("broken pipe of thought", file=sys.stderr)
    sys.exit(7)
print(json.dumps({"answer": {"text": "said: " + text}, "argv": sys.argv[1:], "n": len(text)}))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.write("the_app.py", APP)
    made.write("program.py", PROGRAM)
    rows = [
        {"id": f"h{n}", "input": text, "group": f"g{n % 2}", "by": "hand"}
        | {"dimensions": {"kind": "hostile"}, "context": {"plan": "free"}}
        for n, text in enumerate(HOSTILE)
    ]
    write_rows(tmp_path / "in.jsonl", rows)
    return made


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("the_app", None)


ASK = ("generate", "outputs", "--inputs", "in.jsonl")


def texts(lab: Lab, name: str) -> dict[str, str]:
    rows = read_lines(lab.folder / name)
    assert len({row["id"] for row in rows}) == len(rows), "each once"
    return {row["input"]: row["output"] for row in rows}


def test_a_python_function_answers_and_what_it_raises_is_kept_as_an_error(lab: Lab) -> None:
    done = lab(*ASK, "system=python", "system.call=the_app.answer")
    assert done.code == 3
    assert "7 of 8 inputs have an output in in.python.jsonl, 7 new" in done.out
    assert "1 errors: ValueError (such as h0: no plain today)" in done.out
    assert "asked again by: judgelab generate outputs" in done.message
    assert texts(lab, "in.python.jsonl") == {text: f"said: {text}" for text in HOSTILE[1:]}
    (error,) = read_lines(lab.folder / "in.python.errors.jsonl")
    assert error["error"] == {"cause": "ValueError", "detail": "no plain today"}
    row = next(r for r in read_lines(lab.folder / "in.python.jsonl") if r["id"] == "h3")
    about = row.pop("metadata")
    assert row == {
        **{"id": "h3", "input": HOSTILE[3], "output": f"said: {HOSTILE[3]}", "group": "g1"},
        **{"dimensions": {"kind": "hostile"}, "context": {"plan": "free"}},
    }
    assert set(about) == {"system", "config", "at", "latency_s", "tries", "by"}
    assert (about["system"], about["tries"]) == ("python", 1)


def test_the_outputs_are_a_dataset_that_keeps_groups_and_hides_metadata(lab: Lab) -> None:
    words = ("system=python", "system.call=the_app.whole", "system.takes=item", "--out", "o.jsonl")
    done = lab(*ASK, *words)
    assert done.code == 0, done.err
    assert "judgelab review dataset=jsonl dataset.path=o.jsonl" in done.err
    row = next(r for r in read_lines(lab.folder / "o.jsonl") if r["id"] == "h0")
    assert row["context"] == {"plan": "free", "documents": ["d1"]}
    assert row["metadata"]["said"] == {"tokens": 7, "group": "g0"}
    own = ("dataset=jsonl", "dataset.path=o.jsonl", "dataset.name=o")
    covered = json.loads(lab("data", "coverage", *own, "--json").out)
    assert covered["counts"]["items"] == 8
    assert any("'metadata'" in note for note in covered["notes"])
    to_label = lab("data", "export", "q.jsonl", *own, "--expert", "ann")
    assert to_label.code == 0, to_label.err
    said = (lab.folder / "q.jsonl").read_text()
    assert "tokens" not in said
    assert "d1" in said


def test_what_is_no_output_is_an_error_and_never_an_interaction(lab: Lab) -> None:
    kinds = ("a number", "nothing", "a list", "empty", "nul", "half", "deep", "nan", "exit", "new")
    write_rows(lab.folder / "odd.jsonl", [{"input": kind} for kind in kinds])
    words = ("system=python", "system.call=the_app.odd", "--inputs", "odd.jsonl")
    done = lab("generate", "outputs", *words)
    assert done.code == 3
    assert texts(lab, "odd.python.jsonl") == {"nul": "a\ufffdb", "half": "?"}
    causes = {row["input"]: row["error"]["cause"] for row in read_lines(
        lab.folder / "odd.python.errors.jsonl")}  # fmt: skip
    assert causes == {
        **dict.fromkeys(("a number", "nothing", "a list"), "no output"),
        **{"empty": "empty", "exit": "RuntimeError", "new": "KeyError"},
        **dict.fromkeys(("deep", "nan"), "not data"),
    }
    own = ("dataset=jsonl", "dataset.path=odd.python.jsonl", "dataset.name=o")
    assert lab("data", "coverage", *own).code == 0, "what was kept can be read"


def test_a_command_reads_the_input_and_no_shell_does(lab: Lab) -> None:
    words = (
        "system=command",
        f"system.command=[{sys.executable},program.py,'--text={{input}}','{{context.plan}}']",
        "system.response=answer.text",
        "system.metadata={argv: argv, n: n, gone: a.b}",
    )
    done = lab(*ASK, *words)
    assert done.code == 3
    assert texts(lab, "in.command.jsonl") == {text: f"said: {text}" for text in HOSTILE[:-1]}
    assert not list(lab.folder.glob("**/pwned"))
    for row in read_lines(lab.folder / "in.command.jsonl"):
        said = row["metadata"]["said"]
        assert said == {"argv": [f"--text={row['input']}", "free"], "n": len(row["input"])}
    (error,) = read_lines(lab.folder / "in.command.errors.jsonl")
    assert error["error"] == {"cause": "exit 7", "detail": "broken pipe of thought"}


def test_a_command_as_one_text_is_split_before_it_is_filled(lab: Lab) -> None:
    words = ("system=command", "system.command='echo -n {input}'", "system.stdin=null")
    assert lab(*ASK, *words).code == 0
    assert texts(lab, "in.command.jsonl")[HOSTILE[1]] == HOSTILE[1]
    write_rows(lab.folder / "nul.jsonl", [{"input": "x" * 200_000}])
    done = lab("generate", "outputs", "--inputs", "nul.jsonl", *words)
    assert "1 errors: not started" in done.out, "too long an argument"


ENDLESS = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
CHILDREN = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {sleep!r}])"


@pytest.mark.slow
def test_a_command_that_does_not_end_is_ended_with_its_children(lab: Lab) -> None:
    lab.write("endless.py", ENDLESS)
    sleep = "import time, pathlib; time.sleep(2); pathlib.Path('alive').touch()"
    lab.write("children.py", CHILDREN.format(sleep=sleep))
    command = ("system=command", "limit=1")
    much = lab(*ASK, *command, f"system.command=[{sys.executable},endless.py]")
    assert "1 errors: too long" in much.out
    words = (f"system.command=[{sys.executable},children.py]", "system.timeout=0.7")
    late = lab(*ASK, *command, *words, "system.name=late")
    assert "1 errors: timeout (such as" in late.out
    time.sleep(2.2)
    assert not (lab.folder / "alive").exists()


class Served:
    """A system on loopback: `answer` makes status and text of a request's path and body."""

    def __init__(self, answer: Callable[[str, Any], tuple[int, str]]) -> None:
        self.asked: list[tuple[str, Any, str]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or "null")
                served.asked.append((self.path, body, self.headers.get("Authorization") or ""))
                status, said = answer(self.path, body)
                data = said.encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.send_header("Retry-After", "0")
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_POST

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def serving(answer: Callable[[str, Any], tuple[int, str]]) -> Iterator[Served]:
    made = Served(answer)
    try:
        yield made
    finally:
        made.close()


def chat(path: str, body: Any) -> tuple[int, str]:
    said = f"said: {body['messages'][-1]['content']}"
    return 200, json.dumps({"choices": [{"message": {"content": said}}], "usage": {"n": 5}})


BODY = (
    "system.body={messages:[{role:user,content:'{input}'}],who:'{context}',of:'{dimensions.kind}'}"
)


def test_an_endpoint_gets_a_body_that_no_input_can_break(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SYSTEMS_KEY", "k-123456789")
    with serving(chat) as served:
        words = (
            *("system=http", f"system.url={served.url}/v1", BODY, "system.metadata={n: usage.n}"),
            *("system.response=choices.0.message.content", "system.api_key_env=MY_SYSTEMS_KEY"),
        )
        dry = lab(*ASK, *words, "--dry-run")
        assert dry.code == 0, dry.err
        assert f"POST {served.url}/v1" in dry.out
        assert not served.asked
        done = lab(*ASK, *words)
        assert done.code == 0, done.err
    assert texts(lab, "in.http.jsonl") == {text: f"said: {text}" for text in HOSTILE}
    for _, body, sent in served.asked:
        assert set(body) == {"messages", "who", "of"}
        assert (body["who"], body["of"]) == ({"plan": "free"}, "hostile")
        assert sent == "Bearer k-123456789"
    row = read_lines(lab.folder / "in.http.jsonl")[0]
    assert row["metadata"]["said"] == {"n": 5}
    assert "k-123456789" not in (lab.folder / "in.http.jsonl").read_text()


def test_an_address_is_filled_url_encoded(lab: Lab) -> None:
    from urllib.parse import parse_qs, urlsplit

    def search(path: str, body: Any) -> tuple[int, str]:
        return 200, parse_qs(urlsplit(path).query, keep_blank_values=True)["q"][0]

    with serving(search) as served:
        url = f"system.url='{served.url}/find?q={{input}}&x=1'"
        words = ("system.method=GET", "system.response=null")
        done = lab(*ASK, "system=http", url, *words)
        assert done.code == 0, done.err
        assert all(urlsplit(path).path == "/find" for path, _, _ in served.asked)
    assert texts(lab, "in.http.jsonl") == {text: text for text in HOSTILE}


def test_what_passes_is_tried_again_and_what_does_not_is_an_error(lab: Lab) -> None:
    seen: Counter[str] = Counter()

    def moody(path: str, body: Any) -> tuple[int, str]:
        text = body["input"]
        seen[text] += 1
        if text == HOSTILE[0] and seen[text] < 3:
            return 503, "busy"
        if text == HOSTILE[1]:
            return 400, "not such a thing"
        if text == HOSTILE[2]:
            return 302, "elsewhere"
        if text == HOSTILE[3]:
            return 200, "no json"
        if text == HOSTILE[4]:
            return 200, '{"other": 1}'
        if text == HOSTILE[5]:
            return 200, '{"output": null}'
        if text == HOSTILE[6]:
            return 500, "x" * 9000
        return 200, '{"output": {"a": ["b"]}}'

    with serving(moody) as served:
        done = lab(*ASK, "system=http", f"system.url={served.url}")
        assert done.code == 3
    kept = texts(lab, "in.http.jsonl")
    assert kept[HOSTILE[7]] == '{"a":["b"]}'
    assert set(kept) == {HOSTILE[0], HOSTILE[7]}
    assert [seen[text] for text in HOSTILE] == [3, 1, 1, 1, 1, 1, 3, 1]
    errors = {row["input"]: row["error"] for row in read_lines(lab.folder / "in.http.errors.jsonl")}
    causes = [errors[text]["cause"] for text in HOSTILE[1:7]]
    assert causes == ["HTTP 400", "HTTP 302", "no JSON", "no output", "no output", "HTTP 500"]
    assert len(errors[HOSTILE[6]]["detail"]) == 500
    # The same command asks for the six, and for nothing that is there.
    before = seen.total()
    with serving(lambda path, body: (200, '{"output": "mended"}')) as served:
        done = lab(*ASK, "system=http", f"system.url={served.url}", "system.name=http")
        assert done.code == 2, "another address is another system"
        assert "system.name=NAME" in done.message
    assert seen.total() == before


def test_nobody_there_ends_it_soon(lab: Lab) -> None:
    rows = [{"id": f"n{n}", "input": f"text {n}"} for n in range(200)]
    write_rows(lab.folder / "many.jsonl", rows)
    words = ("system=http", "system.url=http://127.0.0.1:9/x", "system.retries=0")
    done = lab("generate", "outputs", "--inputs", "many.jsonl", *words)
    assert done.code == 3
    assert "nobody was there to ask" in done.message
    assert len(read_lines(lab.folder / "many.http.errors.jsonl")) < 20


def slow_rows(lab: Lab, n: int, seconds: float) -> None:
    rows = [{"id": f"s{k}", "input": f"text {k} takes {seconds}"} for k in range(n)]
    write_rows(lab.folder / "slow.jsonl", rows)


SLOW = ("generate", "outputs", "--inputs", "slow.jsonl", "system=python")
SLOW = (*SLOW, "system.call=the_app.slow", "system.concurrency=2")


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("how", ["kill", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_ended_half_way_each_input_is_answered_once(lab: Lab, how: str) -> None:
    slow_rows(lab, 8, 0.3)
    out = lab.folder / "slow.python.jsonl"
    running = lab.start(*SLOW)
    until(lambda: len(lines(out)) >= 2)
    running.kill() if how == "kill" else running.send_signal(2)
    _, err = running.communicate(timeout=60)
    if how == "interrupt":
        assert running.returncode == 130, err
        assert "go on with: judgelab generate outputs" in err
    with out.open("a") as torn:
        torn.write('{"id": "s0", "inp' if how == "kill" else "")
    before = len(lines(lab.folder / "asked.txt"))
    done = lab(*SLOW)
    assert done.code == 0, done.err
    assert len(texts(lab, out.name)) == 8
    asked = Counter(lines(lab.folder / "asked.txt"))
    again = sum(n - 1 for n in asked.values())
    assert again <= (2 if how == "kill" else 0), "only what was in work is asked again"
    assert before < 8
    third = lab(*SLOW)
    assert (third.code, Counter(lines(lab.folder / "asked.txt"))) == (0, asked)


@pytest.mark.slow
def test_one_that_takes_too_long_holds_up_nobody(lab: Lab) -> None:
    rows = [
        {"id": "long", "input": "takes 300"},
        *({"id": f"i{n}", "input": f"t{n} 0"} for n in range(5)),
    ]
    write_rows(lab.folder / "slow.jsonl", rows)
    begun = time.monotonic()
    running = lab.start(*SLOW, "system.timeout=0.5")
    out, _ = running.communicate(timeout=100)
    assert time.monotonic() - begun < 100, "no exit waits for it"
    assert running.returncode == 3
    assert "5 of 6 inputs have an output" in out
    assert "timeout (such as long: no answer in 0.5 s)" in out


def test_a_changed_text_or_another_process_is_not_mixed_in(lab: Lab) -> None:
    import fcntl

    words = ("system=command", "system.command=[cat]")
    assert lab(*ASK, *words).code == 0
    rows = read_lines(lab.folder / "in.jsonl")
    write_rows(lab.folder / "in.jsonl", [rows[0] | {"input": "another"}, *rows[1:]])
    moved = lab(*ASK, *words)
    assert moved.code == 2
    assert "1 inputs have another text now" in moved.message
    with (lab.folder / "in.command.jsonl").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        busy = lab(*ASK, *words)
        assert busy.code == 2
        assert "another judgelab process" in busy.message


def test_a_system_that_says_the_labs_keys_is_not_quoted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'my+Zq7w\\Xk93"L'
    monkeypatch.setenv("SOME_API_KEY", secret)
    lab.write("leaks.py", "import os, sys\nprint(os.environ['SOME_API_KEY'], 'x' * 480)\n"
              "if 'plain' in sys.stdin.read():\n"
              "    sys.exit('y' * 490 + os.environ['SOME_API_KEY'])")  # fmt: skip
    lab(*ASK, "system=command", f"system.command=[{sys.executable},leaks.py]")
    assert texts(lab, "in.command.jsonl")[HOSTILE[1]].startswith("*** xxx")
    said = "".join(path.read_text() for path in lab.folder.glob("in.command*.jsonl"))
    assert "Zq7w" not in said
    assert "Xk93" not in said
    assert "***" in read_lines(lab.folder / "in.command.errors.jsonl")[0]["error"]["detail"]


MISTAKES: dict[str, tuple[Sequence[str], str]] = {
    "no system": ((), "system=none answers nothing.*python, http"[:30]),
    "no function": (("system=python",), r"system\.call has no value yet"),
    "no such function": (("system=python", "system.call=the_app.nope"), "cannot import"),
    "no function at all": (("system=python", "system.call=the_app.seen"), "is a list, no function"),
    "an odd word": (
        ("system=python", "system.call=the_app.answer", "system.takes=all"),
        "takes must be one of input, item",
    ),
    "no program": (("system=command", "system.command=[no-such-thing]"), "there is no program"),
    "no place": (
        ("system=command", "system.command=[cat]", "system.stdin=null"),
        r"no place for the input.*\{input\}",
    ),
    "no host": (("system=http", "system.url='http://{input}/x'"), "with a host of its own"),
    "no key": (
        ("system=http", "system.url=http://127.0.0.1:9", "system.api_key_env=NOT_SET"),
        "environment variable is not set",
    ),
    "not JSONL": (("system=command", "system.command=[cat]", "--out", "x.csv"), r"name in \.jsonl"),
    "no such inputs": (
        ("system=command", "system.command=[cat]", "--inputs", "x.jsonl"),
        "there is no such file",
    ),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message(lab: Lab, words: Sequence[str], message: str) -> None:
    done = lab(*ASK, *words)
    assert done.code == 2, done.err
    assert re.search(message, done.message)
    assert not list(lab.folder.glob("*.errors.jsonl"))


def test_the_inputs_of_the_dimensions_are_the_default(lab: Lab) -> None:
    words = ("generate", "outputs", "system=command", "system.command=[cat]")
    none = lab(*words)
    assert none.code == 2
    assert "no inputs of dimensions=sample yet" in none.message
    lab.write("generated/sample.inputs.jsonl", '{"id": "a", "input": "hello"}\n')
    done = lab(*words, "dimensions=sample")
    assert done.code == 0
    assert "dataset.name=sample.command dimensions=sample\n" in done.err
    assert texts(lab, "generated/sample.command.jsonl") == {"hello": "hello"}
