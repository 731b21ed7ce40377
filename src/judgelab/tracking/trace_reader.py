"""MLflow traces as a dataset: what a product's own tracing has kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from judgelab import resources
from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.problems import Problems
from judgelab.errors import DataError, IncompleteError
from judgelab.tracking.store import locate, prepare, shown, told

if TYPE_CHECKING:
    from mlflow.entities import Trace

PAGE = 200
SESSION = "mlflow.trace.session"


class TraceReader(Reader):
    """Reads the traces of an experiment, the dataset's `path`; each is a row of id, input and
    output (of its root span, as JSON where they are), group (its session), tags and latency_ms.

    Traces that failed or hold no output are no interactions: they are left out and counted.

    Args:
        uri: of the MLflow store; None is the lab's, as for runs.
    """

    name: ClassVar[str] = "traces"
    extensions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri
        self.left_out = 0

    def check(self, path: Path) -> None:
        where, _ = locate(self.uri)
        file = Path(where.removeprefix("sqlite:///"))
        if where.startswith("sqlite:///") and not file.is_file():
            raise DataError(
                f"there is no MLflow store at {shown(where)}. dataset.reader.uri=... names another."
            )

    def notes(self) -> list[str]:
        if not self.left_out:
            return []
        return [f"{self.left_out} traces failed or hold no output: they are left out"]

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        where, _ = locate(self.uri)
        prepare(where)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        lab = resources.lab()
        name = path.relative_to(lab).as_posix() if path.is_relative_to(lab) else path.as_posix()
        self.left_out, token = 0, None
        try:
            client = MlflowClient(tracking_uri=where)
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                there = ", ".join(repr(one.name) for one in client.search_experiments())
                raise DataError(
                    f"dataset.path={name}: no such experiment in {shown(where)}. There are: "
                    f"{there}."
                )
            while True:
                page = client.search_traces(
                    locations=[experiment.experiment_id],
                    max_results=PAGE,
                    order_by=["timestamp_ms ASC"],
                    page_token=token,
                )
                yield from self._rows(page)
                token = page.token
                if not token:
                    return
        except (MlflowException, SQLAlchemyError, RequestException) as error:
            raise IncompleteError(f"MLflow at {shown(where)}: {told(error, where)}.") from error

    def _rows(self, traces: list[Trace]) -> Iterator[Row]:
        for trace in traces:
            info, data = trace.info, trace.data
            asked, said = _plain(data.request), _plain(data.response)
            if str(getattr(info.state, "value", info.state)) != "OK" or said in (None, "", {}, []):
                self.left_out += 1
                continue
            tags = {k: v for k, v in info.tags.items() if not k.startswith("mlflow.")}
            values: dict[str, Any] = {"id": info.trace_id, "input": asked, "output": said}
            values |= {"group": (info.trace_metadata or {}).get(SESSION), "tags": tags or None}
            yield Row(f"trace {info.trace_id}", values | {"latency_ms": info.execution_duration})

    def _shape(self) -> str:
        return "It needs a trace with an input and an output."


def _plain(text: str | None) -> Any:
    """What MLflow keeps as JSON text."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
