"""A server whose memory is full and that evicts nothing: a refused call leaves no trace, and a turn can end."""

import pytest

from core.domain.conversation import Author, Conversation, Exchange, Lane, Place
from core.domain.errors import StoreError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.turns import Claimed, Turns
from tests.redis_server import patient_connection
from tests.redis_topologies import server

PLACE = Place("slack", "T1", "C1")
ANN = Author("U1", "Ann")


def question(number: int) -> Question:
    return Question(id=TurnId(f"slack/T1/C1/{number}"), place=PLACE, author=ANN, text="why?", message=str(number))


async def test_a_refused_question_leaves_no_trace() -> None:
    """Neither the question nor the record of its event remains, so that a redelivery can be accepted later."""
    with server() as full:
        async with patient_connection(f"redis://127.0.0.1:{full.port}") as redis:
            turns = Turns(redis)
            await redis.config_set("maxmemory", "1")
            with pytest.raises(StoreError, match="maxmemory"):
                await turns.accept(Lane(Conversation(PLACE.name)), question(1), "request")
            assert await redis.keys() == []
            await redis.config_set("maxmemory", "0")
            assert isinstance(await turns.accept(Lane(Conversation(PLACE.name)), question(1), "request again"), Claimed)


async def test_a_running_turn_can_be_committed() -> None:
    """The end of a turn frees memory before it writes: its exchange is stored, and we hold the next turn."""
    with server() as full:
        async with patient_connection(f"redis://127.0.0.1:{full.port}") as redis:
            turns = Turns(redis)
            first = await turns.accept(Lane(Conversation(PLACE.name)), question(1), "request 1")
            assert isinstance(first, Claimed)
            await turns.accept(Lane(Conversation(PLACE.name)), question(2), "request 2")
            await redis.config_set("maxmemory", "1")
            exchange = Exchange(question(1).id, ANN, "why?", "because", ("1", "m1"), 1.0)
            second = await turns.commit(first.turn, exchange, ("m1",))
            assert second
            assert second.history == (exchange,)
