"""report.html of a sweep: one file that a colleague without the lab can read.

It holds no script and asks for nothing from anywhere; a policy in its head says so to the browser.
Every text of the data is escaped. Every number is that of a file in the run folders and names it
(see `sourced`), or is counted from the data and says that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from judgelab.data.schema import Dataset
from judgelab.tracking import texts
from judgelab.tracking.contents import WITH_TEST, Contents
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import Sweep

REPORT = "report.html"


def write(
    sweep: RunFolder,
    runs: Sequence[RunFolder],
    dataset: Dataset,
    *,
    test_texts: bool = False,
) -> Path | None:
    """Writes report.html into the sweep's folder; the same folders give the same bytes.

    Args:
        sweep: its folder, with sweep.json.
        runs: its runs, best first; none are those of sweep.json. Looks at test are found beside
            them and need not be among them.
        dataset: what was judged. Where it has changed since, counts and texts are left out.
        test_texts: whether the texts of test items that were judged wrongly may be shown.

    Returns:
        The file; None where no run of the sweep is there.
    """
    found = Sweep.of(sweep)
    if found is None:
        return None
    own = [folder for folder in runs if folder.id in found.about["runs"] and folder.exists]
    there = Sweep(sweep, found.about, own or found.ranked)
    page = _template().render(Contents(there, dataset, test_texts).all())
    sweep.write(REPORT, page)
    return sweep.path / REPORT


def shows_test(path: Path) -> bool:
    """Whether a report shows texts of test items."""
    return WITH_TEST in path.read_text("utf-8").split("</head>")[0]


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"prose": texts.prose, "cut": texts.cut}
    return environment.from_string(Path(__file__).with_name("report.html.j2").read_text("utf-8"))
