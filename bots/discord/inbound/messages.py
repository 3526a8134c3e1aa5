"""Decides which messages are questions to the bot, and turns a Discord message into a Question."""

import re
from collections.abc import Iterable, Mapping, Sequence

import discord

from bots.discord.api.names import NAME, direct
from bots.discord.dialect.markdown import CODE, from_discord, outside_code
from bots.discord.room.files import MOST_FILES, attached
from core.domain.conversation import Author, Place
from core.domain.question import MAX_TEXT_CHARACTERS, NEW, Declined, New, Question
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import Dispatcher
from core.inbound.listening import GREETING, Remark
from core.text import one_line

_QUESTIONS = (discord.MessageType.default, discord.MessageType.reply)
# A mention of somebody at the beginning, behind marks, emoji, channels and greetings alone; what begins a quotation, a
# list or a bracket may be about them.
_TO_OTHER = re.compile(
    rf"(?:<#\d{{1,20}}+>|{GREETING}\b|[^\w<@>(\"'“„«-]|<a?:\w{{1,40}}+:\d{{1,20}}+>)*+(?:<@[!&]?\d|@everyone\b|@here\b)",
    re.IGNORECASE,
)
_UNREADABLE = "In reply to a message by {name} that I can't read: Discord shows me only messages that mention me."
_BARE = "(What about the message that I reply to?)"
_UNPINGED = (
    "Discord does not show me a reply that doesn't ping me. Turn the @ of the reply on, mention me in it, or use /ask."
)
_WITHHELD = "I can't read messages that mention my role. Pick me (@{name}, the bot) from the list instead, or use /ask."


def by_bot(message: discord.Message) -> bool:
    """Whether a bot or a webhook wrote a message."""
    return message.author.bot or message.webhook_id is not None


def asks(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether a person addresses the bot with this message. What bots say is judged by other rules."""
    return not by_bot(message) and addresses(message, me)


def addresses(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether a message addresses the bot: every direct message does, others by mentioning the bot or its own role.
    @everyone does not count."""
    if message.type not in _QUESTIONS:
        return False
    if direct(message):
        return True
    own = own_role(message)
    if own is not None and own in _roles(message):
        return True
    if all(user.id != me.id for user in _people(message)):
        return _unpinged(message, me)
    # A reply to one of the bot's messages mentions the bot without naming it in the text.
    literal = re.compile(f"<@!?{me.id}>")
    return not literal.search(message.content) or bool(literal.search(CODE.sub(" ", message.content)))


def remark_of(message: discord.Message, me: discord.ClientUser) -> Remark:
    """What a message is that does not address the bot. Without the Message Content intent it says nothing.

    A reply to a message that Discord did not send along, say because it was deleted, is to somebody else.
    """
    other = replied(message)
    to_other = other.author.id not in (me.id, message.author.id) if other else message.type is discord.MessageType.reply
    return Remark(
        _text(message)[:MAX_TEXT_CHARACTERS],
        files=bool(attached(message)),
        to_other=to_other or _TO_OTHER.match(message.content) is not None,
        by_program=by_bot(message),
        written=message.type in _QUESTIONS,
    )


def own_role(message: discord.Message) -> discord.Role | None:
    """The role that Discord created for the bot; clients offer it in the list of names next to the bot itself."""
    return message.guild.self_role if message.guild else None


def question_of(message: discord.Message, place: Place, author: Author, me: discord.ClientUser) -> Question:
    """The question. It includes forwarded messages, whose text is in snapshots beside the message's own text.

    The message that it replies to is no part of it, and so never stored: it is read when the question is answered. A
    post of a forum begins with its title: often that is the question. The files of the message that it replies to are
    part of it, unless they are our own: they may be what the question is about.
    """
    files = attached(message)
    said = spoken(message, me)
    if (title := title_of_post(message)) and not Dispatcher.is_command(said):
        said = f"{title}\n\n{said}".strip()
    other = replied(message)
    if other is not None and other.author.id != me.id and not Dispatcher.is_command(said):
        said = _replying(other, said)
        files = (*files, *attached(other))[:MOST_FILES]
    people = {str(user.id): user.display_name for user in _people(message)}
    return Question(
        id=TurnId(f"{NAME}/{message.channel.id}/{message.id}"),
        place=place,
        author=author,
        text=in_words(said, message.guild, people, _roles(message)),
        message=str(message.id),
        at=message.created_at.timestamp(),
        kind=_kind(message, me),
        attachments=files,
    )


def spoken(message: discord.Message, me: discord.ClientUser) -> str:
    """What a message says, without the mentions that address the bot."""
    return _unaddressed(_text(message)[:MAX_TEXT_CHARACTERS], message, me)


def title_of_post(message: discord.Message) -> str:
    """The title of the post of a forum, or of a media channel, that begins with this message; "" if there is none."""
    thread = message.channel
    if not isinstance(thread, discord.Thread) or thread.id != message.id:
        return ""
    return one_line(thread.name) if isinstance(thread.parent, discord.ForumChannel) else ""


def in_words(
    text: str, guild: discord.Guild | None, people: Mapping[str, str], roles: Iterable[discord.Role] = ()
) -> str:
    """A text with names in place of Discord's tokens. `people`: their names by id; `roles`: those that are known."""
    held = {str(role.id): role.name for role in (guild.roles if guild else roles)}
    channels = {str(each.id): each.name for each in ((*guild.channels, *guild.threads) if guild else ())}
    return from_discord(text, people.get, held.get, channels.get)


def replied(message: discord.Message) -> discord.Message | None:
    """The message that this one replies to, as far as Discord sent it along."""
    found = message.reference.resolved if message.reference else None
    return found if isinstance(found, discord.Message) else None


def _unpinged(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether this is a reply to the bot that does not ping it. Discord withholds the text of such a reply."""
    other = replied(message)
    return other is not None and other.author.id == me.id and not getattr(message, "stickers", ())


def _kind(message: discord.Message, me: discord.ClientUser) -> New | Declined:
    """A question, or what to say where Discord withheld the text. It does not show the files then, either.

    It may do so if only the bot's role is mentioned. A mention of a role is itself text, so a message that contains one
    can't be empty.
    """
    if message.content or attached(message) or direct(message):
        return NEW
    if own_role(message) in _roles(message):
        return Declined(_WITHHELD.format(name=_name(message, me)))
    pinged = any(user.id == me.id for user in _people(message))
    return NEW if pinged or not _unpinged(message, me) else Declined(_UNPINGED)


def _text(message: discord.Message | discord.MessageSnapshot) -> str:
    """A message's text with its cards, and with the messages forwarded in it; a preview of a link is no card."""
    embeds, components = getattr(message, "embeds", ()), getattr(message, "components", ())
    cards = (each for each in embeds if each.type in (None, "rich") or not message.content)
    parts = [message.content, *map(_card, cards), *map(_words, components)]
    if isinstance(message, discord.Message):
        parts += map(_text, message.message_snapshots)
    return "\n\n".join(part for part in parts if part)


def _card(embed: discord.Embed) -> str:
    fields = (f"{each.name}: {each.value}" for each in embed.fields)
    parts = (embed.author.name, embed.title, embed.description, *fields, embed.footer.text)
    return "\n".join(part for part in parts if part)


def _words(part: object) -> str:
    """The text in a component, such as a text display in a container."""
    inner = (*getattr(part, "children", ()), *getattr(part, "components", ()))
    own = str(getattr(part, "content", "") or "")
    return "\n".join(text for text in (own, *map(_words, inner)) if text)


def _replying(other: discord.Message, said: str) -> str:
    """The question about a message that it replies to, if Discord does not show that message, or if that is all."""
    if _text(other).strip() or other.attachments or other.stickers:
        return said or _BARE
    name = " ".join(other.author.display_name.split())
    return f"({_UNREADABLE.format(name=name)})\n\n{said}" if said else ""


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
