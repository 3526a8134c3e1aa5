"""The log: what strangers send can neither drive the terminal that shows it nor fill the disk."""

import io
import logging

import pytest

from bots import logs


@pytest.fixture
def log() -> tuple[logging.Handler, io.StringIO, list[float]]:
    """A handler like the process's own, what it wrote, and the time that it sees."""
    written, now = io.StringIO(), [0.0]
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.HarmlessFormatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(logs.RepetitionFilter(lambda: now[0]))
    return handler, written, now


def record(
    name: str, message: str, *args: object, line: int = 1, error: BaseException | None = None
) -> logging.LogRecord:
    """Return a record that comes from this line of a file."""
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, logging.WARNING, "file.py", line, message, args, info)


def test_control_characters_are_written_out(log: tuple[logging.Handler, io.StringIO, list[float]]) -> None:
    """An escape sequence, a line break and a lone half character come out as text, on one line."""
    handler, written, _ = log
    handler.handle(record("core.x", "model %s", "\x1b]0;x\x07\n2026-01-01 ERROR core: forged \x9b2J \ud800 \u202e"))
    assert written.getvalue() == (
        "WARNING core.x: model \\x1b]0;x\\x07\\n2026-01-01 ERROR core: forged \\x9b2J \\ud800 \\u202e\n"
    )


def test_a_traceback_keeps_its_lines(log: tuple[logging.Handler, io.StringIO, list[float]]) -> None:
    """But what the error says of a stranger's text is written out as well."""
    handler, written, _ = log
    try:
        raise ValueError("bad \x1b[2J name")
    except ValueError as error:
        handler.handle(record("core.x", "it failed", error=error))
    lines = written.getvalue().splitlines()
    assert (lines[0], lines[-1]) == ("WARNING core.x: it failed", "ValueError: bad \\x1b[2J name")
    assert len(lines) > 3


def test_an_entry_has_a_bound(log: tuple[logging.Handler, io.StringIO, list[float]]) -> None:
    """However long the text that a library quotes, or an error; what comes first and last stays."""
    handler, written, _ = log
    handler.handle(record("slack", "refused %s at last", "\x1b" * 100_000))
    line = written.getvalue()
    assert line.startswith("WARNING slack: refused \\x1b")
    assert line.endswith("\\x1b at last\n")
    assert len(line) <= 4 * logs.LINE_CHARACTERS + 100
    try:
        raise ValueError("x" * 100_000 + "end")
    except ValueError as error:
        handler.handle(record("slack", "it failed", error=error, line=2))
    entry = written.getvalue().removeprefix(line)
    assert entry.startswith("WARNING slack: it failed\nTraceback")
    assert entry.endswith("xend\n")
    assert len(entry) <= logs.ENTRY_CHARACTERS + 100


@pytest.mark.parametrize(("name", "most"), [("asyncio", logs.LIBRARY_LINES), ("bots.slack", logs.OWN_LINES)])
def test_one_place_writes_so_many_lines_a_minute(
    log: tuple[logging.Handler, io.StringIO, list[float]], name: str, most: int
) -> None:
    """Whatever the lines say; other places write on, and afterwards the number of dropped lines is told."""
    handler, written, now = log
    for number in range(most + 50):
        handler.handle(record(name, f"trouble {number}"))
    assert len(written.getvalue().splitlines()) == most
    handler.handle(record(name, "other trouble", line=2))
    assert written.getvalue().splitlines()[-1].endswith("other trouble")
    now[0] += logs.PERIOD_SECONDS
    handler.handle(record(name, "trouble %s", "again"))
    assert written.getvalue().splitlines()[-1].endswith(": trouble again (and 50 more like it before)")
    handler.handle(record(name, "trouble %s", "again"))
    assert written.getvalue().splitlines()[-1].endswith(": trouble again")
