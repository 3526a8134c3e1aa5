"""Messages of other programs: who wrote them and which rule decides about them, and which only repeat a person's.

Proxies such as PluralKit post a message again for its author and delete the original. The person asked the question, so
it is theirs, with their rights. What the webhook posts is no question of its own: a webhook could speak in anybody's
name. Only the deletion of the original must not take the question away.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import discord
from cachetools import TTLCache

from bots.discord.inbound.messages import addresses, spoken
from bots.discord.inbound.people import roles_of
from bots.discord.room.files import MOST_FILES, attached
from core.domain.conversation import Author
from core.domain.question import Question
from core.domain.turn_id import asked_anew
from core.inbound.dispatcher import Dispatcher
from core.inbound.listening import BotMessage, Rule

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
                question = found[1]
                # Its own files went with the original; the webhook has posted them, too.
                others = (each for each in question.attachments if each.message != str(deleted))
                files = (*attached(message), *others)[:MOST_FILES]
                # All processes give it the same name.
                again = asked_anew(question.id, "0")
                return replace(question, id=again, message=str(message.id), attachments=files)
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


def ids_of(message: discord.Message) -> tuple[str, ...]:
    """The ids of the bot that wrote a message: its user's or its webhook's, and its application's."""
    found = (message.author.id, message.webhook_id, message.application_id)
    return tuple(dict.fromkeys(str(each) for each in found if each))


def bot_author(message: discord.Message) -> Author:
    """The bot as the author of a question."""
    first, *others = ids_of(message)
    return Author(first, message.author.display_name, (*others, *roles_of(message.author)), program=True)


class OtherBotsMessages:
    """Those that one client receives."""

    def __init__(self, client: discord.Client, dispatcher: Dispatcher, reposts: Reposts) -> None:
        self._client, self._bots, self._reposts = client, dispatcher.bots, reposts

    def rule(self, message: discord.Message, me: discord.ClientUser) -> Rule[BotMessage]:
        """The rule for a message of a bot. A proxy's repost of what a person asked speaks to nobody: the person did."""
        ids = ids_of(message)
        own = not {str(me.id), str(self._client.application_id)}.isdisjoint(ids)
        again = message.webhook_id is not None and self._reposts.repeats(message)
        meant = not (own or again) and addresses(message, me)
        commands = meant and Dispatcher.is_command(spoken(message, me))
        return self._bots.rule(ids, own=own, addresses=meant, commands=commands)
