from __future__ import annotations

import os
from pathlib import Path

import run_folders as made

from judgelab.tracking import pictures


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    folders = [made.run(tmp_path / place, "nearest k=4", wrong=[0]) for place in ("a", "b")]
    for folder in folders:
        pictures.confusion(folder)
        pictures.leaderboard(folder, folders[:1])
    for name in ("confusion.png", "confusion.svg", "leaderboard.png", "leaderboard.svg"):
        first, second = ((folder.path / name).read_bytes() for folder in folders)
        assert first == second
        assert len(first) > 2000


def test_a_picture_is_drawn_again_only_where_the_scores_are_newer(tmp_path: Path) -> None:
    folder = made.run(tmp_path, "nearest k=4")
    pictures.confusion(folder)
    picture = folder.path / "confusion.png"
    picture.write_bytes(b"kept")
    pictures.confusion(folder)
    assert picture.read_bytes() == b"kept"
    later = picture.stat().st_mtime + 5
    os.utime(folder.path / "scores.json", (later, later))
    pictures.confusion(folder)
    assert picture.read_bytes() != b"kept"


def test_an_incomplete_run_has_no_picture(tmp_path: Path) -> None:
    folder = made.run(tmp_path, "nearest k=4", complete=False)
    pictures.confusion(folder)
    assert not (folder.path / "confusion.png").exists()


def test_the_matrix_has_experts_rows_judges_columns_and_abstentions_where_there_are(
    tmp_path: Path,
) -> None:
    folder = made.run(tmp_path, "nearest k=4", wrong=[0])
    card = folder.scores
    texts = _texts(pictures._confusion(card, folder.record))
    assert texts == ["3\n75%", "1\n25%\nmissed failures", "0\n0%\nfalse alarms", "4\n100%"]

    card["confusion"] |= {"fn": 0, "abstained_fail": 1}
    texts = _texts(pictures._confusion(card, folder.record))
    assert texts[1:3] == ["0\n0%\nmissed failures", "1\n25%"]
    assert len(texts) == 6


def _texts(figure: object) -> list[str]:
    """What stands in the cells, row by row."""
    (axes,) = figure.axes  # type: ignore[attr-defined]
    said = [text.get_text() for text in axes.texts]
    return [f"{count}\n{share}" for count, share in zip(said[::2], said[1::2], strict=True)]
