"""Controls: what becomes of a press on a button under a reply, on whichever process it arrives."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from core.access.allowlist import EVERYBODY, AccessList
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Author, Place, Question, Regeneration, Rights
from core.domain.page import Action
from core.domain.ports import full, waiting
from core.domain.progress import AnsweredQuestion
from core.settings.routing import conversation_of
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.turns import Duplicate, Full, Queued, Refused, Turns
from core.turns.intake import Intake

OVER = "This answer is over already."
NOT_YOURS = "Only the person who asked, and those who manage this channel, can do that."
FORGOTTEN = "I no longer remember this question. Please ask it again."
UNDER_WAY = "That is under way already."
CONTINUED = "That was continued already; see below."
GO_ON = "Go on exactly where you stopped. Repeat nothing."


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A button that somebody pressed: the conversation that it names, and the message it is under. `id` is the same for
    each delivery of one press, "" where a platform delivers it once."""

    conversation: str
    message: str
    place: Place
    author: Author
    id: str = ""


class ButtonActions:
    """Nothing is kept here: a button names its conversation, and all else is in Redis."""

    def __init__(
        self, intake: Intake, turns: Turns, settings: SettingsStore, ratings: Ratings, access: AccessList = EVERYBODY
    ) -> None:
        self._intake, self._turns, self._settings, self._ratings = intake, turns, settings, ratings
        self._records, self._access = ConversationLookups(turns.mailboxes), access
        self._actions: dict[Action, Callable[[ButtonPress, RightsOf], Awaitable[Response | None]]] = {
            Action.STOP: self._stop,
            Action.AGAIN: self._again,
            Action.GO_ON: self._go_on,
        }

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        """Do what the button says. A response is for the person alone; None: it shows in the reply itself.

        Raises StoreError.
        """
        here = f"{press.conversation}/".startswith(f"{press.place.scopes[1]}/")
        # A private answer may go on as a direct message, under the name that it has.
        own = press.place.direct and press.conversation.endswith(f"/private/{press.author.id}")
        if not (here or own):
            return Response(FORGOTTEN)  # no button of ours in this place
        if refusal := self._access.refusal(press.author, press.place):
            return Response(refusal)
        if press.id and not await self._turns.once(press.id):
            return None
        return await self._actions[action](press, rights)

    async def halted(self, place: Place, message: str) -> None:
        """Somebody ended the reply in this message by the platform's own means; with "" the one that is to come in this
        thread. Raises StoreError."""
        settings = await self._settings.of(place)
        nobody = Author("", "")
        # The thread may be one that the reply opened: then the question stood outside of it.
        for each in (place, replace(place, thread="")):
            conversation = conversation_of(Question("", each, nobody, ""), settings)
            running = await self._records.running(conversation)
            if running and (message in running.messages if message else _is_root(place.thread, running.mention)):
                await self._turns.stop(conversation, running.mention.id)
                return

    async def rated(self, press: ButtonPress, *, good: bool) -> Response | None:
        """Somebody says how good the answer is; each person counts once for each answer. Raises StoreError."""
        if refusal := self._access.refusal(press.author, press.place):
            return Response(refusal)
        known = await self._records.exchange(press.conversation, press.message)
        scope = press.place.scopes[1]
        await self._ratings.rate(scope, press.message, known.model if known else "", press.author.id, good=good)
        return Response("Thank you, noted.")

    async def _stop(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        running = await self._records.running(press.conversation)
        if running is None or not await self._is_of(press, running):
            return Response(OVER)
        if not await _may(press, running.mention, rights):
            return Response(NOT_YOURS)
        return None if await self._turns.stop(press.conversation, running.mention.id) else Response(OVER)

    async def _again(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        """The same question once more; the answer comes in the same messages and replaces the old one."""
        shown = await self._records.ended(press.conversation, press.message)
        if shown is None:
            return await self._unknown(press)
        if not await _may(press, shown.mention, rights):
            return Response(NOT_YOURS)
        answered = await self._records.exchange(press.conversation, shown.messages[0]) is not None
        return await self._ask(press, again(shown, answered=answered))

    async def _go_on(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        """A question that says no more than that, put by whoever pressed; the answer comes below the old one."""
        shown = await self._records.ended(press.conversation, press.message)
        if shown is None:
            return await self._unknown(press)
        old = shown.mention
        return await self._ask(
            press,
            Question(
                id=f"{old.id}+",
                place=old.place,
                author=press.author,
                text=GO_ON,
                message=old.message,
                at=time.time(),
                private=old.private,
                after=old.id,
            ),
        )

    async def _unknown(self, press: ButtonPress) -> Response:
        running = await self._records.running(press.conversation)
        again = running is not None and press.message in running.messages
        return Response(UNDER_WAY if again else FORGOTTEN)

    async def _is_of(self, press: ButtonPress, running: AnsweredQuestion) -> bool:
        """Whether the message is part of the reply that is being written; one that has none yet may have it."""
        redo = running.mention.redo
        if messages := running.messages or (redo.messages if redo else ()):
            return press.message in messages
        return await self._records.ended(press.conversation, press.message) is None

    async def _ask(self, press: ButtonPress, mention: Question) -> Response | None:
        acceptance = await self._intake.accept(mention)
        if isinstance(acceptance, Duplicate) and not await self._records.waits(press.conversation, mention.id):
            if mention.after and await self._records.answered(press.conversation, mention.id):
                return Response(CONTINUED)
            # It was tried before, and came to nothing.
            acceptance = await self._intake.accept(replace(mention, id=f"{mention.id}.{secrets.token_hex(3)}"))
        match acceptance:
            case Duplicate():
                return Response(UNDER_WAY)
            case Full(ahead):
                return Response(full(ahead))
            case Refused(sentence):
                return Response(sentence)
            case Queued(ahead) if ahead:
                return Response(waiting(ahead))
            case _:
                return None


def again(shown: AnsweredQuestion, *, answered: bool) -> Question:
    """The same question once more; `answered`: there is an answer, and it stays until there is another."""
    old = shown.mention
    version = old.version + 1
    name = f"{old.id.partition('#')[0]}#{version}"  # a second press asks for the same, which is known then
    return replace(old, id=name, version=version, redo=Regeneration(old.id, shown.messages, answered))


async def _may(press: ButtonPress, mention: Question, rights: RightsOf) -> bool:
    return press.author.id in (mention.author.id, *mention.others) or await rights() is not Rights.NONE


def _is_root(thread: str, mention: Question) -> bool:
    """Whether the reply to this mention will stand in this thread."""
    return bool(thread) and thread == (mention.place.thread or mention.message)
