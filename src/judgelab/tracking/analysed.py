"""What a report shows of an analysed run: every value of every dimension, and the pictures."""

from __future__ import annotations

from typing import Any

from judgelab.tracking import pictures
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sourced import Source

RATES = {
    "fails": "the expert fails",
    "judge_fails": "the judge fails",
    "missed": "missed failures",
    "false_alarms": "false alarms",
}
PICTURES = {
    "slices": "Every value of every dimension with its intervals; dotted: all items. A star: shown "
    "to differ from the rest, after Holm over all slices.",
    "heat": "Two dimensions against each other. Pale and hatched: too few items for a claim.",
}


def analysed(folder: RunFolder) -> dict[str, Any] | None:
    """The values of the template; None where nobody analysed the run."""
    if not (found := folder.analysis):
        return None
    source = Source(f"{folder.id}/analysis.json", found)
    rows: list[tuple[str, tuple[str | int, ...]]] = [("all", ("whole",))]
    rows += [
        (f"{name}={value}", ("slices", n))
        for n, row in enumerate(found["slices"])
        for name, value in row["by"].items()
    ]
    return {
        "text": found["text"],
        "heads": list(RATES.values()),
        "rows": [
            {
                "name": name,
                "n": source.count(*at, "n"),
                "rates": [(head, source.metric(*at, key)) for key, head in RATES.items()],
            }
            for name, at in rows
        ],
        "pictures": [
            {"source": pictures.inline(folder, name), "caption": PICTURES[name]}
            for name in pictures.analysis(folder, found)
        ],
    }
