"""Summaries in Redis: one for each dialogue, beside the history that they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from core.domain.conversation import NO_SUMMARY, Conversation, Exchange, Summary, in_order
from core.store.entries import stored_at
from core.store.mailbox import Mailboxes, ms
from core.store.redis.client import guarded


@dataclass(frozen=True, slots=True)
class StoredExchange:
    """An exchange of the history; `at`: when it was stored, in epoch seconds, 0 if that is not known."""

    exchange: Exchange
    at: int


@dataclass(frozen=True, slots=True)
class Material:
    """What a new summary is made of: the old one with its entry in Redis, and the history in order of the questions."""

    old: Summary
    entry: bytes
    history: tuple[StoredExchange, ...]


class News(StrEnum):
    """What people read about the oldest questions of a dialogue."""

    SUMMARISED = "summarised"
    LEFT_OUT = "left out"  # and the model is told nothing of them
    DROPPED = "dropped"  # the same, as people want it


class StoredSummaries:
    """Reads and writes summaries, each by its conversation and its dialogue's name (see Recalled). What a summary tells
    of is forgotten with it, by the same steps. All calls raise StoreError."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes, self._entries = mailboxes, mailboxes.entries

    async def of(self, conversation: Conversation, dialogue: str) -> Summary:
        """The summary of a dialogue; NO_SUMMARY if there is none that can be read."""
        entry, _ = await self._mailboxes.summary(conversation, thread=dialogue, whole=0)
        return self._read(conversation, dialogue, entry)

    async def material(self, conversation: Conversation, dialogue: str) -> Material:
        """What a new summary can be made of."""
        entry, history = await self._mailboxes.summary(conversation, thread=dialogue, whole=1)
        found = {
            exchange.turn: StoredExchange(exchange, stored_at(each))
            for each in history
            for exchange in self._entries.exchanges(conversation, [each])
        }
        ordered = in_order(each.exchange for each in found.values())
        old = self._read(conversation, dialogue, entry)
        return Material(old, entry, tuple(found[each.turn] for each in ordered))

    async def write(
        self, conversation: Conversation, dialogue: str, old: bytes, new: Summary, told: Sequence[Exchange] = ()
    ) -> bool:
        """Store a summary in place of the one with the entry `old`. False, and nothing is stored, if that one is no
        longer there, or one of the exchanges `told`, of which the new one tells as well: somebody forgot it."""
        entry = self._entries.summary(conversation, dialogue, new)
        turns = [each.turn for each in told]
        return bool(await self._mailboxes.summarise(conversation, thread=dialogue, old=old, entry=entry, told=turns))

    async def known(self, conversation: Conversation, dialogue: str, news: News) -> None:
        """People have read this about the oldest questions of a dialogue; they need not read it again."""
        entry, _ = await self._mailboxes.summary(conversation, thread=dialogue, whole=0)
        found = self._read(conversation, dialogue, entry)
        # Meanwhile it may have been forgotten, or written.
        if bool(found.text) is (news is News.SUMMARISED) or news is News.DROPPED:
            new = replace(found, known=True) if news is News.SUMMARISED else Summary(known=True)
            await self.write(conversation, dialogue, entry, new)

    async def begin(self, conversation: Conversation, dialogue: str, seconds: float) -> bool:
        """Begin to write, as the only one of all processes for so many seconds. False if somebody else does, or has
        failed a short time ago."""
        async with guarded():
            key = self._mailboxes.writing_key(conversation, dialogue)
            return bool(await self._mailboxes.redis.set(key, 1, nx=True, px=ms(seconds)))

    async def go_on(self, conversation: Conversation, dialogue: str, seconds: float) -> None:
        """Nobody else may begin for so many seconds from now on; 0: anybody may."""
        async with guarded():
            key = self._mailboxes.writing_key(conversation, dialogue)
            await self._mailboxes.redis.pexpire(key, ms(seconds))

    def _read(self, conversation: Conversation, dialogue: str, entry: bytes) -> Summary:
        return (self._entries.read_summary(conversation, dialogue, entry) if entry else None) or NO_SUMMARY
