"""What discord.py logs of a lost connection, as the one sentence that an operator needs."""

import logging


def in_one_sentence(record: logging.LogRecord) -> bool:
    """A filter for the logger `discord.client`, which reports each failed connection as an error with its traceback.

    It tries again by itself; a reason that no second try mends is raised, and told by whoever catches it.
    """
    if record.msg == "Attempting a reconnect in %.2fs":
        error = record.exc_info[1] if record.exc_info else None
        wait = record.args[0] if isinstance(record.args, tuple) and record.args else 0.0
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        record.msg, record.args = "the connection to Discord failed (%s); trying again in %.0f s", (_cause(error), wait)
        record.exc_info = record.exc_text = None
    return True


def _cause(error: BaseException | None) -> str:
    """The kind of failure; a handshake also tells the HTTP status."""
    status = getattr(error, "status", None)
    return f"{type(error).__name__}, HTTP {status}" if status else type(error).__name__
