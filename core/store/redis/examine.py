"""Examines a Redis that the bot can use: how quick it is, what it keeps, what it forgets, and what it lets us do."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.finding import Finding, bad, note, well
from core.store.redis.check import NOEVICTION, ServerInfo
from core.store.redis.client import guarded, ping

NAME = "Redis"
# A key of the examination itself, which ends by itself.
_KEY, _KEY_SECONDS = "nb:doctor", 10
PINGS = 5
# A turn makes about ten steps before its first word, one after the other.
SLOW_SECONDS, TOO_SLOW_SECONDS = 0.05, 0.25
FULL = 0.8


async def examine(redis: "Redis", info: ServerInfo) -> AsyncIterator[Finding]:
    """What is to be known of a server that `check` has accepted. Never raises."""
    yield await _speed(redis)
    yield await _writes(redis)
    yield await _keeps(redis, info)
    if info.policy != NOEVICTION:
        text = f"deletes questions and histories when its memory is full (maxmemory-policy {info.policy})"
        yield bad(NAME, text, "set maxmemory-policy to noeviction")
    else:
        yield well(NAME, "deletes nothing when its memory is full (noeviction)")
    if info.used > FULL:
        yield bad(NAME, f"{info.used:.0%} of its memory is used: full, it refuses new questions", "raise maxmemory")


async def _speed(redis: "Redis") -> Finding:
    try:
        # The quickest: the others may have waited for our own work beside them.
        least = min([await ping(redis) for _ in range(PINGS)])
    except StoreError as error:
        return bad(NAME, f"does not answer steadily ({error})", "look at its log and at the network between")
    text = f"answers in {1000 * least:.1f} ms"
    if least > TOO_SLOW_SECONDS:
        return bad(NAME, text, "put it nearer to the bot: each answer waits for about ten such calls")
    if least > SLOW_SECONDS:
        return note(NAME, text, "a Redis nearer to the bot would make answers begin sooner")
    return well(NAME, text)


async def _writes(redis: "Redis") -> Finding:
    """Whether it takes what a turn needs: keys with an end, scripts and messages to other processes."""
    try:
        async with guarded():
            await redis.set(_KEY, "1", ex=_KEY_SECONDS)
            await redis.eval("return redis.call('DEL', KEYS[1])", 1, _KEY)
            await redis.publish(_KEY, "1")
    except StoreError as error:
        return bad(NAME, f"refuses what the bot needs ({error})", "give the user in REDIS_URL the right to write")
    return well(NAME, "takes writes, scripts and messages")


async def _keeps(redis: "Redis", info: ServerInfo) -> Finding:
    if info.failing:
        return bad(NAME, f"{info.failing} when it last tried", "look at its log and at the room on its disk")
    if info.appends:
        return well(NAME, f"keeps an {info.keeps}")
    mend = "set appendonly yes, with appendfsync everysec"
    try:
        async with guarded():
            found = await redis.config_get("save")
        snapshots = any(found.values())
    except (StoreError, AttributeError):  # many services forbid the command
        return note(NAME, "keeps no append-only file, and does not say whether it keeps snapshots", mend)
    if snapshots:
        return note(NAME, "keeps snapshots only: a crash of it loses what came after the last one", mend)
    return bad(NAME, "keeps nothing on its disk: a restart of it loses all questions and histories", mend)
