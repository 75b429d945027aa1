"""Draw what a command printed as a picture: `fieldwise demo | python docs/images/terminal.py demo.svg`."""

from __future__ import annotations

import io
import re
import sys

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text


def main() -> None:
    """Read standard input, write the SVG file named on the command line."""
    lines = sys.stdin.read().splitlines()
    width = max(len(line.rstrip()) for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text(line.rstrip()), soft_wrap=True)
    # A picture should not fetch fonts from elsewhere.
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(sys.argv[1], title="fieldwise demo", code_format=form)


if __name__ == "__main__":
    main()
