"""Interactions as traces of MLflow, and what people said of them as assessments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgelab.errors import IncompleteError, UserError
from judgelab.tracking.store import Store, locate, prepare, shown, told
from judgelab.types import Interaction

if TYPE_CHECKING:
    from mlflow.entities import Assessment, TraceInfo

NAME = "expert"  # of the assessment, and of the question in MLflow's review queue
STATE = "judgelab.state"
TAGS = {"dataset": "judgelab.dataset", "id": "judgelab.item", "content": "judgelab.content"}
NOBODY = "default"  # whom MLflow names where nobody has logged in
PAGE = 200
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
        import mlflow
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(where)  # traces go where the process tracks, and nowhere else
        try:
            yield cls(Store.open(where, experiment), dataset)
        except (MlflowException, SQLAlchemyError, RequestException) as error:
            raise IncompleteError(
                f"MLflow at {shown(where)}: {told(error, where)}. What was done is kept; the same "
                "command goes on."
            ) from error
        finally:
            mlflow.set_tracking_uri(before)

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

    def add(self, items: Sequence[Interaction]) -> Iterator[Interaction]:
        """A trace an item, one after the other; all are in the store when it ends."""
        import mlflow

        for item in items:
            values = {"dataset": self.dataset, "id": item.id, "content": item.content}
            span = mlflow.start_span_no_context(
                item.id,
                inputs={"input": item.input, **_more(item)},
                experiment_id=self.store.experiment_id,
                tags={TAGS[name]: value for name, value in values.items()},
                metadata={"mlflow.trace.session": item.group} if item.group else None,
            )
            span.set_outputs(item.output)
            span.end()
            yield item
        mlflow.flush_trace_async_logging()

    def say(
        self, trace: str, who: str, verdict: str, critique: str, state: str, old: Assessed | None
    ) -> None:
        """Log a label, or put it in the place of the one that was there."""
        import mlflow
        from mlflow.entities import AssessmentSource, AssessmentSourceType, Feedback

        source = AssessmentSource(AssessmentSourceType.HUMAN, who)
        about = {"rationale": critique or None, "source": source, "metadata": {STATE: state}}
        if old is None:
            mlflow.log_feedback(trace_id=trace, name=NAME, value=verdict, **about)
        else:
            said = Feedback(name=NAME, value=verdict, **about)
            mlflow.update_assessment(trace_id=trace, assessment_id=old.id, assessment=said)

    def queue(self, traces: Sequence[str]) -> str:
        """Put traces into MLflow's review queue of the dataset, with the question; its address.

        What is in there stays as it is.
        """
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
        return f"#/experiments/{self.store.experiment_id}/review-queue"


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
