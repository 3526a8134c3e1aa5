"""Admission: decides which questions the bot accepts, and answers the others with a sentence."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from core.domain.conversation import Author, Place
from core.domain.question import Declined, Question
from core.domain.turn_id import unasked

EMPTY = "Ask me something: write your question in the same message. `!help` shows what else I can do."
DENIED = "You can't use this bot here. Ask whoever runs it for access."
EXTERNAL = "Only members of this workspace can use this bot here."


class AccessList:
    """Two lists of ids, of people, roles, channels, threads and workspaces; and one of the bots that may ask."""

    def __init__(
        self,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        *,
        external: bool = False,
        bots: Iterable[str] = (),
    ) -> None:
        """`allow`: if it lists anything, nothing else is allowed. `deny` overrides it. `external`: whether people from
        other organisations may ask. `bots`: of all bots, these alone may ask."""
        self._allow, self._deny, self._external = frozenset(allow), frozenset(deny), external
        self._bots = frozenset(bots)

    def refusal(self, author: Author, place: Place) -> str:
        """Return the sentence for an author who may not ask in this place, "" for one who may."""
        own = {author.id, *author.roles}
        ids = {*own, place.workspace, place.channel, place.thread} - {""}
        if author.program:
            return DENIED if ids & self._deny or not self.names_bot(own) else ""
        if ids & self._deny or (self._allow and not ids & self._allow):
            return DENIED
        return EXTERNAL if author.external and not self._external else ""

    def names_bot(self, ids: Iterable[str]) -> bool:
        """Return whether the bot with these ids may ask."""
        return not self._bots.isdisjoint(ids)

    def denies(self, place: Place) -> bool:
        """Return whether nobody may ask in this place."""
        return not self._deny.isdisjoint({place.workspace, place.channel, place.thread} - {""})


EVERYBODY = AccessList()


class Quota(Protocol):
    """Limits on how much people may ask."""

    async def take(self, question: Question) -> str:
        """Count this question, once however often it is delivered; return "", or a sentence if it is one too many.

        Raises StoreError.
        """
        ...

    async def charge(self, question: Question, tokens: int) -> None:
        """Count the tokens that the answer took. Raises StoreError."""
        ...


class Unlimited:
    """No limits: everybody may ask as much as they like."""

    async def take(self, question: Question) -> str:
        return ""

    async def charge(self, question: Question, tokens: int) -> None:
        pass


UNLIMITED = Unlimited()


class Admission:
    """Applies the access lists, the limits of people and channels, and the limits on what is stored."""

    def __init__(self, access: AccessList = EVERYBODY, quota: Quota = UNLIMITED, *, longest: int = 32_000) -> None:
        """`longest`: the most characters that a question may have."""
        self.quota = quota
        self._access, self._longest = access, longest

    async def refusal(self, question: Question) -> str:
        """Return the sentence for the author alone if nothing of this question may be stored, else "".

        Raises StoreError.
        """
        if refusal := self._access.refusal(question.author, question.place):
            return refusal
        return "" if question.shows else await self.quota.take(question)

    def judged(self, question: Question) -> Question:
        """Return the question, declined if it is empty or too long; a text that is too long is not even stored."""
        text = question.text.strip()
        if question.shows:
            return question  # it was answered already
        if not (text or (question.attachments and not question.draws)):
            return _declined(question, question.declined or Declined(EMPTY))
        if len(text) > self._longest:
            notice = (
                f"Your message has {len(text):,} characters; I take at most {self._longest:,}. "
                "Please shorten it or send it in parts."
            )
            return _declined(question, Declined(notice))
        return replace(question, text=text)


def _declined(question: Question, why: Declined) -> Question:
    return replace(question, id=unasked(question.id), text="", kind=why)
