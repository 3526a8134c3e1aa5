"""The rules of listening: which messages that do not address the bot are meant for it nevertheless.

Each table is read from its top, and the first rule that applies decides. A person's message that mentions the bot needs
none of them; an edit makes no new question of a message that did not mention it (see EditHandler).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.commands.registry import is_known
from core.domain.options import Listen

T = TypeVar("T")

# Prefixes of other bots' commands: `!play a song`, `?rank`, `m!play a song`; with other signs the single word, as in
# `.np`, or a few more behind it where that is no sentence: `-play a song`, and not `.env is lost`.
_SENTENCE = r"(?!\S+[ \t]+(?:is|are|was|were|has|have|does|do|can|in|on|of|and|or|not|with|file|files)\b)"
_OTHERS_COMMAND = re.compile(
    r"!{1,2}[ \t]*[A-Za-z].*|\?{1,2}[A-Za-z].*|[a-z]{1,2}![a-z].*|[./;$%&>~=+-][a-z][\w-]*|"
    rf"[.-]{_SENTENCE}[a-z][a-z-]{{1,20}}[ \t]+[^?',\n]{{1,60}}",
    re.DOTALL,
)
# What may stand before the name of the person to whom a message speaks: a greeting or thanks.
GREETING = (
    r"(?:hey|hi|hello|hallo|yo|thanks|thank you|thx|ty|cheers|sorry|cc|fyi|ping|danke|merci|gracias|hola|salut|ciao"
    r"|dear|good morning|morning|welcome|congrats|there|all)"
)


@dataclass(frozen=True, slots=True)
class Remark:
    """A message that does not address the bot, as an adapter sees it, with the platform's own markup.

    `files`: it has some. `to_other`: it begins with a mention of somebody else (a person, a group, another bot), maybe
    behind a greeting, or replies to their message. `by_program`: a bot or an app wrote it. `written`: somebody wrote
    it, as opposed to the platform's own notices (joins, pins, new names).
    """

    text: str
    files: bool = False
    to_other: bool = False
    by_program: bool = False
    written: bool = True


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A message that a bot, an app or a workflow wrote. `own`: we did, or the app that we belong to. `addresses`: it
    mentions us. `named`: the operator lets this bot ask. `commands`: it gives a command."""

    own: bool = False
    addresses: bool = True
    named: bool = False
    commands: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """How the bot listens to one person in one place. `opened`: the place is a thread that a question to the bot
    opened; `asked`: this person has asked there."""

    listen: Listen = Listen.FOLLOWUPS
    muted: bool = False
    opened: bool = False
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One rule: when it applies, and whether a message is then meant for the bot. `everybody`: for anybody's message
    there, so that the answer can be remembered for the place. `signed`: it was, but in vain, which a sign says."""

    why: str
    applies: Callable[[T], bool]
    meant: bool = False
    everybody: bool = True
    signed: bool = False


# What a message is. Where none of these applies, the place decides.
OF_MESSAGES: tuple[Rule[Remark], ...] = (
    Rule("a bot or an app wrote it", lambda said: said.by_program),
    Rule("nobody wrote it", lambda said: not said.written),
    Rule("it says nothing", lambda said: not said.text.strip() and not said.files),
    Rule("it speaks to somebody else", lambda said: said.to_other),
    Rule("it is a command of another bot", lambda said: is_command_of_others(said.text)),
)
# How the bot listens where it is said. The last one always applies.
OF_PLACES: tuple[Rule[Listening], ...] = (
    Rule("the place is muted", lambda here: here.muted),
    Rule("only mentions count here", lambda here: here.listen is Listen.MENTION),
    Rule("everything counts here", lambda here: here.listen is Listen.ALL, meant=True),
    Rule("it is in no thread that a question opened", lambda here: not here.opened),
    Rule("everybody counts in this thread", lambda here: here.listen is Listen.THREAD, meant=True),
    Rule("its author has asked in this thread", lambda here: here.asked, meant=True, everybody=False),
    Rule("its author has not asked in this thread", lambda here: True, everybody=False),
)

# What bots say to the bot. The last one always applies. How often they may ask in a row, the store decides.
OF_BOTS: tuple[Rule[BotMessage], ...] = (
    Rule("we wrote it ourselves", lambda said: said.own),
    Rule("it does not mention the bot", lambda said: not said.addresses),
    Rule("the operator does not let this bot ask", lambda said: not said.named, signed=True),
    Rule("bots give no commands", lambda said: said.commands, signed=True),
    Rule("the operator lets this bot ask", lambda said: True, meant=True),
)


def rule_of_message(said: Remark) -> Rule[Remark] | None:
    """The rule that keeps the bot silent whatever the place is, if there is one."""
    return next((rule for rule in OF_MESSAGES if rule.applies(said)), None)


def rule_of_place(here: Listening) -> Rule[Listening]:
    """The rule that decides about a message about which none of the others does."""
    return next(rule for rule in OF_PLACES if rule.applies(here))


def rule_of_bot(said: BotMessage) -> Rule[BotMessage]:
    """The rule that decides about what a bot says."""
    return next(rule for rule in OF_BOTS if rule.applies(said))


def is_command_of_others(text: str) -> bool:
    """Whether a text looks like a command, and not like one of ours."""
    text = text.strip()
    return bool(_OTHERS_COMMAND.fullmatch(text)) and not (text.startswith("!") and is_known(text[1:]))
