"""How MLflow's runs table opens on our experiments: the columns that a person compares."""

from __future__ import annotations

import json

SHARE = "judgelab"
VIEW_KEY = f"mlflow.sharedViewState.{SHARE}"

_NAME = "attributes.`Run Name`"
_METRICS = ("kappa", "agreement", "precision", "recall", "recall_pass", "coverage", "cost_usd")
_PARAMS = ("split", "judge", "demos", "demos.k", "judge.reasoning", "judge.rubric", "model.name")
_TAGS = ("baseline", "llm", "reliability")
_COLUMNS = [
    *(f"metrics.`{name}`" for name in _METRICS),
    *(f"tags.`{name}`" for name in _TAGS),
    *(f"params.`{name}`" for name in _PARAMS),
]
# What the UI itself keeps for a shared view; it ignores what it does not know.
VIEW = json.dumps(
    {
        "searchFilter": "",
        "orderByKey": "metrics.`kappa`",
        "orderByAsc": False,
        "selectedColumns": _COLUMNS,
        "columnOrder": [_NAME, *_COLUMNS],
        "columnWidths": {_NAME: 260} | dict.fromkeys(_COLUMNS, 96),
    }
)


def address(experiment_id: str) -> str:
    """The runs table of an experiment with those columns, inside the UI."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={SHARE}"


def note(experiment_id: str) -> str:
    """The description of an experiment."""
    return (
        f"**[All runs, best kappa first]({address(experiment_id)})**. Judge variants against "
        "expert labels, by judgelab. Positive class: **fail**, so *precision* and *recall* are "
        "those of fails.\n\nA sweep's parent run has its best variant's metrics, and the "
        "leaderboard in its description. Baselines have the tag `baseline=true`; runs with "
        "`split=test` are looks at held-out items."
    )
