"""Reads the body of a response: its next piece, all of it, or the beginning of a refusal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import aiohttp
import httpx

from core.domain.chat import Beat
from core.nebula.http import private_api

ERROR_BODY_BYTES = 1 << 16  # how much of an error response is read
ERROR_BODY_SECONDS = 5.0  # how long it is read for
_ENCODINGS = ("gzip", "deflate", "compress", "br", "zstd", "snappy", "lz4", "bzip2", "xz")
CONNECTION_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError)
"""What a lost connection raises. aiohttp's own errors too: the transport between does not translate all of them."""


async def gather(beat: Beat, response: httpx.Response) -> None:
    """Before a read, let the pieces of a quick stream gather in the system: then no packet wakes the loop."""
    if not beat.quick:
        beat.read()
        return
    connection = private_api.connection(response)
    if connection:
        connection.pause_reading()
    try:
        await beat.rest()
    finally:
        if connection and not connection.is_closing():
            connection.resume_reading()
    beat.read()


async def next_piece(body: AsyncIterator[bytes], deadline: float) -> bytes | None:
    """The next bytes; None at the end. Raises TimeoutError at the deadline, on the loop's clock."""
    async with asyncio.timeout_at(deadline):
        return await anext(body, None)


async def whole_body(response: httpx.Response, most: int, deadline: float | None = None) -> bytes | None:
    """The body, None if it is longer than `most` bytes. Raises TimeoutError at the deadline, on the loop's clock."""
    body = bytearray()
    async with aclosing(private_api.pieces(response)) as pieces, asyncio.timeout_at(deadline):
        async for piece in pieces:
            body += piece
            if len(body) > most:
                return None
    return bytes(body)


async def error_body(response: httpx.Response) -> bytes:
    """The beginning of an error's body; if it is slow or cut off, the part that arrived."""
    body = bytearray()
    deadline = asyncio.get_running_loop().time() + ERROR_BODY_SECONDS
    with suppress(TimeoutError, *CONNECTION_ERRORS):
        async with aclosing(private_api.pieces(response)) as pieces:
            while len(body) < ERROR_BODY_BYTES and (data := await next_piece(pieces, deadline)) is not None:
                body += data
    return bytes(body)


def encoding(response: httpx.Response) -> str:
    """The encoding of a body, "" for none. We accept none: a small body could become a huge one.

    Many servers of streams say `none`, so that no proxy compresses them, and some name a character set.
    """
    encodings = response.headers.get("content-encoding", "").lower().replace(" ", "").split(",")
    found = [each for each in encodings if each.removeprefix("x-") in _ENCODINGS]
    return repr(found[0]) if found else ""


def types(error: BaseException) -> str:
    """The type of an error, without its message, which may contain addresses. What the HTTP library found comes first:
    the transport in between names every lost connection a timeout while connecting."""
    return type(error.__cause__ or error).__name__
