"""`fieldwise architecture show`, `diff` and `trim`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.command import Command
from fieldwise.cli.options import AsJson, OverwriteFile, out_option
from fieldwise.cli.words import parse_seconds, print_json
from fieldwise.errors import SettingsError
from fieldwise.reporting import Reporter
from fieldwise.storage.places import require_new_file

if TYPE_CHECKING:
    from fieldwise.architecture import Architecture
    from fieldwise.reporting.tables import Section

app = typer.Typer(
    help="Look at what a search has found: which fields interact, by which functions, with which embedding sizes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="An architecture file, or the directory of the search that wrote it.", show_default=False
    ),
]


@app.command(cls=Command, epilog="Example: fieldwise architecture show runs/search --pictures pictures")
def show(
    file: _File,
    pictures: Annotated[
        Path | None,
        out_option(
            "DIR",
            "Draw there as PNG and SVG: the kept pairs as a map, gates and functions against statistics_AUC, the "
            "embedding sizes (extra 'plots').",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the kept interactions, their share of all, the strongest ones, and what the embeddings take.

    The FI ratio is given in both conventions: tuples of fields that have at least one function, of all tuples of that
    order; and (tuple, function) pairs, of all of those.
    """
    from fieldwise.architecture import Architecture
    from fieldwise.explain import summarise

    architecture = Architecture.load(file)
    summary = summarise(architecture)
    if as_json:
        print_json(summary.to_dict())
    else:
        _show(summary.sections())
    if pictures is not None:
        _draw(architecture, pictures)


@app.command(cls=Command, epilog="Example: fieldwise architecture diff runs/seed-0 runs/seed-1")
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="An architecture file, or the directory of a search.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The one to hold against it.")],
    as_json: AsJson = False,
) -> None:
    """Tell how far two architectures agree, for example those of two seeds.

    Per order: what both keep and what one keeps alone, their Jaccard index (1 is the same, 0 nothing in common), and
    Spearman's rank correlation of the strengths.
    """
    from fieldwise.architecture import Architecture
    from fieldwise.explain import compare_architectures

    difference = compare_architectures(Architecture.load(a), Architecture.load(b))
    if as_json:
        print_json(difference.to_dict())
    else:
        _show(difference.sections())


@app.command(cls=Command, epilog="Example: fieldwise architecture trim runs/search --out small.json --latency 5ms")
def trim(
    file: _File,
    out: Annotated[
        Path,
        out_option("FILE", "Where the result goes: a file, or a directory there is.", show_default=False),
    ],
    max_interactions: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the N strongest, by the size of their gates.")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Keep as many as predict a batch within this time on this machine: 5ms, 0.5s, 800us.",
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Rows of that batch, with --latency.", show_default="256")
    ] = None,
    overwrite: OverwriteFile = False,
) -> None:
    """Keep only the strongest interactions: a number of them, or as many as are quick enough.

    Give either --max-interactions or --latency. Embedding dimensions that nothing reads any more are dropped too. Train
    a model on the result to know what it is worth.
    """
    from fieldwise.architecture import FILE_NAME, Architecture

    if (max_interactions is None) == (latency is None):
        raise SettingsError("how much is to stay? give either --max-interactions N or --latency TIME")
    if rows is not None and latency is None:
        raise SettingsError("--rows is the size of the batch that --latency measures; give both or neither")
    limit = None if latency is None else parse_seconds(latency, "--latency")
    path = out / FILE_NAME if out.is_dir() else out
    architecture = Architecture.load(file)
    require_new_file(path, overwrite=overwrite)
    reporter = Reporter()
    trimmed = _trimmed(architecture, max_interactions, limit, 256 if rows is None else rows, reporter)
    trimmed.save(path)
    reporter.say(
        f"{len(trimmed.interactions):,} of {len(architecture.interactions):,} interactions are kept; written to {path}"
    )


def _trimmed(
    architecture: Architecture, max_interactions: int | None, limit: float | None, rows: int, reporter: Reporter
) -> Architecture:
    from fieldwise.recipes.search import trimming

    if limit is None:
        return trimming.trim(architecture, max_interactions=max_interactions)

    def measured(candidate: Architecture) -> float:
        seconds = trimming.measure_latency(candidate, rows=rows)
        reporter.say(f"{len(candidate.interactions):,} interactions: {1e3 * seconds:.3g} ms for {rows:,} rows")
        return seconds

    return trimming.trim(architecture, max_seconds=limit, latency=measured)


def _draw(architecture: Architecture, directory: Path) -> None:
    from fieldwise.explain import draw
    from fieldwise.reporting.figures import require_matplotlib

    require_matplotlib()
    written = draw(architecture, directory, statistics=architecture.statistics_auc() or None)
    Reporter().say(
        f"pictures: {', '.join(str(path) for path in written if path.suffix == '.png')}, and as SVG"
        if written
        else "there is nothing to draw, for no interaction is kept"
    )


def _show(sections: Iterable[Section]) -> None:
    for section in sections:
        section.print()
