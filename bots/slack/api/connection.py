"""The pulse of Slack's sockets: whether events can arrive over one of them, and when Slack last answered a ping."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from slack_sdk.socket_mode.aiohttp import SocketModeClient

from core.domain.ports import Connection


class SocketPulse:
    """The Socket Mode clients that are open at the moment; any of them is enough."""

    def __init__(self) -> None:
        self._clients: list[SocketModeClient] = []

    @contextmanager
    def of(self, client: SocketModeClient) -> Iterator[None]:
        """Inside this context the client counts."""
        self._clients.append(client)
        try:
            yield
        finally:
            self._clients.remove(client)

    def connection(self) -> Connection:
        """How the best of the sockets is. The SDK pings every few seconds, so a quiet workspace is not silent."""
        ages = [_age(client) for client in self._clients if _is_open(client)]
        return Connection(True, min(ages)) if ages else Connection(False)


def _is_open(client: SocketModeClient) -> bool:
    session = client.current_session
    return not (client.closed or client.stale) and session is not None and not session.closed


def _age(client: SocketModeClient) -> float:
    """Seconds since the last ping that was answered; a socket that was opened just now has had none yet."""
    answered = client.last_ping_pong_time
    return 0.0 if answered is None else max(0.0, time.time() - answered)
