"""labels/<name>.taxonomy.yaml: the failure modes of a dataset, which the team names and owns.

    # name: what fails, in a sentence
    invalid_query: The query does not run, or names a column that is not there.
    wrong_window:
      description: The time range is not the one that was asked for.
      was: [bad_dates]        # earlier names; what was classified under them counts here

What was classified says under which version, the hash of what the file means.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.appended import replace_whole
from judgelab.data.readers.problems import quoted, shown
from judgelab.errors import DataError
from judgelab.types import sha256

LONGEST = 80  # characters of a name
SEPARATOR = ";"  # between names in a cell
HEAD = "# The failure modes of {name}. Yours to edit; name: what fails, in a sentence.\n"


def taxonomy_path(name: str) -> Path:
    """Where the lab keeps the failure modes of a dataset."""
    return resources.lab() / "labels" / f"{name}.taxonomy.yaml"


@dataclass(frozen=True)
class Mode:
    """A named root cause; `was` are names it had before, or of modes that it took in."""

    name: str
    description: str = ""
    was: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taxonomy:
    """The modes, in the file's order."""

    modes: tuple[Mode, ...] = ()

    @property
    def names(self) -> list[str]:
        return [mode.name for mode in self.modes]

    @cached_property
    def _now(self) -> Mapping[str, str]:
        return {key(name): mode.name for mode in self.modes for name in (mode.name, *mode.was)}

    @property
    def sha256(self) -> str:
        """Hash of what it says, whatever its order and layout."""
        return sha256(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Name -> description and earlier names."""
        return {
            mode.name: {"description": mode.description, "was": list(mode.was)}
            for mode in self.modes
        }

    def spelt(self, name: str) -> str | None:
        """Today's name of the mode that this names, or named: whatever its case, spaces and
        underscores. None where there is none."""
        return self._now.get(key(name))

    def in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Today's names of these, without those that are no modes any more."""
        found = {self.spelt(name) for name in names}
        return tuple(name for name in self.names if name in found)

    def near(self, name: str) -> str:
        """The mode whose name is most like this one, or ""."""
        close = difflib.get_close_matches(key(name), self._now, n=1)
        return self._now[close[0]] if close else ""


def key(name: str) -> str:
    """What names are compared by."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def named(name: str) -> str:
    """A name as it is kept. Raises ValueError for what cannot be one."""
    made = " ".join(name.split())
    if not key(made) or SEPARATOR in made or not made.isprintable():
        raise ValueError(f"the name of a failure mode is {quoted(name)}; allowed: words, no ;")
    if len(made) > LONGEST:
        raise ValueError(f"the name of a failure mode has {len(made)} characters, of {LONGEST}")
    return made


def read_taxonomy(path: Path) -> Taxonomy:
    """The file's modes; none where there is no file. Raises DataError for what is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Taxonomy()
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8 at byte {error.start}.") from error
    return _parsed(text, shown(path))


def add_modes(path: Path, modes: Sequence[Mode]) -> Taxonomy:
    """Put modes behind the others; the file's own lines and comments stay as they are.

    Raises DataError for a name that is taken, and where the file cannot be added to by lines.
    """
    before = read_taxonomy(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.strip():
        text = HEAD.format(name=path.name.removesuffix(".taxonomy.yaml"))
    added = [Mode(named(one.name), " ".join(one.description.split())) for one in modes]
    new = "".join(f"{_yaml(mode.name)}: {_yaml(mode.description)}\n" for mode in added)
    whole = text + ("" if text.endswith("\n") else "\n") + new
    made = _parsed(whole, f"{shown(path)}, with what is added")
    if made.modes != (*before.modes, *added):
        raise DataError(f"{shown(path)}: write one mode a line, name: description, at the margin.")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_whole(path, whole.encode())
    return made


def _parsed(text: str, where: str) -> Taxonomy:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise DataError(f"{where} cannot be read: {error}") from error
    if node is None:
        return Taxonomy()
    if not isinstance(node, yaml.MappingNode):
        raise DataError(f"{where} holds no modes. Allowed: one a line, name: description.")
    modes: list[Mode] = []
    taken: set[str] = set()
    for name, said in node.value:
        try:
            mode = _mode(_plain(name), _plain(said))
            for one in (mode.name, *mode.was):
                if key(one) in taken:
                    raise ValueError(f"{quoted(one)} stands there twice")
                taken.add(key(one))
        except ValueError as error:
            raise DataError(f"{where}, line {name.start_mark.line + 1}: {error}.") from error
        modes.append(mode)
    return Taxonomy(tuple(modes))


def _plain(node: Any) -> Any:
    """What stands there, every scalar as its text: `no` is a name like any other."""
    if node.id == "mapping":
        return {_plain(name): _plain(said) for name, said in node.value}
    return [_plain(one) for one in node.value] if node.id == "sequence" else node.value


def _mode(name: Any, said: Any) -> Mode:
    more = said if isinstance(said, dict) else {"description": said}
    if odd := sorted(map(str, more.keys() - {"description", "was"})):
        raise ValueError(f"a mode has no {', '.join(odd)}; allowed: description, was")
    text, was = more.get("description", ""), more.get("was", [])
    if not isinstance(text, str):
        raise ValueError(f"the description of {name} is {quoted(text)}; allowed: a text")
    if not isinstance(was, list):
        raise ValueError(f"was of {name} is {quoted(was)}; allowed: a list of earlier names")
    return Mode(named(str(name)), " ".join(text.split()), tuple(named(str(one)) for one in was))


def _yaml(text: str) -> str:
    """A text as YAML: as it is where that is read as one, else in quotes."""
    words = text.replace(" ", "").replace("_", "")
    if words.isalpha() and words.isascii():
        return text
    return "".join(
        char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in json.dumps(text, ensure_ascii=False)
    )
