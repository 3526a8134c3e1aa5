"""The connection to Discord at the wire: despite any failure, questions are answered once, or the operator reads why
not."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from bots.discord.inbound import client
from bots.sandbox.discord import gateway as discord_gateway
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.world.values import Overwrite, Permission
from bots.sandbox.nebula.server import NebulaServer
from core.settings.environment import WrongConfig
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running

POST_ROUTE = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
RANDOM = "#random"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """New sessions and retries start soon."""
    monkeypatch.setattr(client, "NEW_SESSION_SECONDS", 0.05)
    monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.01)
    monkeypatch.setattr("bots.discord.app.RETRY_SECONDS", 0.01)


class TestSessions:
    """A connection that ends."""

    @pytest.mark.parametrize(
        ("trouble", "resumed"),
        [
            pytest.param(Gateway.reconnect, True, id="op 7"),
            pytest.param(lambda gateway: gateway.invalidate(resumable=True), True, id="op 9 true"),
            pytest.param(lambda gateway: gateway.invalidate(resumable=False), False, id="op 9 false"),
            pytest.param(lambda gateway: gateway.drop(code=0), True, id="reset"),
            pytest.param(lambda gateway: gateway.drop(code=4000), True, id="4000"),
            pytest.param(lambda gateway: gateway.drop(code=4008), True, id="4008"),
            pytest.param(lambda gateway: gateway.drop(code=4007, resumable=False), False, id="4007"),
            pytest.param(lambda gateway: gateway.drop(code=4009, resumable=False), False, id="4009"),
        ],
    )
    async def test_it_is_restored(self, here: DiscordRoom, trouble: Callable[[Gateway], None], resumed: bool) -> None:
        """The bot resumes if Discord keeps the session, and otherwise identifies again; it answers the next
        question."""
        gateway = here.discord.gateway
        [before] = gateway.sessions
        trouble(gateway)
        await here.until(lambda: gateway.sessions and (gateway.resumes or gateway.sessions[0] is not before))
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert (gateway.resumes, gateway.identifies) == ((1, 1) if resumed else (0, 2))

    async def test_a_silent_connection_is_replaced(self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """No acknowledgement or event comes any more, but nothing is closed: questions from that time are answered."""
        monkeypatch.setattr(client, "SILENCE_SECONDS", 5.0)
        monkeypatch.setattr(discord_gateway, "HEARTBEAT_MS", 1000)
        async with room(redis_client) as here:
            before = here.discord.gateway.identifies  # a slow beginning may have taken several
            here.discord.gateway.fall_silent()
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
            # On a busy machine the new connection may seem silent too, and is then replaced as well.
            assert here.discord.gateway.resumes >= 1
            assert here.discord.gateway.identifies == before

    @pytest.mark.parametrize(
        ("code", "says"), [(4004, "DISCORD_TOKEN"), (4011, "DISCORD_SHARDS"), (4013, "intents"), (4014, "Intents")]
    )
    async def test_a_permanent_failure_ends_the_bot(self, redis_client: Redis, code: int, says: str) -> None:
        """The bot ends with a sentence that says what to do, instead of identifying again and again."""
        async with discord_server() as discord, NebulaServer() as model:

            async def serve() -> None:
                async with running(DiscordRoom(discord, model), redis_client, config_for(discord, model)):
                    discord.gateway.drop(code=code, resumable=False)
                    await asyncio.Event().wait()  # the bot ends first

            with pytest.raises(ExceptionGroup) as caught:
                await serve()
            [error] = caught.value.exceptions
            assert isinstance(error, WrongConfig)
            assert says in error.problems[0]
            assert discord.gateway.identifies == 1

    async def test_an_answer_continues_without_the_connection(self, here: DiscordRoom) -> None:
        """Editing needs no gateway: the answer is complete before the connection is back."""
        held = here.nebula.hold(5)
        here.nebula.answer_next("word " * 20 + "end")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.shown(GENERAL))
        here.discord.gateway.refuse = 1_000_000
        here.discord.gateway.drop()
        held.release()
        await here.until(lambda: here.said(GENERAL)[0].endswith("end"))
        assert not here.discord.gateway.sessions


class TestLostPlaces:
    """A place that is lost while an answer is written."""

    async def test_a_deleted_channel_ends_the_turn(self, here: DiscordRoom) -> None:
        """One refused call, no endless retries; the model's request is closed, and other channels are served."""
        here.nebula.pace = 50
        here.nebula.answer_next("word " * 500)
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.shown(GENERAL))
        here.discord.remove_channel(here.place(GENERAL))
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early)
        await here.bot.runner.idle()
        refused = [call for call in here.discord.calls if call.code == 10003 and call.route in (POST_ROUTE, EDIT)]
        assert len(refused) == 1
        here.nebula.pace = 0
        await here.answered("ann", RANDOM, "@nebula hello", "Hi.")

    async def test_a_missing_permission_is_explained_to_the_person(self, here: DiscordRoom) -> None:
        """The turn ends at the first refusal (50013), and a direct message tells the person why."""
        denied = Permission.SEND_MESSAGES
        here.discord.overwrite(
            here.place(GENERAL), Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied)
        )
        here.nebula.answer_next("Nobody reads this.")
        await here.say("ada", GENERAL, "@nebula hello")
        [told] = await here.until(lambda: here.said("@ada"))
        assert f"I may not write in <#{here.place(GENERAL).id}>" in told
        await here.bot.runner.idle()
        assert [call.code for call in here.discord.calls if call.route == POST_ROUTE] == [50013, 0]
        here.nebula.answer_next("Hi.")
        await here.say("ann", RANDOM, "@nebula hello")
        await here.until(lambda: here.said(RANDOM) == ["Hi."])

    async def test_losing_access_to_a_channel_ends_the_turn(self, here: DiscordRoom) -> None:
        """In the middle of an answer the bot loses access to the channel (50001): it tells the person and stops."""
        here.nebula.pace = 50
        here.nebula.answer_next("word " * 500)
        await here.say("ada", GENERAL, "@nebula hello")
        await here.until(lambda: here.shown(GENERAL))
        denied = Permission.VIEW_CHANNEL
        here.discord.overwrite(
            here.place(GENERAL), Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied)
        )
        [told] = await here.until(lambda: here.said("@ada"))
        assert "I may not write in" in told
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early)
        await here.bot.runner.idle()
        assert len(here.said("@ada")) == 1
        assert len([call for call in here.discord.calls if call.code == 50001 and call.route == EDIT]) <= 2
