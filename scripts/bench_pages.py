"""How long the expert's pages take to make, over many interactions.

    python scripts/bench_pages.py                # 10,000 interactions, 3,000 label events
    python scripts/bench_pages.py --items 500 --events 100 --times 3

Run it with the Python of judgelab's environment. `judgelab review` runs in a process of its own;
each page is asked for over loopback: another item, another search each time, and after another
label where it says so. Milliseconds from the request to the last byte of the answer; the last
column is the median over that of a file that the same server sends as it is. Ends with 1 where the
median of a page is over 100 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from judgelab.data.events import Event
from judgelab.types import Interaction

PROMISED = 100  # milliseconds
BASELINE = "/static/style.css"
WORDS = [
    "window",
    "retry",
    "tenant",
    "query",
    "column",
    "shipment",
    "refund",
    "invoice",
    "region",
    "latency",
]
LABEL = "after a label: "
PAGES = {
    "a file as it is": BASELINE,
    "overview": "/",
    "next unlabelled item": "/item?queue=unlabelled",
    "next item of the thinnest cell": "/item?queue=stratified",
    "an item": "/item?id=i{n}",
    "its history": "/history?id=i{n}",
    "search": "/item?queue=search&about=window+{n}",
    "more like this": "/item?queue=like&about=i{n}",
    "fails without a root cause": "/item?queue=causes",
    "root causes": "/causes",
    "rubric": "/rubric",
    LABEL + "next unlabelled item": "/item?queue=unlabelled",
    LABEL + "next item of the thinnest cell": "/item?queue=stratified",
    LABEL + "overview": "/",
}


def lab(folder: Path, items: int, events: int) -> None:
    """A lab with so many interactions and labels."""
    rng = random.Random(0)
    made = [
        Interaction(
            id=f"i{n}",
            input=" ".join(rng.choices(WORDS, k=30)) + f" {n}?",
            output=" ".join(rng.choices(WORDS, k=200)) + f" {n}.",
            dimensions={"feature": str(n % 9), "persona": str(n % 5)},
        )
        for n in range(items)
    ]
    rows = ({"id": one.id, "input": one.input, "output": one.output,
             "dimensions": dict(one.dimensions)} for one in made)  # fmt: skip
    write(folder / "data.jsonl", rows)
    labels = (
        Event(id=one.id, content=one.content, expert="ann", verdict=rng.choice(("pass", "fail")),
              critique=" ".join(rng.choices(WORDS, k=12)), sequence=number, version=1,
              supersedes=None, at="2026-01-01T00:00:00+00:00")
        for number, one in enumerate(rng.sample(made, events), 1)
    )  # fmt: skip
    (folder / "labels").mkdir()
    write(folder / "labels" / "own.jsonl", map(asdict, labels))


def write(path: Path, rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))  # type: ignore[attr-defined]


class Browser:
    """One that asks `judgelab review` of a lab, without drawing anything."""

    def __init__(self, folder: Path) -> None:
        words = ["review", "dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl"]
        command = [sys.executable, "-m", "judgelab.cli", *words, "--expert", "ann"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout
        self.host = urlsplit(self.process.stdout.readline().strip()).netloc
        if not self.host:
            sys.exit("judgelab review did not start")

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[float, str]:
        """Milliseconds, and the page."""
        line = http.client.HTTPConnection(self.host, timeout=600)
        began = time.perf_counter()
        if form is None:
            line.request("GET", path)
        else:
            headers = {"Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin",
                       "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
            line.request("POST", path, urlencode(form), headers)
        answer = line.getresponse()
        page = answer.read().decode()
        took = 1000 * (time.perf_counter() - began)
        line.close()
        if answer.status not in (200, 303):
            sys.exit(f"{path}: {answer.status}\n{page[-500:]}")
        return took, page

    def label(self) -> float:
        """Label the next unlabelled item; milliseconds until it is on disk."""
        page = self.ask("/item?queue=unlabelled")[1]
        fields = page[page.index('action="/label"') :]
        found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', fields))
        said = {"verdict": "fail", "critique": "The window is another one than was asked for."}
        return self.ask("/label", {k: found[k] for k in ("id", "head", "opened")} | said)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--times", type=int, default=15, help="requests a page")
    given = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in PAGES}
    saved = []
    with tempfile.TemporaryDirectory() as folder:
        lab(Path(folder), given.items, given.events)
        browser = Browser(Path(folder))
        try:
            first = browser.ask("/")[0]
            for name, path in PAGES.items():
                browser.ask(path.format(n=given.times))
                for n in range(given.times):
                    if name.startswith(LABEL):
                        saved.append(browser.label())
                    took[name].append(browser.ask(path.format(n=n))[0])
        finally:
            browser.process.send_signal(signal.SIGINT)
            browser.process.wait()
    took["a label, until it is on disk"] = saved
    least = statistics.median(took["a file as it is"])
    size = f"{given.items:,} interactions, {given.events:,} label events"
    print(f"{size}; the first page of all {first:.0f} ms")
    print(f"{'ms':<46} median   worst   ratio")
    for name, each in took.items():
        middle = statistics.median(each)
        print(f"{name:<46} {middle:6.1f}  {max(each):6.1f}  {middle / least:6.1f}")
    slow = [name for name, each in took.items() if statistics.median(each) > PROMISED]
    print(f"over {PROMISED} ms: {', '.join(slow) or 'none'}")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
