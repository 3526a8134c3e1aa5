"""The chat.* methods that post, edit and delete messages."""

from dataclasses import dataclass, replace

from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.methods.streaming import Streams
from bots.sandbox.slack.workspace.blocks import MARKDOWN_LIMIT, SlackRefusal, checked_blocks
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackMessage

TEXT_LIMIT = 4_000  # characters in a message; chat.update refuses more, chat.postMessage splits
TEXT_MOST = 40_000  # chat.postMessage drops the rest (reference/methods/chat.postMessage)


@dataclass(frozen=True, slots=True)
class Content:
    """The content that a call gives to a message."""

    text: str
    blocks: list[Json]
    parse: str
    mrkdwn: bool


def content(args: Args, parse: str = "none") -> Content:
    """The checked content of a call; `parse` is the method's default. Raises SlackRefusal."""
    blocks = checked_blocks(args.json("blocks", "invalid_blocks")) if args.has("blocks") else []
    text = args.text("text")
    if args.has("markdown_text"):
        if text or blocks:
            raise SlackRefusal("markdown_text_conflict")
        text = args.text("markdown_text")
        if len(text) > MARKDOWN_LIMIT:
            raise SlackRefusal("msg_too_long")
        blocks = checked_blocks([{"type": "markdown", "text": text}])
    if not text.strip() and not blocks and not args.has("attachments"):
        raise SlackRefusal("no_text")
    return Content(text, blocks, args.text("parse") or parse, args.flag("mrkdwn", True))


def unfurls(args: Args) -> bool:
    """Whether the message shows link previews. It does unless both switches are off; media previews are on by
    default."""
    return args.flag("unfurl_links", True) or args.flag("unfurl_media", True)


class Chat:
    """Messages of the app."""

    def __init__(self, ws: Workspace, events: Events, streams: Streams) -> None:
        self._ws = ws
        self._events = events
        self._streams = streams
        self.methods = {
            "chat.postMessage": self.post,
            "chat.update": self.update,
            "chat.delete": self.delete,
            "chat.postEphemeral": self.ephemeral,
        }

    def post(self, args: Args) -> Json:
        """chat.postMessage: text over 4,000 characters becomes several messages, of which the last ts is returned."""
        self._ws.require("chat:write")
        channel = self._ws.writable(args.text("channel")).id
        said = content(args)
        thread = self._ws.root(channel, args.text("thread_ts"))
        text = said.text[:TEXT_MOST]
        step = len(text) if said.blocks else TEXT_LIMIT
        parts = [text[start : start + step] for start in range(0, len(text), step)] if text else [""]
        metadata = args.json("metadata", "invalid_metadata_format") or {}
        for part in parts:
            message = self.own(channel, thread, replace(said, text=part), unfurls(args), metadata=metadata)
        return {"channel": channel, "ts": message.ts, "message": self._events.json(message)}

    def own(
        self, channel: str, thread: str, said: Content, unfurled: bool, *, metadata: Json | None = None
    ) -> SlackMessage:
        """Store a message of the app, clear the status of its thread and tell subscribers."""
        ws = self._ws
        fresh = SlackMessage(ws.new_ts(), channel, ws.bot_user, ws.bot_id, thread_ts=thread, unfurls=unfurled)
        fresh = replace(fresh, metadata=metadata or {})
        message = ws.put(ws.compose(fresh, said.text, said.blocks, parse=said.parse, mrkdwn=said.mrkdwn))
        ws.set_status(channel, thread or message.ts, "")
        self._events.said(message)
        return message

    def update(self, args: Args) -> Json:
        """chat.update: removes the earlier blocks if the call has none; only a new text gets the "(edited)" label."""
        self._ws.require("chat:write")
        channel = self._ws.visible(args.text("channel")).id
        if self._ws.channels[channel].archived:
            raise SlackRefusal("is_archived")
        old = self._streams.expire(channel, args.needed("ts"))
        if old.bot != self._ws.bot_id:
            raise SlackRefusal("cant_update_message")
        if old.streaming == "in_progress":
            raise SlackRefusal("streaming_state_conflict")
        said = content(args, parse="client")
        if len(said.text) > TEXT_LIMIT and not args.has("markdown_text"):
            raise SlackRefusal("msg_too_long")
        message = self.rewrite(old, said)
        return {"channel": channel, "ts": old.ts, "text": message.text, "message": self._events.json(message)}

    def rewrite(self, old: SlackMessage, said: Content) -> SlackMessage:
        """Replace the content of a message and tell subscribers."""
        ws = self._ws
        new = ws.compose(old, said.text, said.blocks, parse=said.parse, mrkdwn=said.mrkdwn)
        label = ws.new_ts() if said.text != old.text else old.edited
        new = replace(new, edits=old.edits + 1, edited=label)
        if old.only_for:
            return ws.hide(new)
        ws.put(new)
        self._events.changed(new, old)
        return new

    def delete(self, args: Args) -> Json:
        """chat.delete: only the app's own messages, and not while they stream."""
        self._ws.require("chat:write")
        channel = self._ws.visible(args.text("channel")).id
        old = self._streams.expire(channel, args.needed("ts"))
        if old.bot != self._ws.bot_id or old.streaming == "in_progress":
            raise SlackRefusal("cant_delete_message")
        self._ws.remove(old)
        self._events.deleted(old)
        return {"channel": channel, "ts": old.ts}

    def ephemeral(self, args: Args) -> Json:
        """chat.postEphemeral: shows a message to one member of the channel."""
        self._ws.require("chat:write")
        channel = self._ws.writable(args.text("channel"))
        user = args.needed("user")
        if user not in channel.members:
            raise SlackRefusal("user_not_in_channel")
        thread = self._ws.root(channel.id, args.text("thread_ts"))
        message = self.whisper(channel.id, user, content(args), thread)
        return {"message_ts": message.ts}

    def whisper(self, channel: str, user: str, said: Content, thread: str = "") -> SlackMessage:
        """Store a message that only one person sees."""
        ws = self._ws
        fresh = SlackMessage(ws.new_ts(), channel, ws.bot_user, ws.bot_id, thread_ts=thread, only_for=user)
        return ws.hide(ws.compose(fresh, said.text, said.blocks, parse=said.parse, mrkdwn=said.mrkdwn))
