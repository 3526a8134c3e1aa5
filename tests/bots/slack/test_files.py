"""Files of questions in Slack at the wire: which are fetched, with what, and what of them reaches the model."""

import logging
from io import BytesIO

import pytest
from aiohttp import web
from PIL import Image
from redis.asyncio import Redis

from bots.sandbox.slack.workspace.values import SlackFile
from bots.slack.api.client import Web
from bots.slack.api.download import Downloads
from bots.slack.api.workspace import Capabilities
from bots.slack.manifest import ASK_ABOUT, SCOPES
from core.domain.conversation import Attachment
from core.domain.errors import Rejected, Unreachable
from tests.bots.slack.harness import SlackRoom, process, slack_room
from tests.ports import free_port
from tests.redis_server import stored

LOG = SlackFile("app.log", b"disk full\n" * 20, "text/plain")
SEES = "Qwen/Qwen2.5-VL-7B-Instruct"


def shot() -> SlackFile:
    """A small picture."""
    written = BytesIO()
    Image.new("RGB", (8, 8)).save(written, "PNG")
    return SlackFile("shot.png", written.getvalue(), "image/png")


def asked(room: SlackRoom) -> str:
    """The newest question as the model read it."""
    return room.nebula.requests[-1].messages[-1].content


async def answered(room: SlackRoom, *files: SlackFile, text: str = "@nebula what is wrong?") -> str:
    """Ask in a channel with these files, and return the whole reply."""
    room.nebula.answer_next("A fault.")
    await room.say("ann", "#general", text, files=files)
    await room.answered("#general", "A fault.")
    await room.quiet()
    return room.shown("#general")[-1]


async def test_a_text_file_is_in_the_request(redis_url: str) -> None:
    """It is fetched with the bot's token; the small print says that it was read, and its text is not in Redis."""
    async with slack_room(redis_url) as room:
        assert "Read app.log (200 B)." in await answered(room, LOG)
        assert '<file name="app.log" kind="text">\ndisk full\n' in asked(room)
        assert asked(room).endswith("</file>\n\nann: what is wrong?\n\n[file: app.log]")
        assert room.slack.files.downloads == [f"Bearer {room.slack.bot_token}"]


async def test_a_file_in_a_direct_message_or_a_follow_up_is_read(redis_url: str) -> None:
    """As one in a mention, also without a word."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "@ann", "", files=[LOG])
        await room.answered("@ann", "stand-in model")
        await room.quiet()
        assert asked(room).endswith("</file>\n\n[file: app.log]")
        root = await room.say("ann", "#general", "@nebula hello")
        await room.answered("#general", "stand-in model")
        await room.quiet()
        room.nebula.answer_next("A fault.")
        await room.say("ann", "#general", "and this?", root.ts, files=[LOG])
        await room.answered("#general", "A fault.")
        assert "disk full" in asked(room)


async def test_a_thread_goes_on_about_its_files(redis_url: str) -> None:
    """Whoever asks there, and after a restart too; nothing of what is in them is kept."""
    async with slack_room(redis_url) as room:
        await answered(room, LOG)
        root = room.said("#general")[0].thread_ts
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        async with process(room, redis_url) as (_, _, runner, _):
            room.runner = runner
            room.nebula.answer_next("It is.")
            await room.say("bob", "#general", "@nebula is the disk full?", root)
            await room.answered("#general", "It is.")
            assert '<file name="app.log" kind="text">\ndisk full\n' in asked(room)
            assert "Read again: app.log (200 B)." in room.shown("#general")[-1]


async def test_a_picture_reaches_a_model_that_sees_once(redis_url: str) -> None:
    """As a data URL; the next question has none."""
    async with slack_room(redis_url, nebula_model=SEES) as room:
        await answered(room, shot())
        (picture,) = room.nebula.requests[-1].messages[-1].pictures
        assert picture.mime == "image/jpeg"
        await answered(room)
        assert not any(each.pictures for each in room.nebula.requests[-1].messages)


async def test_a_button_asks_a_model_that_sees(redis_url: str) -> None:
    """A model that does not see says so; the same messages then show the other one's answer."""
    async with slack_room(redis_url) as room:
        assert "I can't see pictures: shot.png." in await answered(room, shot())
        assert not room.nebula.requests[-1].messages[-1].pictures
        assert "Ask Qwen2.5-VL-7B-Instruct" in str(room.said("#general")[-1].blocks)
        room.nebula.answer_next("A black square.")
        await room.slack.press(room.people["ann"], room.said("#general")[-1], "nebula_reply_see")
        await room.answered("#general", "A black square.")
        assert room.nebula.requests[-1].model == SEES
        assert room.nebula.requests[-1].messages[-1].pictures


@pytest.mark.parametrize("mode", ["canvas", "post"])
@pytest.mark.parametrize("told", [True, False])
async def test_what_people_wrote_in_slack_is_read(redis_url: str, mode: str, told: bool) -> None:
    """It comes as a web page, of which the model gets the text; Slack does not always say what the app may do."""
    page = b"<!doctype html><html><body><h1>Plan</h1><p>ZEBRA-7 is out</p></body></html>"
    plan = SlackFile("Plan", page, "application/vnd.slack-docs", mode=mode)
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES), "tells_scopes": told}) as room:
        assert "Read Plan (" in await answered(room, plan)
        assert "ZEBRA-7 is out" in asked(room)
        assert "<p>" not in asked(room)


async def test_where_people_sign_in_is_no_canvas(redis_url: str) -> None:
    """Without the scope the same address brings that page; Slack does not always say that it is missing."""
    scopes = frozenset({"chat:write", "channels:history", "app_mentions:read", "users:read"})
    async with slack_room(redis_url, server={"scopes": scopes, "tells_scopes": False}) as room:
        room.slack.files.signed_out = True
        plan = SlackFile("Plan", b"<html>ZEBRA-7</html>", "application/vnd.slack-docs", mode="canvas")
        assert "I can't read Plan: I am not allowed to read it." in await answered(room, plan)
        assert '<file name="Plan">\n(not read' in asked(room)


@pytest.mark.parametrize("scopes", [None, {"chat:write", "channels:history", "app_mentions:read", "users:read"}])
async def test_the_sign_in_page_is_no_file(
    redis_url: str, scopes: set[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the scope, Slack answers with a web page. The operator learns once which scope is missing."""
    caplog.set_level(logging.WARNING, logger="bots.slack.api.download")
    async with slack_room(redis_url, server={"scopes": scopes}) as room:
        room.slack.files.signed_out = True
        for _ in range(2):
            assert "I can't read app.log: I am not allowed to read it." in await answered(room, LOG)
        assert "Sign in" not in asked(room)
        assert "disk full" not in asked(room)
        assert caplog.text.count("add the scope files:read") == 1
        assert bool(room.slack.files.downloads) == (scopes is None)


async def test_a_page_for_another_reason_names_no_scope(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The app has it: to add it would be of no use."""
    caplog.set_level(logging.WARNING, logger="bots.slack.api.download")
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES)}) as room:
        room.slack.files.signed_out = True
        assert "I can't read app.log: I am not allowed to read it." in await answered(room, LOG)
    assert "add the scope" not in caplog.text
    assert "although the app has the scope files:read" in caplog.text


async def test_the_token_goes_nowhere_else(redis_url: str) -> None:
    """Neither to where a linked file is, nor to where Slack sends us."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response(text="secret words")

    app = web.Application()
    app.router.add_get("/{rest:.*}", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    elsewhere = f"http://127.0.0.1:{port}/file"
    try:
        async with slack_room(redis_url) as room:
            linked = SlackFile("plan.txt", b"", "text/plain", elsewhere=elsewhere)
            assert "I can't read plan.txt: it is kept somewhere else." in await answered(room, linked)
            room.slack.files.sends_to = elsewhere
            assert "I can't read app.log: I am not allowed to read it." in await answered(room, LOG)
            assert not heard
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("said", "downloads"), [(5, 1), (10**9, 0), (0, 1)])
async def test_the_bytes_that_come_count(redis_url: str, said: int, downloads: int) -> None:
    """Whatever Slack says of the size: a file that is too large is not read, and not even asked for if it says so."""
    async with slack_room(redis_url, file_bytes=1_000) as room:
        large = SlackFile("big.txt", b"x" * 5_000, "text/plain", size=said)
        assert "I can't read big.txt: it is too large." in await answered(room, large)
        assert len(room.slack.files.downloads) == downloads


async def test_a_file_in_an_encoding_is_not_unpacked(redis_url: str) -> None:
    """A small body could become a huge one."""
    async with slack_room(redis_url) as room:
        packed = SlackFile("bomb.txt", b"\x1f\x8b", "text/plain", encoding="gzip")
        assert "I can't read bomb.txt: I could not fetch it." in await answered(room, packed)


async def test_a_file_of_another_workspace_is_looked_up(redis_url: str) -> None:
    """Slack describes it only when asked: docs.slack.dev/reference/objects/file-object, check_file_info."""
    async with slack_room(redis_url) as room:
        stub = SlackFile("app.log", LOG.data, "text/plain", stub=True)
        await answered(room, stub)
        assert "disk full" in asked(room)
        assert len(room.calls("files.info")) == 1


@pytest.mark.parametrize(
    ("mode", "why"), [("hidden_by_limit", "it is hidden: it is older than"), ("tombstone", "it was deleted.")]
)
async def test_a_file_that_is_no_longer_shown_needs_no_right(redis_url: str, mode: str, why: str) -> None:
    """Nobody can give one, so none is asked for."""
    async with slack_room(redis_url) as room:
        assert f"I can't read file: {why}" in await answered(room, SlackFile("app.log", b"", "text/plain", mode=mode))


@pytest.mark.parametrize("stub", [False, True])
async def test_a_file_that_was_deleted_is_named(redis_url: str, stub: bool) -> None:
    """Before its turn runs: the question is answered all the same."""
    async with slack_room(redis_url, reply_parallel=1) as room:
        gate = room.held()
        await room.say("ann", "#general", "@nebula first")
        await room.until(lambda: room.nebula.requests)
        # in the same thread, and so behind it
        root = room.slack.messages(room.where("#general"))[0]
        file = SlackFile("app.log", LOG.data, "text/plain", stub=stub)
        message = await room.say("ann", "#general", "@nebula what is wrong?", root.ts, files=[file])
        await room.until(lambda: not room.slack.pending)
        room.slack.files.remove(message.files[0].id)
        gate.set()
        await room.answered("#general", "it was deleted")
        await room.quiet()
        assert "(not read: it was deleted.)" in asked(room)


async def test_a_forwarded_message_brings_its_files(redis_url: str) -> None:
    """They are in the attachment (hermes-agent#75481)."""
    async with slack_room(redis_url) as room:
        kept = await room.say("bob", "#general", "look", files=[LOG])
        url = f"{room.slack.api_url.removesuffix('/api/')}/files-pri/{kept.files[0].id}/app.log"
        file = {"id": kept.files[0].id, "name": "app.log", "mimetype": "text/plain", "url_private": url}
        share = {"is_share": True, "text": "look", "author_name": "Bob", "files": [file]}
        room.nebula.answer_next("A fault.")
        await room.say("ann", "#general", "@nebula what is wrong?", attachments=[share])
        await room.answered("#general", "A fault.")
        assert "disk full" in asked(room)


async def test_a_message_that_somebody_chose_brings_its_files(redis_url: str) -> None:
    """They travel with the form as their ids."""
    async with slack_room(redis_url) as room:
        message = await room.say("bob", "#general", "look", files=[LOG])
        await room.slack.shortcut(room.people["ann"], message, ASK_ABOUT)
        room.nebula.answer_next("A fault.")
        view = await room.form()
        (field,) = (each["element"]["action_id"] for each in view.blocks if "element" in each)
        await room.slack.submit(room.people["ann"], view, {field: "what is wrong?"})
        await room.until(lambda: any("A fault." in each.shown for each in room.slack.ephemerals()))
        await room.quiet()
        assert "disk full" in asked(room)


@pytest.mark.parametrize(("text", "read"), [("what is in the file?", True), ("what do you think?", False)])
async def test_files_of_a_thread_are_read_if_the_question_is_about_them(redis_url: str, text: str, read: bool) -> None:
    """Otherwise they are only named."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "look", files=[LOG])
        room.nebula.answer_next("A fault.")
        await room.say("ann", "#general", f"@nebula {text}", root.ts)
        await room.answered("#general", "A fault.")
        assert "look" in asked(room)
        assert "[app.log]" in asked(room)
        assert ("disk full" in asked(room)) is read


@pytest.mark.parametrize("lines", [3, 300])
async def test_a_snippet_is_a_file(redis_url: str, redis_client: Redis, lines: int) -> None:
    """The event brings its beginning, or all of it; it is fetched all the same, and no word of it is in Redis."""
    snippet = SlackFile("Untitled", b"ZEBRA-7 is out\n" * lines, "text/plain", mode="snippet")
    async with slack_room(redis_url) as room:
        assert "Read Untitled (" in await answered(room, snippet)
        assert asked(room).count("ZEBRA-7") == lines
        assert "Untitled" in await stored(redis_client)
        message = await room.say("bob", "#general", "look", files=[snippet])
        await room.slack.shortcut(room.people["ann"], message, ASK_ABOUT)
        view = await room.form()
        (field,) = (each["element"]["action_id"] for each in view.blocks if "element" in each)
        kept: list[str] = []

        async def look(number: int) -> None:
            kept.append(await stored(redis_client))

        room.nebula.pace, room.nebula.between = 0, look
        await room.slack.submit(room.people["ann"], view, {field: "what is wrong?"})
        await room.until(lambda: room.slack.ephemerals())
        await room.quiet()
        assert asked(room).count("ZEBRA-7") == lines
        assert kept
        assert not any("ZEBRA" in each for each in kept)


# --- what the bot does not ask for, or does not believe ---


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize(
    "way", ["/api/", "//api//", "/files-pri/../api/", "/files-pri/x/%2e%2e/%2e%2e/api/", "/files-pri/x/..%2F"]
)
async def test_a_method_of_the_api_is_no_file(redis_url: str, way: str, external: bool) -> None:
    """Whoever links a file chooses its address: a method that the bot calls there would do what that person likes."""
    async with slack_room(redis_url) as room:
        url = room.slack.api_url.removesuffix("/api/")
        url += f"{way}chat.postMessage?channel={room.where('#general')}&text=ZEBRA"
        file = {"id": "F1", "name": "plan.txt", "mimetype": "text/plain", "url_private": url, "is_external": external}
        share = {"is_share": True, "text": "look", "files": [file]}
        room.nebula.answer_next("A fault.")
        await room.say("ann", "#general", "@nebula what is wrong?", attachments=[share])
        await room.answered("#general", "A fault.")
        await room.quiet()
        assert "I can't read plan.txt: it is kept somewhere else." in room.shown("#general")[-1]
        assert not [each for each in room.slack.messages(room.where("#general")) if "ZEBRA" in each.shown]


@pytest.mark.parametrize(
    "url",
    [
        "https://slack.com/api/conversations.history?channel=C1",
        "https://slack.com/files-pri/T1-F1/a.txt",
        "https://files.slack.com/api/conversations.history",
        "https://files.slack.com/files-pri/../api/conversations.history",
        "https://files.slack.com/files-pri/T1-F1/..%2f..%2f..%2fapi/conversations.history",
        "https://files.slack.com/files-pri/T1-F1/%2e%2e/%2e%2e/api/conversations.history",
        "https://files.slack.com.example.org/files-pri/T1-F1/a.txt",
        "http://files.slack.com/files-pri/T1-F1/a.txt",
    ],
)
async def test_slack_keeps_no_files_there(url: str) -> None:
    """Neither on the API's host nor elsewhere on those of files."""
    downloads = Downloads(Web("https://slack.com/api/", "xoxb-1"), Capabilities())
    with pytest.raises(Rejected):
        await downloads.fetch(Attachment("a.txt", "text/plain", url, 1, "F1"), 100)


@pytest.mark.parametrize(
    ("api", "path", "kept"),
    [
        ("/api/", "/files/F1/app.log", True),
        ("/api/", "/app.log", True),
        ("/api/", "/api/files/F1", True),
        ("/api/", "/api/chat.postMessage", False),
        ("/", "/files-pri/T1-F1/app.log", True),
        ("/", "/chat.postMessage", False),
    ],
)
async def test_a_server_that_plays_slack_keeps_files_beside_its_methods(api: str, path: str, kept: bool) -> None:
    """Wherever it likes; nobody listens at this one, so that what is asked for can't be reached."""
    host = f"http://127.0.0.1:{free_port()}"
    downloads = Downloads(Web(f"{host}{api}", "xoxb-1"), Capabilities())
    with pytest.raises(Unreachable if kept else Rejected):
        await downloads.fetch(Attachment("a.txt", "text/plain", f"{host}{path}", 1, "F1"), 100)


async def test_a_linked_file_is_not_another_file_of_slack(redis_url: str) -> None:
    """Its address may be that of a file which the bot may read, and the person may not."""
    async with slack_room(redis_url) as room:
        secret = await room.say("bob", "#general", "look", files=[LOG])
        url = f"{room.slack.api_url.removesuffix('/api/')}/files-pri/{secret.files[0].id}/app.log"
        linked = SlackFile("plan.txt", b"", "text/plain", elsewhere=url)
        assert "I can't read plan.txt: it is kept somewhere else." in await answered(room, linked)
        stub = SlackFile("more.txt", b"", "text/plain", elsewhere=url, stub=True)
        assert "I can't read more.txt: it is kept somewhere else." in await answered(room, stub)
        assert not room.slack.files.downloads


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", [8, 0])
@pytest.mark.parametrize("mode", ["hosted", "canvas"])
async def test_where_people_sign_in_is_no_web_page(redis_url: str, mode: str, size: int, told: bool) -> None:
    """Not even where a web page is expected, and the app has all of its scopes."""
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES), "tells_scopes": told}) as room:
        room.slack.files.signed_out = True
        page = SlackFile("x.html", b"<p>hi</p>", "text/html", size=size, mode=mode)
        assert "I can't read x.html: I am not allowed to read it." in await answered(room, page)
        assert "Sign in" not in asked(room)


@pytest.mark.parametrize("size", [None, 0])
@pytest.mark.parametrize("stub", [True, False])
async def test_a_web_page_is_read(redis_url: str, stub: bool, size: int | None) -> None:
    """Also one with a title, if Slack says its size, and one without where it does not."""
    title = b"<title>Sign in | Slack</title><form></form>" if size is None else b""
    page = SlackFile("x.html", b"<html>" + title + b"<p>ZEBRA-7</p></html>", "text/html", size=size, stub=stub)
    async with slack_room(redis_url) as room:
        assert "Read x.html (" in await answered(room, page)
        assert "ZEBRA-7" in asked(room)


async def test_all_that_slack_tells_of_a_file_counts(redis_url: str) -> None:
    """Of one that another workspace shares, an event brings the id alone; it is also said when others speak of it."""
    table = SlackFile("sums.csv", b"name,sum\nann,7\n", "text/csv", stub=True)
    async with slack_room(redis_url) as room:
        assert "Read sums.csv (15 B)." in await answered(room, table)
        assert '<file name="sums.csv" kind="CSV">' in asked(room)
        root = await room.say("bob", "#general", "look", files=[table])
        room.nebula.answer_next("It is.")
        await room.say("ann", "#general", "@nebula what is in the file?", root.ts)
        await room.answered("#general", "It is.")
        assert "[sums.csv]" in asked(room)
        assert '<file name="sums.csv" kind="CSV">' in asked(room)


async def test_the_files_that_are_not_read_are_counted(redis_url: str) -> None:
    """All of them, however many there are."""
    files = [SlackFile(f"n{each}.txt", b"x", "text/plain") for each in range(200)]
    async with slack_room(redis_url) as room:
        assert "I can't read n10.txt, n11.txt, n12.txt, n13.txt, n14.txt and 185 more:" in await answered(room, *files)
