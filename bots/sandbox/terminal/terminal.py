"""The terminal of the sandbox: turns lines into messages and commands, and shows the replies as they grow."""

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
from bots.sandbox.terminal.screen import BOT, PEOPLE, ROOM_NAMES, Screen, Seen
from core.text import harmless, one_line

SANDBOX_WELCOME = """\
Try `@nebula hello`, or a command: `/nebula help` in Slack, `/help` in Discord. `:discord` and `:slack` switch the
platform, `:in dm` the room, `:as bob` the person; `:press regenerate` presses a button; `:help` shows more, such as
faults that you can switch on. Ctrl-C stops an answer, Ctrl-D quits."""

HELP = """\
:slack  :discord             go to that platform
:in #general | #random | dm  go to that room
:as ann | bob                be that person (ann manages the channels, bob does not)
:thread  :top                write in the newest thread; back in the room
:press stop | regenerate …   press that button below the newest message that has it
:fault 429 | 500 | slow      the platform refuses, fails or delays edits
:fault cut | stall | busy    the model's stream breaks or stalls; the model refuses
:fault redeliver | drop      every event arrives twice; the connections break
:fault off                   switch all faults off
/ask private:true …          in Discord: options with fixed values come first, by name
/Ask Nebula                  use that menu, or /Summarise thread, on the newest message
:quit                        quit (also Ctrl-D)
While the bot writes an answer, Ctrl-C presses its Stop button."""

# Discord's small print, which other Markdown does not have.
_SMALL_PRINT = re.compile(r"^-# (.*)$", re.MULTILINE)
# How long to wait for the first sign of an answer: longer than even a busy machine needs. Ctrl-C ends the wait.
REPLY_WAIT_SECONDS = 60.0
_STOP = "stop"


class Terminal:
    """The terminal of one person, who acts as somebody in some room on one of the screens."""

    def __init__(self, screens: Sequence[Screen], faults: FaultSwitches, idle: Callable[[], Awaitable[None]]) -> None:
        """`idle`: returns when the bot has no running turn."""
        self._screens = {screen.name: screen for screen in screens}
        self._screen = screens[0]
        self._room, self._person, self._thread = ROOM_NAMES[0], PEOPLE[0], ""
        self._faults = faults
        self._idle = idle
        self._console = Console(highlight=False)
        self._at_terminal = sys.stdin.isatty()

    async def serve(self) -> None:
        """Serve until the input ends."""
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
                await self._do(self._screen.command(self._person, self._room, line[1:], self._thread), lines)
            else:
                asks = self._room == "dm" or bool(BOT.search(line))
                await self._do(self._screen.say(self._person, self._room, line, self._thread), lines, watched=asks)

    async def _lines(self) -> AsyncIterator[str]:
        """Typed lines, with editing and history; or piped lines, printed as if they were typed."""
        session: PromptSession[str] | None = PromptSession() if self._at_terminal else None
        while True:
            here = f"{self._screen.name} {self._room}{' (in thread)' if self._thread else ''} {self._person} › "
            try:
                if session:
                    line = await session.prompt_async(here)
                elif not (line := await asyncio.to_thread(sys.stdin.readline)):
                    return
                else:
                    self._console.print(here + harmless(line.rstrip()), markup=False, style="bold")
            except KeyboardInterrupt:
                self._console.print("Ctrl-D or :quit ends the sandbox.", markup=False)
                continue
            except EOFError:
                return
            if line.strip():
                yield line.strip()

    def _go(self, text: str) -> str:
        """Run a command of the sandbox itself; returns the text to print."""
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if word in self._screens:
            self._screen, self._thread = self._screens[word], ""
        elif word == "in" and rest in ROOM_NAMES:
            self._room, self._thread = rest, ""
        elif word == "as" and rest in PEOPLE:
            self._person, self._thread = rest, ""
        elif word == "top":
            self._thread = ""
        elif word == "thread":
            seen = self._screen.seen(self._person, self._room)
            self._thread = next((each.thread for each in reversed(seen) if each.thread), "")
            return "" if self._thread else "There is no thread here yet."
        elif word == "fault":
            return self._faults.switch(rest)
        else:
            return HELP
        return f"You are {self._person} in {self._screen.name} {self._room}."

    async def _press(self, label: str) -> None:
        """Press the button with this label below the newest message that has it. Raises LookupError if none has."""
        found = self._button(label)
        if found is None:
            raise LookupError(f"there is no button {label!r} to press" if label else "press which button?")
        await self._screen.press(self._person, self._room, *found)

    def _button(self, label: str) -> tuple[str, str] | None:
        """The id of that message and the exact label."""
        for message in reversed(self._screen.seen(self._person, self._room)):
            for each in (*message.buttons, *message.choices):
                if each.lower() == label.strip().lower():
                    return message.id, each
        return None

    async def _do(self, action: Awaitable[None], lines: AsyncIterator[str], *, watched: bool = True) -> None:
        """Do something as the person, and show the result until the bot is done."""
        before = self._screen.seen(self._person, self._room)
        try:
            await action
        except Exception as refusal:  # noqa: BLE001 - anything that the platform's own client would refuse
            self._console.print(harmless(f"{self._screen.name} refuses: {refusal}"), markup=False, style="red")
            return
        if watched:
            await self._watch(before)
        if dialog := self._screen.dialog():
            asked = f"[dialog “{one_line(dialog.title)}”] {harmless(dialog.value)}\nYour text, in one line:"
            self._console.print(asked, markup=False)
            if text := await anext(lines, ""):
                await self._do(self._screen.submit(text), lines)

    async def _watch(self, before: tuple[Seen, ...]) -> None:
        """Show what the bot posts or edits, and redraw it as it grows, until the bot is done."""
        known = {each.id: each.frames for each in before}

        def fresh() -> list[Seen]:
            seen = self._screen.seen(self._person, self._room)
            return [each for each in seen if each.bot and each.frames != known.get(each.id)]

        async def settled() -> None:
            try:
                await self._screen.until(lambda: bool(fresh()) or self._screen.dialog() is not None, REPLY_WAIT_SECONDS)
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
                            growing.update(self._rendered(fresh()), refresh=True)
        if not self._console.is_terminal:
            for each in fresh():
                self._print(each)

    def _stopped_by_interrupt(
        self, group: asyncio.TaskGroup, waiting: asyncio.Task[None]
    ) -> AbstractContextManager[None]:
        """At a terminal, Ctrl-C presses Stop; if there is no such button, it ends the wait."""

        async def press() -> None:
            with suppress(Exception):  # the button may be gone by now
                await self._press(_STOP)

        def stop() -> None:
            if self._button(_STOP):
                group.create_task(press())
            else:
                waiting.cancel()

        return interrupt(stop) if self._at_terminal else nullcontext()

    def _print(self, message: Seen) -> None:
        """Print a message, for a pipe."""
        where = "  ↳ " if message.thread else "  "
        note = f" ({message.note})" if message.note else ""
        text = "\n".join(filter(None, (message.text, _buttons(message)))).replace("\n", "\n    ")
        self._console.print(harmless(f"{where}{one_line(message.author)}{note}: {text}"), markup=False, soft_wrap=True)

    def _rendered(self, messages: list[Seen]) -> RenderableType:
        parts: list[RenderableType] = []
        for each in messages:
            note = f"  {one_line(each.note)}" if each.note else ""
            left = 4 if each.thread else 2
            parts.append(
                Padding(Text.assemble((one_line(each.author), "bold magenta"), (note, "dim")), (0, 0, 0, left))
            )
            text = _SMALL_PRINT.sub(r"*\1*\n", harmless(each.text))
            # no links of the terminal's own, which hide where they lead
            parts.append(Padding(Markdown(text, hyperlinks=False), (0, 0, 0, left + 2)))
            if each.buttons:
                parts.append(Padding(Text(_buttons(each), "dim"), (0, 0, 0, left + 2)))
        return Group(*parts)


def _buttons(message: Seen) -> str:
    """The buttons below a message, as text."""
    return " ".join(f"[{one_line(label)}]" for label in message.buttons)
