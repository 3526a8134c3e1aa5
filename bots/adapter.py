"""The port of a platform: what the program needs of an adapter, and of its section of the configuration."""

import asyncio
from collections.abc import AsyncGenerator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from core.domain.ports import Connected, Platform
from core.finding import Finding
from core.settings.environment import Section

if TYPE_CHECKING:  # sections are read at every start, for which the whole core is too much
    from core.inbound.dispatcher import Dispatcher
    from core.ratelimit.limiter import RateLimiter


class Adapter(Platform, Connected, Protocol):
    """A platform that a process serves. `ready` is set while its events can arrive."""

    ready: asyncio.Event

    async def run(self, dispatcher: "Dispatcher") -> None:
        """Receive events and show replies until cancelled; then close within a few seconds.

        Retries for as long as the platform is unreachable. Raises WrongConfig if it refuses the tokens.
        """
        ...

    async def work(self, dispatcher: "Dispatcher") -> None:
        """Show replies without receiving events, until cancelled."""
        ...


@runtime_checkable
class SignsIn(Protocol):
    """An adapter to a platform on which several bots may be in the same places."""

    async def sign_in(self) -> tuple[str, str]:
        """Where the bot is alone with its id (`slack/T1`, `discord`), and this id, which a new token does not change.

        Retries for as long as the platform is unreachable. Raises WrongConfig if it refuses the token.
        """
        ...


@runtime_checkable
class SharesLimits(Protocol):
    """An adapter that also calls its platform beside replies, under limits that all processes share."""

    def share(self, limiter: "RateLimiter") -> None:
        """Count those calls with this limiter. Called before `run` and `work`."""
        ...


@dataclass(frozen=True, slots=True)
class Examination:
    """What an adapter must know to examine itself. `channels`: ids of channels, of any platform, in which it may post,
    edit and delete a message. `open`: whether everybody may use the bot, as ACCESS_ALLOW is empty."""

    channels: tuple[str, ...] = ()
    open: bool = False


@runtime_checkable
class Examines(Protocol):
    """An adapter that says what is wrong with its set-up."""

    def report(self, about: Examination) -> Sequence[Finding]:
        """What signing in and connecting have shown; nothing before. Does no IO."""
        ...

    def examine(self, about: Examination) -> AsyncGenerator[Finding, None]:
        """Look at everything, in calls of its own, beside a bot that may be running. Never raises; whoever calls it
        gives it about 20 s. Needs neither `run` nor `sign_in`."""
        ...


class AdapterConfig(Section):
    """The variables of one platform.

    `title`: its name, for people. `tokens`: the variables that switch it on, as a text. `switch`: the field of the one
    without which it is off. `channel_ids`: how the id of a channel looks, as a regular expression; "" if it can't be
    examined there.
    """

    title: ClassVar[str]
    tokens: ClassVar[str]
    switch: ClassVar[str]
    channel_ids: ClassVar[str] = ""

    @property
    def on(self) -> bool:
        """Whether to serve the platform."""
        return getattr(self, self.switch) is not None

    @classmethod
    def incomplete(cls, given: Set[str]) -> list[str]:
        """Sentences about variables of this platform that are missing beside those that are `given`."""
        return []
