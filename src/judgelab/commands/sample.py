"""`judgelab generate sample`: interactions from logs and traces that there are already."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from judgelab import config as configs
from judgelab.commands import show
from judgelab.commands.coverage import dimensions_of
from judgelab.data.cells import grid
from judgelab.data.schema import DatasetConfig, load
from judgelab.data.sheets.writing import write_jsonl
from judgelab.errors import ConfigError, UserError
from judgelab.generate.sampling import draw


def sample(file: Path, overrides: Sequence[str], *, n: int, by: str | None, force: bool) -> None:
    """Write n of the dataset's interactions, without labels.

    Raises:
        UserError: a file that is there, another format, no such dimension.
    """
    if file.suffix != ".jsonl":
        raise UserError(f"{file}: interactions are JSONL; give a name in .jsonl.")
    if file.exists() and not force:
        raise UserError(f"{file} is there already. Give another name, or --force to replace it.")
    with configs.hydra():
        config = configs.compose(overrides, lenient=True).config
        node, seed = configs.resolved(config.dataset), config.seed
        dimensions = configs.resolved(config.dimensions) if config.dimensions else None
    dataset = load(configs.build(node, DatasetConfig, "dataset"))
    names = [name.strip() for name in by.split(",")] if by else []
    cells = grid(dataset.interactions, dimensions_of(dimensions), names) if by else None
    if cells is not None and not any(one.dimensions for one in dataset.interactions):
        raise ConfigError(
            f"--by {by}: no item has a dimension. dataset.columns.dimensions names their columns."
        )
    drawn = draw(dataset.interactions, n, seed, cells)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(file, [one.to_json() for one in drawn])
    show.notes(dataset.notes)
    how = f"evenly by {', '.join(cells.names)}" if cells else "at random"
    show.line(f"{len(drawn)} of {len(dataset.interactions)} interactions, {how}, in {file}")
    if cells:
        show.notes(["each stands for metadata.weight others: judgelab score --weights takes it"])
    own = f"dataset=jsonl dataset.path={shlex.quote(str(file))} dataset.name={file.stem}"
    show.next_steps([f"label them: judgelab review {own}"])
