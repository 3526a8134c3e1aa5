"""Removed: the messages that this process took away itself, of which Slack tells as if a person had done it."""

# Messages kept in memory; the event follows the call within seconds.
_MOST = 1_000


class Removed:
    """Messages by channel and ts."""

    def __init__(self) -> None:
        self._ours: dict[tuple[str, str], None] = {}

    def note(self, channel: str, message: str) -> None:
        """To be called before the message is taken away: the event may come before the answer to the call."""
        self._ours[channel, message] = None
        while len(self._ours) > _MOST:
            del self._ours[next(iter(self._ours))]

    def __contains__(self, where: tuple[str, str]) -> bool:
        return where in self._ours
