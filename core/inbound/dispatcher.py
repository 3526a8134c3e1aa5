"""Front: what adapters call with what people say; a message is a question or, behind `!`, a command."""

import logging
import re
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from core.access.allowlist import EVERYBODY, AccessList
from core.commands.handlers import Handlers
from core.commands.registry import Invocation, parse
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Place, Question
from core.domain.errors import NebulaBotError, StoreError, UserError
from core.domain.page import Action
from core.inbound.buttons import ButtonActions, ButtonPress
from core.inbound.edits import EditHandler
from core.store.presence import Presence
from core.store.turns import Acceptance
from core.turns.intake import Intake

log = logging.getLogger(__name__)

COMMAND_MARK = "!"
_COMMAND = re.compile(r"![ \t]*[A-Za-z]")  # not `!!! wow`
# Said once while Redis is away, where the question itself is not lost.
AWAY = "My memory is out of reach right now. I have your question, and answer it as soon as I can."
# Whoever says just this to a bot means the command.
WORDS = frozenset({"help", "settings", "stop"})


class Dispatcher:
    """The bot as seen from a platform."""

    def __init__(
        self,
        intake: Intake,
        handlers: Handlers,
        controls: ButtonActions,
        edits: EditHandler,
        presence: Presence,
        access: AccessList = EVERYBODY,
    ) -> None:
        self._intake, self._handlers, self._controls = intake, handlers, controls
        self._edits, self._presence, self._access = edits, presence, access

    async def heard(self, mention: Question, rights: RightsOf) -> Response | None:
        """A message to the bot. None: it is accepted (or was before) and will be answered on its surface.

        A command's response is returned, for the adapter to show. Raises StoreError when a question could
        not be stored: the platform must then not be told that it arrived, or else the person must.
        """
        text = mention.text.strip()
        if not self._is_command(text):
            await self._intake.accept(mention)
            return None
        if refusal := self._access.refusal(mention.author, mention.place):
            return Response(refusal) if await self._intake.once(f"{mention.id}/command") else None
        try:
            invocation = parse(text.removeprefix(COMMAND_MARK), mention.place, mention.author)
        except UserError as error:
            return Response(error.notice) if await self._intake.once(f"{mention.id}/command") else None
        if invocation.command.name == "ask":
            await self._intake.accept(replace(mention, text=invocation.argument("prompt")))
            return None
        if not await self._intake.once(f"{mention.id}/command"):
            return None
        return await self.invoked(invocation, rights)

    async def edited(self, mention: Question, *, asks: bool) -> None:
        """A message reads differently now; `asks`: as it stands it puts a question to the bot.

        A question that waits is changed, one that was answered can be asked again, and a message that was none before
        becomes one if it asks. Raises StoreError.
        """
        await self._edits.edited(mention, asks=asks and not self._is_command(mention.text))

    async def deleted(self, place: Place, message: str) -> None:
        """A message is gone: if it was a question, that is forgotten and its answer taken away; if it was an answer of
        ours, the exchange is forgotten. Raises StoreError."""
        await self._edits.deleted(place, message)

    async def away(self, name: str) -> float:
        """For how many seconds no process heard this platform (`slack/T1`, `discord`), at most as many as are to be
        looked back; 0 when none, or when looking back is switched off. Raises StoreError."""
        return await self._presence.away(name)

    async def present(self, name: str) -> None:
        """This platform is connected at this moment: to be called about every half minute. Never raises."""
        with suppress(StoreError):
            await self._presence.present(name)

    async def known(self, scope: str) -> tuple[str, ...]:
        """Names of the conversations below a scope (`discord/-`) of which something is remembered. Looks at every key
        once, so not to be called often. Raises StoreError."""
        return await self._handlers.known(scope)

    async def missed(self, mention: Question) -> None:
        """A question from the time in which nobody listened; it may be known already. Commands are passed over.

        Raises StoreError.
        """
        if not self._is_command(mention.text):
            await self._intake.accept(mention)

    async def invoked(self, invocation: Invocation, rights: RightsOf) -> Response:
        """A command other than `ask`. Never raises: what went wrong is the response."""
        if refusal := self._access.refusal(invocation.author, invocation.place):
            return Response(refusal)
        found = await self._answered(self._handlers.run(invocation, rights), invocation.command.name)
        return found or Response(NebulaBotError.notice)

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        """A button under a reply. Never raises; a response is for the person alone, None: the reply itself shows it."""
        return await self._answered(self._controls.pressed(action, press, rights), action)

    async def rated(self, press: ButtonPress, *, good: bool) -> Response | None:
        """A vote on a reply. Never raises."""
        return await self._answered(self._controls.rated(press, good=good), "rate")

    async def halted(self, place: Place, message: str) -> None:
        """Somebody ended the reply in this message, or with "" the coming one in this thread, by the platform's own
        means. Never raises."""
        await self._answered(self._controls.halted(place, message), "halt")

    async def ask(self, mention: Question) -> Acceptance:
        """A question put by a command of the platform. Raises StoreError."""
        return await self._intake.accept(mention)

    async def models(self, typed: str) -> tuple[str, ...]:
        """Names of models that contain what was typed."""
        return await self._handlers.models(typed)

    @staticmethod
    def _is_command(text: str) -> bool:
        return bool(_COMMAND.match(text.strip())) or text.strip().lower() in WORDS

    @staticmethod
    async def _answered(work: Awaitable[Response | None], what: str) -> Response | None:
        """What came of it; what went wrong is a response too."""
        try:
            return await work
        except NebulaBotError as error:
            if not isinstance(error, UserError):
                log.warning("%s: %s: %s", what, type(error).__name__, error)
            return Response(error.notice)
        except Exception:
            log.exception("%s failed", what)
            return Response(NebulaBotError.notice)
