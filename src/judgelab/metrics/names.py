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
# Why a number, or its interval, is not there; other codes are words by themselves.
_REASONS = {
    "constant_resamples": "every resample gives the same value",
    "undefined_resamples": "too many resamples do not define it",
    "bca_undefined": "all resamples lie on one side of it",
    "one_cluster": "all items are of one group",
    "no_items": "there is no item",
    "all_abstained": "there is no verdict",
    "judge_never_fails": "the judge fails nothing",
    "judge_never_passes": "the judge passes nothing",
    "no_expert_fails": "the expert fails nothing",
    "no_expert_passes": "the expert passes nothing",
    "both_constant_and_equal": "judge and expert say one and the same of all",
    "abstentions": "it is of judges without abstentions",
}
_SAID = {"f1": "F1", "mcc": "MCC", "gwet_ac1": "AC1", "balanced_accuracy": "balanced accuracy"}


def named(metric: str) -> str:
    """A metric as a sentence has it: recall of fail."""
    if metric in _SAID:
        return _SAID[metric]
    what, _, label = metric.rpartition("_")
    return f"{_SAID.get(what, what)} of {label}" if what else metric


def why_missing(reason: str) -> str:
    """The code of a reason in words."""
    return _REASONS.get(reason, reason.replace("_", " "))
