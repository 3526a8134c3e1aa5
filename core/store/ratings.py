"""Ratings in Redis: people's votes on a channel's answers, counted by model, one per person and answer, and the newest
reasons that they gave for bad ones.

A reason is an entry `<message>,<person>,@<time>|<value>`; its value is encrypted where texts are (see entries.py).
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.domain.conversation import Reason
from core.settings.encryption import NO_ENCRYPTION, Encryption, Unreadable
from core.store.redis.client import guarded
from core.store.redis.spaces import Spaces
from core.store.scripts import load

log = logging.getLogger(__name__)

MOST_REASONS = 10  # of a channel: no more are kept than are shown


@dataclass(frozen=True, slots=True)
class Rating:
    """The votes on one model's answers."""

    model: str
    good: int
    bad: int


def _rate(
    votes: str, counts: str, reasons: str, /, *, person: str, vote: str, model: str, words: bytes, ttl_ms: int
) -> Any:
    """Count a vote; it replaces an earlier one."""


def _explain(votes: str, reasons: str, /, *, person: str, words: bytes, entry: bytes, most: int, ttl_ms: int) -> Any:
    """Keep the reason for a bad vote; 0 if there is no such vote."""


class Ratings:
    """Counts votes and keeps them for `keep` seconds after the last one. All calls raise StoreError."""

    def __init__(
        self, redis: "Redis", keep: float, spaces: Spaces | None = None, encryption: Encryption = NO_ENCRYPTION
    ) -> None:
        self._redis, self._keep, self._spaces = redis, keep, spaces or Spaces()
        self._encryption = encryption
        self._rate, self._explain = load(redis, _rate), load(redis, _explain)

    async def rate(self, scope: str, message: str, model: str, person: str, *, good: bool) -> None:
        """Count a vote on the answer in this message, for the channel with this scope."""
        vote, words, ttl = "good" if good else "bad", _words(message, person), round(self._keep * 1000)
        votes, counts, reasons = (self._key(scope, each) for each in (f"votes:{message}", "ratings", "reasons"))
        async with guarded():
            await self._rate(votes, counts, reasons, person=person, vote=vote, model=model, words=words, ttl_ms=ttl)

    async def of(self, scope: str) -> tuple[Rating, ...]:
        """The votes in this channel, by model."""
        async with guarded():
            counts: dict[Any, Any] = await self._redis.hgetall(self._key(scope, "ratings"))
        found: dict[str, dict[str, int]] = {}
        for field, number in counts.items():
            with suppress(ValueError):  # a count that can't be read hides no others
                vote, _, model = field.decode().partition(" ")
                found.setdefault(model, {})[vote] = int(number)
        ratings = (Rating(name, votes.get("good", 0), votes.get("bad", 0)) for name, votes in sorted(found.items()))
        return tuple(each for each in ratings if each.good or each.bad)  # all of them may have moved to another model

    async def explain(self, scope: str, message: str, person: str, reason: Reason, keep: float | None = None) -> bool:
        """Keep the reason for a person's bad vote, in place of an earlier one; False if no such vote is known.

        `keep`: for how many seconds, if that is shorter than votes are kept.
        """
        words, value = _words(message, person), json.dumps({"text": reason.text}).encode()
        before = b"%s@%.0f" % (words, reason.at)
        entry = before + b"|" + self._encryption.encrypt(value, scope, _sealed(before))
        ttl = round(self._kept(keep) * 1000)
        await self.retain(scope, keep)
        async with guarded():
            votes, reasons = self._key(scope, f"votes:{message}"), self._key(scope, "reasons")
            found = await self._explain(
                votes, reasons, person=person, words=words, entry=entry, most=MOST_REASONS, ttl_ms=ttl
            )
        return bool(found)

    async def reasons(self, scope: str, keep: float | None = None) -> tuple[Reason, ...]:
        """The newest reasons in this channel, newest first, that are not older than `keep` seconds."""
        await self.retain(scope, keep)
        found = []
        for entry in await self._entries(scope):
            before, _, stored = entry.partition(b"|")
            try:
                text = json.loads(self._encryption.decrypt(stored, scope, _sealed(before)))["text"]
            except (ValueError, LookupError, TypeError, Unreadable) as error:  # its text may quote the reason
                log.warning("skipped a reason that can't be read (%s)", type(error).__name__)
                continue
            found.append(Reason(str(text), _at(entry)))
        return tuple(found[:MOST_REASONS])

    async def retain(self, scope: str, keep: float | None = None) -> None:
        """Forget the reasons of this channel that are older than this many seconds."""
        oldest = time.time() - self._kept(keep)
        await self._drop(scope, lambda entry: _at(entry) < oldest)

    async def forget(self, scope: str, person: str = "") -> None:
        """Forget the reasons that this person gave in this channel; without a person, everybody's."""
        await self._drop(scope, lambda entry: person in ("", _person(entry)))

    async def _drop(self, scope: str, which: Callable[[bytes], bool]) -> None:
        """Remove the entries that are to go, and no others, whatever comes meanwhile."""
        if entries := [entry for entry in await self._entries(scope) if which(entry)]:
            async with guarded(), self._redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.lrem(self._key(scope, "reasons"), 0, entry)  # type: ignore[arg-type]
                await pipe.execute()

    async def _entries(self, scope: str) -> list[bytes]:
        async with guarded():
            found: list[Any] = await self._redis.lrange(self._key(scope, "reasons"), 0, -1)
        return found

    def _kept(self, keep: float | None) -> float:
        return self._keep if keep is None else min(keep, self._keep)

    def _key(self, scope: str, name: str) -> str:
        return f"{self._spaces.prefix(scope)}:u:{{{scope}}}:{name}"


def _words(message: str, person: str) -> bytes:
    """What an entry begins with, so that there is one for each person and answer."""
    return f"{message},{person},".encode()


def _person(entry: bytes) -> str:
    return entry.partition(b"|")[0].decode("utf-8", "replace").partition(",")[2].partition(",")[0]


def _at(entry: bytes) -> float:
    """When a reason was given; 0 if that can't be read, so that it is forgotten."""
    try:
        return float(entry.partition(b"|")[0].rpartition(b"@")[2])
    except ValueError:
        return 0.0


def _sealed(before: bytes) -> bytes:
    """What an encrypted reason is bound to, beside its channel: that it is a reason, and its words."""
    return b"reason\0" + before
