"""Texts that are nearly the same, in numpy: MinHash finds who may be, sets of grams decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

GRAM = 5  # bytes of UTF-8
BANDS, ROWS = 16, 4  # finds a pair at Jaccard 0.8 with probability 1 - (1 - 0.8**4)**16 = 0.9998
CLEARLY_LESS = 0.6  # share of equal hashes: four standard errors under 0.8
SAMPLE = 64  # members of a neighbourhood that show what it has in common
CHUNK = 8192  # pairs whose signatures are held at once
# Odd factors: a product with each, without what overflows, is a hash; the smallest of a set stays.
HASHES = np.random.default_rng(5).integers(2**31, size=(BANDS * ROWS, 1), dtype=np.uint32) * 2 + 1
MIX = np.random.default_rng(6).integers(2**63, size=ROWS, dtype=np.uint64) * 2 + 1

Indices = NDArray[np.int64]
Numbers = NDArray[np.uint64]
Hashes = NDArray[np.uint32]


class Signatures:
    """The MinHashes of up to `n` texts: two agree in about as many places as the texts do."""

    def __init__(self, n: int) -> None:
        self._rows: Hashes = np.empty((n, BANDS * ROWS), dtype=np.uint32)
        self._filled = 0

    def add(self, form: str) -> None:
        """The signature of the next text."""
        _sign(_grams(form), self._rows[self._filled])
        self._filled += 1

    def neighbourhoods(self) -> list[list[int]]:
        """Sets of two and more texts, outside of which none has a near-duplicate.

        Texts meet where a band of their signatures is the same. They are neighbours where the
        whole signatures do not say that they are clearly less alike.
        """
        rows = self._rows[: self._filled]
        # Equal hashes end in the same byte, few others do: a first look at a quarter of the memory.
        ends = rows.astype(np.uint8)
        parent = np.arange(len(rows))
        for band in range(BANDS):
            keys = rows[:, band * ROWS : (band + 1) * ROWS] @ MIX
            for pairs in _meeting(keys, parent):
                close = pairs[_agree(ends, pairs)]
                _join(parent, close[_agree(rows, close)])
        found: dict[int, list[int]] = defaultdict(list)
        for place in np.flatnonzero(np.bincount(parent, minlength=1)[parent] > 1).tolist():
            found[parent[place]].append(place)
        return list(found.values())


class Near:
    """Texts as they come, and whether the next one is nearly one of them: a Jaccard >= 0.8."""

    def __init__(self) -> None:
        self._sets: list[Numbers] = []
        self._met: dict[tuple[int, int], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, form: str) -> None:
        self._sets.append(grams := np.unique(_grams(form)))
        for key in _bands(grams):
            self._met[key].append(len(self._sets) - 1)

    def has_like(self, form: str) -> bool:
        grams = np.unique(_grams(form))
        met = {at for key in _bands(grams) for at in self._met.get(key, ())}
        return any(_near(grams, self._sets[at]) for at in met)


def alike(forms: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of texts with a Jaccard similarity >= 0.8, enough to connect all that they connect.

    Of each set of grams we keep what tells it from the grams that most sets have. Two sets differ
    in what the kept parts differ in, so texts that are mostly one boilerplate cost what is their
    own.
    """
    sample = [np.unique(_grams(form)) for form in forms[:: -(-len(forms) // SAMPLE)]]
    seen, counts = np.unique(np.concatenate(sample), return_counts=True)
    common = seen[2 * counts > len(sample)]
    sizes, kept = np.zeros(len(forms), np.int64), []
    for at, form in enumerate(forms):
        grams = np.unique(_grams(form))
        sizes[at] = len(grams)
        kept.append(np.setxor1d(grams, common, assume_unique=True))
    lengths = np.array([len(part) for part in kept])
    overlaps = _Overlaps(kept)
    rest, pairs = np.arange(len(forms)), []
    while len(rest) > 1:
        waiting, rest = [int(rest[0])], rest[1:]
        while waiting and len(rest):
            at = waiting.pop()
            differing = lengths[at] + lengths[rest] - 2 * overlaps.of(at)[rest]
            # Sets of `sizes` together have a Jaccard of (sizes - differing) / (sizes + differing).
            near = 9 * differing <= sizes[at] + sizes[rest]
            found = rest[near].tolist()
            waiting += found
            pairs += [(min(at, other), max(at, other)) for other in found]
            rest = rest[~near]
    return pairs


def _near(one: Numbers, other: Numbers) -> bool:
    sizes = len(one) + len(other)
    return 9 * len(np.setxor1d(one, other, assume_unique=True)) <= sizes


def _sign(grams: Numbers, out: Hashes) -> Hashes:
    hashes = (grams * MIX[0] >> np.uint64(32)).astype(np.uint32)
    return np.asarray((hashes * HASHES).min(axis=1, out=out))


def _bands(grams: Numbers) -> list[tuple[int, int]]:
    """Where a text meets others, as `Signatures` has it: a key of each band."""
    rows = _sign(grams, np.empty(BANDS * ROWS, dtype=np.uint32)).reshape(BANDS, ROWS)
    return list(enumerate((rows @ MIX).tolist()))


class _Overlaps:
    """How many numbers a set shares with each other set; those of one set alone are left out."""

    def __init__(self, sets: Sequence[Numbers]) -> None:
        self._n = len(sets)
        owners = np.repeat(np.arange(self._n), [len(one) for one in sets])
        _, ids, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
        several = counts[ids] > 1
        self._ids, owners = ids[several], owners[several]
        self._sets = np.searchsorted(owners, np.arange(self._n + 1))
        self._owners = owners[np.argsort(self._ids, kind="stable")]
        self._counts = np.where(counts > 1, counts, 0)
        self._starts = np.cumsum(self._counts) - self._counts

    def of(self, at: int) -> Indices:
        """Of set `at` with each set, itself included."""
        ids = self._ids[self._sets[at] : self._sets[at + 1]]
        counts = self._counts[ids]
        places = np.repeat(self._starts[ids] - np.cumsum(counts) + counts, counts)
        owners = self._owners[places + np.arange(len(places))]
        return np.bincount(owners, minlength=self._n)


def _meeting(keys: Numbers, parent: Indices) -> Iterator[Indices]:
    """Pairs with the same key that are not joined, some at a time, shape (n, 2).

    The caller joins some of them in `parent`: a bucket whose members are all joined is done.
    """
    members = np.argsort(keys, kind="stable")
    bucket = np.cumsum(np.diff(keys[members], prepend=keys[:1]) != 0)
    distance = 0
    while len(members):
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        sizes = np.diff(starts, append=len(members))
        roots = parent[members]
        apart = np.minimum.reduceat(roots, starts) != np.maximum.reduceat(roots, starts)
        distance += 1
        going_on = np.repeat(apart & (sizes > distance), sizes)
        members, bucket = members[going_on], bucket[going_on]
        same = np.flatnonzero(bucket[distance:] == bucket[:-distance])
        pairs = np.stack([members[same], members[same + distance]], axis=1)
        pairs = pairs[parent[pairs[:, 0]] != parent[pairs[:, 1]]]
        for start in range(0, len(pairs), CHUNK):
            yield pairs[start : start + CHUNK]


def _agree(signatures: NDArray[np.unsignedinteger], pairs: Indices) -> NDArray[np.bool_]:
    equal = signatures[pairs[:, 0]] == signatures[pairs[:, 1]]
    return np.asarray(np.count_nonzero(equal, axis=1) >= CLEARLY_LESS * BANDS * ROWS)


def _join(parent: Indices, pairs: Indices) -> None:
    """Union-find; before and after, `parent` holds the smallest member of each set."""
    while len(pairs):
        roots = parent[pairs]
        np.minimum.at(parent, roots.max(axis=1), roots.min(axis=1))
        while (parent[parent] != parent).any():
            parent[:] = parent[parent]
        pairs = pairs[parent[pairs[:, 0]] != parent[pairs[:, 1]]]


def _grams(form: str) -> Numbers:
    """The 5-byte grams of a text as numbers, as they come; a shorter text is padded to one."""
    data = form.encode("utf-8", "surrogatepass").ljust(GRAM, b"\0")
    # A number of eight bytes begins at every byte; its first five are the gram.
    eights = np.ndarray(len(data) - GRAM + 1, ">u8", data + bytes(8 - GRAM), strides=(1,))
    return (eights >> np.uint64(8 * (8 - GRAM))).astype(np.uint64)
