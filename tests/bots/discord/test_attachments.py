"""Files of questions on Discord, at the wire: which ones a question brings along from each kind of place, and how their
content is fetched, also when its address has expired, and from nobody but Discord."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from redis.asyncio import Redis

from bots.discord.room.files import MOST_FILES
from bots.sandbox.discord.interactions import COMMAND, MODAL_SUBMIT
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.cdn import LIFETIME, Oddity
from bots.sandbox.discord.world.state import Watch
from bots.sandbox.discord.world.values import DiscordUpload, Overwrite, Permission
from bots.sandbox.nebula.server import NebulaServer
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Attachment
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, TooLong, Unreachable
from core.domain.question import Question
from core.inbound.dispatcher import Dispatcher
from core.inbound.menus import ASK, SUMMARISE
from core.store.turns import Acceptance
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_backfill import present
from tests.bots.discord.test_followups import opened
from tests.bots.discord.test_user_install import ABROAD, GROUP, ON, abroad
from tests.bounds import HANG_SECONDS

KIB, MIB = 1024, 1024 * 1024
MOST = 10 * MIB
PLAN = DiscordUpload("plan.txt", b"ZEBRA-7 is out", "text/plain")
FILES = "GET /attachments/*"
READ_MESSAGE = "GET /channels/{channel}/messages/{message}"


class Witness(Dispatcher):
    """The real dispatcher, which also keeps the questions that it receives."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Take the place of this dispatcher."""
        self.__dict__.update(dispatcher.__dict__)
        self.questions: list[Question] = []
        self.watch = Watch()

    async def heard(self, question: Question, rights: RightsOf) -> Response | None:
        self._note(question)
        return await super().heard(question, rights)

    async def ask(self, question: Question) -> Acceptance:
        self._note(question)
        return await super().ask(question)

    async def missed(self, question: Question) -> None:
        self._note(question)
        await super().missed(question)

    def _note(self, question: Question) -> None:
        self.questions.append(question)
        self.watch.changed()


class Seen:
    """Puts a witness in the place of a bot's dispatcher."""

    witness: Witness

    def take(self, dispatcher: Dispatcher) -> Dispatcher:
        """The witness."""
        self.witness = Witness(dispatcher)
        return self.witness


class Desk:
    """A room, and the questions that the bot receives there."""

    def __init__(self, here: DiscordRoom, witness: Witness) -> None:
        self.here, self.witness = here, witness

    async def question(self, of: Callable[[Question], bool] = lambda _: True) -> Question:
        """The newest question that the bot received, once there is one."""
        return await self.witness.watch.until(
            lambda: next((each for each in reversed(self.witness.questions) if of(each)), None), HANG_SECONDS
        )

    async def file(self) -> Attachment:
        """The only file of the newest question with files."""
        [found] = (await self.question(lambda each: bool(each.attachments))).attachments
        return found

    async def fetch(self, file: Attachment, most: int = MOST) -> bytes:
        """The content of a file, as the bot gets it."""
        return await self.here.platform.fetch(file, most)

    async def mentioned(self, *uploads: DiscordUpload, text: str = "@nebula what is that?") -> Attachment:
        """Ann mentions the bot with files; return the only one."""
        asked = await self.here.say("ann", GENERAL, text, attachments=uploads)
        [found] = (await self.question(lambda each: each.message == asked.id)).attachments
        return found

    def expire(self) -> None:
        """Turn the clock of Discord's files on, until all addresses that are known now have expired."""
        self.here.discord.cdn.ahead += LIFETIME + 1

    @property
    def asked_again(self) -> int:
        """How often the bot asked for a message."""
        return sum(call.route == READ_MESSAGE for call in self.here.discord.calls)

    @property
    def statuses(self) -> list[int]:
        """How the requests for files were answered."""
        return [each.status for each in self.here.discord.cdn.requests]


async def at_desk(redis: Redis, privileged: Intent, **options: Any) -> AsyncIterator[Desk]:
    """A room whose dispatcher keeps what it receives. The bot itself has no time to fetch files."""
    seen, changes = Seen(), {"files_seconds": 1e-9, **options.pop("changes", {})}
    async with room(redis, privileged=privileged, changes=changes, dispatcher=seen.take, **options) as here:
        yield Desk(here, seen.witness)


@pytest_asyncio.fixture
async def desk(redis_client: Redis) -> AsyncIterator[Desk]:
    """A room whose bot may read what people write."""
    async for each in at_desk(redis_client, Intent.MESSAGE_CONTENT):
        yield each


@pytest_asyncio.fixture
async def blind(redis_client: Redis) -> AsyncIterator[Desk]:
    """A room whose bot has no privileged intent."""
    async for each in at_desk(redis_client, Intent.NONE):
        yield each


@pytest_asyncio.fixture(params=[Intent.MESSAGE_CONTENT, Intent.NONE], ids=["intent", "no intent"])
async def either(redis_client: Redis, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A room with the intent, and one without."""
    async for each in at_desk(redis_client, request.param):
        yield each


async def mention(here: DiscordRoom) -> None:
    await here.say("ann", GENERAL, "@nebula what is that?", attachments=[PLAN])


async def direct(here: DiscordRoom) -> None:
    await here.say("ann", "@ann", "what is that?", attachments=[PLAN])


async def alone(here: DiscordRoom) -> None:
    await here.say("ann", "@ann", "", attachments=[PLAN])


async def bare(here: DiscordRoom) -> None:
    await here.say("ann", GENERAL, "@nebula", attachments=[PLAN])


async def in_thread(here: DiscordRoom) -> None:
    thread = here.discord.add_thread(here.place(GENERAL), "Aside")
    await here.say("ann", thread, "@nebula what is that?", attachments=[PLAN])


async def forwarded(here: DiscordRoom) -> None:
    said = await here.say("bob", GENERAL, "the plan", attachments=[PLAN])
    await here.discord.forward(here.people["ann"], said, here.place("@ann"))


async def followed_up(here: DiscordRoom) -> None:
    await here.say("ann", await opened(here), "and that?", attachments=[PLAN])


async def followed_up_alone(here: DiscordRoom) -> None:
    await here.say("ann", await opened(here), "", attachments=[PLAN])


async def replied(here: DiscordRoom) -> None:
    said = await here.say("bob", GENERAL, "the plan", attachments=[PLAN])
    await here.say("ann", GENERAL, "@nebula what is that?", reply_to=said)


async def replied_to_forward(here: DiscordRoom) -> None:
    said = await here.say("bob", "#random", "the plan", attachments=[PLAN])
    shown = await here.discord.forward(here.people["bob"], said, here.place(GENERAL))
    await here.say("ann", GENERAL, "@nebula", reply_to=shown)


async def unpinged(here: DiscordRoom) -> None:
    await here.say("ann", GENERAL, "@nebula hello")
    await here.until(lambda: here.said(GENERAL))
    await here.bot.runner.idle()
    [answer] = here.shown(GENERAL)
    await here.say("ann", GENERAL, "", reply_to=answer, ping=False, attachments=[PLAN])


async def menu(here: DiscordRoom) -> None:
    await here.asked_about("ann", await here.say("bob", GENERAL, "the plan", attachments=[PLAN]), "what is that?")


async def menu_on_file(here: DiscordRoom) -> None:
    await here.asked_about("ann", await here.say("bob", GENERAL, "", attachments=[PLAN]), "what is that?")


async def menu_on_forward(here: DiscordRoom) -> None:
    said = await here.say("bob", "#random", "the plan", attachments=[PLAN])
    shown = await here.discord.forward(here.people["bob"], said, here.place(GENERAL))
    await here.asked_about("ann", shown, "what is that?")


async def summarised(here: DiscordRoom) -> None:
    await here.menu("ann", await here.say("bob", GENERAL, "the plan", attachments=[PLAN]), SUMMARISE)


async def by_command(here: DiscordRoom) -> None:
    await here.slash("ann", GENERAL, "ask", prompt="what is that?", file=PLAN)


async def by_private_command(here: DiscordRoom) -> None:
    await here.slash("ann", "@ann", "ask", prompt="what is that?", private="True", file=PLAN)


Way = Callable[[DiscordRoom], Awaitable[None]]
ANYWHERE = [mention, bare, direct, alone, in_thread, menu, menu_on_file, menu_on_forward, summarised]
WITH_INTENT = [forwarded, followed_up, followed_up_alone, replied, replied_to_forward, unpinged]
COMMANDS = [by_command, by_private_command]


def named(way: Way) -> str:
    return getattr(way, "__name__", "")


class TestBrought:
    """What a question brings along."""

    @pytest.mark.parametrize("way", [*ANYWHERE, *COMMANDS], ids=named)
    async def test_without_the_intent(self, blind: Desk, way: Way) -> None:
        """Mentions, direct messages, menus and commands bring their files, and they can be read."""
        await self._is_read(blind, way)

    @pytest.mark.parametrize("way", [*ANYWHERE, *WITH_INTENT, *COMMANDS], ids=named)
    async def test_with_the_intent(self, desk: Desk, way: Way) -> None:
        """So do forwards, replies to somebody's message, and what is said without a mention."""
        await self._is_read(desk, way)

    async def _is_read(self, desk: Desk, way: Way) -> None:
        await way(desk.here)
        file = await desk.file()
        assert (file.name, file.kind, file.size) == (PLAN.name, PLAN.kind, len(PLAN.data))
        assert file.file.isdecimal()
        assert await desk.fetch(file) == PLAN.data
        assert desk.statuses == [200]

    @pytest.mark.parametrize("way", [alone, followed_up_alone, unpinged], ids=named)
    async def test_a_file_alone_is_a_question(self, desk: Desk, way: Way) -> None:
        """Without a text, and whatever Discord does with replies that do not ping."""
        await way(desk.here)
        question = await desk.question(lambda each: bool(each.attachments))
        assert (question.text, question.declined) == ("", None)

    @pytest.mark.parametrize("where", [ABROAD, GROUP])
    async def test_where_the_bot_is_no_member(self, redis_client: Redis, where: str) -> None:
        """Whoever brings the app along can give it a file, too, and use a menu on one."""
        async for desk in at_desk(redis_client, Intent.NONE, changes=ON, before=abroad):
            here = desk.here
            await here.slash("ann", where, "ask", prompt="what is that?", file=PLAN)
            assert await desk.fetch(await desk.file()) == PLAN.data
            said = await here.say("bob", where, "the plan", attachments=[PLAN])
            await here.asked_about("ann", said, "and that?")
            [file] = (await desk.question(lambda each: bool(each.about))).attachments
            assert await desk.fetch(file) == PLAN.data
            desk.expire()
            with pytest.raises((Gone, Forbidden)):
                await desk.fetch(file)

    async def test_where_to_ask_for_it_again(self, desk: Desk) -> None:
        """Each file names its message: its own, or the one that the question replies to; a file of a command none."""
        said = await desk.here.say("bob", GENERAL, "the plan", attachments=[PLAN])
        other = DiscordUpload("mine.txt", b"mine")
        asked = await desk.here.say("ann", GENERAL, "@nebula which?", reply_to=said, attachments=[other])
        question = await desk.question()
        places = [(each.name, each.channel, each.message) for each in question.attachments]
        assert places == [("mine.txt", asked.channel, asked.id), ("plan.txt", said.channel, said.id)]
        await by_command(desk.here)
        [file] = (await desk.question(lambda each: each.interaction is not None)).attachments
        assert (file.channel, file.message) == ("", "")

    async def test_our_own_files_are_not_brought(self, desk: Desk) -> None:
        """A reply to our answer is about what we said, and the history has that."""
        here = desk.here
        await here.answered("ann", "@ann", "a word alone", "Alone.")
        await here.say("ann", "@ann", "!export")
        [export] = await here.until(lambda: [one for one in here.shown("@ann") if one.attachments])
        await here.say("ann", "@ann", "and that?", reply_to=export)
        question = await desk.question(lambda each: each.text == "and that?")
        assert question.attachments == ()

    async def test_what_discord_withholds_is_not_brought(self, blind: Desk) -> None:
        """Without the intent, somebody else's message comes without its files."""
        await replied(blind.here)
        assert (await blind.question()).attachments == ()

    async def test_a_file_of_a_missed_question(self, redis_client: Redis) -> None:
        """A question from a time when nobody listened has its file."""
        async with discord_server() as discord, NebulaServer() as model:
            here, seen = DiscordRoom(discord, model), Seen()
            async with running(here, redis_client, config_for(discord, model)):
                await present(redis_client)
            await mention(here)
            async with running(here, redis_client, config_for(discord, model), dispatcher=seen.take):
                desk = Desk(here, seen.witness)
                assert await desk.fetch(await desk.file()) == PLAN.data

    async def test_a_proxy_posts_the_files_anew(self, desk: Desk) -> None:
        """Those of the original go with it: the question has the files of the message that took its place."""
        here = desk.here
        original = await here.say("ann", GENERAL, "L: @nebula what is that?", attachments=[PLAN])
        await desk.question()
        await here.discord.delete(original)
        await here.until(lambda: here.discord.message(original) is None)
        copy = DiscordUpload("plan.txt", b"the copy", "text/plain")
        text = f"<@{here.me.id}> what is that?"
        reposted = await here.discord.webhook_says("Luna", here.place(GENERAL), text, attachments=[copy])
        question = await desk.question(lambda each: each.message == reposted.id)
        [file] = question.attachments
        assert await desk.fetch(file) == b"the copy"

    async def test_a_menu_whose_message_is_read_anew(self, desk: Desk, redis_client: Redis) -> None:
        """After a restart between form and question, the files come with the message that is read anew."""
        here = desk.here
        said = await here.say("bob", GENERAL, "the plan", attachments=[PLAN])
        field = {"type": 18, "component": {"type": 4, "custom_id": "text", "value": "well?"}}
        data = {"custom_id": f"about:1:{said.id}", "components": [field]}
        place = next(each for each in here.discord.channels(here.guild) if each.id == said.channel)
        here.discord.interactions.send(MODAL_SUBMIT, here.people["ann"], place, ASK, data)
        assert await desk.fetch(await desk.file()) == PLAN.data

    async def test_two_hundred_files(self, desk: Desk) -> None:
        """However many there are, a question has a bounded number of them, the first ones."""
        here, dm = desk.here, desk.here.discord.open_dm(desk.here.people["ann"])
        await here.until(lambda: any(each["name"] == SUMMARISE for each in here.discord.commands.registered))
        blank = {"size": 1, "url": "", "proxy_url": ""}
        files = [{"id": f"{each + 1}", "filename": f"{each}.txt"} | blank for each in range(200)]
        author = {"id": here.people["ann"].id, "username": "ann", "discriminator": "0", "avatar": None}
        message: dict[str, Any] = {
            "id": "1400000000000000001",
            "channel_id": dm.id,
            "type": 0,
            "content": "x",
            "author": author,
        }
        message |= {"attachments": files, "mentions": []}
        here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: message, guild="", direct_intent=Intent.NONE)
        first = await desk.question()
        data: dict[str, Any] = {"id": "1", "name": SUMMARISE, "type": 3, "target_id": message["id"]}
        data |= {"resolved": {"messages": {message["id"]: message}}}
        here.discord.interactions.send(COMMAND, here.people["ann"], dm, SUMMARISE, data)
        for question in (first, await desk.question(lambda each: bool(each.about))):
            assert [each.name for each in question.attachments] == [f"{each}.txt" for each in range(MOST_FILES)]

    @pytest.mark.parametrize("resolved", [None, {}, {"attachments": {}}, {"attachments": {"7": "x"}}], ids=str)
    async def test_a_command_without_its_file(self, blind: Desk, resolved: Any) -> None:
        """A file that was given but did not come is said: the question is not answered without it."""
        here, dm = blind.here, blind.here.discord.open_dm(blind.here.people["ann"])
        await here.until(lambda: any(each["name"] == "ask" for each in here.discord.commands.registered))
        command = next(each for each in here.discord.commands.registered if each["name"] == "ask")
        options = [{"name": "prompt", "type": 3, "value": "what is that?"}, {"name": "file", "type": 11, "value": "7"}]
        data = {"id": command["id"], "name": "ask", "type": 1, "options": options, "resolved": resolved}
        shown = here.discord.interactions.send(COMMAND, here.people["ann"], dm, "ask", data)
        original = await here.until(lambda: shown.original)
        assert original
        assert "can't read this command" in original.content
        assert not blind.witness.questions

    @pytest.mark.parametrize(
        "rubbish",
        [
            [7, None, "x", {}],
            {"id": "1"},
            [{"id": ["1"], "filename": None, "size": "big", "url": None, "content_type": 7}],
            [{"id": "../1", "filename": {}, "size": -1, "url": "\u0000"}],
        ],
        ids=str,
    )
    async def test_rubbish_in_place_of_files(self, blind: Desk, rubbish: Any) -> None:
        """Whatever a menu hands over, the question is asked; what has no address can't be read."""
        here, dm = blind.here, blind.here.discord.open_dm(blind.here.people["ann"])
        await here.until(lambda: any(each["name"] == SUMMARISE for each in here.discord.commands.registered))
        author = {"id": here.people["ann"].id, "username": "ann", "discriminator": "0", "avatar": None}
        message: dict[str, Any] = {"id": "1400000000000000001", "channel_id": dm.id, "type": 0, "content": "x"}
        message |= {"author": author, "attachments": rubbish, "mentions": []}
        data: dict[str, Any] = {"id": "1", "name": SUMMARISE, "type": 3, "target_id": message["id"]}
        data |= {"resolved": {"messages": {message["id"]: message}}}
        here.discord.interactions.send(COMMAND, here.people["ann"], dm, SUMMARISE, data)
        for file in (await blind.question()).attachments:
            assert (file.file, file.size) == ("", 0)
            with pytest.raises(PlatformError):
                await blind.fetch(file)

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("a\nb\r\nc.txt", "a b c.txt"),
            ("exe.\u202etxt.pdf", "exe.txt.pdf"),
            ("../", "a file without a name"),
            ("x" * 5000, "x" * 99 + "…"),
        ],
        ids=ascii,
    )
    async def test_names(self, blind: Desk, name: str, shown: str) -> None:
        """A name holds neither folders nor line breaks nor marks that turn letters round; the file can be read."""
        for way in (self._mention, self._command):
            await way(blind, DiscordUpload(name, b"x"))
            file = await blind.file()
            assert file.name == shown
            if len(name) < KIB:  # no server takes such an address
                assert await blind.fetch(file) == b"x"

    async def _mention(self, desk: Desk, upload: DiscordUpload) -> None:
        await desk.mentioned(upload)

    async def _command(self, desk: Desk, upload: DiscordUpload) -> None:
        await desk.here.slash("ann", GENERAL, "ask", prompt="what is that?", file=upload)
        await desk.question(lambda each: each.interaction is not None)

    async def test_a_kind_that_discord_does_not_know(self, blind: Desk) -> None:
        """Discord leaves the type out then."""
        assert (await blind.mentioned(DiscordUpload("what", b"x", ""))).kind == "application/octet-stream"


class TestRenewed:
    """An address that no longer works."""

    @pytest.mark.parametrize("way", [mention, direct, in_thread], ids=named)
    async def test_it_has_expired(self, either: Desk, way: Way) -> None:
        """The message is asked for another one, with the intent and without."""
        await way(either.here)
        await self._is_renewed(either)

    @pytest.mark.parametrize("way", [*WITH_INTENT, menu, menu_on_forward, summarised], ids=named)
    async def test_with_the_intent(self, desk: Desk, way: Way) -> None:
        """So is the one that the question replies to, forwards, or that a menu was used on."""
        await way(desk.here)
        await self._is_renewed(desk)

    async def _is_renewed(self, desk: Desk) -> None:
        file = await desk.file()
        desk.expire()
        assert await desk.fetch(file) == PLAN.data
        assert desk.statuses == [404, 200]

    async def test_a_later_question_goes_on_about_it(self, redis_client: Redis) -> None:
        """Its message is asked where it is now, as any file's is whose address has expired."""
        async with room(redis_client) as here:
            await here.say("ann", GENERAL, "@nebula what is that?", attachments=[PLAN])
            await here.until(lambda: any("Read plan.txt" in text for text in here.said(GENERAL)))
            await here.bot.runner.idle()
            here.discord.cdn.ahead += LIFETIME + 1
            await here.say("ann", GENERAL, "@nebula and when?")
            await here.until(lambda: any("Read again: plan.txt" in text for text in here.said(GENERAL)))
            assert "ZEBRA-7 is out" in here.asked()
            assert sum(call.route == READ_MESSAGE for call in here.discord.calls) == 1

    async def test_discord_refuses_it(self, blind: Desk) -> None:
        """Discord may also say 403."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.faults.error(FILES, 403)
        assert await blind.fetch(file) == PLAN.data
        assert blind.statuses == [403, 200]

    @pytest.mark.parametrize(("status", "error"), [(403, Forbidden), (404, Gone)])
    async def test_it_is_renewed_once(self, blind: Desk, status: int, error: type[PlatformError]) -> None:
        """If the new address is refused too, that is said."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.faults.error(FILES, status, times=None)
        with pytest.raises(error):
            await blind.fetch(file)
        assert blind.statuses == [status, status]

    async def test_a_deleted_message(self, blind: Desk) -> None:
        """Its files are deleted with it."""
        here = blind.here
        asked = await here.say("ann", GENERAL, "@nebula what is that?", attachments=[PLAN])
        file = await blind.file()
        await here.discord.delete(asked)
        with pytest.raises(Gone):
            await blind.fetch(file)

    async def test_a_file_that_was_taken_out_of_its_message(self, desk: Desk) -> None:
        """The message is there, and has another file."""
        here = desk.here
        asked = await here.say("ann", GENERAL, "@nebula which?", attachments=[PLAN, DiscordUpload("b.txt", b"b")])
        [file, other] = (await desk.question()).attachments
        await here.discord.take_out(asked, "plan.txt")
        desk.expire()
        with pytest.raises(Gone):
            await desk.fetch(file)
        assert await desk.fetch(other) == b"b"

    @pytest.mark.parametrize("way", COMMANDS, ids=named)
    async def test_a_file_of_a_command(self, blind: Desk, way: Way) -> None:
        """Nobody can ask for it again: it is gone, and Discord is not asked."""
        await way(blind.here)
        file, before = await blind.file(), blind.asked_again
        blind.expire()
        with pytest.raises(Gone, match="with a command"):
            await blind.fetch(file)
        assert blind.asked_again == before

    async def test_a_message_that_discord_withholds(self, blind: Desk) -> None:
        """A menu handed somebody's message over; without the intent Discord shows no more of it."""
        await menu(blind.here)
        file = await blind.file()
        assert await blind.fetch(file) == PLAN.data
        blind.expire()
        with pytest.raises(Forbidden):
            await blind.fetch(file)

    async def test_a_channel_that_is_closed_to_the_bot(self, desk: Desk) -> None:
        """Meanwhile the bot may no longer see it."""
        file = await desk.mentioned(PLAN)
        channel = desk.here.place(GENERAL)
        desk.here.discord.overwrite(channel, Overwrite(desk.here.me.id, deny=Permission.VIEW_CHANNEL))
        desk.expire()
        with pytest.raises(Forbidden):
            await desk.fetch(file)

    @pytest.mark.parametrize("status", [500, 503])
    async def test_discord_fails(self, blind: Desk, status: int) -> None:
        """Neither a failure of the files nor one of the API says that the file is gone."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.faults.error(FILES, status)
        with pytest.raises(Unreachable):
            await blind.fetch(file)
        assert blind.statuses == [status]
        blind.expire()
        blind.here.discord.faults.error(READ_MESSAGE, status, times=None)
        with pytest.raises(Unreachable):
            await blind.fetch(file)

    async def test_too_many_calls(self, blind: Desk) -> None:
        """A rate limit passes."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.faults.rate_limit(FILES, 60.0)
        with pytest.raises(Unreachable):
            await blind.fetch(file)
        blind.expire()
        blind.here.discord.faults.rate_limit(READ_MESSAGE, 60.0)
        with pytest.raises(Unreachable):
            await blind.fetch(file)

    async def test_a_new_signature_is_no_edit(self, desk: Desk) -> None:
        """A message whose text stays as it was offers no new answer, although its file has another address."""
        here = desk.here
        here.nebula.answer_next("A release.")
        asked = await here.say("ann", GENERAL, "@nebula what is that?", attachments=[PLAN])
        await here.until(lambda: any(each.endswith("A release.") for each in here.said(GENERAL)))
        await here.bot.runner.idle()
        here.discord.cdn.ahead += 60
        await here.discord.edit(asked, "@nebula  what is that?")
        await here.answered("bob", GENERAL, "@nebula next", "Next.")  # it waits until the edit is handled
        assert len(here.said(GENERAL)) == 2


class TestBounds:
    """However large a file is, or says it is."""

    async def test_a_claim_of_three_gigabytes(self, blind: Desk) -> None:
        """A file that its message says is too large is not even asked for."""
        file = await blind.mentioned(DiscordUpload("big.txt", b"x" * KIB, claims=3 * KIB * MIB))
        assert file.size == 3 * KIB * MIB
        with pytest.raises(TooLong):
            await blind.fetch(file)
        assert blind.statuses == []

    async def test_a_length_of_three_gigabytes(self, blind: Desk) -> None:
        """One of which the server says so is not read."""
        file = await blind.mentioned(DiscordUpload("big.txt", b"x" * KIB))
        blind.here.discord.cdn.odd[file.file] = Oddity(length=3 * KIB * MIB)
        with pytest.raises(TooLong):
            await blind.fetch(file)

    async def test_eleven_megabytes_that_claim_to_be_a_kilobyte(self, blind: Desk) -> None:
        """What comes counts, not what was said; with room for it, it is read."""
        data = b"x" * (11 * MIB)
        file = await blind.mentioned(DiscordUpload("small.txt", data, claims=KIB))
        blind.here.discord.cdn.odd[file.file] = Oddity()
        with pytest.raises(TooLong):
            await blind.fetch(file)
        assert await blind.fetch(file, 12 * MIB) == data

    @pytest.mark.parametrize("more", [0, 1])
    async def test_exactly_as_much_as_is_allowed(self, blind: Desk, more: int) -> None:
        """A byte more is too much, also if nothing said so."""
        file = await blind.mentioned(DiscordUpload("a.txt", b"x" * (KIB + more), claims=0))
        blind.here.discord.cdn.odd[file.file] = Oddity()
        if more:
            with pytest.raises(TooLong):
                await blind.fetch(file, KIB)
        else:
            assert len(await blind.fetch(file, KIB)) == KIB

    async def test_an_empty_file(self, blind: Desk) -> None:
        """It has no bytes, and that is no failure."""
        assert await blind.fetch(await blind.mentioned(DiscordUpload("a.txt", b""))) == b""

    @pytest.mark.parametrize("length", [2 * KIB, None])
    async def test_a_file_that_breaks_off(self, blind: Desk, length: int | None) -> None:
        """Half a file is none."""
        file = await blind.mentioned(DiscordUpload("a.txt", b"x" * KIB))
        if length:
            blind.here.discord.cdn.odd[file.file] = Oddity(length=length)
        else:
            blind.here.discord.faults.reset(FILES, times=None)
        with pytest.raises(Unreachable):
            await blind.fetch(file)

    async def test_a_packed_body_is_refused(self, blind: Desk) -> None:
        """A small one may unpack to a large one: we ask for none, and take none."""
        file = await blind.mentioned(DiscordUpload("a.txt", gzip.compress(b"x" * (11 * MIB))))
        blind.here.discord.cdn.odd[file.file] = Oddity(encoding="gzip")
        with pytest.raises(Unreachable):
            await blind.fetch(file)
        assert blind.here.discord.cdn.requests[-1].headers["Accept-Encoding"] == "identity"

    async def test_a_packed_file_stays_packed(self, blind: Desk) -> None:
        """A file that is an archive is what it is."""
        data = gzip.compress(b"x" * KIB)
        assert await blind.fetch(await blind.mentioned(DiscordUpload("a.gz", data, "application/gzip"))) == data

    async def test_the_caller_decides_how_long_it_takes(self, blind: Desk) -> None:
        """Whoever waits no longer gets rid of it at once, and it can be fetched again."""
        file = await blind.mentioned(PLAN)
        held = blind.here.discord.faults.hold(FILES)
        fetching = asyncio.create_task(blind.fetch(file))
        await blind.here.until(lambda: held.met)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        held.release()
        assert await blind.fetch(file) == PLAN.data


class TestHosts:
    """Who is asked for a file, and what it learns."""

    async def test_the_token_stays_here(self, blind: Desk) -> None:
        """Whoever serves the file needs none."""
        file = await blind.mentioned(PLAN)
        blind.expire()
        await blind.fetch(file)
        assert blind.statuses == [404, 200]
        for each in blind.here.discord.cdn.requests:
            assert not each.headers.keys() & {"Authorization", "Cookie"}
            assert blind.here.discord.token not in str(each)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_a_redirect_to_another_host(self, blind: Desk, host: str) -> None:
        """Nobody else is asked, not even another port of the same machine."""
        file = await blind.mentioned(PLAN)
        async with discord_server() as other:
            port = other.api_url.split(":")[2].partition("/")[0]
            blind.here.discord.cdn.odd[file.file] = Oddity(f"http://{host}:{port}/attachments/1/2/a.txt")
            with pytest.raises(Rejected):
                await blind.fetch(file)
            assert other.cdn.requests == []
        assert blind.asked_again == 0

    @pytest.mark.parametrize(
        "location",
        [
            "http://cdn.discordapp.com/attachments/1/2/a.txt",
            "//evil.test/a.txt",
            "https://cdn.discordapp.com@evil.test/",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1",
        ],
    )
    async def test_a_redirect_to_what_is_not_discord(self, blind: Desk, location: str) -> None:
        """Each step is looked at like the first address."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.cdn.odd[file.file] = Oddity(location)
        with pytest.raises(Rejected):
            await blind.fetch(file)

    async def test_a_redirect_within_the_host(self, blind: Desk) -> None:
        """It is followed, but not for ever."""
        first = await blind.mentioned(PLAN)
        blind.here.discord.cdn.odd[first.file] = Oddity(first.url)
        with pytest.raises(Unreachable):
            await blind.fetch(first)
        second = await blind.mentioned(DiscordUpload("b.txt", b"b"))
        blind.here.discord.cdn.odd[first.file] = Oddity(second.url.removeprefix(blind.here.discord.cdn.base))
        assert await blind.fetch(first) == b"b"

    @pytest.mark.parametrize(
        "address",
        [
            "http://cdn.discordapp.com/attachments/1/2/a.txt",
            "https://cdn.discordapp.com.evil.test/attachments/1/2/a.txt",
            "https://evil.test/cdn.discordapp.com/a.txt",
            "https://user@cdn.discordapp.com/attachments/1/2/a.txt",
            "https://user:word@media.discordapp.net/attachments/1/2/a.txt",
            "https://cdn.discordapp.com@evil.test/a.txt",
            "https://cdn.discordapp.com:8443/attachments/1/2/a.txt",
            "https://evil.test\\@cdn.discordapp.com/a.txt",
            "https://evil.test#@cdn.discordapp.com/a.txt",
            "https://xcdn.discordapp.com/a.txt",
            "https://discord.com/a.txt",
            "https://127.0.0.1/a.txt",
            "ftp://cdn.discordapp.com/a.txt",
            "file:///etc/passwd",
            "cdn.discordapp.com/a.txt",
            "https://cdn.discordapp.com:port/a.txt",
            "https://[",
            "",
        ],
    )
    async def test_a_host_in_disguise(self, blind: Desk, address: str) -> None:
        """Discord's hosts are asked by TLS alone, and nobody else is; the message is not asked for another address."""
        file = Attachment("a.txt", "text/plain", address, 3, "2", "1", "3")
        with pytest.raises(Rejected):
            await blind.fetch(file)
        assert blind.asked_again == 0

    @pytest.mark.parametrize("host", ["cdn.discordapp.com", "media.discordapp.net"])
    async def test_discords_own_hosts(self, blind: Desk, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are asked by TLS, here by way of a proxy that lets nothing through."""
        tunnels: list[str] = []

        async def refuse(request: web.BaseRequest) -> web.Response:
            tunnels.append(f"{request.method} {request.path_qs or request.raw_path}")
            return web.Response(status=502)

        server = web.ServerRunner(web.Server(refuse))
        await server.setup()
        site = web.TCPSite(server, "127.0.0.1", 0)
        await site.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.addresses[0][1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        try:
            with pytest.raises(Unreachable):
                await blind.fetch(Attachment("a.txt", "text/plain", f"https://{host}/attachments/1/2/a.txt", 3))
        finally:
            await server.cleanup()
        assert len(tunnels) == 1
        assert host in tunnels[0]

    async def test_addresses_are_in_no_log(self, blind: Desk, caplog: pytest.LogCaptureFixture) -> None:
        """Whoever knows one can read the file."""
        file = await blind.mentioned(PLAN)
        blind.here.discord.faults.error(FILES, 404, times=None)
        with pytest.raises(Gone) as refused:
            await blind.fetch(file)
        mark = file.url.partition("hm=")[2]
        assert mark
        assert mark not in caplog.text + repr(refused.value) + repr(refused.value.__cause__)
