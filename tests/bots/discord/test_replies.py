"""How an answer ends in Discord, at the wire: by the channel's settings, as a file, and despite failures."""

import logging

import aiohttp
import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.world import validation
from bots.sandbox.discord.world.values import SUPPRESS_EMBEDS, DiscordChannel, DiscordMessage, Overwrite, Permission
from bots.sandbox.nebula.faults import NebulaFault, Thought
from core.reply.layout import FILTERED, IN_FILE, NO_FILE, NO_MORE, REFUSED_REST, WILL_BE_FILE
from tests.bots.discord.harness import GENERAL, THUMBS, DiscordRoom, long_answer, paragraphs, room

STOP, AGAIN = "Stop", "Regenerate"
POST_ROUTE = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
RESPOND = "PATCH /webhooks/{application}/{token}/messages/*"
FOLLOW_UP = "POST /webhooks/{application}/{token}"
THINKER = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"
PARAGRAPHS, LONG = paragraphs(20), long_answer(20)
COMMAND = pytest.mark.parametrize("command", [False, True])


async def ask(here: DiscordRoom, where: str | DiscordChannel = GENERAL, *, command: bool) -> None:
    """Ask a question as Ann, by command or by mention."""
    if command:
        await here.slash("ann", where, "ask", prompt="question")
    else:
        await here.say("ann", where, "@nebula question")


async def answered(here: DiscordRoom, answer: str, *, command: bool = False, **how: str) -> list[DiscordMessage]:
    """The messages of a whole answer."""
    before = {message.id for message in here.shown(GENERAL)}
    here.nebula.answer_next(answer, **how)  # type: ignore[arg-type]
    await ask(here, command=command)

    def found() -> list[DiscordMessage]:
        return [message for message in here.shown(GENERAL) if message.id not in before]

    await here.until(lambda: bool(found()) and AGAIN in here.buttons(found()[-1]))
    await here.bot.runner.idle()
    return found()


def is_whole(messages: list[DiscordMessage]) -> bool:
    """Whether the long answer is complete, each paragraph once and its end last."""
    text = "\n".join(message.content for message in messages)
    return text.endswith("End.") and all(text.count(paragraph.strip()) == 1 for paragraph in PARAGRAPHS)


async def content(message: DiscordMessage) -> str:
    """The content of a message's file, as a client downloads it."""
    [file] = message.attachments
    async with aiohttp.ClientSession() as session, session.get(file.url) as response:
        return (await response.read()).decode()


class TestLooks:
    """The settings of a channel that determine how replies look."""

    @COMMAND
    async def test_the_footer_tells_model_tokens_and_time(self, here: DiscordRoom, command: bool) -> None:
        """With `footer on` the end of a reply has them in small print, and no earlier frame does."""
        await here.used("max", GENERAL, "set", parameter="footer", value="on")
        here.nebula.pace = 40
        [reply] = await answered(here, "word " * 20 + "end", command=command)
        last = reply.content.splitlines()[-1]
        assert last.startswith("-# `meta-llama/Llama-3.3-70B-Instruct` · 21 tokens · ")
        assert not any("tokens" in frame.content for frame in reply.frames[:-1])

    @pytest.mark.parametrize("how", ["hidden", "timer", "summary"])
    async def test_a_thought_is_shown_as_the_setting_says(self, here: DiscordRoom, how: str) -> None:
        """Nothing, how long it took, or its newest lines; never as part of the answer."""
        await here.used("max", GENERAL, "model set", name=THINKER)
        await here.used("max", GENERAL, "set", parameter="reasoning", value=how)
        before = len(here.shown(GENERAL))
        held = here.nebula.hold(20)
        here.nebula.answer_next("The answer.", thought="a deep @everyone thought " * 6, style=Thought.TAGS)
        await here.say("ann", GENERAL, "@nebula think")
        if how == "hidden":
            await here.until(lambda: here.discord.typing(here.place(GENERAL)))
        else:
            await here.until(lambda: len(here.shown(GENERAL)) > before)
        if how == "summary":
            await here.until(lambda: "deep" in here.said(GENERAL)[-1])
        held.release()
        await here.until(
            lambda: "The answer." in here.said(GENERAL)[-1] and AGAIN in here.buttons(here.shown(GENERAL)[-1])
        )
        [reply] = here.shown(GENERAL)[before:]
        frames = [frame.content for frame in reply.frames]
        assert any("Thinking…" in text for text in frames) is (how != "hidden")
        assert any("deep" in text for text in frames) is (how == "summary")
        assert frames[-1].startswith("-# Thought for") is (how != "hidden")
        assert frames[-1].splitlines()[-1] == "The answer."
        assert not any(frame.pings for frame in reply.frames)

    @COMMAND
    async def test_without_streaming_a_reply_is_shown_once(self, here: DiscordRoom, command: bool) -> None:
        """With `streaming off` nobody sees the reply grow: one frame, with the buttons of a finished reply."""
        await here.used("max", GENERAL, "set", parameter="streaming", value="off")
        here.nebula.pace = 60
        [reply] = await answered(here, "word " * 30 + "end", command=command)
        assert [frame.content.splitlines()[-1] for frame in reply.frames if frame.content] == ["word " * 30 + "end"]
        assert list(here.buttons(reply)) == [AGAIN, *THUMBS]

    @COMMAND
    async def test_link_previews_stay_suppressed(self, here: DiscordRoom, command: bool) -> None:
        """Neither an edit nor a further message nor a new answer brings link previews back."""
        here.nebula.pace = 1000
        messages = await answered(here, "https://example.com " + LONG, command=command)
        assert len(messages) >= 3
        here.nebula.answer_next("https://example.org " + LONG)
        await here.press("ann", messages[-1], AGAIN)
        await here.until(lambda: AGAIN in here.buttons(here.shown(GENERAL)[-1]) and "org" in here.said(GENERAL)[0])
        assert all(message.flags & SUPPRESS_EMBEDS for message in here.shown(GENERAL))

    async def test_the_end_of_an_answer_is_explained(self, here: DiscordRoom) -> None:
        """A filtered answer has a sentence below its text."""
        [reply] = await answered(here, "So far", finish="content_filter")
        assert reply.content.splitlines() == ["So far", f"-# {FILTERED}"]


class TestFiles:
    """An answer of more messages than a reply may have."""

    @COMMAND
    async def test_a_very_long_answer_becomes_a_file(self, redis_client: Redis, command: bool) -> None:
        """Its beginning stays readable in the channel, the file below has the exact text, and neither pings."""
        async with room(redis_client, changes={"reply_pages": 2}) as here:
            ann = here.people["ann"].id
            answer = f"@everyone <@{ann}> ünïcode 👩‍🌾\n\n{LONG}"
            held = here.nebula.hold(900)
            here.nebula.answer_next(answer)
            await ask(here, command=command)
            await here.until(lambda: len(here.said(GENERAL)) == 2 and WILL_BE_FILE in here.said(GENERAL)[1])
            held.release()
            await here.until(lambda: any(message.attachments for message in here.shown(GENERAL)))
            await here.bot.runner.idle()
            first, second, below = here.shown(GENERAL)
            assert "Paragraph 00" in first.content
            assert IN_FILE in second.content
            assert [file.name for file in below.attachments] == ["answer.md"]
            assert await content(below) == answer
            assert list(here.buttons(second)) == [AGAIN, *THUMBS]
            assert not any(frame.pings for message in (first, second, below) for frame in message.frames)

    @pytest.mark.parametrize(
        ("command", "status", "code"), [(False, 413, 40005), (False, 403, 50013), (True, 413, 40005), (True, 413, 0)]
    )
    async def test_where_no_file_is_taken_the_answer_ends_with_a_sentence(
        self, redis_client: Redis, command: bool, status: int, code: int
    ) -> None:
        """Too large, or not allowed: then the last of the messages that a reply may have says that there is more."""
        async with room(redis_client, changes={"reply_pages": 2}) as here:
            here.discord.faults.error(
                FOLLOW_UP if command else POST_ROUTE, status, code=code, before=1 if command else 2
            )
            here.nebula.answer_next(LONG)
            await ask(here, command=command)
            await here.until(lambda: any(NO_FILE in message.content for message in here.shown(GENERAL)))
            await here.bot.runner.idle()
            assert len(here.shown(GENERAL)) == 2
            assert not any("file" in message.content or message.attachments for message in here.shown(GENERAL))
            assert list(here.buttons(here.shown(GENERAL)[-1])) == [AGAIN, *THUMBS]

    async def test_without_the_right_to_attach_the_answer_ends_with_a_sentence(self, redis_client: Redis) -> None:
        """A channel may deny only files."""
        async with room(redis_client, changes={"reply_pages": 1}) as here:
            denied = Permission.ATTACH_FILES
            rules = (Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied))
            here.discord.overwrite(here.place(GENERAL), *rules)
            here.nebula.answer_next(LONG)
            await ask(here, command=False)
            await here.until(lambda: any(NO_FILE in message.content for message in here.shown(GENERAL)))
            assert len(here.shown(GENERAL)) == 1

    @COMMAND
    async def test_a_file_whose_answer_was_lost_is_not_sent_twice(self, redis_client: Redis, command: bool) -> None:
        """If the connection breaks after Discord accepted the file, the bot finds it again."""
        async with room(redis_client, changes={"reply_pages": 1}) as here:
            here.discord.faults.reset(FOLLOW_UP if command else POST_ROUTE, times=2, before=0 if command else 1)
            await ask_long(here, command=command)
            files = [message for message in here.shown(GENERAL) if message.attachments]
            assert len(files) == 1
            assert len(here.shown(GENERAL)) == 2

    async def test_another_answer_removes_the_file(self, redis_client: Redis) -> None:
        """Regenerate removes the old file."""
        async with room(redis_client, changes={"reply_pages": 1}) as here:
            await ask_long(here, command=False)
            here.nebula.answer_next("Short.")
            await here.press("ann", here.shown(GENERAL)[0], AGAIN)
            await here.until(lambda: here.said(GENERAL) == ["Short."])


async def ask_long(here: DiscordRoom, *, command: bool) -> None:
    """The long answer with its file, until the end."""
    here.nebula.answer_next(LONG)
    await ask(here, command=command)
    await here.until(lambda: any(message.attachments for message in here.shown(GENERAL)))
    await here.bot.runner.idle()


class TestInterruptedReplies:
    """What the platform or a person does to a reply while the bot writes it."""

    @COMMAND
    @pytest.mark.parametrize("fault", ["reset", "503"])
    async def test_the_last_frame_is_shown(self, here: DiscordRoom, command: bool, fault: str) -> None:
        """The very last edit fails or its response is lost: the end is still visible, in one message."""
        route = RESPOND if command else EDIT
        await here.used("max", GENERAL, "set", parameter="streaming", value="off")
        before = len(here.shown(GENERAL))
        [reply] = await answered(here, "An old answer.", command=command)
        if fault == "reset":
            here.discord.faults.reset(route, times=2)
        else:
            here.discord.faults.error(route, 503, times=2)
        here.nebula.answer_next("A new one.")
        await here.press("ann", reply, AGAIN)
        await here.bot.runner.idle()
        await here.until(lambda: here.said(GENERAL)[-1].endswith("A new one."))
        assert len(here.shown(GENERAL)) == before + 1

    @pytest.mark.parametrize("fault", ["reset", "503"])
    async def test_no_message_of_a_long_reply_is_posted_twice(self, here: DiscordRoom, fault: str) -> None:
        """Each post fails once, or its response is lost once."""
        for before in (0, 1, 1):
            if fault == "reset":
                here.discord.faults.reset(POST_ROUTE, before=before)
            else:
                here.discord.faults.error(POST_ROUTE, 503, before=before)
        here.nebula.answer_next(LONG)
        await ask(here, command=False)
        await here.until(lambda: is_whole(here.shown(GENERAL)))
        await here.bot.runner.idle()
        assert is_whole(here.shown(GENERAL))

    async def test_a_deleted_earlier_message_does_not_stop_the_reply(self, here: DiscordRoom) -> None:
        """A person deletes the first of several messages: the rest is finished."""
        here.nebula.fault(NebulaFault(stall_after=800))
        here.nebula.answer_next("word " * 900)
        await ask(here, command=False)
        await here.until(lambda: len(here.shown(GENERAL)) == 3 and STOP in here.buttons(here.shown(GENERAL)[2]))
        first, _, last = here.shown(GENERAL)
        await here.discord.delete(first)
        await here.press("ann", last, STOP)
        await here.until(lambda: AGAIN in here.buttons(last))
        assert len(here.shown(GENERAL)) == 2

    async def test_a_permission_lost_during_an_answer(
        self, here: DiscordRoom, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The posted text says that no more can follow, the model's request ends, and the bot answers in other
        places."""
        here.nebula.pace = 400
        here.nebula.answer_next(LONG * 20)
        await ask(here, command=False)
        await here.until(lambda: here.shown(GENERAL))
        denied = Permission.SEND_MESSAGES
        here.discord.overwrite(
            here.place(GENERAL), Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied)
        )
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early)
        await here.bot.runner.idle()
        assert here.said(GENERAL)[-1].endswith(NO_MORE)
        assert any("50013" in record.getMessage() for record in caplog.records)
        here.nebula.answer_next("Hi.")
        await here.say("ann", "#random", "@nebula hello")
        await here.until(lambda: here.said("#random") == ["Hi."])

    @COMMAND
    async def test_an_archived_thread_is_reopened(self, here: DiscordRoom, command: bool) -> None:
        """Somebody closes the thread in the middle of an answer: the answer still ends there."""
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        held = here.nebula.hold(5)
        here.nebula.answer_next("word " * 30 + "end")
        await ask(here, thread, command=command)
        await here.until(lambda: here.shown(thread) and "word" in here.said(thread)[0])
        here.discord.archive(thread)
        held.release()
        await here.until(lambda: here.said(thread)[0].endswith("end"))
        assert len(here.shown(thread)) == 1

    async def test_a_locked_thread_ends_the_turn(self, here: DiscordRoom, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing can be written there any more: there is a log line, and the bot still answers in the channel."""
        caplog.set_level(logging.INFO, "core")
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        held = here.nebula.hold(5)
        here.nebula.answer_next("word " * 30 + "end")
        await ask(here, thread, command=False)
        await here.until(lambda: here.shown(thread))
        here.discord.archive(thread, locked=True)
        held.release()
        await here.bot.runner.idle()
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert any("can no longer be shown" in record.getMessage() for record in caplog.records)


@COMMAND
async def test_a_message_that_is_too_long_is_cut_smaller(
    here: DiscordRoom, command: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Discord refuses a length that we take to fit, all of the answer still comes."""
    monkeypatch.setattr(validation, "MAX_CONTENT", 1500)
    messages = await answered(here, LONG, command=command)
    assert all(len(message.content) <= 1500 for message in messages)
    assert " ".join(message.content for message in messages).split()[-1] == "End."
    assert all(f"Paragraph {number:02}." in "".join(m.content for m in messages) for number in range(20))


@COMMAND
async def test_what_a_filter_accepted_stays(here: DiscordRoom, command: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoMod refuses a word that comes last: what was on screen before it is not taken away."""
    monkeypatch.setattr(validation, "BLOCKED_WORDS", ("zebra",))
    held = here.nebula.hold(after=4)
    here.nebula.answer_next("Harmless words on screen, and then zebra.")
    await ask(here, command=command)
    await here.until(lambda: any("Harmless words" in text for text in here.said(GENERAL)))
    held.release()
    await here.until(lambda: any(REFUSED_REST in text for text in here.said(GENERAL)))
    await here.bot.runner.idle()
    (text,) = here.said(GENERAL)
    assert "Harmless words" in text
    assert "zebra" not in text


@COMMAND
async def test_the_bots_own_name_in_front_of_an_answer_is_taken_away(here: DiscordRoom, command: bool) -> None:
    """The name that the guild's members see."""
    (message,) = await answered(here, "nebula: Hello there.", command=command)
    assert message.content.splitlines()[-1] == "Hello there."
