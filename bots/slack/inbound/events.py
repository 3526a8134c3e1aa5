"""Reads Slack's message events: a question, an edited question, or a deleted message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bots.slack.api.identity import Identity
from core.domain.conversation import Attachment, Place
from core.domain.turn_id import TurnId

# Subtypes of messages that people write; all others are edits, joins, other apps and so on
# (docs.slack.dev/reference/events/message).
_WRITTEN = {None, "file_share", "thread_broadcast", "me_message"}


@dataclass(frozen=True, slots=True)
class RawQuestion:
    """A question as Slack delivered it, with unresolved ids and markup. `teams`: the author's workspaces."""

    id: TurnId
    place: Place
    user: str
    text: str
    message: str
    attachments: tuple[Attachment, ...] = ()
    teams: tuple[str, ...] = ()

    @property
    def at(self) -> float:
        """When the person asked, in epoch seconds."""
        return float(self.message)


@dataclass(frozen=True, slots=True)
class Edited:
    """A message whose text has changed; `asks`: its new text is a question for the bot."""

    raw: RawQuestion
    asks: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """A question, or one of our messages, that somebody deleted."""

    place: Place
    message: str


def read(event: Mapping[str, Any], me: Identity) -> RawQuestion | Edited | Deleted | None:
    """Return what an event means for us, None if it is not for us.

    Edits are message events with the new and the old message (docs.slack.dev/reference/events: message,
    message_changed, message_deleted). A thread's deleted first message leaves a tombstone, which is an edit of its
    subtype.
    """
    if event.get("type") == "message":
        if event.get("subtype") == "message_deleted":
            return _deleted(event, _nested(event, "previous_message"), str(event.get("deleted_ts") or ""), me)
        if event.get("subtype") == "message_changed":
            new, old = _nested(event, "message"), _nested(event, "previous_message")
            if new.get("subtype") == "tombstone":
                return _deleted(event, old, str(new.get("ts") or ""), me)
            return _edited(event, new, old, me)
    raw = raw_question(event, me)
    # Slack sends app_mention again for an edit: the question is the same, or the edit turned the message into one.
    return Edited(raw, asks=True) if raw and event.get("edited") else raw


def raw_question(event: Mapping[str, Any], me: Identity, *, mentioned: bool = True) -> RawQuestion | None:
    """Return the question in a message, None if it is not for us; without `mentioned` accept anything a person wrote.

    A mention in a channel raises app_mention and, where subscribed, message.*, in any order and with different event
    ids; both become the same question because the question's id comes from the message.
    """
    kind, channel, ts, user = (str(event.get(field) or "") for field in ("type", "channel", "ts", "user"))
    if kind not in ("app_mention", "message") or not (channel and user and _is_ts(ts)):
        return None
    if event.get("subtype") not in _WRITTEN or event.get("bot_id") or user in (me.user, "USLACKBOT"):
        return None
    text = str(event.get("text") or "")
    place = _place(event, event, ts, me)
    if mentioned and kind == "message" and not place.direct and not _mentions(text, me):
        return None
    profile = _nested(event, "user_profile")
    teams = (*(event.get(field) for field in ("user_team", "source_team", "team")), profile.get("team"))
    whose = tuple({str(team): None for team in teams if team})
    return RawQuestion(
        TurnId(f"slack/{me.team}/{channel}/{ts}"), place, user, text, ts, _attachments(event.get("files")), whose
    )


def _edited(event: Mapping[str, Any], new: Mapping[str, Any], old: Mapping[str, Any], me: Identity) -> Edited | None:
    """Return a text change if the old or new text is for us; link previews and replies change messages too."""
    now, before = (str(each.get("text") or "") for each in (new, old))
    where = {"type": "message", "channel": event.get("channel"), "channel_type": event.get("channel_type")}
    raw = raw_question({**new, **where}, me, mentioned=False)
    if raw is None or now == before:
        return None
    asks = raw.place.direct or _mentions(now, me)
    return Edited(raw, asks) if asks or _mentions(before, me) else None


def _deleted(event: Mapping[str, Any], old: Mapping[str, Any], ts: str, me: Identity) -> Deleted | None:
    place = _place(event, old, ts, me)
    ours = old.get("user") == me.user or (me.bot and old.get("bot_id") == me.bot)
    if not (place.channel and _is_ts(ts)) or not (place.direct or ours or _mentions(str(old.get("text") or ""), me)):
        return None
    return Deleted(place, ts)


def _place(event: Mapping[str, Any], message: Mapping[str, Any], ts: str, me: Identity) -> Place:
    """Return the place of a message. A thread's first message was not in a thread when it was written."""
    channel, thread = str(event.get("channel") or ""), str(message.get("thread_ts") or "")
    direct = event.get("channel_type") == "im" or channel.startswith("D")
    return Place("slack", me.team, channel, "" if thread == ts else thread, direct)


def _mentions(text: str, me: Identity) -> bool:
    return re.search(rf"<@{re.escape(me.user)}[|>]", text) is not None


def _nested(event: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = event.get(field)
    return found if isinstance(found, dict) else {}


def _attachments(files: Any) -> tuple[Attachment, ...]:
    """Return a message's files (docs.slack.dev/reference/objects/file-object); we only count those we may not see."""
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
    """Return whether this is a message's timestamp, which is its id within the channel."""
    return re.fullmatch(r"\d+\.\d+", value) is not None
