"""The names under which a place of Discord is known to the core."""

import discord

NAME = "discord"


NO_GUILD = "-"


def direct(message: discord.Message) -> bool:
    """Whether it is a direct message; a guild that is not known (yet) is none."""
    return isinstance(message.channel, discord.DMChannel)
