"""What the report of a sweep shows: facts, and numbers with their source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from judgelab import config as configs
from judgelab.calls import accounts
from judgelab.coverage import Covered, coverage_of
from judgelab.data.dimensions import Dimensions
from judgelab.data.modes import modes_of
from judgelab.data.schema import Dataset
from judgelab.data.split import SplitConfig, recorded_split
from judgelab.metrics.names import named
from judgelab.rules import HARDLY
from judgelab.tracking import pages, pictures, texts
from judgelab.tracking.analysed import analysed, changed
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.improved import improved
from judgelab.tracking.sourced import Source, counted, estimated, summed
from judgelab.tracking.sweeps import BELOW, BEST, INCOMPLETE, STOPPED, Sweep, same_judge

if TYPE_CHECKING:
    from judgelab.metrics.unseen import Unseen

WITH_TEST = "with texts of test items"  # in the head of a report that shows some
SHOWN = 20  # disagreements of a kind
CELLS = 18  # of the dimensions
# A judge's row: heading -> the scorecard's name.
HEADLINE = {
    "agreement": "agreement",
    "recall of fail": "recall_fail",
    "precision of fail": "precision_fail",
    "kappa": "kappa",
    "AC1": "gwet_ac1",
}
PARTS = {
    "train": "shown to judges as examples",
    "dev": "used to choose a judge",
    "test": "held out; opened by a look that is written down",
    "cv": "each judged once, with examples from the other folds",
}
PICTURES = {
    "leaderboard": "Each judge and its interval, the best on top. The numbers are those of the "
    "table above.",
    "differences": "Each judge minus the one that all are compared with, on the same items. An "
    "interval that crosses the solid line holds no difference as well.",
    "history": "The trials in their order. What the race stopped has no score.",
    "importance": "How much of the difference between the finished variants goes with each axis by "
    "itself, among what was tried: an axis whose good values met those of another shares its "
    "credit.",
    "rounds": "How the best judge agrees with the labels of each round of labelling.",
    "cost": "What the answers of each judge cost against how good they are.",
}
METHODS = {
    "wilson": "proportions: Wilson",
    "bca": "other metrics: bias-corrected bootstrap (BCa)",
    "mover_wilson": "balanced accuracy: from the Wilson intervals of the two recalls",
    "clopper_pearson": "proportions with a guarantee: Clopper-Pearson",
}


class Contents:
    """The values of the template, of a sweep with at least one run."""

    def __init__(self, sweep: Sweep, dataset: Dataset, test_texts: bool) -> None:
        self.sweep = sweep
        self.dataset = dataset
        self.tests = test_texts
        self.records = {folder.id: folder.record for folder in sweep.ranked}
        record = self.records[sweep.ranked[0].id]
        self.moved = dataset.sha256 != record["dataset"]["sha256"]
        # Whose details are shown: the chosen one, else the one that all are compared with.
        reference = sweep.run(sweep.selection.get("reference"))
        judges = [folder for folder in sweep.complete if not self.records[folder.id]["baseline"]]
        self.shown = sweep.best or reference or next(iter(judges), None)

    def all(self) -> dict[str, Any]:
        sweep = self.sweep
        looks = sweep.looks
        return {
            "name": sweep.name,
            "with_test": WITH_TEST if self.tests and looks else "",
            "question": texts.question(sweep.about["command"]),
            "about": sweep.about,
            "axes": sweep.about.get("axes") or {},
            "selection": sweep.selection,
            "chosen_from": Source(f"{sweep.folder.id}/sweep.json", sweep.about),
            "metric": named(sweep.metric),
            "in_set": BEST,
            "cv": sweep.cv,
            "done": sweep.done,
            "best": sweep.best and self._about(sweep.best),
            "shown": self.shown and self._about(self.shown),
            "rubric": self._rubric(),
            "moved": self.moved,
            "parts": [] if self.moved else self._parts(),
            "coverage": None if self.moved else self._coverage(),
            "unlabelled": counted(len(self.dataset.interactions) - len(self.dataset.examples)),
            "heads": self._heads(),
            "excluded": self._excluded(),
            "hardly": self._hardly(),
            "rows": [self._row(folder) for folder in sweep.ranked],
            "paid": any(record["calls"]["cost_usd"] for record in self.records.values()),
            "ceiling": self._ceiling(),
            "pairs": list(self._pairs()),
            "pictures": [self._picture(name) for name in pictures.of_sweep(sweep)],
            "improved": list(improved(sweep)),
            "cascades": list(self._cascades()),
            "matrix": self.shown and _matrix(self.shown),
            "looks": [self._look(folder) for folder in looks],
            "disagreements": [*self._disagreements(looks)],
            "analyses": self._each(looks, analysed),
            "changes": self._each(looks, changed),
            "accounts": self._accounts(),
            "versions": self.records[sweep.ranked[0].id]["versions"],
            "record": self.records[sweep.ranked[0].id],
            "terms": self._terms(),
        }

    def _about(self, folder: RunFolder) -> dict[str, Any]:
        record = self.records.get(folder.id) or folder.record
        return {
            "id": folder.id,
            "short": folder.id[:8],
            "name": record["name"],
            "record": record,
            "standing": self.sweep.standing(folder) if folder.id in self.records else "look",
            "complete": folder.complete,
        }

    def _heads(self) -> dict[str, str]:
        """The metrics of the table; that of the ranking is among them."""
        own = {named(self.sweep.metric): self.sweep.metric}
        known = HEADLINE if self.sweep.metric in HEADLINE.values() else HEADLINE | own
        card = self.sweep.complete[0].scores["metrics"] if self.sweep.complete else {}
        return {heading: name for heading, name in known.items() if name in card}

    def _excluded(self) -> bool:
        """Whether the tables hold numbers of fewer items than were judged."""
        there = (*self.sweep.complete, *self.sweep.looks)
        return any("n_excluded" in folder.scores for folder in there)

    def _hardly(self) -> bool:
        """Whether the chosen one's score flatters it by less than two digits show."""
        value = (self.sweep.selection.get("optimism") or {}).get("value")
        return value is not None and value < HARDLY

    def _row(self, folder: RunFolder) -> dict[str, Any]:
        about, card = self._about(folder), folder.scores
        scores = Source(f"{folder.id}/scores.json", card)
        record = Source(f"{folder.id}/record.json", about["record"])
        row = about | {"calls": record, "cost": record.usd("calls", "cost_usd")}
        if not folder.complete:
            state = STOPPED if folder.stopped else INCOMPLETE
            return row | {"standing": state, "why": folder.unranked}
        below = self.sweep.selection.get("below_floors") or {}
        return row | {
            "scores": scores,
            "card": card,
            "n": scores.count("n"),
            "coverage": scores.share("coverage"),
            "excluded": scores.count("n_excluded") if "n_excluded" in card else "",
            "metrics": {head: scores.metric("metrics", key) for head, key in self._heads().items()},
            "prevalence": scores.share("prevalence_fail"),
            "level": scores.share("metrics", "agreement", "level"),
            "low": card.get("reliability"),
            "repeats": scores if card.get("repeats") else None,
            "weighted": bool(card.get("weights")),
            "below": below.get(folder.id) or [],
            "too": about["standing"] == BELOW and self.sweep.in_set(folder),
        }

    def _look(self, folder: RunFolder) -> dict[str, Any]:
        """A look at test, with the row of the same judge on dev; None where that is not there."""
        on_dev = next((run for run in self.sweep.complete if same_judge(run, folder)), None)
        best = (
            on_dev is not None and self.sweep.best is not None and on_dev.id == self.sweep.best.id
        )
        return self._row(folder) | {"dev": on_dev and self._row(on_dev), "is_best": best}

    def _cascades(self) -> Iterator[dict[str, Any]]:
        for folder in self.sweep.complete:
            if pictures.cascade(folder):
                yield self._about(folder) | {"source": pictures.inline(folder, "cascade")}

    def _ceiling(self) -> dict[str, Any] | None:
        """The row of human against human; None where no run knows of it."""
        if not (ceiling := self.sweep.ceiling):
            return None
        folder = next(f for f in self.sweep.ranked if self.records[f.id].get("ceiling"))
        source = Source(f"{folder.id}/record.json", self.records[folder.id])
        known = ceiling.get("metrics") or {}
        return dict(ceiling) | {
            "n": source.count("ceiling", "n") if ceiling.get("n") is not None else "",
            "metrics": {
                head: source.metric("ceiling", "metrics", key) if key in known else ""
                for head, key in self._heads().items()
            },
            "known": bool(known),
            "why": (ceiling.get("reason") or "").replace("_", " "),
        }

    def _pairs(self) -> Iterator[dict[str, Any]]:
        """The comparisons with the reference, in the order of their picture."""
        source = Source(f"{self.sweep.folder.id}/sweep.json", self.sweep.about)
        pairs = self.sweep.selection.get("pairs") or []

        def place(n: int) -> tuple[bool, float, int]:
            value = (self.sweep.difference(pairs[n]) or {"value": None})["value"]
            return value is None, -(value or 0.0), n

        for n in sorted(range(len(pairs)), key=place):
            at = ("selection", "pairs", n)
            folder, own = self.sweep.run(pairs[n]["a"]), self.sweep.difference_key(pairs[n])
            if folder is None:
                continue
            yield self._about(folder) | {
                "difference": source.metric(*at, "difference"),
                "own": source.metric(*at, own) if pairs[n].get(own) else "",
                **{key: source.count(*at, key) for key in ("a_only", "b_only")},
                **{key: source.p(*at, key) for key in ("p", "holm", "bh")},
            }

    def _rubric(self) -> dict[str, Any] | None:
        if self.shown is None or not (self.shown.path / "rubric.md").is_file():
            return None
        text = (self.shown.path / "rubric.md").read_text("utf-8").strip()
        return {
            "text": text[: texts.LONGEST],
            "cut": len(text) > texts.LONGEST,
            "file": f"runs/{self.shown.id}/rubric.md",
        }

    def _parts(self) -> list[dict[str, Any]]:
        """Labels and groups in each part."""
        labels: dict[str, Counter[str]] = defaultdict(Counter)
        groups: dict[str, set[str]] = defaultdict(set)
        for row in self.sweep.ranked[0].assignment:
            if row["id"] in self.dataset.labels:
                labels[row["part"]][self.dataset.labels[row["id"]].label] += 1
                groups[row["part"]].add(row["group"])
        order = [*PARTS, *sorted(labels.keys() - PARTS.keys())]
        return [
            {
                "name": part,
                "use": PARTS.get(part, "left out: belongs to items of two parts"),
                **{label: counted(labels[part][label]) for label in ("fail", "pass")},
                "all": counted(labels[part].total()),
                "groups": counted(len(groups[part])),
            }
            for part in order
            if part in labels
        ]

    def _coverage(self) -> dict[str, Any] | None:
        """The cells of the dimensions, as `judgelab data coverage` counts them; None where no item
        has a dimension."""
        folder = self.sweep.ranked[0]
        config, rows = folder.config, folder.assignment
        settings = configs.build(config["split"], SplitConfig, "split")
        split = recorded_split(self.dataset, settings, folder.record["mode"], rows)
        node = config.get("dimensions")  # older runs know no dimensions
        declared = configs.build(node, Dimensions, "dimensions") if node else None
        found = coverage_of(self.dataset, split, declared, modes=modes_of(self.dataset) or None)
        if not found.grid.names:
            return None
        shown = found.first(CELLS)
        left = len(found.rows) - len(shown)
        counts = {name: counted(number) for name, number in found.counts.items()}
        return {
            "names": found.grid.names,
            "rows": [_covered(row) for row in shown],
            "left": counted(left) if left else "",
            "counts": counts,
            "thin": counted(found.thin),
            "declared": found.grid.declared,
            "closed": found.counts["closed"] > 0,
            "unseen": _unseen(found.unseen) if found.unseen else None,
        }

    def _picture(self, name: str) -> dict[str, Any]:
        return {
            "source": pictures.inline(self.sweep.folder, name),
            "caption": PICTURES[name],
            "name": name,
        }

    def _disagreements(self, looks: Sequence[RunFolder]) -> Iterator[dict[str, Any]]:
        """Where the shown judge differs from the expert, on dev; on test where that was asked."""
        if self.shown is None or self.moved:
            return
        for folder in (self.shown, *(looks if self.tests else ())):
            if not folder.complete:
                continue
            missed, alarms, _ = pages.differing(folder, self.dataset)
            counts = Source(f"{folder.id}/scores.json", folder.scores)
            kinds = (
                ("Missed failures", "the judge passes what the expert fails", missed, "fn"),
                ("False alarms", "the judge fails what the expert passes", alarms, "fp"),
            )
            yield self._about(folder) | {
                "kinds": [
                    {
                        "name": name,
                        "means": means,
                        "count": counts.count("confusion", cell),
                        "shown": [texts.item(*both) for both in found[:SHOWN]],
                        "left": counted(len(found) - SHOWN) if len(found) > SHOWN else "",
                    }
                    for name, means, found, cell in kinds
                ]
            }

    def _each(
        self, looks: Sequence[RunFolder], of: Callable[[RunFolder], dict[str, Any] | None]
    ) -> list[dict[str, Any]]:
        """What is shown of each complete run and each look that has it."""
        there = ((folder, of(folder)) for folder in (*self.sweep.complete, *looks))
        return [self._about(folder) | shown for folder, shown in there if shown]

    def _accounts(self) -> dict[str, Any]:
        calls = [record["calls"] for record in self.records.values()]
        rows = [
            {
                **self._about(folder),
                "said": accounts.in_words(self.records[folder.id]["calls"]),
                "calls": Source(f"{folder.id}/record.json", self.records[folder.id]),
                "models": self.records[folder.id]["calls"].get("models") or {},
            }
            for folder in self.sweep.ranked
        ]
        worth, spent = (sum(one[key] for one in calls) for key in ("cost_usd", "spent_usd"))
        return {
            "rows": rows,
            "said": accounts.in_words(accounts.total(calls)),
            "worth": summed(worth),
            "spent": summed(spent),
        }

    def _terms(self) -> dict[str, Any]:
        """What the intervals are, as the scorecards say."""
        pairs = self.sweep.selection.get("pairs") or ()
        metrics = [m for folder in self.sweep.complete for m in folder.scores["metrics"].values()]
        plain = {str(metric["method"]).removesuffix("_clustered") for metric in metrics}
        return {
            "methods": [METHODS.get(method, method) for method in sorted(plain)],
            "tests": sorted({pair["p_method"].replace("_", " ") for pair in pairs}),
            "clustered": any(str(m["method"]).endswith("_clustered") for m in metrics),
            "policy": self.sweep.complete[0].scores["policy"] if self.sweep.complete else "error",
        }


def _covered(row: Covered) -> dict[str, Any]:
    of = row.interval
    return {
        "cell": [value or "–" for value in row.cell],
        **{name: counted(getattr(row, name)) for name in ("n", "labelled", "open", "fails")},
        "rate": "" if row.rate is None else estimated(row.rate, of.lo, of.hi),
        "state": row.state,
        "odd": row.odd,
    }


def _unseen(found: Unseen) -> dict[str, Any] | None:
    """How much is left to find; None of no failure that has a mode."""
    if found.value is None:
        return None
    of = found.interval
    counts = {"kinds": found.kinds, "once": found.once, "n": of.n}
    return {name: counted(number) for name, number in counts.items()} | {
        "share": estimated(found.value, of.lo, of.hi)
    }


def _matrix(folder: RunFolder) -> str:
    pictures.confusion(folder)
    return pictures.inline(folder, "confusion")
