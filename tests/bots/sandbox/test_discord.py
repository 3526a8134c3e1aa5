"""The sandbox's Discord as the unmodified discord.py sees it."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands

from bots.sandbox.discord.limits import DISCORD_LIMITS, DiscordLimit, DiscordLimits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.cdn import LIFETIME
from bots.sandbox.discord.world.state import Watch
from bots.sandbox.discord.world.values import (
    ChannelKind,
    DiscordChannel,
    DiscordRefuses,
    DiscordUpload,
    DiscordUser,
    Guild,
    Overwrite,
    Permission,
)
from tests.bounds import HANG_SECONDS

UNLIMITED = None
QUICK_SERVER_LIMITS = replace(DISCORD_LIMITS, post=DiscordLimit(5, 0.2), edit=DiscordLimit(5, 0.2))


class RecordingClient(discord.Client):
    """A client that records its events."""

    def __init__(self, intents: discord.Intents | None = None, **options: Any) -> None:
        quiet = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        super().__init__(intents=intents or quiet, guild_ready_timeout=0.05, **options)
        self.tree = app_commands.CommandTree(self)
        self.seen: list[discord.Message] = []
        self.edits: list[discord.RawMessageUpdateEvent] = []
        self.errors: list[Exception] = []
        self.news = Watch()
        self.ready = False
        self.available: set[int] = set()
        self.on_question: Callable[[discord.Message], Awaitable[object]] | None = None

        @self.tree.error
        async def failed(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
            self.errors.append(error)
            self.news.changed()

    async def on_ready(self) -> None:
        self.ready = True
        self.news.changed()

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self.available.add(guild.id)
        self.news.changed()

    async def on_message(self, message: discord.Message) -> None:
        self.seen.append(message)
        self.news.changed()
        if self.on_question and message.author != self.user:
            await self.on_question(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.edits.append(event)
        self.news.changed()


class Stage:
    """A server with one guild, one channel and one person."""

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.guild: Guild = server.add_guild("Works")
        self.channel: DiscordChannel = server.add_channel(self.guild, "general")
        self.ada: DiscordUser = server.add_member(self.guild, "Ada")


@pytest.fixture
async def open_stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """Starts servers, points discord.py at the newest, and stops them. Nobody answers an interaction too late."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Stage:
            usual: dict[str, Any] = {"limits": UNLIMITED, "interaction_deadline": HANG_SECONDS}
            server = await stack.enter_async_context(DiscordServer(**(usual | options)))
            monkeypatch.setattr(discord.http.Route, "BASE", server.api_url)
            monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
            return Stage(server)

        yield start


@pytest.fixture
async def stage(open_stage: Callable[..., Awaitable[Stage]]) -> Stage:
    """The usual server, without rate limits."""
    return await open_stage()


@asynccontextmanager
async def running(stage: Stage, bot: RecordingClient) -> AsyncIterator[RecordingClient]:
    """A bot that is ready."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bot.start(stage.server.token))
        try:
            # On a slow machine a guild arrives after discord.py has considered all as known.
            await bot.news.until(lambda: bot.ready and all(guild.id in bot.available for guild in bot.guilds))
            yield bot
        finally:
            await bot.close()


async def call(stage: Stage, method: str, path: str, **body: Any) -> tuple[int, Any, Any]:
    """One raw REST request: status, body, headers."""
    headers = {"Authorization": f"Bot {stage.server.token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, stage.server.api_url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json() if answer.content_type == "application/json" else None, answer.headers


def text_channel(bot: RecordingClient, channel: DiscordChannel) -> discord.TextChannel:
    """The bot's view of a channel."""
    found = bot.get_channel(int(channel.id))
    assert isinstance(found, discord.TextChannel)
    return found


async def seen(bot: RecordingClient, count: int) -> None:
    """Wait until the bot has seen this many messages."""
    await bot.news.until(lambda: len(bot.seen) >= count)


# Identity and gateway


async def test_the_bot_logs_in_and_sees_its_guild(stage: Stage) -> None:
    """READY and GUILD_CREATE bring the guild with channels, roles, threads and the bot's managed role."""
    thread = stage.server.add_thread(stage.channel, "plans")
    async with running(stage, RecordingClient()) as bot:
        guild = bot.guilds[0]
        assert bot.user
        assert str(bot.user.id) == stage.server.bot_user.id
        assert str(bot.application_id) == stage.server.application_id
        assert [channel.name for channel in guild.text_channels] == ["general"]
        assert [str(one.id) for one in guild.threads] == [thread.id]
        assert guild.self_role
        assert str(guild.self_role.id) == stage.server.bot_role(stage.guild).id
        assert guild.me.guild_permissions.send_messages


async def test_a_wrong_token_is_refused(stage: Stage) -> None:
    """REST answers 401, which discord.py reports as a failed login."""
    async with RecordingClient() as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.start("wrong")
    assert stage.server.calls[-1].status == 401
    assert stage.server.invalid_requests == 1


async def test_the_gateway_closes_a_wrong_token_with_4004(stage: Stage) -> None:
    """IDENTIFY with another token ends the connection with code 4004."""
    async with aiohttp.ClientSession() as http, http.ws_connect(stage.server.gateway_url) as ws:
        hello = await ws.receive_json()
        assert hello["op"] == 10
        await ws.send_json({"op": 2, "d": {"token": "wrong", "intents": 1}})
        await ws.receive()
        assert ws.close_code == 4004


async def test_a_privileged_intent_that_was_not_granted_is_refused(stage: Stage) -> None:
    """Asking for message content without the grant closes with 4014."""
    async with RecordingClient(discord.Intents(guilds=True, message_content=True)) as bot:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await bot.start(stage.server.token)


async def test_content_is_hidden_without_the_intent_but_for_mentions_and_direct_messages(stage: Stage) -> None:
    """Without MESSAGE_CONTENT a plain message is empty; a mention, a DM and the bot's own message are not."""
    server = stage.server
    async with running(stage, RecordingClient()) as bot:
        await server.say(stage.ada, stage.channel, "secret", attachments=[DiscordUpload("a.txt", b"a")])
        await server.say(stage.ada, stage.channel, "@nebula hi")
        await server.say(stage.ada, server.open_dm(stage.ada), "psst")
        await text_channel(bot, stage.channel).send("mine")
        await seen(bot, 4)
        assert [message.content for message in bot.seen] == ["", f"<@{server.bot_user.id}> hi", "psst", "mine"]
        assert bot.seen[0].attachments == []
        assert bot.user in bot.seen[1].mentions
        assert bot.seen[2].guild is None


async def test_content_is_shown_with_the_intent(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """A granted MESSAGE_CONTENT intent shows plain messages and their attachments, whose bytes can be fetched."""
    stage = await open_stage(privileged=Intent.MESSAGE_CONTENT)
    intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
    async with running(stage, RecordingClient(intents)) as bot:
        await stage.server.say(stage.ada, stage.channel, "open", attachments=[DiscordUpload("a.txt", b"bytes")])
        await seen(bot, 1)
        assert bot.seen[0].content == "open"
        assert await bot.seen[0].attachments[0].read() == b"bytes"


async def test_the_switch_in_the_portal_decides_what_is_shown(stage: Stage) -> None:
    """Also of messages replied to and forwarded; the application's flags tell of it."""
    bob = stage.server.add_member(stage.guild, "Bob")
    said = await stage.server.say(bob, stage.channel, "words", attachments=[DiscordUpload("a.txt", b"bytes")])
    sent = await stage.server.forward(bob, said, stage.channel)
    reply = await stage.server.say(stage.ada, stage.channel, "@Nebula this", reply_to=said)
    async with running(stage, RecordingClient()) as bot:
        place = await bot.fetch_channel(int(stage.channel.id))
        assert isinstance(place, discord.TextChannel)
        for switched in (Intent.NONE, Intent.MESSAGE_CONTENT):
            stage.server.privileged = switched
            shown = "words" if switched else ""
            first, second, third = [await place.fetch_message(int(one.id)) for one in (said, sent, reply)]
            assert (first.content, len(first.attachments)) == (shown, bool(switched))
            assert [each.content for each in second.message_snapshots] == [shown]
            assert third.content
            assert third.reference
            assert isinstance(third.reference.resolved, discord.Message)
            assert third.reference.resolved.content == shown
            assert (await bot.application_info()).flags.gateway_message_content_limited is bool(switched)


async def test_an_intent_that_is_not_switched_on_is_refused(stage: Stage) -> None:
    """With close code 4014."""
    async with RecordingClient(discord.Intents(guilds=True, message_content=True)) as client:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await client.start(stage.server.token)


async def test_threads_have_their_first_message(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """That of a post in a forum has the thread's id; a thread from a message begins with a reference to it."""
    stage = await open_stage(privileged=Intent.MESSAGE_CONTENT)
    forum = stage.server.add_channel(stage.guild, "help", ChannelKind.FORUM)
    post = await stage.server.publish(stage.ada, forum, "Broken", "It is broken.")
    said = await stage.server.say(stage.ada, stage.channel, "a topic")
    thread = stage.server.add_thread(stage.channel, "Aside", message=said)
    async with running(stage, RecordingClient()) as bot:
        [first] = [each async for each in bot.get_partial_messageable(int(post.id)).history()]
        assert (first.id, first.content, first.type) == (int(post.id), "It is broken.", discord.MessageType.default)
        [first] = [each async for each in bot.get_partial_messageable(int(thread.id)).history()]
        assert (first.content, first.type) == ("", discord.MessageType.thread_starter_message)
        assert first.reference
        assert (first.reference.message_id, first.reference.channel_id) == (int(said.id), int(stage.channel.id))
        assert isinstance(first.reference.resolved, discord.Message)
        assert first.reference.resolved.content == "a topic"
        await stage.server.delete(said)
        [first] = [each async for each in bot.get_partial_messageable(int(thread.id)).history()]
        assert first.reference
        assert isinstance(first.reference.resolved, discord.DeletedReferencedMessage)


@pytest.mark.parametrize("unlocks", [False, True])
async def test_a_mention_of_the_bots_role(open_stage: Callable[..., Awaitable[Stage]], unlocks: bool) -> None:
    """The client's picker may insert the managed role; an option decides whether that shows the content."""
    stage = await open_stage(role_mention_unlocks=unlocks)
    async with running(stage, RecordingClient()) as bot:
        await stage.server.say(stage.ada, stage.channel, "@Nebula hi", mention_bot_role=True)
        await seen(bot, 1)
        assert bot.seen[0].role_mentions == [bot.guilds[0].self_role]
        assert bot.seen[0].mentions == []
        assert bool(bot.seen[0].content) is unlocks


async def test_a_dropped_connection_is_resumed_and_missed_events_are_replayed(stage: Stage) -> None:
    """After a drop the client resumes; the message said meanwhile arrives once."""
    async with running(stage, RecordingClient()) as bot:
        stage.server.gateway.drop()
        await stage.server.say(stage.ada, stage.channel, "@Nebula still there?")
        await stage.server.until(lambda: stage.server.gateway.resumes == 1)
        await seen(bot, 1)
        assert len(bot.seen) == 1
        assert stage.server.gateway.identifies == 1


async def test_opcode_7_makes_the_client_resume(stage: Stage) -> None:
    """A reconnect request is followed by RESUME, not by IDENTIFY."""
    async with running(stage, RecordingClient()):
        stage.server.gateway.reconnect()
        await stage.server.until(lambda: stage.server.gateway.resumes == 1)
        assert stage.server.gateway.identifies == 1


async def test_a_session_that_is_not_resumable_is_refused_with_opcode_9(stage: Stage) -> None:
    """RESUME of a forgotten session gets INVALID_SESSION false."""
    async with running(stage, RecordingClient()):
        session = stage.server.gateway.sessions[0].id
        stage.server.gateway.drop(resumable=False)
        async with aiohttp.ClientSession() as http, http.ws_connect(stage.server.gateway_url) as ws:
            await ws.receive_json()
            await ws.send_json({"op": 6, "d": {"token": stage.server.token, "session_id": session, "seq": 1}})
            answer = await ws.receive_json()
        assert (answer["op"], answer["d"]) == (9, False)


async def test_the_first_connections_can_be_refused(stage: Stage) -> None:
    """A refused handshake is a 503; the next one passes."""
    stage.server.gateway.refuse = 1
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(stage.server.gateway_url)
        async with http.ws_connect(stage.server.gateway_url) as ws:
            assert (await ws.receive_json())["op"] == 10


async def test_two_connections_get_every_event(stage: Stage) -> None:
    """Two processes with one token both see a message."""
    async with running(stage, RecordingClient()) as one, running(stage, RecordingClient()) as two:
        await stage.server.say(stage.ada, stage.channel, "@Nebula both?")
        await seen(one, 1)
        await seen(two, 1)
        assert one.seen[0].id == two.seen[0].id


async def test_events_can_be_sent_several_times(stage: Stage) -> None:
    """With `duplicate` each event arrives that many times, as Discord's delivery allows."""
    async with running(stage, RecordingClient()) as bot:
        stage.server.gateway.duplicate = 3
        await stage.server.say(stage.ada, stage.channel, "@Nebula thrice")
        await seen(bot, 3)
        assert len({message.id for message in bot.seen}) == 1


async def test_a_sharded_client_gets_its_guild(stage: Stage) -> None:
    """AutoShardedClient asks /gateway/bot and identifies its shard."""

    class Sharded(RecordingClient, discord.AutoShardedClient):
        pass

    async with running(stage, Sharded()) as bot:
        assert [guild.name for guild in bot.guilds] == ["Works"]
        session = stage.server.gateway.sessions[0]
        assert (session.shard, session.shards) == (0, 1)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", 4002),
        ({"op": 99}, 4001),
        ({"op": 8, "d": {}}, 4003),
        ({"op": 2, "d": {"intents": 1, "shard": [2, 2]}}, 4010),
        ({"op": 2, "d": {"intents": 1 << 30}}, 4013),
        ({"op": 6, "d": {"session_id": "x", "seq": 1, "token": "wrong"}}, 4004),
    ],
)
async def test_the_gateway_closes_on_frames_out_of_order(stage: Stage, frame: Any, code: int) -> None:
    """Each kind of bad frame has its close code."""
    if isinstance(frame, dict) and "d" in frame:
        frame = frame | {"d": {"token": stage.server.token} | frame["d"]}
    async with aiohttp.ClientSession() as http, http.ws_connect(stage.server.gateway_url) as ws:
        await ws.receive_json()
        await (ws.send_str(frame) if isinstance(frame, str) else ws.send_json(frame))
        await ws.receive()
        assert ws.close_code == code


async def test_an_aborted_connection_is_resumed(stage: Stage) -> None:
    """A connection that breaks without a close frame is resumed like any other."""
    async with running(stage, RecordingClient()):
        stage.server.gateway.drop(code=0)
        await stage.server.until(lambda: stage.server.gateway.resumes == 1)
        assert stage.server.gateway.identifies == 1


async def test_members_are_sent_on_request(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """With the members intent the client gets everybody in chunks before it is ready."""
    stage = await open_stage(privileged=Intent.MEMBERS)
    async with running(stage, RecordingClient(discord.Intents(guilds=True, members=True))) as bot:
        assert {member.display_name for member in bot.guilds[0].members} == {"Nebula", "Ada", "Olivia"}


async def test_an_invalidated_session_identifies_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opcode 9 with false makes the client identify again, and its old session is gone."""

    async def at_once(self: discord.Client, shard_id: int | None, *, initial: bool = False) -> None:
        return None

    monkeypatch.setattr(discord.Client, "before_identify_hook", at_once)
    async with running(stage, RecordingClient()):
        stage.server.gateway.invalidate(resumable=False)
        await stage.server.until(lambda: stage.server.gateway.identifies == 2 and stage.server.gateway.sessions)
        assert len(stage.server.gateway.sessions) == 1


async def test_a_guild_belongs_to_one_shard(stage: Stage) -> None:
    """A message of a guild reaches only the session of its shard."""
    wanted = (int(stage.guild.id) >> 22) % 2
    async with aiohttp.ClientSession() as http:
        for shard in (0, 1):
            async with http.ws_connect(stage.server.gateway_url) as ws:
                await ws.receive_json()
                identify = {"token": stage.server.token, "intents": 1, "shard": [shard, 2]}
                await ws.send_json({"op": 2, "d": identify})
                ready = await ws.receive_json()
                assert len(ready["d"]["guilds"]) == (shard == wanted)
                assert ready["d"]["shard"] == [shard, 2]


# Messages


async def test_a_reply_that_is_edited_keeps_all_its_frames(stage: Stage) -> None:
    """A reply carries its reference, and each edit adds a frame."""
    async with running(stage, RecordingClient(allowed_mentions=discord.AllowedMentions.none())) as bot:

        async def answer(message: discord.Message) -> None:
            reply = await message.reply("one", mention_author=False)
            await reply.edit(content="one two")

        bot.on_question = answer
        question = await stage.server.say(stage.ada, stage.channel, "@Nebula count")
        reply = await stage.server.until(
            lambda: next((m for m in stage.server.messages(stage.channel) if m.content == "one two"), None)
        )
        assert reply.bot
        assert reply.reference == question.id
        assert reply.pings == frozenset()
        assert [frame.content for frame in reply.frames] == ["one", "one two"]
        await bot.news.until(lambda: bot.edits)
        assert bot.edits[0].message.content == "one two"


async def test_a_nonce_is_honoured_once(stage: Stage) -> None:
    """A second post with the same enforced nonce returns the first message."""
    path = f"/channels/{stage.channel.id}/messages"
    _, first, _ = await call(stage, "POST", path, content="a", nonce="1", enforce_nonce=True)
    _, second, _ = await call(stage, "POST", path, content="a", nonce="1", enforce_nonce=True)
    assert first["id"] == second["id"]
    assert len(stage.server.messages(stage.channel)) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"content": "x" * 2001}, 400, 50035),
        ({"content": "é" * 2000}, 200, 0),
        ({"content": " "}, 400, 50006),
        ({"embeds": [{"description": "x" * 4097}]}, 400, 50035),
        ({"content": "x", "components": [{"type": 1, "components": [{"type": 2, "style": 1}]}]}, 400, 50035),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "x" * 4001}]}, 400, 50035),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "漢" * 4000}]}, 500, 0),
        ({"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "x"}]}, 400, 50035),
        ({"content": "x", "message_reference": {"message_id": "1"}}, 400, 50035),
        ({"content": "x", "message_reference": {"message_id": "1", "fail_if_not_exists": False}}, 200, 0),
    ],
)
async def test_messages_are_checked(stage: Stage, body: dict[str, Any], status: int, code: int) -> None:
    """Lengths, emptiness, components and references are refused with Discord's codes."""
    got, answer, _ = await call(stage, "POST", f"/channels/{stage.channel.id}/messages", **body)
    assert (got, answer.get("code", 0)) == (status, code)


async def test_unknown_and_forbidden_targets_have_their_codes(stage: Stage) -> None:
    """10003, 10008, 50001, 50013, 50005 and 50083 come in the same cases as in Discord."""
    server = stage.server
    hidden = server.add_channel(stage.guild, "hidden")
    server.overwrite(hidden, Overwrite(stage.guild.id, deny=Permission.VIEW_CHANNEL))
    mute = server.add_channel(stage.guild, "mute")
    server.overwrite(mute, Overwrite(server.bot_user.id, deny=Permission.SEND_MESSAGES))
    theirs = await server.say(stage.ada, stage.channel, "mine")
    here = f"/channels/{stage.channel.id}/messages"
    thread = server.add_thread(stage.channel, "old")
    _, old, _ = await call(stage, "POST", f"/channels/{thread.id}/messages", content="x")
    server.archive(thread)

    async def code(method: str, path: str) -> int:
        _, answer, _ = await call(stage, method, path, content="x")
        return int(answer["code"])

    assert await code("POST", "/channels/1/messages") == 10003
    assert await code("PATCH", f"{here}/1") == 10008
    assert await code("POST", f"/channels/{hidden.id}/messages") == 50001
    assert await code("POST", f"/channels/{mute.id}/messages") == 50013
    assert await code("PATCH", f"{here}/{theirs.id}") == 50005
    assert await code("PATCH", f"/channels/{thread.id}/messages/{old['id']}") == 50083
    assert await code("GET", "/nowhere") == 0


async def test_files_history_typing_reactions_and_deletion(stage: Stage) -> None:
    """Uploads can be fetched, history is newest first, typing shows until the next message, reactions are counted."""
    server = stage.server
    async with running(stage, RecordingClient()) as bot:
        place = text_channel(bot, stage.channel)
        await place.typing()
        assert server.typing(stage.channel)
        first = await place.send("a", file=discord.File(io.BytesIO(b"data"), "a.txt"))
        assert not server.typing(stage.channel)
        assert await first.attachments[0].read() == b"data"
        second = await place.send("b", embed=discord.Embed(description="e"), silent=True)
        assert [message.content async for message in place.history()] == ["b", "a"]
        assert [message.content async for message in place.history(after=first)] == ["b"]
        await first.add_reaction("👀")
        assert [(r.emoji, r.users) for r in server.messages(stage.channel)[0].reactions] == [
            ("👀", (server.bot_user.id,))
        ]
        assert bot.user
        await first.remove_reaction("👀", bot.user)
        await first.delete()
        left = server.messages(stage.channel)
        assert [(message.content, message.reactions, message.flags) for message in left] == [("b", (), 1 << 12)]
        assert (await place.fetch_message(second.id)).embeds[0].description == "e"


@pytest.mark.parametrize(
    ("content", "allowed", "pings"),
    [
        ("@everyone <@{ada}>", None, {"everyone", "user:{ada}"}),
        ("@here <@&{role}>", {"parse": ["users"]}, set()),
        ("<@{ada}> @everyone", {"parse": []}, set()),
        ("`<@{ada}>` ```\n@everyone\n```", None, set()),
        ("```\n<@{ada}>", None, {"user:{ada}"}),
        ("<@&{role}>", {"roles": ["{role}"]}, {"role:{role}"}),
    ],
)
async def test_live_pings_are_recorded(stage: Stage, content: str, allowed: Any, pings: set[str]) -> None:
    """A ping is a mention outside code that allowed_mentions permits; an edit is checked again."""
    role = stage.server.add_role(stage.guild, "crew")

    def fill(text: str) -> str:
        return text.replace("{ada}", stage.ada.id).replace("{role}", role.id)

    body: dict[str, Any] = {"content": fill(content)}
    if allowed is not None:
        body["allowed_mentions"] = {key: [fill(one) for one in names] for key, names in allowed.items()}
    path = f"/channels/{stage.channel.id}/messages"
    await call(stage, "POST", path, **body)
    (message,) = stage.server.messages(stage.channel)
    assert message.pings == {fill(ping) for ping in pings}
    await call(stage, "PATCH", f"{path}/{message.id}", content="@here")
    (message,) = stage.server.messages(stage.channel)
    assert [frame.pings for frame in message.frames][1:] == [frozenset({"here"})]


async def test_a_thread_can_be_started_once_on_a_message(stage: Stage) -> None:
    """The thread takes the message's id; the second attempt is 160004; one without a message works too."""
    async with running(stage, RecordingClient()) as bot:
        message = await text_channel(bot, stage.channel).send("topic")
        thread = await message.create_thread(name="talk")
        assert thread.id == message.id
        await thread.send("inside")
        with pytest.raises(discord.HTTPException) as caught:
            await message.create_thread(name="again")
        assert caught.value.code == 160004
        free = await text_channel(bot, stage.channel).create_thread(name="free", type=discord.ChannelType.public_thread)
        assert {one.id for one in stage.server.threads(stage.channel)} == {str(thread.id), str(free.id)}


async def test_a_direct_message_can_be_opened_by_the_bot(stage: Stage) -> None:
    """POST /users/@me/channels returns the channel of the person; 50007 for somebody who accepts no direct messages."""
    shy = stage.server.add_member(stage.guild, "Shy", dms=False)
    async with running(stage, RecordingClient()) as bot:
        await (await bot.fetch_user(int(stage.ada.id))).send("hello")
        assert [message.content for message in stage.server.messages(stage.server.open_dm(stage.ada))] == ["hello"]
        with pytest.raises(discord.Forbidden) as caught:
            await (await bot.fetch_user(int(shy.id))).send("hello")
        assert caught.value.code == 50007


async def test_guilds_members_and_channels_can_be_fetched(stage: Stage) -> None:
    """A request returns existing objects, and an error code for missing ones."""
    server = stage.server
    async with running(stage, RecordingClient()) as bot:
        guild = await bot.fetch_guild(int(stage.guild.id))
        assert {role.name for role in await guild.fetch_roles()} == {"@everyone", "Nebula"}
        assert (await guild.fetch_member(int(stage.ada.id))).display_name == "Ada"
        assert [channel.name for channel in await guild.fetch_channels()] == ["general"]
        found = await bot.fetch_channel(int(stage.channel.id))
        assert isinstance(found, discord.TextChannel)
        assert [one.name async for one in bot.fetch_guilds()] == ["Works"]
        assert (await bot.application_info()).id == int(server.application_id)
    for path, code in (("/guilds/1", 10004), (f"/guilds/{stage.guild.id}/members/1", 10013), ("/users/1", 10013)):
        assert (await call(stage, "GET", path))[1]["code"] == code


async def test_a_thread_of_the_bot_can_be_archived_and_a_post_opens_it_again(stage: Stage) -> None:
    """The owner archives a thread; a post unarchives it, unless it is locked."""
    async with running(stage, RecordingClient()) as bot:
        message = await text_channel(bot, stage.channel).send("topic")
        thread = await message.create_thread(name="talk")
        await thread.edit(archived=True)
        assert stage.server.threads(stage.channel)[0].archived
        await thread.send("open again")
        (kept,) = stage.server.threads(stage.channel)
        assert not kept.archived
        stage.server.archive(kept, locked=True)
        with pytest.raises(discord.HTTPException) as caught:
            await thread.send("no more")
        assert caught.value.code == 160005


# People


async def test_typed_names_become_mentions_outside_code(stage: Stage) -> None:
    """@Name and #channel are turned into ids, not inside code and not inside a word."""
    stage.server.add_member(stage.guild, "Ada L")
    said = await stage.server.say(stage.ada, stage.channel, "@ada in #general, x@Ada.org `@Ada` @Ada L")
    other = next(user for user in said.mentions if user != stage.ada.id)
    shown = f"<@{stage.ada.id}> in <#{stage.channel.id}>, x@Ada.org `@Ada` <@{other}>"
    assert said.content == shown
    assert set(said.mentions) == {stage.ada.id, other}


async def test_people_edit_delete_and_reply_and_other_bots_write(stage: Stage) -> None:
    """An edit, a link preview, a reply and another bot's words reach the bot as Discord sends them."""
    server = stage.server
    robot = server.add_member(stage.guild, "Robot", bot=True)
    async with running(stage, RecordingClient()) as bot:
        mine = await text_channel(bot, stage.channel).send("mine")
        said = await server.say(stage.ada, stage.channel, "thanks", reply_to=server.messages(stage.channel)[0])
        await server.bot_says(robot, stage.channel, f"<@{server.bot_user.id}> beep")
        await seen(bot, 3)
        assert bot.user in bot.seen[1].mentions
        assert bot.seen[1].content == "thanks"
        assert bot.seen[1].reference
        assert bot.seen[1].reference.message_id == mine.id
        assert bot.seen[2].author.bot
        await server.edit(said, "thanks a lot")
        await server.preview(said, "https://example.org")
        await bot.news.until(lambda: len(bot.edits) == 2)
        await server.delete(said)
        assert server.message(said) is None
        assert [edit.message.content for edit in bot.edits] == ["thanks a lot", "thanks a lot"]


async def test_the_client_refuses_people_too(stage: Stage) -> None:
    """Too long a text, an empty one and a channel without the right to write are refused on the spot."""
    closed = stage.server.add_channel(
        stage.guild, "closed", overwrites=[Overwrite(stage.guild.id, deny=Permission.SEND_MESSAGES)]
    )
    for channel, text in ((stage.channel, "x" * 2001), (stage.channel, ""), (closed, "x")):
        with pytest.raises(DiscordRefuses):
            await stage.server.say(stage.ada, channel, text)


# Commands and interactions


def commands(bot: RecordingClient) -> None:
    """A few commands."""
    prompt = app_commands.Group(name="prompt", description="The prompt")

    @prompt.command(name="set", description="Set it")
    async def put(interaction: discord.Interaction, text: str) -> None:
        assert isinstance(interaction.user, discord.Member)
        manage = interaction.user.resolved_permissions and interaction.user.resolved_permissions.manage_channels
        await interaction.response.send_message(f"{text} {manage}", ephemeral=True)

    @bot.tree.command(name="ask", description="Ask")
    async def ask(interaction: discord.Interaction, prompt: str) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="thinking")
        await interaction.edit_original_response(content=prompt)
        extra = await interaction.followup.send("more", wait=True)
        await extra.edit(content="more and more")

    @bot.tree.command(name="attach", description="Attach")
    async def attach(interaction: discord.Interaction, file: discord.Attachment) -> None:
        read = await file.read()
        await interaction.response.send_message(f"{file.filename} {file.ephemeral} {read.decode()}")

    @bot.tree.command(name="pick", description="Pick")
    async def pick(interaction: discord.Interaction, name: str) -> None:
        await interaction.response.send_message(name)

    @pick.autocomplete("name")
    async def names(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=one, value=one.lower()) for one in ("Llama", "Qwen") if typed in one.lower()]

    class PromptForm(discord.ui.Modal, title="Prompt"):
        text: discord.ui.Label[Any] = discord.ui.Label(
            text="Text", component=discord.ui.TextInput(custom_id="text", style=discord.TextStyle.long)
        )

        async def on_submit(self, interaction: discord.Interaction) -> None:
            assert isinstance(self.text.component, discord.ui.TextInput)
            await interaction.response.send_message(self.text.component.value)

    @bot.tree.command(name="form", description="A form")
    async def form(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(PromptForm())

    bot.tree.add_command(prompt)


@asynccontextmanager
async def commanding(stage: Stage) -> AsyncIterator[RecordingClient]:
    """A bot whose commands are registered."""
    bot = RecordingClient()
    commands(bot)
    async with running(stage, bot):
        await bot.tree.sync()
        yield bot


async def test_commands_are_registered_in_bulk(stage: Stage) -> None:
    """A sync is one PUT; the commands can be read back and keep their ids over another sync."""
    async with commanding(stage) as bot:
        before = {command.name: command.id for command in await bot.tree.fetch_commands()}
        assert set(before) == {"ask", "attach", "form", "pick", "prompt"}
        await bot.tree.sync()
        assert {command.name: command.id for command in await bot.tree.fetch_commands()} == before
        assert stage.server.commands.puts == 2


async def test_an_ephemeral_answer_to_a_subcommand(stage: Stage) -> None:
    """The options arrive, the member's permissions too, and the answer is for one person only."""
    boss = stage.server.add_member(stage.guild, "Boss", permissions=Permission.MANAGE_CHANNELS)
    async with commanding(stage):
        reply = await stage.server.slash(boss, stage.channel, "prompt set", {"text": "be brief"})
        original = await stage.server.until(lambda: reply.original)
        assert original.content == "be brief True"
        assert original.ephemeral_for == boss.id
        assert reply.ephemeral
        status, answer, _ = await call(stage, "GET", f"/channels/{stage.channel.id}/messages/{original.id}")
        assert (status, answer["code"]) == (404, 10008)


async def test_a_deferred_answer_is_edited_and_followed_up(stage: Stage) -> None:
    """Defer shows a loading message; edits and followups go through the interaction's webhook."""
    async with commanding(stage):
        reply = await stage.server.slash(stage.ada, stage.channel, "ask", {"prompt": "hi <@1>"})
        await stage.server.until(lambda: [m.content for m in reply.followups] == ["more and more"])
        assert reply.deferred
        assert reply.original
        assert [frame.content for frame in reply.original.frames] == ["", "thinking", "hi <@1>"]
        assert not reply.loading
        assert reply.original.type == 20


async def test_a_file_of_a_command(stage: Stage) -> None:
    """An option takes a file, which belongs to no message; a client sends nothing else in it."""
    async with commanding(stage):
        file = DiscordUpload("a.txt", b"bytes", "text/plain")
        reply = await stage.server.slash(stage.ada, stage.channel, "attach", {"file": file})
        original = await stage.server.until(lambda: reply.original)
        assert original.content == "a.txt True bytes"
        with pytest.raises(DiscordRefuses):
            await stage.server.slash(stage.ada, stage.channel, "attach", {"file": "a.txt"})


async def test_addresses_of_files_are_signed_and_expire(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """After a day the address is no longer good, and the message has another one. A forged one never is, and the file
    ends with its last message."""
    stage = await open_stage(privileged=Intent.MESSAGE_CONTENT)
    server = stage.server
    said = await server.say(stage.ada, stage.channel, "x", attachments=[DiscordUpload("ä b.txt", b"bytes")])
    path = f"/channels/{stage.channel.id}/messages/{said.id}"

    async def current() -> str:
        return str((await call(stage, "GET", path))[1]["attachments"][0]["url"])

    first = await current()
    assert await status_of(first) == 200
    assert await status_of(first.partition("?")[0]) == 404
    assert await status_of(first.replace("ex=", "ex=f")) == 404
    server.cdn.ahead += LIFETIME + 1
    assert await status_of(first) == 404
    second = await current()
    assert await status_of(second) == 200
    copy = await server.forward(stage.ada, said, stage.channel)
    await server.delete(said)
    assert await status_of(second) == 200
    await server.delete(copy)
    assert await status_of(second) == 404


async def status_of(address: str) -> int:
    """How the CDN answers."""
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        return answer.status


async def test_the_first_followup_fills_in_a_deferred_answer(stage: Stage) -> None:
    """After a deferral the first followup edits the loading message, the next is new, and the original can go."""
    server = stage.server
    async with aiohttp.ClientSession() as http:
        command = [{"name": "ask", "description": "Ask"}]
        url = f"{server.api_url}/applications/{server.application_id}/commands"
        async with http.put(url, json=command, headers={"Authorization": f"Bot {server.token}"}) as answer:
            assert answer.status == 200
        reply = await server.slash(stage.ada, stage.channel, "ask")
        hook = f"/webhooks/{server.application_id}/{reply.token}"
        assert (await call(stage, "GET", f"{hook}/messages/@original"))[1]["code"] == 10015
        path = f"/interactions/{reply.id}/{reply.token}/callback?with_response=1"
        _, shown, _ = await call(stage, "POST", path, type=5, data={"flags": 64})
        assert shown["interaction"]["response_message_loading"] is True
        assert (reply.loading, reply.ephemeral) == (True, True)
        _, first, _ = await call(stage, "POST", hook, content="one <@1> @everyone")
        _, second, _ = await call(stage, "POST", hook, content="two")
        assert first["id"] == reply.original_id != second["id"]
        assert (reply.loading, [message.content for message in reply.followups]) == (False, ["two"])
        await call(stage, "DELETE", f"{hook}/messages/@original")
        assert reply.original is None
        assert (await call(stage, "PATCH", f"{hook}/messages/@original", content="x"))[1]["code"] == 10008


async def test_the_client_checks_commands_before_sending(stage: Stage) -> None:
    """Unknown commands, unknown options and missing options never leave the client."""
    async with commanding(stage):
        for path, options in (("nope", {}), ("ask", {}), ("ask", {"prompt": "x", "y": 1}), ("prompt", {})):
            with pytest.raises(DiscordRefuses):
                await stage.server.slash(stage.ada, stage.channel, path, options)


async def test_autocomplete_brings_choices(stage: Stage) -> None:
    """Typing into an option brings the app's suggestions."""
    async with commanding(stage):
        choices = await stage.server.autocomplete(stage.ada, stage.channel, "pick", "name", "lla")
        assert [(choice.name, choice.value) for choice in choices] == [("Llama", "llama")]


async def test_a_modal_is_opened_and_submitted(stage: Stage) -> None:
    """A form is filled in by the custom ids of its fields; an empty required field is refused."""
    async with commanding(stage):
        opened = await stage.server.slash(stage.ada, stage.channel, "form")
        modal = await stage.server.until(lambda: opened.modal)
        assert (modal.title, modal.fields) == ("Prompt", ("text",))
        with pytest.raises(DiscordRefuses):
            await stage.server.submit_modal(opened, {})
        sent = await stage.server.submit_modal(opened, {"text": "two\nlines"})
        original = await stage.server.until(lambda: sent.original)
        assert original.content == "two\nlines"


async def test_a_button_updates_its_message(stage: Stage) -> None:
    """Pressing a button is an interaction on the message, which the app may update in place."""
    async with running(stage, RecordingClient()) as bot:

        class Stop(discord.ui.View):
            @discord.ui.button(label="Stop", custom_id="stop")
            async def stop_it(self, interaction: discord.Interaction, button: discord.ui.Button[Any]) -> None:
                await interaction.response.edit_message(content="stopped", view=None)

        await text_channel(bot, stage.channel).send("running", view=Stop())
        (message,) = stage.server.messages(stage.channel)
        pressed = await stage.server.press(stage.ada, message, "stop")
        await stage.server.until(lambda: pressed.acknowledged)
        assert pressed.original
        assert (pressed.original.id, pressed.original.content) == (message.id, "stopped")
        with pytest.raises(DiscordRefuses):
            await stage.server.press(stage.ada, message, "stop")


async def test_an_interaction_is_acknowledged_once_and_in_time(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """The second callback is 40060, an unknown one and a late one 10062."""
    stage = await open_stage()
    async with commanding(stage):
        reply = await stage.server.slash(stage.ada, stage.channel, "pick", {"name": "x"})
        await stage.server.until(lambda: reply.acknowledged)
        status, answer, _ = await call(stage, "POST", f"/interactions/{reply.id}/{reply.token}/callback", type=5)
        assert (status, answer["code"]) == (400, 40060)
        status, answer, _ = await call(stage, "POST", "/interactions/1/x/callback", type=5)
        assert (status, answer["code"]) == (404, 10062)
    late = await open_stage(interaction_deadline=-1.0)
    async with commanding(late) as bot:
        reply = await late.server.slash(late.ada, late.channel, "ask", {"prompt": "x"})
        (error,) = await bot.news.until(lambda: bot.errors)
        assert isinstance(error, app_commands.CommandInvokeError)
        assert isinstance(error.original, discord.NotFound)
        assert error.original.code == 10062
        assert not reply.acknowledged


async def test_an_interaction_token_dies(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """After its lifetime the webhook answers 401 with 50027."""
    stage = await open_stage(interaction_lifetime=-1.0)
    async with commanding(stage):
        reply = await stage.server.slash(stage.ada, stage.channel, "ask", {"prompt": "x"})
        refused = await stage.server.until(lambda: [one for one in stage.server.calls if one.code == 50027])
        assert refused[0].status == 401
        assert reply.loading


async def register(stage: Stage, *commands: dict[str, Any]) -> tuple[int, Any]:
    """Register commands without discord.py."""
    url = f"{stage.server.api_url}/applications/{stage.server.application_id}/commands"
    headers = {"Authorization": f"Bot {stage.server.token}"}
    async with aiohttp.ClientSession() as http, http.put(url, json=list(commands), headers=headers) as answer:
        return answer.status, await answer.json()


async def test_options_of_every_type_are_checked_and_resolved(stage: Stage) -> None:
    """Numbers, flags, choices and people arrive with their types; the client refuses values that do not fit."""
    types = {"text": 3, "count": 4, "loud": 5, "who": 6, "where": 7, "crew": 8, "heat": 10}
    options: list[dict[str, Any]] = [{"name": name, "description": "x", "type": kind} for name, kind in types.items()]
    options[0]["choices"] = [{"name": "A", "value": "a"}]
    options[1] |= {"min_value": 1, "max_value": 3}
    assert (await register(stage, {"name": "all", "description": "x", "options": options}))[0] == 200
    server, role = stage.server, stage.server.add_role(stage.guild, "crew")
    async with running(stage, RecordingClient()) as bot:
        got: asyncio.Future[discord.Interaction] = asyncio.get_running_loop().create_future()

        async def on_interaction(interaction: discord.Interaction) -> None:
            got.set_result(interaction)

        bot.event(on_interaction)
        given = {"text": "a", "count": "2", "loud": "true", "who": stage.ada, "where": stage.channel, "crew": role}
        await server.slash(stage.ada, stage.channel, "all", {**given, "heat": "0.5"})
        data: Any = (await asyncio.wait_for(got, HANG_SECONDS)).data
    sent = {option["name"]: option["value"] for option in data["options"]}
    ids = {"who": stage.ada.id, "where": stage.channel.id, "crew": role.id}
    assert sent == {"text": "a", "count": 2, "loud": True, "heat": 0.5, **ids}
    assert set(data["resolved"]) == {"users", "members", "channels", "roles"}
    bad = {"text": "b", "count": "4", "loud": "perhaps", "who": "1", "heat": "warm"}
    for name, value in bad.items():
        with pytest.raises(DiscordRefuses):
            await server.slash(stage.ada, stage.channel, "all", {name: value})


@pytest.mark.parametrize(
    "command",
    [
        {"name": "Shout", "description": "x"},
        {"name": "x", "description": ""},
        {"name": "x", "description": "x" * 101},
        {"name": "x", "description": "x", "options": [{"name": str(i), "description": "x"} for i in range(26)]},
        {
            "name": "x",
            "description": "x",
            "options": [
                {"name": "a", "description": "x", "type": 3},
                {"name": "b", "description": "x", "type": 3, "required": True},
            ],
        },
        {"name": "x", "description": "x", "contexts": [3]},
        {"name": "x", "description": "x", "contexts": []},
        {"name": "x", "description": "x", "integration_types": [0, 2]},
        {"name": "x", "description": "x", "integration_types": []},
    ],
)
async def test_commands_that_discord_refuses(stage: Stage, command: dict[str, Any]) -> None:
    """Bad names, descriptions and option lists are 50035, and nothing is registered."""
    status, answer = await register(stage, command)
    assert (status, answer["code"]) == (400, 50035)
    assert stage.server.commands.registered == ()


async def test_commands_are_offered_where_and_to_whom_they_should_be(stage: Stage) -> None:
    """Contexts and default permissions hide a command, and a command in a direct message comes from a user."""
    dm = stage.server.open_dm(stage.ada)
    manage = {"name": "manage", "description": "x", "default_member_permissions": "16", "contexts": [0]}
    await register(stage, manage, {"name": "free", "description": "x"})
    for place in (stage.channel, dm):
        with pytest.raises(DiscordRefuses):
            await stage.server.slash(stage.ada, place, "manage")
    async with running(stage, RecordingClient()) as bot:
        got: asyncio.Future[discord.Interaction] = asyncio.get_running_loop().create_future()

        async def on_interaction(interaction: discord.Interaction) -> None:
            got.set_result(interaction)

        bot.event(on_interaction)
        await stage.server.slash(stage.ada, dm, "free")
        interaction = await asyncio.wait_for(got, HANG_SECONDS)
        assert interaction.guild is None
        assert str(interaction.user.id) == stage.ada.id
        assert isinstance(interaction.channel, discord.DMChannel)


async def test_an_installation_that_is_off_in_the_portal_is_refused(stage: Stage) -> None:
    """The application says what is on; only then commands can ask for it, and people add the app."""
    portable = {"name": "x", "description": "x", "integration_types": [0, 1]}
    stage.server.user_install = False
    assert (await register(stage, portable))[0] == 400
    assert set((await call(stage, "GET", "/applications/@me"))[1]["integration_types_config"]) == {"0"}
    with pytest.raises(DiscordRefuses):
        stage.server.install(stage.ada)
    stage.server.user_install = True
    assert (await register(stage, portable))[0] == 200
    assert set((await call(stage, "GET", "/applications/@me"))[1]["integration_types_config"]) == {"0", "1"}


@pytest.mark.parametrize("intent", [Intent.MESSAGE_CONTENT, Intent.NONE])
async def test_a_menu_hands_a_message_over(open_stage: Callable[..., Awaitable[Stage]], intent: Intent) -> None:
    """With its content, whatever the intent; the message that it replies to is shown as the intent says."""
    stage = await open_stage(privileged=intent)
    async with running(stage, RecordingClient()) as bot:
        await register(stage, {"name": "Look at it", "type": 3})
        above = await stage.server.say(stage.ada, stage.channel, "above")
        message = await stage.server.say(stage.ada, stage.channel, "words", reply_to=above)
        with pytest.raises(DiscordRefuses):
            await stage.server.menu(stage.ada, message, "Look elsewhere")
        got = asyncio.get_running_loop().create_future()

        async def on_interaction(interaction: discord.Interaction) -> None:
            got.set_result(interaction)

        bot.event(on_interaction)
        await stage.server.menu(stage.ada, message, "Look at it")
        data: Any = (await asyncio.wait_for(got, HANG_SECONDS)).data
        assert (data["name"], data["type"], data["target_id"]) == ("Look at it", 3, message.id)
        [shown] = data["resolved"]["messages"].values()
        assert shown["content"] == "words"
        assert shown["referenced_message"]["content"] == ("above" if intent else "")


class Guest(RecordingClient):
    """A bot that people add to their account: it answers /x with six further messages, and keeps what is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[discord.Interaction] = []
        self.refused: list[int] = []

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message("first", ephemeral=True)
        for number in range(6):
            try:
                await interaction.followup.send(str(number))
            except discord.HTTPException as error:
                self.refused.append(error.code)
        self.got.append(interaction)
        self.news.changed()


@pytest.mark.parametrize("place", ["guild", "closed guild", "group"])
async def test_an_app_that_a_person_brings_along(stage: Stage, place: str) -> None:
    """In a guild without the bot and in a group chat: who authorised it, five followups, and nothing by REST. Where the
    person lacks the permission to use external apps, all is for them alone."""
    server = stage.server
    other = server.add_guild("Elsewhere", bot=False)
    server.add_member(other, stage.ada)
    bob = server.add_member(other, "Bob")
    closed = [Overwrite(other.id, deny=Permission.USE_EXTERNAL_APPS)] if place == "closed guild" else []
    abroad = (
        server.add_group("friends", stage.ada, bob)
        if place == "group"
        else server.add_channel(other, "abroad", overwrites=closed)
    )
    async with running(stage, Guest()) as bot:
        assert isinstance(bot, Guest)
        portable = {"name": "x", "description": "x", "integration_types": [0, 1], "contexts": [0, 1, 2]}
        await register(stage, portable, {"name": "y", "description": "y"})
        server.install(stage.ada)
        for who, name in ((bob, "x"), (stage.ada, "y")):
            with pytest.raises(DiscordRefuses):
                await server.slash(who, abroad, name)
        shown = await server.slash(stage.ada, abroad, "x")
        await bot.news.until(lambda: bot.got)
        [interaction] = bot.got
        assert interaction.is_user_integration()
        assert not interaction.is_guild_integration()
        assert bool(interaction.context.private_channel) is (place == "group")
        assert bot.refused == [40094]
        assert {bool(each.ephemeral_for) for each in shown.followups} == {place == "closed guild"}
        assert [guild.id for guild in bot.guilds] == [int(stage.guild.id)]
        await server.say(stage.ada, abroad, "not for the bot")
        assert not bot.seen
        for path, code in ((f"/channels/{abroad.id}/messages", 50001), (f"/guilds/{other.id}", 10004)):
            assert (await call(stage, "GET", path))[1]["code"] == code


# Rate limits and faults


async def test_posts_and_edits_share_a_bucket_name_but_not_its_count(
    open_stage: Callable[..., Awaitable[Stage]],
) -> None:
    """POST and PATCH name the same bucket, but each has its own five calls; the sixth is a 429 with a wait."""
    stage = await open_stage(limits=DiscordLimits(), clock=lambda: 0.0)
    path = f"/channels/{stage.channel.id}/messages"
    _, message, posted = await call(stage, "POST", path, content="0")
    headers = posted
    for number in range(5):
        _, _, headers = await call(stage, "PATCH", f"{path}/{message['id']}", content=str(number))
    assert posted["X-RateLimit-Bucket"] == headers["X-RateLimit-Bucket"]
    assert (posted["X-RateLimit-Remaining"], headers["X-RateLimit-Remaining"]) == ("4", "0")
    status, body, headers = await call(stage, "PATCH", f"{path}/{message['id']}", content="x")
    assert status == 429
    assert 0 < body["retry_after"] <= 5
    assert body["global"] is False
    assert (headers["X-RateLimit-Scope"], headers["Content-Type"]) == ("user", "application/json")
    assert "Via" in headers
    stage.server.limits = replace(stage.server.limits, edit=DiscordLimit(10, 5.0))
    status, _, headers = await call(stage, "PATCH", f"{path}/{message['id']}", content="x")
    assert (status, headers["X-RateLimit-Limit"]) == (200, "10")


async def test_discord_py_waits_for_the_window(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """Paced by the headers, discord.py meets no 429."""
    stage = await open_stage(limits=QUICK_SERVER_LIMITS)
    async with running(stage, RecordingClient()) as bot:
        message = await text_channel(bot, stage.channel).send("0")
        for number in range(7):
            await message.edit(content=str(number))
        assert {one.status for one in stage.server.calls} == {200}
        assert stage.server.messages(stage.channel)[0].content == "6"


async def test_edits_of_old_messages_have_a_limit_of_their_own(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """The fourth edit of an old message within six seconds is a 429 with code 30046."""
    stage = await open_stage(limits=replace(DISCORD_LIMITS, old_age=-1.0), clock=lambda: 0.0)
    path = f"/channels/{stage.channel.id}/messages"
    _, message, _ = await call(stage, "POST", path, content="0")
    answers = [await call(stage, "PATCH", f"{path}/{message['id']}", content="x") for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert answers[-1][1]["code"] == 30046
    assert answers[-1][2]["X-RateLimit-Remaining"] == "1"


async def test_the_global_limit(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """Above the global limit the 429 says that it is global."""
    stage = await open_stage(limits=replace(DISCORD_LIMITS, everything=DiscordLimit(1, 5.0)), clock=lambda: 0.0)
    await call(stage, "GET", "/users/@me")
    status, body, headers = await call(stage, "GET", "/users/@me")
    assert (status, body["global"], headers["X-RateLimit-Scope"]) == (429, True, "global")


async def test_faults_hit_the_route_they_name(stage: Stage) -> None:
    """A rate limit, an error with a code, a slow answer and a Cloudflare page come the given number of times, then no
    more."""
    route, path = "POST /channels/{channel}/messages", f"/channels/{stage.channel.id}/messages"
    stage.server.faults.rate_limit(route, 0.25)
    stage.server.faults.error(route, 400, code=200000)
    stage.server.faults.error("POST *", 503)
    stage.server.faults.cloudflare(route)
    stage.server.faults.slow(route, 0.01)
    answers = [await call(stage, "POST", path, content="x") for _ in range(6)]
    assert [status for status, _, _ in answers] == [429, 400, 503, 429, 200, 200]
    assert answers[0][1]["retry_after"] == 0.25
    assert answers[1][1]["code"] == 200000
    assert "Via" not in answers[3][2]
    assert len(stage.server.messages(stage.channel)) == 2


async def test_a_fault_can_last_until_it_is_cleared(stage: Stage) -> None:
    """With times=None a fault stays, after letting the first calls pass."""
    stage.server.faults.error("GET /users/@me", 500, None, before=1)
    statuses = [(await call(stage, "GET", "/users/@me"))[0] for _ in range(3)]
    stage.server.faults.clear()
    statuses.append((await call(stage, "GET", "/users/@me"))[0])
    assert statuses == [200, 500, 500, 200]


async def test_a_reset_after_the_message_was_stored(stage: Stage) -> None:
    """The connection breaks, but the message is there."""
    async with running(stage, RecordingClient()) as bot:
        stage.server.faults.reset("POST /channels/{channel}/messages")
        with pytest.raises(aiohttp.ClientError):
            await text_channel(bot, stage.channel).send("there")
        assert [message.content for message in stage.server.messages(stage.channel)] == ["there"]


async def test_latency_delays_calls_and_events(stage: Stage) -> None:
    """With a latency everything still arrives, in order."""
    async with running(stage, RecordingClient()) as bot:
        stage.server.latency = 0.02
        for word in ("a", "b", "c"):
            await stage.server.say(stage.ada, stage.channel, f"@Nebula {word}")
        await text_channel(bot, stage.channel).send("d")
        await seen(bot, 4)
        assert [message.content[-1] for message in bot.seen] == ["a", "b", "c", "d"]


async def test_a_request_is_applied_half_way_through_its_latency(stage: Stage) -> None:
    """Half of the round trip passes before the message is there, half before the client knows."""
    stage.server.latency = 0.1
    asked = time.monotonic()
    await call(stage, "POST", f"/channels/{stage.channel.id}/messages", content="x")
    answered = time.monotonic()
    (message,) = stage.server.messages(stage.channel)
    assert min(message.frames[0].at - asked, answered - message.frames[0].at) > 0.049


async def test_a_late_request_is_overtaken(stage: Stage) -> None:
    """A late request is applied after one that was sent later."""
    path = f"/channels/{stage.channel.id}/messages"
    held = stage.server.faults.hold("POST *", late=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call(stage, "POST", path, content="one"))
        await stage.server.until(lambda: held.met)
        await call(stage, "POST", path, content="two")
        held.release()
    late, early = sorted(stage.server.calls, key=lambda each: each.at)
    assert [late.body["content"], early.body["content"]] == ["one", "two"]
    assert [message.content for message in stage.server.messages(stage.channel)] == ["two", "one"]


async def test_a_held_answer_is_sent_at_its_release(stage: Stage) -> None:
    """The request takes effect; later requests are answered before it."""
    path = f"/channels/{stage.channel.id}/messages"
    held = stage.server.faults.hold("POST *")
    async with asyncio.TaskGroup() as tasks:
        kept = tasks.create_task(call(stage, "POST", path, content="one"))
        await stage.server.until(lambda: stage.server.messages(stage.channel))
        assert held.met
        assert (await call(stage, "POST", path, content="two"))[0] == 200
        assert not kept.done()
        held.release()
    assert kept.result()[0] == 200


async def test_windows_end_by_the_given_clock(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """A window does not end while the clock stands still, and ends sooner than Discord's with faster limits."""
    now = 0.0
    stage = await open_stage(limits=DiscordLimits().faster(5), clock=lambda: now)
    path, found = f"/channels/{stage.channel.id}/messages", []
    for then in (0.0, 0.0, 0.5, 0.5, 0.5, 0.99, 1.0):
        now = then
        status, _, headers = await call(stage, "POST", path, content="x")
        found.append((status, float(headers["X-RateLimit-Reset-After"])))
    assert found == [(200, 1.0), (200, 1.0), (200, 0.5), (200, 0.5), (200, 0.5), (429, 0.01), (200, 1.0)]


async def test_everybody_who_may_write_in_a_thread_may_reopen_it(stage: Stage) -> None:
    """The bot can reopen a person's archived thread, unless it is locked."""
    thread = stage.server.archive(stage.server.add_thread(stage.channel, "Aside"))
    path = f"/channels/{thread.id}"
    assert (await call(stage, "PATCH", path, archived=False))[0] == 200
    assert not stage.server.threads(stage.channel)[0].archived
    stage.server.archive(thread, locked=True)
    status, body, _ = await call(stage, "PATCH", path, archived=False)
    assert (status, body["code"]) == (403, 50013)
    assert (await call(stage, "PATCH", path, name="Mine"))[0] == 403


async def test_until_gives_up(stage: Stage) -> None:
    """A state that does not come raises TimeoutError."""
    with pytest.raises(TimeoutError):
        await stage.server.until(lambda: stage.server.typing(stage.channel), timeout=0.01)


async def test_a_thread_can_be_renamed_twice_in_ten_minutes(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """By its owner; reopening it, and the same name again, do not count (discord-api-docs issue 1900)."""
    stage = await open_stage(limits=DISCORD_LIMITS, clock=lambda: 0.0)
    asked = await stage.server.say(stage.ada, stage.channel, "hello")
    await call(stage, "POST", f"/channels/{stage.channel.id}/messages/{asked.id}/threads", name="one")
    path = f"/channels/{asked.id}"
    answers = [await call(stage, "PATCH", path, name=name) for name in ("two", "two", "three", "four")]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert 0 < answers[-1][1]["retry_after"] <= 600
    assert (await call(stage, "PATCH", path, archived=False))[0] == 200
    assert stage.server.channel(asked.id).name == "three"
    theirs = stage.server.add_thread(stage.channel, "Aside", owner=stage.ada)
    assert (await call(stage, "PATCH", f"/channels/{theirs.id}", name="mine"))[0] == 403


async def test_a_server_that_the_bot_joins(stage: Stage) -> None:
    """It is announced as joined, with its system channel and the time; one that is sent again is available."""
    joined: list[discord.Guild] = []
    async with running(stage, RecordingClient()) as bot:

        async def on_guild_join(guild: discord.Guild) -> None:
            joined.append(guild)
            bot.news.changed()

        bot.event(on_guild_join)
        club = stage.server.add_guild("Club", system="welcome")
        await bot.news.until(lambda: joined)
        assert joined[0].system_channel
        assert joined[0].system_channel.name == "welcome"
        assert joined[0].me.joined_at
        stage.server.gateway.guild_create(club)
        await bot.news.until(lambda: int(club.id) in bot.available)
        assert len(joined) == 1


async def test_a_media_channel_has_posts(open_stage: Callable[..., Awaitable[Stage]]) -> None:
    """As a forum has; other channels have none."""
    stage = await open_stage(privileged=Intent.MESSAGE_CONTENT)
    media = stage.server.add_channel(stage.guild, "pictures", ChannelKind.MEDIA)
    async with running(stage, RecordingClient(discord.Intents(guilds=True, guild_messages=True))) as bot:
        picture = DiscordUpload("cat.png", b"x", "image/png")
        post = await stage.server.publish(stage.ada, media, "A cat", "", attachments=[picture])
        await seen(bot, 1)
        thread = bot.seen[0].channel
        assert isinstance(thread, discord.Thread)
        assert (thread.id, thread.name) == (bot.seen[0].id, "A cat")
        assert isinstance(thread.parent, discord.ForumChannel)
        assert thread.parent.is_media()
        assert post.parent == media.id
        with pytest.raises(DiscordRefuses):
            await stage.server.publish(stage.ada, stage.channel, "A cat", "")
