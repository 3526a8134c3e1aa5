"""Reads messages in Discord's format as what somebody said; they may come without their content."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import discord

from bots.discord.dialect.markdown import from_discord
from core.domain.surroundings import CHOSEN_CHARACTERS, Role, Said
from core.text import file_name, one_line

Json = dict[str, Any]

# Types of messages (docs.discord.com, Message Types): those that somebody wrote, and the first one of a thread that was
# started from a message, which has no text of its own.
_WRITTEN = (0, 19, 20, 23)
STARTER = 21
FORWARD = 1  # docs.discord.com, Message Reference Types
_LOADING, _HAS_THREAD = 1 << 7, 1 << 5  # message flags: a deferred response; a thread was started from it
_EPOCH_MS = 1_420_070_400_000  # start of the time in Discord's ids (docs.discord.com, Snowflakes)
_DEPTH = 8  # how deep components and embedded messages are looked into


@dataclass(frozen=True, slots=True)
class GuildView:
    """What this process knows of a guild without asking; None where it does not know.

    `own`: the bot's id. `roles`, `channels`: names by id. `content`: whether Discord shows the bot what others write.
    `history`: whether the bot may read the history of the place. `forum`: whether the place is a post in a forum.
    """

    own: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    content: bool | None = None
    history: bool | None = None
    forum: bool | None = None

    @classmethod
    def of(cls, own: str, guild: discord.Guild | None, content: bool | None = None) -> "GuildView":
        """The view of a guild as the gateway sent it."""
        if guild is None:
            return cls(own, content=content)
        channels = {str(each.id): each.name for each in (*guild.channels, *guild.threads)}
        return cls(own, {str(role.id): role.name for role in guild.roles}, channels, content)


def number_of(message: Json) -> int:
    """A message's id, which grows with time."""
    return int(message["id"])


def role_of(message: Json, own: str) -> Role:
    """Who wrote a message. A response to a command is written by the bot, though it comes by a webhook."""
    author = _dict(message.get("author"))
    if own and str(author.get("id")) == own:
        return Role.US
    return Role.BOT if author.get("bot") or message.get("webhook_id") else Role.PERSON


def author_of(message: Json) -> str:
    """The id of a message's author."""
    return str(_dict(message.get("author")).get("id"))


def is_written(message: Json) -> bool:
    """Whether somebody wrote it, unlike the news of a pin or of somebody who joined, and it is not still to come."""
    flags = message.get("flags")
    return message.get("type", 0) in _WRITTEN and not (isinstance(flags, int) and flags & _LOADING)


def people_in(message: Json) -> Iterator[tuple[str, str]]:
    """The names of a message's author and of those whom it mentions, by id."""
    for user in (message.get("author"), *_list(message.get("mentions"))):
        user = _dict(user)
        name = _dict(user.get("member")).get("nick") or user.get("global_name") or user.get("username")
        if user.get("id") and name:
            yield str(user["id"]), str(name)


def chosen(message: Json, view: GuildView) -> Said:
    """A message that somebody chose, which Discord hands over with its content; without a text if nothing of it can be
    read. Raises AttributeError, KeyError, TypeError or ValueError if it is no message."""
    people = dict(people_in(message))
    number, author = number_of(message), str(message["author"]["id"])
    nothing = Said(str(number), people.get(author, author), role_of(message, view.own), _time_of(number), "")
    return said(message, view, people, CHOSEN_CHARACTERS) or nothing


def thread_of(message: Json) -> str:
    """The thread that was started from a message, "" if there is none; it has the message's id (docs.discord.com,
    Threads)."""
    flags = message.get("flags")
    started = bool(message.get("thread")) or (isinstance(flags, int) and bool(flags & _HAS_THREAD))
    return str(number_of(message)) if started else ""


def reply_to(message: Json) -> str:
    """The message that a message replies to, "" for none; one that it forwards is none."""
    reference = _dict(message.get("message_reference"))
    return "" if reference.get("type") == FORWARD else str(reference.get("message_id") or "")


def said(message: Json, view: GuildView, people: Mapping[str, str], characters: int) -> Said | None:
    """What a message says, in at most so many characters; None if nothing of it can be read."""
    role, author = role_of(message, view.own), author_of(message)
    text = from_discord(_text(message), people.get, view.roles.get, view.channels.get).strip()
    if role is Role.US:  # small print is about an answer, not part of it
        text = "\n".join(line for line in text.splitlines() if not line.startswith("-# ")).strip()
    files = _short(" ".join(_files(message)), characters // 2)
    text = _short(text, characters - len(files) - bool(files))
    whole = "\n".join(part for part in (text, files) if part)
    if not whole:
        return None
    number = number_of(message)
    return Said(str(number), one_line(people.get(author, author)), role, _time_of(number), whole)


def _time_of(number: int) -> float:
    """When an id was made, in epoch seconds."""
    return ((number >> 22) + _EPOCH_MS) / 1000


def _text(message: Json, depth: int = _DEPTH) -> str:
    """The text with that of cards, of components, of a poll, and of forwarded messages; a preview of a link is no
    card."""
    content = str(message.get("content") or "")
    cards = (each for each in map(_dict, _list(message.get("embeds"))) if _is_card(each) or not content)
    parts = [content, *map(_card, cards), *map(_words, _list(message.get("components"))), _poll(message.get("poll"))]
    if depth:
        parts += (_text(each, depth - 1) for each in _forwarded(message))
    return "\n".join(part for part in parts if part)


def _is_card(embed: Json) -> bool:
    return embed.get("type") in (None, "rich")


def _card(embed: Json) -> str:
    fields = (f"{each.get('name')}: {each.get('value')}" for each in map(_dict, _list(embed.get("fields"))))
    author, footer = _dict(embed.get("author")).get("name"), _dict(embed.get("footer")).get("text")
    parts = (author, embed.get("title"), embed.get("description"), *fields, footer)
    return "\n".join(str(part) for part in parts if part)


def _words(part: Any, depth: int = _DEPTH) -> str:
    """The text in a component, such as a text display in a container."""
    part = _dict(part)
    inner = _list(part.get("components")) if depth else []
    texts = (str(part.get("content") or ""), *(_words(each, depth - 1) for each in inner))
    return "\n".join(text for text in texts if text)


def _poll(poll: Any) -> str:
    """A poll's question with its answers."""
    poll = _dict(poll)
    answers = (_dict(_dict(each).get("poll_media")).get("text") for each in _list(poll.get("answers")))
    asked = _dict(poll.get("question")).get("text")
    return "\n".join([f"Poll: {asked}", *(f"- {each}" for each in answers if each)]) if asked else ""


def _files(message: Json, depth: int = _DEPTH) -> Iterator[str]:
    """The names of files and stickers, also of forwarded ones."""
    for file in map(_dict, _list(message.get("attachments"))):
        yield f"[file: {file_name(str(file.get('filename') or ''))}]"
    for sticker in map(_dict, _list(message.get("sticker_items"))):
        yield f"[sticker: {one_line(str(sticker.get('name') or 'unnamed'))}]"
    if depth:
        for each in _forwarded(message):
            yield from _files(each, depth - 1)


def _forwarded(message: Json) -> list[Json]:
    return [_dict(_dict(each).get("message")) for each in _list(message.get("message_snapshots"))]


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: max(0, characters - 1)] + "…"


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
