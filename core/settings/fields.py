"""Kinds of values that variables have: how each is written, and the sentence for one that is wrong."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field


def address(*schemes: str) -> AfterValidator:
    """Accepts addresses that begin with one of these schemes."""

    def check(value: str) -> str:
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


def _usable(value: str) -> str:
    """Accepts addresses with a host, whose port is a port."""
    try:
        parts = urlsplit(value.strip())
        usable = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", value.strip())
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("it is no address: write it like https://host/path")
    if parts.query or parts.fragment:
        raise ValueError("it must end before the ? or #")
    return value


def only(matches: Callable[[str], bool], what: str, hint: str) -> AfterValidator:
    """Accepts words that match. The sentence about others counts words, and repeats none: one may be a secret that was
    put into the wrong variable. `what`: what they are not."""

    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [number for number, word in enumerate(value, 1) if not matches(word)]:
            numbers = f"word {wrong[0]}" if len(wrong) == 1 else f"each of the words {', '.join(map(str, wrong))}"
            raise ValueError(f"{numbers} is {what}; write {hint}")
        return value

    return AfterValidator(check)


def managers(ids: str, *words: str) -> AfterValidator:
    """Accepts these words, and whatever looks like an id of the platform."""

    def matches(word: str) -> bool:
        return word in words or bool(re.fullmatch(ids, word))

    return only(matches, "not known", f"{', '.join(words)}, or ids")


def _words(value: object) -> object:
    """`admins, U123` → ("admins", "U123")."""
    return tuple(word for word in value.replace(",", " ").split()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


WORDS = BeforeValidator(_words)
LOWER = BeforeValidator(_lower)

Http = Annotated[str, address("http", "https"), AfterValidator(_usable)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Words = Annotated[tuple[str, ...], WORDS]
