"""The deadline on real sockets: it holds for all attempts, and ends with the first token."""

import asyncio

import pytest

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.errors import ModelError, ModelTimeout
from tests.core.nebula.wrappers.wrapped import (
    CAPPED_REQUEST,
    SILENT,
    in_time,
    read,
    text,
    wrapped_model,
)


async def silent_until(deadline: float) -> bool:
    """The request to a silent model is closed at this deadline. False if that passed before the request arrived."""
    async with NebulaServer() as server, wrapped_model(server, deadline_seconds=deadline) as model:
        server.fault(SILENT)
        with pytest.raises(ModelError) as caught:
            await read(model)
        if not server.requests:
            return False
        assert type(caught.value) is ModelTimeout
        assert str(caught.value) == "no token within the deadline"  # not the client's own limit
        await server.until(lambda: server.requests[0].closed_early)
        return True


async def test_one_deadline_for_all_attempts() -> None:
    """Nobody waits for a silent model beyond the deadline, and its request is closed."""
    await in_time(silent_until)


async def answered_after(deadline: float) -> str:
    """An answer that begins before its deadline and goes on after it. Raises ModelTimeout if it began too late."""
    async with NebulaServer() as server, wrapped_model(server, deadline_seconds=deadline) as model:
        held = server.hold(after=2)
        server.answer_next("one two three four five six")
        async with model.stream(CAPPED_REQUEST) as deltas:
            found = [await anext(deltas)]
            await asyncio.sleep(deadline)
            held.release()
            return text([*found, *[delta async for delta in deltas]])


async def test_the_deadline_ends_with_the_first_token() -> None:
    """The deadline does not cut off an answer that has begun."""
    assert await in_time(answered_after) == "one two three four five six"


async def test_a_stopped_answer_is_not_a_failure(server: NebulaServer) -> None:
    """Leaving an answer closes its request, and the model can be asked again."""
    server.fault(NebulaFault(stall_after=1))
    async with wrapped_model(server) as model:
        async with model.stream(CAPPED_REQUEST) as deltas:
            await anext(deltas)
        await server.until(lambda: server.requests[0].closed_early)
        assert text(await read(model))
