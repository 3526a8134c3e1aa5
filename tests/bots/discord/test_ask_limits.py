"""The limit on the calls with a command's token, at the wire: the bot goes by the headers and is never refused."""

import math
import time
from itertools import pairwise

import pytest
from redis.asyncio import Redis

from bots.discord.api.http import Http
from bots.discord.api.rest import Rest
from bots.discord.outbound.interaction_surface import InteractionSurface
from bots.discord.outbound.reactions import Reactions
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.limits import DiscordLimit, DiscordLimits
from core.domain.conversation import Address, Place, ResponseToken
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.rates import RateLimitStatus
from core.ratelimit.window import SlidingWindow
from tests.bots.discord.harness import FASTER, GENERAL, DiscordRoom, long_answer, room

STOP = "Stop"
FEW = DiscordLimits(webhook=DiscordLimit(3, 4.0))  # fewer calls in a longer window than the bot takes for granted
SLOW = "w " * 900 + "end"  # at a slow pace for longer than any machine needs to show it, until the test releases it
PAGES = long_answer(28)


def refused(here: DiscordRoom) -> bool:
    """Whether a call exceeded a limit."""
    return any(call.status == 429 for call in here.discord.calls)


def frames(used: Interaction) -> int:
    """How often the response changed."""
    return len(used.original.frames) if used.original else 0


async def ask(here: DiscordRoom, answer: str) -> Interaction:
    """Use the command whose answer this is."""
    here.nebula.answer_next(answer)
    return await here.slash("ann", GENERAL, "ask", prompt="question")


async def test_edits_follow_the_window_that_headers_name(redis_client: Redis) -> None:
    """Discord allows less than it was observed to allow."""
    async with room(redis_client, limits=FEW) as here:
        here.nebula.pace = 20
        held = here.nebula.hold()
        used = await ask(here, SLOW)
        await here.until(lambda: refused(here) or frames(used) > 8)
        held.release()
        await here.until(lambda: refused(here) or here.said(GENERAL)[-1].endswith("end"))
        assert not refused(here)


async def test_edits_follow_a_window_that_changes(redis_client: Redis) -> None:
    """From one window to the next, in the middle of an answer."""
    passed = 0.0
    async with room(redis_client, limits=DiscordLimits(), clock=lambda: time.monotonic() + passed) as here:
        here.nebula.pace = 20
        held = here.nebula.hold()
        used = await ask(here, SLOW)
        await here.until(lambda: frames(used) > 4)
        passed, here.discord.limits = 60.0, FEW.faster(FASTER)
        before = frames(used)
        await here.until(lambda: refused(here) or frames(used) > before + 8)
        held.release()
        await here.until(lambda: refused(here) or here.said(GENERAL)[-1].endswith("end"))
        assert not refused(here)


async def test_the_response_its_followups_and_their_edits_share_the_window(redis_client: Redis) -> None:
    """An answer of several messages comes at once, and more of them than the window allows."""
    async with room(redis_client, limits=FEW) as here:
        used = await ask(here, PAGES)
        await here.until(lambda: refused(here) or (used.messages and used.messages[-1].content.endswith("End.")))
        assert not refused(here)
        assert len(used.messages) > 3


async def test_the_place_in_the_queue_counts_too(redis_client: Redis) -> None:
    """It is shown with the same token; the answer then leaves room for it."""
    async with room(redis_client, limits=FEW) as here:
        here.nebula.pace = 20
        first, second = here.nebula.hold(), here.nebula.hold()
        running = await ask(here, SLOW)
        await here.until(lambda: running.original and STOP in here.buttons(running.original))
        used = await ask(here, SLOW)
        await here.until(lambda: used.original and "one is ahead of it" in used.original.content)
        first.release()
        await here.until(lambda: refused(here) or frames(used) > 6)
        second.release()
        await here.until(lambda: refused(here) or here.said(GENERAL)[-1].endswith("end"))
        assert not refused(here)


@pytest.mark.parametrize(("calls", "seconds"), [(5, 2.0), (50, 1.0)])
def test_an_answer_grows_at_most_twice_a_second(calls: int, seconds: float) -> None:
    """However much headers allow."""
    rest, place = Rest(Http("http://nowhere", "token")), Place("discord", "1", "2")
    address = Address(place, Placement.CHANNEL, interaction=ResponseToken("3/token", math.inf))
    limit = InteractionSurface(rest, address, Reactions(rest)).rate_limit("4", Page("text"), lambda _: 0.0)
    window = SlidingWindow(limit.calls, limit.seconds, spread=limit.spread, least=limit.least)
    window.learn(RateLimitStatus(calls, calls - 1, seconds), 0.0)
    edits = [0.0]
    for _ in range(40):
        window.take(edits[-1], interim=True)
        window.land(edits[-1], edits[-1])
        edits.append(window.free_at(edits[-1], final=False))
    assert all(second - first >= 0.5 - 1e-9 for first, second in pairwise(edits))
