"""Introduces the bot in a server to which somebody added it just now."""

import logging
from datetime import timedelta

import discord

from bots.discord.api.names import NAME
from bots.discord.outbound.responses import Responses
from core.commands.responses import Response
from core.domain.conversation import Place
from core.domain.errors import PlatformError, StoreError
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

# Discord sends a server at each start and after each outage, too; the bot was added if it is no member for longer.
JUST_NOW = timedelta(minutes=10)


async def introduce(dispatcher: Dispatcher, responses: Responses, guild: discord.Guild) -> None:
    """Introduce the bot in the server's system channel, if it was added just now and may write there; best effort."""
    channel, joined = guild.system_channel, getattr(guild.me, "joined_at", None)
    if channel is None or joined is None or discord.utils.utcnow() - joined > JUST_NOW:
        return
    held = channel.permissions_for(guild.me)
    if not (held.view_channel and held.send_messages):
        return
    place = Place(NAME, str(guild.id), str(channel.id))
    try:
        text = await dispatcher.introduction.of(place, place.scopes[0], guild.me.display_name, "server")
        try:
            if text:
                await responses.announce(str(channel.id), Response(text), f"introduction/{guild.id}")
        except PlatformError:
            await dispatcher.introduction.failed(place.scopes[0])
            raise
    except (PlatformError, StoreError) as error:
        log.warning("could not introduce the bot in server %d: %s: %s", guild.id, type(error).__name__, error)
