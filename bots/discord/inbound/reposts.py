"""Recognises messages that a program posts again for their author and deletes, as proxies such as PluralKit do.

The person asked the question, so it is theirs, with their rights. What the webhook posts is no question of its own: a
webhook could speak in anybody's name. Only the deletion of the original must not take the question away.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import discord
from cachetools import TTLCache

from core.domain.question import Question
from core.domain.turn_id import asked_anew

# How far a question, its deletion and its repost may lie apart, in any order.
SECONDS = 30.0
_REMEMBERED = 1000


class Reposts:
    """The questions, the deletions and the webhooks' messages of the last half minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._asked: TTLCache[int, tuple[str, Question]] = TTLCache(_REMEMBERED, SECONDS, clock)
        self._posted: TTLCache[tuple[int, int], str] = TTLCache(_REMEMBERED, SECONDS, clock)
        self._deleted: TTLCache[tuple[int, int], None] = TTLCache(_REMEMBERED, SECONDS, clock)

    def asked(self, message: discord.Message, question: Question) -> None:
        """Somebody asked something."""
        self._asked[message.id] = message.content, question

    def posted(self, message: discord.Message) -> Question | None:
        """A webhook posted something. Returns the question to ask once more, if it is one that was deleted just now."""
        said, channel = message.content.strip(), message.channel.id
        if not said:
            return None
        self._posted[channel, message.id] = said
        for where, deleted in list(self._deleted):
            if where == channel and (found := self._asked.get(deleted)) and said in found[0]:
                del self._deleted[where, deleted]
                # All processes give it the same name.
                return replace(found[1], id=asked_anew(found[1].id, "0"), message=str(message.id))
        return None

    def repeats(self, message: discord.Message) -> bool:
        """Whether a webhook says what a person has asked in this channel just now."""
        said, home = message.content.strip(), str(message.channel.id)
        asked = list(self._asked.values())
        return any(said and said in text and home == (q.place.thread or q.place.channel) for text, q in asked)

    def deleted(self, channel: int, messages: Iterable[int]) -> Sequence[int]:
        """Those of the deleted messages that no webhook posted again, as proxies do without their own marks."""
        gone = []
        for message in messages:
            content = self._asked[message][0] if message in self._asked else ""
            if any(where == channel and said in content for (where, _), said in list(self._posted.items())):
                continue
            gone.append(message)
            if content:
                self._deleted[channel, message] = None
        return gone
