"""The grammar of commands, the same for all platforms."""

import pytest

from core.commands.registry import COMMANDS, parse, usage
from core.domain.conversation import Author, Place
from core.domain.errors import UserError
from core.settings.parameters import Layer

PLACE, ANN = Place("slack", "T1", "C1"), Author("U1", "Ann")


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("help", "help", ()),
        ("  HELP ", "help", ()),
        ("Prompt  Show", "prompt show", ()),
        ("prompt set You are  a\n\npirate. ", "prompt set", ("You are  a\n\npirate.",)),
        ("prompt set\nLine one\nLine two", "prompt set", ("Line one\nLine two",)),
        ("prompt set", "prompt set", ("",)),
        ("set temperature 0.3", "set", ("temperature", "0.3")),
        ("set temperature=0.3", "set", ("temperature", "0.3")),
        ("set max_tokens = 5", "set", ("max_tokens", "5")),
        ("set prompt a=b is an equation", "set", ("prompt", "a=b is an equation")),
        ("set prompt You are a pirate", "set", ("prompt", "You are a pirate")),
        ("set", "set", ("", "")),
        ("ask what is 2+2?", "ask", ("what is 2+2?",)),
        ("model set Llama3.1-8B", "model set", ("Llama3.1-8B",)),
    ],
)
def test_parse(text: str, name: str, arguments: tuple[str, ...]) -> None:
    """Commands are found in upper and lower case; the last argument keeps its spaces and line breaks."""
    invocation = parse(text, PLACE, ANN)
    assert (invocation.command.name, invocation.arguments) == (name, arguments)


def test_scope_may_be_named() -> None:
    """A flag before the value names the setting's scope, and is not part of the value."""
    invocation = parse("set --workspace model Llama3.1-8B", PLACE, ANN)
    assert (invocation.scope, invocation.arguments) == (Layer.WORKSPACE, ("model", "Llama3.1-8B"))
    assert parse("set —workspace temperature=1", PLACE, ANN).arguments == ("temperature", "1")
    assert parse("ask --workspace what?", PLACE, ANN).arguments == ("--workspace what?",)


def test_a_command_has_a_greatest_length() -> None:
    """Longer than any value that can be set, only a question is taken."""
    with pytest.raises(UserError, match="13,000 characters"):
        parse("prompt set " + "x" * 13_000, PLACE, ANN)
    assert len(parse("ask " + "x" * 30_000, PLACE, ANN).argument("prompt")) == 30_000


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "`help` lists all"),
        ("hlep", "`help`"),
        ("promt set x", "help"),
        ("prompt", "`prompt show` or `prompt set` or `prompt clear`"),
        ("prompt sets x", "`prompt set`"),
        ("reboot", "`help` lists them all"),
        ("x" * 5000, "`help` lists them all"),
    ],
)
def test_unknown_command_is_answered_with_a_hint(text: str, hint: str) -> None:
    """A mistyped command gets a hint at the command that was probably meant, in a sentence of bounded length."""
    with pytest.raises(UserError) as error:
        parse(text, PLACE, ANN)
    assert hint in error.value.notice
    assert len(error.value.notice) < 200


def test_usage_shows_what_is_optional() -> None:
    """Required arguments are in angle brackets, optional ones in square brackets."""
    shown = {usage(command) for command in COMMANDS}
    assert {"prompt set [text]", "set <parameter> <value>", "ask <prompt>", "help"} <= shown
