"""`nebula-bot`: the command line."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import uvloop

from bots import logs
from core.config import WrongConfig, load
from core.errors import NebulaBotError

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
        from bots.run import healthy

        return 0 if healthy(config) else 1
    if options.command == "run" and (config.has_slack or config.has_discord):
        from bots.run import run

        _serve(run(config))
    elif options.command == "worker":
        from bots.run import run

        if not (config.has_slack or config.has_discord):
            raise WrongConfig(("A worker needs the tokens of the platforms on which it is to show replies.",))
        _serve(run(config, listen=False))
    elif options.command == "console":
        from bots.console.app import console

        asyncio.run(console(config))
    else:
        from bots.sandbox.driver import sandbox

        if options.command == "run":
            print(GO_LIVE, flush=True)
        asyncio.run(sandbox(config))
    return 0


def _serve(work: Coroutine[None, None, None]) -> None:
    """As asyncio.run, on a loop that takes a third of the CPU time for each packet."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def _leaves(group: BaseExceptionGroup[_E]) -> list[_E]:
    """The exceptions in a group, however deep."""
    found: list[_E] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(error)
        else:
            found.append(error)
    return found
