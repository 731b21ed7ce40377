"""Claims: of several processes one asks; what a killed one leaves is counted, once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judgelab.calls import claims as module
from judgelab.calls.claims import COUNTS, Claims
from judgelab.types import sha256
from labs import Lab, environment, read_lines, rows, write_rows
from server import ChatServer

ONE, TWO = sha256("one"), sha256("two")
# Takes the first claim, counts five calls sent and two settled, says whether it has the claim.
HOLDER = """
import sys
from pathlib import Path
from judgelab.calls.claims import Claims

claims = Claims(Path(sys.argv[1]))
claims.count(sent=5)
claims.count(settled=2)
print(claims.take(sys.argv[2]), claims.lost, flush=True)
sys.stdin.read()
claims.count(settled=3)
claims.close()
"""


class Holder:
    def __init__(self, store: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(store), ONE],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.said = self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)

    def end(self) -> None:
        self.process.communicate("", timeout=20)
        assert self.process.returncode == 0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def held(store: Path) -> Iterator[Holder]:
    holder = Holder(store)
    yield holder
    holder.kill()


def sessions(store: Path) -> list[Path]:
    return sorted(store.parent.glob(f"{store.name}.session-*"))


def test_one_process_has_a_request_until_it_gives_it_back(store: Path, held: Holder) -> None:
    assert held.said == ["True", "0"]
    mine = Claims(store)
    assert not mine.take(ONE)
    assert mine.take(TWO)
    assert mine.take(TWO), "who has it may take it again"
    held.end()
    assert mine.take(ONE)
    assert Holder(store).said[0] == "False"
    mine.give_back(ONE)
    again = Holder(store)
    assert again.said[0] == "True"
    again.kill()
    mine.close()


def test_a_killed_process_gives_its_claims_back(store: Path, held: Holder) -> None:
    mine = Claims(store)
    assert not mine.take(ONE)
    held.kill()
    assert mine.take(ONE)
    mine.close()


def test_what_a_killed_process_had_on_its_way_is_counted_once(store: Path, held: Holder) -> None:
    held.kill()
    first, second = Claims(store), Claims(store)
    assert (first.lost, second.lost) == (3, 0)
    first.close()
    second.close()
    assert Claims(store).lost == 0


def test_a_process_that_lives_is_left_alone(store: Path, held: Holder) -> None:
    (session,) = sessions(store)
    mine = Claims(store)
    assert mine.lost == 0
    mine.close()
    assert sessions(store) == [session]
    held.end()
    assert sessions(store) == []


def test_a_call_that_was_given_up_on_its_way_stays_noted(store: Path) -> None:
    stopped = Claims(store)
    stopped.count(sent=4)
    stopped.count(settled=3)
    stopped.close()
    later = Claims(store)
    assert later.lost == 1
    later.close()
    assert sessions(store) == []


@pytest.mark.parametrize("left", [b"", b"\x01", COUNTS.pack(2, 5)])
def test_what_says_nothing_counts_for_nothing(store: Path, left: bytes) -> None:
    store.with_name("calls.db.session-odd").write_bytes(left)
    assert Claims(store).lost == 0
    assert len(sessions(store)) == 1


def test_two_that_start_at_once_do_not_count_it_twice(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process counts it between our look at the folder and our lock on the file."""
    path = store.with_name("calls.db.session-dead")
    path.write_bytes(COUNTS.pack(7, 3))
    flock, counted = module.fcntl.flock, []

    def after_the_other(file: int, how: int) -> None:
        if not counted:
            counted.append(0)
            counted[0] = module._lost(path)
        flock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", after_the_other)
    assert module._lost(path) == 0
    assert counted == [4]


# --- through the command


GRID = (
    *("run", "-m", "demos.k=1,2", "baselines=[]", "limit=10", "tracking=none"),
    "search.floors.recall_fail=null",
)
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model.concurrency=3")


def model(server: ChatServer) -> tuple[str, ...]:
    return ("model=openai_compatible", "model.name=m", f"model.base_url={server.url}", *OWN)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    write_rows(tmp_path / "data.jsonl", rows(30))
    return Lab(tmp_path)


def wait_for(something: Callable[[], bool], *running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not something():
        ended = [one.communicate() for one in running if one.poll() is not None]
        assert not ended, ended
        assert time.monotonic() < until
        time.sleep(0.01)


def judges(process: subprocess.Popen[str], lab: Lab) -> bool:
    """Whether it has come to the calls: the replies of every run have an open file."""
    found = 0
    for file in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we look
            found += str(file.readlink()).startswith(str(lab.folder / "runs"))
    return found == 2


def seen(server: ChatServer) -> list[str]:
    return [sha256(body) for body in server.bodies]


@pytest.mark.slow
def test_processes_with_the_same_grid_ask_each_question_once(lab: Lab, server: ChatServer) -> None:
    server.gate = threading.Event()
    calls = lab.folder / ".judgelab" / "calls.db"
    running = [lab.start(*GRID, *model(server), "--json") for _ in range(4)]
    # All four judge before the first answer comes.
    wait_for(lambda: all(judges(one, lab) for one in running) and server.in_flight > 2, *running)
    assert len(sessions(calls)) == 4
    server.gate.set()
    ended = [one.communicate(timeout=60) for one in running]
    assert [one.returncode for one in running] == [0] * 4, ended
    assert len(seen(server)) == len(set(seen(server))) == 20
    assert len({out for out, _ in ended}) == 1
    assert "locked" not in "".join(err for _, err in ended)
    verdicts = {path.name: (path / "verdicts.jsonl").read_bytes() for path in lab.runs}
    assert [len(read_lines(path / "verdicts.jsonl")) for path in lab.runs] == [10, 10]
    alone = Lab(lab.folder / "alone")
    write_rows(alone.folder / "data.jsonl", rows(30))
    assert alone(*GRID, *model(server)).code == 0
    assert {p.name: (p / "verdicts.jsonl").read_bytes() for p in alone.runs} == verdicts


def test_one_that_is_killed_leaves_its_questions_to_the_other(lab: Lab, server: ChatServer) -> None:
    server.gate = threading.Event()
    killed = lab.start(*GRID, *model(server))
    wait_for(lambda: server.in_flight == 3, killed)
    other = lab.start(*GRID, *model(server))
    wait_for(lambda: judges(other, lab), killed, other)
    assert len(server.seen) == 3
    killed.kill()
    killed.communicate()
    wait_for(lambda: server.in_flight == 6, other)
    server.gate.set()
    _, err = other.communicate(timeout=60)
    assert other.returncode == 0, err
    assert len(set(seen(server))) == 20
    assert len(seen(server)) == 23, "what the killed one had on its way is asked again, once"
    again = lab(*GRID, *model(server))
    assert again.code == 0
    assert "note 3 calls were on their way when an earlier run was ended: asked again" in again.err
    assert "on their way" not in lab(*GRID, *model(server)).err
