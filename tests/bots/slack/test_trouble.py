"""What goes wrong around a question in Slack, at the wire: nothing is lost or repeated, and people learn why."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory

import pytest
from redis import Redis as BlockingRedis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from bots.sandbox.slack.methods import faults
from bots.slack.api.client import Web
from bots.slack.api.workspace import Capabilities
from bots.slack.manifest import FOR_HISTORY, SCOPES
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address, Place
from core.domain.options import Placement
from core.domain.page import Page
from core.inbound.dispatcher import AWAY
from core.store.redis.embedded import bound, find_server
from tests.bots.slack.harness import HASTY, slack_room

POST_METHOD = "chat.postMessage"


class ForgetfulRedis:
    """A Redis that can be killed and started again; it then forgets everything."""

    def __init__(self, folder: str) -> None:
        self.url = f"unix://{folder}/redis.sock"
        self._command = [str(find_server(os.environ.get("REDIS_SERVER"))), "--port", "0", "--save", "", "--dir", folder]
        self._command += ["--unixsocket", "redis.sock", "--appendonly", "no", "--logfile", "log"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it responds."""
        self._process = subprocess.Popen(bound(self._command), start_new_session=True)
        with BlockingRedis.from_url(self.url, retry=Retry(ConstantBackoff(0.02), 500)) as client:
            client.ping()

    def kill(self) -> None:
        """Kill it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def server() -> Iterator[ForgetfulRedis]:
    """Run a Redis only for this test."""
    with TemporaryDirectory(prefix="nb-") as folder:
        found = ForgetfulRedis(folder)
        found.start()
        try:
            yield found
        finally:
            found.kill()


async def test_an_outage_of_redis_is_reported_once_and_loses_nothing(server: ForgetfulRedis) -> None:
    """One sentence to one person per channel and outage; once Redis is back, the question is answered once."""
    async with slack_room(server.url, server=HASTY) as room:
        places = "#general", "@ann"

        def reports() -> list[int]:
            return [len(room.slack.ephemerals(room.where(each))) for each in places]

        def reached(outage: int) -> bool:
            return reports() == [outage, outage]

        def delivered(attempts: int) -> bool:
            return len(room.slack.deliveries) >= attempts

        for outage in (1, 2):
            server.kill()
            await room.say("ann", "#general", "@nebula one")
            await room.say("bob", "#general", "@nebula two")
            await room.say("ann", "@ann", "three")
            await room.until(partial(reached, outage))
            await room.until(partial(delivered, len(room.slack.deliveries) + 12))
            server.start()
            await room.until(lambda: not room.slack.pending)
            await room.quiet()
            assert [len(room.said(each)) for each in places] == [2 * outage, outage]
            assert reached(outage)
        assert {each.shown for place in places for each in room.slack.ephemerals(room.where(place))} == {AWAY}
        assert len(room.nebula.requests) == 6


@pytest.mark.parametrize("thread", [True, False])
async def test_an_ephemeral_message_is_for_one_person_where_they_asked(redis_url: str, thread: bool) -> None:
    """In the thread of the question; for a slash command, which has no message, in the channel."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "lunch?")
        place = Place("slack", room.slack.team, root.channel, root.ts if thread else "")
        address = Address(place, Placement.THREAD, author=room.people["ann"])
        await room.platform.open(address).send_ephemeral("psst")
        (heard,) = room.slack.ephemerals(root.channel)
        assert (heard.shown, heard.only_for, heard.thread_ts) == ("psst", room.people["ann"], place.thread)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ("not_in_channel", "I'm not a member"),
        ("restricted_action_read_only_channel", "only some people may post there"),
        ("channel_not_found", ""),
        ("thread_not_found", ""),
        ("missing_scope", ""),
    ],
)
async def test_a_reply_that_may_not_be_posted_is_abandoned(redis_url: str, refusal: str, sentence: str) -> None:
    """The turn ends after one attempt; the person who asked learns of anything that somebody can change."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(POST_METHOD, faults.refused(refusal), times=None)
        await room.say("ann", "#general", "@nebula hello")
        await room.until(lambda: room.calls(POST_METHOD))
        await room.quiet()
        assert len(room.calls(POST_METHOD)) == 1
        ephemerals = room.slack.ephemerals(room.where("#general"), room.people["ann"])
        assert len(ephemerals) == bool(sentence)
        assert sentence in "".join(each.shown for each in ephemerals)
        room.slack.faults.clear()
        await room.say("ann", "#general", "@nebula again")
        await room.quiet()
        assert len(room.said("#general")) == 1


async def test_a_question_in_an_archived_channel_is_explained_directly(redis_url: str) -> None:
    """Nothing can be shown there any more."""
    async with slack_room(redis_url) as room:
        thought = room.held()
        await room.say("ann", "#general", "@nebula hello")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        room.slack.archive(room.where("#general"))
        thought.set()
        await room.quiet()
        assert room.said("#general") == ()
        (message,) = room.said("@ann")
        assert "it is archived" in message.shown


@pytest.mark.parametrize("how", ["archive", "vanish", "leave"])
async def test_an_answer_ends_when_its_channel_is_lost(redis_url: str, how: str) -> None:
    """A growing reply stops when its place is gone, without retrying forever; elsewhere everything continues."""
    async with slack_room(redis_url) as room:
        more = room.held(after=20)
        room.nebula.answer_next("word " * 200)
        await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", "word")
        channel = room.where("#general")
        match how:
            case "archive":
                room.slack.archive(channel)
            case "vanish":
                room.slack.vanish(channel)
            case "leave":
                room.slack.faults.add("chat.update", faults.refused("not_in_channel"), times=None)
        more.set()
        await room.quiet()
        refused = [call for call in room.calls("chat.update") if call.error]
        assert 1 <= len(refused) <= 3
        room.open("#random")
        await room.say("ann", "#random", "@nebula hello")
        await room.quiet()
        assert len(room.said("#random")) == 1


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("thread", [True, False])
async def test_a_post_without_a_response_is_found_in_a_channel(redis_url: str, private: bool, thread: bool) -> None:
    """Slack posted it but the response was lost: the bot finds it among other messages and continues it."""
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES)}) as room:
        room.open("#room", private=private)
        await room.say("ann", "#room", f"@nebula !set replies {'thread' if thread else 'channel'}")
        await room.until(lambda: room.said("#room"))
        before = len(room.said("#room"))
        room.slack.faults.add(POST_METHOD, faults.applied_then_reset())
        asked = await room.say("ann", "#room", "@nebula hello")
        await room.say("bob", "#room", "talk", asked.ts if thread else "")
        await room.quiet()
        assert len(room.said("#room")) == before + 1
        assert len(room.calls("conversations.replies" if thread else "conversations.history")) == 1


async def test_nothing_is_looked_up_without_need_or_permission(redis_url: str) -> None:
    """A reply that arrives costs no lookup; an app that may not read messages works without one, as it always did."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert not [call for call in room.slack.calls if call.method.startswith("conversations.")]
    async with slack_room(redis_url, server={"scopes": frozenset(SCOPES) - FOR_HISTORY}) as room:
        room.slack.faults.add(POST_METHOD, faults.applied_then_reset())
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert len(room.said("#general")) == 2
        assert not [call for call in room.slack.calls if call.method.startswith("conversations.")]


async def test_any_of_our_messages_can_be_deleted(redis_url: str) -> None:
    """By a surface that knows nothing about them: in a thread, still streaming, a file, and one already deleted."""
    async with slack_room(redis_url) as room:
        web = Web(room.slack.api_url, room.slack.bot_token)
        root = await room.say("ann", "@ann", "!help")
        await room.quiet()
        await room.answered("@ann", "`default`")
        response = [each.ts for each in room.said("@ann")]
        place = Place("slack", room.slack.team, root.channel, direct=True)
        address = Address(place, Placement.CHANNEL, author=room.people["ann"])
        maker = SlackSurface(web, Eyes(web), Capabilities(), address)
        in_thread = SlackSurface(web, Eyes(web), Capabilities(), replace(address, place=replace(place, thread=root.ts)))
        stream = await web.client.chat_startStream(
            channel=root.channel, thread_ts=root.ts, recipient_user_id="U1", recipient_team_id="T1", markdown_text="x"
        )
        messages = [(await maker.post(Page("one"))).id, (await in_thread.post(Page("two"))).id, str(stream["ts"])]
        messages += [await maker.attach("three.md", b"three"), *response]
        for _ in range(2):
            for message in messages:
                await SlackSurface(web, Eyes(web), Capabilities(), address).delete(message)
            assert room.said("@ann") == ()
        await web.close()
