"""A comparison as pictures: the first of its metrics against what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fieldwise.comparison.results import Results, Summary
from fieldwise.reporting.figures import can_draw, new_figure, save_figure, scale_by_logarithm, set_title
from fieldwise.reporting.labels import place_labels


def draw(results: Results, directory: Path) -> list[Path]:
    """Draw the first metric on the test rows against parameters and against training time, as PNG and SVG.

    Args:
        results: of the comparison.
        directory: where; made where it is missing.

    Returns:
        The files, none without matplotlib.

    Raises:
        StorageError: the directory cannot be written to.
    """
    if not can_draw():
        return []
    metric = results.metrics[0]
    shown: dict[str, tuple[str, Callable[[Summary], float | None]]] = {
        "parameters": ("parameters without embeddings", lambda s: s.parameters_without_embeddings),
        "time": ("seconds of training", lambda s: s.seconds),
    }
    written = []
    for name, (label, value) in shown.items():
        points = [
            (summary, x, figure)
            for summary in results.summaries()
            if (figure := summary.figures.get(metric.name)) is not None and (x := value(summary))
        ]
        if not points:
            continue
        picture = new_figure(8, 5)
        axes = picture.subplots()
        for summary, x, figure in points:
            ours = summary.name in results.ours
            axes.errorbar(
                [x], [figure.mean], yerr=[figure.std or 0.0], fmt="o", color="C3" if ours else "C0", capsize=3
            )
        scale_by_logarithm(axes, [x for _, x, _ in points])
        axes.margins(x=0.12)
        drawn = {summary.name for summary, _, _ in points}
        left_out = [s.name for s in results.summaries() if metric.name in s.figures and s.name not in drawn]
        axes.set_xlabel(label + (f" (without: {', '.join(left_out)})" if left_out else ""))
        axes.set_ylabel(f"test {metric.label}")
        set_title(axes, results.source)
        axes.grid(alpha=0.3)
        # Ours come first, for what finds no room has no label.
        points.sort(key=lambda point: point[0].name not in results.ours)
        place_labels(
            picture,
            axes,
            [(x, figure.mean, summary.name) for summary, x, figure in points],
            [(x, figure.mean) for _, x, figure in points],
        )
        written += save_figure(picture, directory / f"{metric.name.replace('_', '-')}-against-{name}")
    return written
