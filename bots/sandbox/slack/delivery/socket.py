"""Socket Mode: the app's WebSockets, the envelopes sent over any of them, and their acknowledgements."""

import asyncio
import json
import random
import uuid
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json

MOST_SOCKETS = 10  # docs.slack.dev/apis/events-api/using-socket-mode
_GROWING_ATTEMPTS = 24  # from then on, the wait stays as it is


@dataclass(frozen=True, slots=True)
class Ack:
    """The outcome of one attempt: `problem` is "" or Slack's retry reason; `final` forbids another attempt."""

    problem: str = ""
    body: Json = field(default_factory=dict)
    final: bool = False


class SlackSockets:
    """The app's open sockets. `ack_timeout` is in seconds; each further attempt waits `ack_growth` times as long."""

    def __init__(self, ws: Workspace, ack_timeout: float, ack_growth: float = 1.0) -> None:
        self._ws = ws
        self._timeout, self._growth = ack_timeout, ack_growth
        self._open: dict[web.WebSocketResponse, web.Request] = {}
        self._tickets: set[str] = set()
        self._waiting: dict[str, tuple[web.WebSocketResponse, asyncio.Future[Ack]]] = {}
        self._pick = random.Random(7)

    @property
    def count(self) -> int:
        """How many sockets are open."""
        return len(self._open)

    def ticket(self) -> str:
        """Issue a ticket for one connection."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return ticket

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until either side closes it."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.count >= MOST_SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await socket.close()
            return socket
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": self.count + 1,
                "connection_info": {"app_id": self._ws.app_id},
                "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060},
            }
        )
        self._open[socket] = request
        self._ws.changed()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledged(message.data)
        except ConnectionError:  # cut while a ping was answered
            pass
        finally:
            self._lost(socket)
        return socket

    async def send(self, kind: str, payload: Json, attempt: int, reason: str) -> Ack:
        """Make one attempt over any one of the sockets."""
        if not self._open:
            return Ack("connection_failed")
        socket = self._pick.choice(list(self._open))
        envelope = str(uuid.uuid4())
        body: Json = {"envelope_id": envelope, "type": kind, "payload": payload}
        body["accepts_response_payload"] = kind != "events_api"
        if kind == "events_api":
            body |= {"retry_attempt": attempt, "retry_reason": reason}
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[envelope] = (socket, future)
        try:
            async with asyncio.timeout(self._timeout * self._growth ** min(attempt, _GROWING_ATTEMPTS)):
                await socket.send_json(body)
                return await future
        except TimeoutError:
            return Ack("timeout")
        except ConnectionError:
            return Ack("connection_failed")
        finally:
            del self._waiting[envelope]

    async def disconnect(self, reason: str, most: int) -> None:
        """Ask at most `most` sockets to disconnect: warning, refresh_requested or link_disabled. The client closes
        them."""
        for socket in list(self._open)[:most]:
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}})

    def give_up(self) -> None:
        """End the wait for every acknowledgement, as if its time were over."""
        for _, future in self._waiting.values():
            if not future.done():
                future.set_result(Ack("timeout"))

    def mute(self) -> None:
        """Read nothing from the open sockets any more, so that no ping is answered. The client gets no notice."""
        for request in self._open.values():
            if isinstance(transport := request.transport, asyncio.ReadTransport):
                transport.pause_reading()

    def drop(self) -> None:
        """Cut every socket without a close frame."""
        for socket, request in list(self._open.items()):
            if request.transport:
                request.transport.abort()
            self._lost(socket)

    def _acknowledged(self, text: str) -> None:
        try:
            body = json.loads(text)
        except ValueError:
            return
        _, future = self._waiting.get(str(body.get("envelope_id")), (None, None))
        if future and not future.done():
            payload = body.get("payload")
            future.set_result(Ack(body=payload if isinstance(payload, dict) else {}))

    def _lost(self, socket: web.WebSocketResponse) -> None:
        self._open.pop(socket, None)
        for owner, future in self._waiting.values():
            if owner is socket and not future.done():
                future.set_result(Ack("connection_failed"))
        self._ws.changed()
