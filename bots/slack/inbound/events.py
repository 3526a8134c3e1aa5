"""Events: what Slack's message events tell the bot, a question, a change of one, or that a message is gone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bots.slack.api.identity import Identity
from core.domain.conversation import Attachment, Place

# Subtypes of what a person wrote; all others are changes, joins, other apps and the like
# (docs.slack.dev/reference/events/message).
_WRITTEN = {None, "file_share", "thread_broadcast", "me_message"}


@dataclass(frozen=True, slots=True)
class Heard:
    """A question as Slack delivered it: ids and markup not resolved yet. `teams`: whose member the author is."""

    id: str
    place: Place
    user: str
    text: str
    message: str
    attachments: tuple[Attachment, ...] = ()
    teams: tuple[str, ...] = ()

    @property
    def at(self) -> float:
        """When it was asked, in epoch seconds."""
        return float(self.message)


@dataclass(frozen=True, slots=True)
class Edited:
    """A message reads differently now; `asks`: as it stands it is for the bot."""

    question: Heard
    asks: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """A question, or a message of ours, is gone."""

    place: Place
    message: str


def read(event: Mapping[str, Any], me: Identity) -> Heard | Edited | Deleted | None:
    """What an event tells us, None if it is not for us.

    Changes are message events with the message as it is and as it was (docs.slack.dev/reference/events: message,
    message_changed, message_deleted). A thread's first message leaves a tombstone, which is a change of its subtype.
    """
    if event.get("type") == "message":
        if event.get("subtype") == "message_deleted":
            return _deleted(event, _nested(event, "previous_message"), str(event.get("deleted_ts") or ""), me)
        if event.get("subtype") == "message_changed":
            new, old = _nested(event, "message"), _nested(event, "previous_message")
            if new.get("subtype") == "tombstone":
                return _deleted(event, old, str(new.get("ts") or ""), me)
            return _edited(event, new, old, me)
    question = heard(event, me)
    # An app_mention that Slack sends again, for an edit: the same question, or one that the edit made.
    return Edited(question, asks=True) if question and event.get("edited") else question


def heard(event: Mapping[str, Any], me: Identity, *, mentioned: bool = True) -> Heard | None:
    """The question in a message, None if there is none for us; without `mentioned` whatever a person wrote is taken.

    A mention in a channel raises app_mention and, where subscribed, message.*, in no certain order and with different
    event ids; both become the same question because it is named after the message.
    """
    kind, channel, ts, user = (str(event.get(field) or "") for field in ("type", "channel", "ts", "user"))
    if kind not in ("app_mention", "message") or not (channel and user and _is_ts(ts)):
        return None
    if event.get("subtype") not in _WRITTEN or event.get("bot_id") or user in (me.user, "USLACKBOT"):
        return None
    text = str(event.get("text") or "")
    place = _place(event, event, ts, me)
    if mentioned and kind == "message" and not place.direct and not _names(text, me):
        return None
    profile = _nested(event, "user_profile")
    teams = (*(event.get(field) for field in ("user_team", "source_team", "team")), profile.get("team"))
    whose = tuple({str(team): None for team in teams if team})
    return Heard(f"slack/{me.team}/{channel}/{ts}", place, user, text, ts, _attachments(event.get("files")), whose)


def _edited(event: Mapping[str, Any], new: Mapping[str, Any], old: Mapping[str, Any], me: Identity) -> Edited | None:
    """A text that changed, where it was for us or is now; link previews and replies change a message too."""
    now, before = (str(each.get("text") or "") for each in (new, old))
    where = {"type": "message", "channel": event.get("channel"), "channel_type": event.get("channel_type")}
    question = heard({**new, **where}, me, mentioned=False)
    if question is None or now == before:
        return None
    asks = question.place.direct or _names(now, me)
    return Edited(question, asks) if asks or _names(before, me) else None


def _deleted(event: Mapping[str, Any], old: Mapping[str, Any], ts: str, me: Identity) -> Deleted | None:
    place = _place(event, old, ts, me)
    ours = old.get("user") == me.user or (me.bot and old.get("bot_id") == me.bot)
    if not (place.channel and _is_ts(ts)) or not (place.direct or ours or _names(str(old.get("text") or ""), me)):
        return None
    return Deleted(place, ts)


def _place(event: Mapping[str, Any], message: Mapping[str, Any], ts: str, me: Identity) -> Place:
    """Where a message was said. The first message of a thread was no part of one when it was written."""
    channel, thread = str(event.get("channel") or ""), str(message.get("thread_ts") or "")
    direct = event.get("channel_type") == "im" or channel.startswith("D")
    return Place("slack", me.team, channel, "" if thread == ts else thread, direct)


def _names(text: str, me: Identity) -> bool:
    return re.search(rf"<@{re.escape(me.user)}[|>]", text) is not None


def _nested(event: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = event.get(field)
    return found if isinstance(found, dict) else {}


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
