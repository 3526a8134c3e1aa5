"""Findings: what an examination of the bot's surroundings has found, one sentence each, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means: all is well, worth knowing, or something is wrong."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `name`: which; `text`: how it is; `mend`: what to do about it, "" for nothing.

    Neither holds a secret, or a part of one.
    """

    name: str
    verdict: Verdict
    text: str
    mend: str = ""


def well(name: str, text: str) -> Finding:
    """A finding that all is well."""
    return Finding(name, Verdict.OK, text)


def note(name: str, text: str, mend: str = "") -> Finding:
    """A finding that whoever runs the bot should know, and may want to change."""
    return Finding(name, Verdict.NOTE, text, mend)


def bad(name: str, text: str, mend: str = "") -> Finding:
    """A finding that something is wrong."""
    return Finding(name, Verdict.BAD, text, mend)
