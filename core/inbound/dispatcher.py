"""Dispatcher: what adapters call for everything people do; a message is a question or, behind `!`, a command."""

import logging
import re
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from core.access.admission import EVERYBODY, AccessList
from core.access.bursts import Bursts, Pace
from core.commands.asking import asked
from core.commands.handlers import Handlers
from core.commands.registry import Invocation, parse
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Author, Conversation, Place
from core.domain.errors import NebulaBotError, StoreError, UserError
from core.domain.page import Action
from core.domain.question import Question
from core.domain.turn_id import Step, TurnId, step_of
from core.inbound.buttons import ButtonActions, ButtonPress
from core.inbound.edits import EditHandler
from core.inbound.followups import FollowUps
from core.inbound.introduction import Introduction
from core.inbound.menus import catch_up
from core.inbound.otherbots import OtherBots
from core.inbound.undoing import Undoing
from core.ratelimit.shared import SharedRateLimit
from core.store.presence import Presence
from core.store.turns import Acceptance, Turns
from core.turns.inbox import Inbox

log = logging.getLogger(__name__)

COMMAND_MARK = "!"
_COMMAND = re.compile(r"![ \t]*[A-Za-z]")  # but not `!!! wow`
# Shown once while Redis is away, on platforms where the question itself cannot get lost.
AWAY = "My memory is out of reach right now. I have your question and will answer it as soon as I can."
TOO_FAST = "That is too fast for me. Please wait a few seconds."
# A message to the bot with nothing but one of these words is that command.
BARE_COMMANDS = frozenset({"help", "settings", "stop", "mute", "unmute"})


class Dispatcher:
    """The bot as seen from a platform."""

    def __init__(
        self,
        inbox: Inbox,
        turns: Turns,
        handlers: Handlers,
        buttons: ButtonActions,
        edits: EditHandler,
        presence: Presence,
        rate_limits: SharedRateLimit,
        followups: FollowUps,
        bots: OtherBots,
        introduction: Introduction,
        undoing: Undoing,
        access: AccessList = EVERYBODY,
    ) -> None:
        """`rate_limits`: counts the calls of all processes, for those that an adapter makes beside replies.
        `followups`: says which messages without a mention an adapter passes on, and `bots` which messages of bots.
        `introduction`: what an adapter says where the bot was added."""
        self.rate_limits, self.followups, self.bots, self.introduction = rate_limits, followups, bots, introduction
        self._inbox, self._turns, self._handlers, self._buttons = inbox, turns, handlers, buttons
        self._edits, self._presence, self._access = edits, presence, access
        self._undoing = undoing
        self._bursts, self._typing = Bursts(), Bursts(30, 1.0)  # of commands and presses; of letters typed

    async def heard(self, question: Question, rights: RightsOf) -> Response | None:
        """A message to the bot, which mentions it or is meant for it (see FollowUps). None: it is accepted, now or
        before, and the answer comes on its surface; or whoever did not even mention the bot may not use it.

        Returns a command's response for the adapter to show. Raises StoreError when the question could not be stored:
        then the adapter must not confirm its arrival to the platform, or must tell the person.
        """
        text = question.text.strip()
        if self._is_stranger(question):
            return None
        if not self.is_command(text) or question.author.program:  # a bot gives no commands, whatever it writes
            await self._accept(question)
            return None
        if (pace := self._pace(question.author, question.place, question.id)) is not Pace.FINE:
            told = pace is Pace.TOLD and await self._turns.once(step_of(question.id, Step.COMMAND))
            return Response(TOO_FAST) if told else None
        if refusal := self._access.refusal(question.author, question.place):
            return Response(refusal) if await self._turns.once(step_of(question.id, Step.COMMAND)) else None
        try:
            invocation = parse(text.removeprefix(COMMAND_MARK), question.place, question.author)
            found = _put_by(invocation, question)
        except UserError as error:
            return Response(error.notice) if await self._turns.once(step_of(question.id, Step.COMMAND)) else None
        if found:
            await self._accept(found)
            return None
        if not await self._turns.once(step_of(question.id, Step.COMMAND)):
            return None
        return await self.invoked(replace(invocation, aloud=True), rights)

    async def edited(self, question: Question, *, asks: bool) -> None:
        """The text of a message changed. `asks`: in its new form it asks the bot something.

        A waiting question changes, an answered one can be asked again, and a message that asked nothing before becomes
        a question if it asks now. Raises StoreError.
        """
        found = _asked_in(question)
        await self._edits.edited(found or question, asks=asks and found is not None)

    async def knows(self, place: Place, message: str) -> bool:
        """Whether this message is a question of which something is still known, wherever the bot listens now. Raises
        StoreError."""
        return await self._edits.knows(place, message)

    async def deleted(self, place: Place, message: str) -> None:
        """A message was deleted. If it was a question, forget it and take its answer away; if it was our answer, forget
        the exchange. Raises StoreError."""
        await self._edits.deleted(place, message)

    @property
    def look_back(self) -> float:
        """How many seconds at most to look back for missed questions; 0: not at all."""
        return self._presence.look_back

    async def away(self, name: str) -> float:
        """For how many seconds no process heard this platform (`slack/T1`, `discord`), limited to the time to look
        back; 0 if one did, or if looking back is switched off. Raises StoreError."""
        return await self._presence.away(name)

    async def present(self, name: str) -> None:
        """This platform is connected now. Call it about every half minute. Never raises."""
        with suppress(StoreError):
            await self._presence.present(name)

    async def suggestions(self, place: Place) -> tuple[str, ...]:
        """The questions that people in this place are suggested to ask where a chat begins. Raises StoreError."""
        return await self._handlers.suggestions(place)

    async def known(self, scope: str) -> tuple[Conversation, ...]:
        """The remembered conversations of a workspace (`discord/-`) or channel. Raises StoreError."""
        return await self._handlers.known(scope)

    async def is_new(self, question: Question) -> bool:
        """Whether a question from a time when no process listened is still unknown; a command that asks nothing never
        is new. Raises StoreError."""
        return _asked_in(question) is not None and not await self._inbox.knows(question)

    async def missed(self, question: Question) -> None:
        """A question from a time when no process listened; it may be known already. Ignores commands that ask nothing.

        Raises StoreError.
        """
        if (found := _asked_in(question)) and not self._is_stranger(question):
            await self._accept(found)

    async def commanded(self, invocation: Invocation, rights: RightsOf, event: TurnId | None = None) -> Response | None:
        """A command of the platform that asks nothing. Never raises: the response says what went wrong.

        `event`: the same for every delivery of this command, where a platform sends it to every process. None: show
        nothing, because another process carries it out.
        """
        if self._pace(invocation.author, invocation.place) is not Pace.FINE:
            return Response(TOO_FAST)  # each time: whoever gives a command of the platform waits for an answer
        try:
            if event and not await self._turns.once(step_of(event, Step.COMMAND)):
                return None
        except StoreError as error:
            log.warning("%s: %s", invocation.command.name, error)
            return Response(error.notice)
        return await self.invoked(invocation, rights)

    async def invoked(self, invocation: Invocation, rights: RightsOf) -> Response:
        """A command that asks nothing, however fast it comes. Never raises: the response says what went wrong."""
        if refusal := self._access.refusal(invocation.author, invocation.place):
            return Response(refusal)
        undoes = invocation.command.name == "undo"
        work = self._undoing.commanded if undoes else self._handlers.run
        found = await self._guarded(work(invocation, rights), invocation.command.name)
        return found or Response(NebulaBotError.notice)

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        """A button under a reply. Never raises. A response is for the person alone; None means that the reply itself
        shows the result, or that the person was told that they are too fast."""
        if (pace := self._pace(press.author, press.place)) is not Pace.FINE:
            return Response(TOO_FAST) if pace is Pace.TOLD else None
        return await self._guarded(self._buttons.pressed(action, press, rights), action)

    async def not_shared(self, press: ButtonPress) -> None:
        """The platform refused to show the answer that somebody shared: they may try again. Never raises."""
        try:
            await self._buttons.not_shared(press)
        except StoreError as error:
            log.warning("share: %s", error)

    async def rated(self, press: ButtonPress, *, good: bool) -> Response | None:
        """A vote on a reply. Never raises."""
        if (pace := self._pace(press.author, press.place)) is not Pace.FINE:
            return Response(TOO_FAST) if pace is Pace.TOLD else None
        return await self._guarded(self._buttons.rated(press, good=good), "rate")

    async def explained(self, press: ButtonPress, text: str) -> Response | None:
        """Why somebody voted an answer down, as they wrote it into the form. None: it is noted. Never raises."""
        if self._pace(press.author, press.place) is not Pace.FINE:
            return Response(TOO_FAST)  # whoever filled in a form waits for an answer
        return await self._guarded(self._buttons.explained(press, text), "explain")

    async def halted(self, place: Place, message: str) -> None:
        """Somebody ended the reply in this message, or with "" the next one in this thread, with the platform's own
        control. Never raises."""
        await self._guarded(self._buttons.halted(place, message), "halt")

    async def ask(self, question: Question) -> Acceptance:
        """A question from a command of the platform. Raises StoreError."""
        return await self._inbox.accept(question)

    async def models(self, typed: str, person: str = "") -> tuple[str, ...]:
        """Names of models that contain the typed text; none for a person who types faster than anybody can."""
        if person and self._typing.take(person) is not Pace.FINE:
            return ()
        return await self._handlers.models(typed)

    async def presets(self, place: Place, typed: str, author: Author) -> tuple[str, ...]:
        """Names of presets that contain the typed text; none for a person who types faster than anybody can, or who may
        not use the bot. Raises StoreError."""
        if self._typing.take(author.id) is not Pace.FINE or self._access.refusal(author, place):
            return ()
        return await self._handlers.presets(place, typed)

    def _is_stranger(self, question: Question) -> bool:
        """Whether somebody who may not use the bot did not even mention it: nobody needs to be told."""
        return question.overheard and bool(self._access.refusal(question.author, question.place))

    async def _accept(self, question: Question) -> None:
        await self._inbox.accept(question)
        self.followups.opened(question.place, question.message)

    def _pace(self, author: Author, place: Place, event: str = "") -> Pace:
        return self._bursts.take(f"{place.platform}/{author.id}", event)

    @staticmethod
    def is_command(text: str) -> bool:
        """Whether a message with this text gives a command."""
        return bool(_COMMAND.match(text.strip())) or text.strip().lower() in BARE_COMMANDS

    @staticmethod
    async def _guarded(work: Awaitable[Response | None], what: str) -> Response | None:
        """The result of a call; what went wrong becomes a response too."""
        try:
            return await work
        except NebulaBotError as error:
            if not isinstance(error, UserError):
                log.warning("%s: %s: %s", what, type(error).__name__, error)
            return Response(error.notice)
        except Exception:
            log.exception("%s failed", what)
            return Response(NebulaBotError.notice)


def _asked_in(question: Question) -> Question | None:
    """What a message asks, as `heard` understands it; None for a command that asks nothing."""
    text = question.text.strip()
    if not Dispatcher.is_command(text):
        return question
    try:
        return _put_by(parse(text.removeprefix(COMMAND_MARK), question.place, question.author), question)
    except UserError:
        return None


def _put_by(invocation: Invocation, question: Question) -> Question | None:
    """The question that a command in this message asks; None for one that asks nothing. Raises UserError."""
    if invocation.command.name == "catchup":
        return catch_up(question)
    found = asked(invocation)
    return found.of(question) if found else None
