"""What a workspace was found to be able to do: learnt once, heeded by every surface."""

from dataclasses import dataclass


@dataclass
class Capabilities:
    """What this Slack understands, as its refusals have shown so far, and what it lets us do. `scopes` are those of the
    app, None if Slack did not tell; `me` is the bot's user id."""

    markdown: bool = True  # markdown blocks
    thumbs: bool = True  # feedback buttons
    native: bool = True  # chat.startStream and its like
    native_in_channels: bool = True  # also outside of direct messages
    scopes: frozenset[str] | None = None
    me: str = ""

    def granted(self, *scopes: str) -> bool:
        """Whether the app has these scopes, as far as we know."""
        return self.scopes is None or self.scopes.issuperset(scopes)

    def streams(self, *, direct: bool) -> bool:
        """Whether native streams are worth trying there."""
        return self.native and (direct or self.native_in_channels)
