"""A Slack workspace: who the bot is there, what it supports and allows, and how long the bot waits for it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Refusals in a row, of different replies, after which we believe that a feature is missing. One message may be refused
# for what is in it.
STRIKES = 3
# How long we do without a feature before we try it again.
RETRY_SECONDS = 600.0


class Feature:
    """Something of Slack's that a workspace may lack."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._struck: set[object] = set()
        self._missing_until = -math.inf

    def works(self) -> bool:
        """Return whether the feature is worth trying."""
        return self._clock() >= self._missing_until

    def worked(self) -> None:
        """Note that Slack accepted it."""
        self._struck.clear()

    def failed(self, reply: object, *, sure: bool = False) -> bool:
        """Note that Slack refused it in this reply, and would accept the same without. `sure`: Slack said that it does
        not have it at all. Return whether we do without from now on."""
        self._struck.add(reply)
        if not sure and len(self._struck) < STRIKES:
            return False
        self._struck.clear()
        self._missing_until = self._clock() + RETRY_SECONDS
        return True


@dataclass
class Capabilities:
    """What this Slack supports, as far as its refusals have shown, and what it allows us. All surfaces share and change
    it, on one event loop. `scopes`: the app's scopes, None if Slack did not report them; `me`, `name`: the bot's user
    id and its name; `url`: the address of the workspace, "" if Slack did not report it."""

    markdown: Feature = field(default_factory=Feature)  # markdown blocks
    thumbs: Feature = field(default_factory=Feature)  # feedback buttons
    native: Feature = field(default_factory=Feature)  # chat.startStream and related methods
    native_in_channels: Feature = field(default_factory=Feature)  # also outside direct messages
    scopes: frozenset[str] | None = None
    me: str = ""
    name: str = ""
    url: str = ""

    def permalink(self, channel: str, message: str) -> str:
        """Return the address of a message outside threads (docs.slack.dev/reference/methods/chat.getPermalink, which
        would be a call for each page), "" if it is not known."""
        return f"{self.url.rstrip('/')}/archives/{channel}/p{message.replace('.', '')}" if self.url else ""

    def granted(self, *scopes: str) -> bool:
        """Return whether the app has these scopes, as far as we know."""
        return self.scopes is None or self.scopes.issuperset(scopes)

    def streams(self, *, direct: bool) -> bool:
        """Return whether a native stream is worth trying there."""
        return self.native.works() and (direct or self.native_in_channels.works())


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot's workspace, user id and bot id; `enterprise`: the organization that owns the workspace, if any."""

    team: str
    user: str
    bot: str
    enterprise: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits in seconds. `names`: how long lookups of names may delay a question, which then proceeds without
    names. `room`: how long a question waits for what was said around it, without the names there. `rights`: how long
    those of rights may delay a command, which is then refused. `form`: how long a submitted form waits for its outcome
    before it closes without (docs.slack.dev/surfaces/modals); a lookup of a name before it may already have taken a
    second."""

    names: float = 1.0
    room: float = 3.5
    rights: float = 1.0
    form: float = 1.7


PATIENCE = Patience()
