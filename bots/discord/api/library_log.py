"""Turns discord.py's log of a failed connection into the one sentence that an operator needs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import discord

_LOGGER = logging.getLogger("discord.client")
# discord.py does not say which client a log line is about; each client runs in tasks of its own.
_CURRENT: ContextVar["Reconnects | None"] = ContextVar("reconnects", default=None)


class Reconnects(logging.Filter):
    """Shortens the error with traceback that discord.py logs for a failed connection, although it retries by itself.

    It does not retry if the client's first connection fails: it then ends with an AttributeError (github.com/Rapptz/
    discord.py, issue 10520). We log nothing in that case; `cause` is for the code that catches the error.
    """

    def __init__(self, client: discord.Client) -> None:
        super().__init__()
        self._client = client
        self.cause = ""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != "Attempting a reconnect in %.2fs" or _CURRENT.get() is not self:
            return True
        self.cause = _cause(record.exc_info[1] if record.exc_info else None)
        wait = record.args[0] if isinstance(record.args, tuple) and record.args else 0.0
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        record.msg = "the connection to Discord failed (%s); trying again in %.0f s"
        record.args, record.exc_info, record.exc_text = (self.cause, wait), None, None
        return self.connected

    @property
    def connected(self) -> bool:
        """Whether the client was ever connected; from then on discord.py reconnects by itself."""
        return getattr(self._client, "ws", None) is not None


@contextmanager
def in_one_sentence(client: discord.Client) -> Iterator[Reconnects]:
    """Shorten what discord.py logs about this client's reconnects inside the context."""
    found = Reconnects(client)
    _CURRENT.set(found)
    _LOGGER.addFilter(found)
    try:
        yield found
    finally:
        _LOGGER.removeFilter(found)


def _cause(error: BaseException | None) -> str:
    """The kind of failure, with the HTTP status if a handshake failed."""
    status = getattr(error, "status", None)
    return f"{type(error).__name__}, HTTP {status}" if status else type(error).__name__
