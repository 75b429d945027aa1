"""The command line: `fieldwise train`, `search`, `predict`, `evaluate`, `inspect`, `models`, `settings`,
`demo`, `bench`, `compare`, `results`, `architecture`, `download`.

The commands parse words and print; everything else is done by the library.
"""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line; a wrong input ends in one line on standard error and exit code 1."""
    from fieldwise.cli.app import app
    from fieldwise.cli.memory import memory_message
    from fieldwise.errors import FieldwiseError

    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is no reason to fail; predictions are bytes and do not pass here.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="fieldwise")
    except FieldwiseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        message = memory_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has left; what Python still holds for it must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
