"""Gate: which questions are taken in, and in what form; the others end in a sentence."""

from dataclasses import replace
from typing import Protocol

from core.access.allowlist import EVERYBODY, AccessList
from core.domain.conversation import Question

EMPTY = "Ask me something: write your question in the same message. `!help` shows what else I can do."
ONLY_FILES = "I can read text only, not files or images. Write your question as text."


class Quota(Protocol):
    """How much people may ask."""

    async def take(self, mention: Question) -> str:
        """Count this question, once however often it comes; a sentence when it is one too many. Raises StoreError."""
        ...

    async def charge(self, mention: Question, tokens: int) -> None:
        """Count the tokens that its answer took. Raises StoreError."""
        ...


class Unlimited:
    """Everybody may ask as much as they like."""

    async def take(self, mention: Question) -> str:
        return ""

    async def charge(self, mention: Question, tokens: int) -> None:
        pass


UNLIMITED = Unlimited()


class Admission:
    """Applies the access lists, the limits of people and channels, and the limits on what is stored."""

    def __init__(self, access: AccessList = EVERYBODY, quota: Quota = UNLIMITED, *, longest: int = 32_000) -> None:
        """`longest`: characters of a question."""
        self.quota = quota
        self._access, self._longest = access, longest

    async def refusal(self, mention: Question) -> str:
        """The sentence for the person alone, when nothing of this question is to be stored. Raises StoreError."""
        return self._access.refusal(mention.author, mention.place) or await self.quota.take(mention)

    def judged(self, mention: Question) -> Question:
        """The mention, refused when the model has nothing to work on; an over-long text is not even stored."""
        text = mention.text.strip()
        if not text:
            why = ONLY_FILES if mention.attachments else EMPTY
            return _refused(mention, mention.refusal or why)
        if len(text) > self._longest:
            notice = (
                f"Your message has {len(text):,} characters; I take at most {self._longest:,}. "
                "Shorten it or send it in parts."
            )
            return _refused(mention, notice)
        return replace(mention, text=text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _refused(mention: Question, notice: str) -> Question:
    """Under a name beside the message's own: once its author has mended it by an edit, it is a question like any."""
    return replace(mention, id=f"{mention.id}/unasked", text="", refusal=notice)
