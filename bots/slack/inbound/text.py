"""Converts what people wrote into the text that the model reads, with names instead of ids."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from bots.slack.api.people import People
from bots.slack.dialect.markdown import CODE, from_slack
from core.domain.conversation import Attachment
from core.domain.question import MAX_TEXT_CHARACTERS
from core.text import harmless

_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_CHANNEL = re.compile(r"<#([CDG][A-Z0-9]+)\|?>")


class IncomingText:
    """Reads Slack's markup. `bot` is our own user id, whose mentions are removed. `described`: returns files with all
    that Slack tells of them, within about a second."""

    def __init__(
        self,
        people: People,
        bot: str,
        described: Callable[[Sequence[Attachment]], Awaitable[tuple[Attachment, ...]]] | None = None,
    ) -> None:
        self._people, self._bot, self._described = people, bot, described
        own = rf"<@{re.escape(bot)}(?:\|[^<>]*)?>"
        self._salutation = re.compile(rf"\A\s*{own}[\s,:]*")
        self._own = re.compile(rf"([ \t]?){own}")

    async def read(self, text: str) -> str:
        """Return the text within about a second; a name that Slack has not returned by then stays an id."""
        return (await self.read_all([text]))[1][0]

    async def files(self, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """Return files with names and kinds in place of mere ids, within about a second."""
        return await self._described(attachments) if self._described else tuple(attachments)

    async def read_all(self, texts: Sequence[str], users: Iterable[str] = ()) -> tuple[Mapping[str, str], list[str]]:
        """Return several texts within about a second, and the names of these users and of all in the texts, by id."""
        texts = [text[:MAX_TEXT_CHARACTERS] for text in texts]
        # Our own name matters only in code, where it is a word like any other.
        own = [self._bot] if any(self._own.search(code) for text in texts for code in self._pieces(text)[1::2]) else []
        others = [user for text in texts for user in _USER.findall(text) if user != self._bot]
        names = await self._people.names(
            [*users, *others, *own], [channel for text in texts for channel in _CHANNEL.findall(text)]
        )
        return names, [self._in_words(text, names) for text in texts]

    def _pieces(self, text: str) -> list[str]:
        """The text without a salutation; each second piece is code."""
        return CODE.split(self._salutation.sub("", text))

    def _in_words(self, text: str, names: Mapping[str, str]) -> str:
        pieces = self._pieces(text)
        me = "@" + (names.get(self._bot) or "me").replace("\\", "")
        text = "".join(self._own.sub(rf"\1{me}" if code % 2 else "", piece) for code, piece in enumerate(pieces))
        return harmless(from_slack(text, names.get, names.get))
