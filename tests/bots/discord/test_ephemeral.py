"""Discord's surfaces beside the reply itself, at the wire: messages for one person alone, and deletions."""

import time

import pytest

from bots.discord.api.rest import Token
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage, Overwrite, Permission
from core.domain.conversation import Address, Place, ResponseToken
from core.domain.errors import PlatformError
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.turn_id import TurnId
from tests.bots.discord.harness import GENERAL, DiscordRoom

SENTENCE = "You may not ask here."
POST_ROUTE = "POST /channels/{channel}/messages"
FOLLOW_UP = "POST /webhooks/{application}/{token}"


def address(
    here: DiscordRoom,
    question: DiscordMessage,
    *,
    placement: Placement = Placement.CHANNEL,
    thread: DiscordChannel | None = None,
) -> Address:
    """The address of an answer to a message."""
    guild = question.guild or "-"
    place = Place("discord", guild, thread.parent if thread else question.channel, thread.id if thread else "")
    return Address(place, placement, question.id, author=question.author.id, turn=TurnId(f"discord/x/{question.id}"))


def response(here: DiscordRoom, shown: Interaction, *, private: bool = False) -> Address:
    """The address of an answer to a command."""
    place = Place("discord", shown.channel.guild or "-", shown.channel.id, direct=not shown.channel.guild)
    token = str(Token(here.discord.application_id, shown.token))
    command = ResponseToken(token, time.time() + 800)
    turn = TurnId("discord/i/1")
    return Address(place, Placement.CHANNEL, "", command, shown.user.id, private=private, turn=turn)


async def pending(here: DiscordRoom, *, private: bool = False) -> Interaction:
    """A command of Ann's that is deferred and not answered yet: the model says nothing."""
    here.nebula.first_token = 30.0
    here.nebula.answer_next("Late.")
    shown = await here.slash("ann", GENERAL, "ask", prompt="hello", private=private)
    await here.until(lambda: shown.loading)
    return shown


class TestWhisper:
    """A sentence for the person who asked."""

    async def test_it_is_a_direct_message_that_says_where(self, here: DiscordRoom) -> None:
        """Nobody in the channel sees it."""
        question = await here.say("ann", GENERAL, "hello")
        await here.platform.open(address(here, question)).send_ephemeral(SENTENCE)
        assert here.said("@ann") == [f"-# In <#{question.channel}>: {SENTENCE}"]
        assert not here.said(GENERAL)

    async def test_without_direct_messages_the_person_gets_a_reply(self, here: DiscordRoom) -> None:
        """Without direct messages (50007) the sentence is a reply in the channel."""
        here.people["eve"] = here.discord.add_member(here.guild, "eve", dms=False)
        question = await here.say("eve", GENERAL, "hello")
        await here.platform.open(address(here, question)).send_ephemeral(SENTENCE)
        [reply] = here.shown(GENERAL)
        assert (reply.content, reply.reference) == (f"-# {SENTENCE}", question.id)

    async def test_it_fails_when_nothing_works(self, here: DiscordRoom) -> None:
        """Neither a direct message nor a reply works: the caller gets the error."""
        question = await here.say("ann", GENERAL, "hello")
        here.discord.faults.error(POST_ROUTE, 503, times=2)
        with pytest.raises(PlatformError):
            await here.platform.open(address(here, question)).send_ephemeral(SENTENCE)

    async def test_in_a_direct_message_it_stays_there(self, here: DiscordRoom) -> None:
        """In a direct message the sentence does not name the channel."""
        channel = here.place("@ann")
        place = Place("discord", "-", channel.id, direct=True)
        surface = here.platform.open(Address(place, Placement.CHANNEL, author=here.people["ann"].id))
        await surface.send_ephemeral(SENTENCE)
        assert here.said("@ann") == [f"-# {SENTENCE}"]

    async def test_a_deferred_response_is_deleted(self, here: DiscordRoom) -> None:
        """ "Thinking" disappears for everybody; only the person gets the sentence."""
        shown = await pending(here)
        await here.platform.open(response(here, shown)).send_ephemeral(SENTENCE)
        assert shown.original is None
        [sentence] = shown.followups
        assert (sentence.content, sentence.ephemeral_for) == (f"-# {SENTENCE}", here.people["ann"].id)

    async def test_an_answered_response_stays_as_it_is(self, here: DiscordRoom) -> None:
        """Once there is an answer, the sentence is a followup for one person."""
        here.nebula.answer_next("The answer.")
        shown = await here.slash("ann", GENERAL, "ask", prompt="hello")
        await here.until(lambda: shown.original is not None and shown.original.content.endswith("The answer."))
        await here.platform.open(response(here, shown)).send_ephemeral(SENTENCE)
        [sentence] = shown.followups
        assert (sentence.content, sentence.ephemeral_for) == (f"-# {SENTENCE}", here.people["ann"].id)
        assert shown.original is not None
        assert shown.original.content.endswith("The answer.")

    @pytest.mark.parametrize("private", [False, True])
    async def test_without_its_token_it_is_a_direct_message(self, here: DiscordRoom, private: bool) -> None:
        """The command's token no longer works."""
        shown = await pending(here, private=private)
        here.discord.faults.error("* /webhooks/*", 401, None, code=50027)
        await here.platform.open(response(here, shown, private=private)).send_ephemeral(SENTENCE)
        [sentence] = here.said("@ann")
        assert sentence.endswith(SENTENCE)
        assert not [one for one in here.said(GENERAL) if SENTENCE in one]


class TestDelete:
    """A surface deletes a message that it did not post itself."""

    async def test_an_answer_in_its_thread(self, here: DiscordRoom) -> None:
        """The reply opened the thread; Discord keeps the thread without our messages."""
        question = await here.say("ann", GENERAL, "hello")
        where = address(here, question, placement=Placement.THREAD)
        posted = await here.platform.open(where).post(Page("The answer."))
        [thread] = here.discord.threads(here.place(GENERAL))
        await here.discord.delete(question)
        await here.platform.open(where).delete(posted.id)
        assert not here.shown(thread)
        assert here.discord.threads(here.place(GENERAL))

    async def test_an_answer_whose_thread_could_not_be_opened(self, here: DiscordRoom) -> None:
        """The answer is in the channel, where the surface finds it."""
        question = await here.say("ann", GENERAL, "hello")
        here.discord.overwrite(
            here.place(GENERAL),
            Overwrite(here.guild.id, deny=Permission.CREATE_PUBLIC_THREADS),
            Overwrite(here.me.id, deny=Permission.CREATE_PUBLIC_THREADS),
        )
        where = address(here, question, placement=Placement.THREAD)
        posted = await here.platform.open(where).post(Page("The answer."))
        assert here.said(GENERAL) == ["The answer."]
        await here.platform.open(where).delete(posted.id)
        assert not here.shown(GENERAL)

    async def test_an_answer_in_the_thread_of_its_question(self, here: DiscordRoom) -> None:
        """The message is deleted even if the thread was archived meanwhile."""
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        question = await here.say("ann", thread, "hello")
        where = address(here, question, thread=thread)
        posted = await here.platform.open(where).post(Page("The answer."))
        here.discord.archive(thread)
        await here.platform.open(where).delete(posted.id)
        assert not here.shown(thread)

    async def test_a_missing_message_is_no_error(self, here: DiscordRoom) -> None:
        """Somebody already deleted the message, or its whole channel."""
        question = await here.say("ann", GENERAL, "hello")
        where = address(here, question, placement=Placement.THREAD)
        posted = await here.platform.open(where).post(Page("The answer."))
        for _ in range(2):
            await here.platform.open(where).delete(posted.id)
        for channel in (*here.discord.threads(here.place(GENERAL)), here.place(GENERAL)):
            here.discord.remove_channel(channel)
        await here.platform.open(where).delete(posted.id)

    async def test_an_answer_to_a_command_outside_its_token(self, here: DiscordRoom) -> None:
        """Messages that the token does not know are deleted as ordinary ones."""
        here.nebula.answer_next("The answer.")
        shown = await here.slash("ann", GENERAL, "ask", prompt="hello")
        await here.until(lambda: shown.original is not None and shown.original.content.endswith("The answer."))
        plain = await here.platform.open(address(here, await here.say("ann", GENERAL, "hi"))).post(Page("Plain."))
        assert shown.original is not None
        for message in (plain.id, shown.original.id):
            await here.platform.open(response(here, shown)).delete(message)
        assert not here.shown(GENERAL)
