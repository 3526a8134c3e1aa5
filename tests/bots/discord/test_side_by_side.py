"""Replies beside each other in one place, at the wire: each page tells which one it follows, and nobody is pinged."""

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage, Overwrite, Permission
from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, long_answer, room, running

AGAIN, GO_ON = "Regenerate", "Continue"
POST_ROUTE = "POST /channels/{channel}/messages"
FOLLOW_UP = "POST /webhooks/{application}/{token}"
LONG = long_answer(14)


async def answered(here: DiscordRoom, where: str | DiscordChannel = GENERAL) -> tuple[DiscordMessage, ...]:
    """The question and the pages of a long answer."""
    here.nebula.answer_next(LONG)
    question = await here.say("ann", where, "@nebula a lot")
    await here.until(lambda: here.said(where) and here.said(where)[-1].endswith("End."))
    await here.bot.runner.idle()
    assert len(here.shown(where)) >= 3
    return question, *here.shown(where)


def is_chain(messages: tuple[DiscordMessage, ...]) -> bool:
    """Whether each message refers to the one before it, and none pings."""
    pairs = zip(messages[1:], messages, strict=False)
    pinged = any(frame.pings for message in messages[1:] for frame in message.frames)
    return all(message.reference == before.id for message, before in pairs) and not pinged


class TestPages:
    """The pages of one reply, wherever another reply may stand between them."""

    async def test_each_page_refers_to_the_one_before(self, here: DiscordRoom) -> None:
        """The first to the question; in a channel and in a thread that people opened."""
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        for where in (GENERAL, thread):
            assert is_chain(await answered(here, where))

    async def test_another_reply_between_two_pages_changes_nothing(self, here: DiscordRoom) -> None:
        """A response to a command, and a private answer, come in the meantime."""
        held = here.discord.faults.hold(POST_ROUTE, late=True, before=1)
        here.nebula.answer_next(LONG)
        question = await here.say("ann", GENERAL, "@nebula a lot")
        await here.until(lambda: held.met)
        await here.say("max", GENERAL, "@nebula !settings")
        await here.until(lambda: len(here.shown(GENERAL)) == 2)
        held.release()
        await here.until(lambda: here.said(GENERAL)[-1].endswith("End."))
        await here.bot.runner.idle()
        first, settings, *others = here.shown(GENERAL)
        assert "temperature" in settings.content
        assert is_chain((question, first, *others))

    async def test_a_file_refers_to_the_page_above_it(self, redis_client: Redis) -> None:
        """It belongs to the reply like a page."""
        async with room(redis_client, changes={"reply_pages": 2}) as here:
            here.nebula.answer_next(LONG)
            question = await here.say("ann", GENERAL, "@nebula a lot")
            await here.until(lambda: any(message.attachments for message in here.shown(GENERAL)))
            await here.bot.runner.idle()
            assert is_chain((question, *here.shown(GENERAL)))

    async def test_a_page_whose_predecessor_was_deleted_comes_all_the_same(self, here: DiscordRoom) -> None:
        """Without a reference; the next one refers to it."""
        held = here.discord.faults.hold(POST_ROUTE, late=True, before=1)
        here.nebula.answer_next(LONG)
        await here.say("ann", GENERAL, "@nebula a lot")
        await here.until(lambda: held.met)
        await here.discord.delete(here.shown(GENERAL)[0])
        held.release()
        await here.until(lambda: here.said(GENERAL) and here.said(GENERAL)[-1].endswith("End."))
        await here.bot.runner.idle()
        second, *others = here.shown(GENERAL)
        assert second.reference == ""
        assert is_chain((second, *others))

    async def test_without_the_right_to_read_history_a_reference_is_tried_once(self, here: DiscordRoom) -> None:
        """Further pages come without one at once: each refused call counts towards the channel's limit."""
        rule = Overwrite(here.guild.id, deny=Permission.READ_MESSAGE_HISTORY)
        here.discord.overwrite(here.place(GENERAL), rule, Overwrite(here.me.id, deny=Permission.READ_MESSAGE_HISTORY))
        _, *pages = await answered(here)
        assert not any(page.reference for page in pages)
        assert sum(call.code == 160002 for call in here.discord.calls) == 1


class TestAlone:
    """Where nothing else grows, a line above each page would only take room."""

    async def test_pages_in_a_thread_of_their_own_refer_to_nothing(self, here: DiscordRoom) -> None:
        """The thread hangs on the question."""
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        here.nebula.answer_next(LONG)
        await here.say("ann", GENERAL, "@nebula a lot")
        [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
        await here.until(lambda: here.said(thread) and here.said(thread)[-1].endswith("End."))
        assert not any(message.reference for message in here.shown(thread))

    async def test_where_no_thread_can_be_opened_pages_refer_to_each_other(self, here: DiscordRoom) -> None:
        """The answer is then in the channel, among others."""
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        before = len(here.shown(GENERAL))
        here.discord.faults.error("POST /channels/{channel}/messages/{message}/threads", 403, code=50013)
        here.nebula.answer_next(LONG)
        question = await here.say("ann", GENERAL, "@nebula a lot")
        await here.until(lambda: here.said(GENERAL)[-1].endswith("End."))
        await here.bot.runner.idle()
        assert is_chain((question, *here.shown(GENERAL)[before:]))

    async def test_in_a_direct_message_only_the_first_page_refers(self, here: DiscordRoom) -> None:
        """One person's replies come one after the other there."""
        question, first, *others = await answered(here, "@ann")
        assert first.reference == question.id
        assert not any(page.reference for page in others)


class TestFurtherAnswers:
    """What comes after a reply's end, or from another process."""

    async def test_a_longer_answer_in_the_same_messages(self, here: DiscordRoom) -> None:
        """Its new pages refer to the last of the old ones."""
        here.nebula.answer_next("Short.")
        question = await here.say("ann", GENERAL, "@nebula a lot")
        await here.until(lambda: here.said(GENERAL) == ["Short."])
        await here.bot.runner.idle()
        here.nebula.answer_next(LONG)
        await here.press("ann", here.shown(GENERAL)[0], AGAIN)
        await here.until(lambda: here.said(GENERAL)[-1].endswith("End."))
        await here.bot.runner.idle()
        assert is_chain((question, *here.shown(GENERAL)))

    async def test_a_continued_answer(self, here: DiscordRoom) -> None:
        """It refers to the question that it goes on answering; its further pages to each other."""
        here.nebula.answer_next("Half of it", finish="length")
        question = await here.say("ann", GENERAL, "@nebula a lot")
        [half] = await here.until(lambda: here.shown(GENERAL))
        await here.until(lambda: GO_ON in here.buttons(half))
        await here.bot.runner.idle()
        here.nebula.answer_next(LONG)
        await here.press("ann", half, GO_ON)
        await here.until(lambda: here.said(GENERAL)[-1].endswith("End."))
        await here.bot.runner.idle()
        assert is_chain((question, *here.shown(GENERAL)[1:]))

    async def test_the_pages_of_another_process(self, redis_client: Redis) -> None:
        """A bot stops after some pages; the next one's pages refer to the last of these."""
        async with discord_server() as discord, NebulaServer() as model:
            here, config = DiscordRoom(discord, model), config_for(discord, model)
            model.hold(700)
            model.answer_next(LONG)
            async with running(here, redis_client, config):
                question = await here.say("ann", GENERAL, "@nebula a lot")
                await here.until(lambda: len(here.shown(GENERAL)) == 2)
            model.answer_next(LONG)
            async with running(here, redis_client, config):
                await here.until(lambda: here.said(GENERAL)[-1].endswith("End."))
                await here.bot.runner.idle()
            assert len(here.shown(GENERAL)) > 2
            assert is_chain((question, *here.shown(GENERAL)))


class TestCommands:
    """`/ask`, whose pages Discord itself links to its response."""

    async def test_a_followup_names_no_message(self, here: DiscordRoom) -> None:
        """Webhooks take no reference."""
        here.nebula.answer_next(LONG)
        used = await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: used.messages and used.messages[-1].content.endswith("End."))
        sent = [call.body for call in here.discord.calls if call.route == FOLLOW_UP]
        assert len(sent) >= 2
        assert not any("message_reference" in body for body in sent)

    @pytest.mark.parametrize("followups", [0, 1])
    async def test_pages_after_the_tokens_end_refer_to_the_ones_before(self, here: DiscordRoom, followups: int) -> None:
        """They are ordinary messages; the first of them follows the last that came with the token."""
        here.discord.faults.error(FOLLOW_UP, 401, None, code=50027, before=followups)
        here.nebula.answer_next(LONG)
        await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: here.said(GENERAL) and here.said(GENERAL)[-1].endswith("End."))
        assert is_chain(tuple(here.shown(GENERAL)[followups:]))
