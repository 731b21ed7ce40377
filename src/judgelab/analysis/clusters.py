"""Failure modes that critiques suggest: clusters of their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgelab.errors import UserError

FEWEST = 6  # critiques
MOST = 12  # clusters
EACH = 3  # critiques a cluster, on average, at least
NAMING = 3  # words of a name


@dataclass(frozen=True)
class Cluster:
    """Items whose critiques share words, and the words that tell them from the others."""

    items: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return " ".join(self.words)


def clusters(critiques: Mapping[str, str], seed: int) -> tuple[list[Cluster], float]:
    """K-means of TF-IDF vectors of the critiques, the largest cluster first.

    k is the one of 2 to 12, and at most a third of the critiques, with the highest mean silhouette
    (cosine); of equal ones the smallest. The order of the critiques changes nothing.

    Source: Rousseeuw 1987, Journal of Computational and Applied Mathematics 20 (silhouettes).

    Returns:
        The clusters, and the silhouette of the k taken, in -1..1.

    Raises:
        UserError: fewer than 6 critiques, or none two of which differ.
    """
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import silhouette_score

    ids = sorted(id_ for id_, text in critiques.items() if text.strip())
    if len(ids) < FEWEST:
        raise UserError(
            f"{len(ids)} fails have a critique that may be read here; clusters take {FEWEST}."
        )
    space = TfidfVectorizer(
        stop_words="english", sublinear_tf=True, token_pattern=r"\b[^\W\d]{3,}\b"
    )
    try:
        vectors = space.fit_transform([critiques[id_] for id_ in ids])
    except ValueError as error:
        raise UserError(f"the critiques hold no words to cluster by ({error}).") from error
    best: tuple[float, NDArray[np.int32]] | None = None
    different = len(np.unique(vectors.toarray().round(9), axis=0))
    for k in range(2, min(MOST, len(ids) // EACH, different) + 1):
        found = KMeans(k, n_init=10, random_state=seed).fit_predict(vectors)
        if len(set(found.tolist())) == k:
            score = float(silhouette_score(vectors, found, metric="cosine"))
            if best is None or score > best[0] + 1e-12:
                best = score, found
    if best is None:
        raise UserError("the critiques are all alike: there is nothing to tell apart.")
    score, labels = best
    vocabulary = space.get_feature_names_out()
    whole = np.asarray(vectors.mean(axis=0)).ravel()
    made = []
    for label in sorted(set(labels.tolist())):
        own = np.flatnonzero(labels == label)
        weight = np.asarray(vectors[own].mean(axis=0)).ravel() - whole
        top = np.lexsort((np.arange(len(weight)), -np.round(weight, 9)))[:NAMING]
        words = tuple(str(vocabulary[at]) for at in top)
        made.append(Cluster(tuple(ids[at] for at in own), words))
    return sorted(made, key=lambda one: (-len(one.items), one.items)), score


def agreement(
    found: Sequence[Cluster], modes: Mapping[str, Sequence[str]]
) -> tuple[float, float, int]:
    """Adjusted Rand index, adjusted mutual information and n, of clusters with named modes.

    Over the items that have one mode alone. Both are 1 where the two agree wholly and 0 on average
    where they are independent.

    Sources: Hubert and Arabie 1985, Journal of Classification 2 (adjusted Rand); Vinh, Epps and
    Bailey 2010, Journal of Machine Learning Research 11 (adjusted mutual information).
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    both = sorted(
        (id_, number, modes[id_][0])
        for number, one in enumerate(found)
        for id_ in one.items
        if len(modes.get(id_, ())) == 1
    )
    ours, theirs = [number for _, number, _ in both], [mode for _, _, mode in both]
    if not both:
        return 0.0, 0.0, 0
    return (
        float(adjusted_rand_score(theirs, ours)),
        float(adjusted_mutual_info_score(theirs, ours)),
        len(both),
    )
