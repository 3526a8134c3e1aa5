"""Setup: what all processes on one Redis must agree on, noted there, so that one that does not agree never starts."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.domain.errors import StoreError, UnusableStore
from core.store.redis.client import guarded

# A hash without a TTL: the data that it describes may live as long as people use it.
SETUP = "nb:setup"
# How often a process notes it again.
KEEP_SECONDS = 10.0
_PARTITIONS, _TEXTS, _ENCRYPTED, _PLAIN = "partitions", "texts", "encrypted", "plain"


@dataclass(frozen=True, slots=True)
class Setup:
    """How a process stores things: in how many partitions, and whether it writes and reads encrypted texts."""

    partitions: int = 1
    encrypts: bool = False
    reads_encrypted: bool = False
    reads_plain: bool = True


async def agree(redis: "Redis", ours: Setup) -> None:
    """Note this process's setup if it is the first, or compare it with that of the others.

    Raises UnusableStore, which says what to do: with other partitions a process would not find what others stored, and
    answer questions twice; and one that can't read what others write leaves their questions unanswered.
    """
    texts = _texts(ours)
    await _note(redis, ours)
    if await compare(redis, ours) != texts:  # it reads both: encryption is being switched on or off
        async with guarded():
            await redis.hset(SETUP, _TEXTS, texts)


async def compare(redis: "Redis", ours: Setup) -> str:
    """Compare this process's setup with what is noted, if anything is; returns how texts are noted to be stored. Raises
    UnusableStore like `agree`."""
    texts = _texts(ours)
    async with guarded():
        stored: dict[Any, Any] = await redis.hgetall(SETUP)
    known = {_PARTITIONS: str(ours.partitions), _TEXTS: texts}
    known |= {name.decode(): value.decode() for name, value in stored.items()}
    if known[_PARTITIONS] != str(ours.partitions):
        raise UnusableStore(
            f"The conversations in this Redis are in {known[_PARTITIONS]} partitions, but REDIS_PARTITIONS is "
            f"{ours.partitions}: set it to {known[_PARTITIONS]}, in every process. (To begin anew with another number, "
            f"stop all processes and delete the key {SETUP}; the conversations are then lost.)"
        )
    if known[_TEXTS] == _ENCRYPTED and not ours.reads_encrypted:
        raise UnusableStore(
            "The texts in this Redis are encrypted, but this process has no keys: give every process the same "
            "ENCRYPTION_KEYS. (To stop encrypting, put the word plain in front of the keys, for HISTORY_DAYS.)"
        )
    if known[_TEXTS] == _PLAIN and not ours.reads_plain:
        raise UnusableStore(
            "The texts in this Redis are not encrypted, but this process accepts only encrypted ones: give every "
            "process the same ENCRYPTION_KEYS. (To begin to encrypt, add the word plain behind the keys, for "
            "HISTORY_DAYS.)"
        )
    return known[_TEXTS]


async def keep(redis: "Redis", ours: Setup) -> None:
    """Note this process's setup again and again, until cancelled: after the server lost its data, a process that starts
    next has to agree with those that run."""
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        with suppress(StoreError):
            await _note(redis, ours)


async def _note(redis: "Redis", ours: Setup) -> None:
    async with guarded():
        for field, value in ((_PARTITIONS, str(ours.partitions)), (_TEXTS, _texts(ours))):
            await redis.hsetnx(SETUP, field, value)


def _texts(ours: Setup) -> str:
    return _ENCRYPTED if ours.encrypts else _PLAIN
