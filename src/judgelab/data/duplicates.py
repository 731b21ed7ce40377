"""Which items are nearly the same text: MinHash to find candidates, exact Jaccard to decide."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAM = 5  # bytes of UTF-8
JACCARD = 0.8
BANDS, ROWS = 16, 4  # finds a pair at Jaccard 0.8 with probability 1 - (1 - 0.8**4)**16 = 0.9998
CLEARLY_LESS = 0.6  # share of equal hashes: four standard errors under JACCARD
HASHES = np.random.default_rng(5).integers(
    1, 2**63, (BANDS * ROWS, 1), dtype=np.uint64
) | np.uint64(1)


def normalised(text: str) -> str:
    """NFKC, case folded, white space as single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def near_duplicates(
    texts: Sequence[str], joined: Iterable[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Index pairs of texts whose sets of 5-byte grams have a Jaccard similarity >= 0.8.

    `joined` are pairs that belong together anyway. Not every pair is listed, but with `joined` the
    list connects all that is connected, in whatever order the texts come.
    """
    forms = [normalised(text) for text in texts]
    found = pairs_by(forms)
    clusters = _Clusters(len(texts), [*joined, *found])
    same = {b for _, b in found}
    signatures = np.zeros((len(texts), BANDS * ROWS), dtype=np.uint64)
    # In a bucket the indices stand by cluster, so that a large cluster is met once.
    buckets: dict[Hashable, dict[int, list[int]]] = defaultdict(dict)
    for index in (i for i in range(len(texts)) if i not in same):
        signatures[index] = _signature(_grams(forms[index]))
        bands = [
            buckets[band, row.tobytes()]
            for band, row in enumerate(signatures[index].reshape(BANDS, ROWS))
        ]
        met: set[int] = set()
        for bucket in bands:
            for other in _candidates(index, bucket, met, clusters, signatures):
                apart = clusters.root(other) != clusters.root(index)
                if apart and _alike(forms[other], forms[index]):
                    clusters.join(other, index)
                    found.append((other, index))
        for bucket in bands:
            bucket.setdefault(clusters.root(index), []).append(index)
    return sorted(found)


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


def _candidates(
    index: int,
    bucket: Mapping[int, Sequence[int]],
    met: set[int],
    clusters: _Clusters,
    signatures: NDArray[np.uint64],
) -> list[int]:
    """Those of other clusters not met before, without those that are clearly less alike."""
    root = clusters.root(index)
    apart = (members for first, members in bucket.items() if clusters.root(first) != root)
    others = [other for members in apart for other in members if other not in met]
    met.update(others)
    agree = (signatures[others] == signatures[index]).mean(axis=1)
    return [other for other, share in zip(others, agree, strict=True) if share >= CLEARLY_LESS]


def _alike(a: str, b: str) -> bool:
    first, second = _grams(a), _grams(b)
    shared = np.intersect1d(first, second, assume_unique=True).size
    return bool(shared >= JACCARD * (first.size + second.size - shared))


def _signature(grams: NDArray[np.uint64]) -> NDArray[np.uint64]:
    smallest: NDArray[np.uint64] = (grams[None, :] * HASHES).min(axis=1)
    return smallest


@lru_cache(maxsize=8192)
def _grams(form: str) -> NDArray[np.uint64]:
    """The set of 5-byte grams as numbers; a shorter text is padded to one gram."""
    data = form.encode("utf-8", "surrogatepass").ljust(GRAM, b"\0")
    codes = np.frombuffer(data, dtype=np.uint8).astype(np.uint64)
    grams = np.zeros(len(codes) - GRAM + 1, dtype=np.uint64)
    for shift in range(GRAM):
        grams = (grams << np.uint64(8)) | codes[shift : len(codes) - GRAM + 1 + shift]
    return np.unique(grams)
