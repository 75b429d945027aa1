"""A comparison as a table, Markdown, CSV, HTML and plain records. Which metrics it has, only the comparison says."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import asdict
from typing import Any

from fieldwise.comparison.results import Results, Statistic, Summary
from fieldwise.reporting.tables import Section, markdown_table

_OPTIONAL = ("prediction rows/s", "epochs", "seeds", "parameters", "relative", "training rows/s", "without embeddings")
"""What a narrow table leaves out, the first of them first."""
_PARTS = {"train": "rows to train", "valid": "to validate", "test": "to test"}


def to_section(results: Results, *, short: bool = False) -> Section:
    """The table as it is printed, a row per contender.

    Args:
        results: of the comparison.
        short: the metrics only, which fit into a line.

    Returns:
        The table.
    """
    names, cells = header(results), rows(results)
    if short:
        last = 2 + 2 * len(results.metrics)
        names, cells = names[:last], [row[:last] for row in cells]
    return Section(f"{results.source}, test rows", names, cells, _OPTIONAL)


def header(results: Results) -> list[str]:
    """The names of the columns of `rows`."""
    labels = [metric.label for metric in results.metrics]
    changes = [f"{label} to {results.base}" for label in labels]
    return [
        "model",
        *(f"test {label}" for label in labels),
        *changes[:1],
        "relative",
        *changes[1:],
        "without embeddings",
        "parameters",
        "epochs",
        "training rows/s",
        "prediction rows/s",
        "seeds",
        *(f"published {label}" for label in labels if _has_published(results)),
    ]


def rows(results: Results) -> list[list[str]]:
    """The cells under `header`, a row per contender."""
    names = [metric.name for metric in results.metrics]
    with_published = _has_published(results)
    table = []
    for summary in results.summaries():
        changes = [_signed(summary.changes.get(name)) for name in names]
        table.append(
            [
                summary.name,
                *(_figure(summary.figures.get(name), summary.stars.get(name, "")) for name in names),
                *changes[:1],
                "" if summary.relative is None else f"{summary.relative:+.2%}",
                *changes[1:],
                _whole(summary.parameters_without_embeddings),
                _whole(summary.parameters),
                f"{summary.epochs:,.1f}".removesuffix(".0"),
                _whole(summary.train_rows_per_s),
                _whole(summary.predict_rows_per_s),
                f"{summary.seeds}" if not summary.failed else f"{summary.seeds - summary.failed} of {summary.seeds}",
                *(_published(summary, name) for name in names if with_published),
            ]
        )
    return table


def to_markdown(results: Results) -> str:
    """The table with what must be known to read it."""
    notes = _notes(results)
    if failures := _failures(results):
        notes += ["Failed:", *(f"* {' '.join(line.splitlines())}" for line in failures)]
    return "\n".join([markdown_table(header(results), rows(results)), "", *notes, ""])


def to_html(results: Results) -> str:
    """The same for a notebook."""
    notes = [*_notes(results), *(f"Failed: {line}" for line in _failures(results))]
    return "\n".join([to_section(results).to_html(), *(f"<p>{html.escape(note)}</p>" for note in notes)])


def to_csv(results: Results) -> str:
    """A line per contender with all figures at full precision."""
    table = to_records(results)
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_records(results: Results) -> list[dict[str, Any]]:
    """A row per contender in plain numbers: a figure's mean and its standard deviation are two of them."""
    table = []
    for summary in results.summaries():
        statistics, others = _statistics(summary, results), _others(summary, results)
        figures: dict[str, Any] = {}
        for name, value in statistics.items():
            figures |= {name: value and value.mean, f"{name}_std": value and value.std}
        paper = summary.published or {}
        published = {f"published_{metric.name}": paper.get(metric.name) for metric in results.metrics}
        table.append({**_whose(summary), **figures, **others, **published})
    return table


def to_dict(results: Results) -> dict[str, Any]:
    """Summaries and every single run, ready for JSON."""
    summaries = [
        {
            **_whose(summary),
            **{name: value and asdict(value) for name, value in _statistics(summary, results).items()},
            **_others(summary, results),
            "published": summary.published,
        }
        for summary in results.summaries()
    ]
    return {"comparison": results.model_dump(mode="json"), "summaries": summaries}


def _whose(summary: Summary) -> dict[str, Any]:
    return {"name": summary.name, "model": summary.model, "seeds": summary.seeds, "failed": summary.failed}


def _statistics(summary: Summary, results: Results) -> dict[str, Statistic | None]:
    figures = {metric.name: summary.figures.get(metric.name) for metric in results.metrics}
    return {**figures, f"valid_{results.monitor}": summary.valid}


def _others(summary: Summary, results: Results) -> dict[str, Any]:
    names = [metric.name for metric in results.metrics]
    return {
        **{f"{name}_change": summary.changes.get(name) for name in names},
        "relative": summary.relative,
        **{f"p_{name}": summary.p_values.get(name) for name in names},
        **{f"{name}_stars": summary.stars.get(name, "") for name in names},
        "parameters": summary.parameters,
        "parameters_without_embeddings": summary.parameters_without_embeddings,
        "train_rows_per_s": summary.train_rows_per_s,
        "predict_rows_per_s": summary.predict_rows_per_s,
        "epochs": summary.epochs,
        "seconds": summary.seconds,
    }


def _notes(results: Results) -> list[str]:
    counts = ", ".join(f"{rows:,} {_PARTS[part]}" for part, rows in results.rows.items())
    notes = [
        f"{results.source}: {counts}; split and encoding are the same for all (seed {results.split_seed}). "
        "The best epoch is chosen by the validation rows; the test rows are looked at once per run. Mean ± standard "
        "deviation over seeds.",
    ]
    if results.ours:
        notes.append(
            f"Stars of {', '.join(results.ours)}: better than the best of the others by an unpaired t-test (Welch, "
            "two-sided), ** at 0.01, * at 0.05."
        )
    return notes


def _failures(results: Results) -> list[str]:
    return [f"{run.contender}, seed {run.seed}: {run.error}" for run in results.runs if run.error is not None]


def _has_published(results: Results) -> bool:
    return any(summary.published is not None for summary in results.summaries())


def _published(summary: Summary, name: str) -> str:
    value = None if summary.published is None else summary.published.get(name)
    return "" if value is None else f"{value:.4f}"


def _figure(statistic: Statistic | None, stars: str) -> str:
    if statistic is None:
        return "failed"
    return f"{statistic.mean:.4f}{stars}" + ("" if statistic.std is None else f" ± {statistic.std:.4f}")


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
