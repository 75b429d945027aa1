"""Draw what a command printed as a picture of a terminal: `fieldwise demo | python docs/images/terminal.py demo.svg`."""

from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Read standard input, write the SVG file named on the command line."""
    lines = sys.stdin.read().splitlines()
    width = max(len(line.rstrip()) for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text(line.rstrip()), soft_wrap=True)
    console.save_svg(sys.argv[1], title="fieldwise demo")


if __name__ == "__main__":
    main()
