"""Who is where: for good, never astride two parts, and the same in every process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import judgelab
from builders import dataset, example, examples, interaction, split, text
from judgelab.data.labs import propose
from judgelab.data.looks import Look
from judgelab.data.schema import DatasetConfig, load
from judgelab.data.split import Place, Split, SplitConfig, TrainSet
from judgelab.errors import ConfigError, DataError, UserError
from judgelab.types import Example

SHARED = Path(__file__).parents[3] / "shared" / "data"
LOOK = Look(1, 3, "variant", "data")
QUICK = settings(max_examples=25, deadline=None)


def where(made: Split) -> dict[str, tuple[str, int]]:
    return {i: (place.part, place.fold) for i, place in made.places.items()}


def crowded(n: int, seed: int) -> list[Example]:
    """n examples among whom there are conversations, repeated inputs and near-copies."""
    rng = random.Random(seed)
    items: list[Example] = []
    for i in range(n):
        new = example(f"{seed}-{i}", rng.choice(["pass", "pass", "fail"]))
        one = new.interaction
        kind = rng.randrange(6)
        if kind == 0:
            one = replace(one, group=f"talk {rng.randrange(n // 4 + 1)}")
        elif kind == 1:
            one = replace(one, input=text(f"shared input {seed} {rng.randrange(n)}"))
        elif kind == 2 and items:
            old = rng.choice(items).interaction
            one = replace(one, input=f"{old.input} ?", output=f"  {old.output}\n")
        items.append(replace(new, interaction=one))
    return items


def sets_of(items: Sequence[Example]) -> list[set[str]]:
    """Ids that have to be in one part: a group, an input, or nearly the same text."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in items:
        one = item.interaction
        bare = " ".join(one.input.removesuffix("?").split())
        found[f"input {bare}"].add(item.id)
        if one.group:
            found[f"group {one.group}"].add(item.id)
    return [ids for ids in found.values() if len(ids) > 1]


# --- nobody moves


@QUICK
@given(st.integers(0, 10**6), st.integers(20, 130), st.data())
def test_whatever_happens_to_the_data_earlier_assignments_stay(
    seed: int, n: int, data: st.DataObject
) -> None:
    mode = data.draw(st.sampled_from(["cv", "holdout"]))
    items = crowded(n, seed)
    with tempfile.TemporaryDirectory() as folder:
        before = where(split(items, Path(folder), mode=mode))
        flipped = [
            replace(e, label="pass" if e.label == "fail" else "fail") if i % 3 == 0 else e
            for i, e in enumerate(items)
        ]
        again = [
            replace(e, interaction=replace(e.interaction, id=f"again {e.id}")) for e in items[::4]
        ]
        grown = [*flipped, *again, *crowded(data.draw(st.integers(0, 150)), seed + 1)]
        near = [
            replace(e, interaction=replace(e.interaction, id=f"near {e.id}", group=None))
            for e in items[1::5]
        ]
        grown += near
        random.Random(seed).shuffle(grown)
        after = where(split(grown, Path(folder), mode=mode))
        assert {i: after[i] for i in before} == before
        assert all(after[f"again {i}"] == before[i] for i in [e.id for e in items[::4]])
        assert where(split(items, Path(folder), mode=mode)) == before


@QUICK
@given(st.integers(0, 10**6), st.sampled_from(["cv", "holdout"]))
def test_the_order_of_the_rows_says_nothing(seed: int, mode: str) -> None:
    items = crowded(60, seed)
    shuffled = random.Random(seed + 1).sample(items, len(items))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = split(items, Path(one), mode=mode), split(shuffled, Path(two), mode=mode)
        assert first.sha256 == second.sha256
        part = "dev"
        assert [f.items for f in first.folds(part)] == [f.items for f in second.folds(part)]
        ledgers = [Path(f, "made.csv").read_bytes() for f in (one, two)]
        assert ledgers[0] == ledgers[1]


@QUICK
@given(st.integers(0, 10**6), st.sampled_from(["cv", "holdout"]))
def test_what_belongs_together_is_never_astride_two_parts(seed: int, mode: str) -> None:
    items = crowded(90, seed)
    with tempfile.TemporaryDirectory() as folder:
        places = where(split(items, Path(folder), mode=mode))
    together = sets_of(items)
    assert together
    for ids in together:
        assert len({places[i] for i in ids}) == 1, ids


def test_the_ledger_is_only_ever_appended_to(tmp_path: Path) -> None:
    items = examples(120)
    split(items, tmp_path)
    before = (tmp_path / "made.csv").read_bytes()
    split(items, tmp_path)
    assert (tmp_path / "made.csv").read_bytes() == before
    split([*items, *examples(30, start=500)], tmp_path)
    after = (tmp_path / "made.csv").read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)


def test_assignments_are_the_same_in_another_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from builders import examples, split\n"
        "for n in (60, 150): print(split(examples(n), Path(sys.argv[1]) / str(n)).sha256)"
    )
    paths = [Path(judgelab.__file__).parents[1], Path(__file__).parents[1]]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PATH": os.environ["PATH"]}
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / seed)],
            env=environment | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    here = [split(examples(n), tmp_path / "here" / str(n)).sha256 for n in (60, 150)]
    assert said == [here, here]


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    items = examples(120)
    seeds = [where(split(items, tmp_path, f"seed {s}", seed=s)) for s in (0, 1)]
    assert seeds[0] != seeds[1]


# --- bridges


def bridge(a: Example, b: Example, key: str, **more: str) -> Example:
    """Its input is a's; b is in its group."""
    made = example(key, "fail", group=b.interaction.group, **more)
    return replace(made, interaction=replace(made.interaction, input=a.interaction.input))


def two_parts(made: Split, items: Sequence[Example], a: str, b: str) -> tuple[Example, Example]:
    return tuple(next(e for e in items if where(made)[e.id][0] == part) for part in (a, b))


@pytest.mark.parametrize(("a", "b"), [("train", "test"), ("dev", "test"), ("test", "train")])
def test_an_item_that_bridges_two_parts_is_quarantined(a: str, b: str, tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, group=f"g{i}"))
        for i, e in enumerate(examples(120))
    ]
    before = split(items, tmp_path)
    new = bridge(*two_parts(before, items, a, b), "bridge")
    after = split([*items, new], tmp_path)
    assert after.places[new.id].part == "quarantined"
    assert {i: after.places[i] for i in before.places} == before.places
    assert any(new.id in note and "left out" in note for note in after.notes)
    judged = {i.id for part in ("dev", "test") for f in after.folds(part) for i in f.items}
    shown = {e.id for e in after.folds("dev")[0].train}
    assert new.id not in judged | shown
    # It stays out, and drags nobody with it: the two groups grow as if it were not there.
    one, two = two_parts(before, items, a, b)
    friends = [example(f"friend {e.id}", group=e.interaction.group) for e in (one, two)]
    grown = split([*items, new, *friends], tmp_path)
    assert grown.places[new.id].part == "quarantined"
    assert [grown.places[e.id].part for e in friends] == [a, b]
    assert split([*items[::2], new], tmp_path).places[new.id].part == "quarantined"


def test_a_bridge_of_nearly_the_same_text_is_quarantined_too(tmp_path: Path) -> None:
    items = [example(i, input=text(f"short {i}", 2), output=text(i, 60)) for i in range(120)]
    before = split(items, tmp_path)
    a, b = two_parts(before, items, "train", "test")
    # b's question with a's answer: nearly the text of a.
    new = example("n", input=b.interaction.input, output=a.interaction.output)
    after = split([*items, new], tmp_path)
    assert after.places[new.id].part == "quarantined"
    assert {i: after.places[i] for i in before.places} == before.places


def test_in_cv_a_bridge_waits_and_later_has_its_part(tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, group=f"g{i}"))
        for i, e in enumerate(examples(60))
    ]
    before = split(items, tmp_path)
    a = items[0]
    b = next(e for e in items if before.places[e.id].fold != before.places[a.id].fold)
    new = bridge(a, b, "bridge")
    waiting = split([*items, new], tmp_path)
    assert waiting.places[new.id].part == "quarantined"
    assert {i: waiting.places[i] for i in before.places} == before.places
    settled = split([*items, new, *examples(60, start=300)], tmp_path)
    assert settled.mode == "holdout"
    parts = {settled.places[e.id].part for e in (a, b, new)}
    assert len(parts) == 1
    assert parts < {"train", "dev"}


# --- growing up: cv, then holdout


def test_few_labels_are_judged_out_of_fold(tmp_path: Path) -> None:
    items = crowded(80, 5)
    made = split(items, tmp_path)
    assert made.mode == "cv"
    assert made.exploratory
    folds = made.folds("dev")
    assert len(folds) == 5
    judged = [i.id for fold in folds for i in fold.items]
    assert sorted(judged) == sorted(e.id for e in items)
    for fold in folds:
        own, shown = {i.id for i in fold.items}, {e.id for e in fold.train}
        assert own | shown == set(judged)
        assert not own & shown
        for ids in sets_of(items):
            assert not (ids & own and ids & shown)
    with pytest.raises(UserError, match=r"cv mode \(80 labels\).*From 100 labels"):
        made.folds("test")
    with pytest.raises(UserError, match="no held-out test"):
        made.labels("test", LOOK)


@pytest.mark.parametrize(("n", "mode"), [(5, "cv"), (19, "cv"), (99, "cv"), (100, "holdout")])
def test_a_held_out_test_begins_at_100_labels(n: int, mode: str, tmp_path: Path) -> None:
    assert split(examples(n), tmp_path).mode == mode


def test_unlabelled_items_are_nowhere_and_do_not_count(tmp_path: Path) -> None:
    from judgelab.data.split import make_split

    spare = [interaction(f"u{i}") for i in range(50)]
    made = make_split(dataset(examples(99), *spare), SplitConfig("made"), tmp_path)
    assert made.mode == "cv"
    assert len(made.places) == 99


def test_what_was_used_in_cv_never_becomes_test(tmp_path: Path) -> None:
    early = crowded(90, 3)
    before = split(early, tmp_path)
    late = examples(160, start=1000)
    made = split([*early, *late], tmp_path)
    assert made.mode == "holdout"
    assert {made.places[i].part for i in before.places} == {"train", "dev"}
    counts = {part: made.counts()[part].total() for part in ("train", "dev", "test")}
    assert counts["test"] == pytest.approx(0.4 * 250, abs=3)
    assert counts["dev"] == pytest.approx(0.4 * 250, abs=15)
    # And there they stay, also where labels are taken away again.
    assert where(split(early, tmp_path)) == {i: where(made)[i] for i in before.places}
    # A late item that belongs to an early one does not make it test either.
    friend = replace(late[0], interaction=replace(late[0].interaction, id="friend"))
    place = split([*early, *late, friend], tmp_path).places["friend"]
    assert place.part == made.places[late[0].id].part


def test_an_early_item_that_comes_back_takes_its_friends_out_of_test(tmp_path: Path) -> None:
    early = examples(60)
    split(early, tmp_path)
    absent, rest = early[0], early[1:]
    twins = [example(f"t{i}", input=absent.interaction.input) for i in range(3)]
    made = split([*rest, *examples(140, start=700), *twins], tmp_path)
    # The twins are new, but their input is known from cv.
    parts = {made.places[e.id].part for e in twins}
    assert parts < {"train", "dev"}
    back = split([*rest, *examples(140, start=700), *twins, absent], tmp_path)
    assert {back.places[e.id].part for e in (absent, *twins)} == parts


def test_cv_cannot_be_asked_for_once_there_is_a_test(tmp_path: Path) -> None:
    split(examples(120), tmp_path)
    with pytest.raises(ConfigError, match=r"split.mode=cv.*held-out test already"):
        split(examples(120), tmp_path, mode="cv")
    assert split(examples(50), tmp_path).mode == "holdout"
    assert split(examples(120), tmp_path, "another", mode="cv").mode == "cv"


# --- what the parts hold


def test_labels_are_stratified(tmp_path: Path) -> None:
    items = examples(150, every=5)
    made = split(items, tmp_path)
    for part, share in (("train", 0.2), ("dev", 0.4), ("test", 0.4)):
        for label, n in (("fail", 30), ("pass", 120)):
            assert abs(made.counts()[part][label] - share * n) <= 1, (part, label)
    assert made.notes == []


def test_folds_are_stratified(tmp_path: Path) -> None:
    made = split(examples(60), tmp_path)
    for fold in range(5):
        assert made.counts()[f"fold {fold}"] == {"fail": 4, "pass": 8}


def test_groups_of_mixed_labels_are_stratified_as_far_as_they_go(tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, group=f"g{i // 4}"))
        for i, e in enumerate(examples(200))
    ]
    counts = split(items, tmp_path).counts()
    for part, share in (("train", 0.2), ("dev", 0.4), ("test", 0.4)):
        assert abs(counts[part].total() - share * 200) <= 4
        assert abs(counts[part]["fail"] - share * 67) <= 3


def test_too_few_fails_are_said(tmp_path: Path) -> None:
    made = split(examples(100, every=10), tmp_path)
    assert [note for note in made.notes if "only 4 fails" in note] == made.notes
    assert len(made.notes) == 2


@pytest.mark.parametrize(
    "ratios",
    [
        {"train": 0.0, "dev": 0.5, "test": 0.5},
        {"train": 0.5, "dev": 0.5, "test": 0.0},
        {"train": 0.5, "dev": 0.0, "test": 0.5},
    ],
)
def test_a_ratio_may_be_zero(ratios: dict[str, float], tmp_path: Path) -> None:
    made = split(examples(120), tmp_path, ratios=ratios)
    sizes = {part: len(made.members(part)) for part in ratios}
    assert sizes == {part: 120 * ratio for part, ratio in ratios.items()}
    for part in ("dev", "test"):
        if ratios[part]:
            (fold,) = made.folds(part)
            assert len(fold.train) == sizes["train"]
        else:
            with pytest.raises(UserError, match=f"no labelled {part} items"):
                made.folds(part)


def test_seen_items_are_left_out_rather_than_made_test(tmp_path: Path) -> None:
    ratios = {"train": 0.0, "dev": 0.0, "test": 1.0}
    split(examples(50), tmp_path, ratios=ratios)
    made = split(examples(150), tmp_path, ratios=ratios)
    assert Counter(place.part for place in made.places.values()) == {
        "quarantined": 50,
        "test": 100,
    }


def test_a_limit_takes_the_first_of_the_fixed_order(tmp_path: Path) -> None:
    made = split(examples(150), tmp_path)
    whole, some = made.folds("dev")[0], made.folds("dev", limit=7)[0]
    assert some.items == whole.items[:7]
    assert list(some.train) == list(whole.train)
    folds = split(examples(50), tmp_path, "small").folds("dev", limit=7)
    assert sum(len(fold.items) for fold in folds) == 7


def test_clusters_are_the_group_field(tmp_path: Path) -> None:
    items = [example(i, context={"talk": {"id": i % 7}}) for i in range(40)]
    items.append(example("none", context={"talk": {"id": None}}))
    items.append(example("bare"))
    made = split(items, tmp_path, group="context.talk.id")
    assert made.clusters["i3"] == "3"
    assert made.clusters["inone"] is None
    assert made.clusters["ibare"] is None
    for group in range(7):
        assert len({made.places[f"i{i}"].fold for i in range(group, 40, 7)}) == 1


def test_items_without_the_group_field_are_not_one_group(tmp_path: Path) -> None:
    items = [example(i, context={"talk": None if i % 2 else f"t{i}"}) for i in range(60)]
    made = split(items, tmp_path, group="context.talk")
    assert len({made.places[f"i{i}"].group for i in range(1, 60, 2)}) == 30


def test_a_misspelt_group_lists_the_fields_there_are(tmp_path: Path) -> None:
    items = [example(i, context={"talk": "a"}, dimensions={"tone": "b"}) for i in range(30)]
    with pytest.raises(ConfigError) as error:
        split(items, tmp_path, group="context.tlak")
    assert "no item has that field" in str(error.value)
    assert "group, context.talk, dimensions.tone" in str(error.value)
    assert not (tmp_path / "made.csv").exists()


# --- the settings of a name


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"folds": 4},
        {"ratios": {"train": 0.3, "dev": 0.3, "test": 0.4}},
        {"same_input": "apart"},
        {"group": "context.talk"},
    ],
)
def test_other_settings_under_the_same_name_are_refused(
    changed: dict[str, object], tmp_path: Path
) -> None:
    items = [example(i, context={"talk": str(i)}) for i in range(40)]
    split(items, tmp_path)
    ledger = (tmp_path / "made.csv").read_bytes()
    with pytest.raises(ConfigError) as error:
        split(items, tmp_path, **changed)
    assert next(iter(changed)) in str(error.value)
    assert "a new split.name" in str(error.value)
    assert (tmp_path / "made.csv").read_bytes() == ledger
    assert split(items, tmp_path, "another", **changed).places
    # The number of looks is no matter of who is where.
    assert split(items, tmp_path, looks=5).places


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "kfold"}, "allowed are auto, cv, holdout"),
        ({"same_input": "alone"}, "allowed are together, apart"),
        ({"ratios": {"train": 0.5, "test": 0.5}}, "one number in 0..1 for each"),
        ({"ratios": {"train": 1.2, "dev": -0.2, "test": 0.0}}, "one number in 0..1"),
        ({"ratios": {"train": 0.5, "dev": 0.5, "test": 0.5}}, "they sum to 1"),
        ({"folds": 1}, "at least 2"),
        ({"looks": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SplitConfig("made", **wrong)


def test_no_labels_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled items"):
        split([], tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "key,part,fold\n",
        "# [1]\nkey,part,fold\n",
        '# {"seed": 0}\nkey,part,fold\ninput:a,train\n',
        '# {"seed": 0}\nkey,part,fold\ninput:a,everywhere,-1\n',
        '# {"seed": 0}\nname,part,fold\na,b,c\n',
    ],
)
def test_a_damaged_ledger_is_said_and_kept(content: str, tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_text(content)
    with pytest.raises(DataError, match=r"made.csv is damaged.*Restore it"):
        split(examples(30), tmp_path)
    assert (tmp_path / "made.csv").read_text() == content


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a,b", 'a"b', "a\u2028b", "a\x0bb", " a ", "é"])
def test_a_group_of_any_name_finds_its_place_again(name: str, tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, group=f"{name}{i // 2}"))
        for i, e in enumerate(examples(120))
    ]
    before = split(items, tmp_path)
    # Other outputs and inputs in the same groups: the group alone says where they belong.
    later = [
        replace(e, interaction=replace(e.interaction, group=f"{name}{i // 2}"))
        for i, e in enumerate(examples(120, start=500))
    ]
    after = split(later, tmp_path)
    parts = [(before.places[f"i{i}"].part, after.places[f"i{i + 500}"].part) for i in range(120)]
    assert all(a == b for a, b in parts)
    assert {a for a, _ in parts} == {"train", "dev", "test"}


# --- inputs that are instructions


def instructed(n: int, start: int = 0) -> list[Example]:
    return [
        replace(e, interaction=replace(e.interaction, input="Review this change."))
        for e in examples(n, start)
    ]


def test_an_input_that_all_share_keeps_nobody_together(tmp_path: Path) -> None:
    made = split(instructed(120), tmp_path)
    assert {part: n.total() for part, n in made.counts().items()} == {
        "train": 24,
        "dev": 48,
        "test": 48,
    }
    assert made.notes == [
        "120 of 120 items have the same input; it is taken for a constant instruction, and only "
        "their groups and outputs tell them apart."
    ]


def test_two_inputs_that_half_share_are_two_instructions(tmp_path: Path) -> None:
    other = [
        replace(e, interaction=replace(e.interaction, input="Summarise this."))
        for e in examples(60, start=60)
    ]
    made = split([*instructed(60), *other], tmp_path)
    assert made.counts()["test"].total() == 48
    assert len(made.notes) == 2


def test_outputs_of_one_input_stay_together_unless_told(tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, input=text(f"question {i // 10}")))
        for i, e in enumerate(examples(200))
    ]
    made = split(items, tmp_path)
    for question in range(20):
        ids = [f"i{i}" for i in range(question * 10, question * 10 + 10)]
        assert len({made.places[i].part for i in ids}) == 1
    apart = split(items, tmp_path, "apart", same_input="apart")
    straddle = [
        len({apart.places[f"i{i}"].part for i in range(q * 10, q * 10 + 10)}) > 1 for q in range(20)
    ]
    assert any(straddle)


def test_a_large_set_of_one_input_is_said_once(tmp_path: Path) -> None:
    items = [
        replace(e, interaction=replace(e.interaction, input=text(f"question {i // 15}")))
        for i, e in enumerate(examples(120))
    ]
    notes = [n for n in split(items, tmp_path).notes if "stay together" in n]
    assert len(notes) == 1
    assert "15 items stay together" in notes[0]
    assert "7 more such sets" in notes[0]


def test_an_instruction_that_becomes_rare_moves_nobody(tmp_path: Path) -> None:
    few = instructed(110)
    before = split(few, tmp_path)
    grown = [*few, *examples(500, start=1000), *instructed(10, start=5000)]
    after = split(grown, tmp_path)
    assert {i: after.places[i] for i in before.places} == before.places
    late = Counter(after.places[f"i{i}"].part for i in range(5000, 5010))
    assert "quarantined" not in late
    assert len(late) > 1


def test_an_input_that_becomes_common_moves_nobody(tmp_path: Path) -> None:
    few = [*instructed(6), *examples(114, start=100)]
    before = split(few, tmp_path)
    after = split([*few, *instructed(200, start=1000)], tmp_path)
    assert {i: after.places[i] for i in before.places} == before.places


def test_a_group_that_is_named_later_moves_nobody_and_is_said(tmp_path: Path) -> None:
    items = examples(120)
    before = split(items, tmp_path)
    grouped = [
        replace(e, interaction=replace(e.interaction, group=f"g{i // 3}"))
        for i, e in enumerate(items)
    ]
    after = split(grouped, tmp_path)
    assert where(after) == where(before)
    assert any("groups hold items of different parts" in note for note in after.notes)
    # A newcomer to a group that straddles would leak, so it is left out.
    astride = next(
        f"g{g}" for g in range(40) if len({where(after)[f"i{3 * g + n}"] for n in range(3)}) > 1
    )
    new = example("new", group=astride)
    assert split([*grouped, new], tmp_path).places[new.id].part == "quarantined"


def test_a_new_output_of_a_known_input_stays_with_it(tmp_path: Path) -> None:
    items = examples(120)
    before = split(items, tmp_path)
    rewritten = [
        replace(e, interaction=replace(e.interaction, output=text(f"new output {e.id}")))
        for e in items
    ]
    assert where(split(rewritten, tmp_path)) == where(before)


# --- the doors


def test_only_a_split_makes_a_train_set(tmp_path: Path) -> None:
    items = examples(120)
    made = split(items, tmp_path)
    with pytest.raises(TypeError):
        TrainSet(items)
    with pytest.raises(TypeError, match=r"Split\.folds"):
        TrainSet(items, _made_by=made.config)
    for part in ("dev", "test"):
        held_out = [e for e in items if made.places[e.id].part == part]
        with pytest.raises(PermissionError, match="not of train"):
            TrainSet(held_out, _made_by=made)
    train = made.folds("test")[0].train
    assert {e.id for e in train} == {e.id for e in items if made.places[e.id].part == "train"}


def test_test_labels_open_to_a_look_alone(tmp_path: Path) -> None:
    items = examples(120)
    made = split(items, tmp_path)
    with pytest.raises(PermissionError, match="judgelab holdout"):
        made.labels("test")
    opened = made.labels("test", LOOK)
    assert opened == {e.id: e.label for e in items if made.places[e.id].part == "test"}
    assert set(made.labels("dev")) == {i.id for i in made.members("dev")}


def test_a_fold_holds_no_label_of_its_items(tmp_path: Path) -> None:
    made = split(examples(60), tmp_path)
    for fold in made.folds("dev"):
        assert not any(hasattr(item, "label") or hasattr(item, "critique") for item in fold.items)


def test_rows_say_where_everybody_was_and_bring_it_back(tmp_path: Path) -> None:
    items = examples(60)
    made = split(items, tmp_path)
    rows = made.rows()
    places = {row["id"]: Place(row["group"], row["part"], row["fold"]) for row in rows}
    again = Split(dataset(items), made.config, made.mode, places)
    assert again.sha256 == made.sha256
    assert {row["id"]: row["content"] for row in rows} == {
        e.id: e.interaction.content for e in items
    }


# --- real data


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_one_constant_instruction_in_a_real_dataset(tmp_path: Path) -> None:
    path = SHARED / "code-review-feedback" / "interactions.jsonl"
    real = load(DatasetConfig("real", str(path), propose(path).reader))
    assert len({e.interaction.input for e in real.examples}) == 1
    made = split(real.examples, tmp_path)
    assert made.mode == "cv"
    assert "50 of 50 items have the same input" in made.notes[0]
    assert len(made.counts()) == 5
    assert all(n["fail"] in (5, 6) and n["pass"] in (4, 5) for n in made.counts().values())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_a_real_dataset_with_groups_is_cut_by_them(tmp_path: Path) -> None:
    path = SHARED / "open-qa-answers" / "interactions.jsonl"
    real = load(DatasetConfig("real", str(path), propose(path).reader))
    made = split(real.examples, tmp_path, group="context.question_id")
    parts = defaultdict(set)
    for i, cluster in made.clusters.items():
        parts[cluster].add(made.places[i].part)
    assert all(len(there) == 1 for there in parts.values())
    for part, share in (("train", 0.2), ("dev", 0.4), ("test", 0.4)):
        assert made.counts()[part].total() == pytest.approx(share * 1490, abs=15)
