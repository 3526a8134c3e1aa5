"""The workspace of the sandbox's Slack: people, channels and messages, with a way to wait for changes."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from bots.sandbox.slack.workspace.blocks import SlackRefusal
from bots.sandbox.slack.workspace.text import block_pings, live_pings, readable, shown_blocks
from bots.sandbox.slack.workspace.values import (
    Delivery,
    Json,
    SlackCall,
    SlackChannel,
    SlackFile,
    SlackFrame,
    SlackMessage,
    SlackUser,
    View,
)

T = TypeVar("T")

_STATUS_SECONDS = 120.0  # a status that is not renewed disappears (reference/methods/assistant.threads.setStatus)


class Workspace:
    """One Slack workspace with our app in it. Every change wakes all that wait in `until`."""

    def __init__(self, bot_name: str, scopes: frozenset[str] | None, app: str = "NEBULA") -> None:
        """`app`: what the ids of our app end with."""
        self.team = "T0NEBULA"
        self.app_id = f"A0{app}"
        self.bot_id = f"B0{app}"
        self.bot_user = f"U0{app}"
        self.bot_name = bot_name
        self.scopes = scopes
        self.tells_scopes = True  # in the header of each answer
        self.trigger_seconds = 3.0  # reference/methods/views.open
        self.ago = 0.0  # how many seconds new messages are dated back
        self.people: dict[str, SlackUser] = {}
        self.channels: dict[str, SlackChannel] = {}
        self.messages: dict[str, dict[str, SlackMessage]] = {}  # by channel, then by ts, oldest first
        self.hidden: list[SlackMessage] = []  # ephemeral messages
        self.files: dict[str, SlackFile] = {}
        self.views: dict[str, View] = {}
        self.calls: list[SlackCall] = []
        self.deliveries: list[Delivery] = []
        self.titles: dict[tuple[str, str], str] = {}  # of chats: by channel and thread
        self.suggestions: dict[tuple[str, str], tuple[Json, ...]] = {}  # the same; "" for a whole pane
        self._status: dict[tuple[str, str], tuple[str, float]] = {}
        self._triggers: dict[str, tuple[float, bool, str]] = {}
        self._waiters: set[asyncio.Event] = set()
        self._numbers = itertools.count(1)
        self._last_ts = 0
        self.add_person(SlackUser(self.bot_user, bot_name, bot_id=self.bot_id))

    # --- change and time ---

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def changed(self) -> None:
        """Wake all that wait in `until`."""
        for event in self._waiters:
            event.set()

    async def until(self, predicate: Callable[[], T], timeout: float) -> T:
        """Return the first true value of the predicate, which is checked after every change. Raises TimeoutError after
        `timeout` seconds."""
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            async with asyncio.timeout(timeout):
                while not (value := predicate()):
                    await event.wait()
                    event.clear()
                return value
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s; {self._summary()}") from None
        finally:
            self._waiters.discard(event)

    def _summary(self) -> str:
        said = [
            f"{m.channel} {m.user or m.bot}: {m.shown!r:.200}" for all_ in self.messages.values() for m in all_.values()
        ]
        calls = [f"{call.method} {call.error}".strip() for call in self.calls[-5:]]
        return f"last messages {said[-5:]}, last calls {calls}, last deliveries {self.deliveries[-5:]}"

    def new_id(self, letter: str) -> str:
        """A new id such as U00000001."""
        return f"{letter}{next(self._numbers):08d}"

    def new_ts(self) -> str:
        """A timestamp in Slack's form, later than all before it."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000 - round(self.ago * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    # --- people and channels ---

    def add_person(self, person: SlackUser) -> str:
        """Add somebody to the workspace. Returns the id."""
        self.people[person.id] = person
        self.changed()
        return person.id

    def person(self, user: str) -> SlackUser:
        """Raises SlackRefusal with user_not_found."""
        if user not in self.people:
            raise SlackRefusal("user_not_found")
        return self.people[user]

    def add_channel(self, channel: SlackChannel) -> str:
        """Open a conversation. Returns the id."""
        self.channels[channel.id] = channel
        self.messages.setdefault(channel.id, {})
        self.changed()
        return channel.id

    def open_im(self, user: str, other: str = "") -> str:
        """The direct message between this person and the app, or an `other` person."""
        self.person(user)
        members = frozenset((user, other or self.bot_user))
        for channel in self.channels.values():
            if channel.kind == "im" and channel.members == members:
                return channel.id
        return self.add_channel(SlackChannel(self.new_id("D"), "", "im", user, members))

    def open_group(self, users: Iterable[str]) -> str:
        """The group message of exactly these people."""
        members = frozenset(users)
        for channel in self.channels.values():
            if channel.kind == "mpim" and channel.members == members:
                return channel.id
        name = "mpdm-" + "--".join(self.person(user).name for user in sorted(members)) + "-1"
        return self.add_channel(SlackChannel(self.new_id("G"), name, "mpim", self.bot_user, members))

    def visible(self, channel: str) -> SlackChannel:
        """A conversation that the app can see. Raises SlackRefusal with channel_not_found."""
        found = self.channels.get(channel)
        if not found or (found.kind != "channel" and self.bot_user not in found.members):
            raise SlackRefusal("channel_not_found")
        return found

    def joined(self, channel: str) -> SlackChannel:
        """A conversation that the app is in; a user's id means the direct message with that person. Raises
        SlackRefusal."""
        if channel in self.people and channel != self.bot_user:
            channel = self.open_im(channel)
        found = self.visible(channel)
        if self.bot_user not in found.members:
            raise SlackRefusal("not_in_channel")
        return found

    def writable(self, channel: str) -> SlackChannel:
        """A conversation that the app may write in. Raises SlackRefusal."""
        found = self.joined(channel)
        if found.archived:
            raise SlackRefusal("is_archived")
        return found

    def require(self, *scopes: str) -> None:
        """Raises SlackRefusal with missing_scope unless the app has one of the scopes."""
        if self.scopes is not None and not self.scopes.intersection(scopes):
            raise SlackRefusal("missing_scope", needed=scopes[0], provided=",".join(sorted(self.scopes)))

    def names(self) -> dict[str, str]:
        """Every id with the name that people see for it."""
        return {person.id: person.name for person in self.people.values()} | {
            channel.id: channel.name for channel in self.channels.values()
        }

    # --- messages ---

    def compose(
        self, message: SlackMessage, text: str, blocks: Iterable[Json] = (), *, mrkdwn: bool = True, parse: str = "none"
    ) -> SlackMessage:
        """The message with this content: what it shows, whom it pings, and one more frame."""
        content = tuple(blocks)
        names = self.names()
        shown = shown_blocks(content, names) if content else readable(text, names, markdown=False)
        pings = block_pings(content) + (live_pings(text, markdown=False, parse=parse) if mrkdwn else ())
        frames = (*message.frames, SlackFrame(self.now(), shown))
        return replace(message, text=text, blocks=content, shown=shown, pings=pings, frames=frames)

    def put(self, message: SlackMessage) -> SlackMessage:
        """Store a message, new or changed."""
        self.messages[message.channel][message.ts] = message
        self.changed()
        return message

    def message(self, channel: str, ts: str) -> SlackMessage:
        """Raises SlackRefusal with message_not_found."""
        found = self.messages.get(channel, {}).get(ts)
        if not found or found.subtype == "tombstone":
            raise SlackRefusal("message_not_found")
        return found

    def root(self, channel: str, thread_ts: str) -> str:
        """The thread to write into, "" for none. Raises SlackRefusal if the message can't have replies."""
        if not thread_ts:
            return ""
        found = self.messages[channel].get(thread_ts)
        if not found:
            raise SlackRefusal("thread_not_found")
        if found.thread_ts not in ("", thread_ts):
            raise SlackRefusal("cannot_reply_to_message")
        return thread_ts

    def thread(self, channel: str, thread_ts: str) -> list[SlackMessage]:
        """A root and its replies, oldest first."""
        return [m for m in self.messages[channel].values() if thread_ts in (m.ts, m.thread_ts)]

    def remove(self, message: SlackMessage) -> None:
        """Delete a message; a root with replies stays as a tombstone."""
        if len(self.thread(message.channel, message.ts)) > 1:
            gone = SlackMessage(message.ts, message.channel, subtype="tombstone", text="This message was deleted.")
            self.messages[message.channel][message.ts] = replace(gone, shown=gone.text)
        else:
            del self.messages[message.channel][message.ts]
        self.changed()

    def hide(self, message: SlackMessage) -> SlackMessage:
        """Store an ephemeral message, new or changed."""
        self.hidden = [m for m in self.hidden if m.ts != message.ts] + [message]
        self.changed()
        return message

    # --- status and triggers ---

    def set_status(self, channel: str, thread_ts: str, status: str) -> None:
        """Show a status in a thread; "" clears it."""
        self._status[channel, thread_ts] = (status, self.now() + _STATUS_SECONDS)
        self.changed()

    def status(self, channel: str, thread_ts: str) -> str:
        """The status that people see."""
        status, end = self._status.get((channel, thread_ts), ("", 0.0))
        return status if self.now() < end else ""

    def new_trigger(self, user: str) -> str:
        """A trigger_id that opens one view for this person within `trigger_seconds`."""
        trigger = f"{next(self._numbers)}.{self.team}.trigger"
        self._triggers[trigger] = (self.now() + self.trigger_seconds, False, user)
        return trigger

    def spend_trigger(self, trigger: str) -> str:
        """The person behind a trigger_id. Raises SlackRefusal if it is unknown, too old or used."""
        if trigger not in self._triggers:
            raise SlackRefusal("invalid_trigger_id")
        end, used, user = self._triggers[trigger]
        if used:
            raise SlackRefusal("exchanged_trigger_id")
        if self.now() > end:
            raise SlackRefusal("expired_trigger_id")
        self._triggers[trigger] = (end, True, user)
        return user
