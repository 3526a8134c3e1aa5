"""Names that the core uses for places on Discord."""

import discord

NAME = "discord"


NO_GUILD = "-"


def direct(message: discord.Message) -> bool:
    """Whether this is a direct message. A message in a guild that is not known (yet) is not."""
    return isinstance(message.channel, discord.DMChannel)
