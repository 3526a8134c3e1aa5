"""Who the bot is in a workspace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is: its workspace, user id and bot id; `enterprise`: what the workspace belongs to, if anything."""

    team: str
    user: str
    bot: str
    enterprise: str = ""
