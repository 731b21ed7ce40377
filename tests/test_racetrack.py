"""The race as a sweep runs it: in step, decided by verdicts alone, nobody waited for in vain."""

from __future__ import annotations

import asyncio
import random

from judgelab.racetrack import Track
from judgelab.rules import Rules
from judgelab.types import Verdict

N = 120
LABELS = {f"i{n}": "fail" if n % 3 == 0 else "pass" for n in range(N)}
ACCURACY = {"best": 0.95, "good": 0.85, "weak": 0.6, "coin": 0.5}


def said(key: str) -> dict[str, Verdict]:
    rng = random.Random(key)
    flip = {"fail": "pass", "pass": "fail"}
    return {
        id_: Verdict(id_, label if rng.random() < ACCURACY[key] else flip[label])
        for id_, label in LABELS.items()
    }


def track(keys=tuple(ACCURACY), wide=8, fast=False) -> Track:
    return Track(LABELS, keys, Rules("agreement", {}), seed=3, wide=wide, fast=fast)


async def drive(race: Track, key: str, rng: random.Random, asked: list[str], fails_at=N) -> None:
    lane, verdicts = race.lane(key), said(key)
    async for block in lane.blocks([]):
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)  # others come first
        asked.extend(block)
        lane.tell(block, [verdicts[id_] for id_ in block if len(asked) <= fails_at])
    lane.leave()


def run(race: Track, seed: int = 0, fails_at: int = N, keys=tuple(ACCURACY)) -> dict[str, int]:
    """How many items each was asked about."""
    asked: dict[str, list[str]] = {key: [] for key in keys}

    async def all_of_them() -> None:
        rngs = {key: random.Random(f"{seed}{key}") for key in keys}
        await asyncio.gather(
            *(
                drive(race, key, rngs[key], asked[key], fails_at if key == "good" else N)
                for key in keys
            )
        )

    asyncio.run(asyncio.wait_for(all_of_them(), 30))
    return {key: len(items) for key, items in asked.items()}


def test_who_is_stopped_and_when_does_not_depend_on_who_is_fast():
    found = []
    for seed in range(6):
        race = track()
        run(race, seed)
        found.append([race.lane(key).stopped for key in ACCURACY])
    assert all(stops == found[0] for stops in found)
    assert found[0][0] is None, "the best is never stopped here"
    assert found[0][2] is not None
    assert found[0][3] is not None


def test_a_stopped_variant_is_asked_about_little_more_than_it_was_seen_on():
    race = track(wide=8)
    asked = run(race)
    for key in ("weak", "coin"):
        stopped = race.lane(key).stopped
        assert stopped is not None
        assert stopped <= asked[key] < min(N, stopped + 2 * 8)
    assert asked["best"] == N


def test_everybody_meets_the_items_in_one_order_which_the_seed_shuffles():
    race = track()
    assert race.order != sorted(LABELS)
    assert race.order == track().order != Track(LABELS, ["a"], Rules(), seed=4).order
    assert sorted(race.order) == sorted(LABELS)


def test_who_cannot_answer_is_left_behind_and_not_stopped():
    race = track()
    asked = run(race, fails_at=20)
    assert race.lane("good").stopped is None
    assert asked["good"] == N, "it goes on, out of the race"
    assert race.lane("coin").stopped is not None, "the others raced on"


def test_who_ends_early_is_not_waited_for():
    race = track(keys=("best", "weak"))

    async def one_leaves() -> None:
        race.lane("weak").leave()
        await drive(race, "best", random.Random(0), [])

    asyncio.run(asyncio.wait_for(one_leaves(), 10))
    assert race.lane("weak").stopped is None


def test_verdicts_that_are_there_already_count_at_once():
    race = track(keys=("best", "coin"))
    lane = race.lane("best")
    lane.tell(race.order, list(said("best").values()))
    lane.leave()
    asked = run(race, keys=("coin",))
    assert race.lane("coin").stopped is not None
    assert asked["coin"] < N


def test_fast_stops_more_and_promises_nothing():
    safe, fast = track(), track(fast=True)
    assert sum(run(fast).values()) < sum(run(safe).values())
    assert fast.lane("best").stopped is None
