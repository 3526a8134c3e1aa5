"""Commands with files and choices in Discord, at the wire: `export` gives its file to the person alone."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.discord.outbound import interaction_responses
from bots.discord.outbound.responses import NOT_SENT, SENT
from bots.sandbox.discord.world.values import DiscordMessage
from tests.bots.discord.harness import GENERAL, DiscordRoom, room
from tests.bounds import HANG_SECONDS


@pytest.fixture
def answer_seconds() -> float:
    """How long a command may take before it is deferred; by default longer than any takes."""
    return HANG_SECONDS


@pytest_asyncio.fixture
async def here(redis_client: Redis, answer_seconds: float) -> AsyncIterator[DiscordRoom]:
    """A room in which Ann and Bob have asked something."""
    async with room(redis_client, answer_seconds=answer_seconds) as stage:
        stage.people["eve"] = stage.discord.add_member(stage.guild, "eve", dms=False)
        for who in ("ann", "bob", "eve"):
            await stage.answered(who, GENERAL, f"@nebula a word of {who}", f"To {who}.")
        yield stage


async def content(message: DiscordMessage) -> str:
    """The content of a message's file, as a client downloads it."""
    [file] = message.attachments
    assert file.name.endswith(".jsonl")
    async with aiohttp.ClientSession() as session, session.get(file.url) as response:
        return (await response.read()).decode()


@pytest.mark.parametrize("answer_seconds", [HANG_SECONDS, 0.0])
async def test_a_slash_command_returns_a_file(here: DiscordRoom) -> None:
    """One person sees it, even if the command took so long that it was deferred."""
    shown = await here.slash("ann", GENERAL, "export")
    [message] = await here.until(lambda: [one for one in shown.messages if one.attachments])
    assert message.ephemeral_for == here.people["ann"].id
    text = await content(message)
    assert "a word of ann" in text
    assert "a word of bob" not in text


@pytest.mark.parametrize(
    ("who", "whose", "allowed"), [("ann", "all", False), ("max", "all", True), ("ann", "me", True)]
)
async def test_an_optional_choice(here: DiscordRoom, who: str, whose: str, allowed: bool) -> None:
    """Discord knows the choices of an optional option; the chosen value arrives and is checked."""
    await here.until(lambda: here.discord.commands.registered)
    command = next(one for one in here.discord.commands.registered if one["name"] == "export")
    [option] = command["options"]
    assert [choice["value"] for choice in option["choices"]] == ["me", "all"]
    assert not option.get("required")
    shown = await here.slash(who, GENERAL, "export", whose=whose)
    [message] = await here.until(lambda: shown.messages)
    assert bool(message.attachments) is allowed
    if allowed:
        assert ("a word of bob" in await content(message)) is (whose == "all")


async def test_a_file_for_a_mention_is_a_direct_message(here: DiscordRoom) -> None:
    """The channel only sees where the file is."""
    await here.say("ann", GENERAL, "@nebula !export")
    await here.until(lambda: SENT in here.said(GENERAL))
    [message] = here.shown("@ann")
    assert "a word of ann" in await content(message)
    assert not any(one.attachments for one in here.shown(GENERAL))


async def test_without_direct_messages_the_person_reads_what_to_do(here: DiscordRoom) -> None:
    """A file that may be private is not shown in the channel instead."""
    await here.say("eve", GENERAL, "@nebula !export")
    await here.until(lambda: NOT_SENT in here.said(GENERAL))
    assert not any(one.attachments for one in here.shown(GENERAL))


async def test_in_a_direct_message_the_reply_has_the_file(here: DiscordRoom) -> None:
    """The reply has the file."""
    await here.answered("ann", "@ann", "a word alone", "Alone.")
    asked = await here.say("ann", "@ann", "!export")
    [message] = await here.until(lambda: [one for one in here.shown("@ann") if one.attachments])
    assert message.reference == asked.id
    assert "a word alone" in await content(message)


async def test_a_refused_file_is_explained(here: DiscordRoom) -> None:
    """Discord accepts no file of that size: the person reads the text without it, and why it is missing."""
    here.discord.faults.error("POST /interactions/*", 400, code=40005)
    shown = await here.slash("ann", GENERAL, "export")
    await here.until(lambda: len(shown.messages) == 2)
    assert not any(message.attachments for message in shown.messages)
    assert "1 question and answer" in shown.messages[0].content
    assert shown.messages[1].content == interaction_responses.TOO_LARGE


async def test_forget_forgets(here: DiscordRoom) -> None:
    """By default the bot forgets what this person asked, and nothing else."""
    await here.used("ann", GENERAL, "forget")
    await here.answered("bob", GENERAL, "@nebula what do you know?", "Little.")
    known = "\n".join(message.content for message in here.nebula.requests[-1].messages)
    assert "a word of ann" not in known
    assert "a word of bob" in known
