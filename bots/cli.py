"""`nebula-bot`: the command line."""

import argparse
import asyncio
import gc
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import uvloop

from bots import logs
from core.domain.errors import NebulaBotError
from core.settings.config import Config, WrongConfig, load

_E = TypeVar("_E", bound=BaseException)

GO_LIVE = """\
No platform tokens are set, so this is the sandbox: a Slack and a Discord of our own, on this machine only.
To go live, put into .env:  NEBULA_API_KEY  and  SLACK_BOT_TOKEN + SLACK_APP_TOKEN  and/or  DISCORD_TOKEN.
README.md leads through both set-ups; `nebula-bot manifest slack` prints what Slack asks for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 failed, 2 wrong usage or configuration."""
    options = _parser().parse_args(arguments)
    status = 0
    try:
        status = _start(options)
    except* WrongConfig as wrong:
        problems = [f"  - {problem}" for error in _leaves(wrong) for problem in error.problems]
        print("nebula-bot: the configuration can't be used:", *problems, sep="\n", file=sys.stderr)
        status = 2
    except* NebulaBotError as failed:
        print(*(f"nebula-bot: {error or error.notice}" for error in _leaves(failed)), sep="\n", file=sys.stderr)
        status = 1
    except* KeyboardInterrupt:
        status = 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nebula-bot",
        description="An AI chat bot for Slack and Discord. Settings come from the environment and .env.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="serve every platform that has tokens; without any, open the sandbox")
    commands.add_parser("worker", help="run turns that other processes leave, without listening to any platform")
    commands.add_parser("console", help="talk to the models in this terminal")
    commands.add_parser("sandbox", help="try the bot in a Slack and a Discord of our own")
    manifest = commands.add_parser("manifest", help="print an app manifest")
    manifest.add_argument("platform", choices=["slack"])
    manifest.add_argument("--http", action="store_true", help="events over HTTP instead of Socket Mode")
    manifest.add_argument(
        "--no-agent", action="store_true", help="without Slack's agent features, so that guests can use it"
    )
    manifest.add_argument("--no-history", action="store_true", help="without reading along in Slack's channels")
    commands.add_parser("health", help="exit 0 while a bot with this DATA_DIR is alive (for containers)")
    return parser


def _start(options: argparse.Namespace) -> int:
    # Each command imports what it needs: the manifest needs no Discord, the console no platform at all.
    if options.command == "manifest":
        from bots.slack.manifest import manifest

        agent, history = not options.no_agent, not options.no_history
        print(manifest(socket_mode=not options.http, agent=agent, history=history))
        return 0
    config = load()
    logs.configure(config.log_level)
    if options.command == "health":
        from bots.alive import healthy

        return 0 if healthy(config) else 1
    # A packet costs it half the CPU time that it costs asyncio's own loop.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_chosen(options, config))
    return 0


def _chosen(options: argparse.Namespace, config: Config) -> Coroutine[None, None, None]:
    """The command that serves until it is told to stop. Raises WrongConfig for what it misses, before all else."""
    platforms = config.has_slack or config.has_discord
    if options.command == "worker" and not platforms:
        raise WrongConfig(("A worker needs the tokens of the platforms on which it is to show replies.",))
    if options.command == "console" and config.nebula_api_key is None:
        raise WrongConfig(("NEBULA_API_KEY is missing: create a key at nebulablock.com and put it into .env.",))
    with _loading():
        if options.command == "worker" or (options.command == "run" and platforms):
            from bots.run import run

            return run(config, listen=options.command == "run")
        if options.command == "console":
            from bots.console.app import console

            return console(config)
        from bots.sandbox.app import sandbox
    if options.command == "run":
        print(GO_LIVE, flush=True)
    return sandbox(config)


@contextmanager
def _loading() -> Iterator[None]:
    """No garbage is collected while modules are loaded: what they make stays, and each look at it costs time, a seventh
    of the start in all. It is not looked at later either."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _leaves(group: BaseExceptionGroup[_E]) -> list[_E]:
    """The exceptions in a group, however deep."""
    found: list[_E] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(error)
        else:
            found.append(error)
    return found
