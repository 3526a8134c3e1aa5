"""The files that a question brings along: what is kept of them, and how their content is fetched."""

from dataclasses import dataclass
from typing import Any

import discord

from bots.discord.api.download import CdnDownload
from bots.discord.api.rest import Rest
from bots.discord.room.history import History
from bots.discord.room.said import Json
from core.domain.conversation import Attachment
from core.domain.errors import Forbidden, Gone, Rejected, SlowDown, TooLong, Unreachable
from core.domain.surroundings import Said

MOST_FILES = 100
"""A message has ten files at most, and so has one that it forwards (docs.discord.com, Create Message), or replies to.
Few files are read (core/files/attachments.py): the others are named, or at least counted, and the count has to be
true."""

# What a message shows. Discord takes none without any of it, so it has withheld the content of one that has none.
_CONTENT = (*("content", "attachments", "embeds", "components", "sticker_items", "poll", "message_snapshots"),)
_UNKNOWN_KIND = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Brought:
    """What a question by an interaction brings along: the messages that somebody chose, and files."""

    about: tuple[Said, ...] = ()
    files: tuple[Attachment, ...] = ()


def attached(message: discord.Message) -> tuple[Attachment, ...]:
    """The files of a message, and of what it forwards."""
    found = [*message.attachments, *(file for each in message.message_snapshots for file in each.attachments)]
    channel, number = str(message.channel.id), str(message.id)
    return tuple(file_of({**file.to_dict()}, channel, number) for file in found[:MOST_FILES])


def files_of(message: Json) -> tuple[Attachment, ...]:
    """The same for a message in Discord's format."""
    channel, number = _id(message.get("channel_id")), _id(message.get("id"))
    return tuple(file_of(each, channel, number) for each in _files(message)[:MOST_FILES])


def file_of(data: Json, channel: str = "", message: str = "") -> Attachment:
    """A file in Discord's format. One without a message came with a command: nobody can ask for it again."""
    size = data.get("size")
    return Attachment(
        name=str(data.get("filename") or ""),
        kind=str(data.get("content_type") or _UNKNOWN_KIND),
        url=str(data.get("url") or ""),
        size=max(0, size) if isinstance(size, int) else 0,
        file=_id(data.get("id")),
        channel=channel,
        message=message,
    )


class FileFetcher:
    """Fetches the content of files."""

    def __init__(self, rest: Rest, api: str) -> None:
        """`api`: address of the API."""
        self._history, self._download = History(rest), CdnDownload(api)

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """The content of a file. An address expires within a day or so (docs.discord.com, Signed Attachment CDN URLs):
        where it is refused, the message is asked for another one, once.

        Raises PlatformError: TooLong if it has more than `most` bytes, Rejected if it is elsewhere, Forbidden, Gone,
        Unreachable.
        """
        if attachment.size > most:
            raise TooLong(f"a file of {attachment.size} bytes")
        try:
            return await self._download.content(attachment.url, most)
        except (Gone, Forbidden) as refused:
            if not attachment.message:
                raise Gone("a file that came with a command: its address has expired") from refused
        return await self._download.content(await self._renewed(attachment), most)

    async def _renewed(self, attachment: Attachment) -> str:
        """The address of a file, as its message has it now. Raises PlatformError."""
        try:
            message = await self._history.message(attachment.channel, attachment.message)
        except (SlowDown, Rejected) as error:
            raise Unreachable(f"a file whose address has expired: {error}") from error
        for each in _files(message):
            if _id(each.get("id")) == attachment.file:
                return str(each.get("url") or "")
        if not any(message.get(name) for name in _CONTENT):
            raise Forbidden("a file whose address has expired: Discord no longer shows us its message")
        raise Gone("a file that its message no longer has")


def _files(message: Json) -> list[Json]:
    """The files of a message and of what it forwards, in Discord's format."""
    snapshots = (each.get("message") for each in _dicts(message.get("message_snapshots")))
    whole = (message, *(each for each in snapshots if isinstance(each, dict)))
    return [file for each in whole for file in _dicts(each.get("attachments"))]


def _dicts(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _id(value: Any) -> str:
    """An id; "" for what is none, which must not get into the path of a call."""
    return str(value) if str(value).isdecimal() else ""
