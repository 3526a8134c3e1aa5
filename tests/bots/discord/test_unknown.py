"""What Discord does not say is "not yet": nobody gets past an access list, or more rights, because a call failed."""

from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.discord.inbound import channels
from bots.discord.inbound.people import UNCLEAR
from bots.sandbox.discord.world.values import DiscordChannel, Overwrite, Permission
from core.access.admission import DENIED
from tests.bots.discord.harness import GENERAL, DiscordRoom, room
from tests.bounds import HANG_SECONDS

CHANNEL = "GET /channels/{channel}"
NUMBERS = count(1)
MEMBER = "GET /guilds/{guild}/members/{user}"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is given up soon."""
    monkeypatch.setattr(channels, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(channels, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(channels, "LOOKUP_SECONDS", 0.1)


def hidden_thread(here: DiscordRoom) -> DiscordChannel:
    """A thread that the gateway does not announce: it is archived when the bot signs in."""
    return here.discord.archive(here.discord.add_thread(here.place(GENERAL), "Old"))


def say(here: DiscordRoom, who: str, thread: DiscordChannel, text: str) -> None:
    """Somebody mentions the bot in a thread; the gateway says nothing of the thread itself."""
    person, number = here.people[who], str(int(thread.id) + next(NUMBERS))
    payload: dict[str, Any] = {
        "id": number,
        "channel_id": thread.id,
        "guild_id": here.guild.id,
        "type": 0,
        "content": f"<@{here.me.id}> {text}",
        "author": {"id": person.id, "username": who, "discriminator": "0", "avatar": None},
        "member": here.discord.wire.member(here.discord.member(here.guild, person), user=False),
        "mentions": [{"id": here.me.id, "username": "Nebula", "discriminator": "0", "avatar": None}],
    }
    here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: payload, guild=here.guild.id)


class TestThreads:
    """A thread that the gateway did not announce."""

    async def test_while_its_parent_is_unknown_nothing_is_answered(self, redis_client: Redis) -> None:
        """A sentence, once, without the model; as soon as Discord tells the parent, the question is answered."""
        thread: list[DiscordChannel] = []
        async with room(redis_client, before=lambda stage: thread.append(hidden_thread(stage))) as here:
            here.discord.faults.error(CHANNEL, 500, None)
            say(here, "ann", thread[0], "hello")
            await here.until(lambda: here.said(thread[0]))
            assert here.said(thread[0]) == [f"-# {UNCLEAR}"]
            assert not here.nebula.requests
            here.discord.faults.clear()
            here.nebula.answer_next("Hi.")
            say(here, "ann", thread[0], "hello")
            await here.until(lambda: "Hi." in here.said(thread[0]))

    async def test_a_failure_that_passes_is_waited_out(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The question is answered in the history of the thread."""
        monkeypatch.setattr(channels, "LOOKUP_SECONDS", HANG_SECONDS)  # a busy machine may need long for two failures
        thread: list[DiscordChannel] = []
        async with room(redis_client, before=lambda stage: thread.append(hidden_thread(stage))) as here:
            here.discord.faults.error(CHANNEL, 503, 2)
            here.nebula.answer_next("Hi.")
            say(here, "ann", thread[0], "hello")
            await here.until(lambda: "Hi." in here.said(thread[0]))

    @pytest.mark.parametrize("text", ["!settings", "hello"])
    async def test_a_denied_channel_is_denied_below_it_too(self, redis_client: Redis, text: str) -> None:
        """Also while Discord's REST API fails."""
        changes: dict[str, Any] = {}

        def before(stage: DiscordRoom) -> None:
            changes["access_deny"] = stage.place(GENERAL).id
            hidden_thread(stage)

        async with room(redis_client, before=before, changes=changes) as here:
            [thread] = here.discord.threads(here.place(GENERAL))
            here.discord.faults.error(CHANNEL, 500, None)
            say(here, "ann", thread, text)
            await here.until(lambda: here.said(thread) == [f"-# {UNCLEAR}"])
            here.discord.faults.clear()
            say(here, "ann", thread, text)
            await here.until(lambda: DENIED in "".join([*here.said("@ann"), *here.said(thread)]))
            assert not here.nebula.requests

    async def test_overwrites_of_the_parent_count_in_it(self, redis_client: Redis) -> None:
        """Max manages channels, but not this one; Ada, who administers the guild, manages each."""

        def before(stage: DiscordRoom) -> None:
            stage.discord.overwrite(
                stage.place(GENERAL), Overwrite(stage.people["max"].id, deny=Permission.MANAGE_CHANNELS)
            )
            hidden_thread(stage)

        async with room(redis_client, before=before) as here:
            [thread] = here.discord.threads(here.place(GENERAL))
            say(here, "max", thread, "!set temperature 0.5")
            await here.until(lambda: any("You may not change" in text for text in here.said(thread)))
            say(here, "ada", thread, "!set temperature 0.5")
            await here.until(lambda: any("is now" in text for text in here.said(thread)))


class TestRoles:
    """An author whose roles Discord does not send."""

    async def test_a_message_without_a_member_is_refused_by_role(self, redis_client: Redis) -> None:
        """The roles are looked up; while that fails, the person gets a sentence, also for a command."""
        changes: dict[str, Any] = {}

        def before(stage: DiscordRoom) -> None:
            role = stage.discord.add_role(stage.guild, "Denied")
            stage.people["dan"] = stage.discord.add_member(stage.guild, "dan", roles=[role])
            changes["access_deny"] = role.id
            stage.discord.wire.memberless = True

        async with room(redis_client, before=before, changes=changes) as here:
            here.discord.faults.error(MEMBER, 500, None)
            for text in ("@nebula !settings", "@nebula hello"):
                count = len(here.said(GENERAL))
                await here.say("dan", GENERAL, text)
                await here.until(lambda count=count: len(here.said(GENERAL)) > count)  # type: ignore[misc]
            assert here.said(GENERAL) == [f"-# {UNCLEAR}"] * 2
            here.discord.faults.clear()
            await here.say("dan", GENERAL, "@nebula hello")
            await here.until(lambda: here.said("@dan"))
            assert DENIED in here.said("@dan")[0]
            assert not here.nebula.requests
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")


class TestManagers:
    """DISCORD_MANAGERS."""

    async def test_a_list_of_ids_narrows(self, redis_client: Redis) -> None:
        """Neither Manage Server nor Administrator gives rights that the list does not give."""
        async with room(redis_client, changes={"discord_managers": "424242"}) as here:
            boss = here.discord.add_member(here.guild, "boss", permissions=Permission.MANAGE_GUILD)
            here.people["boss"] = boss
            for who in ("ada", "max", "boss", "ann"):
                shown = await here.used(who, GENERAL, "set", parameter="temperature", value="0.5")
                assert "You may not change" in shown
                shown = await here.used(who, GENERAL, "set", parameter="temperature", value="0.5", scope="workspace")
                assert "Only admins" in shown

    async def test_who_is_listed_changes_the_server_only_with_its_permission(self, redis_client: Redis) -> None:
        """Ann is listed by id: the channel is hers, the server is not."""
        changes: dict[str, Any] = {}

        def before(stage: DiscordRoom) -> None:
            changes["discord_managers"] = stage.people["ann"].id

        async with room(redis_client, changes=changes, before=before) as here:
            assert "is now" in await here.used("ann", GENERAL, "set", parameter="temperature", value="0.5")
            shown = await here.used("ann", GENERAL, "set", parameter="temperature", value="0.5", scope="workspace")
            assert "Only admins" in shown

    async def test_manage_server_is_listed_by_default(self, here: DiscordRoom) -> None:
        """Without Manage Channels too."""
        here.people["boss"] = here.discord.add_member(here.guild, "boss", permissions=Permission.MANAGE_GUILD)
        shown = await here.used("boss", GENERAL, "set", parameter="temperature", value="0.5", scope="workspace")
        assert "is now" in shown
