"""The beat: the rhythm in which a quick stream is read."""

import asyncio

from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import FULL_BYTES, QUICK_READS, Beat, ChatMessage, ChatRequest
from core.nebula.client import Nebula

GREETING_REQUEST = ChatRequest("Llama3.3-70B", (ChatMessage("user", "Hello?"),))


async def test_a_stream_is_quick_after_several_pieces_in_quick_succession() -> None:
    """The first pieces are read as they arrive."""
    beat = Beat()
    for _ in range(QUICK_READS):
        beat.read()
        beat.heard(200)
        assert not beat.quick
    beat.read()
    beat.heard(200)
    assert beat.quick


async def test_nothing_gathers_after_a_full_read() -> None:
    """The system has no room for more: a server that has to wait would hold the model up."""
    beat = Beat()
    for _ in range(QUICK_READS + 1):
        beat.read()
        beat.heard(200)
    beat.heard(FULL_BYTES)
    assert not beat.quick
    beat.heard(200)
    assert beat.quick


async def test_a_gathering_ends_by_itself() -> None:
    """Nobody has to ask for the gathered pieces."""
    await Beat().rest()


async def test_a_gathering_ends_on_request() -> None:
    """A request has an effect only while pieces gather."""
    beat = Beat()
    assert not beat.now()
    resting = asyncio.create_task(beat.rest())
    await asyncio.sleep(0)
    assert beat.now()
    await resting
    assert not beat.now()


async def test_gathered_pieces_are_read_together_and_at_once_on_request(server: NebulaServer) -> None:
    """Tokens of a quick model come in few pieces. A reader that shows them need not wait for the beat, and none is
    lost."""
    words = " ".join(f"w{number}" for number in range(60))
    server.pace = 300.0
    server.answer_next(words)
    beat, wanted = Beat(), 0
    async with (
        Nebula(api_key="key", base_url=server.base_url, platform_url=server.platform_url) as model,
        model.stream(GREETING_REQUEST, beat) as stream,
        asyncio.TaskGroup() as group,
    ):

        async def want() -> None:
            nonlocal wanted
            while True:
                await asyncio.sleep(0)
                wanted += beat.now()

        wanting = group.create_task(want())
        deltas = [delta.text async for delta in stream]
        wanting.cancel()
    assert "".join(deltas) == words
    assert wanted


async def test_a_quick_stream_comes_in_few_pieces(server: NebulaServer) -> None:
    """Tokens in quick succession are read together, even without a request."""
    words = " ".join(f"w{number}" for number in range(60))
    server.pace = 300.0
    server.answer_next(words)
    async with (
        Nebula(api_key="key", base_url=server.base_url, platform_url=server.platform_url) as model,
        model.stream(GREETING_REQUEST) as stream,
    ):
        deltas = [delta.text async for delta in stream]
    assert "".join(deltas) == words
    assert len(deltas) < 50
