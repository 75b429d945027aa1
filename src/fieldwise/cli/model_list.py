"""`fieldwise models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from fieldwise.cli.completion import SHAPES, complete_from
from fieldwise.cli.options import AsJson
from fieldwise.cli.words import print_json


def models(
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help=f"Count parameters at a published data set's sizes ({', '.join(SHAPES)}), with the settings of the "
            "AutoInt paper.",
            show_default=False,
            autocompletion=complete_from(*SHAPES),
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, a line each, with their presets."""
    if shape is None:
        _list(as_json=as_json)
    else:
        _count_at(shape, as_json=as_json)


def _list(*, as_json: bool) -> None:
    from fieldwise.models import registry
    from fieldwise.reporting import Section

    if as_json:
        print_json(
            [
                {"name": n, "summary": registry.summary(n), "presets": list(registry.presets(n))}
                for n in registry.names()
            ]
        )
        return
    rows = [(n, registry.summary(n), ", ".join(registry.presets(n))) for n in registry.names()]
    Section("Models", ("name", "what it is", "presets"), rows, optional=("presets",)).print()


def _count_at(shape: str, *, as_json: bool) -> None:
    from fieldwise.comparison.sizes import sizes_at
    from fieldwise.reporting import Section

    sizes = sizes_at(shape)
    if as_json:
        print_json([asdict(size) for size in sizes])
        return
    header = ("name", "settings", "parameters without embeddings", "printed in the paper", "parameters")
    rows = [
        (s.model, s.preset or "defaults", f"{s.without_embeddings:,}", s.printed, f"{s.all:,}")
        for s in sorted(sizes, key=lambda size: size.without_embeddings)
    ]
    Section(f"Parameters at the sizes of {shape}", header, rows, optional=("settings", "printed in the paper")).print()
