"""`nebula-bot sandbox`: the real adapters on simulated platforms, with a person at a terminal."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from bots.adapter import Adapter
from bots.compose import chat_model, storage
from bots.discord.app import Discord
from bots.discord.config import DiscordConfig
from bots.run import serving
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.server import SlackServer
from bots.sandbox.terminal.discord import DiscordScreen
from bots.sandbox.terminal.faults import FaultSwitches
from bots.sandbox.terminal.slack import SlackScreen
from bots.sandbox.terminal.terminal import SANDBOX_WELCOME, Terminal
from bots.slack.app import Slack
from bots.slack.config import SlackConfig
from bots.slack.manifest import ASK_ABOUT, SUMMARISE_THREAD
from core.inbound.menus import ASK, SUMMARISE
from core.settings.config import Config
from core.settings.environment import Environment, WrongConfig

# How fast the fake model writes at a terminal, so that people see a reply grow. In a pipe nobody sees that.
FAKE_TOKENS_PER_SECOND = 60.0

# How long the platforms wait for an answer to a command or a press. Nobody at a terminal judges their own 3 s, which a
# busy machine may miss, as both sides share one event loop here.
_DEADLINE_SECONDS = 60.0


async def sandbox(environment: Environment) -> None:
    """Open the sandbox and serve the terminal, or piped input, until it ends, or until SIGTERM or SIGHUP."""
    loop, opened = asyncio.get_running_loop(), asyncio.ensure_future(_opened(environment))
    got: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        got.append(number)
        opened.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has one ignored
            loop.add_signal_handler(number, end, number)
    try:
        await opened
    except asyncio.CancelledError:
        if not got:
            raise
        # Its folder is gone. A thread may still wait for a line from a pipe, so that only the signal ends all of it.
        loop.remove_signal_handler(got[0])
        signal.signal(got[0], signal.SIG_DFL)
        os.kill(os.getpid(), got[0])


async def _opened(environment: Environment) -> None:
    config = environment.of(Config)
    if not config.given("log_level"):
        logging.getLogger("core").setLevel(logging.WARNING)
        logging.getLogger("bots").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            SlackServer(retry_delays=(0.0, 1.0, 5.0), ack_timeout=_DEADLINE_SECONDS, trigger_seconds=_DEADLINE_SECONDS)
        )
        discord = await stack.enter_async_context(DiscordServer(interaction_deadline=_DEADLINE_SECONDS))
        menus = {ASK: ASK_ABOUT, SUMMARISE: SUMMARISE_THREAD}
        screens = (SlackScreen(slack, menus), DiscordScreen(discord))
        folder = stack.enter_context(_own_folder(config.data_dir))
        # Who may ask, and how much, is about other places and people.
        local = config.model_copy(
            update={"data_dir": folder, "redis_url": None, "drain_seconds": 0, "access_allow": (), "access_deny": ()}
        )
        model_server = None
        if config.nebula_api_key is None:
            pace = FAKE_TOKENS_PER_SECOND if sys.stdin.isatty() else 0.0
            model_server = await stack.enter_async_context(NebulaServer(pace=pace))
            local = local.model_copy(
                update={
                    "nebula_api_key": SecretStr("sandbox"),
                    "nebula_base_url": model_server.base_url,
                    "nebula_platform_url": model_server.platform_url,
                }
            )
        store = await stack.enter_async_context(storage(local))
        model = await stack.enter_async_context(chat_model(local, store.redis))
        platforms: list[Adapter] = [
            Slack(_on_slack(environment.of(SlackConfig), slack)),
            Discord(_on_discord(environment.of(DiscordConfig), discord)),
        ]
        bot = await stack.enter_async_context(serving(local, store.redis, model, platforms))
        for platform in platforms:
            await platform.ready.wait()
        await discord.until(lambda: discord.commands.registered)  # otherwise the first typed line might be refused
        answers = "the real Nebula answers" if model_server is None else "a stand-in answers instead of a real model"
        print(f"{store.where}; {answers}.\n{SANDBOX_WELCOME}", flush=True)
        await Terminal(screens, FaultSwitches(slack, discord, model_server), bot.runner.idle).serve()


@contextmanager
def _own_folder(data_dir: Path) -> Iterator[Path]:
    """A new folder, which goes with the sandbox: each has a Slack and a Discord of its own, in which the rooms have the
    same ids, and nobody has said anything yet. Raises WrongConfig."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix="sandbox-", dir=data_dir, ignore_cleanup_errors=True)
    except OSError as error:
        raise WrongConfig((f"DATA_DIR: cannot write to {data_dir} ({error.strerror}).",)) from None
    with folder as name:
        yield Path(name)


def _on_slack(config: SlackConfig, server: SlackServer) -> SlackConfig:
    """The person's own settings for Slack, but on this server."""
    return config.model_copy(
        update={
            "slack_bot_token": SecretStr(server.bot_token),
            "slack_app_token": SecretStr(server.app_token),
            "slack_signing_secret": None,
            "slack_api_url": server.api_url,
        }
    )


def _on_discord(config: DiscordConfig, server: DiscordServer) -> DiscordConfig:
    """The person's own settings for Discord, but on this server."""
    return config.model_copy(
        update={
            "discord_token": SecretStr(server.token),
            "discord_api_url": server.api_url,
            "discord_gateway_url": server.gateway_url,
        }
    )
