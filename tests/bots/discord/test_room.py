"""What is said around a question on Discord, at the wire: what is read, in which order, and what is said to be
missing."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.discord.room import history, reader
from bots.sandbox.discord.limits import NO_DISCORD_LIMITS, DiscordLimit
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import (
    ChannelKind,
    DiscordChannel,
    DiscordMessage,
    DiscordUpload,
    Overwrite,
    Permission,
)
from core.domain.conversation import Author, Place
from core.domain.options import Context
from core.domain.question import Question
from core.domain.surroundings import NOTHING_SAID, Gap, Reach, Role, Said, Surroundings
from core.domain.turn_id import TurnId
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, room, running

PRIVILEGED = Intent.MESSAGE_CONTENT
LIST = "GET /channels/{channel}/messages"
GET = "GET /channels/{channel}/messages/{message}"
RANDOM = "#random"


def place_of(here: DiscordRoom, channel: DiscordChannel) -> Place:
    """A channel, thread or direct channel as the core knows it."""
    if channel.kind is ChannelKind.DM:
        return Place("discord", "-", channel.id, direct=True)
    if channel.parent:
        return Place("discord", channel.guild, channel.parent, channel.id)
    return Place("discord", channel.guild, channel.id)


async def around(
    here: DiscordRoom, question: DiscordMessage, context: Context = Context.THREAD, **reach: Any
) -> Surroundings:
    """What was said around somebody's message, taken as a question."""
    channel = next(one for one in everywhere(here) if one.id == question.channel)
    asked = Question(
        TurnId(f"discord/{question.channel}/{question.id}"),
        place_of(here, channel),
        Author(question.author.id, question.author.name),
        question.content,
        message=question.id,
        at=question.at,
    )
    return await here.platform.surroundings(asked, Reach(context, **reach))


def everywhere(here: DiscordRoom) -> list[DiscordChannel]:
    """All channels, threads and direct channels."""
    channels = here.discord.channels(here.guild)
    threads = [thread for channel in channels for thread in here.discord.threads(channel)]
    return [*channels, *threads, *(here.discord.open_dm(person) for person in here.people.values())]


def lines(found: Surroundings) -> list[str]:
    """Who said what."""
    return [f"{each.author} ({each.role}): {each.text}" for each in found.messages]


def texts(said: tuple[Said, ...]) -> list[str]:
    """What was said."""
    return [each.text for each in said]


class TestThreads:
    """A question in a thread."""

    async def test_it_brings_the_thread_and_its_starter(self, here: DiscordRoom) -> None:
        """Oldest first, with who said it: people, other bots, webhooks and the bot itself; not what came later."""
        first = await here.say("bob", GENERAL, "the deploy failed: disk was full")
        await here.say("max", GENERAL, "not of this thread")
        thread = here.discord.add_thread(here.place(GENERAL), "Deploy", message=first)
        helper = here.discord.add_member(here.guild, "Helper", bot=True)
        await here.say("ann", thread, "I freed 20 GB,\nretry at 15:00")
        await here.discord.bot_says(helper, thread, "Build 7 is red")
        await here.discord.webhook_says("Alerts", thread, "disk 91 %")
        await here.answered("max", thread, "@nebula hello", "Hello there.")
        question = await here.say("ada", thread, "summarise this thread")
        await here.say("bob", thread, "too late")
        found = await around(here, question)
        assert lines(found) == [
            "bob (person): the deploy failed: disk was full",
            "ann (person): I freed 20 GB,\nretry at 15:00",
            "Helper (bot): Build 7 is red",
            "Alerts (bot): disk 91 %",
            "max (person): @Nebula hello",
            "Nebula (us): Hello there.",
        ]
        assert (found.referred, found.gaps) == ((), frozenset())
        assert found.messages[0].id == first.id
        assert found.messages[0].at == pytest.approx(first.at, abs=1.0)

    async def test_a_post_of_a_forum_brings_its_starter(self, here: DiscordRoom) -> None:
        """Also if it is too old for the messages that fit."""
        forum = here.discord.add_channel(here.guild, "help", ChannelKind.FORUM)
        post = await here.discord.publish(here.people["bob"], forum, "Broken", "It is broken since ZEBRA-7.")
        for number in range(45):
            await here.say("ann", post, f"me too {number}")
        question = await here.say("ann", post, "why?")
        found = await around(here, question, messages=10)
        assert texts(found.messages) == [
            "It is broken since ZEBRA-7.",
            *(f"me too {number}" for number in range(36, 45)),
        ]
        assert found.gaps == {Gap.MORE}
        assert texts((await around(here, question, messages=50)).messages)[:2] == [
            "It is broken since ZEBRA-7.",
            "me too 0",
        ]

    async def test_a_long_thread_brings_its_starter_too(self, here: DiscordRoom) -> None:
        """It lives in the channel, under the thread's id."""
        first = await here.say("bob", GENERAL, "the beginning")
        thread = here.discord.add_thread(here.place(GENERAL), "Long", message=first)
        for number in range(45):
            await here.say("ann", thread, f"line {number}")
        found = await around(here, await here.say("ann", thread, "so?"), messages=3)
        assert texts(found.messages) == ["the beginning", "line 43", "line 44"]
        assert found.gaps == {Gap.MORE}

    async def test_a_deleted_starter_is_said(self, here: DiscordRoom) -> None:
        """Of a thread of any length, and of a post; a thread that never had one lacks nothing."""
        first = await here.say("bob", GENERAL, "the beginning")
        thread = here.discord.add_thread(here.place(GENERAL), "Gone", message=first)
        question = await here.say("ann", thread, "so?")
        await here.discord.delete(first)
        assert await around(here, question) == Surroundings(gaps=frozenset({Gap.GONE}))
        for number in range(30):
            await here.say("ann", thread, f"line {number}")
        assert (await around(here, await here.say("ann", thread, "so?"), messages=2)).gaps == {Gap.GONE, Gap.MORE}
        forum = here.discord.add_channel(here.guild, "help", ChannelKind.FORUM)
        post = await here.discord.publish(here.people["bob"], forum, "Broken", "It is broken.")
        question = await here.say("ann", post, "why?")
        await here.discord.delete(here.discord.messages(post)[0])
        assert (await around(here, question)).gaps == {Gap.GONE}
        alone = here.discord.add_thread(here.place(GENERAL), "Alone")
        assert await around(here, await here.say("ann", alone, "so?")) == NOTHING_SAID

    async def test_later_only_what_is_new_is_read(self, here: DiscordRoom) -> None:
        """What came after a message; not the starter either."""
        first = await here.say("bob", GENERAL, "the beginning")
        thread = here.discord.add_thread(here.place(GENERAL), "Talk", message=first)
        await here.say("ann", thread, "old")
        last = await here.say("ann", thread, "known")
        await here.say("bob", thread, "new")
        found = await around(here, await here.say("ann", thread, "so?"), after=last.id)
        assert (texts(found.messages), found.gaps) == (["new"], frozenset())

    async def test_pages_are_bounded(self, here: DiscordRoom) -> None:
        """A summary reads up to two hundred messages in at most four lists, that of the first message
        among them, however long the thread is."""
        thread = here.discord.add_thread(here.place(GENERAL), "Long")
        for number in range(450):
            await here.say("bob", thread, f"line {number}")
        question = await here.say("ann", thread, "summarise")
        before = len(here.discord.calls)
        found = await around(here, question, summary=True, messages=200)
        assert texts(found.messages) == [f"line {number}" for number in range(250, 450)]
        assert found.gaps == {Gap.MORE}
        assert [call.route for call in here.discord.calls[before:]].count(LIST) == 4

    async def test_deleted_messages_are_not_in_it(self, here: DiscordRoom) -> None:
        """They are read at the time of the turn."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        secret = await here.say("bob", thread, "a secret")
        question = await here.say("ann", thread, "so?")
        assert texts((await around(here, question)).messages) == ["a secret"]
        await here.discord.delete(secret)
        assert await around(here, question) == NOTHING_SAID


class TestRooms:
    """A question with `context room`, and what the other contexts leave out."""

    async def test_the_channel_since_our_last_answer(self, here: DiscordRoom) -> None:
        """In the channel itself; with `thread`, it is not read, and with `off`, nothing is."""
        await here.say("bob", GENERAL, "long ago")
        await here.answered("ann", GENERAL, "@nebula one", "First.")
        await here.say("bob", GENERAL, "after it")
        question = await here.say("ann", GENERAL, "so?")
        assert texts((await around(here, question, Context.ROOM)).messages) == ["after it"]
        assert await around(here, question) == NOTHING_SAID
        assert await around(here, question, Context.OFF) == NOTHING_SAID

    async def test_a_thread_goes_before_its_channel(self, here: DiscordRoom) -> None:
        """The channel fills what the thread leaves, all in one order; not what came after the question."""
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        await here.say("bob", GENERAL, "one")
        await here.say("bob", thread, "two")
        await here.say("bob", GENERAL, "three")
        await here.say("bob", thread, "four")
        question = await here.say("ann", thread, "so?")
        await here.say("bob", GENERAL, "late")
        found = await around(here, question, Context.ROOM)
        assert (texts(found.messages), found.gaps) == (["one", "two", "three", "four"], frozenset())
        found = await around(here, question, Context.ROOM, messages=3)
        assert (texts(found.messages), found.gaps) == (["two", "three", "four"], frozenset({Gap.MORE}))

    async def test_direct_messages_are_in_the_history(self, here: DiscordRoom) -> None:
        """There is nobody else to be read."""
        await here.answered("ann", "@ann", "one", "First.")
        question = await here.say("ann", "@ann", "and two?")
        assert await around(here, question, Context.ROOM) == NOTHING_SAID


class TestReferred:
    """What a question replies to or links to."""

    async def test_the_message_replied_to(self, here: DiscordRoom) -> None:
        """Also in a thread, where it is among the others too. The bot's own one is only among the others: the history
        may have it."""
        other = await here.say("bob", GENERAL, "what @max said in #random")
        found = await around(here, await here.say("ann", GENERAL, "explain this", reply_to=other))
        assert found.messages == ()
        assert [(each.author, each.text) for each in found.referred] == [("bob", "what @max said in #random")]
        await here.answered("ann", GENERAL, "@nebula one", "First.")
        question = await here.say("bob", GENERAL, "why?", reply_to=here.shown(GENERAL)[-1], ping=False)
        found = await around(here, question)
        assert ([each.role for each in found.messages], found.referred) == ([Role.US], ())
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        other = await here.say("bob", thread, "in here")
        found = await around(here, await here.say("ann", thread, "explain this", reply_to=other))
        assert found.messages == found.referred
        assert texts(found.referred) == ["in here"]

    async def test_a_question_that_refers_to_nothing_costs_nothing(self, here: DiscordRoom) -> None:
        """The process that heard it knows that."""
        await here.answered("ann", GENERAL, "@nebula one", "First.")
        [question] = [one for one in here.discord.messages(here.place(GENERAL)) if one.author.name == "ann"]
        before = len(here.discord.calls)
        assert await around(here, question) == NOTHING_SAID
        assert len(here.discord.calls) == before

    async def test_another_process_learns_it_from_discord(self, here: DiscordRoom, redis_client: Redis) -> None:
        """It did not hear the question; a message that replies to nothing costs it one call."""
        other = await here.say("bob", GENERAL, "words")
        reply = await here.say("ann", GENERAL, "explain this", reply_to=other)
        plain = await here.say("ann", GENERAL, "hello")
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            assert texts((await around(here, reply)).referred) == ["words"]
            before = len(here.discord.calls)
            assert await around(here, plain) == NOTHING_SAID
            assert [call.route for call in here.discord.calls[before:]].count(GET) == 1

    async def test_a_deleted_one_is_left_out(self, here: DiscordRoom) -> None:
        """Nothing is said for it."""
        other = await here.say("bob", GENERAL, "words")
        question = await here.say("ann", GENERAL, "explain this", reply_to=other)
        await here.discord.delete(other)
        assert await around(here, question) == NOTHING_SAID

    async def test_links(self, here: DiscordRoom) -> None:
        """Of the same channel and of others that the asker may read, in the order of the question, each once."""
        near, far = await here.say("bob", GENERAL, "near"), await here.say("bob", RANDOM, "far")
        links = [link(here, each) for each in (far, near, far)]
        found = await around(here, await here.say("ann", GENERAL, f"compare {' and '.join(links)}"))
        assert (texts(found.referred), found.gaps) == (["far", "near"], frozenset())

    @pytest.mark.parametrize("denied", [Permission.VIEW_CHANNEL, Permission.READ_MESSAGE_HISTORY])
    async def test_a_link_to_what_the_asker_may_not_read(self, here: DiscordRoom, denied: Permission) -> None:
        """The bot may read it, the asker not: its words stay there. A role or an exception opens it again."""
        team = here.discord.add_role(here.guild, "team")
        eve = here.people["eve"] = here.discord.add_member(here.guild, "eve", roles=[team])
        secret = await here.say("ada", RANDOM, "the secret")
        thread = here.discord.add_thread(here.place(RANDOM), "Secret thread")
        deep = await here.say("ada", thread, "the deep secret")
        closed = Overwrite(here.guild.id, deny=denied)
        opened = [Overwrite(here.me.id, allow=denied), Overwrite(team.id, allow=denied)]
        here.discord.overwrite(here.place(RANDOM), closed, *opened)
        for other, words in ((secret, "the secret"), (deep, "the deep secret")):
            found = await around(here, await here.say("ann", GENERAL, f"what is {link(here, other)}"))
            assert found == Surroundings(gaps=frozenset({Gap.PERMISSION}))
            for name in ("eve", "ada"):  # ada is an administrator
                found = await around(here, await here.say(name, GENERAL, f"what is {link(here, other)}"))
                assert texts(found.referred) == [words]
        here.discord.overwrite(here.place(RANDOM), closed, *opened, Overwrite(eve.id, deny=denied))
        found = await around(here, await here.say("eve", GENERAL, f"what is {link(here, secret)}"))
        assert found == Surroundings(gaps=frozenset({Gap.PERMISSION}))

    @pytest.mark.parametrize("where", ["another guild", "a direct message", "nowhere"])
    async def test_a_link_to_elsewhere(self, here: DiscordRoom, where: str) -> None:
        """What is unknown is not yes; nothing of it is read, nor asked for where it is out of the question."""
        other = here.discord.add_guild("Elsewhere")
        channel = here.discord.add_channel(other, "general")
        person = here.discord.add_member(other, here.people["ann"])
        said = await here.discord.say(person, channel, "words of another guild")
        own = await here.say("bob", "@bob", "words of bob")
        url = {
            "another guild": f"https://discord.com/channels/{other.id}/{channel.id}/{said.id}",
            "a direct message": f"https://discord.com/channels/{here.guild.id}/{own.channel}/{own.id}",
            "nowhere": f"https://discord.com/channels/{here.guild.id}/77/{said.id}",
        }[where]
        found = await around(here, await here.say("ann", GENERAL, f"what is {url}"))
        assert found == Surroundings(gaps=frozenset({Gap.PERMISSION}))

    async def test_a_private_thread_is_closed(self, here: DiscordRoom) -> None:
        """Who is in it is not looked up."""
        thread = here.discord.add_thread(here.place(RANDOM), "Private", kind=ChannelKind.PRIVATE_THREAD)
        said = await here.say("bob", thread, "just between us")
        found = await around(here, await here.say("ann", GENERAL, f"what is {link(here, said)}"))
        assert found == Surroundings(gaps=frozenset({Gap.PERMISSION}))


def link(here: DiscordRoom, message: DiscordMessage) -> str:
    """The link that Discord's menu copies."""
    return f"https://discord.com/channels/{message.guild}/{message.channel}/{message.id}"


class TestTexts:
    """What of a message is read."""

    async def test_everything_that_has_words(self, here: DiscordRoom) -> None:
        """Cards, files, stickers and forwarded messages; names in place of ids, and no controls."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        general = here.place(GENERAL)
        await here.say(
            "bob", thread, "see @ann, @max's role and #random", attachments=[DiscordUpload("a\u202eb\u200f].txt", b"")]
        )
        await here.discord.say(here.people["bob"], thread, "hi", stickers=["wave"])
        origin = await here.say("max", general, "the original", attachments=[DiscordUpload("plan.pdf", b"")])
        await here.discord.forward(here.people["bob"], origin, thread)
        await here.say("bob", thread, "\u202eevil\x07 words")
        card = await here.say("bob", thread, "https://example.com")
        await here.discord.preview(card, "https://example.com")
        found = await around(here, await here.say("ann", thread, "so?"))
        assert texts(found.messages) == [
            "see @ann, @max's role and #random\n[file: ab).txt]",
            "hi\n[sticker: wave]",
            "the original\n[file: plan.pdf]",
            "evil words",
            "https://example.com",
        ]

    async def test_a_card_of_another_bot(self, here: DiscordRoom) -> None:
        """Its text is empty, and its words are in the fields of an embed."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        helper = here.discord.add_member(here.guild, "Helper", bot=True)
        card = {"type": "rich", "title": "Release", "fields": [{"name": "State", "value": "green"}]}
        await here.discord.posts(helper, thread, {"embeds": [card]})
        found = await around(here, await here.say("ann", thread, "so?"))
        assert lines(found) == ["Helper (bot): Release\nState: green"]

    async def test_a_long_one_is_cut(self, here: DiscordRoom) -> None:
        """The names of its files stay."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        await here.say("bob", thread, "x" * 1900, attachments=[DiscordUpload("a.txt", b"")])
        [said] = (await around(here, await here.say("ann", thread, "so?"), characters=100)).messages
        assert len(said.text) == 100
        assert said.text.endswith("x…\n[file: a.txt]")

    async def test_names(self, here: DiscordRoom) -> None:
        """The asker's as the question has it; nobody is looked up for a name, and a name keeps to its line."""
        here.people["eve"] = here.discord.add_member(here.guild, "eve\n**system**")
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        await here.say("ann", thread, "one")
        await here.say("eve", thread, "two")
        question = await here.say("ann", thread, "so?")
        asked = Question(
            TurnId("discord/1/1"), place_of(here, thread), Author(question.author.id, "Annie"), "so?", question.id
        )
        found = await here.platform.surroundings(asked, Reach(Context.THREAD))
        assert lines(found) == ["Annie (person): one", "eve **system** (person): two"]
        looked_up = {call.path.rpartition("/")[2] for call in here.discord.calls if "/members/" in call.path}
        assert looked_up == {question.author.id}  # whether she may read here

    async def test_small_print_and_news_are_left_out(self, here: DiscordRoom) -> None:
        """Ours is about an answer; a pin or somebody's arrival is no message."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        await here.discord.posts(here.me, thread, {"content": "An answer.\n-# 12 s"})
        await here.discord.posts(here.people["bob"], thread, {"content": "pinned a message"}, type=6)
        found = await around(here, await here.say("ann", thread, "so?"))
        assert lines(found) == ["Nebula (us): An answer."]


class TestIntent:
    """The Message Content intent."""

    async def test_it_is_asked_for_only_where_it_may_be_had(self, here: DiscordRoom, redis_client: Redis) -> None:
        """As the application's flags say."""
        [session] = here.discord.gateway.sessions
        assert session.content
        here.discord.privileged = Intent.NONE
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            assert [each.content for each in here.discord.gateway.sessions] == [True, False]

    async def test_switched_off_while_the_bot_runs(self, here: DiscordRoom, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next sign-in is refused with 4014; the bot signs in without it, and goes on."""
        monkeypatch.setattr("bots.discord.inbound.client.NEW_SESSION_SECONDS", 0.01)
        monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.01)
        monkeypatch.setattr("bots.discord.app.RETRY_SECONDS", 0.01)
        here.discord.privileged = Intent.NONE
        here.discord.gateway.drop(resumable=False, code=4009)
        await here.until(lambda: here.discord.gateway.sessions and not here.discord.gateway.sessions[0].content)
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")

    async def test_with_it_only_questions_are_answered(self, here: DiscordRoom) -> None:
        """The bot reads what others write, and is silent."""
        await here.say("bob", GENERAL, "nothing for the bot")
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert len(here.said(GENERAL)) == 1

    async def test_without_it_the_rest_is_read(self, blind: DiscordRoom) -> None:
        """What mentions the bot, and its own words; that something is hidden is said."""
        here = blind
        first = await here.say("bob", GENERAL, "hidden")
        thread = here.discord.add_thread(here.place(GENERAL), "Talk", message=first)
        await here.say("bob", thread, "hidden, too", attachments=[DiscordUpload("a.txt", b"")])
        await here.answered("ann", thread, "@nebula one", "First.")
        found = await around(here, await here.say("ann", thread, "so?"))
        assert texts(found.messages) == ["@Nebula one", "First."]
        assert found.gaps == {Gap.INTENT}

    async def test_where_nothing_is_hidden_nothing_is_said(self, blind: DiscordRoom) -> None:
        """A thread of questions to the bot can be read whole."""
        here = blind
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        await here.answered("ann", thread, "@nebula one", "First.")
        found = await around(here, await here.say("ann", thread, "so?"))
        assert (texts(found.messages), found.gaps) == (["@Nebula one", "First."], frozenset())

    @pytest.mark.parametrize("forwarded", [False, True])
    async def test_a_reply_to_what_is_hidden(self, blind: DiscordRoom, forwarded: bool) -> None:
        """Its content is empty there as well."""
        here = blind
        other = await here.say("bob", GENERAL, "hidden")
        if forwarded:
            other = await here.discord.forward(here.people["bob"], other, here.place(GENERAL))
        found = await around(here, await here.say("ann", GENERAL, "explain", reply_to=other))
        assert found == Surroundings(gaps=frozenset({Gap.INTENT}))


class TestTroubles:
    """What can't be read is said, and never raised."""

    async def test_without_the_history(self, here: DiscordRoom) -> None:
        """Discord shows an empty list (threads) or refuses (single messages)."""
        other = await here.say("bob", GENERAL, "words")
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        denied = Permission.READ_MESSAGE_HISTORY
        rules = Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied)
        here.discord.overwrite(here.place(GENERAL), *rules)
        await here.answered("ann", RANDOM, "@nebula hello", "Hi.")  # by now the bot knows of it
        for question in (
            await here.say("ann", GENERAL, "explain", reply_to=other),
            await here.say("ann", thread, "so?"),
        ):
            assert await around(here, question) == Surroundings(gaps=frozenset({Gap.PERMISSION}))
        assert (await around(here, await here.say("ann", GENERAL, "so?"), Context.ROOM)).gaps == {Gap.PERMISSION}

    async def test_without_access(self, here: DiscordRoom) -> None:
        """50001: the bot does not see the channel that the asker links to, or the question's own."""
        other = await here.say("bob", RANDOM, "words")
        denied = Permission.VIEW_CHANNEL
        here.discord.overwrite(here.place(RANDOM), Overwrite(here.me.id, deny=denied))
        question = await here.say("ann", GENERAL, f"what is {link(here, other)}")
        assert await around(here, question) == Surroundings(gaps=frozenset({Gap.PERMISSION}))
        question = await here.say("ann", RANDOM, "so?")
        assert (await around(here, question, Context.ROOM)).gaps == {Gap.PERMISSION}

    async def test_an_empty_channel_lacks_nothing(self, here: DiscordRoom) -> None:
        """A command has no message, so that an empty list says nothing about permissions."""
        place = place_of(here, here.place(RANDOM))
        asked = Question(TurnId("discord/1/1"), place, Author(here.people["ann"].id, "ann"), "so?")
        assert await here.platform.surroundings(asked, Reach(Context.ROOM)) == NOTHING_SAID
        await here.say("bob", RANDOM, "words")
        assert texts((await here.platform.surroundings(asked, Reach(Context.ROOM))).messages) == ["words"]

    @pytest.mark.parametrize("retry_after", [0.01, 30.0])
    async def test_a_429(self, here: DiscordRoom, retry_after: float, monkeypatch: pytest.MonkeyPatch) -> None:
        """A short one is waited out; after a long one, what there is comes without the rest, and no call is made."""
        if retry_after < 1:
            monkeypatch.setattr(history, "PATIENCE_SECONDS", 60.0)  # on a busy machine a short wait takes longer
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        for number in range(150):
            await here.say("bob", thread, f"line {number}")
        question = await here.say("ann", thread, "so?")
        here.discord.faults.rate_limit(LIST, retry_after, before=1)
        found = await around(here, question, messages=120)
        if retry_after < 1:
            assert (len(found.messages), found.gaps) == (120, frozenset({Gap.MORE}))
            return
        assert (texts(found.messages), found.gaps) == ([f"line {n}" for n in range(51, 150)], frozenset({Gap.TIME}))
        before = [call.route for call in here.discord.calls].count(LIST)
        assert await around(here, question) == Surroundings(gaps=frozenset({Gap.TIME}))
        assert [call.route for call in here.discord.calls].count(LIST) == before

    async def test_the_headers_are_followed(self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the last call of a window, the next one waits for the next window: Discord never has to refuse."""
        monkeypatch.setattr(history, "PATIENCE_SECONDS", 60.0)
        limits = replace(NO_DISCORD_LIMITS, read=DiscordLimit(1, 0.5))
        async with room(redis_client, limits=limits, privileged=Intent.MESSAGE_CONTENT) as here:
            thread = here.discord.add_thread(here.place(GENERAL), "Talk")
            for number in range(250):
                await here.say("bob", thread, f"line {number}")
            found = await around(here, await here.say("ann", thread, "so?"), messages=200)
            assert (len(found.messages), found.gaps) == (200, frozenset({Gap.MORE}))
            assert not [call for call in here.discord.calls if call.status == 429]

    async def test_a_silent_discord(self, here: DiscordRoom, monkeypatch: pytest.MonkeyPatch) -> None:
        """When time is up, what came before is there."""
        monkeypatch.setattr(reader, "SECONDS", 4.0)
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        other = await here.say("bob", GENERAL, "words")
        await here.say("bob", thread, "in here")
        question = await here.say("ann", thread, f"so? {link(here, other)}")
        held = here.discord.faults.hold(GET)
        found = await around(here, question)
        held.release()
        assert found.gaps == {Gap.TIME}
        assert texts(found.messages) == ["in here"]
        assert not found.referred

    async def test_an_asker_who_may_not_read_the_history(self, here: DiscordRoom) -> None:
        """The bot may, but an answer in private would tell it to somebody from whom Discord hides it."""
        await here.say("bob", GENERAL, "yesterday's secret")
        ann = Overwrite(here.people["ann"].id, deny=Permission.READ_MESSAGE_HISTORY)
        here.discord.overwrite(here.place(GENERAL), ann)
        found = await around(here, await here.say("ann", GENERAL, "so?"), Context.ROOM)
        assert found == Surroundings(gaps=frozenset({Gap.PERMISSION}))
        found = await around(here, await here.say("max", GENERAL, "so?"), Context.ROOM)
        assert "yesterday's secret" in texts(found.messages)

    @pytest.mark.parametrize("status", [500, 502])
    async def test_a_failing_discord(self, here: DiscordRoom, status: int) -> None:
        """Nothing is raised."""
        thread = here.discord.add_thread(here.place(GENERAL), "Talk")
        question = await here.say("ann", thread, "so?")
        here.discord.faults.error("GET *", status, None)
        assert await around(here, question, Context.ROOM) == Surroundings(gaps=frozenset({Gap.TIME}))
