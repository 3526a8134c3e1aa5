"""What a Slack workspace supports and allows: learned once, respected by every surface."""

from dataclasses import dataclass


@dataclass
class Capabilities:
    """What this Slack supports, as far as its refusals have shown, and what it allows us. All surfaces share and change
    it, on one event loop. `scopes`: the app's scopes, None if Slack did not report them; `me`, `name`: the bot's user
    id and its name."""

    markdown: bool = True  # markdown blocks
    thumbs: bool = True  # feedback buttons
    native: bool = True  # chat.startStream and related methods
    native_in_channels: bool = True  # also outside direct messages
    scopes: frozenset[str] | None = None
    me: str = ""
    name: str = ""

    def granted(self, *scopes: str) -> bool:
        """Return whether the app has these scopes, as far as we know."""
        return self.scopes is None or self.scopes.issuperset(scopes)

    def streams(self, *, direct: bool) -> bool:
        """Return whether a native stream is worth trying there."""
        return self.native and (direct or self.native_in_channels)
