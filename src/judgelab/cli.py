"""The command line: one thin function a command."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from judgelab import __version__, resources
from judgelab.errors import ClaimError, IncompleteError, Stopped, UserError, is_full

# Without these the libraries underneath try the network on every start, and numpy starts a thread
# a core that spins for work: nothing here multiplies matrices.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OPENBLAS_NUM_THREADS": "1",
}
GARBAGE = 50_000  # new objects between two looks for garbage
# Said where they are used: the list of commands has no room for it.
OF_RUN = "RUN is a folder, a unique prefix of a run's id, an MLflow run id, or latest."
OF_OVERRIDES = "OVERRIDES are Hydra's: key=value, as model=openai or demos.k=8."
OF_AXES = f"{OF_OVERRIDES[:-1]}; with -m also key=a,b."


class Commands(click.Group):
    """Listed in the order people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Build an LLM judge that shadows your domain expert, and know how good it is."""


@cli.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def init(file: Path | None) -> None:
    """A lab around your labelled FILE.

    FILE holds labelled interactions; without one the lab is around the sample.
    """
    from judgelab.commands import init as command

    command.init(file)


@cli.command(epilog=OF_AXES)
@click.argument("overrides", nargs=-1)
@click.option("-m", "--multirun", is_flag=True, help="Sweep: key=a,b is an axis.")
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
@click.option("--cfg", is_flag=True, help="Print the composed config and where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="The leaderboard as JSON.")
def run(overrides: Sequence[str], multirun: bool, dry_run: bool, cfg: bool, as_json: bool) -> None:
    """Judge and score: one, or a sweep."""
    from judgelab.commands import run as command

    if cfg:
        command.show_config(overrides)
    elif dry_run:
        command.dry_run(overrides, multirun=multirun)
    else:
        command.run(overrides, multirun=multirun, as_json=as_json)


@cli.command(epilog=OF_RUN)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--looks", type=click.IntRange(1), help="Raise the declared number of looks.")
@click.option("--reason", default="", help="Why it is raised; every report will show it.")
@click.option("--json", "as_json", is_flag=True, help="The scorecards as JSON.")
def holdout(runs: tuple[str, ...], looks: int | None, reason: str, as_json: bool) -> None:
    """A look at the test split.

    With the judge of each RUN, on labels that were held out. It is written down.
    """
    from judgelab.commands import holdout as command

    command.holdout(runs, raised=(looks, reason) if looks else None, as_json=as_json)


@cli.command(epilog=OF_RUN)
@click.argument("run")
@click.option("--live", is_flag=True, help="Ask the model again instead of replaying.")
@click.option("--data", type=click.Path(), help="The dataset's file, where it has moved.")
def rerun(run: str, live: bool, data: str | None) -> None:
    """A run again, from its record.

    Exit 1 where verdicts or scores differ.
    """
    from judgelab.commands import rerun as command

    command.rerun(run, live=live, data=data)


@cli.command(epilog=OF_RUN)
@click.argument("run")
@click.option("--limit", type=click.IntRange(1), help="The first N fails and N items alone.")
@click.option("--gate", type=float, help="As probe.gate: the most flips, as a share.")
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
@click.option("--data", type=click.Path(), help="The dataset's file, where it has moved.")
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON.")
def probe(run: str, **options: Any) -> None:
    """Injection and bias of a judge.

    Asks the judge of RUN, a run on dev, about items with payloads behind their outputs, and with
    its demonstrations and words changed: what should not move a verdict. Exit 1 where a gate does
    not hold.
    """
    from judgelab.commands import probe as command

    command.probe(run, **options)


@cli.command(epilog=OF_RUN)
@click.argument("run")
@click.option("--by", multiple=True, metavar="DIM", help="A dimension, or context.FIELD; else all.")
@click.option("--unlabelled", is_flag=True, help="Have its judge look at unlabelled items too.")
@click.option("--after", type=click.Path(path_type=Path), metavar="FILE",
              help="New outputs of the same inputs: before and after a fix.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
@click.option("--data", type=click.Path(), help="The dataset's file, where it has moved.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def analyze(run: str, after: Path | None, unlabelled: bool, **options: Any) -> None:
    """Error rates, slice by slice.

    The share failing, missed failures and false alarms in every slice of the items of RUN, by one
    dimension and by two, against the rest.
    """
    if after is None:
        from judgelab.commands import analyze as command

        command.analyze(run, unlabelled=unlabelled, **options)
        return
    if unlabelled:
        raise click.UsageError("--after does not go with --unlabelled")
    from judgelab.commands import fixes

    fixes.after(run, after, **options)


FILE = click.Path(path_type=Path)
POLICY = click.option(
    "--policy",
    type=click.Choice(["error", "as_fail", "as_pass", "exclude"]),
    help="What an abstention counts as; else error (wrong), or as the runs were scored.",
)
GROUP = click.option("--group", help="Cluster intervals by this field: context.question_id.")
SOURCES = "Files, runs, or runs:/MLFLOW_ID/artifact; one or several."


@cli.command()
@click.option("--labels", required=True, type=FILE, help="Expert labels.")
@click.option("--verdicts", required=True, multiple=True, help=SOURCES)
@POLICY
@GROUP
@click.option("--annotations", type=FILE, help="More labels an item, for the ceiling.")
@click.option("--weights", help="Field of how many items of the population each stands for.")
@click.option("--json", "as_json", is_flag=True, help="The scorecards as JSON.")
@click.argument("more", nargs=-1)
def score(
    labels: Path, verdicts: Sequence[str], more: Sequence[str], as_json: bool, **options: Any
) -> None:
    """Any verdicts against labels.

    Verdicts of any tool, or of runs, against those of the expert.
    """
    from judgelab.commands import score as command

    command.score(labels, [*verdicts, *more], as_json=as_json, **options)


@cli.command(epilog=OF_RUN)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--labels", type=FILE, help="Expert labels; without, those of the runs' dataset.")
@click.option("--verdicts", multiple=True, help=SOURCES)
@click.option("--baseline", metavar="NAME", help="Hold all others against this one.")
@POLICY
@GROUP
@click.option("--json", "as_json", is_flag=True, help="The comparison as JSON.")
def compare(runs: Sequence[str], verdicts: Sequence[str], as_json: bool, **options: Any) -> None:
    """Who is better on the same items.

    A file's judge was asked all that is labelled: an id without a line is an abstention (missing),
    as in score. A run was asked what it judged; what not all were asked is left out.
    """
    from judgelab.commands import compare as command

    command.compare([*verdicts, *runs], as_json=as_json, **options)


@cli.group(cls=Commands)
def data() -> None:
    """What a dataset holds, and lacks."""


@data.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def check(overrides: Sequence[str], as_json: bool) -> None:
    """What to mend, what the labels are worth, and how many it takes."""
    from judgelab.commands import check as command

    command.check(overrides, as_json=as_json)


@data.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
def split(overrides: Sequence[str]) -> None:
    """Who is train, dev and test, by label and dimension."""
    from judgelab.commands import data as command

    command.split(overrides)


@data.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--by", metavar="A,B", help="These dimensions alone; else all.")
@click.option("--thin", type=click.IntRange(1), default=5, show_default=True,
              help="Fewer labels are thin.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Every cell as JSON.")
def coverage(overrides: Sequence[str], by: str | None, thin: int, as_json: bool) -> None:
    """Which combinations of dimensions have items, labels and fails.

    Empty and thin ones come first. Labels of test are counted and stay closed.
    """
    from judgelab.commands import coverage as command

    command.show_coverage(overrides, by=by, thin=thin, as_json=as_json)


@data.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--run", metavar="RUN", help="Which of them its judge misses, on dev.")
@click.option("--json", "as_json", is_flag=True, help="The tables as JSON.")
def causes(overrides: Sequence[str], run: str | None, as_json: bool) -> None:
    """What the fails have in common, by failure mode and round."""
    from judgelab.commands import causes as command

    command.causes(overrides, run=run, as_json=as_json)


@data.command("export")
@click.argument("words", nargs=-1, metavar="[FILE] [OVERRIDES]...")
@click.option("--all/--unlabelled", "everything", help="All items, with their labels.")
@click.option("--n", type=click.IntRange(1), help="So many of them, drawn at random.")
@click.option("--seed", default=0, show_default=True, help="Of the order and the draw.")
@click.option("--expert", metavar="NAME", help="Who will label; else dataset.expert.")
@click.option("--run", metavar="RUN", help="XLSX: a sheet with this judge beside the labels.")
@click.option("--as", "as_", type=click.Choice(["aligneval"]), help="AlignEval's CSV, 1 = fail.")
@click.option("--labels", is_flag=True, help="The labels in force, as annotations in JSONL.")
@click.option("--mlflow", is_flag=True, help="The labels in force, as assessments of traces.")
@click.option("--force", is_flag=True, help="Replace a FILE that is there.")
def export_labels(words: Sequence[str], labels: bool, mlflow: bool, **options: Any) -> None:
    """Items to label, in FILE.xlsx, .csv or .jsonl."""
    from judgelab.commands import sheets as command

    if mlflow:
        from judgelab.commands import assessments

        taken = _only("--mlflow", ("expert", "n", "seed"), options | {"labels": labels})
        assessments.export(words, **taken)
        return
    file, overrides = _file(words)
    if labels:
        command.write_labels(file, overrides, **_only("--labels", ("force",), options))
    else:
        command.export(file, overrides, **options)


@data.command("import")
@click.argument("words", nargs=-1, metavar="[FILE] [OVERRIDES]...")
@click.option("--expert", metavar="NAME", help="Whose labels these are.")
@click.option("--as", "as_", type=click.Choice(["aligneval", "modes"]),
              help="AlignEval's CSV, 1 = fail; failure modes of failed items.")  # fmt: skip
@click.option("--new-modes", is_flag=True, help="Names that are no failure modes yet become some.")
@click.option("--mlflow", is_flag=True, help="Human assessments of the traces in MLflow.")
@click.option("--dry-run", is_flag=True, help="Say what would become of each row.")
def import_labels(
    words: Sequence[str], expert: str | None, as_: str | None, mlflow: bool, **options: Any
) -> int | None:
    """Labels from an exported FILE; exit 1 at conflicts."""
    dry_run = options["dry_run"]
    if mlflow:
        from judgelab.commands import assessments

        _only("--mlflow", ("dry_run",), options | {"as_": as_})
        return assessments.take_in(words, expert=expert, dry_run=dry_run)
    file, overrides = _file(words)
    if not (expert or "").strip():
        raise click.UsageError("say whose labels these are: --expert NAME")
    if as_ == "modes":
        from judgelab.commands import causes

        causes.take_in(file, overrides, expert=str(expert), **options)
        return None
    from judgelab.commands import sheets as command

    return command.take_in(file, overrides, expert=str(expert), as_=as_, **options)


def _only(flag: str, names: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options that go with a flag; a UsageError for others that were given."""
    odd = [name for name, value in options.items() if value and name not in names]
    if odd:
        called = {"everything": "--all", "as_": "--as"}
        given = ", ".join(called.get(name, f"--{name}") for name in odd)
        raise click.UsageError(f"{flag} does not go with {given}")
    return {name: options[name] for name in names}


def _file(words: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """FILE and the overrides behind it."""
    if not words or "=" in words[0]:
        raise click.UsageError("give FILE first, then OVERRIDES")
    return Path(words[0]), words[1:]


@cli.group(cls=Commands)
def generate() -> None:
    """Inputs, and what your system says."""


@generate.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--n", type=click.IntRange(1), default=3, show_default=True,
              help="Inputs of each combination.")  # fmt: skip
@click.option("--sheet", type=FILE, help="Write FILE.xlsx to fill in by hand instead.")
@click.option("--from", "from_", type=FILE, help="Take in a FILE.xlsx that was filled in.")
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
def inputs(overrides: Sequence[str], **options: Any) -> None:
    """A model writes user inputs for each combination of dimensions.

    They go to generated/NAME.inputs.jsonl, the dimensions' NAME. What is there counts; the same
    command asks for what is missing. Never outputs: those are your system's.
    """
    from judgelab.commands import generate as command

    command.inputs(overrides, **options)


@generate.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--inputs", "file", type=FILE, help="A JSONL; else those of the dimensions.")
@click.option("--out", type=FILE, help="Else beside the inputs, under system.name.")
@click.option("--dry-run", is_flag=True, help="Show what would be asked; ask nothing.")
def outputs(overrides: Sequence[str], **options: Any) -> None:
    """Your system answers the inputs: system=python, http or command.

    Outputs become interactions that dataset=jsonl reads; errors go to a file beside them. The same
    command asks for what has no output yet.
    """
    from judgelab.commands import outputs as command

    command.outputs(overrides, **options)


@generate.command(epilog=OF_OVERRIDES)
@click.argument("words", nargs=-1, metavar="FILE.jsonl [OVERRIDES]...")
@click.option("--n", type=click.IntRange(1), default=100, show_default=True, help="So many.")
@click.option("--by", metavar="A,B", help="Evenly over these dimensions; else at random.")
@click.option("--force", is_flag=True, help="Replace a FILE that is there.")
def sample(words: Sequence[str], n: int, by: str | None, force: bool) -> None:
    """Draw interactions to label from logs, or from traces in MLflow.

    Logs are a dataset with its columns, such as dataset=jsonl; traces are dataset=traces.
    """
    from judgelab.commands import sample as command

    file, overrides = _file(words)
    command.sample(file, overrides, n=n, by=by, force=force)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--queue", metavar="NAME", help="Begin in this one, such as stratified.")
@click.option("--run", metavar="RUN", help="Whose verdicts are shown, after yours.")
@click.option("--again", type=click.IntRange(2), metavar="N", help="N items once more, blind.")
@click.option("--expert", metavar="NAME", help="Who labels; else dataset.expert.")
@click.option("--port", type=click.IntRange(0, 65535), help="Else a free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
def review(overrides: Sequence[str], **options: Any) -> None:
    """The expert labels, in a browser.

    Serves the dataset that OVERRIDES choose, and prints the link to open or send. Labels go to
    labels/NAME.jsonl of the lab.
    """
    from judgelab.commands import review as command

    command.review(overrides, **options)


@cli.command("round")
@click.argument("overrides", nargs=-1)
@click.option("--note", default="", metavar="TEXT", help="What was changed in this round, and why.")
@click.option("--json", "as_json", is_flag=True, help="All rounds as JSON.")
def round_(overrides: Sequence[str], note: str, as_json: bool) -> None:
    """Close a round of labelling.

    Freezes labels and rubric, judges, and says what the next round needs.
    """
    from judgelab.commands import round as command

    command.close(overrides, note=note, as_json=as_json)


@cli.group()
def propose() -> None:
    """A model proposes, you accept."""


@propose.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--run", metavar="RUN", help="Comments on the verdicts of this run alone.")
@click.option("--critiques", type=click.IntRange(0), default=40, show_default=True,
              help="At most so many of train's.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
def rubric(overrides: Sequence[str], **options: Any) -> None:
    """A better rubric, from what the expert said where the judge erred.

    It is in force only once it is accepted on the review's page.
    """
    from judgelab.commands import propose as command

    command.rubric(overrides, **options)


@propose.command(epilog=OF_OVERRIDES)
@click.argument("overrides", nargs=-1)
@click.option("--critiques", type=click.IntRange(1), default=40, show_default=True,
              help="A model sees at most so many of train's.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the clusters; write and send nothing.")
def modes(overrides: Sequence[str], **options: Any) -> None:
    """Failure modes, from clusters of the critiques and from a model.

    None is a mode before it is accepted on the review's page.
    """
    from judgelab.commands import propose_modes as command

    command.modes(overrides, **options)


@propose.command("check", epilog=OF_OVERRIDES)
@click.argument("name")
@click.argument("overrides", nargs=-1)
@click.option("--mode", metavar="MODE", help="Of this root cause alone; else of any.")
@click.option(
    "--kind", metavar="KIND", help="Of the library, such as longest, or judge; else any assertion."
)
@click.option(
    "--check", "own", metavar="CHECK",
    help="Your function, my_checks.cited, or the library's: 'longest(words=200)'.",
)  # fmt: skip
@click.option("--alarms", default=0.1, show_default=True, help="The most passes it may flag.")
@click.option("--run", metavar="RUN", help="It has to catch what the judge of RUN misses.")
@click.option("--pytest", type=FILE, metavar="FILE", help="Write it as a test of your own suite.")
@click.option("--dry-run", is_flag=True, help="With --kind judge: what it takes; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="What dev says of it as JSON.")
def propose_check(
    name: str, overrides: Sequence[str], kind: str | None, dry_run: bool, **options: Any
) -> None:
    """An assertion fitted on train, or a judge of one root cause, accepted by dev.

    It becomes judge=NAME, for panels too. Exit 1 where it is refused.
    """
    if kind == "judge":
        from judgelab.commands import propose_judge

        if [options.pop(one) for one in ("own", "pytest")] != [None, None]:
            raise click.UsageError("--check and --pytest are of assertions, not of --kind judge")
        propose_judge.judge(name, overrides, dry_run=dry_run, **options)
        return
    from judgelab.commands import propose_check as command

    if dry_run:
        raise click.UsageError("--dry-run is of --kind judge: an assertion sends no calls")
    command.check(name, overrides, kind=kind, **options)


@cli.group(cls=Commands)
def calls() -> None:
    """The answers that were paid for."""


@calls.command()
@click.option("--json", "as_json", is_flag=True, help="The tables as JSON.")
def stats(as_json: bool) -> None:
    """Answers, tokens and money by model, and what they saved."""
    from judgelab.commands import calls as command

    command.stats(as_json=as_json)


@calls.command(epilog=OF_RUN)
@click.argument("words", nargs=-1, required=True, metavar="RUN FILE | --all FILE")
@click.option("--all", "whole", is_flag=True, help="The whole store, not the answers of one run.")
@click.option("--force", is_flag=True, help="Replace a FILE that is there.")
def export(words: Sequence[str], whole: bool, force: bool) -> None:
    """The answers of RUN, or all, into one FILE for another machine."""
    from judgelab.commands import calls as command

    if len(words) != 2 - whole:
        raise click.UsageError("give RUN and FILE, or --all and FILE")
    command.export(None if whole else words[0], Path(words[-1]), force=force)


@calls.command("import")
@click.argument("file", type=click.Path(path_type=Path))
def import_(file: Path) -> None:
    """Take in the answers of an exported FILE; those already here stay."""
    from judgelab.commands import calls as command

    command.take_in(file)


@calls.command()
@click.option("--older-than", type=click.IntRange(0), metavar="DAYS", help="Answers of that age.")
@click.option("--endpoint", help="Answers of this endpoint.")
@click.option("--model", help="Answers of this model.")
@click.option("--unused", is_flag=True, help="Answers that no run folder in runs/ holds.")
@click.option("--quarantine", is_flag=True, help="The damaged answers that were set aside.")
@click.option("--yes", is_flag=True, help="Delete; without it they are only counted.")
def prune(
    older_than: int | None,
    endpoint: str | None,
    model: str | None,
    unused: bool,
    quarantine: bool,
    yes: bool,
) -> None:
    """Delete answers that fit all conditions given."""
    from judgelab.commands import calls as command

    wanted = command.Wanted(older_than, endpoint, model, unused)
    command.prune(wanted, quarantine=quarantine, yes=yes)


@cli.command()
@click.option("--port", default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
def ui(port: int, host: str) -> None:
    """The MLflow UI on this lab."""
    from judgelab.tracking.ui import serve

    serve(port, host)


def main() -> None:
    """Run a command; a user's mistake is one message and an exit code, never a traceback."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Nearly all that is made here stays to the end: looks for garbage are rare, and none at exit.
    gc.set_threshold(GARBAGE)
    atexit.register(gc.freeze)
    # Last, so that a random.py in the lab is not taken for Python's own.
    sys.path.append(os.environ.get("JUDGELAB_HOME") or os.getcwd())
    sys.exit(_guarded(lambda: cli(standalone_mode=False, prog_name="judgelab")))


def _guarded(command: Callable[[], Any]) -> int:
    signals = _Signals()
    try:
        code = command()
    except Stopped as error:
        return _interrupted(error)
    except (UserError, ClaimError, IncompleteError) as error:
        _say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(Stopped(signals.last))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (OSError, sqlite3.Error) as error:
        where = getattr(error, "filename", None) or resources.lab()
        why = getattr(error, "strerror", None) or error
        if is_full(error):
            _say(f"{where}: {why}. Give it space. {_again()}")
            return IncompleteError.exit_code
        _say(f"{where}: {why}. The lab has to be a folder to write in.")
        return 2
    return code if isinstance(code, int) else 0


def _interrupted(error: Stopped) -> int:
    _say(f"interrupted. {_again()}")
    return error.exit_code


def _again() -> str:
    return f"What is answered is kept; go on with: judgelab {shlex.join(sys.argv[1:])}"


def _say(message: str) -> None:
    """The one message; what servers and libraries said in it may hold a key."""
    from judgelab.models.secrets import blot, known

    click.echo(f"judgelab: {blot(message, known().values())}", err=True)


class _Signals:
    """SIGTERM ends like Ctrl-C, which the event loop ends cleanly; `last` says which it was."""

    def __init__(self) -> None:
        self.last = int(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: Any) -> None:
        self.last = number
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # a shell ignores SIGINT for what it starts with &
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)


if __name__ == "__main__":
    main()
