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
from judgelab.errors import ClaimError, IncompleteError, Stopped, UserError

# Without these the libraries underneath try the network on every start, and numpy starts a thread
# a core that spins for work: nothing here multiplies matrices.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OPENBLAS_NUM_THREADS": "1",
}
GARBAGE = 50_000  # new objects between two looks for garbage


class Commands(click.Group):
    """Listed in the order people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Build an LLM judge that shadows your domain expert, and know how good it is.

    RUN is a folder, a unique prefix of a run's id, an MLflow run id, or `latest`.
    OVERRIDES are Hydra's: key=value, with -m also key=a,b.
    """


@cli.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def init(file: Path | None) -> None:
    """A lab from your FILE of labelled interactions, or around the sample."""
    from judgelab.commands import init as command

    command.init(file)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-m", "--multirun", is_flag=True, help="Sweep: key=a,b is an axis.")
@click.option("--dry-run", is_flag=True, help="Count calls, tokens and money; send nothing.")
@click.option("--cfg", is_flag=True, help="Print the composed config and where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="The leaderboard as JSON.")
def run(overrides: Sequence[str], multirun: bool, dry_run: bool, cfg: bool, as_json: bool) -> None:
    """Judge and score: one variant, or with -m a sweep."""
    from judgelab.commands import run as command

    if cfg:
        command.show_config(overrides)
    elif dry_run:
        command.dry_run(overrides, multirun=multirun)
    else:
        command.run(overrides, multirun=multirun, as_json=as_json)


@cli.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="The scorecard as JSON.")
def holdout(run: str, as_json: bool) -> None:
    """The look at the test split with the judge of RUN, written down."""
    from judgelab.commands import holdout as command

    command.holdout(run, as_json=as_json)


@cli.command()
@click.argument("run")
@click.option("--live", is_flag=True, help="Ask the model again instead of replaying.")
@click.option("--data", type=click.Path(), help="The dataset's file, where it has moved.")
def rerun(run: str, live: bool, data: str | None) -> None:
    """RUN again from its record; exit 1 where verdicts or scores differ."""
    from judgelab.commands import rerun as command

    command.rerun(run, live=live, data=data)


@cli.command()
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="Expert labels.")
@click.option(
    "--verdicts",
    "verdicts",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Verdicts of one or several judges; may be given more than once.",
)
@click.option(
    "--policy",
    type=click.Choice(["error", "as_fail", "as_pass", "exclude"]),
    default="error",
    show_default=True,
    help="What an abstention counts as.",
)
@click.option("--group", help="Cluster intervals by this field, such as context.question_id.")
@click.option("--json", "as_json", is_flag=True, help="The scorecards as JSON.")
@click.argument("more", nargs=-1, type=click.Path(path_type=Path))
def score(
    labels: Path,
    verdicts: Sequence[Path],
    policy: str,
    group: str | None,
    as_json: bool,
    more: Sequence[Path],
) -> None:
    """Verdicts from any tool against expert labels."""
    from judgelab.commands import score as command

    command.score(labels, [*verdicts, *more], policy=policy, group=group, as_json=as_json)


@cli.group()
def data() -> None:
    """What a dataset holds, and what is wrong with it."""


@data.command()
@click.argument("overrides", nargs=-1)
def check(overrides: Sequence[str]) -> None:
    """Labels, critiques usable as demos, duplicates, contradictions."""
    from judgelab.commands import data as command

    command.check(overrides)


@data.command()
@click.argument("overrides", nargs=-1)
def split(overrides: Sequence[str]) -> None:
    """Who is train, dev and test, by label and dimension."""
    from judgelab.commands import data as command

    command.split(overrides)


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
        click.echo(f"judgelab: {error}", err=True)
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
        click.echo(f"judgelab: {where}: {why}. The lab has to be a folder to write in.", err=True)
        return 2
    return code if isinstance(code, int) else 0


def _interrupted(error: Stopped) -> int:
    again = f"go on with: judgelab {shlex.join(sys.argv[1:])}"
    click.echo(f"judgelab: interrupted. What is answered is kept; {again}", err=True)
    return error.exit_code


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
