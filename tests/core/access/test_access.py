"""Who may use the bot and where, and for how long no process heard from a platform."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import DENIED, EXTERNAL, AccessList
from core.domain.conversation import Author, Place
from core.store.presence import Presence
from tests.core.core_harness import Process

ANN_WITH_ROLES = Author("U1", "Ann", roles=("R1", "R2"))
THREAD = Place("slack", "T1", "C1", "7.0")


@pytest.mark.parametrize("listed", ["U1", "R2", "T1", "C1", "7.0"])
def test_person_role_place_and_workspace_can_be_listed(listed: str) -> None:
    """Each is listed by its id; if anything is allowed, nothing else is."""
    assert AccessList(allow=[listed]).refusal(ANN_WITH_ROLES, THREAD) == ""
    assert AccessList(allow=["other"]).refusal(ANN_WITH_ROLES, THREAD) == DENIED
    assert AccessList(deny=[listed]).refusal(ANN_WITH_ROLES, THREAD) == DENIED
    assert AccessList(deny=["other"]).refusal(ANN_WITH_ROLES, THREAD) == ""


@given(st.sets(st.sampled_from(["U1", "R1", "C1", "T1", "x", ""])), st.sets(st.sampled_from(["U1", "R1", "C1", "x"])))
def test_denial_overrides_permission(allow: set[str], deny: set[str]) -> None:
    """A denial wins over everything else that is listed."""
    if deny & {"U1", "R1", "C1"}:
        assert AccessList(allow, deny).refusal(ANN_WITH_ROLES, THREAD) == DENIED


@pytest.mark.parametrize("listed", ["B1", "A1"])
def test_a_bot_asks_only_if_it_is_named_as_one(listed: str) -> None:
    """By one of its ids. That is enough where only some may ask; a denial wins, and who is allowed as a person is no
    bot that may ask."""
    bot = Author("B1", "CI", roles=("A1",), program=True)
    assert AccessList(bots=[listed]).refusal(bot, THREAD) == ""
    assert AccessList(allow=["U1"], bots=[listed]).refusal(bot, THREAD) == ""
    assert AccessList().refusal(bot, THREAD) == DENIED
    assert AccessList(allow=[listed, "C1"], bots=["B2"]).refusal(bot, THREAD) == DENIED
    for denied in (listed, "C1"):
        assert AccessList(deny=[denied], bots=[listed]).refusal(bot, THREAD) == DENIED


def test_other_organisations_are_refused_unless_allowed() -> None:
    """This holds even if the channel is allowed, because it is shared with them."""
    guest = Author("U9", "Guest", external=True)
    assert AccessList(allow=["C1"]).refusal(guest, THREAD) == EXTERNAL
    assert AccessList(external=True).refusal(guest, THREAD) == ""


async def test_new_platform_was_not_away(redis_client: Redis) -> None:
    """The first start looks for no missed questions: nobody asks a bot that does not exist yet."""
    presence = Presence(redis_client, 1800)
    assert await presence.away("slack/T1") == 0
    await presence.present("slack/T1")
    assert 0 <= await presence.away("slack/T1") < 60
    assert await presence.away("discord") == 0


async def test_time_away_is_bounded(redis_client: Redis) -> None:
    """After a week nobody wants answers to last week's questions."""
    presence = Presence(redis_client, 1800)
    await redis_client.set("nb:p:{slack/T1}", "1000")
    assert await presence.away("slack/T1") == 1800
    assert await Presence(redis_client, 0).away("slack/T1") == 0


async def test_missed_question_is_answered_and_a_missed_command_is_not(bot: Process, server: NebulaServer) -> None:
    """A question that is known already is not asked twice; running a command half an hour late would surprise
    people."""
    mention = bot.question("still there?")
    for _ in range(2):
        await bot.dispatcher.missed(mention)
        await bot.runner.idle()
    await bot.dispatcher.missed(bot.question("!reset"))
    assert len(server.requests) == 1
