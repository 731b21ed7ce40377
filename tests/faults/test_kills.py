"""kill -9 at any request: the same command ends with the same tables, and pays little twice."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from fault_labs import adds_up, lab_of, outcome, words

from judgelab.types import sha256
from labs import Done, Lab
from server import Body, ChatServer, Fault

CONCURRENCY = 4
ITEMS = 30
AXES = ("-m", "demos.k=1,2", "demos.show=critique,label", f"model.concurrency={CONCURRENCY}")
ALL = 4 * ITEMS
# Calls on their way, and answers that wait for their commit.
MOST_LOST = 2 * CONCURRENCY + 8


def command(server: ChatServer) -> tuple[str, ...]:
    mine = words(server, *AXES)
    return ("run", *(word for word in mine if word != "baselines=[]"), "baselines=[always_fail]")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Done]:
    """The sweep that nobody disturbs."""
    lab = lab_of(tmp_path_factory.mktemp("calm"), ITEMS)
    with ChatServer() as server:
        done = lab(*command(server))
        assert done.code == 0, done.err
        assert len(server.seen) == ALL
    return lab, done


def killed_at(n: int, lab: Lab, server: ChatServer) -> str:
    """Run the sweep in a process that is killed as its n-th request comes; what it said."""
    first, running = len(server.seen), list[subprocess.Popen[str]]()

    def kill(number: int, body: Body) -> Fault | None:
        if number == first + n:
            os.kill(running[0].pid, signal.SIGKILL)
        return None

    server.faults = kill
    running.append(lab.start(*command(server)))
    _, said = running[0].communicate(timeout=60)
    assert running[0].returncode == -signal.SIGKILL, said
    server.faults = {}
    return said


def check(points: Sequence[int], lab: Lab, calm: tuple[Lab, Done]) -> None:
    with ChatServer() as server:
        said = [killed_at(n, lab, server) for n in points]
        done = lab(*command(server))
        questions = [sha256(body) for body in server.bodies]
    assert done.code == 0, done.err
    assert outcome(lab) == outcome(calm[0]), "not a byte differs"
    assert done.out == calm[1].out, "nor in the leaderboard"
    assert len(set(questions)) == ALL
    twice = len(questions) - ALL
    told = re.findall(r"note (\d+) calls were on their way", "".join([*said, done.err]))
    assert twice <= sum(map(int, told)) <= len(points) * MOST_LOST
    calls = [record["calls"] for record in lab.records.values()]
    assert all(adds_up(one) for one in calls)
    assert sum(one["answered"] for one in calls) == ALL + ITEMS


def test_a_sweep_that_is_killed_three_times_is_resumed_as_if_nothing_were(
    tmp_path: Path, calm: tuple[Lab, Done]
) -> None:
    rng = random.Random(3)
    check([0, rng.randrange(1, 50), rng.randrange(1, 50)], lab_of(tmp_path, ITEMS), calm)


@pytest.mark.slow
@pytest.mark.parametrize("point", sorted(random.Random(30).sample(range(ALL), 30)))
def test_a_sweep_that_is_killed_anywhere(
    tmp_path: Path, calm: tuple[Lab, Done], point: int
) -> None:
    check([point], lab_of(tmp_path, ITEMS), calm)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_that_is_killed_again_and_again(
    tmp_path: Path, calm: tuple[Lab, Done], seed: int
) -> None:
    rng = random.Random(seed)
    check([rng.randrange(12) for _ in range(8)], lab_of(tmp_path, ITEMS), calm)
