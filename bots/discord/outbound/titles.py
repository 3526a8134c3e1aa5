"""The name of a thread that a reply opened: the first words of its question, and later a title."""

import logging
import re

from bots.discord.api.rest import Rest
from core.domain.errors import PlatformError

log = logging.getLogger(__name__)

LONGEST_NAME = 100
"""Characters of a thread's name (docs.discord.com, Start Thread from Message)."""
_MENTION = re.compile(r"<(?:@[!&]?|#|a?:\w+:)\d+>")


async def first_name(rest: Rest, channel: str, message: str) -> str:
    """The first words of a question. An address does not hold them, so we read the message again."""
    try:
        said = await rest.content(channel, message)
    except PlatformError:
        said = ""
    name = " ".join(_MENTION.sub(" ", said).split())
    return (name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…") or "Conversation"


async def rename(rest: Rest, channel: str, message: str, title: str, own: str) -> None:
    """Give the thread on a question a title, if we opened it and nobody gave it another name. Raises PlatformError.

    Whoever opened a thread may rename it (discord.py, Thread.edit), twice in ten minutes (discord-api-docs issue 1900,
    discord.js issue 6651): it is tried once.
    """
    thread = await rest.channel(message)  # a thread has the id of the message that it hangs on
    if str(thread.get("owner_id")) != own or thread.get("name") != await first_name(rest, channel, message):
        log.info("thread %s keeps the name that somebody gave it", message)
        return
    await rest.rename(message, title)
