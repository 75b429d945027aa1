"""The command line: `fieldwise train`, `search`, `predict`, `evaluate`, `inspect`, `models`, `settings`,
`demo`, `bench`, `compare`, `results`, `architecture`, `download`.

The commands parse words and print; everything else is done by the library.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import warnings

from fieldwise.cli.interruption import EXIT_CODE, NOTHING, Interrupted, noticing
from fieldwise.cli.memory import memory_message
from fieldwise.errors import FieldwiseError, FieldwiseWarning
from fieldwise.wording import for_commands


def main() -> None:
    """Run the command line; a wrong input ends in one line on standard error and exit code 1.

    Ctrl-C ends in one line on what was kept and exit code 130, SIGTERM in the same line and 143.
    """
    # When all is said, nothing is left to interrupt: a late Ctrl-C must not change how the process ends.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with for_commands(), noticing() as signals:
        try:
            _run()
        except (KeyboardInterrupt, Interrupted) as interrupt:
            kept = str(interrupt) or NOTHING
        except SystemExit as stop:
            if stop.code != EXIT_CODE:  # typer's, mute, for a Ctrl-C outside of any command
                raise
            kept = NOTHING
        except Exception:
            if not signals:
                raise
            kept = NOTHING
        else:
            return
    exec("")  # noqa: S102 (Python ends by the signal, whatever the exit code, after one within exec(), unless another follows)
    terminated = signal.SIGTERM in signals
    print(f"{'terminated' if terminated else 'interrupted'}; {kept}", file=sys.stderr)
    sys.exit(128 + signal.SIGTERM if terminated else EXIT_CODE)


def _run() -> None:
    from fieldwise.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is no reason to fail; predictions are bytes and do not pass here.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.simplefilter("ignore", FieldwiseWarning)  # they are lines here, and nothing with --quiet
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
    except BrokenPipeError:
        # The reader of a pipe has left; what Python still holds for it must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
