"""Kinds of values that variables have: how each is written, and the sentence for one that is wrong."""

import re
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


def managers(ids: str, *words: str) -> AfterValidator:
    """Accepts these words, and whatever looks like an id of the platform."""

    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [word for word in value if word not in words and not re.fullmatch(ids, word)]:
            raise ValueError(f"{', '.join(unknown)} is not known; write {', '.join(words)}, or ids")
        return value

    return AfterValidator(check)


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
