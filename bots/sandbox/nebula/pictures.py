"""The picture endpoint of the sandbox's Nebula: it draws a small square, and can go wrong in all ways."""

import asyncio
import base64
import hashlib
import json
import struct
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web
from multidict import CIMultiDict

from bots.sandbox.nebula.faults import NebulaFault

SIDE = 16  # pixels


@dataclass(frozen=True, slots=True)
class PictureAsked:
    """A request for a picture as received. `fields`: the names in its body. `closed_early`: the client hung up."""

    key: str
    model: str
    prompt: str
    width: int = 0
    height: int = 0
    fields: tuple[str, ...] = ()
    closed_early: bool = False
    finished: bool = False


class FakePainter:
    """Answers `POST /api/v1/images/generation`. `content`: what it sends next, None for a square in a colour of its own
    for each prompt."""

    def __init__(self, locked: Callable[[web.Request], web.Response | None], changed: Callable[[], None]) -> None:
        """`locked`: the refusal of a wrong key. `changed`: called after each change of `requests`."""
        self._locked, self._changed = locked, changed
        self.requests: list[PictureAsked] = []
        self.content: bytes | None = None
        self._faults: deque[NebulaFault] = deque()

    def fault(self, *faults: NebulaFault) -> None:
        """Apply these to the next requests: `status`, `headers` and `body`, `first_token` as seconds before the answer,
        `hold`, and `cut_after`, which resets the connection."""
        self._faults.extend(faults)

    async def draw(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        number = len(self.requests)
        self.requests.append(await _read(request))
        self._changed()
        fault = self._faults.popleft() if self._faults else NebulaFault()
        try:
            if fault.hold:
                await fault.hold.wait()
            await asyncio.sleep(fault.first_token)
        except asyncio.CancelledError:
            self._note(number, closed_early=True)
            raise
        if fault.cut_after is not None and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if fault.body is not None or fault.status != 200:
            body = fault.body.encode() if isinstance(fault.body, str) else fault.body or b""
            headers = CIMultiDict(fault.headers)
            headers.setdefault("Content-Type", "application/json")
            return web.Response(status=fault.status, body=body, headers=headers)
        self._note(number, finished=True)
        return self._locked(request) or self._answer(self.requests[number])

    def _answer(self, asked: PictureAsked) -> web.Response:
        if not (asked.model and asked.prompt and asked.width and asked.height):
            return web.json_response(
                {"message": "model, prompt, width and height are needed", "status": "failed"}, status=400
            )
        content = png(asked.prompt) if self.content is None else self.content
        data = [{"timings": {"inference": 0.1}, "index": 0, "b64_json": base64.b64encode(content).decode()}]
        message = "Image generated successfully"
        return web.json_response(
            {"model": asked.model, "object": "list", "data": data, "message": message, "status": "success"}
        )

    def _note(self, number: int, *, closed_early: bool = False, finished: bool = False) -> None:
        self.requests[number] = replace(self.requests[number], closed_early=closed_early, finished=finished)
        self._changed()


def png(text: str) -> bytes:
    """A small square in the colour of this text, as PNG."""
    colour = hashlib.sha256(text.encode()).digest()[:3]
    rows = (b"\0" + colour * SIDE) * SIDE
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


async def _read(request: web.Request) -> PictureAsked:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return PictureAsked(key, "", "")
    width, height = (each if isinstance(each := body.get(name), int) else 0 for name in ("width", "height"))
    model, prompt = str(body.get("model", "")), str(body.get("prompt", ""))
    return PictureAsked(key, model, prompt, width, height, fields=tuple(body))
