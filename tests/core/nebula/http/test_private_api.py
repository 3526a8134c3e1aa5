"""What the client uses of its libraries beyond their promises: a new version of one that ends it fails here."""

import asyncio
from contextlib import aclosing

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from bots.sandbox.nebula.server import NebulaServer
from core.nebula.http import private_api


async def test_the_connection_is_found_and_the_body_can_be_closed(server: NebulaServer) -> None:
    """In the versions installed here, the names lead to the socket of a response that is under way."""
    held = server.hold(after=1)
    headers = {"Authorization": "Bearer ak", "Accept-Encoding": "identity"}
    body = {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "stream": True,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    async with (
        HttpxAiohttpClient(timeout=None, headers=headers) as client,
        client.stream("POST", f"{server.base_url}/chat/completions", json=body) as response,
        aclosing(private_api.pieces(response)) as pieces,
    ):
        assert await anext(pieces)
        connection = private_api.connection(response)
        assert isinstance(connection, asyncio.ReadTransport)
        assert connection.get_extra_info("peername")
        held.release()
        async for _ in pieces:
            pass


def test_without_the_names_there_is_no_connection() -> None:
    """A response of another transport has none of them, and no error."""
    assert private_api.connection(httpx.Response(200, content=b"whole")) is None
