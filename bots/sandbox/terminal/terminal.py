"""The terminal of the sandbox: lines become messages and commands, and the replies are shown as they grow."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from prompt_toolkit import PromptSession
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from bots.interrupt import interrupt
from bots.sandbox.terminal.faults import FaultSwitches
from bots.sandbox.terminal.screen import BOT, PEOPLE, ROOMS, Screen, Seen

WELCOME = """\
Say `@nebula hello`, or give commands: `/nebula help` in Slack, `/help` in Discord. `:discord` and `:slack` change the
platform, `:in dm` the room, `:as bob` the person; `:press regenerate` presses a button; `:help` shows more, such as
faults to switch on. Ctrl-C stops an answer, Ctrl-D ends."""

HELP = """\
:slack  :discord             go to that platform
:in #general | #random | dm  go to that room
:as ann | bob                be that person (ann manages the rooms, bob does not)
:thread  :top                write in the newest thread; in the room again
:press stop | regenerate …   press that button below the newest message that has it
:fault 429 | 500 | slow      the platform refuses, fails or delays edits
:fault cut | stall | busy    the model's stream breaks or stalls; the model refuses
:fault redeliver | drop      every event comes twice; the sockets break
:fault off                   all faults off
/ask private:true …          in Discord: options that are chosen come first, by name
:quit                        end (also Ctrl-D)
While an answer is written, Ctrl-C presses its Stop button."""

# Discord's small print, which other Markdown does not know.
_SMALL_PRINT = re.compile(r"^-# (.*)$", re.MULTILINE)
# How long to wait for the bot's first sign of an answer, in seconds: longer than a machine needs that has much else to
# do. At a terminal Ctrl-C ends the waiting.
ANSWER_SECONDS = 60.0
_STOP = "stop"


class Terminal:
    """One person who is somebody, somewhere, on one of the stages."""

    def __init__(self, stages: Sequence[Screen], troubles: FaultSwitches, idle: Callable[[], Awaitable[None]]) -> None:
        """`idle` returns when the bot has no turn running."""
        self._stages = {stage.name: stage for stage in stages}
        self._stage = stages[0]
        self._room, self._person, self._thread = ROOMS[0], PEOPLE[0], ""
        self._troubles = troubles
        self._idle = idle
        self._console = Console(highlight=False)
        self._at_terminal = sys.stdin.isatty()

    async def serve(self) -> None:
        """Until the input ends."""
        lines = self._lines()
        async for line in lines:
            word, _, rest = line.partition(" ")
            if word == ":quit":
                break
            if word == ":press":
                await self._do(self._press(rest), lines)
            elif line.startswith(":"):
                self._console.print(self._go(line[1:].strip()), markup=False)
            elif line.startswith("/"):
                await self._do(self._stage.command(self._person, self._room, line[1:], self._thread), lines)
            else:
                asks = self._room == "dm" or bool(BOT.search(line))
                await self._do(self._stage.say(self._person, self._room, line, self._thread), lines, watched=asks)

    async def _lines(self) -> AsyncIterator[str]:
        """What is typed, with editing and history; or what is piped in, line by line, shown as if it were typed."""
        session: PromptSession[str] | None = PromptSession() if self._at_terminal else None
        while True:
            here = f"{self._stage.name} {self._room}{' (in thread)' if self._thread else ''} {self._person} › "
            try:
                if session:
                    line = await session.prompt_async(here)
                elif not (line := await asyncio.to_thread(sys.stdin.readline)):
                    return
                else:
                    self._console.print(here + line.rstrip(), markup=False, style="bold")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if line.strip():
                yield line.strip()

    def _go(self, text: str) -> str:
        """A command to the sandbox itself; returns what to say about it."""
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if word in self._stages:
            self._stage, self._thread = self._stages[word], ""
        elif word == "in" and rest in ROOMS:
            self._room, self._thread = rest, ""
        elif word == "as" and rest in PEOPLE:
            self._person, self._thread = rest, ""
        elif word == "top":
            self._thread = ""
        elif word == "thread":
            seen = self._stage.seen(self._person, self._room)
            self._thread = next((each.thread for each in reversed(seen) if each.thread), "")
            return "" if self._thread else "There is no thread here yet."
        elif word == "fault":
            return self._troubles.switch(rest)
        else:
            return HELP
        return f"You are {self._person} in {self._stage.name} {self._room}."

    async def _press(self, label: str) -> None:
        """Press the button of this label below the newest message that has it. Raises LookupError when none has."""
        found = self._button(label)
        if found is None:
            raise LookupError(f"there is no button {label!r} to press" if label else "press which button?")
        await self._stage.press(self._person, self._room, *found)

    def _button(self, label: str) -> tuple[str, str] | None:
        """That message, and the label as it is written there."""
        for message in reversed(self._stage.seen(self._person, self._room)):
            for each in message.buttons:
                if each.lower() == label.strip().lower():
                    return message.id, each
        return None

    async def _do(self, action: Awaitable[None], lines: AsyncIterator[str], *, watched: bool = True) -> None:
        """Do something as the person, and show what comes back until the bot is done."""
        before = self._stage.seen(self._person, self._room)
        try:
            await action
        except Exception as refusal:  # noqa: BLE001 - whatever the platform's own client would refuse
            self._console.print(f"{self._stage.name} refuses: {refusal}", markup=False, style="red")
            return
        if watched:
            await self._watch(before)
        if dialog := self._stage.dialog():
            self._console.print(f"[dialog “{dialog.title}”] {dialog.value}\nYour text, in one line:", markup=False)
            if text := await anext(lines, ""):
                await self._do(self._stage.submit(text), lines)

    async def _watch(self, before: tuple[Seen, ...]) -> None:
        """Show what the bot says or changes, redrawn as it grows, until it has no more to say."""
        known = {each.id: each.frames for each in before}

        def fresh() -> list[Seen]:
            seen = self._stage.seen(self._person, self._room)
            return [each for each in seen if each.bot and each.frames != known.get(each.id)]

        async def settled() -> None:
            try:
                await self._stage.until(lambda: bool(fresh()) or self._stage.dialog() is not None, ANSWER_SECONDS)
            except TimeoutError:
                self._console.print("(no answer)", style="dim")
            await self._idle()

        growing = Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis")
        with growing if self._console.is_terminal else nullcontext():
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(settled())
                with self._stopped_by_interrupt(group, waiting):
                    while not waiting.done():
                        await asyncio.wait({waiting}, timeout=0.1)
                        if self._console.is_terminal:
                            growing.update(self._drawn(fresh()), refresh=True)
        if not self._console.is_terminal:
            for each in fresh():
                self._print(each)

    def _stopped_by_interrupt(
        self, group: asyncio.TaskGroup, waiting: asyncio.Task[None]
    ) -> AbstractContextManager[None]:
        """At a terminal Ctrl-C presses Stop; where there is none to press, nobody waits any longer."""

        async def press() -> None:
            with suppress(Exception):  # it may be gone by now
                await self._press(_STOP)

        def stop() -> None:
            if self._button(_STOP):
                group.create_task(press())
            else:
                waiting.cancel()

        return interrupt(stop) if self._at_terminal else nullcontext()

    def _print(self, message: Seen) -> None:
        """A message on lines of its own, for a pipe."""
        where = "  ↳ " if message.thread else "  "
        note = f" ({message.note})" if message.note else ""
        text = "\n".join(filter(None, (message.text, _buttons(message)))).replace("\n", "\n    ")
        self._console.print(f"{where}{message.author}{note}: {text}", markup=False, soft_wrap=True)

    def _drawn(self, messages: list[Seen]) -> RenderableType:
        parts: list[RenderableType] = []
        for each in messages:
            note = f"  {each.note}" if each.note else ""
            left = 4 if each.thread else 2
            parts.append(Padding(Text.assemble((each.author, "bold magenta"), (note, "dim")), (0, 0, 0, left)))
            text = _SMALL_PRINT.sub(r"*\1*\n", each.text)
            parts.append(Padding(Markdown(text), (0, 0, 0, left + 2)))
            if each.buttons:
                parts.append(Padding(Text(_buttons(each), "dim"), (0, 0, 0, left + 2)))
        return Group(*parts)


def _buttons(message: Seen) -> str:
    """The buttons below a message."""
    return " ".join(f"[{label}]" for label in message.buttons)
