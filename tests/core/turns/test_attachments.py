"""Files of questions: what of them is read, sent, said and remembered."""

import asyncio
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault, Received
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Attachment
from core.domain.errors import Forbidden, Gone, Hidden, Rejected, Unreachable
from core.domain.page import Action
from core.domain.question import Question
from core.domain.surroundings import Role, Said, Surroundings
from core.files.attachments import MOST_EARLIER, RECENT
from core.files.quoting import EARLIER
from core.turns.assistant import NOTHING_TO_READ
from tests.core.core_harness import BOB, HERE, ROOM, Process, Rooms, process
from tests.redis_server import stored

SEES = "Qwen/Qwen2.5-VL-7B-Instruct"
THREAD = replace(ROOM, thread="T1")
# Seconds for the files of a question. Only what begins in the first half of them is to blame for being slow: a process
# that stands still after it began to wait must not miss that half.
IN_TIME = 4.0


def picture(color: str = "red") -> bytes:
    """A small PNG."""
    written = BytesIO()
    Image.new("RGB", (8, 8), color).save(written, "PNG")
    return written.getvalue()


def attached(bot: Process, **files: bytes | Exception) -> tuple[Attachment, ...]:
    """Files that the platform keeps, by the beginnings of their names."""
    found = []
    for name, content in files.items():
        full = name.replace("_", ".")
        bot.rooms.files[full] = content
        size = len(content) if isinstance(content, bytes) else 0
        found.append(Attachment(full, "", "", size, file=full))
    return tuple(found)


async def asked(bot: Process, text: str, files: tuple[Attachment, ...] = (), **more: Any) -> Question:
    """Ask with these files, and wait for the answer."""
    question = bot.question(text, attachments=files, **more)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return question


def sent(server: NebulaServer) -> str:
    """The newest question as the model read it."""
    return server.requests[-1].messages[-1].content


def too_long() -> web.Response:
    """A refusal without numbers."""
    error = {"message": "prompt is too long", "code": "context_length_exceeded"}
    return web.json_response({"error": error}, status=400)


async def test_a_text_is_quoted_before_the_question_and_named(bot: Process, server: NebulaServer) -> None:
    """The block names the file, and the small print says what was read."""
    server.answer_next("A fault.")
    question = await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full\n" * 100))
    words = sent(server)
    assert '<file name="app.log" kind="text">\ndisk full' in words
    assert words.endswith("</file>\n\nAnn: What is wrong?\n\n[file: app.log]")
    assert bot.shown(question) == "Read app.log (1 KB).\nA fault."


async def test_later_questions_go_on_about_a_file(bot: Process, server: NebulaServer) -> None:
    """It is fetched again, since the history has its name alone; the small print says so."""
    server.answer_next("A fault.")
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full"))
    question = await asked(bot, "And now?")
    assert server.requests[-1].messages[1].content == "Ann: What is wrong?\n\n[file: app.log]"
    assert sent(server).startswith(EARLIER)
    assert '<file name="app.log" kind="text">\ndisk full\n</file>\n\nAnn: And now?' in sent(server)
    assert bot.shown(question).startswith("Read again: app.log (9 B).")
    assert bot.rooms.fetched == ["app.log", "app.log"]


async def test_a_file_of_long_ago_is_a_name(bot: Process, server: NebulaServer) -> None:
    """As is an older one, if there are many."""
    for number in range(MOST_EARLIER + 1):
        await asked(bot, "Look.", attached(bot, **{f"f{number}_txt": b"words"}))
    await asked(bot, "And now?")
    assert [f"f{number}.txt" in sent(server) for number in range(MOST_EARLIER + 1)] == [False, True, True, True]
    for _ in range(RECENT):
        await asked(bot, "And now?")
    assert "words" not in sent(server)


async def test_a_new_file_comes_before_earlier_ones(bot: Process, server: NebulaServer) -> None:
    """These have a quarter of the window at most, and no more than it leaves."""
    text = "\n".join(f"line {number} of the log" for number in range(20_000)).encode()
    await asked(bot, "Why?", attached(bot, old_log=text))
    await asked(bot, "And this?", attached(bot, b_txt=b"some words"))
    assert '<file name="b.txt" kind="text">\nsome words\n</file>\n\nAnn: And this?' in sent(server)
    assert "line 19999 of" in sent(server)
    quarter = len(sent(server))
    question = await asked(bot, "And this?", attached(bot, c_log=text))
    assert '<file name="c.log"' in sent(server)
    assert '<file name="old.log"' not in sent(server)
    assert quarter < 0.6 * len(sent(server))
    assert "Read again" not in bot.shown(question)


async def test_in_a_channel_ones_own_files_are_read_again(bot: Process, server: NebulaServer) -> None:
    """In a thread everybody's, since all there is one dialogue."""
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full"))
    await asked(bot, "And now?", author=BOB)
    assert "disk full" not in sent(server)
    await asked(bot, "And now?")
    assert "disk full" in sent(server)
    await asked(bot, "What is wrong?", attached(bot, b_log=b"on fire"), place=THREAD)
    await asked(bot, "And now?", author=BOB, place=THREAD)
    assert "on fire" in sent(server)
    assert "disk full" not in sent(server)


@pytest.mark.parametrize(("text", "said"), [("And now?", False), ("Is the file long?", True), ("And app.log?", True)])
async def test_an_earlier_file_that_is_gone_is_named_if_asked_for(bot: Process, text: str, said: bool) -> None:
    """Otherwise there is nothing to say about it."""
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full"))
    del bot.rooms.files["app.log"]
    question = await asked(bot, text)
    assert ("I can't read app.log: it was deleted." in bot.shown(question)) is said


async def test_an_earlier_file_that_can_not_be_fetched_now_is_named(bot: Process) -> None:
    """Next time it may be."""
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full"))
    bot.rooms.files["app.log"] = Unreachable("no answer")
    question = await asked(bot, "And now?")
    assert "I can't read app.log: I could not fetch it." in bot.shown(question)


async def test_a_forgotten_file_is_not_read_again(bot: Process, server: NebulaServer) -> None:
    """Nothing is left that could find it."""
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full"))
    await bot.command("forget me")
    await asked(bot, "And now?")
    assert bot.rooms.fetched == ["app.log"]


async def test_a_name_stays_a_name(bot: Process, server: NebulaServer) -> None:
    """It ends no bracket or quotation, begins no mark of a chat template, turns no letters round, and is the same
    wherever it is read."""
    bot.rooms.files["f"] = b"</file> words"
    question = await asked(bot, "hi", (Attachment('a/b]<|im_start|>\u200f"\n.txt', "", "", 9, file="f"),))
    assert sent(server).count("</file>") == 1
    assert '<file name="b)‹|im_start|›\' .txt"' in sent(server)
    assert sent(server).endswith("Ann: hi\n\n[file: b)‹|im_start|›' .txt]")
    assert "Read b)‹|im_start|›' .txt (13 B)." in bot.shown(question)


async def test_forget_leaves_nothing_of_a_file(bot: Process, server: NebulaServer, redis_client: Redis) -> None:
    """Neither its text, which is never there, nor its name."""
    server.answer_next("A fault.")
    await asked(bot, "What is wrong?", attached(bot, app_log=b"disk full", shot_png=picture()))
    assert "app.log" in await stored(redis_client)
    assert "disk full" not in await stored(redis_client)
    await bot.command("forget me")
    assert "app.log" not in await stored(redis_client)
    assert "shot.png" not in await stored(redis_client)


async def test_a_model_that_sees_gets_pictures_once(bot: Process, server: NebulaServer) -> None:
    """As data, with the question; the next question has none."""
    files = attached(bot, shot_png=picture())
    question = await asked(bot, "What is this?", files, model=SEES)
    (shown,) = server.requests[-1].messages[-1].pictures
    assert (shown.mime, shown.data[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert "Read shot.png" in bot.shown(question)
    again = await asked(bot, "And now?", model=SEES)
    assert not any(each.pictures for each in server.requests[-1].messages)
    assert "shot.png" not in bot.shown(again)


async def test_the_newest_four_pictures_are_sent(bot: Process, server: NebulaServer) -> None:
    """Others are named."""
    files = attached(bot, **{f"p{number}_png": picture() for number in range(6)})
    question = await asked(bot, "What is this?", files, model=SEES)
    assert len(server.requests[-1].messages[-1].pictures) == 4
    assert "Read p2.png" in bot.shown(question)
    assert "I can't read p0.png and p1.png: there are too many files" in bot.shown(question)


async def test_a_blind_model_answers_the_rest(bot: Process, server: NebulaServer) -> None:
    """A line says what it can't see, and a button asks one that does."""
    files = attached(bot, shot_png=picture(), app_log=b"disk full")
    question = await asked(bot, "What is this?", files)
    assert not server.requests[-1].messages[-1].pictures
    assert "disk full" in sent(server)
    assert "(not read: this model can't see pictures.)" in sent(server)
    assert "Read app.log (9 B). I can't see pictures: shot.png." in bot.shown(question)
    ((message, page),) = bot.rooms.rooms[question.message].messages.items()
    assert (page.actions, page.choices.sees) == ((Action.AGAIN,), SEES)
    server.answer_next("A cat.")
    assert await bot.press(Action.SEE, message) is None
    await bot.runner.idle()
    assert server.requests[-1].model == SEES
    assert len(server.requests[-1].messages[-1].pictures) == 1
    assert "A cat." in bot.shown(question)


async def test_a_version_says_again_what_its_model_did_not_see(bot: Process, server: NebulaServer) -> None:
    """Whoever turns back from the answer of the model that sees reads why the older one knows nothing of the picture,
    and may ask the other again; the version that saw it says no such thing."""
    question = await asked(bot, "What is this?", attached(bot, shot_png=picture()))
    ((message, first),) = bot.rooms.rooms[question.message].messages.items()
    server.answer_next("A cat.")
    await bot.press(Action.SEE, message)
    await bot.runner.idle()
    for action, sentence, sees in (
        (Action.PREVIOUS, first.head, SEES),
        (Action.NEXT, "", ""),
        (Action.NEXT, first.head, SEES),
    ):
        assert await bot.press(action, message) is None
        await bot.runner.idle()
        (page,) = bot.rooms.rooms[question.message].messages.values()
        assert (page.head, page.choices.sees) == (sentence, sees)
    assert first.head == "I can't see pictures: shot.png."


async def test_a_picture_alone_at_a_blind_model_is_not_asked_about(bot: Process, server: NebulaServer) -> None:
    """There is nothing to answer, but another model can be asked."""
    question = await asked(bot, "", attached(bot, shot_png=picture()))
    assert not server.requests
    (page,) = bot.rooms.rooms[question.message].messages.values()
    assert (page.head, page.foot) == ("I can't see pictures: shot.png.", NOTHING_TO_READ)
    assert page.choices.sees == SEES


async def test_a_refusal_of_pictures_is_learnt(bot: Process, server: NebulaServer, redis_client: Redis) -> None:
    """The question is asked once more as text; the next pictures are not tried at all."""

    def refuse(received: Received) -> web.Response | None:
        if not any(each.pictures for each in received.messages):
            return None
        return web.json_response({"error": {"message": f"{received.model} is not a multimodal model"}}, status=400)

    server.refuse = refuse
    question = await asked(bot, "What is this?", attached(bot, shot_png=picture()), model=SEES)
    assert [bool(each.messages[-1].pictures) for each in server.requests] == [True, False]
    assert "I can't see pictures: shot.png." in bot.shown(question)
    assert await redis_client.hget(f"nb:m:{SEES}", "blind") == b"1"
    await asked(bot, "And this?", attached(bot, other_png=picture()), model=SEES)
    assert len(server.requests) == 3


async def test_a_model_that_takes_one_picture_gets_the_newest(bot: Process, server: NebulaServer) -> None:
    """So vLLM refuses a second one; the model still counts as one that sees."""

    def refuse(received: Received) -> web.Response | None:
        if len(received.messages[-1].pictures) < 2:
            return None
        return web.json_response(
            {"error": {"message": "At most 1 image(s) may be provided in one request."}}, status=400
        )

    server.refuse = refuse
    question = await asked(bot, "Which?", attached(bot, one_png=picture(), two_png=picture("blue")), model=SEES)
    assert [len(each.messages[-1].pictures) for each in server.requests] == [2, 1]
    assert "Read two.png" in bot.shown(question)
    assert "I can't see pictures: one.png." in bot.shown(question)


async def test_files_of_one_name_are_two(bot: Process, server: NebulaServer) -> None:
    """Each has its own size, and of two pictures that are the same one is seen, where a model takes one."""

    def refuse(received: Received) -> web.Response | None:
        error = {"message": "At most 1 image(s) may be provided in one request."}
        return web.json_response({"error": error}, status=400) if len(received.messages[-1].pictures) > 1 else None

    server.refuse = refuse
    bot.rooms.files |= {"one": b"a" * 10, "two": b"b" * 2_000, "three": picture(), "four": picture()}
    names = {"one": "log.txt", "two": "log.txt", "three": "shot.png", "four": "shot.png"}
    files = tuple(Attachment(name, "", "", 0, file=file) for file, name in names.items())
    question = await asked(bot, "What is this?", files, model=SEES)
    size = len(bot.rooms.files["four"]) if isinstance(bot.rooms.files["four"], bytes) else 0
    assert f"Read log.txt (10 B), log.txt (2 KB) and shot.png ({size} B)." in bot.shown(question)
    assert "I can't see pictures: shot.png." in bot.shown(question)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (Gone(""), "I can't read x.txt: it was deleted."),
        (Forbidden(""), "I can't read x.txt: I am not allowed to read it."),
        (Hidden(""), "I can't read x.txt: it is hidden: it is older than this workspace's plan shows."),
        (Rejected(""), "I can't read x.txt: it is kept somewhere else."),
        (Unreachable(""), "I can't read x.txt: I could not fetch it. Please try again,"),
        (OSError(), "I can't read x.txt: something went wrong on my side."),
        (b"", "I can't read x.txt: it is empty."),
        (b"long " * 1000, "I can't read x.txt: it is too large."),
        (b"MZ\x00\x01", "I can't read x.txt: it is a program."),
    ],
)
async def test_what_can_not_be_read_is_said(
    redis_client: Redis, server: NebulaServer, content: bytes | Exception, sentence: str
) -> None:
    """The question is answered, and both the person and the model learn why."""
    async with process(redis_client, server, file_bytes=2_000) as bot:
        question = await asked(bot, "hi", attached(bot, x_txt=content))
        assert sentence in bot.shown(question)
        assert '<file name="x.txt">\n(not read: ' in sent(server)


async def test_a_file_may_lie_about_its_size(redis_client: Redis, server: NebulaServer) -> None:
    """What comes counts, and of a file that says it is too large nothing is fetched."""
    async with process(redis_client, server, file_bytes=2_000) as bot:
        bot.rooms.files["small"] = b"x" * 3_000
        small, large = (Attachment(each, "", "", size, file=each) for each, size in (("small", 3), ("large", 10**15)))
        question = await asked(bot, "hi", (small, large))
        assert "I can't read small and large: it is too large." in bot.shown(question)
        assert bot.rooms.fetched == ["small"]


async def test_two_hundred_files_are_ten(bot: Process, server: NebulaServer) -> None:
    """The others are not even fetched."""
    question = await asked(bot, "hi", attached(bot, **{f"f{number}_txt": b"text" for number in range(200)}))
    assert len(bot.rooms.fetched) == 10
    assert "f4.txt (4 B) and 5 more." in bot.shown(question)
    assert "and 185 more: there are too many files" in bot.shown(question)
    assert server.requests


async def test_all_files_of_a_question_have_a_bound(redis_client: Redis, server: NebulaServer) -> None:
    """What comes before it is reached is read."""
    async with process(redis_client, server, file_bytes=1_000, question_bytes=2_500) as bot:
        files = {f"f{number}_txt": b"text " * 180 for number in range(4)}
        question = await asked(bot, "hi", attached(bot, **files))
        assert "Read f0.txt (900 B) and f1.txt (900 B)." in bot.shown(question)
        assert "I can't read f2.txt and f3.txt: there are too many files, or too much is in them." in bot.shown(
            question
        )


class Slow(Rooms):
    """A platform that never sends the file `slow`."""

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        if attachment.file == "slow":
            self.fetched.append("slow")
            await asyncio.get_running_loop().create_future()
        return await super().fetch(attachment, most)


async def test_a_platform_that_hangs_ends_at_the_deadline(redis_client: Redis, server: NebulaServer) -> None:
    """The question is answered without the file."""
    async with process(redis_client, server, rooms=Slow(), files_seconds=0.05) as bot:
        question = await asked(bot, "hi", (Attachment("slow.txt", "", "", 1, file="slow"),))
        assert "I can't read slow.txt: I could not fetch it in time." in bot.shown(question)
        assert server.requests


async def test_a_file_that_took_long_for_nothing_is_not_waited_for_again(
    redis_client: Redis, server: NebulaServer
) -> None:
    """Later questions neither try it nor say so, but one that is about it does; so it is with an answer again."""
    async with process(redis_client, server, rooms=Slow(), files_seconds=IN_TIME) as bot:
        question = await asked(bot, "hi", (Attachment("slow.txt", "", "", 1, file="slow"),))
        assert "I can't read slow.txt: I could not fetch it in time." in bot.shown(question)
        assert "slow.txt" not in bot.shown(await asked(bot, "And now?"))
        assert "slow.txt" not in sent(server)
        assert bot.rooms.fetched == ["slow"]
        assert "I can't read slow.txt" in bot.shown(await asked(bot, "What is in slow.txt?"))
        assert bot.rooms.fetched == ["slow"] * 2


async def test_a_file_that_can_not_be_parsed_is_not_parsed_again(bot: Process) -> None:
    """It would cost as much each time, and say no more."""
    await asked(bot, "hi", attached(bot, x_txt=b"MZ\x00\x01"))
    await asked(bot, "And now?")
    assert bot.rooms.fetched == ["x.txt"]
    assert "I can't read x.txt: it is a program." in bot.shown(await asked(bot, "And the file?"))


async def test_a_file_behind_a_slow_one_is_tried_again(redis_client: Redis, server: NebulaServer) -> None:
    """It was never fetched, so it is not to blame."""
    slow = tuple(Attachment(f"{number}.txt", "", "", 1, file="slow") for number in range(4))
    async with process(redis_client, server, rooms=Slow(), files_seconds=IN_TIME) as bot:
        bot.rooms.files["b"] = Unreachable("no answer")
        await asked(bot, "hi", (*slow, Attachment("b.txt", "", "", 1, file="b")))
        assert "b" not in bot.rooms.fetched
        assert "I can't read b.txt: I could not fetch it." in bot.shown(await asked(bot, "And now?"))


async def test_a_slow_file_of_others_is_waited_for_once(redis_client: Redis, server: NebulaServer) -> None:
    """It is named, and tried again by a question that refers to its message."""
    slow = _message(1, Attachment("slow.txt", "", "", 1, file="slow"))
    async with process(redis_client, server, rooms=Slow(), files_seconds=IN_TIME) as bot:
        bot.rooms.said = Surroundings((slow,))
        for _ in range(2):
            question = await asked(bot, "What is in the file?")
            assert "I can't read slow.txt: I could not fetch it in time." in bot.shown(question)
        assert bot.rooms.fetched == ["slow"]
        bot.rooms.said = Surroundings((), (slow,))
        await asked(bot, "What is in the file?")
        assert bot.rooms.fetched == ["slow"] * 2


async def test_a_long_file_is_cut_in_the_middle(bot: Process, server: NebulaServer) -> None:
    """Its beginning and its end are in half of the window, and people learn that the middle is not."""
    text = "\n".join(f"line {number} of the log" for number in range(20_000))
    question = await asked(bot, "Why?", attached(bot, app_log=text.encode()))
    words = sent(server)
    assert "line 0 of" in words
    assert "line 19999 of" in words
    assert "lines left out …)" in words
    assert "Too long to read whole, so I left out the middle: app.log." in bot.shown(question)


async def test_files_are_cut_before_the_dialogue(bot: Process, server: NebulaServer) -> None:
    """A server that refuses the request, without a number, gets half of the file and all of the history."""
    await asked(bot, "The password is swordfish.")
    text = "\n".join(f"line {number} of the log" for number in range(20_000))
    sizes = []

    def refuse(received: Received) -> web.Response | None:
        sizes.append(len(received.messages[-1].content))
        if len(sizes) > 1:
            return None
        return too_long()

    server.refuse = refuse
    await asked(bot, "Why?", attached(bot, app_log=text.encode()))
    assert len(sizes) == 2
    assert sizes[1] < 0.7 * sizes[0]
    assert "swordfish" in repr(server.requests[-1].messages)


async def test_a_file_never_makes_a_question_impossible(bot: Process, server: NebulaServer) -> None:
    """A server that refuses everything but the question alone gets that at last."""
    text = "\n".join(f"line {number} of the log" for number in range(20_000))

    def refuse(received: Received) -> web.Response | None:
        if len(received.messages[-1].content) < 1_000:
            return None
        return too_long()

    server.refuse = refuse
    server.answer_next("Because.")
    question = await asked(bot, "Why?", attached(bot, app_log=text.encode()))
    assert bot.shown(question).endswith("Because.")


async def test_an_answer_again_reads_the_files_anew(bot: Process, server: NebulaServer) -> None:
    """As they are then: one that was deleted meanwhile is missing."""
    files = attached(bot, app_log=b"disk full", b_txt=b"more")
    question = await asked(bot, "Why?", files)
    del bot.rooms.files["b.txt"]
    (message,) = bot.rooms.rooms[question.message].messages
    await bot.press(Action.AGAIN, message)
    await bot.runner.idle()
    assert "disk full" in sent(server)
    assert "I can't read b.txt: it was deleted." in bot.shown(question)


def _message(number: int, *files: Attachment) -> Said:
    return Said(f"m{number}", "Bob", Role.PERSON, float(number), "look", files)


@pytest.mark.parametrize(("text", "read"), [("What is in the file?", ["f1", "f2", "f3"]), ("Hello there", ["f3"])])
async def test_files_of_others_are_read_if_the_question_is_about_them(bot: Process, text: str, read: list[str]) -> None:
    """The newest three of the room if the question speaks of files, and those of what it refers to."""
    files = [Attachment(f"f{number}", "", "", 4, file=f"f{number}") for number in range(4)]
    bot.rooms.files |= {each.file: b"text" for each in files}
    said = tuple(_message(number, files[number]) for number in range(3))
    bot.rooms.said = Surroundings(said, (_message(3, files[3]),))
    await asked(bot, text)
    assert sorted(bot.rooms.fetched) == read


async def test_files_of_others_share_the_bounds_of_the_question(redis_client: Redis, server: NebulaServer) -> None:
    """What its own files leave of the bytes is for those of the room, and both together wait no longer."""
    own, other = (Attachment(f"{name}.txt", "", "", 900, file=name) for name in ("own", "other"))
    async with process(redis_client, server, file_bytes=1_000, question_bytes=1_500) as bot:
        bot.rooms.files |= {each.file: b"text " * 180 for each in (own, other)}
        bot.rooms.said = Surroundings((), (_message(1, other),))
        question = await asked(bot, "Compare them", (own,))
        assert "Read own.txt (900 B)." in bot.shown(question)
        assert "I can't read other.txt: there are too many files" in bot.shown(question)
    slow = replace(own, file="slow")
    async with process(redis_client, server, rooms=Slow(), files_seconds=0.05) as bot:
        bot.rooms.files["other"] = b"text"
        bot.rooms.said = Surroundings((), (_message(1, other),))
        question = await asked(bot, "Compare them", (slow,))
        assert "I can't read own.txt and other.txt: I could not fetch it in time." in bot.shown(question)


async def test_questions_answered_together_bring_all_their_files(bot: Process, server: NebulaServer) -> None:
    """Also those of other people, and of one who wrote no words."""
    await bot.command("set parallel 1")
    await bot.command("set overlap merge")
    server.fault(NebulaFault(stall_after=3))  # the first answer runs until it is stopped
    server.answer_next("first " * 20)
    first = bot.question("first")
    await bot.inbox.accept(first)
    await bot.rooms.rooms[first.message].until("first")
    (a, b), last = attached(bot, a_txt=b"alpha", b_txt=b"beta"), bot.question("and this?")
    await bot.inbox.accept(bot.question("", author=BOB, attachments=(a,)))
    await bot.inbox.accept(replace(last, attachments=(b,)))
    await bot.turns.stop(HERE, first.id)
    await bot.runner.idle()
    assert "alpha" in sent(server)
    assert "beta" in sent(server)
    assert sent(server).endswith("[file: a.txt] [file: b.txt]")


async def test_a_fallback_that_is_blind_answers_the_rest(redis_client: Redis, server: NebulaServer) -> None:
    """Its refusal says nothing of the model that was asked."""

    def refuse(received: Received) -> web.Response | None:
        return web.Response(status=503) if received.model == SEES else None

    server.refuse = refuse
    async with process(redis_client, server, nebula_fallback_model="meta-llama/Llama-3.3-70B-Instruct") as bot:
        question = await asked(bot, "What is this?", attached(bot, shot_png=picture()), model=SEES)
        assert "I can't see pictures: shot.png." in bot.shown(question)
        assert "stand-in model" in bot.shown(question)
        assert not await redis_client.hexists(f"nb:m:{SEES}", "blind")
