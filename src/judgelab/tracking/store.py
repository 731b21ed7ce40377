"""A place in MLflow: one experiment of one store, through MlflowClient alone (no global state)."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.models.secrets import blot, known
from judgelab.tracking import facts
from judgelab.tracking.view import VIEW, VIEW_KEY, note

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Read by MLflow at its import. A server that is down is said so within seconds.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
DIGEST = 16  # hex digits of the dataset's hash
BATCH = 100  # params, tags and metrics that one request surely takes


def locate(uri: str | None) -> tuple[str, bool]:
    """The tracking URI, and whether it lies on this machine.

    Without one: MLFLOW_TRACKING_URI, else the lab's mlflow.db, where plain `mlflow ui` looks.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not chosen:
        return f"sqlite:///{database()}", True
    parts = urlsplit(chosen)
    return chosen, parts.scheme in ("sqlite", "file") or _is_loopback(parts.hostname or "")


def shown(uri: str) -> str:
    """The URI without user and password."""
    parts = urlsplit(uri)
    return (
        urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else uri
    )


def told(error: Exception, uri: str) -> str:
    """What a store's error says, on one line and without secrets."""
    password = urlsplit(uri).password or ""
    said = blot(str(error), [*known().values(), password, unquote(password)])
    return " ".join(said.split())[:300]


def prepare(uri: str) -> None:
    """What has to be set before MLflow is imported, and its loggers' noise off."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if root := _sqlite_artifacts(uri):
        # Else MLflow makes an empty ./mlruns for its Default experiment.
        os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = root.as_uri()
    import mlflow  # noqa: F401 - configures its logging, which is then turned down

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def database() -> Path:
    """The lab's MLflow database."""
    return resources.lab().absolute() / "mlflow.db"


def artifacts(db: Path) -> Path:
    """Where the artifacts of a database's runs are."""
    return db.parent / "mlartifacts"


@dataclass(frozen=True)
class Store:
    """An open experiment."""

    client: MlflowClient
    uri: str
    experiment_id: str

    @classmethod
    def open(cls, uri: str, experiment: str) -> Store:
        """The experiment of that name, made where it is not there yet."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return cls(client, uri, _experiment(client, experiment, _sqlite_artifacts(uri)))

    @cached_property
    def shown_uri(self) -> str:
        """The URI without user and password."""
        return shown(self.uri)

    @property
    def place(self) -> dict[str, str]:
        return {"uri": self.shown_uri, "experiment_id": self.experiment_id}

    def link(self, run_id: str) -> str:
        """The address of a run inside the UI."""
        return f"#/experiments/{self.experiment_id}/runs/{run_id}"

    def url(self, run_id: str) -> str | None:
        """The address of a run, where the store is a server."""
        if not self.uri.startswith(("http://", "https://")):
            return None
        return f"{self.shown_uri.rstrip('/')}/{self.link(run_id)}"

    def find(self, tag: str, value: str) -> Run | None:
        """This user's run with that tag: on a shared server others may have the same variant."""
        query = f"tags.`{tag}` = '{value}' and tags.`mlflow.user` = '{_quotable(facts.user())}'"
        runs = self.client.search_runs([self.experiment_id], query, max_results=1)
        return runs[0] if runs else None

    def run(self, tag: str, value: str, *, name: str, at: int) -> Run:
        """The run with that tag, made where it is not there yet; `at` in milliseconds."""
        found = self.find(tag, value)
        if found is not None:
            if found.info.run_name != name:
                self.client.update_run(found.info.run_id, name=name)
            return found
        tags = {tag: value, "mlflow.user": facts.user()}
        return self.client.create_run(self.experiment_id, start_time=at, tags=tags, run_name=name)

    def log(
        self,
        run: Run,
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
        at: int,
    ) -> None:
        """What is new or has changed; params that are there stay, MLflow never changes them."""
        from mlflow.entities import Metric, Param, RunTag

        data = run.data
        new_metrics = [
            Metric(key, value, at, 0)
            for key, value in metrics.items()
            if data.metrics.get(key) != value
        ]
        new_params = [Param(k, v) for k, v in params.items() if k not in data.params]
        new_tags = [RunTag(k, v) for k, v in tags.items() if data.tags.get(k) != v]
        for start in range(0, max(map(len, (new_metrics, new_params, new_tags))), BATCH):
            chosen = slice(start, start + BATCH)
            self.client.log_batch(
                run.info.run_id, new_metrics[chosen], new_params[chosen], new_tags[chosen]
            )
        for key in data.tags.keys() - tags.keys() & STATES:
            self.client.delete_tag(run.info.run_id, key)

    def dataset(self, run: Run, record: Mapping[str, Any], path: str, part: str) -> None:
        """The dataset as an input of the run: its name, hash and where it was; no content."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        about = record["dataset"]
        digest = about["sha256"][:DIGEST]
        if any(known.dataset.digest == digest for known in run.inputs.dataset_inputs):
            return
        counts = {key: about[key] for key in ("items", "labelled")}
        data = Dataset(
            name=about["name"],
            digest=digest,
            source_type="local",
            source=json.dumps({"uri": path}),
            profile=json.dumps({**counts, "split": record["split"]["name"]}),
        )
        tags = [InputTag("mlflow.data.context", part)]
        self.client.log_inputs(run.info.run_id, [DatasetInput(data, tags)])

    def files(self, run: Run, paths: Iterable[Path]) -> None:
        """Files as artifacts; those of the same name are replaced."""
        for path in paths:
            self.client.log_artifact(run.info.run_id, str(path))

    def texts(self, run: Run, pages: Mapping[str, str]) -> None:
        """Texts as artifacts."""
        for name, text in pages.items():
            self.client.log_text(run.info.run_id, text, name)

    def rubric(self, name: str, text: str, about: Mapping[str, str]) -> dict[str, str]:
        """The tags that name a rubric's version in the prompt registry; a new text is a new one,
        with `about` as its tags."""
        known = "judgelab-rubric-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
        versions = self.client.search_prompt_versions(known) if self._has_prompt(known) else []
        found = next((one for one in versions if one.template == text), None)
        if found is None:
            found = self.client.register_prompt(known, text, tags={"judgelab": "rubric", **about})
        link = [{"name": known, "version": str(found.version)}]
        return {"rubric": f"{known} v{found.version}", "mlflow.linkedPrompts": json.dumps(link)}

    def end(self, run: Run, *, done: bool, at: int) -> None:
        """FINISHED, or FAILED where calls are missing."""
        status = "FINISHED" if done else "FAILED"
        if run.info.status != status or run.info.end_time != at:
            self.client.set_terminated(run.info.run_id, status, at)

    def _has_prompt(self, name: str) -> bool:
        return self.client.get_prompt(name) is not None


# Tags that a run may lose when it is projected again.
STATES = {"incomplete", "undefined", "reliability", "best"}


def _experiment(client: MlflowClient, name: str, root: Path | None) -> str:
    known = client.get_experiment_by_name(name)
    if known is not None and known.lifecycle_stage != "active":
        raise ConfigError(
            f"the MLflow experiment {name!r} is deleted. Restore it in MLflow "
            f"(mlflow experiments restore -x {known.experiment_id}), or choose another name with "
            "tracking.experiment=NAME."
        )
    place = root / (re.sub(r"[^\w.-]+", "-", name).strip(".-") or "experiment") if root else None
    if known is not None:
        _check_moved(known.artifact_location, place)
        id_, tags = known.experiment_id, known.tags
    else:
        id_ = client.create_experiment(name, place.as_uri() if place else None)
        tags = {}
    _describe(client, str(id_), tags)
    return str(id_)


def _check_moved(location: str, place: Path | None) -> None:
    """Artifacts of a lab that was moved or copied would go to the old lab: MLflow keeps paths."""
    if place is None or urlsplit(location).scheme not in ("", "file"):
        return
    there = Path(unquote(urlsplit(location).path))
    made_by_us = there.parts[-2:] == place.parts[-2:]
    if made_by_us and there.resolve() != place.resolve():
        db = place.parents[1] / "mlflow.db"
        raise ConfigError(
            f"{db} was made in another folder ({there.parents[1]}), and MLflow would keep writing "
            "artifacts there. It only shows the run folders: move it away, and the same commands "
            "make it anew without judging again. tracking.uri=... names another store."
        )


def _describe(client: MlflowClient, id_: str, tags: Mapping[str, str]) -> None:
    """What a person finds on opening the experiment; a description of their own stays."""
    wanted = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": note(id_),
        VIEW_KEY: VIEW,
    }
    for key, value in wanted.items():
        if key not in tags or (key == VIEW_KEY and tags[key] != value):
            client.set_experiment_tag(id_, key, value)


def _sqlite_artifacts(uri: str) -> Path | None:
    """The artifacts' folder beside a SQLite database; None for other stores."""
    if not uri.startswith("sqlite:///"):
        return None
    return artifacts(Path(uri.removeprefix("sqlite:///")).absolute())


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _quotable(text: str) -> str:
    return text.replace("'", "")
