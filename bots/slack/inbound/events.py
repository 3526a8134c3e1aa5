"""Reads Slack's message events: a question, an edited question, or a deleted message."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bots.slack.api.people import shown_name
from bots.slack.api.workspace import Identity
from bots.slack.dialect.mrkdwn import escape
from bots.slack.dialect.rich_text import quoted, text_of
from bots.slack.inbound.payloads import identifier, nested, place, string, timestamp
from core.domain.conversation import Attachment, Place
from core.domain.turn_id import TurnId
from core.text import one_line

# Subtypes of messages that people write; all others are edits, joins, other apps and so on
# (docs.slack.dev/reference/events/message).
_WRITTEN = ("file_share", "thread_broadcast", "me_message")
# What bots write, besides.
_BY_BOTS = "bot_message"
# Forwarded messages and files that we look at; Slack's own client sends one of the former and ten of the latter.
_MOST_SHARED, _MOST_FILES = 5, 20


@dataclass(frozen=True, slots=True)
class RawQuestion:
    """A question as Slack delivered it, with unresolved ids and markup. `teams`: the author's workspaces. `by_app`: an
    app wrote it with the token of a person, or it is a bot that looks like one. `name`: the author's, if the event says
    it."""

    id: TurnId
    place: Place
    user: str
    text: str
    message: str
    attachments: tuple[Attachment, ...] = ()
    teams: tuple[str, ...] = ()
    by_app: bool = False
    name: str = ""

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
            return _deleted(event, nested(event, "previous_message"), event.get("deleted_ts"), me)
        if event.get("subtype") == "message_changed":
            new, old = nested(event, "message"), nested(event, "previous_message")
            if new.get("subtype") == "tombstone":
                return _deleted(event, old, new.get("ts"), me)
            return _edited(event, new, old, me)
    raw = raw_question(event, me)
    # Slack sends app_mention again for an edit: the question is the same, or the edit turned the message into one.
    return Edited(raw, asks=True) if raw and event.get("edited") else raw


def raw_question(event: Mapping[str, Any], me: Identity, *, mentioned: bool = True) -> RawQuestion | None:
    """Return the question in a message, None if it is not for us; without `mentioned` accept anything a person wrote.

    A mention in a channel raises app_mention and, where subscribed, message.*, in any order and with different event
    ids; both become the same question because the question's id comes from the message.
    """
    kind, subtype = event.get("type"), event.get("subtype")
    if kind not in ("app_mention", "message") or not (subtype is None or subtype in _WRITTEN):
        return None
    try:
        where, user = _place(event, event, me), identifier(event.get("user"))
        ts = timestamp(event.get("ts"))
    except ValueError:
        return None
    app = event.get("bot_id")
    if user in (me.user, "USLACKBOT") or (app and app == me.bot):
        return None
    text = _words(event)
    if mentioned and kind == "message" and not where.direct and not mentions(text, me):
        return None
    shared = [each for each in _list(event, "attachments") if isinstance(each, dict) and each.get("is_share")]
    shared = shared[:_MOST_SHARED]
    files = [each for part in (event, *shared) for each in _list(part, "files") if isinstance(each, dict)]
    text = "\n\n".join(filter(None, (text, *map(_forwarded, shared), *map(_snippet, files))))
    profile = nested(event, "user_profile")
    teams = [*(event.get(field) for field in ("user_team", "source_team", "team")), profile.get("team")]
    whose = tuple(dict.fromkeys(each for each in teams if isinstance(each, str) and each))
    turn = TurnId(f"slack/{me.team}/{where.channel}/{ts}")
    return RawQuestion(turn, where, user, text, ts, _attachments(files), whose, bool(app), shown_name(profile))


def is_said(message: Mapping[str, Any]) -> bool:
    """Return whether somebody wrote this message; others say that people join, that a file was pinned, and so on."""
    subtype = message.get("subtype")
    return (subtype is None or subtype in (*_WRITTEN, _BY_BOTS)) and not message.get("hidden")


def content(message: Mapping[str, Any]) -> str:
    """Return all that people see of a message, in markup: its text, what is attached, and the names of its files.

    Apps write in blocks or attachments, and then only the beginning, or nothing, in the text.
    """
    text = _words(message)
    if message.get("bot_id"):
        text = max(text, text_of(message.get("blocks")), key=len)
    attached = [each for each in _list(message, "attachments") if isinstance(each, dict)][:_MOST_SHARED]
    files = [each for part in (message, *attached) for each in _list(part, "files") if isinstance(each, dict)]
    names = [f"[{escape(each.name)}]" for each in _attachments(files)]
    return "\n\n".join(filter(None, (text, *map(_attached, attached), *map(_snippet, files), " ".join(names))))


def _edited(event: Mapping[str, Any], new: Mapping[str, Any], old: Mapping[str, Any], me: Identity) -> Edited | None:
    """Return a text change if the old or new text is for us; link previews and replies change messages too."""
    now, before = _words(new), _words(old)
    where = {"type": "message", "channel": event.get("channel"), "channel_type": event.get("channel_type")}
    raw = raw_question({**new, **where}, me, mentioned=False)
    if raw is None or now == before:
        return None
    asks = raw.place.direct or mentions(now, me)
    return Edited(raw, asks) if asks or mentions(before, me) else None


def _deleted(event: Mapping[str, Any], old: Mapping[str, Any], ts: Any, me: Identity) -> Deleted | None:
    try:
        where, message = _place(event, {**old, "ts": ts}, me), timestamp(ts)
    except ValueError:
        return None
    ours = old.get("user") == me.user or (me.bot and old.get("bot_id") == me.bot)
    return Deleted(where, message) if where.direct or ours or mentions(_words(old), me) else None


def _place(event: Mapping[str, Any], message: Mapping[str, Any], me: Identity) -> Place:
    """Return the place of a message. A thread's first message was not in a thread when it was written.

    Raises ValueError.
    """
    thread = string(message.get("thread_ts"))
    found = place(event.get("channel"), me, "" if thread == message.get("ts") else thread)
    return replace(found, direct=found.direct or event.get("channel_type") == "im")


def mentions(text: str, me: Identity) -> bool:
    """Return whether a text in Slack's markup mentions us."""
    return re.search(rf"<@{re.escape(me.user)}[|>]", text) is not None


def _words(message: Mapping[str, Any]) -> str:
    """Return what somebody wrote; apps may write it in blocks alone."""
    return string(message.get("text")) or text_of(message.get("blocks"))


def _forwarded(share: Mapping[str, Any]) -> str:
    """Return a forwarded message as a quotation (docs.slack.dev/messaging: attachments with `is_share`)."""
    inner = [nested(each, "message") for each in _list(share, "message_blocks") if isinstance(each, dict)]
    words = "\n".join(filter(None, (text_of(each.get("blocks")) for each in inner)))
    text = string(share.get("text")) or words or string(share.get("fallback"))
    author = one_line(string(share.get("author_name")))
    return quoted(f"Forwarded message from {author}" if author else "Forwarded message", text) if text else ""


def _attached(attachment: Mapping[str, Any]) -> str:
    """Return what is attached to a message (docs.slack.dev/messaging: attachments): another message, or a card."""
    if attachment.get("is_share") or attachment.get("is_msg_unfurl"):
        return _forwarded(attachment)
    fields = [each for each in _list(attachment, "fields") if isinstance(each, dict)]
    rows = [": ".join(filter(None, (string(each.get("title")), string(each.get("value"))))) for each in fields]
    card = [string(attachment.get(field)) for field in ("pretext", "title", "text")]
    words = "\n".join(filter(None, (*card, *rows)))
    return words or text_of(attachment.get("blocks")) or string(attachment.get("fallback"))


def _snippet(file: Mapping[str, Any]) -> str:
    """Return the text of a snippet, into which Slack turns a long text: the event brings its beginning."""
    preview = string(file.get("preview"))
    if file.get("mode") != "snippet" or not preview.strip():
        return ""
    title = one_line(string(file.get("title")))
    return quoted("Attached text" if title in ("", "Untitled") else f"Attached text “{title}”", escape(preview))


def _attachments(files: Sequence[Mapping[str, Any]]) -> tuple[Attachment, ...]:
    """Return a message's files (docs.slack.dev/reference/objects/file-object); we only count those we may not see."""
    found = []
    for file in files:
        name = string(file.get("name")) or "file"
        if _snippet(file):
            if not (file.get("preview_is_truncated") or file.get("lines_more")):
                continue
            name = "the end of the attached text"
        address = string(file.get("url_private"))
        found.append(Attachment(name, string(file.get("mimetype")), address, _size(file.get("size"))))
    return tuple(found[:_MOST_FILES])


def _size(value: Any) -> int:
    """Return a number of bytes; 0 for anything that is none."""
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _list(value: Mapping[str, Any], field: str) -> list[Any]:
    found = value.get(field)
    return found if isinstance(found, list) else []
