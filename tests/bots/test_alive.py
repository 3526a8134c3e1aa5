"""The sign of life that a bot leaves in DATA_DIR, as `nebula-bot health` reads it."""

import fcntl
from pathlib import Path

from bots.alive import alive, healthy


async def test_whoever_looks_at_the_same_time_is_no_bot(tmp_path: Path) -> None:
    """Two probes may look at once, of which the first holds the lock for a moment."""
    async with alive(tmp_path):
        assert healthy(tmp_path)[0]
    with (tmp_path / "alive").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert healthy(tmp_path)[1].startswith("stopped")
