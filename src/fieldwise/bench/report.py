"""What was measured as JSON, as Markdown and as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fieldwise.bench.measure import Machine, Measurement
from fieldwise.bench.workload import Case
from fieldwise.environment import versions
from fieldwise.reporting.figures import can_draw, new_figure, save_figure
from fieldwise.reporting.tables import markdown_table
from fieldwise.storage.atomic import write_text

Results = Sequence[tuple[Case, Measurement]]

HEADER = (
    "model",
    "fields",
    "vocabulary",
    "batch",
    "step ms",
    "training rows/s",
    "prediction rows/s",
    "GFLOP/s",
    "of the matrix rate",
    "peak MB",
    "table MB",
)
OPTIONAL = ("of the matrix rate", "GFLOP/s", "table MB", "fields")
"""Of these, what a narrow table leaves out, the first of them first."""
_AXES = {"vocabulary": "rows of the embedding table", "fields": "fields", "batch_size": "batch size"}


def table_rows(results: Results, machine: Machine) -> list[list[str]]:
    """The cells under `HEADER`, a row per case."""
    rows = []
    for case, result in results:
        gflops = result.flops_per_row * result.train_rows_per_s / 1e9
        rate = machine.bfloat16_gflops if "bfloat16" in result.plan else machine.float32_gflops
        rows.append(
            [
                case.model,
                str(case.fields),
                f"{case.vocabulary:,}",
                f"{case.batch_size:,}",
                f"{result.step_ms:.1f}",
                f"{result.train_rows_per_s:,.0f}",
                f"{result.predict_rows_per_s:,.0f}",
                f"{gflops:.0f}",
                f"{gflops / rate:.0%}",
                f"{result.peak_mb:,.0f}",
                f"{result.table_mb:,.0f}",
            ]
        )
    return rows


def describe_machine(machine: Machine) -> str:
    """The machine in one line.

    Example:
        >>> print(describe_machine(Machine("a processor", "cpu", 2, 200.0, 400.0, 12.0)))
        a processor, cpu, 2 threads; matrix products 200 GFLOP/s in float32 and 400 in bfloat16, memory 12 GB/s
    """
    return (
        f"{machine.processor}, {machine.device}, {machine.threads} threads; matrix products "
        f"{machine.float32_gflops:,.0f} GFLOP/s in float32 and {machine.bfloat16_gflops:,.0f} in bfloat16, "
        f"memory {machine.memory_gb_per_s:.0f} GB/s"
    )


def write_report(directory: Path, results: Results, machine: Machine) -> list[Path]:
    """Write bench.json, bench.md, and bench.png where matplotlib is there.

    Args:
        directory: where; made where it is missing.
        results: cases, and what they came to.
        machine: that they ran on.

    Returns:
        The files.

    Raises:
        StorageError: the directory cannot be written to.
    """
    content = {
        "machine": asdict(machine),
        "versions": versions(),
        "cases": [{**asdict(case), **asdict(result)} for case, result in results],
    }
    lines = [
        describe_machine(machine),
        "",
        ", ".join(f"{n} {v}" for n, v in versions().items()),
        "",
        markdown_table(HEADER, table_rows(results, machine)),
        "",
        *dict.fromkeys(f"{case.model}: {result.plan}" for case, result in results),
        "",
    ]
    written = [
        write_text(directory / "bench.json", json.dumps(content, indent=2) + "\n"),
        write_text(directory / "bench.md", "\n".join(lines)),
    ]
    return [*written, *_draw(directory, results)]


def _draw(directory: Path, results: Results) -> list[Path]:
    """Rows per second against whatever varies, a panel for each; nothing without matplotlib or without variation."""
    varying = [name for name in _AXES if len({getattr(case, name) for case, _ in results}) > 1]
    if not varying or not can_draw():
        return []
    figure = new_figure(5 * len(varying), 4)
    for axes, name in zip(figure.subplots(1, len(varying), squeeze=False)[0], varying, strict=True):
        others = [other for other in ("model", *_AXES) if other != name]
        lines: dict[tuple[object, ...], list[tuple[Case, Measurement]]] = {}
        for case, result in results:
            lines.setdefault(tuple(getattr(case, other) for other in others), []).append((case, result))
        for key, points in lines.items():
            points = sorted(points, key=lambda point: getattr(point[0], name))
            shown = ", ".join(f"{other} {value}" for other, value in zip(others, key, strict=True) if other != "model")
            xs = [getattr(case, name) for case, _ in points]
            ys = [result.train_rows_per_s for _, result in points]
            axes.plot(xs, ys, marker="o", label=f"{key[0]}, {shown.replace('batch_size', 'batch')}")
        axes.set_xscale("log")
        ticks = sorted({getattr(case, name) for case, _ in results})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(_AXES[name])
        axes.set_ylabel("training rows per second")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return save_figure(figure, directory / "bench", kinds=["png"])
