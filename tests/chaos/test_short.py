"""The short form of `make chaos` as a test: real processes, a real Redis, kills and copied events, in half a minute."""

import pytest

from tests.chaos.cases import short


@pytest.mark.timeout(600)  # only against hanging: several waits may follow one another
async def test_nothing_is_lost() -> None:
    """Two replicas under load, events delivered up to three times, a kill, a lost Redis, a restart: each question gets
    exactly one reply, in order, and the history contains it."""
    found = await short(seed=1)
    assert found.ok, "\n".join(
        (*(f"{row.what}: {row.found}" for row in found.rows), *found.evidence, str(found.folder))
    )
