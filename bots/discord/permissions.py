"""What the bot asks for in a Discord server, why, and the link with which somebody adds it."""

from collections.abc import Mapping
from dataclasses import dataclass

import discord


@dataclass(frozen=True, slots=True)
class DiscordRight:
    """A permission. `name`: as Discord's settings show it. `why` the bot needs it, and what is `lost` without it."""

    name: str
    why: str
    lost: str


# By the library's names. docs.discord.com, Permissions.
PERMISSIONS: Mapping[str, DiscordRight] = {
    "view_channel": DiscordRight("View Channels", "hear mentions and see the channel", "the bot is not there"),
    "send_messages": DiscordRight("Send Messages", "answer in a channel", "it answers only commands there"),
    "send_messages_in_threads": DiscordRight(
        "Send Messages in Threads", "answer in a thread", "it answers only commands there"
    ),
    "create_public_threads": DiscordRight(
        "Create Public Threads", "open a thread for its answer where a channel has `replies thread`", "that setting"
    ),
    "read_message_history": DiscordRight(
        "Read Message History",
        "reply to the question, read the thread around it, and find what was asked while the bot was away",
        "answers are no replies, nothing around a question is read, and questions are missed",
    ),
    "add_reactions": DiscordRight(
        "Add Reactions", "mark a question that waits, and a bot's that is not answered", "neither has a sign"
    ),
    "attach_files": DiscordRight(
        "Attach Files",
        "attach pictures, and answers that are too long for messages",
        "such a reply ends with a sentence",
    ),
}
_SCOPES = ("bot", "applications.commands")


def invite_url(application_id: str | int) -> str:
    """The page where somebody who manages a server adds the bot, with exactly the permissions that it needs."""
    permissions = discord.Permissions(**dict.fromkeys(PERMISSIONS, True))
    return discord.utils.oauth_url(int(application_id), permissions=permissions, scopes=_SCOPES)


def explained() -> str:
    """The permissions, each with its reason and with what is lost without it."""
    return "\n".join(f"  {each.name:26}{each.why}\n{'':28}without it: {each.lost}" for each in PERMISSIONS.values())
