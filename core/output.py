"""Prints for whoever reads standard output, and says in one sentence that nobody can, such as behind `| head -1`."""

import os
import sys
from typing import TextIO

from core.domain.errors import NebulaBotError


class NoOutput(NebulaBotError):
    """Standard output takes nothing more; the message says why, "" if whoever read it has left."""


def say(*texts: str, out: TextIO | None = None) -> None:
    """Print each text as a line, at once. Raises NoOutput."""
    try:
        print(*texts, sep="\n", file=out, flush=True)
    except OSError as error:
        raise _failed(error) from None


def finish() -> None:
    """Write what is left. Raises NoOutput; the interpreter, which tries again when it exits, then succeeds."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _failed(error) from None


def _failed(error: OSError) -> NoOutput:
    # What is left in the buffer goes nowhere from now on.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return NoOutput()
    return NoOutput(f"the output can't be written ({error.strerror}).")
