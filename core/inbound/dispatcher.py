"""Dispatcher: what adapters call for everything people do; a message is a question or, behind `!`, a command."""

import logging
import re
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from core.access.allowlist import EVERYBODY, AccessList
from core.commands.handlers import Handlers
from core.commands.registry import Invocation, parse
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Conversation, Place
from core.domain.errors import NebulaBotError, StoreError, UserError
from core.domain.page import Action
from core.domain.question import Question
from core.domain.turn_id import Step, step_of
from core.inbound.buttons import ButtonActions, ButtonPress
from core.inbound.edits import EditHandler
from core.store.presence import Presence
from core.store.turns import Acceptance, Turns
from core.turns.inbox import Inbox

log = logging.getLogger(__name__)

COMMAND_MARK = "!"
_COMMAND = re.compile(r"![ \t]*[A-Za-z]")  # but not `!!! wow`
# Shown once while Redis is away, on platforms where the question itself cannot get lost.
AWAY = "My memory is out of reach right now. I have your question and will answer it as soon as I can."
# A message to the bot with nothing but one of these words is that command.
BARE_COMMANDS = frozenset({"help", "settings", "stop"})


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
        access: AccessList = EVERYBODY,
    ) -> None:
        self._inbox, self._turns, self._handlers, self._buttons = inbox, turns, handlers, buttons
        self._edits, self._presence, self._access = edits, presence, access

    async def heard(self, question: Question, rights: RightsOf) -> Response | None:
        """A message to the bot. None: it is accepted, now or before, and the answer comes on its surface.

        Returns a command's response for the adapter to show. Raises StoreError when the question could not be stored:
        then the adapter must not confirm its arrival to the platform, or must tell the person.
        """
        text = question.text.strip()
        if not self._is_command(text):
            await self._inbox.accept(question)
            return None
        if refusal := self._access.refusal(question.author, question.place):
            return Response(refusal) if await self._turns.once(step_of(question.id, Step.COMMAND)) else None
        try:
            invocation = parse(text.removeprefix(COMMAND_MARK), question.place, question.author)
        except UserError as error:
            return Response(error.notice) if await self._turns.once(step_of(question.id, Step.COMMAND)) else None
        if invocation.command.name == "ask":
            await self._inbox.accept(replace(question, text=invocation.argument("prompt")))
            return None
        if not await self._turns.once(step_of(question.id, Step.COMMAND)):
            return None
        return await self.invoked(invocation, rights)

    async def edited(self, question: Question, *, asks: bool) -> None:
        """The text of a message changed. `asks`: in its new form it asks the bot something.

        A waiting question changes, an answered one can be asked again, and a message that asked nothing before becomes
        a question if it asks now. Raises StoreError.
        """
        await self._edits.edited(question, asks=asks and not self._is_command(question.text))

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

    async def known(self, scope: str) -> tuple[Conversation, ...]:
        """The remembered conversations of a workspace (`discord/-`) or channel. Raises StoreError."""
        return await self._handlers.known(scope)

    async def missed(self, question: Question) -> None:
        """A question from a time when no process listened; it may be known already. Ignores commands.

        Raises StoreError.
        """
        if not self._is_command(question.text):
            await self._inbox.accept(question)

    async def invoked(self, invocation: Invocation, rights: RightsOf) -> Response:
        """A command other than `ask`. Never raises: the response says what went wrong."""
        if refusal := self._access.refusal(invocation.author, invocation.place):
            return Response(refusal)
        found = await self._guarded(self._handlers.run(invocation, rights), invocation.command.name)
        return found or Response(NebulaBotError.notice)

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        """A button under a reply. Never raises. A response is for the person alone; None means that the reply itself
        shows the result."""
        return await self._guarded(self._buttons.pressed(action, press, rights), action)

    async def rated(self, press: ButtonPress, *, good: bool) -> Response | None:
        """A vote on a reply. Never raises."""
        return await self._guarded(self._buttons.rated(press, good=good), "rate")

    async def halted(self, place: Place, message: str) -> None:
        """Somebody ended the reply in this message, or with "" the next one in this thread, with the platform's own
        control. Never raises."""
        await self._guarded(self._buttons.halted(place, message), "halt")

    async def ask(self, question: Question) -> Acceptance:
        """A question from a command of the platform. Raises StoreError."""
        return await self._inbox.accept(question)

    async def models(self, typed: str) -> tuple[str, ...]:
        """Names of models that contain the typed text."""
        return await self._handlers.models(typed)

    @staticmethod
    def _is_command(text: str) -> bool:
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
