"""The world of a chaos run: the three servers, a Redis that can be killed and frozen, and replicas of the program."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.slack.server import SlackServer
from core.domain.chat import ChatMessage
from core.store.redis.embedded import bound, find_server
from tests.bounds import HANG_SECONDS
from tests.chaos.stranger import OddModel
from tests.chaos.takeover import Kill
from tests.ports import free_port
from tests.scenarios.program import PROGRAM, environment

LEASE_SECONDS = 7.0
PARALLEL = 2  # lanes at once in a conversation: fewer than the people of a channel, so that some wait for a place
REPLICA_DRAIN_SECONDS = 20.0
TOKENS_PER_SECOND = 60.0  # of the model
# Slack delivers again at once, after 1 min and after 5 min; sooner here, to keep a run short.
SLACK_RETRY_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0)
PROCESS_TIMEOUT_SECONDS = HANG_SECONDS  # for a process to start or to end
# Logged by a process that is connected to both platforms; with Slack's events over HTTP it listens.
CONNECTED_LOG_LINES = ((b"Slack: connected", b"Slack: listening"), (b"on Discord as",))
MAX_OPEN_FILES = 256  # of a replica at its start, so that a few hundred connections are more than it may have
_LIMITED = ("/bin/sh", "-c", f'ulimit -S -n {MAX_OPEN_FILES}; exec "$@"', "sh")


class Store:
    """A private Redis that writes every step to its file before it answers."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/redis.sock"
        self.client = Redis.from_url(self.url, socket_timeout=1)
        self._folder = folder
        self._process: Process

    async def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        settings = ["--port", "0", "--unixsocket", "redis.sock", "--dir", str(self._folder)]
        settings += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        command = bound([str(find_server(os.environ.get("REDIS_SERVER"))), *settings])
        with (self._folder / "redis.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            while not await self.answers():
                await asyncio.sleep(0.02)

    async def answers(self) -> bool:
        """Whether it answers now."""
        try:
            return bool(await self.client.ping())
        except RedisError:
            return False

    async def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open, but it does not answer."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """End it."""
        await self.client.aclose()
        with suppress(ProcessLookupError):
            self.thaw()
            await self.kill()


class Replica:
    """A slot for a process of the program. Each process has its own API key, by which the model distinguishes them."""

    def __init__(self, name: str, folder: Path, settings: Callable[[str], dict[str, str]], *, limited: bool) -> None:
        """`limited`: the process starts with MAX_OPEN_FILES."""
        self.name = name
        self.key = ""
        self.since = 0.0  # when the process started, in monotonic seconds
        self._folder = folder
        self._settings, self._limited = settings, limited
        self._started = 0
        self._offset = 0  # where the log of the current process begins
        self._serves = False
        self._process: Process

    async def start(self) -> None:
        """Start a new process; returns at once."""
        self._started += 1
        self.key = f"ak_{self.name}-{self._started}"
        self._folder.mkdir(exist_ok=True)
        environ = environment(self._folder, self._settings(self.key))
        with (self._folder / "log").open("ab") as log:
            log.write(f"--- {self.key} {time.monotonic():.2f}\n".encode())
            log.flush()
            self._offset, self._serves, self.since = log.tell(), False, time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *bound([*(_LIMITED if self._limited else ()), *PROGRAM, "run"]),
                cwd=self._folder,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> Kill:
        """Send SIGKILL."""
        at = time.monotonic()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        return Kill(at, self.key)

    async def stop(self) -> int:
        """Send SIGTERM; returns the exit status. Raises TimeoutError."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        async with asyncio.timeout(REPLICA_DRAIN_SECONDS + PROCESS_TIMEOUT_SECONDS):
            return await self._process.wait()

    @property
    def serves(self) -> bool:
        """Whether the process runs and has connected to both platforms."""
        if not self._serves:
            with (self._folder / "log").open("rb") as log:
                log.seek(self._offset)
                said = log.read()
            self._serves = all(any(words in said for words in lines) for lines in CONNECTED_LOG_LINES)
        return self._serves and self._process.returncode is None


class ChaosWorld:
    """The servers, the store and the replicas together."""

    def __init__(
        self,
        folder: Path,
        slack: SlackServer,
        discord: DiscordServer,
        nebula: OddModel,
        replicas: int,
        parallel: int,
        http: bool,
    ) -> None:
        self.folder, self.slack, self.discord, self.nebula = folder, slack, discord, nebula
        self.parallel = parallel
        self.store = Store(folder)
        ports = [free_port() if http else 0 for _ in range(replicas)]
        self.urls = tuple(f"http://127.0.0.1:{port}/slack/events" for port in ports if port)
        self.replicas = [
            Replica(f"r{n}", folder / f"r{n}", partial(self._settings, port), limited=http)
            for n, port in enumerate(ports, start=1)
        ]

    def _settings(self, port: int, key: str) -> dict[str, str]:
        over_http = {"SLACK_SIGNING_SECRET": self.slack.signing_secret, "SLACK_PORT": str(port)}
        return {
            **(over_http | {"SLACK_HOST": "127.0.0.1"} if port else {"SLACK_APP_TOKEN": self.slack.app_token}),
            "NEBULA_API_KEY": key,
            "NEBULA_BASE_URL": self.nebula.base_url,
            "NEBULA_PLATFORM_URL": self.nebula.platform_url,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_API_URL": self.slack.api_url,
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "REDIS_URL": self.store.url,
            "REPLY_PARALLEL": str(self.parallel),
            "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "REPLICA_DRAIN_SECONDS": f"{REPLICA_DRAIN_SECONDS:g}",
            "PERSON_TOKENS": "off",  # one person asks more in a minute than people do in a day
            "CHANNEL_TOKENS": "off",
            "LOG_LEVEL": "INFO",  # contains CONNECTED_LOG_LINES
        }

    async def connected(self) -> None:
        """Wait until every replica is connected to both platforms. Raises TimeoutError."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            while len(self.serving) < len(self.replicas):
                await asyncio.sleep(0.05)

    @property
    def serving(self) -> list[Replica]:
        """The connected replicas."""
        return [replica for replica in self.replicas if replica.serves]

    def note(self, words: str) -> None:
        """Record what the driver does, beside the logs and in monotonic seconds like them."""
        with (self.folder / "driver").open("a") as log:
            log.write(f"{time.monotonic():.2f} {words}\n")

    async def stop(self) -> list[int]:
        """Send SIGTERM to every replica; returns their exit statuses."""
        return await asyncio.gather(*(replica.stop() for replica in self.replicas))


@asynccontextmanager
async def world(
    folder: Path,
    replicas: int,
    say: Callable[[tuple[ChatMessage, ...]], str],
    parallel: int,
    *,
    http: bool = False,
) -> AsyncIterator[ChaosWorld]:
    """Start and connect everything. `say` returns the model's answers. `parallel`: the setting of the bot. `http`:
    Slack's events come over HTTP. All logs are in `folder`, whose path is short."""
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(SlackServer(retry_delays=SLACK_RETRY_SECONDS))
        discord = await stack.enter_async_context(DiscordServer())
        nebula = await stack.enter_async_context(OddModel(answer=say, pace=TOKENS_PER_SECOND))
        found = ChaosWorld(folder, slack, discord, nebula, replicas, parallel, http)
        stack.push_async_callback(found.store.close)
        await found.store.start()
        for replica in found.replicas:
            await replica.start()
            stack.push_async_callback(replica.kill)
        await found.connected()
        slack.deliver_to(next(iter(found.urls), ""))
        yield found


def python() -> str:
    """The Python that the replicas run on."""
    return f"{sys.implementation.name} {sys.version.split()[0]}"
