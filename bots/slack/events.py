"""Events: which of Slack's message events put a question to the bot, and what they say about it."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.model import Attachment, Place

# Subtypes of what a person wrote; all others are changes, joins, other apps and the like
# (docs.slack.dev/reference/events/message).
_WRITTEN = {None, "file_share", "thread_broadcast", "me_message"}
# An edit may put the mention into a message that had none, but is mostly a new look at an answered question. The
# store knows a question for an hour; an edit of anything older is left alone. Seconds.
_EDIT_WINDOW = 1800.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is: its workspace, its user id, and its bot id."""

    team: str
    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A question as Slack delivered it: ids and markup not resolved yet."""

    id: str
    place: Place
    user: str
    text: str
    message: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def at(self) -> float:
        """When it was asked, in epoch seconds."""
        return float(self.message)


def heard(event: Mapping[str, Any], me: Identity) -> Heard | None:
    """The question in an event, None if there is none for us.

    A mention in a channel raises app_mention and, where subscribed, message.*, in no certain order and with different
    event ids; both become the same question because it is named after the message.
    """
    kind, channel, ts, user = (str(event.get(field) or "") for field in ("type", "channel", "ts", "user"))
    if kind not in ("app_mention", "message") or not (channel and user and _is_ts(ts)):
        return None
    if event.get("subtype") not in _WRITTEN or event.get("bot_id") or user in (me.user, "USLACKBOT"):
        return None
    if event.get("edited") and time.time() - float(ts) > _EDIT_WINDOW:
        return None
    text = str(event.get("text") or "")
    direct = event.get("channel_type") == "im" or channel.startswith("D")
    if kind == "message" and not direct and not re.search(rf"<@{re.escape(me.user)}[|>]", text):
        return None
    place = Place("slack", me.team, channel, str(event.get("thread_ts") or ""), direct)
    return Heard(f"slack/{me.team}/{channel}/{ts}", place, user, text, ts, _attachments(event.get("files")))


def _attachments(files: Any) -> tuple[Attachment, ...]:
    """The files of a message (docs.slack.dev/reference/objects/file-object); one we may not see is only counted."""
    if not isinstance(files, list):
        return ()
    return tuple(
        Attachment(
            str(file.get("name") or "file"),
            str(file.get("mimetype") or ""),
            str(file.get("url_private") or ""),
            int(file.get("size") or 0),
        )
        for file in files
        if isinstance(file, dict)
    )


def _is_ts(value: str) -> bool:
    """Whether this is a message's timestamp, which is its id within the channel."""
    return re.fullmatch(r"\d+\.\d+", value) is not None
