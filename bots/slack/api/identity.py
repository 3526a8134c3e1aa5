"""Defines who the bot is in a workspace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot's workspace, user id and bot id; `enterprise`: the organization that owns the workspace, if any."""

    team: str
    user: str
    bot: str
    enterprise: str = ""
