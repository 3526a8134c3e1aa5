"""Signs: what a person sees of a question that has no reply yet, a status in its thread or eyes on its message."""

import logging
import time
from enum import Enum, auto

from bots.slack.api.client import Web, code_of
from core.domain.errors import Forbidden, PlatformError, Rejected
from core.reply.layout import duration

log = logging.getLogger(__name__)

EYES = "eyes"
THINKING = "is thinking…"
# Slack takes a status away after two minutes (docs.slack.dev/reference/methods/assistant.threads.setStatus). Seconds.
RENEWAL = 60.0
# Refusals that tell about the one message at hand; any other would meet every question alike.
_OF_THIS_MESSAGE = {
    "channel_not_found",
    "invalid_thread_ts",
    "is_archived",
    "message_not_found",
    "not_in_channel",
    "thread_not_found",
    "too_many_reactions",
}


class _Eyes(Enum):
    COMING = auto()
    THERE = auto()
    UNWANTED = auto()  # taken back while they were coming


class Eyes:
    """The reactions of this process on questions, and whether the app may set reactions and statuses at all."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.status_works = True
        self._works = True
        self._on: dict[tuple[str, str], _Eyes] = {}

    async def put(self, channel: str, message: str) -> None:
        """Put eyes on a message, once."""
        key = channel, message
        if not message or not self._works or key in self._on:
            return
        self._on[key] = _Eyes.COMING
        try:
            await self.web.call(self.web.client.reactions_add(channel=channel, timestamp=message, name=EYES))
        except PlatformError as error:
            unwanted = self._on.pop(key) is _Eyes.UNWANTED
            if code_of(error) == "already_reacted" and not unwanted:
                self._on[key] = _Eyes.THERE
            elif permanent(error):
                self._works = False
                log.warning("reactions can't be set: %s", error)
            return
        if self._on[key] is _Eyes.UNWANTED:
            await self._remove(key)
        else:
            self._on[key] = _Eyes.THERE

    async def take(self, channel: str, message: str, *, adopted: bool = False) -> None:
        """Take the eyes away, if this process put them there, or may have `adopted` them from one that is gone."""
        key = channel, message
        if adopted and message and self._works and key not in self._on:
            self._on[key] = _Eyes.THERE
        match self._on.get(key):
            case _Eyes.THERE:
                await self._remove(key)
            case _Eyes.COMING:
                self._on[key] = _Eyes.UNWANTED

    async def _remove(self, key: tuple[str, str]) -> None:
        del self._on[key]
        try:
            await self.web.call(self.web.client.reactions_remove(channel=key[0], timestamp=key[1], name=EYES))
        except PlatformError as error:
            log.info("a reaction stayed: %s", error)


class ThreadStatus:
    """The status line of one thread, as one reply sets it. Where the app can't set one, eyes stand in for it."""

    def __init__(self, eyes: Eyes, channel: str, thread: str, message: str) -> None:
        self._eyes = eyes
        self._channel = channel
        self._thread = thread
        self._message = message
        self._shown = False
        self._coming = False  # a call that shows it is on its way
        self._over = False  # there is a reply
        self._renewed, self._said = -RENEWAL, ""

    async def thinking(self, seconds: float) -> None:
        """Show that the model has been thinking for so long."""
        await self.show(THINKING if seconds < 1 else f"{THINKING} {duration(seconds)}")

    async def show(self, status: str) -> None:
        """Show a status, or renew it after `RENEWAL` seconds; not beside a reply."""
        now = time.monotonic()
        if self._over or not self._thread or (status == self._said and now - self._renewed < RENEWAL):
            return
        self._renewed, self._said = now, status
        # Noted before the call: when this is cancelled in the middle the status may be there all the same.
        self._shown = self._coming = True
        works = self._eyes.status_works and await self._set(status)
        self._coming = False
        if not works:
            self._shown = False
            await self._eyes.put(self._channel, self._message)
        else:
            await self._settle()

    async def _settle(self) -> None:
        """When the reply was faster than the status."""
        if self._over:
            await self.clear()

    async def posted(self, thread: str) -> None:
        """There is a reply in this thread. In the same thread Slack takes the status away by itself."""
        self._over = True
        if self._shown and not self._coming:
            self._shown = False
            if thread != self._thread:
                await self._set("")

    async def clear(self) -> None:
        """Take it away if it is there."""
        if self._shown:
            self._shown = False
            await self._set("")

    async def reset(self) -> None:
        """Take away what Slack itself may show: a stream that did not end by our stop can leave its thread "working"
        for an hour (docs.slack.dev/ai/agent-sessions)."""
        if self._thread and self._eyes.status_works:
            await self._set("")

    async def _set(self, status: str) -> bool:
        web = self._eyes.web
        call = web.client.assistant_threads_setStatus(channel_id=self._channel, thread_ts=self._thread, status=status)
        try:
            await web.call(call)
        except PlatformError as error:
            if permanent(error):
                self._eyes.status_works = False
                log.warning("no status can be set, a reaction is used instead: %s", error)
            return False
        return True


def permanent(error: PlatformError) -> bool:
    """Whether the same call would be refused for every message."""
    return isinstance(error, Forbidden | Rejected) and code_of(error) not in _OF_THIS_MESSAGE
