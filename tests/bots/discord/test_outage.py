"""Discord while Redis is away, at the wire: a real server is killed and started again."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from redis import Redis as BlockingRedis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from bots.discord.inbound import ordering
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.nebula.server import NebulaServer
from core.domain.errors import StoreError
from core.inbound import followups
from core.inbound.dispatcher import AWAY
from core.store.redis.embedded import find_server
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection

POST_ROUTE = "POST /channels/{channel}/messages"
RANDOM = "#random"


class DurableRedis:
    """A Redis that can be killed; it then loses everything that was not on disk."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/redis.sock"

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = ["--port", "0", "--unixsocket", "redis.sock", "--dir", self._folder, "--save", ""]
        settings += ["--appendonly", "yes", "--appendfsync", "always"]
        with Path(self._folder, "log").open("ab") as log:
            self._process = subprocess.Popen([str(find_server(None)), *settings], stdout=log, stderr=log)
        with BlockingRedis.from_url(self.url, retry=Retry(ConstantBackoff(0.02), 500)) as client:
            client.ping()

    def kill(self) -> None:
        """Kill it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server() -> Iterator[DurableRedis]:
    """Run a Redis only for this test."""
    with TemporaryDirectory(prefix="nb-") as folder:  # not tmp_path: a socket's path must be short
        found = DurableRedis(folder)
        found.start()
        try:
            yield found
        finally:
            found.kill()


@pytest_asyncio.fixture
async def here(
    server: DurableRedis, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[DiscordRoom]:
    """A room with that Redis, where people learn of an outage early. As a parameter: changes of the configuration."""
    monkeypatch.setattr(ordering, "AWAY_SECONDS", 0.2)
    monkeypatch.setattr(ordering, "PAUSE_SECONDS", 0.5)
    async with patient_connection(server.url) as redis, room(redis, changes=getattr(request, "param", None)) as stage:
        yield stage


def away(here: DiscordRoom, where: str) -> int:
    """How often a place shows that Redis is away."""
    return sum(AWAY in text for text in here.said(where))


def answers(here: DiscordRoom, where: str) -> list[str]:
    """All other messages that the place shows."""
    return [text for text in here.said(where) if AWAY not in text]


@pytest.mark.parametrize("here", [{"reply_parallel": 1}], ids=["one at a time"], indirect=True)
async def test_questions_wait_for_redis_and_are_answered_once(here: DiscordRoom, server: DurableRedis) -> None:
    """One sentence per channel and outage; then every question is answered once.

    Each channel's order is kept, even where the later question would be tried again sooner.
    """
    await here.answered("ann", GENERAL, "@nebula before", "Before.")
    server.kill()
    for answer in ("One.", "Two."):
        here.nebula.answer_next(answer)
    await here.say("ann", GENERAL, "@nebula one")
    await here.until(lambda: away(here, GENERAL) == 1)
    await here.say("bob", GENERAL, "@nebula two")
    server.start()
    await here.until(lambda: answers(here, GENERAL) == ["Before.", "One.", "Two."])
    await here.bot.runner.idle()
    assert [request.messages[-1].content for request in here.nebula.requests[1:]] == ["ann: one", "bob: two"]
    assert away(here, GENERAL) == 1
    assert not away(here, RANDOM)
    server.kill()
    here.nebula.answer_next("Three.")
    await here.say("ann", GENERAL, "@nebula three")
    await here.until(lambda: away(here, GENERAL) == 2)
    server.start()
    await here.until(lambda: answers(here, GENERAL)[-1] == "Three.")


async def test_what_people_say_to_each_other_does_not_wait(
    server: DurableRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is known that nobody is heard without a mention: the room for what waits is for questions."""
    monkeypatch.setattr(followups, "DEAF_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(ordering, "MOST_WAITING", 4)
    async with patient_connection(server.url) as redis, room(redis, privileged=Intent.MESSAGE_CONTENT) as here:
        await here.say("ann", GENERAL, "lunch?")
        await here.answered("ann", GENERAL, "@nebula before", "Before.")
        server.kill()
        await here.say("ann", GENERAL, "@nebula one")
        await here.until(lambda: any("waits for Redis" in line for line in caplog.messages))
        for text in ("pizza?", "yes", "no"):
            await here.say("bob", GENERAL, text)
        await here.say("bob", GENERAL, "@nebula two")
        server.start()
        await here.until(lambda: len(here.nebula.requests) == 3)
        await here.bot.runner.idle()
    assert not [line for line in caplog.messages if "is meant for the bot" in line]


@pytest.mark.parametrize("private", [False, True])
async def test_a_command_waits_for_redis(here: DiscordRoom, server: DurableRedis, private: bool) -> None:
    """Its deferred response shows the sentence, and then the answer."""
    server.kill()
    here.nebula.answer_next("The answer.")
    shown = await here.slash("ann", GENERAL, "ask", prompt="hello", private=private)
    await here.until(lambda: shown.original is not None and AWAY in shown.original.content)
    server.start()
    await here.until(lambda: shown.original is not None and shown.original.content.endswith("The answer."))
    await here.bot.runner.idle()
    assert len(shown.messages) == 1
    assert shown.ephemeral is private
    assert len(here.nebula.requests) == 1


async def test_a_mention_after_a_command_is_explained_too(here: DiscordRoom, server: DurableRedis) -> None:
    """Each command shows the sentence itself, and the channel shows it once as well."""
    server.kill()
    for answer in ("One.", "Two."):
        here.nebula.answer_next(answer)
    shown = await here.slash("ann", GENERAL, "ask", prompt="one")
    await here.until(lambda: shown.acknowledged)
    await here.say("ann", GENERAL, "@nebula two")
    await here.until(lambda: away(here, GENERAL) == 2)
    server.start()
    await here.until(lambda: any(text.endswith("Two.") for text in answers(here, GENERAL)))
    assert shown.original is not None
    assert shown.original.content.endswith("One.")


async def test_two_processes_explain_it_once(server: DurableRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have the question and neither reaches Redis: the person reads one sentence and one answer."""
    monkeypatch.setattr(ordering, "AWAY_SECONDS", 0.3)
    async with (
        patient_connection(server.url) as redis,
        patient_connection(server.url) as another,
        room(redis) as here,
        running(here, another, config_for(here.discord, here.nebula)),
    ):
        server.kill()
        here.nebula.answer_next("The answer.")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: sum(call.route == POST_ROUTE for call in here.discord.calls) == 2)
        assert away(here, GENERAL) == 1
        server.start()
        await here.until(lambda: answers(here, GENERAL) == ["The answer."])
        await here.bot.runner.idle()
    assert len(here.nebula.requests) == 1


async def test_questions_beyond_the_limit_are_refused(
    here: DiscordRoom, server: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If too many questions wait, the next person is asked to try again; those that wait are answered."""
    monkeypatch.setattr(ordering, "MOST_WAITING", 1)
    server.kill()
    here.nebula.answer_next("One.")
    await here.say("ann", GENERAL, "@nebula one")
    await here.until(lambda: away(here, GENERAL) == 1)
    await here.say("bob", RANDOM, "@nebula two")
    await here.until(lambda: here.said(RANDOM) == [StoreError.notice])
    server.start()
    await here.until(lambda: answers(here, GENERAL) == ["One."])
    assert here.said(RANDOM) == [StoreError.notice]


async def test_a_bot_ends_cleanly_during_an_outage(
    server: DurableRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting questions neither delay the end nor cause a traceback; the next process finds them."""
    monkeypatch.setattr(ordering, "AWAY_SECONDS", 0.1)
    async with discord_server() as discord, NebulaServer() as model:
        here, config = DiscordRoom(discord, model), config_for(discord, model)
        async with patient_connection(server.url) as redis, running(here, redis, config):
            await here.answered("ann", GENERAL, "@nebula before", "Before.")
            while not await redis.exists("nb:p:{discord}"):
                await asyncio.sleep(0.01)
            server.kill()
            await here.say("ann", GENERAL, "@nebula one")
            await here.until(lambda: away(here, GENERAL) == 1)
        server.start()
        model.answer_next("One.")
        async with patient_connection(server.url) as redis, running(here, redis, config):
            await here.until(lambda: answers(here, GENERAL) == ["Before.", "One."])
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_command_whose_token_expires_meanwhile(here: DiscordRoom, server: DurableRedis) -> None:
    """The question continues without it: the answer is a message of its own."""
    server.kill()
    here.nebula.answer_next("The answer.")
    shown = await here.slash("ann", GENERAL, "ask", prompt="hello")
    await here.until(lambda: away(here, GENERAL) == 1)
    here.discord.faults.error("* /webhooks/*", 401, None, code=50027)
    server.start()
    await here.until(lambda: any(text.endswith("The answer.") for text in answers(here, GENERAL)))
    assert len(here.shown(GENERAL)) == 2
    assert shown.original is not None
