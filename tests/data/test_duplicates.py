"""Near-duplicates against brute force, and in any order."""

from __future__ import annotations

import itertools
import random

import pytest

from builders import text
from judgelab.data.duplicates import Seen, components, near_duplicates, normalised, pairs_by


def grams(words: str) -> set[bytes]:
    data = normalised(words).encode()
    return {data[i : i + 5] for i in range(max(1, len(data) - 4))}


def jaccard(a: str, b: str) -> float:
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def together(texts: list[str]) -> list[set[int]]:
    roots = components(len(texts), near_duplicates(texts))
    return [{i for i, root in enumerate(roots) if root == at} for at in sorted(set(roots))]


def chain(links: int) -> list[str]:
    """Each text is nearly the one before it; the ends are far apart."""
    words = text("chain", 60).split()
    found = [" ".join(words)]
    for i in range(links):
        words[i * 5 : i * 5 + 4] = text(f"link {i}", 4).split()
        found.append(" ".join(words))
    return found


def test_the_same_text_in_another_dress_is_a_duplicate() -> None:
    assert near_duplicates(["Straße  \n ½ FULL", "strasse 1⁄2 full", "another"]) == [(0, 1)]
    assert near_duplicates(["", " ", "a"]) == [(0, 1)]
    assert near_duplicates([]) == []


def test_pairs_are_those_of_brute_force() -> None:
    rng = random.Random(3)
    texts = []
    for i in range(60):
        words = text(i // 3, 40).split()
        for _ in range(rng.randrange(5)):
            words[rng.randrange(len(words))] = rng.choice(text("other", 50).split())
        texts.append(" ".join(words))
    pairs = list(itertools.combinations(range(60), 2))
    seen, kept = Seen(), list[str]()
    for one in texts:
        like = any(jaccard(one, other) >= 0.8 for other in kept)
        assert seen.has_like(one) == like
        if not like:
            kept.append(one)
            seen.add(one)
    assert len(seen) == len(kept)
    near = [pair for pair in pairs if jaccard(texts[pair[0]], texts[pair[1]]) >= 0.8]
    # The brute force must have something to say on both sides, and nothing on the edge.
    assert 10 < len(near) < 60
    expected = components(60, near)
    assert components(60, near_duplicates(texts)) == expected
    assert set(near_duplicates(texts)) <= set(near)


def mostly_boilerplate(n: int, boilerplate: int, own: int) -> list[str]:
    return [f"{text('shared', boilerplate)} {text(i, own)} {text(-i, own)}" for i in range(n)]


@pytest.mark.parametrize("own", [10, 15, 16, 17, 18])
def test_what_two_texts_add_to_one_boilerplate_decides(own: int) -> None:
    """Around the edge, where each is a candidate for each and the exact sets have to tell."""
    texts = mostly_boilerplate(30, 200, own)
    for i in range(20, 30):  # another family: the boilerplate begins in other words
        texts[i] = texts[i].replace(text("shared", 12), text("reworded", 12))
    texts += [texts[3] + " once more", texts[25] + " once more"]
    pairs = list(itertools.combinations(range(len(texts)), 2))
    near = [(a, b) for a, b in pairs if jaccard(texts[a], texts[b]) >= 0.8]
    assert components(len(texts), near_duplicates(texts)) == components(len(texts), near)
    assert set(near_duplicates(texts)) <= set(near)


def test_the_edge_of_boilerplate_is_tried_on_both_sides() -> None:
    sizes = [len(together(mostly_boilerplate(20, 200, own))) for own in (10, 17, 20)]
    assert sizes[0] == 1 < sizes[1] < sizes[2] == 20


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_is_one_cluster_in_every_order(seed: int) -> None:
    texts = chain(4)
    neighbours = [jaccard(a, b) for a, b in itertools.pairwise(texts)]
    assert min(neighbours) >= 0.8 > jaccard(texts[0], texts[2])
    random.Random(seed).shuffle(texts)
    assert together(texts) == [{0, 1, 2, 3, 4}]


def test_what_is_joined_already_connects_without_being_compared() -> None:
    texts = [*chain(2), "far from all of them"]
    roots = components(4, [(0, 2), (2, 3), *near_duplicates(texts, [(0, 2), (2, 3)])])
    assert roots == [0, 0, 0, 0]


def test_components_name_the_smallest_member() -> None:
    assert components(6, [(4, 5), (1, 3), (5, 3)]) == [0, 1, 2, 1, 1, 1]


def test_none_connects_to_nothing() -> None:
    assert pairs_by(["a", None, "a", None, "b", "a"]) == [(0, 2), (0, 5)]


def test_a_thousand_texts_take_no_time_to_speak_of() -> None:
    texts = [f"{text('shared', 20)} {text(i, 20)}" for i in range(1000)]
    assert near_duplicates(texts) == []
    texts = [f"{text('shared', 100)} {i}" for i in range(1000)]
    assert len(near_duplicates(texts)) == 999
    texts = mostly_boilerplate(1000, 200, 20)
    assert jaccard(texts[1], texts[2]) > 0.6, "each is a candidate for each"
    assert near_duplicates(texts) == []
