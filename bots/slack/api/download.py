"""Downloads files from Slack with the bot's token, which no other host is given."""

import logging
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bots.proxy import proxy_for
from bots.slack.api.client import Web
from bots.slack.api.errors import code_of
from bots.slack.api.workspace import Capabilities
from core.domain.conversation import Attachment
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, TooLong, Unreachable

log = logging.getLogger(__name__)

SCOPE = "files:read"
# Where files are, also of GovSlack (docs.slack.dev/reference/objects/file-object). A file that was only linked may be
# anywhere: docs.slack.dev/reference/methods/files.remote.info.
HOSTS = ("files.slack.com", "files.slack-gov.com")
_PIECE = 65_536
PAGE = "text/html"
"""The kind of a file that is a web page itself."""


class Downloads:
    """Fetches the bytes of files, and counts them while they come, whatever Slack says of their number."""

    def __init__(self, web: Web, capabilities: Capabilities) -> None:
        self._web, self._capabilities = web, capabilities
        self._told = False  # that the app lacks the scope

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """Return the content of a file, at most `most` bytes of it. Raises PlatformError."""
        if not self._capabilities.granted(SCOPE):
            raise self._lacking()
        # Where we don't know what the app may do, a page that is expected can't be told from the one to sign in on:
        # asking for its address tells.
        unsure = _is_page(attachment) and self._capabilities.scopes is None
        url = await self._address(attachment) if unsure or not attachment.url else attachment.url
        if not self._is_of_slack(url):
            raise Rejected("a file is not on Slack")
        client = self._web.client
        headers = {"Authorization": f"Bearer {client.token}", "Accept-Encoding": "identity"}
        try:
            async with nullcontext(client.session) if client.session else self._web.session() as session:
                get = session.get(url, headers=headers, proxy=proxy_for(url), allow_redirects=False)
                async with get as response:
                    self._check(response, attachment, most)
                    return await _content(response, most)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error

    async def _address(self, attachment: Attachment) -> str:
        """Ask for the address of a file, which an event does not bring of one that another workspace shares
        (docs.slack.dev/reference/objects/file-object, check_file_info). Raises PlatformError."""
        if not attachment.file:
            raise Forbidden("a file without an id")
        try:
            answer = await self._web.call(self._web.client.files_info(file=attachment.file))
        except PlatformError as error:
            if code_of(error) == "file_deleted":
                raise Gone("the file was deleted") from error
            if code_of(error) == "missing_scope":
                raise self._lacking() from error
            raise
        file: Any = answer.get("file")
        found = file.get("url_private") if isinstance(file, dict) else None
        if not isinstance(found, str) or not found:
            raise Forbidden("Slack gives no address of the file")
        return found

    def _check(self, response: aiohttp.ClientResponse, attachment: Attachment, most: int) -> None:
        """Raise PlatformError if this is not the file. Without the scope, Slack answers with a page where people sign
        in, or sends us there (slackapi/bolt-js#2585); so it may where the app has it, for another reason."""
        status, kind = response.status, response.content_type
        if status in (404, 410):
            raise Gone("the file was deleted")
        if 300 <= status < 400 or (status == 200 and kind == PAGE and not _is_page(attachment)):
            if self._capabilities.scopes is None:
                raise self._lacking()
            log.warning("Slack: a file can't be read: Slack sends a page, although the app has the scope %s", SCOPE)
            raise Forbidden("a page in place of the file")
        if status in (401, 403):
            raise Forbidden(f"HTTP {status}")
        if status != 200:
            raise Unreachable(f"HTTP {status}")
        # a small body could become a huge one
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity", "none"):
            raise Unreachable("the file comes in an encoding")
        if (response.content_length or 0) > most:
            raise TooLong(f"{response.content_length} bytes")

    def _lacking(self) -> Forbidden:
        if not self._told:
            self._told = True
            log.warning("Slack: files can't be read; add the scope %s to the app and reinstall it", SCOPE)
        return Forbidden(f"missing_scope: {SCOPE}")

    def _is_of_slack(self, url: str) -> bool:
        """Return whether Slack keeps files at this address, or the server that plays it."""
        if not self._web.is_slack(url):
            return False
        address, ours = urlsplit(url), urlsplit(self._web.base_url)
        return address.hostname in HOSTS or (address.scheme, address.netloc) == (ours.scheme, ours.netloc)


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
