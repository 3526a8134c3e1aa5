"""State of the Slack sockets: whether events can arrive over one of them, and when Slack last answered a ping."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from slack_sdk.socket_mode.aiohttp import SocketModeClient

from core.domain.ports import Connection


class SocketConnections:
    """The Socket Mode clients that are open at the moment; one that works is enough."""

    def __init__(self) -> None:
        self._clients: list[SocketModeClient] = []

    @contextmanager
    def of(self, client: SocketModeClient) -> Iterator[None]:
        """Count the client inside this context."""
        self._clients.append(client)
        try:
            yield
        finally:
            self._clients.remove(client)

    def connection(self) -> Connection:
        """Return the state of the best socket. The SDK pings every few seconds, so a quiet workspace is not silent."""
        ages = [_age(client) for client in self._clients if _is_open(client)]
        return Connection(True, min(ages)) if ages else Connection(False)


def _is_open(client: SocketModeClient) -> bool:
    session = client.current_session
    return not (client.closed or client.stale) and session is not None and not session.closed


def _age(client: SocketModeClient) -> float:
    """Return the seconds since the last answered ping; 0 for a new socket, which has not had one yet."""
    answered = client.last_ping_pong_time
    return 0.0 if answered is None else max(0.0, time.time() - answered)
