"""Shows the status of a question that has no reply yet: a line in its thread, or an eyes reaction on its message.

All of it is best effort, within Slack's limits: what can't be shown now is not shown. Reactions come by fifty a minute
but go by twenty, so the eyes are put on a message only if a call to remove them is promised.
"""

import logging
import time
from dataclasses import replace
from enum import Enum, auto

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of, lasting
from bots.slack.api.workspace import Feature
from core.domain.errors import Forbidden, PlatformError, Rejected, SlowDown
from core.domain.rates import RateLimit
from core.ratelimit.limiter import RateLimiter, Ticket
from core.reply.layout import duration

log = logging.getLogger(__name__)

EYES, SIGN = "eyes", "no_entry_sign"
THINKING = "is thinking…"
# Slack removes a status after two minutes (docs.slack.dev/reference/methods/assistant.threads.setStatus).
RENEWAL_SECONDS = 60.0
# Tiers 3 and 2 (docs.slack.dev/reference/methods: reactions.add, reactions.remove).
ADDS, REMOVES, MINUTE_SECONDS = 50, 20, 60.0
# Slack does not publish how many statuses may be set in a minute.
STATUSES = 200
# Of these, renewals leave one in so many to the first status of a reply and to the end of one.
_LEFT_SHARE = 5
# Refusals that concern only the message at hand; any other refusal may affect every question.
_MESSAGE_ERRORS = {
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
    UNWANTED = auto()  # removed while the call that adds them was running
    GOING = auto()
    LEFT = auto()  # unwanted, but there was no call to remove them: it is tried again with the next eyes


class Eyes:
    """The reactions that this process put on questions, and whether the app may set reactions and statuses at all.

    `limiter` counts the calls, by default those of this process alone; `scope` is the workspace's.
    """

    def __init__(self, web: Web, statuses: int = STATUSES) -> None:
        """`statuses`: how many may be set in a minute."""
        self.web = web
        self.statuses = Feature()
        self.limiter = RateLimiter()
        self.scope = "slack"
        self._per_minute = statuses
        self._reactions = Feature()
        self._on: dict[tuple[str, str], _Eyes] = {}
        self._tickets: dict[tuple[str, str], Ticket] = {}

    def limit(self, method: str, calls: int, *, promised: bool = False) -> RateLimit:
        """The limit of one of Slack's methods."""
        return RateLimit(f"{self.scope}/{method}", calls, MINUTE_SECONDS, spread=False, promised=promised)

    def status_limit(self, *, renewal: bool) -> RateLimit:
        """The limit of statuses; of those that replace one of the same reply it is narrower."""
        limit = self.limit("assistant.threads.setStatus", self._per_minute)
        if not renewal:
            return limit
        calls = max(1, self._per_minute - self._per_minute // _LEFT_SHARE)
        return replace(limit, scope=f"{limit.scope}/renewals", calls=calls, within=limit)

    @property
    def _removes(self) -> RateLimit:
        return self.limit("reactions.remove", REMOVES, promised=True)

    async def put(self, channel: str, message: str) -> None:
        """Add the eyes reaction to a message, once, if Slack's limits have room for it and for its end. Call it again
        while they are wanted: the end of those that are there stays promised."""
        key = channel, message
        await self._sweep()
        if ticket := self._tickets.get(key):
            await ticket.renew()
        if not message or not self._reactions.works() or key in self._on:
            return
        self._on[key] = _Eyes.COMING
        ticket = self._tickets[key] = self.limiter.ticket()
        try:
            there = await self._add(key, ticket)
        except BaseException:
            self._forget(key)
            raise
        if not there:
            self._forget(key)
        elif self._on[key] is _Eyes.UNWANTED:
            await self._remove(key)
        else:
            self._on[key] = _Eyes.THERE

    async def _add(self, key: tuple[str, str], ticket: Ticket) -> bool:
        """Whether the eyes are there now."""
        if not await ticket.promise(self._removes):
            return False
        permit = await ticket.attempt(self.limit("reactions.add", ADDS), final=True)
        if permit is None:
            return False
        try:
            async with permit:
                await self.web.call(self.web.client.reactions_add(channel=key[0], timestamp=key[1], name=EYES))
        except PlatformError as error:
            if code_of(error) != "already_reacted":
                if _general(error) and self._reactions.failed(key, sure=lasting(error)):
                    log.warning("Slack: can't add reactions: %s", error)
                return False
        self._reactions.worked()
        return True

    async def take(self, channel: str, message: str, *, adopted: bool = False) -> None:
        """Remove the eyes if this process added them, or if it `adopted` the question from a process that may have."""
        key = channel, message
        if adopted and message and self._reactions.works() and key not in self._on:
            self._on[key] = _Eyes.THERE
        match self._on.get(key):
            case _Eyes.THERE | _Eyes.LEFT:
                await self._remove(key)
            case _Eyes.COMING:
                self._on[key] = _Eyes.UNWANTED
        await self._sweep()

    async def sign(self, channel: str, message: str) -> None:
        """Add a sign that a message is not answered, which stays; best effort."""
        if not self._reactions.works():
            return
        permit = await self.limiter.ticket().attempt(self.limit("reactions.add", ADDS))
        if permit is None:
            return
        try:
            async with permit:
                await self.web.call(self.web.client.reactions_add(channel=channel, timestamp=message, name=SIGN))
        except PlatformError as error:
            log.info("Slack: could not add a sign: %s", error)

    async def _sweep(self) -> None:
        """Remove eyes that were left, one by one until there is no call."""
        while left := next((key for key, state in self._on.items() if state is _Eyes.LEFT), None):
            await self._remove(left)
            if self._on.get(left) is _Eyes.LEFT:
                return

    async def _remove(self, key: tuple[str, str]) -> None:
        """Remove the eyes. Without a call they are left; what nobody promised to remove takes no call that is owed."""
        ticket = self._tickets.pop(key, None) or self.limiter.ticket()
        self._on[key], left = _Eyes.GOING, True
        try:
            permit = await ticket.attempt(self._removes, final=ticket.owes(self._removes))
            if permit:
                left = False
                async with permit:
                    await self.web.call(self.web.client.reactions_remove(channel=key[0], timestamp=key[1], name=EYES))
        except PlatformError as error:
            left = isinstance(error, SlowDown)
            log.info("Slack: could not remove a reaction: %s", error)
        finally:
            ticket.leave()
            if left:
                self._on[key] = _Eyes.LEFT
            else:
                del self._on[key]

    def _forget(self, key: tuple[str, str]) -> None:
        self._on.pop(key, None)
        if ticket := self._tickets.pop(key, None):
            ticket.leave()


class ThreadStatus:
    """The status line of one thread, set by one reply. Where the app can't set a status, it adds eyes instead."""

    def __init__(self, eyes: Eyes, channel: str, thread: str, message: str) -> None:
        self._eyes = eyes
        self._channel = channel
        self._thread = thread
        self._message = message
        self._shown = False
        self._coming = False  # a call that shows the status is running
        self._over = False  # there is a reply
        self._shown_at, self._text = -RENEWAL_SECONDS, ""

    async def thinking(self, seconds: float) -> bool:
        """Show that the model is thinking, and for how long; returns as `show`."""
        return await self.show(THINKING if seconds < 1 else f"{THINKING} {duration(seconds)}")

    async def show(self, status: str) -> bool:
        """Show a status, or renew it after `RENEWAL_SECONDS`; do nothing once there is a reply. Returns whether the
        question can do without the eyes."""
        now = time.monotonic()
        if self._over or not self._thread:
            return True
        if status == self._text and now - self._shown_at < RENEWAL_SECONDS:
            return self._shown
        before, self._shown_at, self._text = self._shown, now, status
        # Set before the call: if we are cancelled during it, the status may still appear.
        self._shown = self._coming = True
        works = self._eyes.statuses.works() and await self._set(status, renewal=before)
        self._coming = False
        if works or (before and self._eyes.statuses.works()):  # the one before is still there
            await self._settle()
            return True
        self._shown = False
        await self._eyes.put(self._channel, self._message)
        return False

    async def _settle(self) -> None:
        """Clear the status if the reply was faster."""
        if self._over:
            await self.clear()

    async def posted(self, thread: str) -> None:
        """Note that there is a reply in this thread. If it is the status's own thread, Slack removes the status."""
        self._over = True
        if self._shown and not self._coming:
            self._shown = False
            if thread != self._thread:
                await self._set("")

    async def clear(self) -> None:
        """Remove the status if it is shown."""
        if self._shown:
            self._shown = False
            await self._set("")

    async def reset(self) -> None:
        """Remove the status that Slack itself may show: if a stream ends in any other way than by our stop, its thread
        can stay "working" for an hour (docs.slack.dev/ai/agent-sessions)."""
        if self._thread and self._eyes.statuses.works():
            await self._set("")

    async def _set(self, status: str, *, renewal: bool = False) -> bool:
        """Set the status, if Slack's limit has room."""
        web, eyes = self._eyes.web, self._eyes
        permit = await eyes.limiter.ticket().attempt(eyes.status_limit(renewal=renewal), final=True)
        if permit is None:
            return False
        try:
            async with permit:
                await web.call(
                    web.client.assistant_threads_setStatus(
                        channel_id=self._channel, thread_ts=self._thread, status=status
                    )
                )
        except PlatformError as error:
            if _general(error) and self._eyes.statuses.failed((self._channel, self._thread), sure=lasting(error)):
                log.warning("Slack: can't set a status, using a reaction instead: %s", error)
            return False
        self._eyes.statuses.worked()
        return True


def _general(error: PlatformError) -> bool:
    """Return whether Slack may refuse the same call for every message."""
    return isinstance(error, Forbidden | Rejected) and code_of(error) not in _MESSAGE_ERRORS
