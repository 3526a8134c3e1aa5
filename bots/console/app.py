"""`nebula-bot console`: chat with the models in a terminal, through the same core as in Slack and Discord."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from rich.console import Console

from bots.compose import Bot, assemble, chat_model, storage
from bots.console.surface import ConsolePlatform, markdown
from bots.interrupt import interrupt
from core.commands.asking import AskedByCommand, asked
from core.commands.registry import COMMANDS, Invocation, find, parse
from core.domain.conversation import Address, Author, Conversation, Place, Rights
from core.domain.errors import NebulaBotError, PlatformError, UserError
from core.domain.options import Placement
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.menus import ALONE, privately
from core.settings.config import Config
from core.store.turns import Queued
from core.text import harmless

PLACE = Place(platform="console", workspace="-", channel="terminal", direct=True)
CONVERSATION = Conversation(PLACE.name)
YOU = Author(id="you", name="you")
NOT_SAVED = "I could not save the file"
WELCOME = "Ask anything. `/help` lists the commands, Ctrl-C stops an answer, Ctrl-D quits."


async def console(config: Config) -> None:
    """Answer typed or piped input until it ends."""
    screen = Console()
    platform = ConsolePlatform(screen, config.data_dir / "files")
    config = config.model_copy(update={"access_allow": (), "access_deny": ()})  # whoever sits here runs the bot
    async with storage(config) as store, chat_model(config, store.redis) as model:
        bot = assemble(config, store.redis, model, [platform])
        async with bot.runner.open():
            if sys.stdin.isatty():
                screen.print(f"{store.where}. ", markdown(WELCOME), style="dim")
            async for line in _lines(config.data_dir / "console-history"):
                if line.startswith("/"):
                    await _command(bot, screen, platform, line[1:])
                else:
                    await _ask(bot, screen, platform, AskedByCommand(line))


async def _lines(history: Path) -> AsyncIterator[str]:
    """The input: at a terminal with editing, and with a history in this file; otherwise line by line."""
    if not sys.stdin.isatty():
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                yield line.strip()
        return
    words = WordCompleter([f"/{command.name}" for command in COMMANDS] + ["/quit"], sentence=True)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)), completer=words, complete_while_typing=False
    )
    while True:
        try:
            line = (await session.prompt_async("› ")).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if line == "/quit":
            return
        if line:
            yield line


async def _command(bot: Bot, screen: Console, platform: ConsolePlatform, text: str) -> None:
    try:
        invocation = parse(text, PLACE, YOU)
        wanted = asked(invocation)
    except UserError as error:
        _say(screen, error.notice)
        return
    if wanted:
        text, _ = privately(wanted.text)  # nobody else reads what is here
        await _ask(bot, screen, platform, replace(wanted, text=text))
        return
    if invocation.command.name == "catchup":
        _say(screen, ALONE)
        return
    response = await bot.dispatcher.invoked(invocation, _all_rights)
    _say(screen, response.text)
    for file in response.files:
        try:
            await platform.open(Address(PLACE, Placement.CHANNEL)).attach(file.name, file.content)
        except PlatformError as error:
            _say(screen, f"{NOT_SAVED}: {error}.")
    platform.close()


def _say(screen: Console, text: str) -> None:
    """Print Markdown for a person, plain text for a pipe."""
    screen.print(
        markdown(text) if screen.is_terminal else harmless(text), markup=False, highlight=False, soft_wrap=True
    )


async def _ask(bot: Bot, screen: Console, platform: ConsolePlatform, wanted: AskedByCommand) -> None:
    question = wanted.of(Question(TurnId(f"console/{uuid.uuid4().hex}"), PLACE, YOU, "", at=time.time()))
    stop = Invocation(find("stop"), PLACE, YOU)
    try:
        async with asyncio.TaskGroup() as group:
            with interrupt(lambda: group.create_task(bot.dispatcher.invoked(stop, _all_rights))):
                if isinstance(await bot.dispatcher.ask(question), Queued):
                    _say(screen, "Your question is queued until the current answer is finished.")
                await bot.runner.settled(CONVERSATION)
    except* NebulaBotError as failed:
        notices = (harmless(str(getattr(error, "notice", error))) for error in failed.exceptions)
        screen.print(*notices, style="red", markup=False)
    finally:
        platform.close()


async def _all_rights() -> Rights:
    return Rights.WORKSPACE
