"""Posts of forums and media channels, at the wire: which are answered, and what of them is the question."""

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import ChannelKind, DiscordChannel, DiscordUpload
from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_backfill import present
from tests.bots.discord.test_followups import seen

PRIVILEGED = Intent.MESSAGE_CONTENT
PICTURE = DiscordUpload("cat.png", b"\x89PNG", "image/png")


def forum(here: DiscordRoom, kind: ChannelKind = ChannelKind.FORUM) -> DiscordChannel:
    """A new forum."""
    return here.discord.add_channel(here.guild, "help", kind)


async def settled(here: DiscordRoom, post: DiscordChannel) -> None:
    """Wait until the bot has handled everything that was said in a post: somebody's command comes after it."""
    newcomer = here.discord.add_member(here.guild, f"guest {len(here.people)}")  # nobody gives too many commands
    here.people[newcomer.name] = newcomer
    before = len(here.said(post))
    await here.say(newcomer.name, post, "@nebula !model show")
    await here.until(lambda: any("answers here" in text for text in here.said(post)[before:]))
    await here.bot.runner.idle()


async def is_answered(here: DiscordRoom, who: str, post: DiscordChannel, text: str) -> bool:
    """Write in a post, and see whether it becomes a question."""
    before = seen(here)
    await here.say(who, post, text)
    await settled(here, post)
    assert seen(here) - before in (0, 1)
    return seen(here) > before


async def listening(here: DiscordRoom, place: DiscordChannel) -> None:
    """Have every message of a forum count: it takes commands only in its posts."""
    post = await here.discord.publish(here.people["max"], place, "Settings", "of this forum")
    await settled(here, post)  # heard before the setting: later it would be a question
    shown = await here.used("max", post, "set", parameter="listen", value="all", scope="channel")
    assert "`listen` of this channel is now: `all`" in shown


@pytest.mark.parametrize("kind", [ChannelKind.FORUM, ChannelKind.MEDIA])
async def test_a_post_that_mentions_the_bot_is_answered_in_its_thread(here: DiscordRoom, kind: ChannelKind) -> None:
    """Its title belongs to the question. Whoever wrote it goes on without a mention, others do not."""
    here.nebula.answer_next("Turn it off and on.")
    post = await here.discord.publish(here.people["ann"], forum(here, kind), "Router is slow", "@nebula any idea?")
    await here.until(lambda: here.said(post) == ["Turn it off and on."])
    assert here.asked() == "ann: Router is slow\n\nany idea?"
    assert await is_answered(here, "ann", post, "that did not help")
    assert here.asked().endswith("ann: that did not help")
    assert not await is_answered(here, "bob", post, "same here")


async def test_a_bare_mention_asks_the_title(here: DiscordRoom) -> None:
    """A post whose title says everything."""
    post = await here.discord.publish(here.people["ann"], forum(here), "Why is the sky blue?", "@nebula")
    await here.until(lambda: here.said(post))
    assert here.asked() == "ann: Why is the sky blue?"


async def test_a_post_to_others_is_not_answered(here: DiscordRoom) -> None:
    """Until somebody mentions the bot in it."""
    post = await here.discord.publish(here.people["ann"], forum(here), "Router is slow", "any idea?")
    await settled(here, post)
    assert not seen(here)
    assert await is_answered(here, "bob", post, "@nebula any idea?")
    assert here.asked().endswith("bob: any idea?")


@pytest.mark.parametrize("kind", [ChannelKind.FORUM, ChannelKind.MEDIA])
async def test_every_post_of_a_forum_that_listens_to_all(here: DiscordRoom, kind: ChannelKind) -> None:
    """Also what others write in it, but not to each other; another forum is another place."""
    place = forum(here, kind)
    await listening(here, place)
    post = await here.discord.publish(here.people["ann"], place, "Router is slow", "any idea?")
    await here.until(lambda: here.said(post))
    assert here.asked() == "ann: Router is slow\n\nany idea?"
    assert await is_answered(here, "bob", post, "same here")
    assert not await is_answered(here, "bob", post, "@ann same here")
    aside = await here.discord.publish(here.people["ann"], forum(here), "Router is slow", "any idea?")
    await settled(here, aside)
    assert len(here.said(aside)) == 1  # nothing but the command of `settled`


@pytest.mark.parametrize("kind", [ChannelKind.FORUM, ChannelKind.MEDIA])
async def test_a_post_without_text_asks_its_title(here: DiscordRoom, kind: ChannelKind) -> None:
    """Its files are read as those of any question."""
    place = forum(here, kind)
    await listening(here, place)
    post = await here.discord.publish(here.people["ann"], place, "What cat is it?", "", attachments=[PICTURE])
    await here.until(lambda: here.said(post))
    assert "ann: What cat is it?" in here.asked()
    assert "cat.png" in here.said(post)[0]


async def test_a_command_in_a_post_is_one(here: DiscordRoom) -> None:
    """The title is no part of it."""
    post = await here.discord.publish(here.people["ann"], forum(here), "Which one?", "@nebula !model show")
    await here.until(lambda: "answers here" in "".join(here.said(post)))
    assert not seen(here)


async def test_without_the_intent_only_mentions_count(redis_client: Redis) -> None:
    """Discord shows nothing else; the title alone is no question, as its post may be for others."""
    async with room(redis_client, changes={"reply_listen": "all"}) as here:
        place = forum(here)
        aside = await here.discord.publish(here.people["ann"], place, "Router is slow", "any idea?")
        await settled(here, aside)
        assert not seen(here)
        post = await here.discord.publish(here.people["ann"], place, "Router is slow", "@nebula any idea?")
        await here.until(lambda: here.said(post))
        assert here.asked() == "ann: Router is slow\n\nany idea?"


async def test_a_missed_post_is_answered(redis_client: Redis) -> None:
    """One that mentions the bot, published while no process listened."""
    async with discord_server(privileged=Intent.MESSAGE_CONTENT) as server, NebulaServer() as model:
        here = DiscordRoom(server, model)
        place, config = forum(here), config_for(server, model)
        async with running(here, redis_client, config):
            await present(redis_client)
        post = await server.publish(here.people["ann"], place, "Router is slow", "@nebula any idea?")
        async with running(here, redis_client, config):
            await here.until(lambda: here.said(post))
            assert here.asked() == "ann: Router is slow\n\nany idea?"
