"""Menus: the questions that a menu or a command words for people, and a private answer that is shown to everybody."""

import re
from dataclasses import replace

from core.commands.responses import Response
from core.domain.conversation import Exchange
from core.domain.question import Question, Reads
from core.text import one_line
from core.turns.drawing import Shape, flagged

ASK, SUMMARISE = "Ask Nebula", "Summarise thread"
"""The names of the menus of a message, on every platform."""
ALONE = "Nobody else writes here, so there is nothing to catch up on."
SHAPES = tuple(Shape)
"""What a picture can look like, on platforms where people choose it from a list."""

_SUMMARISE = (
    "Summarise this thread: what it is about, who said what that matters, what was decided, and what is still open."
)
_CATCH_UP = (
    "Catch me up: summarise what was said in this channel since my last message, with who said what. Begin with what "
    "is meant for me or waits for me."
)
# Before a question that only the asker shall see, perhaps behind other flags; phones turn two hyphens into a dash.
_FLAG = r"(?:--|[\u2014\u2013])"
_PRIVATELY = re.compile(rf"((?:{_FLAG}\w{{1,20}}\s+){{0,3}}?){_FLAG}private(?:\s+|$)", re.IGNORECASE)
_MARKS = re.compile(r"[\[\]()<>*_`~|@#\\]")
_LONGEST_QUESTION = 300


def summary(question: Question) -> Question:
    """This question as one for a summary of its thread."""
    return replace(question, text=_SUMMARISE, reads=Reads.THREAD)


def catch_up(question: Question) -> Question:
    """This question as one for what was said in its channel since the asker's last message there."""
    return replace(question, text=_CATCH_UP, reads=Reads.MISSED)


def picture(question: Question, shape: str = "") -> Question:
    """This question as one that a picture of its text answers, in one of the SHAPES; "" for the usual one."""
    return replace(question, text=flagged(question.text, shape), draws=True)


def privately(prompt: str) -> tuple[str, bool]:
    """A question as somebody wrote it behind the command, without the flag `--private`, and whether it had one."""
    found = _PRIVATELY.match(prompt)
    return (found[1] + prompt[found.end() :], True) if found else (prompt, False)


def shared(exchange: Exchange) -> Response:
    """A private answer as everybody reads it: by whom it was asked and shared, the question, and the answer."""
    name, question = (_MARKS.sub("", one_line(each, _LONGEST_QUESTION)).strip() for each in _said(exchange))
    return Response(f"**{name or 'Somebody'}** shares an answer to: {question}\n\n{exchange.answer}", public=True)


def _said(exchange: Exchange) -> tuple[str, str]:
    return exchange.author.name, exchange.question
