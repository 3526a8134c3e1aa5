"""Two replicas get every interaction; what a person does is done once, and shown once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.discord.inbound.presses import LOST
from bots.sandbox.discord.interactions import COMPONENT, Interaction
from bots.sandbox.discord.world.values import DiscordChannel
from core.domain.page import LABELS, Action
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, room, running
from tests.bots.discord.test_buttons import settled

CALLBACK = "POST /interactions/{id}/{token}/callback"


@pytest_asyncio.fixture
async def here(redis_client: Redis) -> AsyncIterator[DiscordRoom]:
    """A room with two replicas of the bot."""
    async with room(redis_client) as stage, running(stage, redis_client, config_for(stage.discord, stage.nebula)):
        yield stage


def shown(interaction: Interaction) -> str:
    """What the person sees."""
    return "\n".join(message.content for message in interaction.messages)


async def test_a_reset_is_carried_out_once(here: DiscordRoom, redis_client: Redis) -> None:
    """The conversation's epoch grows by one for each command, and everybody reads what was forgotten."""
    await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
    for number in range(6):
        await here.answered("ann", GENERAL, "@nebula hello", f"Answer {number}.")
        await settled(here)  # the other replica may have answered, and stores it only now
        used = await here.slash("ada", GENERAL, "reset")
        await here.until(lambda used=used: used.original)  # type: ignore[misc]
        assert "Forgotten" in shown(used)
        assert "0 questions" not in shown(used)
    epochs = [await redis_client.hget(key, "epoch") async for key in redis_client.scan_iter(match="nb:*:c:*")]
    assert {epoch for epoch in epochs if epoch} == {b"6"}


async def test_a_command_that_is_too_fast_for_one_replica_alone_is_carried_out(redis_client: Redis) -> None:
    """By one that has started meanwhile: whichever is first, the person reads the result in the end."""
    async with room(redis_client) as here:
        here.bot.dispatcher._bursts._clock = lambda: 0.0  # she stays too fast, however long it takes
        tired = [await here.slash("ada", GENERAL, "settings") for _ in range(30)]
        await here.until(lambda: all(each.original for each in tired))
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            used = await here.slash("ada", GENERAL, "settings")
            await here.until(lambda: "temperature" in shown(used))
            held = here.discord.faults.hold(CALLBACK, late=True)  # of the one that is too fast, which asks nobody
            again = await here.slash("ada", GENERAL, "settings")
            await here.until(lambda: "temperature" in shown(again))
            held.release()
            for number in range(3):
                await here.answered("ann", GENERAL, "@nebula hello", f"Answer {number}.")
            assert all("temperature" in shown(each) and len(each.messages) == 1 for each in (used, again))


async def test_a_command_that_takes_long_is_carried_out_once(redis_client: Redis) -> None:
    """One replica defers, the other has nothing to do; whoever deferred, the response is shown."""
    async with (
        room(redis_client, answer_seconds=0.0) as here,
        running(here, redis_client, config_for(here.discord, here.nebula), 0.0),
    ):
        for text in ("0.1", "0.2", "0.3", "0.4"):
            used = await here.slash("ada", GENERAL, "set", parameter="temperature", value=text)
            await here.until(lambda used=used, text=text: f"is now: `{text}`" in shown(used))  # type: ignore[misc]
            assert shown(used).count("is now") == 1


async def test_a_form_is_taken_once(here: DiscordRoom) -> None:
    """Opened by one replica, and submitted to one."""
    opened = await here.slash("ada", GENERAL, "prompt set")
    await here.until(lambda: opened.modal)
    sent = await here.discord.submit_modal(opened, {"text": "Be brief."})
    await here.until(lambda: "Be brief." in shown(sent))
    assert len(sent.messages) == 1


async def test_suggestions_come_once(here: DiscordRoom) -> None:
    """The second replica's answer is refused without harm."""
    found = await here.discord.autocomplete(here.people["ada"], here.place(GENERAL), "model set", "name", "")
    assert found
    await here.answered("ann", GENERAL, "@nebula hello", "Hi.")


async def test_a_press_whose_acknowledgement_got_lost_is_done_once(here: DiscordRoom) -> None:
    """Both replicas are in doubt; one of them continues."""
    await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
    await here.answered("ann", GENERAL, "@nebula and", "So.")  # by now the first answer is stored
    here.discord.faults.error(CALLBACK, 500, 2)
    here.nebula.answer_next("Anew.")
    await here.press("ann", here.shown(GENERAL)[0], LABELS[Action.AGAIN])
    await here.until(lambda: here.said(GENERAL) == ["Anew.", "So."])
    await here.answered("ann", GENERAL, "@nebula then", "Then.")
    assert len(here.nebula.requests) == 4


async def test_stop_works_where_discord_leaves_the_channel_out(redis_client: Redis) -> None:
    """In a thread that the gateway did not announce: the button names its conversation."""
    threads: list[DiscordChannel] = []

    def archived(stage: DiscordRoom) -> None:
        threads.append(stage.discord.archive(stage.discord.add_thread(stage.place(GENERAL), "Old")))

    async with room(redis_client, before=archived, changes={"reply_buttons": "on"}) as here:
        here.nebula.hold(2)
        here.nebula.answer_next("word " * 20)
        await here.say("ann", GENERAL, "@nebula hello")
        [reply] = await here.until(lambda: here.shown(GENERAL))
        here.discord.interactions.channelless = True
        await here.press("ann", reply, LABELS[Action.STOP])
        await here.bot.runner.idle()
        assert LABELS[Action.STOP] not in here.buttons(reply)


@pytest.mark.parametrize("type", [1, 99])
async def test_an_interaction_of_another_type_is_nobodys(here: DiscordRoom, type: int) -> None:
    """Nothing is answered to it."""
    used = await here.discord.odd(here.people["ann"], here.place(GENERAL), type)
    await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
    assert not used.acknowledged


async def test_a_forged_button_of_a_channel_that_is_not_sent(here: DiscordRoom) -> None:
    """Its id names too little of a conversation: whoever presses it reads that."""
    await here.answered("ann", "@ann", "hello", "Hi.")
    here.discord.interactions.channelless = True
    data = {"custom_id": "reply:stop:1", "component_type": 2, "id": 1}
    source = here.shown("@ann")[0].id
    pressed = here.discord.interactions.send(COMPONENT, here.people["ann"], here.place("@ann"), "x", data, source)
    [message] = await here.until(lambda: pressed.followups)
    assert message.content == LOST
