"""What the client uses of its HTTP libraries beyond their promises; every name of that kind is here.

| name | verified in | if it is missing |
|---|---|---|
| `_stream` of `httpx.Response.stream`: the transport's own stream | httpx 0.28.1 | `connection` returns None |
| `_aiohttp_response` of that stream: aiohttp's response | httpx-aiohttp 0.2.0 | `connection` returns None |
| `aclose` of `aiter(httpx.Response.stream)`: it is a generator | httpx 0.28.1 | each request: AttributeError |

Without a connection to pause, each packet of a quick stream wakes the loop while its pieces gather: the answers are the
same, and cost more CPU time.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import httpx


def connection(response: httpx.Response) -> asyncio.ReadTransport | None:
    """The connection below a response; None if it is closed, or if other versions name it differently."""
    try:
        found = response.stream._stream._aiohttp_response.connection  # type: ignore[union-attr]
    except AttributeError:
        return None
    return cast("asyncio.ReadTransport", found.transport) if found else None


def pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The raw body, without the two layers in which httpx decodes and splits it: for a request that accepts no
    encoding. It must be closed like a generator."""
    return cast("AsyncGenerator[bytes, None]", aiter(cast("httpx.AsyncByteStream", response.stream)))
