"""The streaming methods: chat.startStream, appendStream and stopStream with their caps, lifetime and states."""

from dataclasses import dataclass, replace
from typing import Any

from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.workspace.blocks import MARKDOWN_LIMIT, SlackRefusal, checked_blocks
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackMessage


@dataclass(slots=True)
class _Stream:
    started: float
    text: str = ""
    weight: int = 0  # UTF-8 bytes of text and of task JSON
    stopped_by_user: bool = False


class Streams:
    """Messages that grow. `cap` is in UTF-8 bytes per message, `lifetime` in seconds. Slack documents neither. The cap
    was measured between 10,600 and 11,300 bytes (openclaw/openclaw#143882), the lifetime at 5 minutes
    (slackapi/python-slack-sdk#1859).
    """

    def __init__(self, ws: Workspace, events: Events, cap: int, lifetime: float) -> None:
        self.cap = cap
        self.lifetime = lifetime
        self._ws = ws
        self._events = events
        self._streams: dict[tuple[str, str], _Stream] = {}
        self.methods = {
            "chat.startStream": self.start,
            "chat.appendStream": self.append,
            "chat.stopStream": self.stop,
        }

    def start(self, args: Args) -> Json:
        """chat.startStream: always requires a thread, and outside direct messages a recipient."""
        ws = self._ws
        ws.require("chat:write")
        channel = ws.writable(args.text("channel"))
        if channel.kind != "im":
            for name in ("recipient_team_id", "recipient_user_id"):
                if not args.has(name):
                    raise SlackRefusal(f"missing_{name}")
            ws.person(args.text("recipient_user_id"))
        thread = ws.root(channel.id, args.needed("thread_ts"))
        piece, weight = self._piece(args, needed=False)
        if weight > self.cap:
            raise SlackRefusal("msg_too_long")
        fresh = SlackMessage(ws.new_ts(), channel.id, ws.bot_user, ws.bot_id, thread_ts=thread, streaming="in_progress")
        self._streams[channel.id, fresh.ts] = _Stream(ws.now(), piece, weight)
        message = self._show(fresh, piece, ())
        ws.set_status(channel.id, thread, "")
        self._events.said(message)
        return {"channel": channel.id, "ts": message.ts}

    def append(self, args: Args) -> Json:
        """chat.appendStream: refused after the end, after the lifetime, after a person's stop, and beyond the cap."""
        message, stream = self._open(args)
        piece, weight = self._piece(args, needed=True)
        self._grow(stream, piece, weight)
        self._show(message, stream.text, ())
        return {"channel": message.channel, "ts": message.ts}

    def stop(self, args: Args) -> Json:
        """chat.stopStream: finishes the message, with an optional last piece and blocks under the text."""
        message, stream = self._open(args)
        blocks: list[Json] = []
        if args.has("blocks"):
            blocks = checked_blocks(args.json("blocks", "invalid_blocks"), too_many="msg_blocks_too_many")
        piece, weight = self._piece(args, needed=False)
        self._grow(stream, piece, weight)
        done = self._show(replace(message, streaming="completed"), stream.text, tuple(blocks))
        self._events.changed(done, message)
        return {"channel": done.channel, "ts": done.ts, "message": self._events.json(done)}

    def stopped_by_user(self, channel: str, ts: str) -> bool:
        """End a stream because a person pressed Stop: its text stays, and later calls are refused. Returns False if
        nothing streams there."""
        stream, message = self._streams.get((channel, ts)), self._ws.message(channel, ts)
        if stream is None or message.streaming != "in_progress":
            return False
        stream.stopped_by_user = True
        self._ws.put(replace(message, streaming="completed"))
        return True

    def end_all(self) -> None:
        """End every open stream, as if its lifetime were over."""
        for channel, ts in self._streams:
            message = self._ws.messages[channel].get(ts)
            if message and message.streaming == "in_progress":
                self._ws.put(replace(message, streaming="completed"))

    def _open(self, args: Args) -> tuple[SlackMessage, _Stream]:
        ws = self._ws
        ws.require("chat:write")
        channel = ws.visible(args.text("channel")).id
        message = self.expire(channel, args.needed("ts"))
        if message.bot != ws.bot_id:
            raise SlackRefusal("message_not_owned_by_app")
        stream = self._streams.get((channel, message.ts))
        if stream and stream.stopped_by_user:
            raise SlackRefusal("stopped_by_user")
        if not stream or message.streaming != "in_progress":
            raise SlackRefusal("message_not_in_streaming_state")
        return message, stream

    def expire(self, channel: str, ts: str) -> SlackMessage:
        """The message; its stream is closed first if its lifetime is over."""
        message = self._ws.message(channel, ts)
        stream = self._streams.get((channel, ts))
        if stream and message.streaming == "in_progress" and self._ws.now() - stream.started > self.lifetime:
            message = self._ws.put(replace(message, streaming="completed"))
        return message

    def _grow(self, stream: _Stream, piece: str, weight: int) -> None:
        if stream.weight + weight > self.cap:
            raise SlackRefusal("msg_too_long")
        stream.text += piece
        stream.weight += weight

    def _piece(self, args: Args, *, needed: bool) -> tuple[str, int]:
        text = args.text("markdown_text")
        chunks: Any = args.json("chunks", "invalid_chunks") or []
        if text and chunks:
            raise SlackRefusal("invalid_arguments", "markdown_text and chunks exclude each other")
        if needed and not text and not chunks:
            raise SlackRefusal("no_text")
        weight = 0
        for chunk in chunks:
            kind = chunk.get("type") if isinstance(chunk, dict) else None
            if kind == "markdown_text" and isinstance(chunk.get("text"), str):
                text += chunk["text"]
            elif kind in ("task_update", "plan_update", "blocks"):
                weight += 2 * len(str(chunk).encode())  # task JSON weighs double (openclaw/openclaw#143882)
            else:
                raise SlackRefusal("invalid_chunks")
        if len(text) > MARKDOWN_LIMIT:
            raise SlackRefusal("msg_too_long")
        return text, weight + len(text.encode())

    def _show(self, message: SlackMessage, text: str, blocks: tuple[Json, ...]) -> SlackMessage:
        said = ({"type": "markdown", "text": text, "block_id": "stream"},) if text else ()
        return self._ws.put(self._ws.compose(message, text, (*said, *blocks), mrkdwn=False))
