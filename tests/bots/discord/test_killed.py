"""SIGKILL in the middle of what people pressed, in Discord, at the wire: the next process finds one state, not two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis

from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.values import DiscordMessage, Permission
from bots.sandbox.hold import Hold
from bots.sandbox.nebula.server import NebulaServer
from core.inbound.undoing import GONE
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, running
from tests.bots.discord.test_buttons import AGAIN, texts
from tests.bots.discord.test_choices import AFTER, BEFORE, UNDO, choose, number, turn
from tests.scenarios.warm import started

EDIT = "PATCH /channels/{channel}/messages/{message}"
DELETE = "DELETE /channels/{channel}/messages/{message}"


@pytest_asyncio.fixture
async def here() -> AsyncIterator[DiscordRoom]:
    """A room without a bot."""
    async with discord_server() as discord, NebulaServer() as model:
        yield DiscordRoom(discord, model)


def program(here: DiscordRoom, redis_url: str) -> dict[str, str]:
    """The environment of the program on this room's servers."""
    return {
        "NEBULA_API_KEY": "key",
        "NEBULA_BASE_URL": here.nebula.base_url,
        "NEBULA_PLATFORM_URL": here.nebula.platform_url,
        "DISCORD_TOKEN": here.discord.token,
        "DISCORD_API_URL": here.discord.api_url,
        "DISCORD_GATEWAY_URL": here.discord.gateway_url,
        "REDIS_URL": redis_url,
        "LEASE_SECONDS": "1",
        "REPLY_TITLES": "off",
    }


@asynccontextmanager
async def doomed(here: DiscordRoom, redis_url: str, folder: Path) -> AsyncIterator[DiscordMessage]:
    """Run the program until two versions of an answer are shown; yields their message. Then it is killed."""
    async with started(folder, "run", **program(here, redis_url)) as process:
        await here.until(lambda: here.discord.gateway.sessions)
        here.nebula.answer_next("One.")
        await here.say("ann", GENERAL, "@nebula question")
        await shown(here, "One.")
        here.nebula.answer_next("Two.")
        await insist(here, here.shown(GENERAL)[0], AGAIN)
        await shown(here, "Two.")
        yield here.shown(GENERAL)[0]
        process.kill()
        await process.wait()


async def shown(here: DiscordRoom, answer: str) -> None:
    """Wait for an answer with its buttons."""
    await here.until(lambda: here.said(GENERAL) == [answer] and AGAIN in here.buttons(here.shown(GENERAL)[0]))


def somebody(here: DiscordRoom) -> str:
    """A manager who has pressed nothing yet: who presses again and again soon gets no answer any more."""
    name = f"max {len(here.people)}"
    here.people[name] = here.discord.add_member(here.guild, name, permissions=Permission.MANAGE_CHANNELS)
    return name


async def insist(here: DiscordRoom, message: DiscordMessage, label: str) -> None:
    """Press a button again and again, until nothing is under way any more: another process commits the answer."""

    async def refused() -> bool:
        before = here.said(GENERAL)
        pressed = await here.press(somebody(here), message, label)
        await here.until(lambda: pressed.followups or here.said(GENERAL) != before)
        return bool(pressed.followups)

    while await refused():
        pass


def _is_over(pressed: Interaction, held: Hold) -> bool:
    """Whether a press got a sentence, since the answer is not yet stored, or its effect is kept back."""
    return bool(pressed.followups) or held.met


async def test_a_killed_process_leaves_the_version_that_was_chosen(
    here: DiscordRoom, redis_client: Redis, redis_url: str, tmp_path: Path
) -> None:
    """Between the edit and the commit: the next process shows it once more, and it is in the history."""
    async with doomed(here, redis_url, tmp_path) as message:
        held = here.discord.faults.hold(EDIT)
        await insist(here, message, BEFORE)
        assert here.said(GENERAL) == ["One."]
    held.release()
    async with running(here, redis_client, config_for(here.discord, here.nebula, lease_seconds=1)):
        await here.answered("ann", GENERAL, "@nebula and now?", "Next.")
        assert texts(here) == ["ann: question", "One.", "ann: and now?"]
        assert number(here, message) == "1/2"
        await turn(here, message, AFTER, "Two.")


async def test_a_killed_process_has_forgotten_what_was_undone(
    here: DiscordRoom, redis_client: Redis, redis_url: str, tmp_path: Path
) -> None:
    """Before it could take the answer away: it is in no later request, and one more press says so."""
    async with doomed(here, redis_url, tmp_path) as message:
        held = here.discord.faults.hold(DELETE, late=True)
        while not held.met:
            pressed = await choose(here, somebody(here), message, UNDO)
            await here.until(partial(_is_over, pressed, held))
    async with running(here, redis_client, config_for(here.discord, here.nebula, lease_seconds=1)):
        assert here.said(GENERAL) == ["Two."]
        again = await choose(here, "ann", message, UNDO)
        [said] = await here.until(lambda: again.followups)
        assert said.content == GONE
        await here.answered("bob", GENERAL, "@nebula and now?", "Next.")
        assert texts(here) == ["bob: and now?"]
