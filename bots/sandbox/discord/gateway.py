"""The gateway of the sandbox's Discord: sessions that identify, receive, drop and resume."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from aiohttp import WSMsgType, web

from bots.sandbox.discord.limits import DiscordLimit
from bots.sandbox.discord.sessions import Intent, Session, Socket
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.values import Guild, Json
from bots.sandbox.discord.world.wire import DiscordWire

KNOWN_INTENTS = (1 << 22) - 1 | 1 << 24 | 1 << 25
HEARTBEAT_MS = 41_250
SENDS = DiscordLimit(120, 60.0)  # events/gateway#rate-limiting
HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME = 1, 2, 3, 4, 6  # opcodes (topics/opcodes-and-status-codes#gateway)
RECONNECT, MEMBERS, INVALID, HELLO, ACK = 7, 8, 9, 10, 11


class _Close(Exception):
    """Ends a connection with a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Gateway:
    """All sessions. `duplicate`: how often each event is sent. `refuse`: how many of the next handshakes fail.

    `latency`: the delay of each event, in seconds. `unsharded`: whether a client may identify without a shard.
    `spoiled`: how many of the next READY events lack their user. `away`: ids of guilds about which a client learns
    nothing when it identifies, as in an outage of these guilds. `privileged`: the intents that a client may ask for.
    """

    def __init__(self, world: DiscordWorld, wire: DiscordWire, token: str, privileged: Intent) -> None:
        self._world, self._wire, self._token, self.privileged = world, wire, token, privileged
        self.url = ""
        self.latency = 0.0
        self.duplicate = 1
        self.refuse = 0
        self.unsharded = True
        self.fault_response = 0
        self.away: set[str] = set()
        self.identifies = 0
        self.identified: list[tuple[int, int, float]] = []  # shard, number of shards, monotonic seconds
        self.resumes = 0
        self.closes: list[int] = []  # the close codes that clients sent
        self._sessions: list[Session] = []
        self._sockets: set[Socket] = set()

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions that are connected."""
        return tuple(session for session in self._sessions if session.socket is not None)

    def dispatch(
        self,
        event: str,
        build: Callable[[Session], Json],
        *,
        guild: str,
        guild_intent: Intent = Intent.NONE,
        direct_intent: Intent = Intent.NONE,
    ) -> None:
        """Send an event to every session of the guild's shard ("" for direct messages: shard 0) that wants it."""
        if guild and not self._world.joined(guild) and event != "INTERACTION_CREATE":
            return  # of a guild without the bot, only what people do with the app is sent
        wanted = guild_intent if guild else direct_intent
        for session in self._sessions:
            shard = (int(guild) >> 22) % session.shards if guild else 0
            if session.shard == shard and session.intents & wanted == wanted:
                payload = build(session)
                for _ in range(self.duplicate):
                    self._event(session, event, payload)

    def guild_create(self, guild: Guild, *, joined: bool = False) -> None:
        """Send GUILD_CREATE to the sessions of a guild. `joined`: the bot was added; then it lacks `unavailable`, by
        which clients tell that from the end of an outage."""

        def build(session: Session) -> Json:
            whole = self._guild(session, guild)
            return {name: value for name, value in whole.items() if not (joined and name == "unavailable")}

        self.dispatch("GUILD_CREATE", build, guild=guild.id, guild_intent=Intent.GUILDS)

    def drop(self, *, resumable: bool = True, code: int = 4000) -> None:
        """Close all connections with `code` (0: abort them). Sessions that can't be resumed are forgotten."""
        for socket in tuple(self._sockets):
            if socket.session:
                self._leave(socket.session)
            self._end(socket, code)
        if not resumable:
            for session in tuple(self._sessions):
                self._forget(session)

    def fall_silent(self) -> None:
        """Keep all connections open, but send nothing on them any more, not even acknowledgements."""
        for socket in self._sockets:
            socket.silent = True

    def reconnect(self) -> None:
        """Ask every client to reconnect and resume (opcode 7)."""
        self.broadcast({"op": RECONNECT, "d": None})

    def invalidate(self, *, resumable: bool) -> None:
        """Tell every client that its session is invalid (opcode 9)."""
        self.broadcast({"op": INVALID, "d": resumable})
        if not resumable:
            for session in tuple(self._sessions):
                self._forget(session)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.refuse > 0:
            self.refuse -= 1
            return web.Response(status=503)
        ws = web.WebSocketResponse(max_msg_size=16_384)
        await ws.prepare(request)
        socket = Socket(ws, request.transport)
        self._sockets.add(socket)
        self._send(socket, {"op": HELLO, "d": {"heartbeat_interval": HEARTBEAT_MS, "_trace": ["sandbox"]}})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(socket))
                await self._read(socket)
                socket.queue.put_nowait(None)
        finally:
            self._sockets.discard(socket)
            if socket.session and socket.session.socket is socket:
                self._leave(socket.session)
            self._world.watch.changed()
        return ws

    async def _read(self, socket: Socket) -> None:
        async for frame in socket.ws:
            if frame.type is not WSMsgType.TEXT:
                continue
            try:
                self._take(socket, frame.data)
            except _Close as close:
                self._end(socket, close.code, close.reason)
        code = socket.ws.close_code
        if code is not None and not socket.ended:
            self.closes.append(code)
            if code in (1000, 1001) and socket.session:
                # With this close code a client ends its session (events/gateway#initiating-a-disconnect).
                self._forget(socket.session)

    async def _write(self, socket: Socket) -> None:
        # The reader ends when the peer disconnects. A send that races with it is lost, as it would be on the wire.
        with suppress(ConnectionError):
            while (item := await socket.queue.get()) is not None:
                due, text = item
                if due > time.monotonic():
                    await asyncio.sleep(due - time.monotonic())
                if text.startswith("{"):
                    await socket.ws.send_str(text)
                    continue
                code, _, reason = text.partition(" ")
                if code == "0" and socket.transport is not None:
                    socket.transport.abort()
                    return
                await socket.ws.close(code=int(code), message=reason.encode())
                return

    def _take(self, socket: Socket, text: str) -> None:
        now = time.monotonic()
        socket.received = [at for at in socket.received if now - at < SENDS.seconds] + [now]
        if len(socket.received) > SENDS.calls:
            raise _Close(4008, "Rate limited.")
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError):
            raise _Close(4002, "Error while decoding payload.") from None
        if op == HEARTBEAT:
            self._send(socket, {"op": ACK})
        elif op == IDENTIFY:
            self._identify(socket, data)
        elif op == RESUME:
            self._resume(socket, data)
        elif op not in (PRESENCE, VOICE, MEMBERS):
            raise _Close(4001, "Unknown opcode.")
        elif socket.session is None:
            raise _Close(4003, "Not authenticated.")
        elif op == MEMBERS:
            self._chunk(socket.session, data)

    def _identify(self, socket: Socket, data: Json) -> None:
        if socket.session is not None:
            raise _Close(4005, "Already authenticated.")
        self.identifies += 1
        if data.get("token") != self._token:
            raise _Close(4004, "Authentication failed.")
        shard, shards = data.get("shard") or (0, 1)
        if not 0 <= shard < shards:
            raise _Close(4010, "Invalid shard.")
        if not data.get("shard") and not self.unsharded:
            raise _Close(4011, "Sharding required.")
        self.identified.append((shard, shards, time.monotonic()))
        intents = data.get("intents")
        if not isinstance(intents, int) or intents & ~KNOWN_INTENTS:
            raise _Close(4013, "Invalid intent(s).")
        if intents & Intent.PRIVILEGED & ~self.privileged:
            raise _Close(4014, "Disallowed intent(s).")
        session = Session(token_hex(16), Intent(intents), shard, shards, socket)
        socket.session = session
        joined = [one for one in self._world.guilds.values() if self._world.joined(one.id)]
        guilds = [one for one in joined if (int(one.id) >> 22) % shards == shard]
        ready: Json = {
            "v": 10,
            "user": self._wire.user(self._world.bot),
            "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "application": {"id": self._wire.application(flags=0)["id"], "flags": self.privileged.flags},
        }
        if data.get("shard"):
            ready["shard"] = [shard, shards]
        if self.fault_response:
            self.fault_response -= 1
            ready["user"] = None
        self._event(session, "READY", ready)
        if session.intents & Intent.GUILDS:
            for guild in (one for one in guilds if one.id not in self.away):
                self._event(session, "GUILD_CREATE", self._guild(session, guild))
        self._sessions.append(session)
        self._world.watch.changed()

    def _resume(self, socket: Socket, data: Json) -> None:
        if data.get("token") != self._token:
            raise _Close(4004, "Authentication failed.")
        session = next((one for one in self._sessions if one.id == data.get("session_id") and one.resumable), None)
        seen = int(data.get("seq") or 0)
        if session is not None and seen > session.sequence:
            raise _Close(4007, "Invalid seq.")
        missed = session.since(seen) if session else None
        if session is None or missed is None:
            self._send(socket, {"op": INVALID, "d": False})
            return
        if session.socket is not None:
            self._end(session.socket, 4000, "Resumed elsewhere.")
        self.resumes += 1
        session.socket, socket.session = socket, session
        for text in missed:
            self._queue(socket, text)
        self._event(session, "RESUMED", {"_trace": ["sandbox"]})
        self._world.watch.changed()

    def _chunk(self, session: Session, data: Json) -> None:
        guild, wanted = str(data.get("guild_id")), data.get("user_ids")
        wanted = {str(wanted)} if isinstance(wanted, str | int) else {str(one) for one in wanted or ()}
        start, most = str(data.get("query") or "").lower(), int(data.get("limit") or 0)
        found = [
            self._wire.member(member)
            for member in self._world.members_of(guild)
            if (not wanted or member.user in wanted) and self._world.users[member.user].name.lower().startswith(start)
        ]
        answer: Json = {"guild_id": guild, "members": found[: most or None], "chunk_index": 0, "chunk_count": 1}
        if "nonce" in data:
            answer["nonce"] = data["nonce"]
        self._event(session, "GUILD_MEMBERS_CHUNK", answer)

    def _guild(self, session: Session, guild: Guild) -> Json:
        return self._wire.guild(guild, everybody=bool(session.intents & Intent.PRESENCES))

    def _event(self, session: Session, event: str, payload: Json) -> None:
        text = session.add(event, payload)
        if session.socket is not None:
            self._queue(session.socket, text)

    def broadcast(self, frame: Json) -> None:
        """Send a frame on every connection that has a session."""
        for socket in self._sockets:
            if socket.session:
                self._send(socket, frame)

    def _send(self, socket: Socket, frame: Json) -> None:
        self._queue(socket, json.dumps({"s": None, "t": None} | frame))

    def _queue(self, socket: Socket, text: str) -> None:
        if socket.silent:
            return
        socket.queue.put_nowait((time.monotonic() + self.latency, text))

    def _end(self, socket: Socket, code: int, reason: str = "") -> None:
        socket.ended = True
        socket.queue.put_nowait((0.0, f"{code} {reason}"))

    def _leave(self, session: Session) -> None:
        session.socket = None

    def _forget(self, session: Session) -> None:
        session.resumable = False
        if session in self._sessions:
            self._sessions.remove(session)
