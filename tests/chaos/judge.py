"""The judge of a chaos run: compares questions, screen and histories word by word."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from core.domain.errors import ModelError, NebulaBotError, StoreError
from core.inbound.dispatcher import AWAY
from core.reply.layout import WRITING
from core.turns.runner import GAVE_UP

_WORD = re.compile(r"\bw(\d+)x(\d+|end)\b")
_QUESTION = re.compile(r"question (\d+)")
_READ = re.compile(r"Read (\d+) messages? of this (thread|channel)\.")
# Every leaf of the tree of model errors has its own sentence; a sentence with a number is recognised by its beginning.
_ERRORS: tuple[type[NebulaBotError], ...] = (NebulaBotError, StoreError, ModelError, *ModelError.__subclasses__())
_PLAIN = [each.notice for each in _ERRORS if isinstance(each.notice, str)]
SENTENCES = (GAVE_UP, *_PLAIN, "Nebula's rate limit", "Nebula is not responding at the moment")
_MAX_MESSAGES = 8  # of one reply, whose combinations are all tried


def answer_to(number: int, words: int) -> str:
    """The model's answer to this question: words that name the question and their own place, in order."""
    return " ".join([*(f"w{number}x{place}" for place in range(words)), f"w{number}xend"])


def question(number: int) -> str:
    """The text of a question."""
    return f"question {number} please"


def number_in(text: str) -> int:
    """The number of the last question that a text names, 0 if it names none."""
    found = _QUESTION.findall(text)
    return int(found[-1]) if found else 0


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question. `words`: the length of its answer. Sequences of these have the order in which a lane was asked.

    `lane`: the line of questions in its room that are answered one after the other; "" if there is only one.
    """

    number: int
    room: str
    words: int
    accepted: bool = True
    must: bool = True  # whether the platform delivers it again until it is accepted
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the bot in its final state. `replies_to`: the question that it replies to, 0 for none.

    `first`: when the first words of an answer could be read in it, in monotonic seconds. `gap`: whether a post of this
    kind may stay behind if the process dies before it learns the message's id.
    """

    id: str
    room: str
    text: str
    replies_to: int = 0
    streams: bool = False
    first: float = math.inf
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """An exchange in the history of a room, oldest first."""

    room: str
    number: int
    answer: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong."""

    kind: str
    number: int
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the accepted questions ended, and what was wrong."""

    complete: tuple[int, ...]
    closed: tuple[int, ...]
    stubs: tuple[str, ...]  # ids of messages that a kill left behind in the documented gap
    findings: tuple[Finding, ...]


def judge(asked: Sequence[AskedQuestion], said: Iterable[Said], kept: Iterable[Kept]) -> Verdict:
    """Check that each accepted question has exactly one reply, whole or closed with a sentence, in the order of its
    lane, and remembered."""
    findings: list[Finding] = []
    replies: dict[int, list[Said]] = defaultdict(list)
    known = {each.number: each for each in asked}
    sentences = []
    for message in sorted(said, key=lambda each: (each.first, each.id)):
        if AWAY in message.text:
            continue  # shown once while Redis is away; the question still gets its answer
        about = _about(message)
        if _is_sentence(message):
            sentences.append(message)
        elif about in known:
            replies[about].append(message)
        else:
            findings.append(Finding("stray", about, f"{message.room} {message.id}: {message.text[:80]!r}"))
    for message in sorted(sentences, key=lambda each: (not each.replies_to, each.id)):
        about = _meant(message, asked, replies)
        if about:
            replies[about].append(message)
        else:
            findings.append(Finding("stray", 0, f"{message.room} {message.id}: {message.text[:80]!r}"))
    complete: dict[int, float] = {}
    chains: dict[int, tuple[Said, ...]] = {}
    closed, stubs = [], []
    for each in asked:
        mine = replies[each.number]
        if not each.accepted:
            findings += [Finding("lost", each.number, each.room)] if each.must else []
            begun = [message for message in mine if not message.streams or _words(message.text)]
            findings += [Finding("unasked", each.number, message.text[:80]) for message in begun]
            continue
        chain = _chain(mine, _whole(each))
        if chain:
            complete[each.number] = chain[0].first
            chains[each.number] = chain
        elif ending := _closing(mine, each):
            chain = ending
            closed.append(each.number)
        elif not mine:
            findings.append(Finding("missing", each.number, each.room))
        else:
            findings.append(Finding("incomplete", each.number, " | ".join(_short(message) for message in mine)))
        for message in mine if chain else ():
            if message in chain:
                continue
            if message.gap and _is_stub(message, each):
                stubs.append(message.id)
            else:
                findings.append(Finding("double", each.number, _short(message)))
        findings += [Finding("open", each.number, _short(message)) for message in mine if message.streams]
    kept = tuple(kept)
    unanswered = [each for each in asked if each.number in set(closed) - {entry.number for entry in kept}]
    for each in asked:
        findings += _noise(each, chains.get(each.number, ()), unanswered)
    findings += _order(asked, complete) + _history(asked, set(complete), set(closed), kept)
    return Verdict(tuple(complete), tuple(closed), tuple(stubs), tuple(findings))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0


def _about(message: Said) -> int:
    words = _WORD.search(message.text)
    return int(words[1]) if words else message.replies_to or number_in(message.text)


def _is_sentence(message: Said) -> bool:
    """Whether it is a sentence of the bot without any word of an answer."""
    return not _WORD.search(message.text) and any(sentence in message.text for sentence in SENTENCES)


def _meant(message: Said, asked: Sequence[AskedQuestion], replies: Mapping[int, Sequence[Said]]) -> int:
    """The question that a bare sentence closes: in a thread it need not be the thread's first."""
    about = _about(message)
    open_ = [
        each.number
        for each in asked
        if each.room == message.room and each.accepted and not _chain(replies.get(each.number, ()), _whole(each))
    ]
    bare = [number for number in open_ if not replies.get(number)]
    return about if about in open_ else next(iter(bare or open_), about)


def _whole(each: AskedQuestion) -> str:
    return answer_to(each.number, each.words)


def _words(text: str) -> str:
    return " ".join(found[0] for found in _WORD.finditer(text))


def _rest(text: str) -> str:
    return " ".join(_WORD.sub(" ", text).split())


def _chain(mine: Sequence[Said], whole: str) -> tuple[Said, ...]:
    """The messages that together contain the whole answer once; none if no such messages exist."""
    speaking = [message for message in mine if _words(message.text)][:_MAX_MESSAGES]
    for many in range(1, len(speaking) + 1):
        for some in combinations(speaking, many):
            if " ".join(_words(message.text) for message in some) == whole:
                return some
    return ()


def _closing(mine: Sequence[Said], each: AskedQuestion) -> tuple[Said, ...]:
    """The messages of a reply that ends with a sentence instead of all its words."""
    for last in mine:
        if any(sentence in last.text for sentence in SENTENCES):
            before = [m for m in mine if m is not last and m.first <= last.first and not m.gap and _words(m.text)]
            if _begins(" ".join(filter(None, (_words(m.text) for m in (*before, last)))), each):
                return (*before, last)
            return (last,) if _is_beginning(last, each) else ()
    return ()


def _noise(each: AskedQuestion, chain: Sequence[Said], unanswered: Sequence[AskedQuestion]) -> list[Finding]:
    """Text beside the words of a whole answer, except a command's question above its answer, and the small print that
    as many messages were read as questions around it stayed without an answer. `unanswered`: closed before a word, so
    that no history has them, and a later question reads them like whatever else was said there."""
    rests = [_rest(message.text) for message in chain]
    said = [rest for rest in rests if rest and number_in(rest) != each.number and not _reads(each, rest, unanswered)]
    return [Finding("open" if WRITING in rest else "noise", each.number, rest[:120]) for rest in said]


def _reads(each: AskedQuestion, rest: str, unanswered: Sequence[AskedQuestion]) -> bool:
    read = _READ.fullmatch(rest)
    around = [
        other.number
        for other in unanswered
        if read and other.room == each.room and (other.lane == each.lane or read[2] == "channel")
    ]
    return read is not None and 1 <= int(read[1]) <= len(around) and each.number not in around


def _is_stub(message: Said, each: AskedQuestion) -> bool:
    """Whether it contains the beginning of the answer, but not all of it."""
    return _is_beginning(message, each) and not _is_sentence(message) and _words(message.text) != _whole(each)


def _is_beginning(message: Said, each: AskedQuestion) -> bool:
    return _begins(_words(message.text), each)


def _begins(words: str, each: AskedQuestion) -> bool:
    return f"{_whole(each)} ".startswith(f"{words} " if words else "")


def _order(asked: Sequence[AskedQuestion], first: Mapping[int, float]) -> list[Finding]:
    """On screen, answers of a lane begin in the order of their questions."""
    findings, latest = [], dict[tuple[str, str], tuple[float, int]]()
    for each in asked:
        if each.number not in first:
            continue
        lane = each.room, each.lane
        at, before = latest.get(lane, (-math.inf, 0))
        if first[each.number] < at:
            findings.append(Finding("order", each.number, f"shown before the answer to {before} in {each.room}"))
        latest[lane] = max((at, before), (first[each.number], each.number))
    return findings


def _history(asked: Sequence[AskedQuestion], whole: set[int], closed: set[int], kept: Sequence[Kept]) -> list[Finding]:
    """Histories contain whole answers once and in the order of their lanes, and of a closed reply at most the text that
    was shown."""
    findings = []
    entries: dict[int, list[Kept]] = defaultdict(list)
    for entry in kept:
        entries[entry.number].append(entry)
    for each in asked:
        found = entries.pop(each.number, [])
        wanted = _whole(each)
        if len(found) > 1:
            findings.append(Finding("remembered twice", each.number, each.room))
        if each.number in whole and not found:
            findings.append(Finding("forgotten", each.number, each.room))
        for entry in found:
            right = entry.answer == wanted if each.number in whole else _begins(entry.answer, each)
            if entry.room != each.room or not right or each.number not in whole | closed:
                findings.append(Finding("remembered wrong", each.number, f"{entry.room}: {entry.answer[-60:]!r}"))
    findings += [Finding("remembered wrong", number, "nobody asked that") for number in entries]
    place = {each.number: (index, each.lane) for index, each in enumerate(asked)}
    latest: dict[tuple[str, str], int] = {}
    for entry in kept:
        if entry.number not in place:
            continue
        index, lane = place[entry.number]
        if index < latest.get((entry.room, lane), -1):
            findings.append(Finding("history order", entry.number, entry.room))
        latest[entry.room, lane] = max(index, latest.get((entry.room, lane), -1))
    return findings


def _short(message: Said) -> str:
    words = _words(message.text).split()
    return f"{message.id}: {len(words)} words {' '.join(words[:1] + words[-1:])!r}, {_rest(message.text)[:60]!r}"
