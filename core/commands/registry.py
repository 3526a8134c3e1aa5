"""The commands that people give, the same on all platforms: one table and one parser."""

import difflib
from dataclasses import dataclass

from core.domain.conversation import Author, Place
from core.domain.errors import UserError
from core.settings.parameters import PARAMETERS, Layer
from core.text import as_code


@dataclass(frozen=True, slots=True)
class Argument:
    """A word or text after a command. `choices`, if there are any, are all the values that it can have."""

    name: str
    title: str
    required: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command. With `changes` it needs the right to change the channel, and with `everywhere` the whole workspace;
    everybody may give all others. `suggests`: only for platforms that show what people could ask."""

    name: str  # one or two words
    title: str
    arguments: tuple[Argument, ...] = ()
    changes: bool = False
    everywhere: bool = False
    suggests: bool = False


_PROMPT = Argument("text", "the new system prompt", required=False)
_SETTABLE = tuple(each.name for each in PARAMETERS)
_SUGGESTED = Argument("text", "the question that people can ask with one press")
_NUMBER = Argument("number", "its number in the list")
_MODEL, _NAME = Argument("model", "the model's name"), Argument("name", "the preset's name")
_WHOSE = Argument("whose", "me: your own questions; all: everybody's", required=False, choices=("me", "all"))

COMMANDS: tuple[Command, ...] = (
    Command("ask", "Ask a question", (Argument("prompt", "your question"),)),
    Command("with", "Ask one question of another model", (_MODEL, Argument("prompt", "your question"))),
    Command("catchup", "Read what was said here since your last message"),
    Command("imagine", "Draw a picture", (Argument("text", "what the picture shows"),)),
    Command("prompt show", "Show this channel's system prompt"),
    Command("prompt set", "Change this channel's system prompt", (_PROMPT,), changes=True),
    Command("prompt clear", "Go back to the default system prompt", changes=True),
    Command("model show", "Show the model that answers here"),
    Command("model set", "Choose the model that answers here", (Argument("name", "the model's name"),), changes=True),
    Command("model list", "List the models you can choose from"),
    Command(
        "preset save",
        "Save a prompt, with what else this channel has set, under a name",
        (_NAME, Argument("text", "the prompt", required=False)),
    ),
    Command("preset use", "Use a preset here, or default for none", (_NAME,), changes=True),
    Command("preset list", "List the presets"),
    Command("preset show", "Show a preset", (_NAME,)),
    Command("preset delete", "Delete a preset", (_NAME,)),
    Command(
        "set",
        "Change a setting of this channel",
        (
            Argument("parameter", "the setting to change", choices=_SETTABLE),
            Argument("value", "its new value, or default"),
        ),
        changes=True,
    ),
    Command("settings", "Show this channel's settings and where each comes from"),
    Command("stop", "Stop your answers that are being written here"),
    Command("mute", "Answer only mentions in this thread or channel"),
    Command("unmute", "Answer follow-ups here again"),
    Command("ratings", "Show how people rated the answers here"),
    Command("reset", "Forget what was said here", changes=True),
    Command("undo", "Forget your last question here, and take my answer to it away"),
    Command("forget", "Forget your questions in this channel, or all of them", (_WHOSE,)),
    Command("export", "Get what I remember of this channel as a file", (_WHOSE,)),
    Command("suggest list", "List the questions that I suggest where a chat begins", suggests=True),
    Command("suggest add", "Suggest one more question", (_SUGGESTED,), everywhere=True, suggests=True),
    Command("suggest remove", "Suggest a question no more", (_NUMBER,), everywhere=True, suggests=True),
    Command("suggest default", "Go back to the questions that I suggest by default", everywhere=True, suggests=True),
    Command("help", "Show what I can do"),
)
_BY_NAME = {command.name: command for command in COMMANDS}
_GROUPS = {name.split()[0] for name in _BY_NAME if " " in name}

LONGEST_COMMAND = 13_000
"""In characters: a system prompt of 12,000 with the words before it. Only `ask` may be longer, as other questions."""
_LONGEST_NAME = 50  # characters of a command's name that is not known
_DASHES = ("-", "—", "–")  # phones turn two hyphens into one of the others

ME = "me"
"""The word for one's own questions, in place of a scope."""
# Between a command and its value, one of these flags says whose setting to change.
_WORDS = {**{str(layer): layer for layer in (Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD)}, ME: Layer.PERSON}
_SCOPES = {dash + word: layer for word, layer in _WORDS.items() for dash in ("--", *_DASHES[1:])}


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as somebody gave it; `arguments` are in the order of the table, "" for one that was left out. `scope`:
    where it is to apply, if they said so; the layer of a person: to their own questions.

    `aloud`: it came as a message, so that all who are in the room may read the response.
    """

    command: Command
    place: Place
    author: Author
    arguments: tuple[str, ...] = ()
    scope: Layer | None = None
    aloud: bool = False

    @property
    def is_public(self) -> bool:
        """Whether others read the response."""
        return self.aloud and not self.place.direct

    def argument(self, name: str) -> str:
        """Return the value of an argument, "" if it was left out."""
        names = [each.name for each in self.command.arguments]
        index = names.index(name)
        return self.arguments[index] if index < len(self.arguments) else ""


def parse(text: str, place: Place, author: Author) -> Invocation:
    """Parse a text such as `prompt set You are …`; the last argument takes the rest of the text unchanged.

    Raises UserError, which says what to write instead.
    """
    first, rest = _word(text)
    name = first.lower()
    if name in _GROUPS:
        second, rest = _word(rest)
        name = f"{name} {second.lower()}".strip()
    command = _BY_NAME.get(name)
    if command is None:
        raise UserError(_unknown(name))
    if len(text) > LONGEST_COMMAND and name != "ask":
        raise UserError(f"This is too long: `{name}` takes at most {LONGEST_COMMAND:,} characters.")
    scope = None
    if name == "set":
        rest = _without_equals(rest)
    flag, after = _word(rest)
    if command.changes and flag in _SCOPES:
        scope, rest = _SCOPES[flag], after
    if (rest.strip() and not command.arguments) or (scope and command.name == "reset"):
        raise UserError(f"Write `{usage(command)}` on its own, with nothing after it.")
    arguments = []
    for index, _ in enumerate(command.arguments):
        if index == len(command.arguments) - 1:
            arguments.append(rest.strip())
        else:
            word, rest = _word(rest)
            arguments.append(word)
    return Invocation(command, place, author, tuple(arguments), scope)


def find(name: str) -> Command:
    """Find a command by name. Raises UserError."""
    command = _BY_NAME.get(name)
    if command is None:
        raise UserError(_unknown(name))
    return command


def scope_named(word: str) -> Layer | None:
    """The scope of this name, or None."""
    return _WORDS.get(word)


def missing(invocation: Invocation) -> str:
    """A sentence about the first argument that is missing; "" if none is."""
    for argument in invocation.command.arguments:
        if argument.required and not invocation.argument(argument.name):
            return f"`{argument.name}` is missing ({argument.title}). Write `{usage(invocation.command)}`."
    return ""


def is_known(text: str) -> bool:
    """Whether a text begins with the name of a command."""
    first, rest = _word(text)
    return first.lower() in _BY_NAME or (first.lower() in _GROUPS and f"{first} {_word(rest)[0]}".lower() in _BY_NAME)


def usage(command: Command) -> str:
    """Show how to write a command: `set <parameter> <value>`."""
    words = (f"<{each.name}>" if each.required else f"[{each.name}]" for each in command.arguments)
    return " ".join((command.name, *words))


def _word(text: str) -> tuple[str, str]:
    """Split off the first word; the rest keeps its line breaks."""
    parts = text.strip().split(maxsplit=1)
    return (parts[0] if parts else "", parts[1] if len(parts) > 1 else "")


def _without_equals(text: str) -> str:
    """`temperature=0.5`, perhaps after a flag, as `temperature 0.5`."""
    flag, after = _word(text) if text.lstrip().startswith(_DASHES) else ("", text)
    name, equals, value = after.partition("=")
    name = name.strip()
    return f"{flag} {name} {value}" if equals and name.replace("_", "").isalnum() else text


def _unknown(name: str) -> str:
    name = name[:_LONGEST_NAME]
    if name in _GROUPS:
        words = " or ".join(f"`{each}`" for each in _BY_NAME if each.startswith(name + " "))
        return f"Write {words}."
    if not name:
        return "`help` lists all commands."
    [near] = difflib.get_close_matches(name, [*_BY_NAME, *_GROUPS], n=1) or [name]
    meant = [f"`{each}`" for each in _BY_NAME if near in (each, each.split()[0])]
    hint = f"Did you mean {' or '.join(meant)}? " if meant else ""
    shown = as_code(name)
    return f"There is no command `{shown}`. {hint}`help` lists them all."
