"""Finds out where a process spends its CPU time: samples its stack every few milliseconds of CPU time, into a file."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

EVERY = 0.004  # CPU seconds between two samples
# The stack is searched from its innermost call outwards; the first module whose name begins with one of these counts.
PURPOSES: Mapping[str, str] = {
    "core.nebula": "reading the model's stream",
    "core.domain": "reading the model's stream",
    "core.turns": "reading the model's stream",
    "core.reply.state": "reading the model's stream",
    "core.reply.layout": "laying pages out",
    "core.markdown": "laying pages out",
    "core.reply": "deciding what to show",
    "core.ratelimit": "deciding what to show",
    "core.store": "Redis",
    "redis": "Redis",
    "bots.discord": "calling Discord",
    "discord": "hearing Discord",
}
EVENT_LOOP = "the event loop: sockets, timers, HTTP framing"


def sample(path: str) -> None:
    """Start. Each SIGUSR1 writes the counts since the one before to the file."""
    counts: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        counts[_purpose(frame)] += 1

    def tell(_: int, __: FrameType | None) -> None:
        whole = Path(f"{path}.new")
        whole.write_text(json.dumps(counts))
        os.replace(whole, path)
        counts.clear()

    signal.signal(signal.SIGPROF, look)
    signal.signal(signal.SIGUSR1, tell)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)


def _purpose(frame: FrameType | None) -> str:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        for beginning, purpose in PURPOSES.items():
            if name.startswith(beginning):
                return purpose
        frame = frame.f_back
    return EVENT_LOOP


if __name__ == "__main__":
    from bots.cli import main

    sample(sys.argv[1])
    sys.exit(main(["run"]))
