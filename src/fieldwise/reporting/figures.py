"""Figures: made without pyplot, whose state belongs to the user, and saved in one way.

Drawing is optional: `can_draw` tells whether it is possible, and everything else says what to install.
"""

from __future__ import annotations

import importlib.util
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fieldwise.errors import SettingsError
from fieldwise.storage.atomic import write_bytes
from fieldwise.storage.places import place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["png", "svg"]

_DPI = 150
_SHORT = 300.0
"""Largest by smallest value up to which an axis has labels at 2 and 5 too."""
_METADATA: dict[Kind, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""What would differ from day to day or from one version to the next is left out."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    try:
        return importlib.util.find_spec("matplotlib") is not None
    except ValueError:  # a module that was taken away has no spec
        return False


def require_matplotlib() -> None:
    """Say what to install where nothing can be drawn.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    if not can_draw():
        raise SettingsError("pictures need matplotlib; install it with: pip install 'fieldwise[plots]'")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, whose layout follows what is drawn.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def set_title(axes: Axes, text: str) -> None:
    """A title that stays within the picture, on two lines at most.

    Args:
        axes: what it is of.
        text: of any length; what finds no room ends in an ellipsis.
    """
    figure = axes.figure
    width = int(9 * figure.bbox.width / figure.dpi)  # nine characters to an inch
    lines = textwrap.wrap(text, width, max_lines=2, placeholder=" …")
    axes.set_title("\n".join(lines), parse_math=False)


def scale_by_logarithm(axes: Axes, values: Sequence[float]) -> None:
    """A horizontal axis by the logarithm with plain numbers: 0.1, 1, 10, 1,000, and 2 and 5 between where it is short.

    Args:
        axes: whose axis.
        values: that lie along it, positive.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    is_short = max(values) / min(values) < _SHORT
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if is_short else (1.0,), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save_figure(figure: Figure, path: Path, *, kinds: Sequence[Kind] = ("png", "svg"), dpi: float = _DPI) -> list[Path]:
    """Save a figure once per kind of file; the same figure gives the same bytes, whenever it is saved.

    Args:
        figure: what `new_figure` made.
        path: the file without its ending. Its folder is made where it is missing.
        kinds: the endings.
        dpi: dots per inch, of PNG and of images within SVG.

    Returns:
        The files.

    Raises:
        StorageError: where a file cannot be written.
    """
    import matplotlib as mpl

    path, written = place(path), []
    for kind in kinds:
        picture = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": "fieldwise"}):  # else ids in an SVG are random
            figure.savefig(picture, format=kind, dpi=dpi, metadata=_METADATA[kind])
        written.append(write_bytes(path.with_name(f"{path.name}.{kind}"), picture.getvalue()))
    return written
