"""Discord's rate limits, at the wire: the bot keeps and learns them, and a refusal only costs a pause."""

import time
from dataclasses import replace
from functools import partial

import pytest
from redis.asyncio import Redis

from bots.discord.api import http, rest
from bots.discord.api.limits import Window
from bots.sandbox.discord.limits import NO_DISCORD_LIMITS, DiscordLimit, DiscordLimits
from bots.sandbox.discord.world.values import DiscordCall
from core.domain.rates import RateLimit
from core.reply import notices
from tests.bots.discord.harness import FASTER, GENERAL, QUICK_BOT_LIMITS, DiscordRoom, room

POST_ROUTE = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
RESPOND = "PATCH /webhooks/{application}/{token}/messages/*"
TYPING = "POST /channels/{channel}/typing"
EIGHTY_WORDS = "word " * 80 + "end"
ALL_OLD = replace(QUICK_BOT_LIMITS, old_age_seconds=-1.0)  # every message counts as old
SLOW = "w " * 900 + "end"  # at a slow pace for longer than any machine needs to show it, until the test releases it


def refused(here: DiscordRoom) -> list[DiscordCall]:
    """The calls that exceeded a limit."""
    return [call for call in here.discord.calls if call.status == 429]


def edited(here: DiscordRoom, answer: str) -> bool:
    """Whether an edit was refused or the answer is complete."""
    return bool(refused(here)) or here.said(GENERAL) == [answer]


async def answered(here: DiscordRoom, answer: str = EIGHTY_WORDS) -> None:
    """Wait for a streamed answer to end."""
    here.nebula.answer_next(answer)
    await here.say("ann", GENERAL, "@nebula question")
    await here.until(lambda: any(text.endswith("end") for text in here.said(GENERAL)))
    await here.bot.runner.idle()


async def test_a_command_that_streams_exceeds_no_limit(redis_client: Redis) -> None:
    """The token's own limit is kept like a channel's."""
    async with room(redis_client, limits=DiscordLimits()) as here:
        here.nebula.pace = 20
        held = here.nebula.hold()
        here.nebula.answer_next(SLOW)
        await here.slash("ann", GENERAL, "ask", prompt="question")
        await here.until(lambda: here.shown(GENERAL) and len(here.shown(GENERAL)[0].frames) > 7)
        held.release()
        await here.until(lambda: here.said(GENERAL)[0].endswith("end"))
        assert not refused(here)


async def test_many_channels_at_once_exceed_no_limit(redis_client: Redis) -> None:
    """Twenty answers that stream at the same time keep their channels' limits and that of the whole bot."""
    async with room(redis_client, limits=DiscordLimits()) as here:
        channels = [here.discord.add_channel(here.guild, f"room-{number}") for number in range(20)]
        here.nebula.pace = 45
        for channel in channels:
            here.nebula.answer_next("word " * 45 + "end")
            await here.say("ann", channel, "@nebula question")
        await here.until(
            lambda: all(text.endswith("end") for each in channels for text in here.said(each)[-1:] or [""])
        )
        await here.bot.runner.idle()
        assert all(len(here.shown(channel)) == 1 for channel in channels)
        assert not refused(here)


async def test_a_lower_limit_is_learnt_from_its_headers(redis_client: Redis) -> None:
    """Discord halves the limit in the middle of an answer: at most one refusal, and the end arrives."""
    async with room(redis_client, limits=DiscordLimits()) as here:
        here.nebula.pace = 20
        held = here.nebula.hold()
        here.nebula.answer_next(SLOW)
        await here.say("ann", GENERAL, "@nebula question")
        await here.until(lambda: here.shown(GENERAL) and len(here.shown(GENERAL)[0].frames) >= 3)
        here.discord.limits = DiscordLimits(edit=DiscordLimit(2, 5.0)).faster(FASTER)
        await here.until(lambda: len(here.shown(GENERAL)[0].frames) >= 7)
        held.release()
        await here.until(lambda: here.said(GENERAL)[0].endswith("end"))
        assert len(refused(here)) <= 1


@pytest.mark.parametrize("ban", [False, True])
async def test_a_limit_of_the_whole_bot_holds_every_call(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, ban: bool
) -> None:
    """After a global 429, or a Cloudflare page instead, the bot calls nothing until the pause is over."""
    monkeypatch.setattr(http, "BANNED_SECONDS", 0.5)
    async with room(redis_client) as here:
        await here.until(lambda: here.discord.commands.puts)  # no call of the start is under way any more
        held = here.nebula.hold(3)
        if ban:
            here.discord.faults.cloudflare(EDIT)
        else:
            here.discord.faults.rate_limit(EDIT, 0.5, scope="global")
        here.nebula.answer_next(EIGHTY_WORDS)
        await here.say("ann", GENERAL, "@nebula question")
        await here.until(lambda: here.shown(GENERAL))
        held.release()
        await here.until(lambda: refused(here))
        await here.say("bob", "#random", "@nebula question")
        await here.until(lambda: here.shown("#random"))
        await here.until(lambda: here.said(GENERAL)[0].endswith("end"))
        [refusal] = refused(here)
        assert not [call for call in here.discord.calls if refusal.at < call.at < refusal.at + 0.5]


async def test_a_shared_limit_is_not_taken_for_ours(redis_client: Redis) -> None:
    """The bot waits out a `shared` 429; its count of the channel's own limit stays, here and in other processes."""
    async with room(redis_client) as here:
        here.discord.faults.rate_limit(EDIT, 0.2, times=2, scope="shared")
        here.nebula.pace = 40
        await answered(here)
        pace = RateLimit(
            f"discord/edit/{here.place(GENERAL).id}", QUICK_BOT_LIMITS.edit.calls, QUICK_BOT_LIMITS.edit.seconds
        )
        assert here.bot.assistant._limiter.bucket(pace).window.calls == QUICK_BOT_LIMITS.edit.calls
        keys = [key async for key in redis_client.scan_iter(match=f"nb:b:*{pace.scope}*")]
        limits = [await redis_client.hget(key, "limit") for key in keys if await redis_client.type(key) == b"hash"]
        assert [limit.split()[0] for limit in limits if limit] in ([], [b"5"])


async def test_old_messages_are_edited_less_often(redis_client: Redis) -> None:
    """A new answer in a message older than an hour keeps the limit that no header mentions."""
    async with room(redis_client, limits=DiscordLimits(old_age=-1.0), kept=ALL_OLD) as here:
        here.nebula.pace = 40
        await answered(here)
        assert not refused(here)


@pytest.mark.parametrize("known", [False, True])
async def test_a_refused_edit_of_an_old_message_is_repeated(redis_client: Redis, known: bool) -> None:
    """The headers beside code 30046 do not describe this limit: it costs a pause, and the end arrives."""
    kept = ALL_OLD if known else QUICK_BOT_LIMITS  # the bot knows that the message is old, but not today's limit for it
    limits = replace(NO_DISCORD_LIMITS, edit=DiscordLimit(50, 5.0), old_edit=DiscordLimit(1, 1.0), old_age=-1.0)
    stands: float | None = None
    async with room(redis_client, limits=limits, kept=kept, clock=lambda: stands or time.monotonic()) as here:
        await answered(here, "one end")
        stands = time.monotonic()
        for word in ("two", "three"):  # each causes at least one edit, while Discord's clock stands still
            here.nebula.answer_next(f"{word} end")
            await here.press("ann", here.shown(GENERAL)[0], "Regenerate")
            await here.until(partial(edited, here, f"{word} end"))
            if refused(here):
                break
            await here.bot.runner.idle()
        stands = None
        await here.until(lambda: here.said(GENERAL) == [f"{word} end"])
        assert {call.code for call in refused(here)} == {30046}


def typed(here: DiscordRoom) -> int:
    """How often the bot was shown as typing."""
    return sum(call.route == TYPING for call in here.discord.calls)


async def test_typing_is_shown_once_per_channel(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions in one channel cause one typing call."""
    monkeypatch.setattr(notices, "STATUS_REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(rest, "_TYPING_SECONDS", 60.0)
    async with room(redis_client) as here:
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        held = here.nebula.hold(0, times=2)
        await here.say("ann", GENERAL, "@nebula one")
        await here.say("bob", GENERAL, "@nebula two")
        await here.nebula.until(lambda: len(here.nebula.requests) == 2)
        await here.until(lambda: typed(here))
        held.release()
        await here.until(lambda: [len(here.said(each)) for each in here.discord.threads(here.place(GENERAL))] == [1, 1])
        await here.bot.runner.idle()
        assert typed(here) == 1


async def test_typing_is_shown_only_until_there_is_text(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first word there are no more typing calls."""
    monkeypatch.setattr(notices, "STATUS_REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(rest, "_TYPING_SECONDS", 0.0)
    async with room(redis_client) as here:
        here.nebula.pace = 40
        held = here.nebula.hold(0)
        here.nebula.answer_next(EIGHTY_WORDS)
        await here.say("ann", "#random", "@nebula one")
        await here.until(lambda: typed(here) > 4)
        held.release()
        await here.until(lambda: here.shown("#random"))
        shown = typed(here)
        await here.until(lambda: here.said("#random")[0].endswith("end"))
        assert typed(here) <= shown + 1  # one may have been under way


async def test_a_refused_typing_call_does_not_delay_the_answer(redis_client: Redis) -> None:
    """If Discord refuses the typing call, the answer still comes at once."""
    async with room(redis_client) as here:
        here.discord.faults.rate_limit(TYPING, 60, None)
        held = here.nebula.hold(0)
        here.nebula.answer_next("The end")
        await here.say("ann", GENERAL, "@nebula question")
        await here.until(lambda: refused(here))
        held.release()
        await here.until(lambda: here.said(GENERAL) == ["The end"])
        await here.bot.runner.idle()
        assert {call.route for call in refused(here)} == {TYPING}


async def test_typing_calls_exceed_no_limit_of_their_own(redis_client: Redis) -> None:
    """Questions that follow each other quickly do not each cause a typing call."""
    async with room(redis_client, limits=replace(NO_DISCORD_LIMITS, typing=DiscordLimit(2, 5.0 * FASTER))) as here:
        for number in range(5):
            await here.answered("ann", GENERAL, f"@nebula {number}", f"Answer {number}.")
        assert not refused(here)


async def test_typing_takes_no_call_that_replies_need(redis_client: Redis) -> None:
    """While all processes together have used up the calls of the whole bot, nobody sees it typing."""
    hour = replace(QUICK_BOT_LIMITS, everything=Window(20, 3600.0))
    async with room(redis_client, kept=hour) as here:
        ticket = here.bot.limiter.ticket()
        while permit := await ticket.attempt(hour.all_calls, final=True):
            async with permit:
                pass
        held = here.nebula.hold()
        await here.say("ann", GENERAL, "@nebula question")
        await here.nebula.until(lambda: len(here.nebula.requests) == 1)
        held.release()
        await here.nebula.until(lambda: here.nebula.requests[0].finished)
        assert TYPING not in [call.route for call in here.discord.calls]
