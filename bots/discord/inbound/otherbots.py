"""Messages of other bots and of webhooks: who wrote them, and which rule decides about them."""

import discord

from bots.discord.inbound.messages import addresses, spoken
from bots.discord.inbound.people import roles_of
from bots.discord.inbound.reposts import Reposts
from core.domain.conversation import Author
from core.inbound.dispatcher import Dispatcher
from core.inbound.listening import BotMessage, Rule


def by_bot(message: discord.Message) -> bool:
    """Whether a bot or a webhook wrote a message."""
    return message.author.bot or message.webhook_id is not None


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
