"""Labels of points in a picture, placed where there is room for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Boxes = npt.NDArray[np.float64]
"""Rows of left, low, right, high, in pixels."""

_DISTANCES = (6.0, 12.0, 20.0, 30.0, 42.0, 56.0)
_ANGLES = np.linspace(0.0, 2 * math.pi, 16, endpoint=False)
_AROUND = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""Where a label is tried: in so many points of distance, in each of these directions."""


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: Sequence[tuple[float, float, str]],
    points: Sequence[tuple[float, float]],
) -> None:
    """Write names of points at the nearest place where each covers neither another name nor a point.

    Where a text stands away from its point, a line joins them; where there is no room for it, it is left out.

    Args:
        figure: that is drawn.
        axes: of the figure, with everything else drawn.
        labels: x, y and the text, those first that must not be left out.
        points: x and y of what must not be covered.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Without a canvas that can draw, a figure would make one at every question of how large a text is.
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # only then is it known what lies where
    unit = figure.dpi / 72.0
    frame = np.array(axes.get_window_extent().extents)
    dots = axes.transData.transform(np.reshape(points, (-1, 2)))
    taken = np.hstack([dots - 4 * unit, dots + 4 * unit])
    if (legend := axes.get_legend()) is not None:
        taken = np.vstack([taken, legend.get_window_extent().extents])
    for x, y, text in labels:
        point = axes.transData.transform((x, y))
        label = axes.annotate(
            text, (x, y), (0, 0), textcoords="offset points", va="bottom", fontsize="small", parse_math=False
        )
        label.set_in_layout(False)
        extent = label.get_window_extent()
        size = np.array([extent.width, extent.height])
        # Where the text's lower left corner may lie: nearest first, its edge `distance` away from the point.
        corners = np.concatenate([point + _AROUND * (distance * unit + size / 2) - size / 2 for distance in _DISTANCES])
        places = np.hstack([corners, corners + size])
        outside = size.prod() - _overlaps(places, frame[None])
        free = _overlaps(places, taken) + outside < 1.0
        if not free.any():
            label.remove()
            continue
        best = int(np.argmax(free))
        label.set_position(tuple((corners[best] - point) / unit))
        taken = np.vstack([taken, places[best]])
        if best >= 2 * len(_AROUND):
            nearest = np.clip(point, corners[best], corners[best] + size)
            ends = axes.transData.inverted().transform([point, nearest])
            axes.plot(ends[:, 0], ends[:, 1], color="0.6", lw=0.6, zorder=0.5)


def _overlaps(places: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """The area of each place that others cover."""
    lower = np.maximum(places[:, None, :2], others[None, :, :2])
    upper = np.minimum(places[:, None, 2:], others[None, :, 2:])
    areas: npt.NDArray[np.float64] = np.clip(upper - lower, 0.0, None).prod(axis=2).sum(axis=1)
    return areas
