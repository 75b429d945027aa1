"""`fieldwise bench`."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fieldwise.cli.completion import complete_models, complete_setting
from fieldwise.cli.options import AsJson, Quiet, out_option
from fieldwise.cli.words import print_json
from fieldwise.errors import SettingsError

_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000}


def bench(
    model: Annotated[
        str, typer.Option(metavar="A,B", help="See [bold]fieldwise models[/].", autocompletion=complete_models)
    ] = "autoint",
    fields: Annotated[str, typer.Option(metavar="N,N", help="How many categorical fields.")] = "39",
    vocabulary: Annotated[
        str, typer.Option(metavar="N,N", help="Rows of the embedding table, over all fields: 10k, 1m, ...")
    ] = "100k",
    batch: Annotated[str, typer.Option(metavar="N,N", help="Rows per step.")] = "1024",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of model or training. May be given again.",
            autocompletion=complete_setting,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each figure is measured.")] = 5.0,
    out: Annotated[
        Path | None,
        out_option("DIR", "Write bench.json, bench.md and (with the extra 'plots') bench.png there."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure how fast this machine trains and predicts, and how much memory it takes.

    Rows are made up; nothing else is. Every combination of the given values is measured, each in a process of its
    own, beside what the machine itself can do: its rate of matrix products and of copying memory.
    """
    from fieldwise.bench.measure import measure, measure_machine
    from fieldwise.bench.report import HEADER, OPTIONAL, describe_machine, table_rows, write_report
    from fieldwise.bench.workload import Case
    from fieldwise.reporting import Reporter, Section
    from fieldwise.settings import parse_override, resolve_settings
    from fieldwise.storage.atomic import require_writable
    from fieldwise.training.execution import resolve_device

    reporter = Reporter(enabled=not quiet)
    shapes = itertools.product(_sizes(fields, "--fields"), _sizes(vocabulary, "--vocabulary"), _sizes(batch, "--batch"))
    cases = []
    for (field_count, size, batch_size), name in itertools.product(shapes, _words(model)):
        settings = resolve_settings(model=name, overrides=dict(map(parse_override, set_ or [])))
        cases.append(
            Case(
                name,
                fields=field_count,
                vocabulary=size,
                batch_size=batch_size,
                model_settings=settings.model_settings,
                training=settings.training.model_dump(),
            )
        )
    if out is not None:
        require_writable(out, directory=True)
    reporter.say("measuring the machine; leave it alone until the end")
    machine = measure_machine(device=resolve_device(str(cases[0].training.get("device", "auto"))))
    reporter.say(describe_machine(machine))
    results = []
    for number, case in enumerate(cases, start=1):
        reporter.say(
            f"[{number}/{len(cases)}] {case.model}: {case.fields} fields, {case.vocabulary:,} table rows, "
            f"batches of {case.batch_size:,}"
        )
        results.append((case, measure(case, seconds=seconds)))
        reporter.say(f"        {results[-1][1].train_rows_per_s:,.0f} rows/s in training ({results[-1][1].plan})")
        if out is not None:  # after each case: what is measured stays when the next is interrupted
            write_report(out, results, machine)
    if as_json:
        print_json({"machine": asdict(machine), "cases": [{**asdict(c), **asdict(r)} for c, r in results]})
    else:
        Section("", HEADER, table_rows(results, machine), OPTIONAL).print()
    if out is not None:
        reporter.say(f"written to {out}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _sizes(text: str, option: str) -> list[int]:
    """Numbers such as `10k,0.1m,1000000`."""
    sizes = []
    for word in _words(text):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", word.lower())
        if match is None:
            raise SettingsError(f"{option} {text}: '{word}' is no number; write for example 10k,1m")
        sizes.append(round(float(match[1]) * _SUFFIXES[match[2]]))
    if not sizes or min(sizes) < 1:
        raise SettingsError(f"{option} {text}: expected numbers above 0, for example 10k,1m")
    return sizes
