"""Interactions as traces of MLflow, and what people said of them as assessments."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgelab.errors import IncompleteError, UserError
from judgelab.tracking.store import Store, locate, prepare, shown, told
from judgelab.types import Interaction, canonical_json, sha256

if TYPE_CHECKING:
    from mlflow.entities import Assessment, TraceInfo
    from mlflow.tracing.client import TracingClient

NAME = "expert"  # of the assessment, and of the question in MLflow's review queue
STATE = "judgelab.state"
TAGS = {"dataset": "judgelab.dataset", "id": "judgelab.item", "content": "judgelab.content"}
NOBODY = "default"  # whom MLflow names where nobody has logged in
PAGE, PREVIEW = 200, 900  # traces, characters
Place = tuple[str, str]  # id, content


@dataclass(frozen=True)
class Assessed:
    """One person's valid assessment of one trace; `value` is as MLflow has it.

    `id` names it, `before` the one that it overrides, `state` what was in force when it was
    exported, or None where somebody made it in MLflow.
    """

    trace: str
    id: str
    before: str | None
    who: str
    value: Any
    rationale: str
    state: str | None
    at: int


@dataclass(frozen=True)
class Traces:
    """The traces of one dataset in an experiment."""

    store: Store
    dataset: str
    tracing: TracingClient

    @classmethod
    @contextmanager
    def opened(
        cls, uri: str | None, experiment: str, dataset: str, *, new: bool
    ) -> Iterator[Traces]:
        """The experiment; without `new` the store has to be there.

        Raises:
            UserError: there is no such store.
            IncompleteError: it cannot be reached or written.
        """
        where, _ = locate(uri)
        file = Path(where.removeprefix("sqlite:///"))
        if not new and where.startswith("sqlite:///") and not file.is_file():
            raise UserError(
                f"there is no MLflow store at {shown(where)} yet. Export first: judgelab data "
                "export --mlflow; tracking.uri=... names another store."
            )
        prepare(where)
        from mlflow.exceptions import MlflowException
        from mlflow.tracing.client import TracingClient
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield cls(Store.open(where, experiment), dataset, TracingClient(where))
        except (MlflowException, SQLAlchemyError, RequestException) as error:
            raise IncompleteError(
                f"MLflow at {shown(where)}: {told(error, where)}. What was done is kept; the same "
                "command goes on."
            ) from error

    def found(self) -> dict[Place, TraceInfo]:
        """The trace of each (id, content), the newest where there are several."""
        made: dict[Place, TraceInfo] = {}
        token = None
        while True:
            page = self.store.client.search_traces(
                locations=[self.store.experiment_id],
                max_results=PAGE,
                order_by=["timestamp_ms ASC"],
                page_token=token,
                include_spans=False,
            )
            for trace in page:
                tags = trace.info.tags
                if tags.get(TAGS["dataset"]) == self.dataset:
                    made[tags.get(TAGS["id"], ""), tags.get(TAGS["content"], "")] = trace.info
            token = page.token
            if not token:
                return made

    def add(self, item: Interaction) -> None:
        """A trace with one span, in the store when this returns.

        MLflow's own exporters give up on a trace that they cannot write, and do not say so.
        """
        from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

        experiment, at = self.store.experiment_id, time.time_ns()
        values = {"dataset": self.dataset, "id": item.id, "content": item.content}
        inputs, outputs = canonical_json({"input": item.input, **_more(item)}), item.output
        key = sha256([experiment, *values.values()])
        info = TraceInfo(
            trace_id=f"tr-{key[:32]}",
            trace_location=TraceLocation.from_experiment_id(experiment),
            request_time=at // 10**6,
            execution_duration=0,
            state=TraceState.OK,
            request_preview=inputs[:PREVIEW],
            response_preview=outputs[:PREVIEW],
            trace_metadata={"mlflow.trace.session": item.group} if item.group else {},
            tags={TAGS[name]: value for name, value in values.items()}
            | {"mlflow.traceName": item.id},
        )
        said = {
            "mlflow.experimentId": experiment,
            "mlflow.traceRequestId": info.trace_id,
            "mlflow.spanType": "UNKNOWN",
            "mlflow.spanOutputs": outputs,
        }
        attributes = {name: json.dumps(value) for name, value in said.items()}
        span: dict[str, Any] = {
            "trace_id": b64encode(bytes.fromhex(key[:32])).decode(),
            "span_id": b64encode(bytes.fromhex(key[32:48])).decode(),
            "parent_span_id": None,
            "name": item.id,
            "start_time_unix_nano": at,
            "end_time_unix_nano": at,
            "events": [],
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": attributes | {"mlflow.spanInputs": inputs},
            "links": [],
        }
        self.tracing.start_trace(info)
        self.tracing.log_spans(experiment, [Span.from_dict(span)])

    def say(
        self, trace: str, who: str, verdict: str, critique: str, state: str, old: Assessed | None
    ) -> None:
        """Log a label, or put it in the place of the one that was there."""
        from mlflow.entities import AssessmentSource, AssessmentSourceType, Feedback

        said = Feedback(
            name=NAME,
            value=verdict,
            rationale=critique or None,
            source=AssessmentSource(AssessmentSourceType.HUMAN, who),
            metadata={STATE: state},
        )
        if old is None:
            self.tracing.log_assessment(trace, said)
        else:
            self.tracing.update_assessment(trace_id=trace, assessment_id=old.id, assessment=said)

    def queue(self, traces: Sequence[str]) -> str:
        """Put traces into MLflow's review queue of the dataset, with the question; its address.

        What is in there stays as it is.
        """
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.store.uri)  # these functions know no other way
        try:
            self._queue(traces)
        finally:
            mlflow.set_tracking_uri(before)
        return f"#/experiments/{self.store.experiment_id}/review-queue"

    def _queue(self, traces: Sequence[str]) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.genai import label_schemas, review_queues

        here = {"experiment_id": self.store.experiment_id}
        try:
            schema = label_schemas.get_label_schema(NAME, **here)
        except MlflowException:
            schema = label_schemas.create_label_schema(
                NAME,
                type="feedback",
                input=label_schemas.InputCategorical(options=["pass", "fail"]),
                instruction="Pass or fail, and a comment that says why, in your own words.",
                enable_comment=True,
                **here,
            )
        name = f"judgelab {self.dataset}"
        try:
            queue = review_queues.get_review_queue(name=name, **here)
        except MlflowException:
            queue = review_queues.create_review_queue(
                name, queue_type="custom", schema_ids=[schema.schema_id], **here
            )
        for start in range(0, len(traces), PAGE):
            chosen = list(traces[start : start + PAGE])
            review_queues.add_items_to_review_queue(queue.queue_id, item_ids=chosen)


def assessments(trace: TraceInfo) -> dict[str, Assessed]:
    """The newest valid label of every person, by name."""
    found = sorted(_valid(trace), key=lambda one: one.at)
    return {one.who: one for one in found}


def _valid(trace: TraceInfo) -> Iterator[Assessed]:
    for one in trace.assessments:
        human = one.source.source_type == "HUMAN"
        if human and one.name == NAME and one.feedback is not None and one.valid is not False:
            yield _assessed(trace.trace_id, one)


def _assessed(trace: str, one: Assessment) -> Assessed:
    return Assessed(
        trace=trace,
        id=str(one.assessment_id),
        before=one.overrides,
        who=str(one.source.source_id or NOBODY),
        value=one.feedback.value,
        rationale=(one.rationale or "").strip(),
        state=(one.metadata or {}).get(STATE),
        at=one.last_update_time_ms or one.create_time_ms or 0,
    )


def _more(item: Interaction) -> Mapping[str, Any]:
    objects = {"context": dict(item.context), "dimensions": dict(item.dimensions)}
    return {name: value for name, value in objects.items() if value}
