"""Decides which messages are questions to the bot, and turns a Discord message into a Question."""

import re
from collections.abc import Sequence

import discord

from bots.discord.api.names import NAME, direct
from bots.discord.dialect.markdown import CODE, from_discord, outside_code
from bots.discord.inbound.people import author_of
from core.domain.conversation import Attachment, Place
from core.domain.question import MAX_TEXT_CHARACTERS, NEW, Declined, Question
from core.domain.turn_id import TurnId

_QUESTIONS = (discord.MessageType.default, discord.MessageType.reply)
_WITHHELD = "I can't read messages that mention my role. Pick me (@{name}, the bot) from the list instead, or use /ask."


def asks(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether a message addresses the bot: every direct message does, others by mentioning the bot or its own role.

    @everyone does not count, nor do other bots (two bots would answer each other for ever) or the bot itself.
    """
    if message.author.bot or message.webhook_id is not None or message.type not in _QUESTIONS:
        return False
    if direct(message):
        return True
    own = own_role(message)
    if own is not None and own in _roles(message):
        return True
    if all(user.id != me.id for user in _people(message)):
        return False
    # A reply to one of the bot's messages mentions the bot without naming it in the text.
    literal = re.compile(f"<@!?{me.id}>")
    return not literal.search(message.content) or bool(literal.search(CODE.sub(" ", message.content)))


def own_role(message: discord.Message) -> discord.Role | None:
    """The role that Discord created for the bot; clients offer it in the list of names next to the bot itself."""
    return message.guild.self_role if message.guild else None


def question_of(message: discord.Message, place: Place, me: discord.ClientUser) -> Question:
    """The question. It includes forwarded messages, whose text is in snapshots beside the message's own text."""
    texts = [message.content, *(snapshot.content for snapshot in message.message_snapshots)]
    files = [*message.attachments, *(file for each in message.message_snapshots for file in each.attachments)]
    said = _unaddressed("\n\n".join(text for text in texts if text)[:MAX_TEXT_CHARACTERS], message, me)
    guild = message.guild
    people = {str(user.id): user.display_name for user in _people(message)}
    roles = {str(role.id): role.name for role in (guild.roles if guild else _roles(message))}
    channels = {str(each.id): each.name for each in ((*guild.channels, *guild.threads) if guild else ())}
    return Question(
        id=TurnId(f"{NAME}/{message.channel.id}/{message.id}"),
        place=place,
        author=author_of(message.author),
        text=from_discord(said, people.get, roles.get, channels.get),
        message=str(message.id),
        at=message.created_at.timestamp(),
        kind=Declined(_WITHHELD.format(name=_name(message, me))) if _withheld(message) else NEW,
        attachments=tuple(
            Attachment(file.filename, file.content_type or "application/octet-stream", file.url, file.size)
            for file in files
        ),
    )


def _withheld(message: discord.Message) -> bool:
    """Whether Discord withheld the text, as it may if only the bot's role is mentioned.

    A mention of a role is itself text, so a message that contains one can't be empty.
    """
    return not message.content and own_role(message) in _roles(message)


def _name(message: discord.Message, me: discord.ClientUser) -> str:
    """The bot's name as the list of names shows it."""
    member = message.guild.get_member(me.id) if message.guild else None
    return (member or me).display_name


# discord.py leaves out what a payload leaves out, even attributes that it documents.
def _people(message: discord.Message) -> Sequence[discord.User | discord.Member]:
    return getattr(message, "mentions", ())


def _roles(message: discord.Message) -> Sequence[discord.Role]:
    return getattr(message, "role_mentions", ())


def _unaddressed(text: str, message: discord.Message, me: discord.ClientUser) -> str:
    """The text without the mentions that address the bot. Inside code they are not mentions and stay."""
    own = own_role(message)
    # White space is looked at once, from its beginning on, however much of it there is.
    address = re.compile(rf"(?:(?<![ \t])[ \t]++)?<@(?:!?{me.id}{f'|&{own.id}' if own else ''})>[ \t]*")
    return outside_code(text, address, " ").strip()
