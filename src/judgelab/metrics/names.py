"""The metrics by name, without a number: in the order of tables, and as a sentence has them."""

from __future__ import annotations

METRICS = (
    "agreement",
    "precision_fail",
    "recall_fail",
    "f1_fail",
    "precision_pass",
    "recall_pass",
    "f1_pass",
    "balanced_accuracy",
    "kappa",
    "mcc",
    "gwet_ac1",
)
_SAID = {"f1": "F1", "mcc": "MCC", "gwet_ac1": "AC1", "balanced_accuracy": "balanced accuracy"}


def named(metric: str) -> str:
    """A metric as a sentence has it: recall of fail."""
    if metric in _SAID:
        return _SAID[metric]
    what, _, label = metric.rpartition("_")
    return f"{_SAID.get(what, what)} of {label}" if what else metric
