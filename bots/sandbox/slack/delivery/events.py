"""Decides which events the app receives for a message, from its subscriptions and the kind of conversation."""

from dataclasses import replace

from bots.sandbox.slack.delivery.deliverer import Deliverer
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.text import rich_text
from bots.sandbox.slack.workspace.values import Json, SlackMessage
from bots.sandbox.slack.workspace.wire import event_body, message_json

# subscriptions of an app that answers mentions, threads and direct messages
SUBSCRIPTIONS = frozenset(
    {"app_mention", "message.channels", "message.groups", "message.im", "message.mpim"}
    | {"app_home_opened", "agent_session_stopped", "member_joined_channel"}
)
_PLURAL = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


class Events:
    """Turns what happens in the workspace into deliveries. `base` is the server's address."""

    def __init__(self, ws: Workspace, deliverer: Deliverer, subscriptions: frozenset[str]) -> None:
        self.base = ""
        self._ws = ws
        self._deliverer = deliverer
        self._subscriptions = subscriptions

    def said(
        self, message: SlackMessage, *, both: bool = True, mention_first: bool = True, dm_mention: bool = False
    ) -> None:
        """Send a new message: message.* if subscribed, and app_mention if it names the bot in a channel.

        Slack does not promise an order of the two. `dm_mention` also sends app_mention from a direct message: the
        documentation rules it out, but it has been observed.
        """
        mention = self._mention(message, dm_mention)
        plain = [self._message(message)] if both or not mention else []
        for event in [*mention, *plain] if mention_first else [*plain, *mention]:
            self._emit(event)

    def changed(self, new: SlackMessage, old: SlackMessage) -> None:
        """Send message_changed, and app_mention again if an edited text names the bot."""
        self._nested("message_changed", new.channel, {"message": self.json(new), "previous_message": self.json(old)})
        if new.text != old.text:
            for event in self._mention(new, dm=False):
                self._emit(event)

    def deleted(self, old: SlackMessage) -> None:
        """Send message_deleted, or message_changed for a message with replies, which leaves a tombstone."""
        if left := self._ws.messages.get(old.channel, {}).get(old.ts):
            parts = {"message": self.json(left), "previous_message": self.json(old)}
            self._nested("message_changed", old.channel, parts)
            return
        self._nested("message_deleted", old.channel, {"deleted_ts": old.ts, "previous_message": self.json(old)})

    def other(self, event: Json) -> None:
        """Send any other event if the app subscribes to it."""
        if event["type"] in self._subscriptions:
            self._emit({"event_ts": self._ws.new_ts(), **event})

    def json(self, message: SlackMessage) -> Json:
        """A message as events carry it."""
        body = message_json(self._ws, message, self.base)
        if message.user in self._ws.people and not message.bot:
            body["blocks"] = rich_text(message.text)
        return body

    def _message(self, message: SlackMessage) -> Json:
        kind = self._ws.channels[message.channel].kind
        where = {"channel": message.channel, "channel_type": kind, "event_ts": message.ts}
        return self.json(message) | where

    def _mention(self, message: SlackMessage, dm: bool) -> list[Json]:
        channel = self._ws.channels[message.channel]
        if message.user == self._ws.bot_user or f"<@{self._ws.bot_user}" not in message.text:
            return []
        # mpim counts as a channel here: the documentation rules out app_mention only for direct messages
        if "app_mention" not in self._subscriptions or (channel.kind == "im" and not dm):
            return []
        body = {**self.json(replace(message, subtype="")), "type": "app_mention"}
        return [body | {"channel": message.channel, "event_ts": message.edited or message.ts}]

    def _nested(self, subtype: str, channel: str, parts: Json) -> None:
        ts = self._ws.new_ts()
        kind = self._ws.channels[channel].kind
        where = {"channel": channel, "channel_type": kind, "ts": ts, "event_ts": ts}
        self._emit({"type": "message", "subtype": subtype, "hidden": True, **where, **parts})

    def _emit(self, event: Json) -> None:
        channel = event.get("channel")
        if isinstance(channel, str) and channel in self._ws.channels:
            found = self._ws.channels[channel]
            if self._ws.bot_user not in found.members:
                return
            if event["type"] == "message" and f"message.{_PLURAL[found.kind]}" not in self._subscriptions:
                return
        self._deliverer.event(event_body(self._ws, event))
