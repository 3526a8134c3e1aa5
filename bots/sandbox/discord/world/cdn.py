"""The CDN: serves the files of messages and of commands at signed addresses that expire."""

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_bytes
from urllib.parse import quote, urlsplit

from aiohttp import web

from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.values import DiscordAttachment, DiscordUpload

LIFETIME = 24 * 3600  # seconds, as observed; the documentation has an example of 14 days (reference#signed-...)
ATTACHMENTS, EPHEMERAL_FILES = "attachments", "ephemeral-attachments"
ROUTES = tuple(f"/{folder}/{{place}}/{{file}}/{{name}}" for folder in (ATTACHMENTS, EPHEMERAL_FILES))
EXPIRED = "This content is no longer available."


@dataclass(frozen=True, slots=True)
class Oddity:
    """How the CDN serves a file otherwise than it should.

    `location`: it redirects there. `length`: the Content-Length, whatever comes then; None for none, and the content in
    chunks. `encoding`: the Content-Encoding, which is up to the content itself.
    """

    location: str = ""
    length: int | None = None
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One request for a file, and its answer's status."""

    path: str
    headers: Mapping[str, str]
    status: int


class Cdn:
    """Serves files. `base`: where. `ahead`: by how many seconds its clock is ahead. `odd`: by the file's id."""

    def __init__(self, world: DiscordWorld) -> None:
        self._world, self._key = world, token_bytes(32)
        self.base = ""
        self.ahead = 0.0
        self.odd: dict[str, Oddity] = {}
        self.requests: list[FileRequest] = []

    def store(self, file: DiscordUpload, place: str, *, ephemeral: bool = False) -> DiscordAttachment:
        """Store a file. `place`: its channel; for an ephemeral one, which belongs to no message, the application."""
        number, folder = self._world.new_id(), EPHEMERAL_FILES if ephemeral else ATTACHMENTS
        self._world.files[number] = file.data
        size = len(file.data) if file.claims is None else file.claims
        url = self._signed(f"/{folder}/{place}/{number}/{quote(file.name, safe='')}")
        return DiscordAttachment(number, file.name, file.kind, size, url, file.description, ephemeral)

    def renewed(self, file: DiscordAttachment) -> str:
        """A fresh address for a file, as each payload has one (reference#signed-attachment-cdn-urls)."""
        return self._signed(urlsplit(file.url).path)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for a file."""
        file = request.match_info["file"]
        data, odd = self._world.files.get(file), self.odd.get(file)
        there = EPHEMERAL_FILES in request.path.split("/")[:2] or self._world.shows(file)
        if data is None or not there or not self._valid(request):
            self.record(request, 404)
            return web.Response(status=404, text=EXPIRED)
        if odd and odd.location:
            self.record(request, 302)
            return web.Response(status=302, headers={"Location": odd.location})
        self.record(request, 200)
        return await _oddly(request, data, odd) if odd else web.Response(body=data)

    def record(self, request: web.Request, status: int) -> None:
        """Note a request and its answer."""
        self.requests.append(FileRequest(request.path, dict(request.headers), status))

    def _signed(self, path: str) -> str:
        since = int(time.time() + self.ahead)
        until = since + LIFETIME
        return f"{self.base}{path}?ex={until:x}&is={since:x}&hm={self._mark(path, f'{until:x}', f'{since:x}')}&"

    def _mark(self, path: str, until: str, since: str) -> str:
        """The signature; the name of the file is not part of it."""
        return hmac.digest(self._key, f"{path.rpartition('/')[0]}|{until}|{since}".encode(), "sha256").hex()

    def _valid(self, request: web.Request) -> bool:
        until, since, mark = (request.query.get(name, "") for name in ("ex", "is", "hm"))
        good = hmac.compare_digest(mark, self._mark(request.rel_url.raw_path, until, since))
        return good and int(until, 16) > time.time() + self.ahead


async def _oddly(request: web.Request, data: bytes, odd: Oddity) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Encoding": odd.encoding} if odd.encoding else {})
    if odd.length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = odd.length
    await response.prepare(request)
    try:
        await response.write(data)
        await response.write_eof()
    except ConnectionError:
        return response  # whoever asked has heard enough
    if odd.length is not None and request.transport is not None:
        request.transport.close()  # nothing more comes, whatever was promised
    return response
