"""`nebula-bot`: the command line."""

import argparse
import asyncio
import gc
import io
import os
import re
import resource
import stat
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import uvloop

from bots import logs
from bots.platforms import PLATFORMS, Table, adapters, load, look_through, sections, switched_on
from core.domain.errors import NebulaBotError, UnusableStore
from core.output import NoOutput, finish, say
from core.settings.config import Config
from core.settings.environment import Environment, WrongConfig

_E = TypeVar("_E", bound=BaseException)

_STANDARD_ERROR = 2

GO_LIVE = """\
No platform tokens are set, so this is the sandbox: a simulated Slack and Discord, on this machine only.
To go live, put into .env:  NEBULA_API_KEY  and  {tokens}.
README.md explains each set-up; `nebula-bot manifest slack` prints the app manifest for Slack."""
NO_TOKENS = (
    "There are no tokens of a platform: neither in the environment nor in {file}. `make setup` (`nebula-bot setup`) "
    "asks for them and writes the file; README.md explains each set-up. (`nebula-bot sandbox` opens the sandbox.)"
)

_NO_MANIFEST = """\
Discord has no manifest: `nebula-bot setup` says how to create the application, and prints the link that adds the bot to
a server with these permissions. The bot needs no privileged intent; with Message Content it also reads what does not
mention it."""


def main(arguments: Sequence[str] | None = None, platforms: Table = PLATFORMS) -> int:
    """Run a command and return the exit status: 0 success, 1 failure, 2 wrong usage or configuration. Where several
    things have failed, 2 counts: another start would not help."""
    options = _parser(platforms).parse_args(arguments)
    _open_standard_files()
    status = 0
    try:
        status = _start(options, platforms)
        finish()
    except* WrongConfig as wrong:
        problems = [f"  - {problem}" for error in _leaves(wrong) for problem in error.problems]
        print("nebula-bot: the configuration is not valid:", *problems, sep="\n", file=sys.stderr)
        status = 2
    except* NoOutput as closed:
        if why := str(_leaves(closed)[0]):
            print(f"nebula-bot: {why}", file=sys.stderr)
        status = max(status, 1)
    except* NebulaBotError as failed:
        errors = _leaves(failed)
        print(*(f"nebula-bot: {error or error.notice}" for error in errors), sep="\n", file=sys.stderr)
        status = max(status, 2 if any(isinstance(error, UnusableStore) for error in errors) else 1)
    except* KeyboardInterrupt:
        status = 130
    return status


def _parser(platforms: Table) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nebula-bot",
        description=f"An AI chat bot for {' and '.join(each.config.title for each in platforms)}. "
        "Settings come from the environment and .env.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('nebula-bot')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="serve every platform that has tokens; without any, open the sandbox")
    commands.add_parser("worker", help="finish turns that other processes leave behind, without receiving events")
    commands.add_parser("console", help="talk to the models in this terminal")
    commands.add_parser("sandbox", help="try the bot in a simulated Slack and Discord")
    app = _app_options()
    manifest = commands.add_parser("manifest", parents=[app], help="print what to create the app with, and its rights")
    manifest.add_argument("platform", choices=["slack", "discord"])
    manifest.add_argument(
        "--http", nargs="?", const="", metavar="URL", help="receive events over HTTP, at this address of yours"
    )
    manifest.add_argument("--explain", action="store_true", help="say why the app asks for each right instead")
    commands.add_parser("setup", parents=[app], help="ask for what is needed, try it, and write .env")
    service = commands.add_parser("service", help="print a unit for systemd")
    service.add_argument("--user", default="", help="who runs the bot, if not the owner of this folder")
    doctor = commands.add_parser("doctor", help="look at everything that can be wrong, and say how to mend it")
    doctor.add_argument("--json", action="store_true", help="print a list of objects instead")
    doctor.add_argument(
        "--channel", action="append", default=[], metavar="ID", help="post, edit and delete a message in this channel"
    )
    commands.add_parser("health", help="exit 0 while a bot with this DATA_DIR is alive (for containers)")
    return parser


def _app_options() -> argparse.ArgumentParser:
    """What the app in Slack is called, and what it asks for."""
    app = argparse.ArgumentParser(add_help=False)
    app.add_argument("--name", default="", help="of the app in Slack, if it is not Nebula")
    app.add_argument("--command", default="", dest="slash", help="its slash command, if it is not / with its name")
    app.add_argument("--minimal", action="store_true", help="ask Slack for as few rights as possible")
    app.add_argument(
        "--no-agent", action="store_true", help="leave out Slack's agent features, so that guests can use the bot"
    )
    app.add_argument(
        "--no-history", action="store_true", help="do not let the bot read the messages in channels and groups"
    )
    return app


def _start(options: argparse.Namespace, platforms: Table) -> int:
    # Each command imports only what it needs: the manifest needs no Discord, the console no platform at all.
    if options.command == "manifest":
        say(_manifest(options))
        return 0
    if options.command == "setup":
        from bots.setup.questions import parts
        from bots.setup.wizard import Wizard

        name = options.name or "Nebula"
        return Wizard(Path(".env"), sections(platforms), _program()).run(parts(_manifest(options)), name)
    if options.command == "doctor":
        return _examined(options, platforms)
    environment = load(platforms=platforms)
    config = environment.of(Config)
    logs.configure(config.log_level)
    _allow_files()
    if options.command == "health":
        from bots.alive import healthy

        well, text = healthy(config.data_dir)
        say(text)
        return 0 if well else 1
    if options.command == "service":
        from bots.setup.service import unit

        say(unit(Path.cwd(), _program(), config.data_dir, config.drain_seconds, options.user))
        return 0
    from core.untraced import untraced

    untraced()  # whatever reads a stranger's file runs as the same user
    # uvloop spends half the CPU time per packet that asyncio's own loop does.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_chosen(options, environment, platforms))
    return 0


def _manifest(options: argparse.Namespace) -> str:
    """What `manifest` prints. Raises WrongConfig."""
    if vars(options).get("platform") == "discord":
        from bots.discord.permissions import explained as permissions

        return f"{_NO_MANIFEST}\n\n{permissions()}"
    from bots.slack import manifest as slack

    without = slack.OPTIONAL if options.minimal else frozenset()
    without |= slack.FOR_AGENTS if options.no_agent else frozenset()
    without |= slack.FOR_HISTORY if options.no_history else frozenset()
    if vars(options).get("explain"):
        return slack.explained(without)
    try:
        return slack.manifest(slack.named(options.name, options.slash), without, vars(options).get("http"))
    except ValueError as error:
        raise WrongConfig((f"{error}.",)) from None


def _program() -> Path:
    """Where `nebula-bot` is: beside the Python that runs us, without following links out of .venv."""
    return Path(sys.executable).with_name("nebula-bot")


def _examined(options: argparse.Namespace, platforms: Table) -> int:
    """Run the doctor. Raises WrongConfig for a channel that is none."""
    reading = look_through(platforms=platforms)
    kinds = [each.config.channel_ids for each in switched_on(reading.environment, platforms) if each.config.channel_ids]
    if unknown := [each for each in options.channel if not any(re.fullmatch(kind, each) for kind in kinds)]:
        raise WrongConfig((f"--channel {unknown[0]}: it must be the id of a channel of a platform that has tokens.",))
    logs.configure("ERROR")
    with _loading():
        from bots.doctor.app import doctor

        examined = adapters(reading.environment, platforms)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tokens = [each.config.tokens for each in platforms]
        well = runner.run(doctor(reading, examined, tokens, options.channel, as_list=options.json))
    return 0 if well else 1


def _chosen(options: argparse.Namespace, environment: Environment, platforms: Table) -> Coroutine[None, None, None]:
    """The coroutine of a command that serves until it is stopped. Raises WrongConfig first if settings are missing."""
    config = environment.of(Config)
    serves = bool(switched_on(environment, platforms))
    if options.command == "worker" and not serves:
        raise WrongConfig(("A worker needs the tokens of the platforms where it shows replies. Put them into .env.",))
    if options.command == "console" and config.nebula_api_key is None:
        raise WrongConfig(("NEBULA_API_KEY is missing: create a key at nebulablock.com and put it into .env.",))
    if options.command == "run" and not serves and not _has_input():
        doubts = (f"{each.text}; {each.mend}" for each in environment.doubts)
        raise WrongConfig((NO_TOKENS.format(file=Path(".env").absolute()), *doubts))
    with _loading():
        if options.command == "worker" or (options.command == "run" and serves):
            from bots.doctor.settings import known
            from bots.run import run

            served, listen = adapters(environment, platforms), options.command == "run"
            return run(config, served, listen=listen, known=known(environment))
        if options.command == "console":
            from bots.console.app import console

            return console(config)
        from bots.sandbox.app import sandbox
    if options.command == "run":
        for each in environment.doubts:
            print(f"{each.text}; {each.mend}", file=sys.stderr)
        say(GO_LIVE.format(tokens="  and/or  ".join(each.config.tokens for each in platforms)))
    return sandbox(environment)


def _open_standard_files() -> None:
    """Open what whoever started us has closed of input, output and errors: libuv ends the process where it gets one of
    these three numbers for a file of its own. What output can't show, or input can't be, is replaced."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not in UTF-8 shows the rest all the same
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process


def _has_input() -> bool:
    """Whether there is somebody to use the sandbox: a terminal, or a script in a pipe or file. For a service, the input
    is /dev/null."""
    return sys.stdin.isatty() or not stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode)


def _allow_files() -> None:
    """Open as many files as this machine allows: each connection is one, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows fewer than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _loading() -> Iterator[None]:
    """Do not collect garbage while modules are imported: their objects stay, and scanning them again and again takes a
    seventh of the start-up time. Later collections skip them too."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(10_000)  # the values of a token would fill the usual 700 every few of them
        gc.enable()


def _leaves(group: BaseExceptionGroup[_E]) -> list[_E]:
    """All exceptions in a group, at any depth."""
    found: list[_E] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(error)
        else:
            found.append(error)
    return found
