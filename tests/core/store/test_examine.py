"""What the doctor says of a Redis beside what its settings are: rights, and what its disk refused."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.finding import Finding, Verdict
from core.store.redis.check import check
from core.store.redis.examine import examine
from tests.redis_server import patient_connection


def wrong(found: Sequence[Finding]) -> list[Finding]:
    """What is wrong among these."""
    return [each for each in found if each.verdict is Verdict.BAD]


@pytest.mark.parametrize("right", ["+@read", "+@read +set"])
async def test_a_user_that_may_not_write_is_named(redis_client: Redis, redis_url: str, right: str) -> None:
    """A turn needs keys, scripts and messages."""
    rights = ("on", ">pw", "~*", "&*", "+@connection", "+info", *right.split())
    await redis_client.execute_command("ACL", "SETUSER", "weak", *rights)  # type: ignore[no-untyped-call]
    try:
        url = f"unix://weak:pw@{redis_url.removeprefix('unix://')}"
        async with patient_connection(url) as client:
            found = [each async for each in examine(client, await check(client))]
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "weak")  # type: ignore[no-untyped-call]
    assert any("refuses what the bot needs" in each.text and "right to write" in each.mend for each in wrong(found))


async def test_a_disk_that_refused_is_named(redis_client: Redis) -> None:
    """The server says so of its last attempt."""
    info = replace(await check(redis_client), appends=True, failing="it could not write a snapshot")
    found = [each async for each in examine(redis_client, info)]
    assert any("could not write a snapshot" in each.text and "disk" in each.mend for each in wrong(found))


async def test_nothing_of_the_examination_stays(redis_client: Redis) -> None:
    """It writes a key to see whether it may, and takes it away."""
    info = await check(redis_client)
    assert [each async for each in examine(redis_client, info)]
    assert await redis_client.dbsize() == 0
