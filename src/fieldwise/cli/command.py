"""What all commands have in common: at Ctrl-C they say what they have kept."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand

from fieldwise.cli.interruption import telling


class Command(TyperCommand):
    """A command of the application."""

    def __init__(self, *arguments: Any, help: str | None = None, **more: Any) -> None:
        # Paragraphs flow; rich would break their lines where the docstring does.
        super().__init__(*arguments, help=help and re.sub(r"(?<!\n)\n(?!\n)", " ", help), **more)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read what was typed behind the command; an option that belongs before it is answered with that."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)
            if option in {name for parameter in ctx.find_root().command.params for name in parameter.opts}:
                usage: Any = error  # one of click's, whose classes typer keeps to itself
                usage.message = f"{option} stands before the command: fieldwise {option} ... {self.name} ..."
                usage.possibilities = None
            raise

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run it.

        Raises:
            Interrupted: at Ctrl-C, with what was kept.
        """
        with telling(_words(ctx), ctx.params):
            return super().invoke(ctx)


def _words(context: typer.Context) -> list[str]:
    """How the command is called, with the options before it on which its meaning depends."""
    program, *names = context.command_path.split()
    imported = context.find_root().params.get("import_") or ()
    return [program, *(word for module in imported for word in ("--import", module)), *names]
