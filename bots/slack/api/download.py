"""Downloads files from Slack with the bot's token, which is sent nowhere but to where Slack keeps files."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import aiohttp
from cachetools import TTLCache
from yarl import URL

from bots.proxy import proxy_for
from bots.slack.api.client import Web
from bots.slack.api.errors import code_of
from bots.slack.api.workspace import Capabilities
from core.domain.conversation import Attachment
from core.domain.errors import Forbidden, Gone, Hidden, PlatformError, Rejected, TooLong, Unreachable

log = logging.getLogger(__name__)

SCOPE = "files:read"
# Where files are, also of GovSlack (docs.slack.dev/reference/objects/file-object). A file that was only linked may be
# anywhere: docs.slack.dev/reference/methods/files.remote.info.
HOSTS = ("files.slack.com", "files.slack-gov.com")
_PATH = re.compile(r"/files-pri/[^/]+/.")  # docs.slack.dev/reference/objects/file-object, url_private
_HIDDEN = re.compile(r"%(?:2e|2f|5c)", re.IGNORECASE)  # separators that a server may or may not read as such
# Before the address of a file that was only linked: it is an address of nothing, so that nobody fetches it.
_LINKED = "elsewhere:"
_PIECE = 65_536
PAGE = "text/html"
"""The kind of a file that is a web page itself."""
# Files that people write in Slack itself, whose content comes as a web page (github.com/simstudioai/sim, issue 4306).
_WRITTEN_IN_SLACK = ("canvas", "docs", "post", "quip", "space")
# The page on which people sign in to Slack, in any language: its title, its form, or the program that shows it. What
# people write in Slack begins with none of them: a canvas is a `div` of headings, lines and tables.
_SIGN_IN = re.compile(
    rb"<title[^<>]{0,200}>(?:(?:[^<]{0,200}[|-])?\s{0,20}slack\s{0,20}</title|\s{0,20}(?:sign|log)[ -]?in\b)"
    rb"|<(?:form|script)[\s>]|data-qa=.signin",
    re.IGNORECASE,
)
_BEGINNING = 100_000
# For what Slack tells of files only when asked: how many of the first and of the last files of a question or of what is
# around it, how long, and how many answers are kept for how long.
_MOST_STUBS, _STUB_SECONDS, _MOST_KNOWN, _KNOWN_SECONDS = 10, 1.0, 1_000, 600.0


def file_of(file: Mapping[str, Any], channel: str = "", message: str = "") -> Attachment:
    """Read a file object (docs.slack.dev/reference/objects/file-object). The address is missing of one that Slack
    describes only when asked, and of one that we may not see."""
    fields = ("name", "title", "mimetype", "url_private", "id", "mode")
    name, title, kind, url, key, mode = (file[each] if isinstance(file.get(each), str) else "" for each in fields)
    if mode == "external" or file.get("is_external"):
        url = f"{_LINKED}{url}"
    kind = PAGE if mode in _WRITTEN_IN_SLACK else kind
    return Attachment(name or title or "file", kind, url, _size(file.get("size")), key, channel, message)


class Downloads:
    """Fetches the bytes of files, and counts them while they come, whatever Slack says of their number."""

    def __init__(self, web: Web, capabilities: Capabilities) -> None:
        self._web, self._capabilities = web, capabilities
        self._told = False  # that the app lacks the scope
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: TTLCache[str, Attachment] = TTLCache(_MOST_KNOWN, _KNOWN_SECONDS)

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """Return the content of a file, at most `most` bytes of it. Raises PlatformError."""
        if not self._capabilities.granted(SCOPE):
            raise self._lacking()
        if not attachment.url:
            attachment = file_of(await self._look_up(attachment.file))
        url = attachment.url
        if not self._keeps_files(url):
            raise Rejected("a file is not on Slack")
        client = self._web.client
        headers = {"Authorization": f"Bearer {client.token}", "Accept-Encoding": "identity"}
        try:
            async with nullcontext(client.session) if client.session else self._web.session() as session:
                get = session.get(URL(url), headers=headers, proxy=proxy_for(url), allow_redirects=False)
                async with get as response:
                    self._check(response, attachment, most)
                    content, page = await _content(response, most), response.content_type == PAGE
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error
        if page and not await self._is_that(attachment, content):
            raise self._refused()
        return content

    async def described(self, files: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """The same files, of which Slack told nothing but the id (check_file_info) with all that it tells when asked,
        if it does within about a second."""
        stubs = [each.file for each in files if each.file and not each.url]
        if not stubs or not self._capabilities.granted(SCOPE):
            return tuple(files)
        with suppress(TimeoutError):
            async with asyncio.timeout(_STUB_SECONDS):
                # of a question the first files are read, of what is around it the last
                await asyncio.gather(*map(self._describe, {*stubs[:_MOST_STUBS], *stubs[-_MOST_STUBS:]}))
        return tuple(
            replace(self._known[each.file], channel=each.channel, message=each.message)
            if not each.url and each.file in self._known
            else each
            for each in files
        )

    async def _describe(self, file: str) -> None:
        async with self._asking.setdefault(file, asyncio.Lock()):
            if file not in self._known:
                try:
                    self._known[file] = file_of(await self._look_up(file))
                except PlatformError as error:
                    log.info("Slack: it does not describe a file: %s: %s", type(error).__name__, error)

    async def _look_up(self, file: str) -> Mapping[str, Any]:
        """Ask for what an event does not bring of a file that another workspace shares
        (docs.slack.dev/reference/objects/file-object, check_file_info). Raises PlatformError."""
        if not file:
            raise Forbidden("a file without an id")
        try:
            answer = await self._web.call(self._web.client.files_info(file=file))
        except PlatformError as error:
            if code_of(error) in ("file_deleted", "file_not_found"):
                raise Gone("the file was deleted") from error
            if code_of(error) == "missing_scope":
                raise self._lacking() from error
            raise
        found: Any = answer.get("file")
        match found:
            case {"mode": "hidden_by_limit"}:
                raise Hidden("the workspace's plan does not show the file")
            case {"mode": "tombstone"}:
                raise Gone("the file was deleted")
        if not isinstance(found, dict) or not file_of(found).url:
            raise Forbidden("Slack gives no address of the file")
        return {**found, "id": file}

    async def _is_that(self, attachment: Attachment, content: bytes) -> bool:
        """Return whether a page is the file, and not the one on which people sign in, with which Slack answers in its
        place. Only the file has the size that Slack says, which may have changed since. What people write in Slack has
        another size than the page that shows it. Raises PlatformError."""
        if len(content) == attachment.size:
            return True
        found = await self._look_up(attachment.file)
        size = 0 if found.get("mode") in _WRITTEN_IN_SLACK else file_of(found).size
        return len(content) == size if size else _SIGN_IN.search(content, 0, _BEGINNING) is None

    def _check(self, response: aiohttp.ClientResponse, attachment: Attachment, most: int) -> None:
        """Raise PlatformError if this is not the file. Without the scope, Slack answers with a page where people sign
        in, or sends us there (slackapi/bolt-js#2585); so it may where the app has it, for another reason."""
        status, kind = response.status, response.content_type
        if status in (404, 410):
            raise Gone("the file was deleted")
        if 300 <= status < 400 or (status == 200 and kind == PAGE and not _is_page(attachment)):
            raise self._refused()
        if status in (401, 403):
            raise Forbidden(f"HTTP {status}")
        if status != 200:
            raise Unreachable(f"HTTP {status}")
        # a small body could become a huge one
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity", "none"):
            raise Unreachable("the file comes in an encoding")
        if (response.content_length or 0) > most:
            raise TooLong(f"{response.content_length} bytes")

    def _refused(self) -> Forbidden:
        if self._capabilities.scopes is None:
            return self._lacking()
        log.warning("Slack: a file can't be read: Slack sends a page, although the app has the scope %s", SCOPE)
        return Forbidden("a page in place of the file")

    def _lacking(self) -> Forbidden:
        if not self._told:
            self._told = True
            log.warning("Slack: files can't be read; add the scope %s to the app and reinstall it", SCOPE)
        return Forbidden(f"missing_scope: {SCOPE}")

    def _keeps_files(self, url: str) -> bool:
        """Return whether Slack keeps files at this address, or the server that plays it: there is no other that the
        token may be sent to, and least of all a method of the API."""
        if not self._web.is_slack(url):
            return False
        address, ours = URL(url), URL(self._web.base_url)
        if "\\" in address.path or ".." in address.path.split("/") or _HIDDEN.search(address.raw_path):
            return False
        if address.host in HOSTS:
            return _PATH.match(address.raw_path) is not None
        # A server that plays Slack may have files anywhere but below the API.
        methods, parts = ([each for each in path.split("/") if each] for path in (ours.path, address.path))
        a_method = parts[:-1] == methods
        return not self._web.is_slacks_own and address.origin() == ours.origin() and not a_method


async def _content(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a body. Raises TooLong, and Unreachable if it ends too soon."""
    content = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        content += piece
        if len(content) > most:
            raise TooLong(f"more than {most} bytes")
    return bytes(content)


def _is_page(attachment: Attachment) -> bool:
    """Return whether the file itself is a web page."""
    return attachment.kind == PAGE or attachment.name.lower().endswith((".html", ".htm", ".xhtml"))


def _size(value: Any) -> int:
    """Return a number of bytes; 0 for anything that is none."""
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0
