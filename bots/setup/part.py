"""What a part of the set-up is made of: questions, their checks, and what comes out of a check."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came out of a check. `good`: whether the answer is accepted, None if nobody could tell. `text`: what the
    person reads. `ids`: lines with ids that may be of use for ACCESS_ALLOW."""

    good: bool | None
    text: str = ""
    ids: tuple[str, ...] = ()


# Checks an answer; also gets what is known of all variables: answers, environment, .env and defaults.
SetupCheck = Callable[[str, Mapping[str, str]], Coroutine[None, None, Judgement]]


async def accepted(answer: str, known: Mapping[str, str]) -> Judgement:
    """The check of an answer whose form is all that can be checked."""
    return Judgement(True)


@dataclass(frozen=True, slots=True)
class SetupQuestion:
    """A variable to ask for.

    `why` it is needed and `where` to find it. `secret`: never shown. `optional`: may stay empty. `unless`: not asked
    where all of these are set. `shows_ids`: the ids that earlier checks found help to answer it.
    """

    variable: str
    why: str
    where: str
    secret: bool = False
    optional: bool = False
    unless: tuple[str, ...] = ()
    shows_ids: bool = False
    check: SetupCheck = accepted


@dataclass(frozen=True, slots=True)
class SetupPart:
    """Questions that belong together. `steps`: what to do before them. `switch`: the variable that switches a platform
    on, "" for a part that everybody needs. `first_words`: how people begin there, with the bot's {name}."""

    title: str
    steps: str
    questions: tuple[SetupQuestion, ...]
    switch: str = ""
    first_words: str = ""
