"""`fieldwise bench`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fieldwise.bench.measure import measure, measure_machine
from fieldwise.bench.report import HEADER, describe_machine, table_rows, write_report
from fieldwise.bench.workload import Case
from fieldwise.cli.words import print_json
from fieldwise.errors import SettingsError
from fieldwise.reporting import Reporter, Section
from fieldwise.settings import parse_override, resolve_settings
from fieldwise.training.execution import resolve_device

_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000}


def run(
    models: str,
    *,
    fields: str,
    vocabulary: str,
    batch: str,
    overrides: Sequence[str],
    seconds: float,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure every combination, one after another, and show the table."""
    reporter = Reporter(enabled=not quiet)
    shapes = itertools.product(_sizes(fields, "--fields"), _sizes(vocabulary, "--vocabulary"), _sizes(batch, "--batch"))
    cases = []
    for (field_count, size, batch_size), model in itertools.product(shapes, _words(models)):
        settings = resolve_settings(model=model, overrides=dict(map(parse_override, overrides)))
        cases.append(
            Case(
                model,
                fields=field_count,
                vocabulary=size,
                batch_size=batch_size,
                model_settings=settings.model_settings,
                training=settings.training.model_dump(),
            )
        )
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
        Section("", HEADER, table_rows(results, machine)).print()
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
