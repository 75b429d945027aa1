"""A comparison as Markdown, CSV, JSON and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fieldwise.comparison.results import Comparison, Statistic, Summary
from fieldwise.errors import SettingsError
from fieldwise.reporting.figures import place_labels
from fieldwise.storage.atomic import new_file, write_text
from fieldwise.validation import describe_any

HEADER = (
    "model",
    "test AUC",
    "test log loss",
    "AUC to base",
    "relative",
    "log loss to base",
    "without embeddings",
    "parameters",
    "epochs",
    "training rows/s",
    "prediction rows/s",
    "seeds",
)


def header(comparison: Comparison) -> list[str]:
    """The names of the columns of `rows`."""
    shown = [column.replace("base", comparison.base) for column in HEADER]
    return [*shown, "published AUC", "published log loss"] if _has_published(comparison) else shown


def rows(comparison: Comparison) -> list[list[str]]:
    """The cells under `header`, a row per contender."""
    with_published = _has_published(comparison)
    table = []
    for summary in comparison.summaries():
        cells = [
            summary.name,
            _figure(summary.auc, summary.auc_stars),
            _figure(summary.log_loss, summary.log_loss_stars),
            _signed(summary.auc_change),
            "" if summary.relative is None else f"{summary.relative:+.2%}",
            _signed(summary.log_loss_change),
            _whole(summary.parameters_without_embeddings),
            _whole(summary.parameters),
            f"{summary.epochs:,.1f}".removesuffix(".0"),
            _whole(summary.train_rows_per_s),
            _whole(summary.predict_rows_per_s),
            f"{summary.seeds}" if not summary.failed else f"{summary.seeds - summary.failed} of {summary.seeds}",
        ]
        if with_published:
            known = summary.published
            cells += ["", ""] if known is None else [f"{known.auc:.4f}", f"{known.log_loss:.4f}"]
        table.append(cells)
    return table


def to_markdown(comparison: Comparison) -> str:
    """The table with what must be known to read it."""
    counts = ", ".join(f"{rows:,} {_PARTS[part]}" for part, rows in comparison.rows.items())
    notes = [
        f"{comparison.source}: {counts}; split and encoding are the same for all (seed {comparison.split_seed}). "
        "The best epoch is chosen by the validation rows; the test rows are looked at once per run. Mean ± standard "
        "deviation over seeds.",
    ]
    if comparison.ours:
        notes.append(
            f"Stars of {', '.join(comparison.ours)}: better than the best of the others by an unpaired t-test (Welch, "
            "two-sided), ** at 0.01, * at 0.05."
        )
    if failed := [run for run in comparison.runs if run.error is not None]:
        notes += ["Failed:", *(f"* {run.contender}, seed {run.seed}: {run.error}" for run in failed)]
    return "\n".join([markdown_table(header(comparison), rows(comparison)), "", *notes, ""])


def markdown_table(names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [names, ["---"] * len(names), *cells])


def to_csv(comparison: Comparison) -> str:
    """A line per contender with all figures at full precision."""
    table = [_flat(summary) for summary in comparison.summaries()]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, fieldnames=list(dict.fromkeys(name for row in table for name in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Summaries and every single run, ready for JSON."""
    return {
        "comparison": comparison.model_dump(mode="json"),
        "summaries": [
            {**asdict(s), "published": s.published and s.published._asdict()} for s in comparison.summaries()
        ],
    }


def write(comparison: Comparison, directory: Path) -> list[Path]:
    """Write comparison.json, .csv and .md, and the pictures where matplotlib is there; the paths.

    Raises StorageError where the directory cannot be written to.
    """
    texts = {
        "comparison.json": json.dumps(to_json(comparison), indent=1, ensure_ascii=False) + "\n",
        "comparison.csv": to_csv(comparison),
        "comparison.md": to_markdown(comparison),
    }
    written = [write_text(directory / name, text) for name, text in texts.items()]
    return written + draw(comparison, directory)


def read(directory: Path) -> Comparison:
    """The comparison that `write` has written into a directory. Raises SettingsError where there is none."""
    path = directory / "comparison.json"
    try:
        return Comparison.model_validate(json.loads(path.read_text(encoding="utf-8"))["comparison"])
    except FileNotFoundError:
        raise SettingsError(f"{directory} holds no comparison ({path.name} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read: {describe_any(error, Comparison)}") from error


def draw(comparison: Comparison, directory: Path) -> list[Path]:
    """Draw test AUC against parameters and against training time as PNG and SVG; nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    shown: dict[str, tuple[str, Callable[[Summary], float | None]]] = {
        "parameters": ("parameters without embeddings", lambda s: s.parameters_without_embeddings),
        "time": ("seconds of training", lambda s: s.seconds),
    }
    written = []
    for name, (label, value) in shown.items():
        points = [(s, x, s.auc) for s in comparison.summaries() if s.auc is not None and (x := value(s))]
        if not points:
            continue
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for summary, x, auc in points:
            ours = summary.name in comparison.ours
            axes.errorbar([x], [auc.mean], yerr=[auc.std or 0.0], fmt="o", color="C3" if ours else "C0", capsize=3)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_xlabel(label)
        axes.set_ylabel("test AUC")
        axes.set_title(comparison.source)
        axes.grid(alpha=0.3)
        # Ours come first, for what finds no room has no label.
        points.sort(key=lambda point: point[0].name not in comparison.ours)
        place_labels(
            figure,
            axes,
            [(x, auc.mean, summary.name) for summary, x, auc in points],
            [(x, auc.mean) for _, x, auc in points],
        )
        for kind in ("png", "svg"):
            written.append(directory / f"auc-against-{name}.{kind}")
            with new_file(written[-1]) as work:
                figure.savefig(work, dpi=150)
    return written


_PARTS = {"train": "rows to train", "valid": "to validate", "test": "to test"}


def _has_published(comparison: Comparison) -> bool:
    return any(summary.published is not None for summary in comparison.summaries())


def _figure(statistic: Statistic | None, stars: str) -> str:
    if statistic is None:
        return "failed"
    return f"{statistic.mean:.4f}{stars}" + ("" if statistic.std is None else f" ± {statistic.std:.4f}")


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _flat(summary: Summary) -> dict[str, Any]:
    """A summary with the mean and standard deviation of a figure as two columns."""
    flat: dict[str, Any] = {}
    for name, value in vars(summary).items():
        if name in ("auc", "log_loss", "valid_log_loss"):
            flat |= {name: value and value.mean, f"{name}_std": value and value.std}
        elif name == "published":
            flat |= {"published_auc": value and value.auc, "published_log_loss": value and value.log_loss}
        else:
            flat[name] = value
    return flat
