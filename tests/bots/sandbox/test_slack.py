"""The sandbox's Slack as the unmodified slack_sdk and slack-bolt see it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS, PER_CHANNEL, SLACK_LIMITS, SlackLimit
from bots.sandbox.slack.server import SlackServer
from bots.sandbox.slack.workspace.values import SlackFile, SlackMessage
from tests.bounds import HANG_SECONDS

Json = dict[str, Any]

BUTTON: Json = {"type": "button", "text": {"type": "plain_text", "text": "Edit"}, "action_id": "edit", "value": "1"}


@dataclass(frozen=True, slots=True)
class SlackSetup:
    """A server with one person and one channel, and the SDK's client."""

    server: SlackServer
    client: AsyncWebClient
    ann: str
    general: str

    async def refused(self, call: Awaitable[Any]) -> str:
        """The error code that the call ends with."""
        with pytest.raises(SlackApiError) as caught:
            await call
        return str(caught.value.response["error"])

    def shown(self) -> list[str]:
        """What people read in the channel."""
        return [message.shown for message in self.server.messages(self.general)]


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[SlackSetup]:
    """A Slack that redelivers at once, and stops waiting for an acknowledgement only if a test wants that."""
    patient: Json = {"ack_timeout": HANG_SECONDS, "trigger_seconds": HANG_SECONDS}
    settings: Json = {"limits": NO_SLACK_LIMITS, "retry_delays": (0.0, 0.0, 0.0), **patient} | options
    async with SlackServer(**settings) as server, aiohttp.ClientSession() as session:
        client = AsyncWebClient(server.bot_token, base_url=server.api_url, session=session, retry_handlers=[])
        ann = server.add_user("ann", admin=True)
        yield SlackSetup(server, client, ann, server.add_channel("general", ann))


@pytest.fixture
async def world() -> AsyncIterator[SlackSetup]:
    """A Slack without rate limits."""
    async with opened() as made:
        yield made


def bolt(world: SlackSetup) -> AsyncApp:
    """A Bolt app of the workspace, which catches and so acknowledges every event."""
    client = AsyncWebClient(world.server.bot_token, base_url=world.server.api_url)
    return AsyncApp(client=client, token=None, signing_secret=world.server.signing_secret)


def collect(app: AsyncApp, *kinds: str) -> list[Json]:
    """The events of these kinds as they arrive."""
    seen: list[Json] = []

    async def listener(event: Json, body: Json) -> None:
        seen.append({**event, "body": body})

    for kind in kinds:
        app.event(kind)(listener)
    return seen


@asynccontextmanager
async def socket(app: AsyncApp, world: SlackSetup) -> AsyncIterator[AsyncSocketModeHandler]:
    """The app on Socket Mode."""
    handler = AsyncSocketModeHandler(app, world.server.app_token)
    before = world.server.sockets
    await handler.connect_async()  # type: ignore[no-untyped-call]
    await world.server.until(lambda: world.server.sockets > before)
    try:
        yield handler
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def http(app: AsyncApp, world: SlackSetup) -> AsyncIterator[None]:
    """The app behind a request URL."""
    runner = web.AppRunner(app.web_app("/slack/events"))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world.server.deliver_to(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    try:
        yield
    finally:
        await runner.cleanup()


# --- tokens, people, channels ---


async def test_each_token_works_for_its_methods(world: SlackSetup) -> None:
    """The bot token names the bot; a wrong, missing or app token is refused with Slack's codes."""
    who = await world.client.auth_test()
    assert (who["user_id"], who["bot_id"], who["team_id"]) == (
        world.server.bot_user,
        world.server.bot_id,
        world.server.team,
    )
    base = world.server.api_url
    assert await world.refused(AsyncWebClient("xoxb-other", base_url=base).auth_test()) == "invalid_auth"
    assert await world.refused(AsyncWebClient(base_url=base).auth_test()) == "not_authed"
    app_level = AsyncWebClient(world.server.app_token, base_url=base)
    assert await world.refused(app_level.auth_test()) == "not_allowed_token_type"
    assert await world.refused(world.client.api_call("chat.postLetter")) == "unknown_method"


async def test_a_missing_scope_is_named() -> None:
    """Without its scope a method answers missing_scope with what it needs and what was given."""
    async with opened(scopes=frozenset({"chat:write"})) as world:
        with pytest.raises(SlackApiError) as caught:
            await world.client.users_info(user=world.ann)
        assert caught.value.response["needed"] == "users:read"
        assert (await world.client.chat_postMessage(channel=world.general, text="hi"))["ok"]


async def test_people_and_channels_can_be_looked_up(world: SlackSetup) -> None:
    """users.* and conversations.* return roles, creators and kinds; unknown ids are refused."""
    assert (await world.client.users_info(user=world.ann))["user"]["is_admin"] is True
    listed = await world.client.users_list(limit=1)
    assert len(listed["members"]) == 1
    assert listed["response_metadata"]["next_cursor"] == "1"
    channel = (await world.client.conversations_info(channel=world.general))["channel"]
    assert (channel["creator"], channel["name"], channel["is_im"]) == (world.ann, "general", False)
    dm = (await world.client.conversations_open(users=world.ann))["channel"]
    assert dm["id"] == world.server.open_dm(world.ann)
    assert dm["is_im"] is True
    secret = world.server.add_channel("secret", world.ann, private=True, bot_in=False)
    assert await world.refused(world.client.conversations_info(channel=secret)) == "channel_not_found"
    assert await world.refused(world.client.users_info(user="U404")) == "user_not_found"
    assert (await world.client.bots_info(bot=world.server.bot_id))["bot"]["user_id"] == world.server.bot_user
    assert (await world.client.team_info())["team"]["id"] == world.server.team


# --- posting and editing ---


async def test_a_message_grows_by_edits_and_every_frame_is_kept(world: SlackSetup) -> None:
    """chat.update replaces what is shown; the history of frames stays readable."""
    posted = await world.client.chat_postMessage(channel=world.general, text="one")
    await world.client.chat_update(channel=world.general, ts=posted["ts"], text="one two")
    (message,) = world.server.messages(world.general)
    assert (message.shown, message.edits, message.bot) == ("one two", 1, world.server.bot_id)
    assert [frame.shown for frame in message.frames] == ["one", "one two"]
    await world.client.chat_delete(channel=world.general, ts=posted["ts"])
    assert world.server.messages(world.general) == ()


async def test_only_own_and_existing_messages_can_be_changed(world: SlackSetup) -> None:
    """Other people's messages and unknown timestamps are refused."""
    question = await world.server.say(world.ann, world.general, "hi")
    client, general = world.client, world.general
    assert await world.refused(client.chat_update(channel=general, ts=question.ts, text="x")) == "cant_update_message"
    assert await world.refused(client.chat_delete(channel=general, ts=question.ts)) == "cant_delete_message"
    assert await world.refused(client.chat_update(channel=general, ts="1.1", text="x")) == "message_not_found"
    assert await world.refused(client.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
    lonely = world.server.add_channel("lonely", world.ann, bot_in=False)
    assert await world.refused(client.chat_postMessage(channel=lonely, text="x")) == "not_in_channel"
    assert (
        await world.refused(client.chat_postMessage(channel=general, text="x", thread_ts="1.1")) == "thread_not_found"
    )
    assert await world.refused(client.api_call("chat.postMessage", json={"channel": general, "text": " "})) == "no_text"


async def test_long_text_is_split_truncated_or_refused(world: SlackSetup) -> None:
    """postMessage splits a text above 4,000 characters and drops the part above 40,000; update refuses more than
    4,000."""
    posted = await world.client.chat_postMessage(channel=world.general, text="x" * 9000)
    messages = world.server.messages(world.general)
    assert [len(message.text) for message in messages] == [4000, 4000, 1000]
    assert posted["ts"] == messages[-1].ts
    update = world.client.chat_update(channel=world.general, ts=posted["ts"], text="x" * 4001)
    assert await world.refused(update) == "msg_too_long"
    await world.client.chat_postMessage(channel=world.general, text="y" * 40_001)
    assert sum(message.text.count("y") for message in world.server.messages(world.general)) == 40_000


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([{"type": "markdown", "text": "x" * 12_001}], "invalid_blocks"),
        ([{"type": "markdown", "text": "x" * 6_001}] * 2, "msg_too_long"),
        ([{"type": "markdown", "text": ""}], "invalid_blocks"),
        ([{"type": "divider"}] * 51, "invalid_blocks"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}], "invalid_blocks"),
        ([{"type": "section", "text": "no object"}], "invalid_blocks"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "invalid_blocks"),
        (
            [
                {
                    "type": "actions",
                    "elements": [
                        {"type": "button", "text": {"type": "plain_text", "text": "x" * 76}, "action_id": "a"}
                    ],
                }
            ],
            "invalid_blocks",
        ),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}], "invalid_blocks"),
        ([{"type": "balloon"}], "invalid_blocks"),
        ('[{"type": "divider"', "invalid_blocks"),
    ],
)
async def test_blocks_are_checked(world: SlackSetup, blocks: Any, code: str) -> None:
    """Blocks over a limit or of a wrong shape are refused, and nothing is posted."""
    assert await world.refused(world.client.chat_postMessage(channel=world.general, text="x", blocks=blocks)) == code
    assert world.shown() == []


async def test_shown_is_what_people_read(world: SlackSetup) -> None:
    """Blocks replace the text; entities and ids are decoded, code is unchanged."""
    blocks: list[Json] = [
        {"type": "markdown", "text": f"1 &lt; 2 <@{world.ann}> `&lt;`"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "model x"}]},
    ]
    await world.client.chat_postMessage(channel=world.general, text="fallback", blocks=blocks)
    assert world.shown() == ["1 < 2 @ann `&lt;`\n\nmodel x"]


async def test_markdown_text_excludes_text_and_blocks(world: SlackSetup) -> None:
    """markdown_text is shown as Markdown, and excludes text and blocks."""
    await world.client.chat_postMessage(channel=world.general, markdown_text="**hi**")
    assert world.shown() == ["**hi**"]
    both = world.client.chat_postMessage(channel=world.general, markdown_text="a", text="b")
    assert await world.refused(both) == "markdown_text_conflict"


@pytest.mark.parametrize(
    ("arguments", "pings"),
    [
        ({"text": "<!channel> <!here|here> <@U1>"}, ("<!channel>", "<!here|here>", "<@U1>")),
        ({"text": "&lt;!channel&gt; @channel `<!here>`"}, ()),
        ({"text": "@channel", "parse": "full"}, ("@channel",)),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "```\n<!here>\n```\n<!everyone>"}]}, ("<!everyone>",)),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "```a``` <!here>"}]}, ("<!here>",)),
        (
            {"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "<!subteam^S1>"}}]},
            ("<!subteam^S1>",),
        ),
        (
            {"text": "x", "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "<!here>"}}]},
            (),
        ),
    ],
)
async def test_live_pings_are_recorded(world: SlackSetup, arguments: Json, pings: tuple[str, ...]) -> None:
    """A message lists the pings that a client would act on: unescaped, outside code."""
    await world.client.chat_postMessage(channel=world.general, **arguments)
    assert world.server.messages(world.general)[0].pings == pings


async def test_unfurling_must_be_switched_off_twice(world: SlackSetup) -> None:
    """A message says whether link previews were left on."""
    post = world.client.chat_postMessage
    await post(channel=world.general, text="a")
    await post(channel=world.general, text="b", unfurl_links=False)
    await post(channel=world.general, text="c", unfurl_links=False, unfurl_media=False)
    assert [message.unfurls for message in world.server.messages(world.general)] == [True, True, False]


async def test_rich_text_and_tables_are_readable(world: SlackSetup) -> None:
    """Rich text shows names, links and broadcasts (which ping), tables their rows, images their description."""
    said = [
        {"type": "text", "text": "hi "},
        {"type": "user", "user_id": world.ann},
        {"type": "broadcast", "range": "here"},
        {"type": "link", "url": "https://x.org", "text": "x"},
        {"type": "emoji", "name": "wave"},
    ]
    blocks: list[Json] = [
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": said}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, {"type": "raw_text", "text": "b"}]]},
        {"type": "image", "image_url": "https://x.org/i.png", "alt_text": "a cat"},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<https://x.org|label> &amp;"}},
        {"type": "divider"},
    ]
    await world.client.chat_postMessage(channel=world.general, text="fallback", blocks=blocks)
    (message,) = world.server.messages(world.general)
    rich = "hi @ann@here[x](https://x.org):wave:"
    assert message.shown == f"{rich}\n\n| a | b |\n\n[image: a cat]\n\n[label](https://x.org) &\n\n---"
    assert message.pings == (f"<@{world.ann}>", "<!here>")


async def test_typing_becomes_markup(world: SlackSetup) -> None:
    """Names and links that a person types become tokens outside code; people read the typed text."""
    text = "@Nebula @here #general https://x.org/?a=1&b=2. me@nebula.org `@nebula`"
    message = await world.server.say(world.ann, world.general, text)
    bot = f"<@{world.server.bot_user}>"
    assert message.text == (
        f"{bot} <!here> <#{world.general}|general> <https://x.org/?a=1&amp;b=2>. me@nebula.org `@nebula`"
    )
    assert message.pings == (bot, "<!here>")
    dm = world.server.open_dm(world.ann)
    with pytest.raises(ValueError, match="not in"):
        await world.server.say(world.server.add_user("eve"), dm, "hi")


async def test_an_ephemeral_message_is_seen_by_one_person(world: SlackSetup) -> None:
    """chat.postEphemeral reaches only a member, and can't be updated."""
    sent = await world.client.chat_postEphemeral(channel=world.general, user=world.ann, text="psst")
    (message,) = world.server.ephemerals(world.general, world.ann)
    assert (message.shown, message.only_for, world.shown()) == ("psst", world.ann, [])
    update = world.client.chat_update(channel=world.general, ts=sent["message_ts"], text="x")
    assert await world.refused(update) == "message_not_found"
    bob = world.server.add_user("bob")
    whisper = world.client.chat_postEphemeral(channel=world.general, user=bob, text="psst")
    assert await world.refused(whisper) == "user_not_in_channel"


async def test_threads_and_history_are_paged(world: SlackSetup) -> None:
    """replies is oldest first with its root, history newest first without replies; both have cursors."""
    root = await world.server.say(world.ann, world.general, "root")
    for text in ("a", "b"):
        await world.client.chat_postMessage(channel=world.general, text=text, thread_ts=root.ts)
    other = await world.server.say(world.ann, world.general, "other")
    first = await world.client.conversations_replies(channel=world.general, ts=root.ts, limit=2)
    assert [message["text"] for message in first["messages"]] == ["root", "a"]
    assert first["messages"][0]["reply_count"] == 2
    cursor = first["response_metadata"]["next_cursor"]
    rest = await world.client.conversations_replies(channel=world.general, ts=root.ts, cursor=cursor)
    assert ([message["text"] for message in rest["messages"]], rest["has_more"]) == (["b"], False)
    history = await world.client.conversations_history(channel=world.general)
    assert [message["ts"] for message in history["messages"]] == [other.ts, root.ts]
    missing = world.client.conversations_replies(channel=world.general, ts="1.1")
    assert await world.refused(missing) == "thread_not_found"
    assert [message.text for message in world.server.messages(world.general, root.ts)] == ["root", "a", "b"]


async def test_a_deleted_root_with_replies_stays_as_a_tombstone(world: SlackSetup) -> None:
    """Replies can still be written under it; without replies the thread is gone."""
    kept, gone = [await world.server.say(world.ann, world.general, text) for text in ("kept", "gone")]
    await world.client.chat_postMessage(channel=world.general, text="a", thread_ts=kept.ts)
    for root in (kept, gone):
        await world.server.delete(world.ann, world.general, root.ts)
    assert (await world.client.chat_postMessage(channel=world.general, text="b", thread_ts=kept.ts))["ok"]
    post = world.client.chat_postMessage(channel=world.general, text="c", thread_ts=gone.ts)
    assert await world.refused(post) == "thread_not_found"


async def test_a_reaction_is_added_and_removed_once(world: SlackSetup) -> None:
    """A reaction is visible on the message; the second add or remove is refused."""
    message = await world.server.say(world.ann, world.general, "hi")
    mark: Json = {"channel": world.general, "timestamp": message.ts, "name": "eyes"}
    await world.client.reactions_add(**mark)
    assert world.server.messages(world.general)[0].reactions == (("eyes", (world.server.bot_user,)),)
    assert await world.refused(world.client.reactions_add(**mark)) == "already_reacted"
    await world.client.reactions_remove(**mark)
    assert await world.refused(world.client.reactions_remove(**mark)) == "no_reaction"


async def test_a_status_is_cleared_when_the_app_posts(world: SlackSetup) -> None:
    """assistant.threads.setStatus is shown in the thread until the app says something there."""
    root = await world.server.say(world.ann, world.general, "hi")
    where: Json = {"channel_id": world.general, "thread_ts": root.ts}
    await world.client.assistant_threads_setStatus(**where, status="is thinking…")
    assert world.server.status(world.general, root.ts) == "is thinking…"
    await world.client.chat_postMessage(channel=world.general, thread_ts=root.ts, text="there")
    assert world.server.status(world.general, root.ts) == ""
    bad = world.client.assistant_threads_setStatus(channel_id=world.general, thread_ts="1.1", status="x")
    assert await world.refused(bad) == "invalid_thread_ts"


# --- streams ---


async def start(world: SlackSetup, text: str = "a") -> str:
    """Start a stream under a new question; returns its ts."""
    root = await world.server.say(world.ann, world.general, "question")
    started = await world.client.chat_startStream(
        channel=world.general,
        thread_ts=root.ts,
        markdown_text=text,
        recipient_user_id=world.ann,
        recipient_team_id=world.server.team,
    )
    return str(started["ts"])


def reply(world: SlackSetup) -> SlackMessage:
    """The newest message of the channel."""
    return world.server.messages(world.general)[-1]


async def test_a_stream_grows_and_stops(world: SlackSetup) -> None:
    """Pieces are joined, blocks come last, and after the end nothing more is accepted."""
    ts = await start(world)
    assert (reply(world).shown, reply(world).streaming) == ("a", "in_progress")
    await world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="b")
    context = {"type": "context", "elements": [{"type": "mrkdwn", "text": "end"}]}
    await world.client.chat_stopStream(channel=world.general, ts=ts, markdown_text="c", blocks=[context])
    assert (reply(world).shown, reply(world).streaming) == ("abc\n\nend", "completed")
    late = world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="d")
    assert await world.refused(late) == "message_not_in_streaming_state"


async def test_the_sdks_stream_helper_works(world: SlackSetup) -> None:
    """AsyncChatStream of slack_sdk talks to it through chunks."""
    root = await world.server.say(world.ann, world.general, "question")
    stream = await world.client.chat_stream(
        channel=world.general,
        thread_ts=root.ts,
        recipient_user_id=world.ann,
        recipient_team_id=world.server.team,
        buffer_size=1,
    )
    await stream.append(markdown_text="**one** ")
    await stream.append(markdown_text="two")
    await stream.stop()
    assert reply(world).shown == "**one** two"


async def test_a_stream_needs_a_recipient_and_a_thread(world: SlackSetup) -> None:
    """Outside direct messages both recipient ids are needed; a thread is always needed."""
    root = await world.server.say(world.ann, world.general, "question")
    client, general = world.client, world.general
    start_stream = client.chat_startStream
    assert await world.refused(start_stream(channel=general, thread_ts=root.ts)) == "missing_recipient_team_id"
    only_team = start_stream(channel=general, thread_ts=root.ts, recipient_team_id=world.server.team)
    assert await world.refused(only_team) == "missing_recipient_user_id"
    dm = world.server.open_dm(world.ann)
    question = await world.server.say(world.ann, dm, "hi")
    assert (await start_stream(channel=dm, thread_ts=question.ts))["ok"]
    assert await world.refused(client.api_call("chat.startStream", json={"channel": dm})) == "invalid_arguments"


async def test_a_stream_has_a_cap_in_bytes_and_per_call() -> None:
    """Over 12,000 characters a call, and over the cap in UTF-8 bytes together, msg_too_long comes every time."""
    async with opened(stream_cap=10) as world:
        ts = await start(world, "éé")
        for _ in range(2):
            over = world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="é" * 4)
            assert await world.refused(over) == "msg_too_long"
        await world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="é" * 3)
        assert reply(world).shown == "é" * 5
    async with opened(stream_cap=100_000) as world:
        ts = await start(world)
        huge = world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="x" * 12_001)
        assert await world.refused(huge) == "msg_too_long"


async def test_an_open_stream_is_not_edited_and_an_expired_one_is() -> None:
    """update and delete conflict with an open stream; after its lifetime appends fail and update repairs."""
    async with opened() as world:
        ts = await start(world)
        update = world.client.chat_update(channel=world.general, ts=ts, text="x")
        assert await world.refused(update) == "streaming_state_conflict"
        assert await world.refused(world.client.chat_delete(channel=world.general, ts=ts)) == "cant_delete_message"
    async with opened(stream_lifetime=0.0) as world:
        ts = await start(world)
        append = world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="b")
        assert await world.refused(append) == "message_not_in_streaming_state"
        await world.client.chat_update(channel=world.general, ts=ts, text="repaired")
        assert reply(world).shown == "repaired"


async def test_a_person_can_stop_a_stream(world: SlackSetup) -> None:
    """The Stop button raises agent_session_stopped, and later appends get stopped_by_user."""
    app = bolt(world)
    stopped = collect(app, "agent_session_stopped")
    app.event("app_mention")(ignore)
    app.event("message")(ignore)
    async with socket(app, world):
        ts = await start(world)
        await world.server.stop_stream(world.ann, reply(world))
        await world.server.until(lambda: world.server.pending == 0)
        assert [event["streaming_message_ts"] for event in stopped] == [[ts]]
        append = world.client.chat_appendStream(channel=world.general, ts=ts, markdown_text="b")
        assert await world.refused(append) == "stopped_by_user"


async def test_a_person_can_stop_a_reply_before_it_streams(world: SlackSetup) -> None:
    """The event then names only the thread."""
    app = bolt(world)
    stopped = collect(app, "agent_session_stopped")
    app.event("message")(ignore)
    async with socket(app, world):
        root = await world.server.say(world.ann, world.general, "question")
        await world.server.stop_stream(world.ann, root)
        await world.server.until(lambda: world.server.pending == 0)
        assert [(event["thread_ts"], event["streaming_message_ts"]) for event in stopped] == [(root.ts, [])]


async def test_metadata_is_returned_on_request(world: SlackSetup) -> None:
    """The history contains an app's metadata of a message, on request."""
    attached = {"event_type": "mark", "event_payload": {"id": "1"}}
    await world.client.chat_postMessage(channel=world.general, text="hello", metadata=attached)
    found = await world.client.conversations_history(channel=world.general, include_all_metadata=True)
    assert found["messages"][0]["metadata"] == attached
    found = await world.client.conversations_history(channel=world.general)
    assert "metadata" not in found["messages"][0]


async def test_an_unknown_block_type_is_refused() -> None:
    """Every method with blocks names the unknown type."""
    async with opened(unknown_blocks=frozenset({"context_actions"})) as world:
        blocks: list[Json] = [{"type": "divider"}, {"type": "context_actions", "elements": []}]
        with pytest.raises(SlackApiError) as caught:
            await world.client.chat_postMessage(channel=world.general, text="hello", blocks=blocks)
        assert caught.value.response["error"] == "invalid_blocks"
        assert "unsupported type: context_actions [json-pointer:/blocks/1]" in str(caught.value.response["errors"])
        ts = await start(world)
        stop = world.client.chat_stopStream(channel=world.general, ts=ts, blocks=blocks)
        assert await world.refused(stop) == "invalid_blocks"


async def ignore() -> None:
    """A listener that does nothing, so that the event is acknowledged."""


# --- events ---


@pytest.mark.parametrize("serve", [socket, http])
async def test_a_mention_reaches_the_app_and_its_answer_the_channel(
    world: SlackSetup, serve: Callable[..., Any]
) -> None:
    """Over Socket Mode and over HTTP, a mention becomes app_mention and message, and say() answers."""
    app = bolt(world)
    seen = collect(app, "message")

    async def answer(event: Json, say: Callable[..., Awaitable[Any]]) -> None:
        seen.append(event)
        await say(text="hello", thread_ts=event["ts"])

    app.event("app_mention")(answer)
    async with serve(app, world):
        question = await world.server.say(world.ann, world.general, "@nebula a < b & #general")
        await world.server.until(lambda: "hello" in world.shown())
        await world.server.until(lambda: world.server.pending == 0)
    text = f"<@{world.server.bot_user}> a &lt; b &amp; <#{world.general}|general>"
    mine = [event for event in seen if event["ts"] == question.ts]
    assert sorted(event["type"] for event in mine) == ["app_mention", "message"]
    for event in mine:
        assert (event["text"], event["user"], event["team"]) == (text, world.ann, world.server.team)
        assert event["client_msg_id"] == question.client_msg_id
    envelope = next(event["body"] for event in mine if event["type"] == "message")
    assert envelope["authorizations"][0]["user_id"] == world.server.bot_user
    assert (envelope["type"], envelope["team_id"]) == ("event_callback", world.server.team)
    assert all(not delivery.problem for delivery in world.server.deliveries)
    answered = world.server.messages(world.general, question.ts)[-1]
    assert (answered.shown, answered.bot) == ("hello", world.server.bot_id)


@pytest.mark.parametrize("first", [True, False])
async def test_the_pair_of_events_comes_in_either_order(world: SlackSetup, first: bool) -> None:
    """Slack does not promise an order of app_mention and message; without `as_both` the message event is not sent."""
    app = bolt(world)
    seen = collect(app, "message", "app_mention")
    async with socket(app, world):
        await world.server.say(world.ann, world.general, "@nebula hi", mention_first=first)
        await world.server.until(lambda: world.server.pending == 0)
        await world.server.say(world.ann, world.general, "@nebula hi", as_both=False)
        await world.server.until(lambda: world.server.pending == 0)
    pair = ["app_mention", "message"] if first else ["message", "app_mention"]
    assert [event["type"] for event in seen] == [*pair, "app_mention"]


async def test_unsubscribed_messages_are_not_delivered() -> None:
    """Without message.channels a channel raises only app_mention, and a direct message only message.im."""
    async with opened(subscriptions=frozenset({"app_mention", "message.im"})) as world:
        app = bolt(world)
        seen = collect(app, "message", "app_mention")
        async with socket(app, world):
            await world.server.say(world.ann, world.general, "nobody")
            await world.server.say(world.ann, world.general, "@nebula hi `@nebula`")
            await world.server.say(world.ann, world.server.open_dm(world.ann), "@nebula hi")
            await world.server.until(lambda: world.server.pending == 0)
        assert sorted((event["type"], event.get("channel_type")) for event in seen) == [
            ("app_mention", None),
            ("message", "im"),
        ]


async def test_group_messages_have_their_own_type(world: SlackSetup) -> None:
    """A group message raises message.mpim with its channel type."""
    app = bolt(world)
    seen = collect(app, "message")
    async with socket(app, world):
        group = world.server.add_group_dm([world.ann, world.server.add_user("bob")])
        await world.server.say(world.ann, group, "hi")
        await world.server.until(lambda: world.server.pending == 0)
    assert [event["channel_type"] for event in seen] == ["mpim"]


async def test_edits_and_deletions_raise_events(world: SlackSetup) -> None:
    """An edit raises message_changed and the mention again with `edited`; a deletion message_deleted."""
    app = bolt(world)
    seen = collect(app, "message", "app_mention")
    async with socket(app, world):
        message = await world.server.say(world.ann, world.general, "hi")
        await world.server.edit(world.ann, world.general, message.ts, "@nebula hi")
        await world.server.delete(world.ann, world.general, message.ts)
        await world.server.until(lambda: world.server.pending == 0)
    kinds = [(event["type"], event.get("subtype")) for event in seen]
    assert sorted(kinds, key=str) == [
        ("app_mention", None),
        ("message", "message_changed"),
        ("message", "message_deleted"),
        ("message", None),
    ]
    again = next(event for event in seen if event["type"] == "app_mention")
    assert again["edited"]["user"] == world.ann
    assert again["ts"] == message.ts


async def test_own_edits_raise_message_changed(world: SlackSetup) -> None:
    """The app receives the event of its own chat.update, as on Slack."""
    app = bolt(world)
    app.event("message")(ignore)
    async with socket(app, world):
        posted = await world.client.chat_postMessage(channel=world.general, text="a")
        await world.client.chat_update(channel=world.general, ts=posted["ts"], text="b")
        await world.server.until(lambda: len(world.server.deliveries) >= 2)
    assert {delivery.name for delivery in world.server.deliveries} == {"message"}


async def test_another_bots_message_is_marked(world: SlackSetup) -> None:
    """Another bot's message carries bot_id and the subtype bot_message; its mention arrives too."""
    app = bolt(world)
    seen = collect(app, "message", "app_mention")
    app.event("member_joined_channel")(ignore)
    other = world.server.add_bot("ci")
    async with socket(app, world):
        await world.server.bot_says(other, world.general, "@nebula done")
        await world.server.until(lambda: world.server.pending == 0)
    message = next(event for event in seen if event["type"] == "message")
    assert message["subtype"] == "bot_message"
    assert {event["bot_id"] for event in seen} == {world.server.user(other).bot_id}


async def test_files_can_be_downloaded_and_uploaded(world: SlackSetup) -> None:
    """A shared file is fetched with the bot token; without it comes the login page; uploads are shared in a message."""
    app = bolt(world)
    seen = collect(app, "message")
    async with socket(app, world):
        await world.server.say(world.ann, world.general, "look", files=[SlackFile("a.png", b"\x89PNG", "image/png")])
        await world.server.until(lambda: seen)
    assert seen[0]["subtype"] == "file_share"
    url = seen[0]["files"][0]["url_private_download"]
    token = {"Authorization": f"Bearer {world.server.bot_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=token) as response:
            assert (await response.read(), response.content_type) == (b"\x89PNG", "image/png")
        async with session.get(url) as response:
            assert (response.status, response.content_type) == (200, "text/html")
        world.server.faults.add("files.download", faults.page("<html>sign in</html>"))
        async with session.get(url, headers=token) as response:
            assert response.content_type == "text/html"
    await world.client.files_upload_v2(channel=world.general, content="text", filename="b.txt", initial_comment="here")
    (file,) = reply(world).files
    assert (file.name, file.data, reply(world).shown) == ("b.txt", b"text", "here")


# --- acknowledgement and transport ---

# Only the clock reveals a socket's silence.
HASTY: dict[str, Json] = {"timeout": {"ack_timeout": 0.1}, "http_error": {}}


@pytest.mark.parametrize(("serve", "reason"), [(socket, "timeout"), (http, "http_error")])
async def test_events_without_an_ack_are_redelivered(serve: Callable[..., Any], reason: str) -> None:
    """An event without an acknowledgement is redelivered three times with the same event_id, then given up."""
    async with opened(**HASTY[reason]) as world:
        app = bolt(world)  # no listener: Bolt answers 404, or sends no acknowledgement
        async with serve(app, world):
            await world.server.say(world.ann, world.general, "hi")
            await world.server.until(lambda: world.server.deliveries and world.server.pending == 0)
    tries = world.server.deliveries
    assert [delivery.attempt for delivery in tries] == [0, 1, 2, 3]
    assert {delivery.problem for delivery in tries} == {reason}
    assert len({delivery.event_id for delivery in tries}) == 1


@pytest.mark.parametrize(("serve", "reason"), [(socket, "timeout"), (http, "http_error")])
async def test_retries_have_the_retry_headers(world: SlackSetup, serve: Callable[..., Any], reason: str) -> None:
    """The attempt and its reason reach a Bolt listener as the retry headers, and an acknowledged retry is the last."""
    app = bolt(world)
    seen: list[tuple[str, str]] = []
    refused = asyncio.Event()

    async def refuse_first(request: AsyncBoltRequest, next_: Callable[[], Awaitable[None]]) -> None:
        number, why = (request.headers.get(f"x-slack-retry-{name}", [""])[0] for name in ("num", "reason"))
        seen.append((number, why))
        if len(seen) > 1:
            await next_()
        refused.set()

    app.middleware(refuse_first)
    app.event("message")(ignore)
    async with serve(app, world):
        await world.server.say(world.ann, world.general, "hi")
        async with asyncio.timeout(HANG_SECONDS):
            await refused.wait()
        world.server.expire_acknowledgements()
        await world.server.until(lambda: world.server.pending == 0)
    assert seen[1:] == [("1", reason)]


async def test_redelivery_of_everything(world: SlackSetup) -> None:
    """With redeliver(n) every event comes n more times although it was acknowledged."""
    app = bolt(world)
    seen = collect(app, "message")
    world.server.redeliver(2)
    async with socket(app, world):
        await world.server.say(world.ann, world.general, "hi")
        await world.server.until(lambda: world.server.pending == 0)
        await world.server.until(lambda: len(seen) == 3)
    assert len({event["body"]["event_id"] for event in seen}) == 1


async def test_any_of_several_sockets_gets_an_event(world: SlackSetup) -> None:
    """With two connections both serve some of the events, and each event goes to one of them."""
    apps = [bolt(world), bolt(world)]
    seen = [collect(app, "message") for app in apps]
    async with socket(apps[0], world), socket(apps[1], world):
        assert world.server.sockets == 2
        for number in range(12):
            await world.server.say(world.ann, world.general, str(number))
        await world.server.until(lambda: world.server.pending == 0)
    assert sum(map(len, seen)) == 12
    assert all(seen)


async def test_the_eleventh_socket_is_refused(world: SlackSetup) -> None:
    """An app has at most ten connections."""
    token = AsyncWebClient(world.server.app_token, base_url=world.server.api_url)
    async with aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            url = (await token.apps_connections_open(app_token=world.server.app_token))["url"]
            sockets.append(await session.ws_connect(url))
        hellos = [(await socket.receive_json())["type"] for socket in sockets]
    assert hellos == ["hello"] * 10 + ["disconnect"]


@pytest.mark.parametrize("polite", [True, False])
async def test_the_client_reconnects_after_a_lost_socket(polite: bool) -> None:
    """After a disconnect message or a cut, the SDK reconnects and events arrive again."""
    async with opened(retry_delays=(0.05,) * 10_000, ack_timeout=0.5, ack_growth=1.3) as world:
        app = bolt(world)
        seen = collect(app, "message")
        async with socket(app, world) as handler:
            # Not less: a pong that is late by half of this would close the new socket as well.
            handler.client.ping_interval = 1.0
            if polite:
                await world.server.disconnect_sockets()
            else:
                world.server.drop_sockets()
            await world.server.say(world.ann, world.general, "hi")
            await world.server.until(lambda: seen)
            # The event may still come over a socket that was asked to disconnect.
            await world.server.until(
                lambda: len([call for call in world.server.calls if call.method == "apps.connections.open"]) > 1
            )


async def test_connections_can_be_refused(world: SlackSetup) -> None:
    """apps.connections.open fails with a fault, and with the wrong token."""
    opener = AsyncWebClient(base_url=world.server.api_url)
    world.server.faults.add("apps.connections.open", faults.refused("internal_error"))
    call = opener.apps_connections_open
    assert await world.refused(call(app_token=world.server.app_token)) == "internal_error"
    assert await world.refused(call(app_token="xapp-other")) == "invalid_auth"
    assert await world.refused(call(app_token=world.server.bot_token)) == "not_allowed_token_type"


async def test_a_request_url_is_verified_by_signature(world: SlackSetup) -> None:
    """Only an app with the right secret answers the challenge."""
    async with http(bolt(world), world):
        assert await world.server.verify_url()
    stranger = AsyncApp(client=AsyncWebClient("xoxb-x", base_url=world.server.api_url), signing_secret="other")
    async with http(stranger, world):
        assert not await world.server.verify_url()


# --- commands, buttons, modals ---


@pytest.mark.parametrize("serve", [socket, http])
async def test_a_slash_command_is_answered_through_ack_and_response_url(
    world: SlackSetup, serve: Callable[..., Any]
) -> None:
    """The answers of a command are collected: one from ack, an ephemeral and a public one from response_url."""
    app = bolt(world)
    bodies: list[Json] = []

    async def nebula(ack: Any, respond: Any, body: Json) -> None:
        bodies.append(body)
        await ack("working")
        await respond("quiet")
        await respond("loud", response_type="in_channel")

    app.command("/nebula")(nebula)
    app.event("message")(ignore)
    async with serve(app, world):
        answer = await world.server.slash(world.ann, world.general, "/nebula", "model show")
        assert answer.problem == ""
        await world.server.until(lambda: len(answer.messages) == 3)
    # the acknowledgement and the first use of the URL race each other
    answers = {(message.shown, message.only_for) for message in answer.messages}
    assert answers == {("working", world.ann), ("quiet", world.ann), ("loud", "")}
    assert (bodies[0]["text"], bodies[0]["channel_name"], bodies[0]["user_name"]) == ("model show", "general", "ann")
    assert world.shown() == ["loud"]


async def test_a_command_without_ack_fails_in_front_of_the_person() -> None:
    """Without an acknowledgement the answer says so."""
    async with opened(ack_timeout=0.1) as world, socket(bolt(world), world):
        assert (await world.server.slash(world.ann, world.general, "/nebula", "")).problem == "timeout"


async def test_a_response_url_has_five_uses_and_no_markdown_text(world: SlackSetup) -> None:
    """replace_original and delete_original act on the answer; the sixth use and markdown_text are refused."""
    answer = await world.server.slash(world.ann, world.general, "/nebula", "")
    hook = AsyncWebhookClient(answer.response_url)
    assert (await hook.send_dict({"markdown_text": "x"})).status_code == 400
    await hook.send(text="one")
    await hook.send(text="two", replace_original=True)
    assert [message.shown for message in answer.messages] == ["two"]
    await hook.send(delete_original=True)
    assert answer.messages == ()
    assert [(await hook.send(text="more")).status_code for _ in range(3)] == [200, 200, 404]


async def test_a_button_opens_a_modal_and_the_modal_is_submitted(world: SlackSetup) -> None:
    """press opens a view by trigger_id; submit brings errors, then success; values come by block and action."""
    app = bolt(world)
    view = {
        "type": "modal",
        "callback_id": "prompt",
        "title": {"type": "plain_text", "text": "Prompt"},
        "submit": {"type": "plain_text", "text": "Save"},
        "private_metadata": "C1",
        "blocks": [
            {
                "type": "input",
                "block_id": "b",
                "label": {"type": "plain_text", "text": "Prompt"},
                "element": {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": 50},
            }
        ],
    }
    saved: list[str] = []

    async def edit(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    async def save(ack: Any, view: Json) -> None:
        value = view["state"]["values"]["b"]["text"]["value"]
        if value == "bad":
            await ack(response_action="errors", errors={"b": "no"})
            return
        saved.append(value)
        await ack()

    app.action("edit")(edit)
    app.view("prompt")(save)
    app.event("message")(ignore)
    async with socket(app, world):
        blocks = [{"type": "actions", "elements": [BUTTON]}]
        await world.client.chat_postMessage(channel=world.general, text="x", blocks=blocks)
        message = reply(world)
        assert message.buttons == ("edit",)
        assert (await world.server.press(world.ann, message, "edit")).problem == ""
        (modal,) = await world.server.until(lambda: world.server.views)
        assert (modal.title, modal.private_metadata, modal.user) == ("Prompt", "C1", world.ann)
        assert (await world.server.submit(world.ann, modal, {"text": "bad"})).errors == {"b": "no"}
        assert world.server.views[0].errors == {"b": "no"}
        with pytest.raises(ValueError, match="filled in"):
            await world.server.submit(world.ann, modal, {})
        assert (await world.server.submit(world.ann, modal, {"text": "Be brief."})).closed
    assert (saved, world.server.views) == (["Be brief."], ())


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_shortcut_brings_the_message_along(replaces: bool) -> None:
    """All of it, also where the app is no member; its address shows answers to the person alone, or to everybody."""
    async with opened(replaces=replaces) as world:
        app = bolt(world)
        bodies: list[Json] = []

        async def ask(ack: Any, respond: Any, body: Json) -> None:
            bodies.append(body)
            await ack()
            await respond("thinking")
            await respond("done", replace_original=True)

        app.message_shortcut("ask")(ask)
        app.event("message")(ignore)
        far = world.server.add_channel("far", world.ann, bot_in=False)
        root = await world.server.say(world.ann, far, "hello")
        reply = await world.server.say(world.ann, far, "again", root.ts)
        async with socket(app, world):
            answer = await world.server.shortcut(world.ann, reply, "ask")
            await world.server.until(lambda: any(each.shown == "done" for each in answer.messages))
        assert [each.shown for each in answer.messages] == (["done"] if replaces else ["thinking", "done"])
        assert {each.only_for for each in answer.messages} == {world.ann}
        (body,) = bodies
        assert (body["type"], body["callback_id"], body["message_ts"]) == ("message_action", "ask", reply.ts)
        assert body["channel"] == {"id": far, "name": "far"}
        assert (body["message"]["text"], body["message"]["thread_ts"]) == ("again", root.ts)
        assert {"trigger_id", "response_url", "action_ts", "user", "team"} <= body.keys()


async def test_a_person_has_menus_where_they_are(world: SlackSetup) -> None:
    """Nobody chooses from the menu of a message that they do not see."""
    secret = world.server.add_channel("secret", world.ann, private=True)
    message = await world.server.say(world.ann, secret, "hello")
    stranger = world.server.add_user("zoe")
    with pytest.raises(ValueError, match="no menu"):
        await world.server.shortcut(stranger, message, "ask")


async def test_a_press_on_an_ephemeral_message_does_not_bring_it_along(world: SlackSetup) -> None:
    """Slack does not keep it; the container says where it is, and the address of the press replaces it."""
    app = bolt(world)
    bodies: list[Json] = []

    async def edit(ack: Any, respond: Any, body: Json) -> None:
        bodies.append(body)
        await ack()
        await respond("edited", replace_original=True)

    app.action("edit")(edit)
    app.event("message")(ignore)
    async with socket(app, world):
        root = await world.server.say(world.ann, world.general, "hello")
        blocks = [{"type": "actions", "elements": [BUTTON]}]
        await world.client.chat_postEphemeral(
            channel=world.general, user=world.ann, text="x", blocks=blocks, thread_ts=root.ts
        )
        (message,) = world.server.ephemerals(user=world.ann)
        await world.server.press(world.ann, message, "edit")
        await world.server.until(lambda: [each.shown for each in world.server.ephemerals()] == ["edited"])
    (body,) = bodies
    assert "message" not in body
    assert body["container"] == {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": world.general,
        "thread_ts": root.ts,
        "is_ephemeral": True,
    }


async def test_two_people_have_a_direct_message_without_the_app(world: SlackSetup) -> None:
    """The app can't see it."""
    bob = world.server.add_user("bob")
    there = world.server.open_dm(world.ann, bob)
    assert there == world.server.open_dm(bob, world.ann) != world.server.open_dm(bob)
    assert await world.refused(world.client.conversations_info(channel=there)) == "channel_not_found"


async def test_a_trigger_opens_one_view(world: SlackSetup) -> None:
    """A trigger_id works once, and an unknown one is refused."""
    answer = await world.server.slash(world.ann, world.general, "/nebula", "")
    view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": [{"type": "divider"}]}
    views_open = world.client.views_open
    await views_open(trigger_id=answer.trigger_id, view=view)
    assert await world.refused(views_open(trigger_id=answer.trigger_id, view=view)) == "exchanged_trigger_id"
    assert await world.refused(views_open(trigger_id="1.2.3", view=view)) == "invalid_trigger_id"
    long = view | {"title": {"type": "plain_text", "text": "T" * 25}}
    assert await world.refused(views_open(trigger_id="1.2.3", view=long)) == "invalid_arguments"


async def test_triggers_and_response_urls_expire() -> None:
    """A trigger_id and a response_url are refused after their lifetime."""
    async with opened(trigger_seconds=0.0, response_seconds=0.0) as world:
        answer = await world.server.slash(world.ann, world.general, "/nebula", "")
        view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": [{"type": "divider"}]}
        late = world.client.views_open(trigger_id=answer.trigger_id, view=view)
        assert await world.refused(late) == "expired_trigger_id"
        assert (await AsyncWebhookClient(answer.response_url).send(text="x")).status_code == 404


async def test_the_home_tab_is_published(world: SlackSetup) -> None:
    """Opening the home tab raises app_home_opened; views.publish and views.update change what is seen there."""
    app = bolt(world)

    def home(text: str) -> Json:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
        return {"type": "home", "blocks": [section]}

    async def show(event: Json, client: AsyncWebClient) -> None:
        await client.views_publish(user_id=event["user"], view=home(event["tab"]))

    app.event("app_home_opened")(show)
    async with socket(app, world):
        await world.server.open_home(world.ann)
        (view,) = await world.server.until(lambda: world.server.views)
    assert (view.user, view.blocks[0]["text"]["text"]) == (world.ann, "home")
    await world.client.views_update(view_id=view.id, view=home("new"))
    assert world.server.views[0].blocks[0]["text"]["text"] == "new"


async def test_a_choice_carries_its_option(world: SlackSetup) -> None:
    """Choosing in a select, or in feedback buttons, sends the value; other people's reactions are seen."""
    app = bolt(world)
    actions: list[Json] = []

    async def act(ack: Any, action: Json) -> None:
        actions.append(action)
        await ack()

    for name in ("pick", "rate"):
        app.action(name)(act)
    app.event("message")(ignore)
    options = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("a", "b")]
    select = {"type": "static_select", "action_id": "pick", "options": options}
    rate: Json = {"type": "feedback_buttons", "action_id": "rate"}
    for name in ("positive", "negative"):
        rate[f"{name}_button"] = {"text": {"type": "plain_text", "text": name}, "value": name}
    blocks: list[Json] = [
        {"type": "actions", "elements": [select]},
        {"type": "context_actions", "elements": [rate]},
    ]
    async with socket(app, world):
        await world.client.chat_postMessage(channel=world.general, text="x", blocks=blocks)
        await world.server.press(world.ann, reply(world), "pick", "b")
        await world.server.press(world.ann, reply(world), "rate", "negative")
        with pytest.raises(LookupError):
            await world.server.press(world.ann, reply(world), "none")
    assert [action.get("value") or action["selected_option"]["value"] for action in actions] == ["b", "negative"]
    await world.server.react(world.ann, reply(world), "tada")
    assert reply(world).reactions == (("tada", (world.ann,)),)


# --- limits and faults ---


async def test_limits_can_change_at_any_time() -> None:
    """Earlier calls still count."""
    async with opened(limits={"users.info": SlackLimit(3, 60.0)}) as world:
        for _ in range(2):
            await world.client.users_info(user=world.ann)
        world.server.limits = {"users.info": SlackLimit(2, 60.0)}
        assert await world.refused(world.client.users_info(user=world.ann)) == "ratelimited"


async def test_too_many_calls_are_refused_with_a_wait() -> None:
    """A method above its limit answers 429 with Retry-After; other methods and other channels still work."""
    async with opened(limits={"users.info": SlackLimit(2, 60.0)}) as world:
        for _ in range(2):
            await world.client.users_info(user=world.ann)
        with pytest.raises(SlackApiError) as caught:
            await world.client.users_info(user=world.ann)
        assert (caught.value.response.status_code, caught.value.response["error"]) == (429, "ratelimited")
        assert 0 < int(caught.value.response.headers["Retry-After"]) <= 60
        await world.client.auth_test()
    # The real window of a channel may end between the first call and the last.
    wide = replace(SLACK_LIMITS[PER_CHANNEL], seconds=HANG_SECONDS)
    async with opened(limits={**SLACK_LIMITS, PER_CHANNEL: wide}) as world:
        for _ in range(5):
            await world.client.chat_postMessage(channel=world.general, text="x")
        assert await world.refused(world.client.chat_postMessage(channel=world.general, text="x")) == "ratelimited"
        other = world.server.add_channel("other", world.ann)
        await world.client.chat_postMessage(channel=other, text="x")


async def test_faults_before_a_call_leave_no_trace(world: SlackSetup) -> None:
    """429, 5xx and refusals come the given number of times, the call has no effect, and the SDK's retry handler
    succeeds."""
    switch = world.server.faults
    switch.add("*", faults.rate_limited(0))
    world.client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    await world.client.chat_postMessage(channel=world.general, text="second time")
    assert [call.error for call in world.server.calls] == ["ratelimited", ""]
    switch.add("chat.update", faults.server_error(), times=None)
    for _ in range(3):
        with pytest.raises(SlackApiError) as caught:
            await world.client.chat_update(channel=world.general, ts=reply(world).ts, text="x")
        assert caught.value.response.status_code == 503
    switch.clear("chat.update")
    await world.client.chat_update(channel=world.general, ts=reply(world).ts, text="x")
    assert world.shown() == ["x"]


async def test_a_call_can_take_effect_and_lose_its_answer(world: SlackSetup) -> None:
    """Applied, then reset: the message is there although the client sees a broken connection."""
    world.server.faults.add("chat.postMessage", faults.applied_then_reset())
    with pytest.raises(aiohttp.ClientError):
        await world.client.chat_postMessage(channel=world.general, text="once")
    assert world.shown() == ["once"]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("gate", [True, False])
async def test_a_slow_call_takes_effect_before_or_after_the_wait(world: SlackSetup, gate: bool, done: bool) -> None:
    """A client that stops waiting has posted in one case and not in the other."""
    if gate:
        fault = faults.applied_then_held(asyncio.Event()) if done else faults.held(asyncio.Event())
    else:
        fault = faults.applied_then_slow(HANG_SECONDS) if done else faults.slow(HANG_SECONDS)
    world.server.faults.add("chat.postMessage", fault)
    call = asyncio.ensure_future(world.client.chat_postMessage(channel=world.general, text="x"))
    await world.server.until(lambda: world.shown() if done else not world.server.faults.left("chat.postMessage"))
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (world.shown() == ["x"]) is done


async def test_a_gate_holds_a_call(world: SlackSetup) -> None:
    """The gate is before the call takes effect, or before its answer."""
    for fault in (faults.held, faults.applied_then_held):
        gate = asyncio.Event()
        world.server.faults.add("auth.test", fault(gate))
        call = asyncio.ensure_future(world.client.auth_test())
        await world.server.until(lambda: not world.server.faults.left("auth.test"))
        assert not call.done()
        gate.set()
        assert (await call)["ok"]


async def test_latency_delays_every_call(world: SlackSetup) -> None:
    """With a latency every answer comes late, and an impatient client gets none."""
    world.server.faults.latency = 30.0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1)) as session:
        client = AsyncWebClient(world.server.bot_token, base_url=world.server.api_url, session=session)
        with pytest.raises(TimeoutError):
            await client.auth_test()


async def test_a_call_is_done_half_way_through_its_latency(world: SlackSetup) -> None:
    """Half of the round trip passes before the message is there, half before the client knows."""
    world.server.faults.latency = 0.1
    asked = time.monotonic()
    await world.client.chat_postMessage(channel=world.general, text="x")
    answered = time.monotonic()
    (message,) = world.server.messages(world.general)
    assert min(message.frames[0].at - asked, answered - message.frames[0].at) > 0.049


async def test_calls_are_recorded_without_the_token(world: SlackSetup) -> None:
    """A call shows its method, arguments and error."""
    await world.refused(world.client.chat_postMessage(channel="C404", text="x"))
    (call,) = world.server.calls
    assert (call.method, call.arguments["channel"], call.error) == ("chat.postMessage", "C404", "channel_not_found")
    assert "token" not in call.arguments


async def test_waiting_ends_with_what_was_seen(world: SlackSetup) -> None:
    """`until` gives up after its timeout, and its error shows the state of the workspace."""
    await world.server.say(world.ann, world.general, "only this")
    with pytest.raises(TimeoutError, match="only this"):
        await world.server.until(lambda: False, timeout=0.01)


# --- what a workspace does to its apps ---


async def test_a_deleted_root_leaves_a_tombstone() -> None:
    """Its deletion is reported as a change, that of a message without replies as a deletion."""
    async with opened() as world, socket(app := bolt(world), world):
        events, server = collect(app, "message"), world.server
        root = await server.say(world.ann, world.general, "lunch?")
        reply = await server.say(world.ann, world.general, "yes", root.ts)
        await server.delete(world.ann, world.general, root.ts)
        await server.delete(world.ann, world.general, reply.ts)
        await server.until(lambda: not server.pending)
        told = {event["subtype"]: event for event in events if "subtype" in event}
        assert told["message_changed"]["message"]["subtype"] == "tombstone"
        assert told["message_changed"]["previous_message"]["text"] == "lunch?"
        assert told["message_deleted"]["deleted_ts"] == reply.ts


async def test_an_app_s_conversations_are_listed() -> None:
    """They are listed by type, in pages, and only if the app is in them."""
    async with opened() as world:
        world.server.add_channel("one", world.ann)
        world.server.add_channel("two", world.ann, private=True)
        world.server.add_channel("three", world.ann, bot_in=False)
        direct = world.server.open_dm(world.ann)
        found: list[str] = []
        cursor = ""
        while True:
            answer = await world.client.users_conversations(types="public_channel,im", limit=1, cursor=cursor or None)
            found += [channel["id"] for channel in answer["channels"]]
            if not (cursor := answer["response_metadata"]["next_cursor"]):
                break
        assert {world.server.channel(each).name for each in found} == {"general", "one", ""}
        assert direct in found


async def test_each_answer_lists_the_scopes() -> None:
    """Each answer lists the app's scopes, as on Slack; a server without a list sends none."""
    async with opened(scopes=frozenset({"chat:write", "users:read"})) as world:
        assert (await world.client.auth_test()).headers["x-oauth-scopes"] == "chat:write,users:read"
    async with opened() as world:
        assert "x-oauth-scopes" not in (await world.client.auth_test()).headers


async def test_an_archived_channel_accepts_nothing_more() -> None:
    """It accepts neither new messages nor edits."""
    async with opened() as world:
        posted = await world.client.chat_postMessage(channel=world.general, text="one")
        world.server.archive(world.general)
        assert await world.refused(world.client.chat_postMessage(channel=world.general, text="two")) == "is_archived"
        edit = world.client.chat_update(channel=world.general, ts=posted["ts"], text="two")
        assert await world.refused(edit) == "is_archived"


async def test_people_of_another_team_are_marked() -> None:
    """They are marked in events and in user objects."""
    async with opened() as world, socket(app := bolt(world), world):
        events = collect(app, "message")
        app.event("member_joined_channel")(ignore)
        zoe = world.server.add_user("zoe", team="T0OTHER")
        await world.server.say(zoe, world.general, "hello")
        await world.server.say(world.ann, world.general, "hello")
        await world.server.until(lambda: not world.server.pending)
        assert [event.get("user_team", "") for event in events] == ["T0OTHER", ""]
        user = (await world.client.users_info(user=zoe))["user"]
        assert (user["team_id"], user["is_stranger"]) == ("T0OTHER", True)


async def test_chats_have_titles_and_suggestions(world: SlackSetup) -> None:
    """In direct messages alone, for apps with the scope; up to four suggestions, and a thread must exist."""
    pane = world.server.open_dm(world.ann)
    root = (await world.server.say(world.ann, pane, "hello")).ts
    client = world.client
    await client.assistant_threads_setTitle(channel_id=pane, thread_ts=root, title="Greeting")
    assert world.server.title(pane, root) == "Greeting"
    prompts = [{"title": each, "message": f"{each}?"} for each in "abcde"]
    await client.assistant_threads_setSuggestedPrompts(channel_id=pane, prompts=prompts[:4])
    assert world.server.suggestions(pane) == ("a?", "b?", "c?", "d?")
    for call, error in (
        (client.assistant_threads_setTitle(channel_id=pane, thread_ts="1.2", title="x"), "invalid_thread_ts"),
        (client.assistant_threads_setTitle(channel_id=world.general, thread_ts=root, title="x"), "channel_not_found"),
        (client.assistant_threads_setSuggestedPrompts(channel_id=pane, prompts=prompts), "invalid_arguments"),
        (client.assistant_threads_setSuggestedPrompts(channel_id=pane, prompts=[]), "invalid_arguments"),
    ):
        with pytest.raises(SlackApiError) as refused:
            await call
        assert refused.value.response["error"] == error


async def test_the_bot_and_workflows_in_channels(world: SlackSetup) -> None:
    """The app learns that it joined a channel; a workflow's message has a bot_id and no user."""
    app = bolt(world)
    seen = collect(app, "message", "app_mention", "member_joined_channel")
    channel = world.server.add_channel("new", world.ann, bot_in=False)
    async with socket(app, world):
        world.server.join(world.server.bot_user, channel)
        await world.server.until(lambda: seen)
        assert (seen[0]["type"], seen[0]["user"]) == ("member_joined_channel", world.server.bot_user)
        await world.server.workflow_says(channel, "@nebula hello", bot="B1", app="A1")
        await world.server.until(lambda: len(seen) == 3)
    for event in seen[1:]:
        assert (event["bot_id"], event["app_id"], event.get("user")) == ("B1", "A1", None)
