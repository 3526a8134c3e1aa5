"""The deadline on real sockets: it holds for all attempts, and ends with the first token."""

import asyncio

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.errors import (
    ModelTimeout,
)
from tests.core.nebula.wrappers.wrapped import (
    CAPPED_REQUEST,
    SILENT,
    failing,
    read,
    text,
    wrapped_model,
)


async def test_one_deadline_for_all_attempts(server: NebulaServer) -> None:
    """Nobody waits for a silent model beyond the deadline, and its request is closed."""
    server.fault(SILENT)
    async with wrapped_model(server, deadline_seconds=1.0) as model:
        assert str(await failing(model, ModelTimeout)) == "no token within the deadline"  # not the client's own limit
        await server.until(lambda: server.requests[0].closed_early)


async def test_the_deadline_ends_with_the_first_token(server: NebulaServer) -> None:
    """The deadline does not cut off an answer that has begun."""
    held = server.hold(after=2)
    server.answer_next("one two three four five six")
    async with wrapped_model(server, deadline_seconds=3.0) as model:
        begun = asyncio.get_running_loop().time()
        async with model.stream(CAPPED_REQUEST) as deltas:
            found = [await anext(deltas)]
            while asyncio.get_running_loop().time() < begun + 3.1:  # the deadline passes
                await asyncio.sleep(0.05)
            held.release()
            found += [delta async for delta in deltas]
        assert text(found) == "one two three four five six"


async def test_a_stopped_answer_is_not_a_failure(server: NebulaServer) -> None:
    """Leaving an answer closes its request, and the model can be asked again."""
    server.fault(NebulaFault(stall_after=1))
    async with wrapped_model(server) as model:
        async with model.stream(CAPPED_REQUEST) as deltas:
            await anext(deltas)
        await server.until(lambda: server.requests[0].closed_early)
        assert text(await read(model))
