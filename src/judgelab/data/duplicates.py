"""Which items are nearly the same text, and who is connected to whom."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

T = TypeVar("T")


def normalised(text: str) -> str:
    """NFKC, case folded, white space as single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def near_duplicates(
    items: Sequence[T],
    joined: Iterable[tuple[int, int]] = (),
    text: Callable[[T], str] = str,
) -> list[tuple[int, int]]:
    """Index pairs of items in whose texts the sets of 5-byte grams have a Jaccard >= 0.8.

    `joined` are pairs that belong together anyway. Not every pair is listed, but with `joined` the
    list connects all that is connected, in whatever order the items come.
    """
    from judgelab.data.minhash import Signatures, alike

    firsts: dict[bytes, int] = {}
    found: list[tuple[int, int]] = []
    signatures = Signatures(len(items))
    for index, item in enumerate(items):
        form = normalised(text(item))
        first = firsts.setdefault(_digest(form), index)
        if first == index:
            signatures.add(form)
        else:
            found.append((first, index))
    ones = list(firsts.values())
    clusters = _Clusters(len(items), [*joined, *found])
    for places in signatures.neighbourhoods():
        members = [ones[place] for place in places]
        if len({clusters.root(member) for member in members}) > 1:
            near = alike([normalised(text(items[member])) for member in members])
            found += [(members[a], members[b]) for a, b in near]
    return sorted(found)


class Seen:
    """Texts one after another, and whether the next one is nearly one of them."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        from judgelab.data.minhash import Near

        self._near = Near()
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._near)

    def add(self, text: str) -> None:
        self._near.add(normalised(text))

    def has_like(self, text: str) -> bool:
        return self._near.has_like(normalised(text))


def components(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of n items the smallest index it is connected to (union-find)."""
    clusters = _Clusters(n, pairs)
    return [clusters.root(at) for at in range(n)]


def pairs_by(keys: Sequence[Any]) -> list[tuple[int, int]]:
    """Connects the indices that have the same key; None connects to nothing."""
    first: dict[Any, int] = {}
    return [
        (first[key], index)
        for index, key in enumerate(keys)
        if key is not None and first.setdefault(key, index) != index
    ]


class _Clusters:
    """Union-find; the root of a cluster is its smallest index."""

    def __init__(self, n: int, pairs: Iterable[tuple[int, int]]) -> None:
        self._parent = list(range(n))
        for a, b in pairs:
            self.join(a, b)

    def root(self, at: int) -> int:
        parent = self._parent
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    def join(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low


def _digest(form: str) -> bytes:
    return blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).digest()
