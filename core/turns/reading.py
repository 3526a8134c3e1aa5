"""Reads the room around a question when it is answered, in time, and keeps nothing of what was said."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import takewhile

from cachetools import TTLCache

from core.awake import awake
from core.domain.chat import Picture
from core.domain.conversation import Exchange, Place, digest
from core.domain.errors import Forbidden, Gone, PlatformError
from core.domain.options import Context
from core.domain.question import Continue, Question, Reads, Regenerate
from core.domain.surroundings import CHOSEN_CHARACTERS, NOTHING_SAID, Gap, Reach, Said, Surroundings
from core.files.attachments import Attached
from core.prompt.quoting import asks_for_summary, context_of
from core.settings.parameters import ChannelSettings
from core.store.turns import Turn
from core.turns.surfaces import Surfaces

log = logging.getLogger(__name__)

# How long a question may wait for what was said around it, names included.
READ_SECONDS = 5.0
SUMMARY_MESSAGES = 200
# What cannot be read for long is said once to each person in a place; then not for so many seconds.
_LASTING = frozenset({Gap.PERMISSION, Gap.INTENT})
_TOLD_SECONDS, _MAX_TOLD = 86_400.0, 10_000


class RoomReader:
    """Reads rooms. Between questions it keeps only where it was said that something can't be read."""

    def __init__(self, surfaces: Surfaces, seconds: float = READ_SECONDS) -> None:
        """`seconds`: how long a question waits for it."""
        self._surfaces, self._seconds = surfaces, seconds
        self._told: TTLCache[str, str] = TTLCache(_MAX_TOLD, _TOLD_SECONDS)  # person there → question

    async def around(self, turn: Turn, settings: ChannelSettings, history: Sequence[Exchange]) -> Surroundings:
        """What was said around the turn's question, without what is in the history or was forgotten; never raises.
        `history`: what the question refers to."""
        question = turn.question
        context = context_of(question, settings.context)
        summary = asks_for_summary(question)
        after = "" if summary else _read_before(turn, history)
        reach = Reach(context, after=after, summary=summary, known=_in(history), forgotten=turn.forgotten)
        if summary:
            reach = replace(reach, messages=SUMMARY_MESSAGES)
        if question.reads is Reads.MISSED:
            reach = replace(reach, since=question.author.id)
        if context is Context.OFF:
            found = NOTHING_SAID if question.reads is Reads.USUAL else Surroundings(gaps=frozenset({Gap.OFF}))
        else:
            found = await self._read(turn, reach)
        known = _known(turn)
        messages = [
            each
            for each in found.messages
            if each.id not in known and digest(each.id) not in reach.forgotten and each.text.strip()
        ]
        read = {each.id for each in (*messages, *found.referred)}
        chosen = {each.id for each in question.about}
        unread = [each for each in question.about if each.id not in read]
        referred = [each for each in (*unread, *found.referred) if each.text.strip()]
        gaps = found.gaps | ({Gap.MORE} if len(messages) > reach.messages else frozenset())
        if not all(each.text for each in unread):
            gaps |= {Gap.CHOSEN}
        return Surroundings(
            tuple(_cut(each, reach.characters) for each in messages[-reach.messages :]),
            tuple(_cut(each, CHOSEN_CHARACTERS if each.id in chosen else reach.characters) for each in referred),
            self._untold(question, gaps),
        )

    async def channel_name(self, place: Place) -> str:
        """The name of this channel, "" if it is not known in time; never raises."""
        try:
            async with awake(self._seconds):
                return await self._surfaces.channel_name(place)
        except (TimeoutError, PlatformError) as error:
            log.info("can't look up the name of a channel: %s: %s", type(error).__name__, error)
        except Exception:
            log.exception("looking up the name of a channel failed")
        return ""

    async def _read(self, turn: Turn, reach: Reach) -> Surroundings:
        """What can be read in time; never raises."""
        question = turn.question
        try:
            async with awake(self._seconds):
                return await self._surfaces.surroundings(_newest(turn), reach)
        except TimeoutError:
            gap = Gap.TIME
        except PlatformError as error:
            log.info("turn %s: can't read what was said around it: %s", question.id, error)
            gap = _gap(error)
        except Exception:
            log.exception("turn %s: reading what was said around it failed", question.id)
            gap = Gap.TIME
        return Surroundings(gaps=frozenset({gap}))

    def _untold(self, question: Question, gaps: frozenset[Gap]) -> frozenset[Gap]:
        """These gaps, without those that were said here at an earlier question. Who asks to have something read, by a
        menu, is always told why it was not."""
        if question.about or question.reads is not Reads.USUAL:
            return gaps
        name, person = question.message or question.id, f"{question.place.name}/{question.author.id}"
        if gaps & _LASTING and self._told.setdefault(person, name) != name:
            return gaps - _LASTING
        return gaps


def _cut(said: Said, characters: int) -> Said:
    return replace(said, text=said.text[: characters - 1] + "…") if len(said.text) > characters else said


def _newest(turn: Turn) -> Question:
    """The question, as if it had been asked when the last of those was that it includes: what was said until then
    belongs to it."""
    last = next((each.message for each in reversed(turn.also) if each.message), turn.question.message)
    return replace(turn.question, message=last)


def _read_before(turn: Turn, history: Sequence[Exchange]) -> str:
    """The newest question that was answered in this place: what was said before was read then. "" if there is none, or
    an older version did not say in which thread it was."""
    place, alone = turn.question.place, turn.conversation.scope == turn.question.place.name

    def is_here(each: Exchange) -> bool:
        if place.thread:
            return alone or each.thread == place.thread
        return alone and each.thread in ("", each.messages[0])

    return next((each.messages[0] for each in reversed(history) if each.messages and is_here(each)), "")


def _known(turn: Turn) -> set[str]:
    """The messages that the request holds anyway, or must not: those of the question and its reply, and the history."""
    question = turn.question
    replaced = question.replaces.messages if question.replaces else ()
    own = (question.message, *(each.message for each in turn.also), *turn.progress.messages, *replaced)
    return {*own, *_in(turn.history)}


def _in(history: Iterable[Exchange]) -> frozenset[str]:
    return frozenset(message for each in history for message in each.messages)


def _gap(error: PlatformError) -> Gap:
    match error:
        case Gone():
            return Gap.GONE
        case Forbidden():
            return Gap.PERMISSION
        case _:
            return Gap.TIME


def history_before(turn: Turn) -> tuple[Exchange, ...]:
    """The history that the question refers to. Regenerate: without the answer to be replaced and everything after it.
    Continue: up to the answer to be continued."""
    question, history = turn.question, turn.history
    match question.kind:
        case Regenerate(turn=old):
            known = any(each.turn == old for each in history)
            return tuple(takewhile(lambda each: each.turn != old if known else each.at <= question.at, history))
        case Continue(turn=old):
            places = [place for place, each in enumerate(history) if each.turn == old]
            return history[: places[-1] + 1] if places else history
        case _:
            return history


def history_read(turn: Turn, history: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    """The history at whose questions the room was read. Continue: what was said around the question that is continued
    is needed once more."""
    return history[:-1] if turn.question.continues else history


def unseen(names: Sequence[str]) -> str:
    """The sentence about pictures of these names that the model of an answer did not see."""
    return Attached(tuple(Picture(each, b"") for each in names), (0,) * len(names)).small_print(())
