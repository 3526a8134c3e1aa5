"""The limit on the calls with a command's token, at the wire: the bot goes by the headers and is never refused."""

import time

from redis.asyncio import Redis

from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.limits import DiscordLimit, DiscordLimits
from tests.bots.discord.harness import FASTER, GENERAL, DiscordRoom, room

STOP = "Stop"
FEW = DiscordLimits(webhook=DiscordLimit(3, 4.0))  # fewer calls in a longer window than the bot takes for granted
SLOW = "w " * 900 + "end"  # at a slow pace for longer than any machine needs to show it, until the test releases it
PAGES = "\n\n".join(f"Paragraph {number:02}. " + "word " * 60 for number in range(28)) + "\n\nEnd."


def refused(here: DiscordRoom) -> bool:
    """Whether a call exceeded a limit."""
    return any(call.status == 429 for call in here.discord.calls)


def frames(used: Interaction) -> int:
    """How often the response changed."""
    return len(used.original.frames) if used.original else 0


async def ask(here: DiscordRoom, answer: str, who: str = "ann") -> Interaction:
    """Use the command whose answer this is."""
    here.nebula.answer_next(answer)
    return await here.slash(who, GENERAL, "ask", prompt="question")


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
        used = await ask(here, SLOW, "bob")
        await here.until(lambda: used.original and "one is ahead of it" in used.original.content)
        first.release()
        await here.until(lambda: refused(here) or frames(used) > 6)
        second.release()
        await here.until(lambda: refused(here) or here.said(GENERAL)[-1].endswith("end"))
        assert not refused(here)
