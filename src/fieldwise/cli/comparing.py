"""`fieldwise compare` and `fieldwise results`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from fieldwise.cli.words import one_or_list, parse_fields, print_json, split_names
from fieldwise.comparison import average_changes, compare, read
from fieldwise.errors import SettingsError, suggest
from fieldwise.reporting import Reporter, Section, markdown_table
from fieldwise.settings import parse_override


def run(
    data: Sequence[str],
    *,
    models: str | None,
    seeds: int,
    config: Path | None,
    overrides: Sequence[str],
    base: str | None,
    tune: int,
    label: str | None,
    seed: int | None,
    schema: Path | None,
    fields: Sequence[str],
    names: str | None,
    positive: str | None,
    valid: Sequence[str] | None,
    test: Sequence[str] | None,
    time: str | None,
    group: str | None,
    weight: str | None,
    published: str | None,
    out: Path,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare and show the table; after Ctrl-C what is done stays done and the exit code is 130."""
    reporter = Reporter(enabled=not quiet)
    source = one_or_list(data)
    assert source is not None
    try:
        comparison = compare(
            source,
            label=label,
            models=split_names(models),
            seeds=seeds,
            config=config,
            settings=dict(map(parse_override, overrides)),
            base=base,
            tune=tune,
            seed=seed or 0,
            schema=schema,
            fields=parse_fields(fields),
            positive=positive,
            weight=weight,
            group=group,
            time=time,
            valid=one_or_list(valid),
            test=one_or_list(test),
            names=split_names(names),
            published=published,
            out=out,
            overwrite=overwrite,
            progress=reporter,
        )
    except KeyboardInterrupt:
        reporter.say(f"interrupted: what is done lies in {out}; repeat the command to go on")
        sys.exit(130)
    if as_json:
        print_json(comparison.to_dict())
    else:
        comparison.to_section().print()
    reporter.say(f"tables, pictures and every single run: {out}")


def results(directories: Sequence[Path], *, base: str | None, changes: bool, markdown: bool, as_json: bool) -> None:
    """Show finished or unfinished comparisons again, or what joint models add on average."""
    comparisons = [read(directory) for directory in directories]
    if base is not None:
        for comparison in comparisons:
            if base not in comparison.order:
                raise SettingsError(f"the base '{base}' did not take part; {suggest(base, comparison.order)}")
            comparison.base = base
    if changes:
        rows = average_changes(comparisons)
        if as_json:
            print_json(rows)
            return
        metrics = comparisons[0].metrics
        cells = [
            [r["model"], r["base"], str(r["data_sets"]), *(f"{r[f'{metric.name}_change']:+.4f}" for metric in metrics)]
            for r in rows
        ]
        header = ("model", "base", "data sets", *(metric.label for metric in metrics))
        if markdown:
            typer.echo(markdown_table(header, cells))
        else:
            Section("Average changes of joint models", header, cells).print()
        return
    if as_json:
        print_json([comparison.to_dict() for comparison in comparisons])
        return
    for comparison in comparisons:
        if markdown:
            typer.echo(comparison.to_markdown())
        else:
            comparison.to_section().print()
