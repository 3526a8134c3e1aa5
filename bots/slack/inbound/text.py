"""Converts what people wrote into the text that the model reads, with names instead of ids."""

import re

from bots.slack.api.people import People
from bots.slack.dialect.markdown import CODE, from_slack
from core.domain.question import MAX_TEXT_CHARACTERS
from core.text import harmless

_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_CHANNEL = re.compile(r"<#([CDG][A-Z0-9]+)\|?>")


class IncomingText:
    """Reads Slack's markup. `bot` is our own user id, whose mentions are removed."""

    def __init__(self, people: People, bot: str) -> None:
        self._people, self._bot = people, bot
        own = rf"<@{re.escape(bot)}(?:\|[^<>]*)?>"
        self._salutation = re.compile(rf"\A\s*{own}[\s,:]*")
        self._own = re.compile(rf"([ \t]?){own}")

    async def read(self, text: str) -> str:
        """Return the text within about a second; a name that Slack has not returned by then stays an id."""
        text = text[:MAX_TEXT_CHARACTERS]
        pieces = CODE.split(self._salutation.sub("", text))
        # Our own name matters only in code, where it is a word like any other.
        own = [self._bot] if any(self._own.search(piece) for piece in pieces[1::2]) else []
        users = [user for user in _USER.findall(text) if user != self._bot]
        names = await self._people.names([*users, *own], _CHANNEL.findall(text))
        me = "@" + (names.get(self._bot) or "me").replace("\\", "")
        text = "".join(self._own.sub(rf"\1{me}" if code % 2 else "", piece) for code, piece in enumerate(pieces))
        return harmless(from_slack(text, names.get, names.get))
