"""When a platform was last heard from: how far to look back for questions that nobody heard."""

from redis.asyncio import Redis

from core.store.presence import Presence


async def test_of_a_new_platform_it_looks_back_to_the_beginning_of_the_process(redis_client: Redis) -> None:
    """People may ask while the first connection is being opened; but not to what was said before."""
    presence = Presence(redis_client, look_back=1_800)
    first, second = await presence.away("slack/T1"), await presence.away("slack/T1")
    assert 0 < first < second < 1_800
    assert await Presence(redis_client, look_back=0).away("slack/T1") == 0


async def test_after_a_loss_of_the_record_it_looks_for_nothing(redis_client: Redis) -> None:
    """Which questions were answered is lost as well: they would be answered again."""
    presence = Presence(redis_client, look_back=1_800)
    await presence.present("slack/T1")
    await redis_client.flushdb()
    assert await presence.away("slack/T1") == 0
