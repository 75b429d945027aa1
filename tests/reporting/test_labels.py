"""Labels of points: none covers another or a point, none leaves the picture."""

import numpy as np
import pytest

figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")

from fieldwise.reporting.labels import place_labels  # noqa: E402


def placed(points, *, limits=(-0.1, 1.1), legend=False):
    figure = figures.Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*np.transpose(points), label="points")
    axes.set(xlim=limits, ylim=limits)
    if legend:
        axes.legend(loc="center")
    place_labels(figure, axes, [(x, y, f"point {i} ($x$)") for i, (x, y) in enumerate(points)], points)
    figure.draw_without_rendering()
    boxes = np.array([text.get_window_extent().extents for text in axes.texts])
    return axes, boxes


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


@pytest.mark.parametrize("legend", [False, True])
def test_labels_cover_nothing(legend):
    points = np.random.default_rng(0).random((30, 2))
    axes, boxes = placed(points, legend=legend)
    assert len(axes.texts) == 30
    frame = axes.get_window_extent().extents
    for i, box in enumerate(boxes):
        assert overlap(box, frame) == pytest.approx((box[2] - box[0]) * (box[3] - box[1]), abs=1.0)
        assert all(overlap(box, other) < 2.0 for other in boxes[i + 1 :])
        for x, y in axes.transData.transform(points):
            assert not (box[0] < x < box[2] and box[1] < y < box[3])
    if legend:
        assert all(overlap(box, axes.get_legend().get_window_extent().extents) < 2.0 for box in boxes)


def test_a_lone_point_has_its_label_at_its_side():
    axes, boxes = placed([(0.5, 0.5)])
    x, y = axes.transData.transform((0.5, 0.5))
    assert 0 < boxes[0][0] - x < 20
    assert boxes[0][1] < y < boxes[0][3]
    assert not axes.lines


def test_a_text_that_stands_away_is_joined_to_its_point():
    axes, _ = placed([(0.5, 0.5)] * 12)
    assert len(axes.texts) == 12
    assert axes.lines
    assert all(line.get_xydata()[0] == pytest.approx([0.5, 0.5]) for line in axes.lines)


def test_where_there_is_no_room_a_label_is_left_out():
    axes, boxes = placed(np.random.default_rng(0).random((120, 2)))
    assert 0 < len(axes.texts) < 120
    assert len(boxes) == len(axes.texts)


def test_no_labels():
    figure = figures.Figure()
    place_labels(figure, figure.subplots(), [], [])
