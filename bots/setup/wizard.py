"""Reads the questions out, at a terminal or to a pipe, and writes .env when all of them are answered."""

import asyncio
import getpass
import os
import sys
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import indent

from pydantic import ValidationError

from bots.setup import env_file
from bots.setup.part import Judgement, SetupPart, SetupQuestion
from core.output import say
from core.settings.env_file import read_env_file
from core.settings.environment import Section, WrongConfig, misplaced, reason
from core.text import escaped

_INTRO = """\
This asks for what the bot needs, tries each answer, and writes {file} at the end. Nothing is written before that.
Enter keeps what is there or takes what is suggested in [brackets]; Ctrl-C ends it."""
_ENDED = "nebula-bot: the answers ended before all questions were answered; nothing was written."
_WRITTEN = "\n{file} is written, and only you can read it."
_UNCHANGED = "\nNothing has changed: {file} stays as it is."
_START = "Start the bot with {commands}"
_FIRST_WORDS = "First words: {words}."
_NO_PLATFORM = """\
No platform is served yet: at a terminal that opens the sandbox, and as a service it ends at once. Run setup again when
you have the tokens of Slack or Discord."""
_ROOT = Path(__file__).parents[2]  # of a checkout, which has a Makefile
_YES, _NO = ("y", "yes"), ("n", "no")
_NONE = "none"
_ADDRESSES = ("NEBULA_BASE_URL", "NEBULA_PLATFORM_URL", "SLACK_API_URL", "DISCORD_API_URL")


class Wizard:
    """One run of the set-up. `known` holds the answers so far, the environment, .env and defaults, in this order."""

    def __init__(self, file: Path, sections: Sequence[type[Section]], program: Path) -> None:
        """`sections`: whose variables the answers are. `program`: nebula-bot. Raises WrongConfig if the file can't be
        read or replaced."""
        self._file, self._sections, self._program = file, sections, program
        self._at_terminal = sys.stdin.isatty()
        self._in_file = dict(_read(file))
        self._answers: dict[str, str] = {}
        around = {name: value for name, value in os.environ.items() if value.strip()}
        self._known = ChainMap(self._answers, around, self._in_file, _defaults(sections))
        self._ids: list[str] = []
        for name in _ADDRESSES:
            if problem := _problem(sections, name, self._known[name]):
                raise WrongConfig((f"{name}: {problem}.",))
        folder = file.resolve().parent
        if not os.access(folder, os.W_OK):
            raise WrongConfig((f"{folder} can't be written: run setup where the bot's .env belongs, as its user.",))

    def run(self, parts: Iterable[SetupPart], name: str) -> int:
        """Ask everything and write; returns the exit status. `name`: of the bot in Slack."""
        self._say(_INTRO.format(file=self._file.absolute()))
        try:
            parts = tuple(parts)
            # Whoever has a key or a platform has been here before, and what is not served is not meant to be.
            again = bool(self._known.get("NEBULA_API_KEY") or self._served(parts))
            with asyncio.Runner() as runner:
                for part in parts:
                    self._part(part, runner, expected=not (again or self._served(parts)))
            return self._finish([each.first_words.format(name=name.lower()) for each in self._served(parts)])
        except EOFError:
            print(f"\n{_ENDED}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nNothing was written.", file=sys.stderr)
            raise

    def _served(self, parts: Iterable[SetupPart]) -> list[SetupPart]:
        """The platforms that have their token, from wherever."""
        return [each for each in parts if each.switch and self._known.get(each.switch)]

    def _part(self, part: SetupPart, runner: asyncio.Runner, *, expected: bool) -> None:
        """Ask the questions of a part. `expected`: a platform that is not there yet is probably wanted."""
        self._say(f"\n--- {part.title} " + "-" * (100 - len(part.title)))
        there = bool(part.switch and self._known.get(part.switch))
        if part.switch and not self._confirmed(f"Serve {part.title}?", yes=there or expected):
            if there:
                self._say(f"{part.title} stays as it is; delete {part.switch} from .env to switch it off.")
            return
        if not there:
            self._say(f"\n{part.steps}")
        for question in part.questions:
            if not (question.unless and all(self._known.get(each) for each in question.unless)):
                self._question(question, runner)

    def _question(self, question: SetupQuestion, runner: asyncio.Runner) -> None:
        self._say(f"\n{question.variable}: {question.why}.\n  {question.where}.")
        if question.shows_ids:
            self._say("\n".join(f"    {line}" for line in self._ids or ["none"]))
        there = self._known.get(question.variable, "")
        shown = "keep what is there" if question.secret and there else there
        while True:
            typed = self._read(f"{question.variable}{f' [{shown}]' if shown else ''}: ", secret=question.secret)
            typed = _bare(typed, question.variable)
            answer = typed or there
            if question.optional and answer.lower() == _NONE:
                answer = ""
            elif not answer and not question.optional:
                self._say("This is needed.")
                continue
            judgement = self._judged(question, answer, runner)
            if judgement.text:
                self._say(indent(judgement.text, "  "))
            if judgement.good or (judgement.good is None and self._confirmed("Take it all the same?", yes=False)):
                break
        self._ids += judgement.ids
        if answer != there:
            self._answers[question.variable] = answer
            if os.environ.get(question.variable, "").strip():
                self._say(f"  Note: {question.variable} is set in the environment too, which overrides .env.")

    def _judged(self, question: SetupQuestion, answer: str, runner: asyncio.Runner) -> Judgement:
        if answer and (problem := _problem(self._sections, question.variable, answer)):
            return Judgement(False, f"This can't be {question.variable}: {problem}.")
        return runner.run(question.check(answer, self._known)) if answer else Judgement(True)

    def _finish(self, first_words: Sequence[str]) -> int:
        """Write, and say how to go on. `first_words`: for each platform that is served."""
        changes = {each: value for each, value in self._answers.items() if value != self._in_file.get(each, "")}
        if not changes:
            self._say(_UNCHANGED.format(file=self._file.absolute()))
            self._say(self._next(first_words))
            return 0
        verb = "Change" if self._file.exists() else "Create"
        if not self._confirmed(f"\n{verb} {self._file.absolute()} ({', '.join(changes)})?", yes=True):
            self._say("Nothing was written.")
            return 1
        env_file.write(self._file, env_file.merged(env_file.text_of(self._file), changes))
        self._say(_WRITTEN.format(file=self._file.absolute()))
        self._say(self._next(first_words))
        return 0

    def _next(self, first_words: Sequence[str]) -> str:
        """How to start the bot here, and what to try then."""
        made = self._file.absolute().parent.resolve() == _ROOT and (_ROOT / "Makefile").is_file()
        start = _START.format(commands=f"{'`make run`, or ' if made else ''}{self._program} run")
        last = _FIRST_WORDS.format(words="; ".join(first_words)) if first_words else _NO_PLATFORM
        return f"{start}\n{last}"

    def _confirmed(self, question: str, *, yes: bool) -> bool:
        while True:
            typed = self._read(f"{question} [{'Y/n' if yes else 'y/N'}] ").strip().lower()
            if not typed or typed in _YES + _NO:
                return yes if not typed else typed in _YES
            self._say("Please answer y or n.")

    def _read(self, prompt: str, *, secret: bool = False) -> str:
        """A line from the terminal, a secret without an echo; or one from a pipe. Raises EOFError at the end."""
        if self._at_terminal:
            return getpass.getpass(prompt) if secret else input(prompt)
        say(prompt)
        if not (line := sys.stdin.readline()):
            raise EOFError
        return line

    @staticmethod
    def _say(text: str) -> None:
        say(escaped(text, lines=True))  # others have named their servers


def _read(file: Path) -> Mapping[str, str]:
    """What a .env sets. Raises WrongConfig if there is something that can't be read."""
    found = read_env_file(file)
    if found.problems:
        raise WrongConfig(found.problems)
    return {name: value for name, value in (found.values or {}).items() if value}


def _bare(typed: str, variable: str) -> str:
    """What was meant by a line that was perhaps copied with its name or in quotation marks."""
    return typed.strip().removeprefix(f"{variable}=").strip().strip("\"'").strip()


def _defaults(sections: Iterable[type[Section]]) -> dict[str, str]:
    fields = {name.upper(): field for each in sections for name, field in each.model_fields.items()}
    return {name: str(each.default) for name, each in fields.items() if isinstance(each.default, str | int)}


def _problem(sections: Sequence[type[Section]], variable: str, value: str) -> str:
    """Why this variable can't have this value, "" if it can; never the value itself."""
    if not value.isprintable() or not value.isascii():
        return "it contains a character that none has: copy it anew"
    field = variable.lower()
    for section in sections:
        if field in section.model_fields:
            try:
                section(**{field: value})
            except ValidationError as error:
                for each in error.errors(include_url=False, include_input=False):
                    if str(each["loc"][0]).lower() == field:
                        return reason(each)
    return misplaced(sections, variable, value)
