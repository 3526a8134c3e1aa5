"""Reads Slack's message events: a question, a message that may be one, an edited one, or a deleted message."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bots.slack.api.download import file_of
from bots.slack.api.people import shown_name
from bots.slack.api.workspace import Identity
from bots.slack.dialect.mrkdwn import escape
from bots.slack.dialect.rich_text import quoted, text_of
from bots.slack.inbound.payloads import identifier, nested, place, string, timestamp
from core.domain.conversation import Attachment, Place
from core.domain.turn_id import TurnId
from core.inbound.listening import GREETING, Remark
from core.text import one_line

# Subtypes of messages that people write; all others are edits, joins, other apps and so on
# (docs.slack.dev/reference/events/message).
_WRITTEN = ("file_share", "thread_broadcast", "me_message")
# What bots write, besides.
_BY_BOTS = "bot_message"
# Forwarded messages and files that we look at; Slack's own client sends one of the former and ten of the latter. Few
# files are read (core/files/attachments.py): the others are named, or at least counted, and the count has to be true.
_MOST_SHARED, _MOST_FILES = 5, 1_000
# A mention of a person, an app or a group at the beginning, behind marks, emoji, channels and greetings alone; what
# begins a quotation, a list or a bracket may be about them.
_TO_OTHER = re.compile(
    rf"(?:<#[A-Z0-9][^<>]{{0,100}}+>|{GREETING}\b|[^\w<:&(\"'“„«-]|:[\w+'-]{{1,60}}+:|:)*+"
    r"<(?:@|!subteam|!here|!channel|!everyone)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RawQuestion:
    """A question as Slack delivered it, with unresolved ids and markup. `teams`: the author's workspaces. `bot`: the
    ids of the app that wrote it, as a bot, as a workflow without a `user`, or with the token of a person. `name`: the
    author's, if the event says it. `said`: what it is if it does not mention the bot; then it may be no question."""

    id: TurnId
    place: Place
    user: str
    text: str
    message: str
    attachments: tuple[Attachment, ...] = ()
    teams: tuple[str, ...] = ()
    bot: tuple[str, ...] = ()
    name: str = ""
    said: Remark | None = None

    @property
    def at(self) -> float:
        """When the person asked, in epoch seconds."""
        return float(self.message)


@dataclass(frozen=True, slots=True)
class Edited:
    """A message whose text has changed; `asks`: its new text is a question for the bot. `overheard`: neither text
    mentions it."""

    raw: RawQuestion
    asks: bool
    overheard: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    """A person's message, or one of ours, that somebody deleted."""

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
    if raw and event.get("edited"):
        return Edited(raw, asks=True) if raw.said is None else None
    return raw


def raw_question(event: Mapping[str, Any], me: Identity) -> RawQuestion | None:
    """Return a message as a question, None if neither a person wrote it nor another app.

    A mention in a channel raises app_mention and, where subscribed, message.*, in any order and with different event
    ids; both become the same question because the question's id comes from the message.
    """
    kind, subtype = event.get("type"), event.get("subtype")
    if kind not in ("app_mention", "message") or not (subtype is None or subtype in (*_WRITTEN, _BY_BOTS)):
        return None
    try:
        where, ts = _place(event, event, me), timestamp(event.get("ts"))
        app = identifier(event.get("bot_id")) if event.get("bot_id") else ""
        # A workflow has no user (caipe-io/ai-platform-engineering#2193).
        user = identifier(event.get("user")) if event.get("user") or not app else ""
    except ValueError:
        return None
    if user in (me.user, "USLACKBOT") or (app and app == me.bot) or (subtype == _BY_BOTS and not app):
        return None
    profile = nested(event, "bot_profile")
    bot = tuple(dict.fromkeys(filter(None, map(string, (app, event.get("app_id"), profile.get("app_id"), user)))))
    if subtype == _BY_BOTS:
        user = ""  # whoever it names, no person wrote it
    text = _words(event)
    addressed = kind == "app_mention" or where.direct or mentions(text, me)
    to_other = _TO_OTHER.match(text) is not None
    shared = [each for each in _list(event, "attachments") if isinstance(each, dict) and each.get("is_share")]
    shared = shared[:_MOST_SHARED]
    files = [each for part in (event, *shared) for each in _list(part, "files") if isinstance(each, dict)]
    text = "\n\n".join(filter(None, (text, *map(_forwarded, shared))))
    said = None if addressed else Remark(text, bool(files), to_other, by_program=bool(app))
    person = nested(event, "user_profile")
    teams = [*(event.get(field) for field in ("user_team", "source_team", "team")), person.get("team")]
    whose = tuple(dict.fromkeys(each for each in teams if isinstance(each, str) and each))
    turn = TurnId(f"slack/{me.team}/{where.channel}/{ts}")
    name = shown_name(person) or (string(event.get("username")) or shown_name(profile) if app else "")
    return RawQuestion(turn, where, user, text, ts, attachments(event), whose, bot if app else (), name, said)


def is_said(message: Mapping[str, Any]) -> bool:
    """Return whether somebody wrote this message; others say that people join, that a file was pinned, and so on."""
    subtype = message.get("subtype")
    return (subtype is None or subtype in (*_WRITTEN, _BY_BOTS)) and not message.get("hidden")


def content(message: Mapping[str, Any], files: Sequence[Attachment], *, previews: bool) -> str:
    """Return all that people see of a message, in markup: its text, what is attached, and the names of its files.
    `previews`: also the beginnings of snippets, which are in files and so may not be stored.

    Apps write in blocks or attachments, and then only the beginning, or nothing, in the text.
    """
    text = _words(message)
    if message.get("bot_id"):
        text = max(text, text_of(message.get("blocks")), key=len)
    attached = [each for each in _list(message, "attachments") if isinstance(each, dict)][:_MOST_SHARED]
    listed = [each for part in (message, *attached) for each in _list(part, "files") if isinstance(each, dict)]
    snippets = map(_snippet, listed if previews else ())
    names = [f"[{escape(each.name)}]" for each in files]
    return "\n\n".join(filter(None, (text, *map(_attached, attached), *snippets, " ".join(names))))


def _edited(event: Mapping[str, Any], new: Mapping[str, Any], old: Mapping[str, Any], me: Identity) -> Edited | None:
    """Return a change of what a person wrote; link previews and replies change messages too."""
    now, before = _words(new), _words(old)
    where = {"type": "message", "channel": event.get("channel"), "channel_type": event.get("channel_type")}
    raw = raw_question({**new, **where}, me)
    # A bot may edit a message as often as it likes.
    if raw is None or now == before or not raw.user or new.get("subtype") == _BY_BOTS:
        return None
    asks = raw.place.direct or mentions(now, me)
    return Edited(raw, asks, overheard=not (asks or mentions(before, me)))


def _deleted(event: Mapping[str, Any], old: Mapping[str, Any], ts: Any, me: Identity) -> Deleted | None:
    try:
        where, message = _place(event, {**old, "ts": ts}, me), timestamp(ts)
    except ValueError:
        return None
    ours = old.get("user") == me.user or (me.bot and old.get("bot_id") == me.bot)
    # A follow-up mentions nobody: only the store knows whether a person's message was one.
    return Deleted(where, message) if where.direct or ours or not old.get("bot_id") else None


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


def unaddressed(text: str, me: Identity) -> str:
    """Return a text in Slack's markup without our mention at its beginning."""
    return re.sub(rf"\A\s*<@{re.escape(me.user)}(?:\|[^<>]*)?>[\s,:]*", "", text)


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


def attachments(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """Return the files of a message and of those that it forwards."""
    shared = [each for each in _list(message, "attachments") if isinstance(each, dict)][:_MOST_SHARED]
    files = [each for part in (message, *shared) for each in _list(part, "files") if isinstance(each, dict)]
    channel, ts = string(message.get("channel")), string(message.get("ts"))
    return tuple(file_of(each, channel, ts) for each in files[:_MOST_FILES])


def _list(value: Mapping[str, Any], field: str) -> list[Any]:
    found = value.get(field)
    return found if isinstance(found, list) else []
