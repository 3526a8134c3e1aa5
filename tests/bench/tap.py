"""A tap between a bot and its Redis: records every round trip over the socket, with its commands."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

SIZE = 1 << 20  # bytes per read


@dataclass(frozen=True, slots=True)
class Trip:
    """One round trip: when the bot sent it (monotonic seconds), and its commands."""

    at: float
    commands: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its script, or its commands with their number: `accept`, `3 x HGETALL`."""
        first = self.commands[0] if self.commands else "?"
        return first if len(self.commands) < 2 else f"{len(self.commands)} x {first}"


class Tap:
    """The round trips over the socket, oldest first."""

    def __init__(self, server: Path) -> None:
        self.trips: list[Trip] = []
        self._server = server
        self._steps = _steps()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the bot until its end."""
        there, back = await asyncio.open_unix_connection(self._server, limit=SIZE)
        waiting = (
            False  # wait for the server: until it answers, everything that the bot sends belongs to the same round trip
        )

        async def asked() -> None:
            nonlocal waiting
            while data := await reader.read(SIZE):
                if not waiting:
                    self.trips.append(Trip(time.monotonic(), tuple(self._commands(data))))
                waiting = True
                back.write(data)
            back.write_eof()

        async def answered() -> None:
            nonlocal waiting
            while data := await there.read(SIZE):
                waiting = False
                writer.write(data)
            writer.close()

        with suppress(ConnectionError):
            await asyncio.gather(asked(), answered())
        back.close()

    def _commands(self, data: bytes) -> Iterator[str]:
        """The names of the commands in a piece of RESP (redis.io/docs/latest/develop/reference/protocol-spec)."""
        at = 0
        while data[at : at + 1] == b"*":
            end = data.index(b"\r\n", at)
            words, at = int(data[at + 1 : end]), end + 2
            said = []
            for _ in range(words):
                end = data.find(b"\r\n", at)
                if end < 0:
                    return  # the rest comes in the next piece
                size = int(data[at + 1 : end])
                said.append(data[end + 2 : end + 2 + size])
                at = end + 2 + size + 2
            name = said[0].decode()
            yield self._steps.get(said[1].decode(), name) if name == "EVALSHA" else name


def _steps() -> dict[str, str]:
    """The names of the Lua steps by their digests, which EVALSHA uses."""
    folder = files("core.store") / "lua"
    shared = ["", *((folder / f"{name}.lua").read_text() for name in ("common", "bucket"))]
    names = [each.name.removesuffix(".lua") for each in folder.iterdir() if each.name.endswith(".lua")]
    texts = {name: (folder / f"{name}.lua").read_text() for name in names}
    return {_digest(before + text): name for name, text in texts.items() for before in shared}


def _digest(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()


@asynccontextmanager
async def tap(server: Path, socket: Path) -> AsyncIterator[Tap]:
    """Run a tap that listens on `socket` and connects to `server`, both unix sockets."""
    found = Tap(server)
    listener = await asyncio.start_unix_server(found.serve, socket, limit=SIZE)
    try:
        yield found
    finally:
        listener.close()
