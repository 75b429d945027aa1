"""Figures are saved in one way: the same bytes whenever they are saved, and no trace in pyplot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fieldwise.errors import SettingsError, StorageError
from fieldwise.reporting.figures import (
    can_draw,
    new_figure,
    require_matplotlib,
    save_figure,
    scale_by_logarithm,
    set_title,
)


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    contents = []
    for folder in ("one", "two"):
        figure = new_figure(2, 1)
        axes = figure.subplots()
        axes.errorbar([1, 2], [3, 4], yerr=[0.1, 0.2], capsize=3, label="a line")
        axes.legend()
        paths = save_figure(figure, tmp_path / folder / "deep" / "0.5-heads")
        assert [path.name for path in paths] == ["0.5-heads.png", "0.5-heads.svg"]
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    assert b"<dc:date>" not in contents[0][1]
    assert sorted(path.name for path in (tmp_path / "one" / "deep").iterdir()) == ["0.5-heads.png", "0.5-heads.svg"]
    (only,) = save_figure(new_figure(2, 1), tmp_path / "only", kinds=["png"], dpi=50)
    assert only.read_bytes()[:4] == b"\x89PNG"
    assert int.from_bytes(only.read_bytes()[16:20], "big") == 100  # pixels


def test_pyplot_is_left_alone() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    code = "import sys; from fieldwise.reporting.figures import new_figure; new_figure(1, 1); "
    subprocess.run([sys.executable, "-c", code + "assert 'matplotlib.pyplot' not in sys.modules"], check=True)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match=r"cannot write .*file"):
        save_figure(new_figure(1, 1), tmp_path / "file" / "figure")


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not can_draw()
    for needs_it in (require_matplotlib, lambda: new_figure(1, 1)):
        with pytest.raises(SettingsError, match=r"pip install 'fieldwise\[plots\]'"):
            needs_it()


def test_a_title_stays_in_the_picture() -> None:
    figure = new_figure(4, 3)
    axes = figure.subplots()
    set_title(axes, ", ".join(f"clicks-of-day-{i:02d}.csv" for i in range(40)))
    figure.canvas.draw()
    box = axes.title.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert axes.get_title().count("\n") == 1
    assert axes.get_title().endswith(" …")


@pytest.mark.parametrize(
    ("values", "labels"),
    [([0.05, 12.0], {"0.1", "0.2", "0.5", "1", "5", "10"}), ([1, 250_000], {"1", "10", "1,000", "100,000"})],
)
def test_logarithms_have_plain_labels(values: list[float], labels: set[str]) -> None:
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.plot(values, values)
    scale_by_logarithm(axes, values)
    figure.canvas.draw()
    shown = {label.get_text() for label in axes.get_xticklabels()}
    assert labels <= shown
    assert not any("$" in label for label in shown)
