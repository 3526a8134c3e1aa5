"""Downloads a file from an address that Discord gave: from its own hosts alone, without the token, and bounded."""

import aiohttp
from yarl import URL

from bots.proxy import proxy_for
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, TooLong, Unreachable

# Where Discord keeps files (docs.discord.com, Reference, Image Formatting and Signed Attachment CDN URLs).
_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
_HTTPS_PORT = 443
_REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)
# Refusals that may pass: every other 4xx is final.
_FOR_NOW = (408, 425, 429)
_GONE = (404, 410)


class CdnDownload:
    """Downloads files. What an address says is never in a log: whoever knows it can read the file."""

    def __init__(self, api: str) -> None:
        """`api`: address of the API. What serves it may serve files too, without TLS if the API has none."""
        self._own = URL(api).origin()

    async def content(self, address: str, most: int) -> bytes:
        """The content behind an address, at most `most` bytes; there is no time limit.

        Raises PlatformError: TooLong if it is larger, Gone or Forbidden if the server refuses it, as it does once the
        address has expired, Rejected if the address, or the one that it redirects to, is none of Discord's,
        Unreachable.
        """
        url, headers = _url(address), {"Accept-Encoding": "identity"}
        try:
            # Nothing is unpacked on the way: a small body may hold a large one.
            async with aiohttp.ClientSession(
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session:
                for _ in range(1 + _REDIRECTS):
                    self._check(url)
                    async with session.get(url, allow_redirects=False, proxy=proxy_for(str(url))) as response:
                        if response.status not in _MOVED:
                            return await _content(response, most)
                        url = url.join(_url(response.headers.get("Location", "")))
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"a file: {type(error).__name__}") from error
        raise Unreachable("a file: too many redirects")

    def _check(self, url: URL) -> None:
        """Raises Rejected for an address that is not Discord's."""
        discords = url.scheme == "https" and url.raw_host in _HOSTS and url.port == _HTTPS_PORT
        own = (url.scheme, url.raw_host, url.port) == (self._own.scheme, self._own.raw_host, self._own.port)
        if not (discords or own) or url.raw_user is not None or url.raw_password is not None:
            raise Rejected("a file: its address is none of Discord's")


def _url(address: str) -> URL:
    try:
        return URL(address)
    except ValueError:
        raise Rejected("a file: its address can't be read") from None


async def _content(response: aiohttp.ClientResponse, most: int) -> bytes:
    if response.status != 200:
        raise _refusal(response.status)
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Unreachable("a file: it comes in an encoding that we did not ask for")
    if (response.content_length or 0) > most:
        raise TooLong(f"a file: the server says that it has {response.content_length} bytes")
    found = bytearray()
    async for part in response.content.iter_any():
        if len(found) + len(part) > most:
            raise TooLong(f"a file: it has more than {most} bytes")
        found += part
    return bytes(found)


def _refusal(status: int) -> PlatformError:
    detail = f"a file: HTTP {status}"
    if status in _GONE:
        return Gone(detail)
    return Forbidden(detail) if 400 <= status < 500 and status not in _FOR_NOW else Unreachable(detail)
