"""Logging to standard error: one harmless line per event, only warnings and errors from libraries, and no floods."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.text import escaped

# How many lines each place in the code may write in a minute. What strangers send may raise the same line a thousand
# times a second; a busy bot of ours logs a line for each of its turns.
OWN_LINES, LIBRARY_LINES = 120, 5
PERIOD_SECONDS = 60.0
# How many characters a line may have, and how many an entry with its traceback: a library may quote a whole request.
LINE_CHARACTERS, ENTRY_CHARACTERS = 2_000, 20_000


class HarmlessFormatter(logging.Formatter):
    """Writes control characters out: a name with an escape sequence or a line break in it can drive no terminal, and
    forge no line. A traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escaped(_cut(super().formatMessage(record), LINE_CHARACTERS))

    def format(self, record: logging.LogRecord) -> str:
        return escaped(_cut(super().format(record), ENTRY_CHARACTERS), lines=True)


def _cut(text: str, longest: int) -> str:
    """Return the text without its middle if it is too long: what happened comes first, and the error last."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]} [… {len(text) - longest:,} characters …] {text[-(longest // 2) :]}"


@dataclass(slots=True)
class _Place:
    """A place in the code: its lines in this period, and those that were dropped."""

    since: float
    lines: int = 0
    dropped: int = 0


class RepetitionFilter(logging.Filter):
    """Drops a line when its place in the code has written too many lately; the next one says how many were dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._places: dict[tuple[str, int], _Place] = {}  # as many as there are places that log

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        place = self._places.setdefault((record.pathname, record.lineno), _Place(now))
        if now - place.since >= PERIOD_SECONDS:
            if place.dropped:
                record.msg, record.args = f"{record.getMessage()} (and {place.dropped} more like it before)", None
            place.since, place.lines, place.dropped = now, 0, 0
        own = record.name.split(".")[0] in ("core", "bots")
        place.lines += 1
        if place.lines <= (OWN_LINES if own else LIBRARY_LINES):
            return True
        place.dropped += 1
        return False


def configure(level: str) -> None:
    """Set up logging for this process. `level` is for our own loggers; libraries log from WARNING upwards."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        HarmlessFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    )
    handler.addFilter(RepetitionFilter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("core", "bots"):
        logging.getLogger(name).setLevel(level)
