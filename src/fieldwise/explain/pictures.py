"""An architecture as pictures, after AIM's Fig. 7, Fig. 8 and Table 6 (Zhu et al. 2021, arXiv 2111.03318)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldwise.architecture import Architecture, num_tuples
from fieldwise.errors import SettingsError, suggest
from fieldwise.explain.summary import FieldSize, name_tuple, summarise
from fieldwise.metrics import rank_correlation
from fieldwise.reporting.figures import can_draw, new_figure, save_figure, scale_by_logarithm
from fieldwise.reporting.labels import place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Fields = tuple[str, ...]
Statistics = Mapping[Fields, float]
"""statistics_AUC of field tuples, as `ClickStatistics.best` gives it."""

_LONGEST_NAME = 24
"""Characters of a name; longer ones are cut."""
_MOST_LABELS = 60
_SMALLEST_LETTER = 3.0
"""Points; smaller letters are left out."""
_MOST_DRAWN = 2000
"""Marks of an SVG that are drawn one by one; more become an image in it."""
_MARKERS = {"categorical": "o", "numeric": "^", "multi_valued": "s"}


def draw(architecture: Architecture, directory: Path, *, statistics: Statistics | None = None) -> list[Path]:
    """Draw an architecture as PNG and SVG; the paths. Nothing without matplotlib or without any interaction.

    embedding-sizes: embedding size against vocabulary size, a point per field, with its name where there is room.
    functions: how many interactions of each order each function has; with `statistics` also where they stand in it.
    gates: |gate| against statistics_AUC, a panel per order; only with `statistics`.
    pairs: the kept pairs as a map of field by field; only with interactions of order 2.

    Args:
        architecture: What to draw.
        directory: Where; is made.
        statistics: Of tuples that are kept and of tuples that are not; of what is left out nothing is drawn.

    Raises:
        SettingsError: For a tuple of unknown fields.
        StorageError: Where the directory cannot be written to.

    >>> fields = {name: {"kind": "categorical", "size": 9} for name in ("user", "movie")}
    >>> draw(Architecture.model_validate({"embedding_dim": 4, "fields": fields}), Path("pictures"))  # nothing is kept
    []
    """
    statistics = _in_schema_order(architecture, statistics or {})
    if not can_draw():
        return []
    figures: dict[str, Figure] = {}
    if architecture.interactions:
        figures["embedding-sizes"] = _draw_sizes(architecture)
        figures["functions"] = _draw_functions(architecture, statistics)
    if any(len(fields) in architecture.orders for fields in statistics):
        figures["gates"] = _draw_gates(architecture, statistics)
    if 2 in architecture.orders:
        figures["pairs"] = _draw_pairs(architecture)
    return [path for name, figure in figures.items() for path in save_figure(figure, directory / name)]


def _in_schema_order(architecture: Architecture, statistics: Statistics) -> dict[Fields, float]:
    place = {name: number for number, name in enumerate(architecture.fields)}
    ordered = {}
    for fields, value in statistics.items():
        for name in fields:
            if name not in place:
                raise SettingsError(f"statistics of {fields}: there is no field '{name}'; {suggest(name, place)}")
        ordered[tuple(sorted(fields, key=place.__getitem__))] = value
    return ordered


def _draw_gates(architecture: Architecture, statistics: Statistics) -> Figure:
    """Fig. 7: a panel per order."""
    orders = [order for order in architecture.orders if any(len(fields) == order for fields in statistics)]
    figure, panels = _panels(1, len(orders), width=6.5, height=5.5)
    colours = _colours(architecture)
    for axes, order in zip(panels[0], orders, strict=True):
        strengths = architecture.strengths(order)
        measured = {fields: value for fields, value in statistics.items() if len(fields) == order}
        gone = [value for fields, value in measured.items() if fields not in strengths]
        axes.scatter(
            gone,
            np.zeros(len(gone)),
            s=18,
            color="0.6",
            marker="x",
            lw=0.8,
            label=f"not kept ({len(gone):,})",
            rasterized=len(gone) > _MOST_DRAWN,
        )
        # Each tuple once, in the colour of its strongest function.
        by_function: dict[str, list[Fields]] = {}
        strongest: dict[Fields, str] = {}
        for interaction in architecture.of(order):
            if interaction.fields in measured and interaction.fields not in strongest:
                strongest[interaction.fields] = interaction.function
                by_function.setdefault(interaction.function, []).append(interaction.fields)
        for function in sorted(by_function, key=list(colours).index):
            tuples = by_function[function]
            axes.scatter(
                [measured[fields] for fields in tuples],
                [strengths[fields] for fields in tuples],
                s=22,
                color=colours[function],
                alpha=0.75,
                lw=0,
                label=f"{_short(function)} ({len(tuples):,})",
            )
        title = f"order {order}"
        if unknown := len(strengths.keys() - measured.keys()):
            title += f" ({unknown:,} kept tuples without statistics_AUC are not shown)"
        axes.set_title(title, parse_math=False)
        axes.set_xlabel("statistics_AUC")
        axes.set_ylabel("|gate| of the strongest function")
        axes.set_ylim(-0.06 * max(strengths.values(), default=1.0), None)
        axes.margins(0.08)
        axes.grid(alpha=0.3)
        rho = rank_correlation(list(measured.values()), [strengths.get(fields, 0.0) for fields in measured])
        told = "" if rho is None else f"rank correlation {rho:+.2f}"
        _set_legend(axes, told)
    for axes, order in zip(panels[0], orders, strict=True):
        strengths = architecture.strengths(order)
        measured_tuples = [fields for fields in strengths if fields in statistics]
        labels = [(statistics[f], strengths[f], name_tuple(map(_short, f))) for f in measured_tuples[:3]]
        place_labels(figure, axes, labels, [(statistics[f], strengths[f]) for f in measured_tuples])
    return figure


def _draw_functions(architecture: Architecture, statistics: Statistics) -> Figure:
    """Fig. 8: a row per order; how often each function is kept, and the statistics_AUC of what it computes."""
    from matplotlib.ticker import MaxNLocator

    summary = summarise(architecture)
    rows = len(summary.orders)
    figure, panels = _panels(rows, 2 if statistics else 1, width=6.5, height=max(1.6, 0.5 * len(summary.functions) + 1))
    colours = _colours(architecture)
    jitter = np.random.default_rng(0)
    for line, order in zip(panels, summary.orders, strict=True):
        functions = list(order.by_function)
        counts = [order.by_function[function] for function in functions]
        heights = np.arange(len(functions))
        bars = line[0].barh(heights, counts, color=[colours[function] for function in functions])
        line[0].bar_label(
            bars, [f"{count:,} ({count / order.all_tuples:.1%})" for count in counts], padding=4, fontsize="small"
        )
        line[0].set_xlim(0, max(counts) * 1.25)
        line[0].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        line[0].set_xlabel("kept interactions (share of all field tuples)")
        line[0].set_title(f"order {order.order}: {order.tuples:,} of {order.all_tuples:,} field tuples are kept")
        _name_ticks(line[0], "y", functions)
        line[0].invert_yaxis()
        if not statistics:
            continue
        measured = {fields: value for fields, value in statistics.items() if len(fields) == order.order}
        by_function = {
            f: [measured[i.fields] for i in architecture.of(order.order, f) if i.fields in measured] for f in functions
        }
        strengths = architecture.strengths(order.order)
        groups = {**by_function, "not kept": [value for fields, value in measured.items() if fields not in strengths]}
        for height, (name, values) in enumerate(groups.items()):
            spread = height + jitter.uniform(-0.28, 0.28, len(values))
            colour = colours[name] if height < len(functions) else "0.6"
            line[1].scatter(values, spread, s=10, color=colour, alpha=0.5, lw=0, rasterized=len(values) > _MOST_DRAWN)
            if values:
                median = float(np.median(values))
                line[1].plot([median, median], [height - 0.4, height + 0.4], color="black", lw=1.5)
        _name_ticks(line[1], "y", list(groups))
        line[1].set_ylim(len(groups) - 0.4, -0.6)
        line[1].set_xlabel("statistics_AUC (line: median)")
        line[1].set_title(f"order {order.order}: what each function is chosen for")
        line[1].grid(axis="x", alpha=0.3)
    return figure


def _draw_sizes(architecture: Architecture) -> Figure:
    """Table 6: a point per field; fields that fall on one point share a label."""
    summary = summarise(architecture)
    width, height = (9.5, 6.5) if len(summary.fields) <= 20 else (12.0, 8.0)
    figure, panels = _panels(1, 1, width=width, height=height)
    axes = panels[0][0]
    for kind, marker in _MARKERS.items():
        fields = [field for field in summary.fields if field.kind == kind]
        if fields:
            axes.scatter(
                [field.rows for field in fields],
                [field.size for field in fields],
                marker=marker,
                alpha=0.8,
                lw=0,
                label=f"{kind.replace('_', '-')} ({len(fields)})",
            )
    scale_by_logarithm(axes, [field.rows for field in summary.fields])
    axes.set_xlabel("vocabulary size (embedding rows of the field)")
    axes.set_ylabel(f"embedding size (dimensions kept, of {summary.fields[0].full:,} over all embeddings)")
    axes.set_title(f"{summary.parameters:,} of {summary.full_parameters:,} embedding parameters are kept")
    full, largest = summary.fields[0].full, max(field.size for field in summary.fields)
    if largest > 0.6 * full:
        axes.axhline(full, color="0.5", lw=0.8, ls="--", label=f"nothing removed ({full:,})")
        largest = full
    axes.margins(x=0.08)
    axes.set_ylim(-0.06 * largest, 1.08 * largest or 1.0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False)
    shown = sorted(summary.fields, key=lambda field: -field.rows)[:_MOST_LABELS]
    labels = [_name_stack(stack) for stack in _stacks(shown, 0.035 * largest)]
    place_labels(figure, axes, labels, [(field.rows, field.size) for field in summary.fields])
    return figure


def _draw_pairs(architecture: Architecture) -> Figure:
    """The lower triangle of field by field; the colour is the |gate|, the letters are the functions."""
    # Its first row and last column would be empty.
    names = list(architecture.fields)
    rows = {name: number for number, name in enumerate(names[1:])}
    columns = {name: number for number, name in enumerate(names[:-1])}
    strengths = np.full((len(rows), len(columns)), np.nan)
    letters: dict[tuple[int, int], list[str]] = {}
    letter_of = letters_of(summarise(architecture).functions)
    for interaction in architecture.of(2):
        left, right = interaction.fields
        cell = (rows[right], columns[left])
        if cell not in letters:
            strengths[cell] = abs(interaction.gate)
        letters.setdefault(cell, []).append(letter_of[interaction.function])

    # Cells are as large as their letters need, while the whole still fits a screen; names come on top of that.
    side = min(max(0.34 * len(rows), 3.0), 20.0)
    pitch = 72.0 * side / len(rows)
    font = min(10.0, 0.8 * pitch)
    beside = max(len(_short(name)) for name in names) * 0.6 * font / 72.0
    figure, panels = _panels(1, 1, width=side + beside + 1.5, height=side + beside + 1.0)
    axes = panels[0][0]
    below = np.tril(np.ones_like(strengths)) > 0
    axes.imshow(np.where(below, 0.1, np.nan), cmap="Greys", vmin=0.0, vmax=1.0)
    largest = float(np.nanmax(strengths))
    image = axes.imshow(strengths, cmap="YlGnBu", vmin=0.0, vmax=largest or 1.0)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.02)
    bar.set_label("|gate| of the strongest function")
    most = max(map(len, letters.values()))
    size = min(10.0, 1.2 * pitch / max(most, 2))
    if size >= _SMALLEST_LETTER:
        for (row, column), used in letters.items():
            dark = strengths[row, column] > 0.55 * largest
            # In the order of the legend, not of the gates, so that equal sets look equal.
            text = "".join(letter for letter in letter_of.values() if letter in used)
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    _name_ticks(axes, "x", list(columns), fontsize=font, rotation=90)
    _name_ticks(axes, "y", list(rows), fontsize=font)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=0.6)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    counts = {function: len(architecture.of(2, function)) for function in letter_of}
    # No line breaks between a letter, its function and the number.
    legend = ", ".join(f"{letter_of[f]}\N{NBSP}{_short(f)}\N{NBSP}({count:,})" for f, count in counts.items() if count)
    title = f"{len(letters):,} of {num_tuples(len(names), 2):,} pairs of fields are kept: {legend}"
    width = round(9.0 * (side + beside + 1.5))
    figure.suptitle(textwrap.fill(title, width, break_on_hyphens=False), fontsize=12, parse_math=False)
    return figure


def _panels(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels that are width by height inches each."""
    figure = new_figure(width * columns, height * rows)
    return figure, [list(line) for line in figure.subplots(rows, columns, squeeze=False)]


def _colours(architecture: Architecture) -> dict[str, str]:
    return {function: f"C{number % 10}" for number, function in enumerate(summarise(architecture).functions)}


def letters_of(functions: Sequence[str]) -> dict[str, str]:
    """A letter for each function, out of its name while one is free.

    >>> letters_of(["inner", "identity"])
    {'inner': 'I', 'identity': 'D'}
    """
    letters: dict[str, str] = {}
    for function in functions:
        candidates = [*function.upper(), *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
        free = (letter for letter in candidates if letter.isalnum() and letter not in letters.values())
        letters[function] = next(free, "?")
    return letters


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _stacks(fields: Sequence[FieldSize], gap: float) -> list[list[FieldSize]]:
    """Fields of one vocabulary size whose embedding sizes are too close for labels of their own, largest first."""
    stacks: list[list[FieldSize]] = []
    for field in sorted(fields, key=lambda field: (-field.rows, -field.size)):
        if stacks and (above := stacks[-1][-1]).rows == field.rows and above.size - field.size <= gap:
            stacks[-1].append(field)
        else:
            stacks.append([field])
    return stacks


def _name_stack(stack: Sequence[FieldSize]) -> tuple[float, float, str]:
    """A stack's middle and its label: names, and where their sizes differ a line for each size."""
    by_size: dict[int, list[str]] = {}
    for field in stack:
        by_size.setdefault(field.size, []).append(_short(field.name))
    lines = []
    for size, names in by_size.items():
        listed = ",\n   ".join(", ".join(names[start : start + 4]) for start in range(0, len(names), 4))
        lines.append(listed if len(by_size) == 1 else f"{size}: {listed}")
    return stack[0].rows, (stack[0].size + stack[-1].size) / 2, "\n".join(lines)


def _name_ticks(axes: Axes, which: str, names: Sequence[str], *, fontsize: float = 10.0, rotation: float = 0.0) -> None:
    """Write names at 0, 1, 2 ... of an axis."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(range(len(names)), [_short(name) for name in names], fontsize=fontsize, rotation=rotation)
    for label in axis.get_ticklabels():
        label.set_parse_math(False)


def _set_legend(axes: Axes, title: str) -> None:
    legend = axes.legend(title=title, fontsize="small", title_fontsize="small")
    for text in legend.get_texts():
        text.set_parse_math(False)
