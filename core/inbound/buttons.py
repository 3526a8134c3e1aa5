"""ButtonActions: what happens when somebody presses a button under a reply, whichever process hears of it."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from core.access.admission import EVERYBODY, AccessList
from core.commands.asking import named_model
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Author, Conversation, Exchange, Place, Reason, Rights
from core.domain.page import Action, ReplyFile
from core.domain.ports import full, waiting
from core.domain.progress import AnsweredQuestion
from core.domain.question import Continue, Question, Regenerate, Show
from core.domain.turn_id import Step, TurnId, asked_anew, continued, regenerated, step_of
from core.inbound.menus import shared
from core.inbound.undoing import Undoing
from core.reply.takeaway import MOST_FILES, code_files, table_files
from core.settings.routing import conversation_at
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.turns import Duplicate, Full, Queued, Refused, Turns
from core.turns.inbox import Inbox

OVER = "This answer has already ended."
NOT_YOURS = "Only the person who asked and those who manage this channel can do that."
FORGOTTEN = "I no longer remember this question. Please ask it again."
NOTED, WHY_NOTED = "Thank you, noted.", "Thank you, your reason is noted too."
NO_VOTE = "I don't know your vote on this answer any more. Please press the thumb again."
NO_REASON = "Write what was wrong into the form."
UNDER_WAY = "That is already under way."
SHARED = "You have shared this answer already."
NOT_KEPT = "I no longer remember this answer, so I can't share it."
NO_VERSION = "I no longer have another version of this answer."
NOT_KEPT_HERE = "I no longer remember this answer. You can copy it from the message."
CODE = f"The code of this answer, at most {MOST_FILES} blocks. A model wrote it: read it before you run it."
TABLES = f"The tables of this answer, at most {MOST_FILES}. A cell that would be a formula begins with an apostrophe."
CONTINUED = "This answer was already continued; see below."
GO_ON = "Go on exactly where you stopped. Repeat nothing."


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A button that somebody pressed: the conversation it names and the message it is under. `id` is the same for every
    delivery of one press, and None where a platform delivers a press once. `turn`: the one that the button itself
    names, where messages have no ids of the platform's. `model`: the one that they chose to answer again, "" for the
    same."""

    conversation: Conversation
    message: str
    place: Place
    author: Author
    id: TurnId | None = None
    turn: TurnId | None = None
    model: str = ""


class ButtonActions:
    """Keeps nothing itself: a button names its conversation, and everything else is in Redis."""

    def __init__(
        self,
        inbox: Inbox,
        turns: Turns,
        records: ConversationLookups,
        settings: SettingsStore,
        ratings: Ratings,
        undoing: Undoing,
        access: AccessList = EVERYBODY,
        vision_model: str = "",
    ) -> None:
        """`vision_model`: the model that is asked about pictures which another one did not see."""
        self._inbox, self._turns, self._records = inbox, turns, records
        self._settings, self._ratings, self._undoing, self._access = settings, ratings, undoing, access
        self._vision_model = vision_model
        self._actions: dict[Action, Callable[[ButtonPress, RightsOf], Awaitable[Response | None]]] = {
            Action.STOP: self._stop,
            Action.AGAIN: self._regenerate,
            Action.GO_ON: self._continue,
            Action.SHARE: self._share,
            Action.PREVIOUS: partial(self._turn_to, -1),
            Action.NEXT: partial(self._turn_to, 1),
            Action.UNDO: self._undo,
            Action.SEE: self._see,
            Action.FILE: partial(self._take, files_of=code_files, words=CODE),
            Action.TABLE: partial(self._take, files_of=table_files, words=TABLES),
        }

    async def pressed(self, action: Action, press: ButtonPress, rights: RightsOf) -> Response | None:
        """Do what the button says. A response is for the person alone; None means that the reply itself shows the
        result.

        Raises StoreError.
        """
        if refusal := self._refusal(press):
            return Response(refusal)
        if press.id and not await self._turns.once(press.id):
            return None
        return await self._actions[action](press, rights)

    async def halted(self, place: Place, message: str) -> None:
        """Somebody ended the reply in this message with the platform's own control; with "", the reply about to come in
        this thread. Raises StoreError."""
        settings = await self._settings.of(place)
        # The reply may have opened this thread: then the question is outside it.
        for each in (place, replace(place, thread="")):
            conversation = conversation_at(each, settings)
            for running in await self._records.running(conversation):
                if message in running.messages if message else _is_root(place.thread, running.question):
                    await self._turns.stop(conversation, running.question.id)
                    return

    async def rated(self, press: ButtonPress, *, good: bool) -> Response | None:
        """Record a vote on the answer; each person has one vote for each answer. Raises StoreError."""
        if refusal := self._refusal(press):
            return Response(refusal)
        known = await self._records.exchange(press.conversation, press.message)
        scope = press.place.channel_scope
        await self._ratings.rate(scope, press.message, known.model if known else "", press.author.id, good=good)
        return Response(NOTED, asks_why=not good)

    async def explained(self, press: ButtonPress, text: str) -> Response | None:
        """Keep why somebody voted the answer down. None: it is noted. Raises StoreError."""
        if refusal := self._refusal(press):
            return Response(refusal)
        reason = Reason(text, time.time())
        if not reason.text:
            return Response(NO_REASON)
        keep = (await self._settings.of(replace(press.place, thread=""))).keep  # the votes are the channel's
        known = await self._ratings.explain(press.place.channel_scope, press.message, press.author.id, reason, keep)
        return None if known else Response(NO_VOTE)

    def _refusal(self, press: ButtonPress) -> str:
        """The sentence for a press that must have no effect, "" for any other."""
        # A private answer may go on as a direct message, but it keeps its conversation's name.
        own = press.place.direct and press.conversation.owner == press.author.id
        if not (press.conversation.is_in(press.place.channel_scope) or own):
            return FORGOTTEN  # none of our buttons in this place names that conversation
        return self._access.refusal(press.author, press.place)

    async def _stop(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        question = await self._running(press)
        if question is None:
            return Response(OVER)
        if not await _is_allowed(press, question, rights):
            return Response(NOT_YOURS)
        return None if await self._turns.stop(press.conversation, question.id) else Response(OVER)

    async def _see(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        """Ask a model that sees pictures the same question."""
        return await self._regenerate(press, rights, model=self._vision_model)

    async def _regenerate(self, press: ButtonPress, rights: RightsOf, model: str = "") -> Response | None:
        """Ask the same question once more; the new answer comes in the same messages and replaces the old one.
        `model`: which one to ask, "" for the same."""
        previous = await self._records.ended(press.conversation, press.message)
        if previous is None:
            return await self._unknown(press)
        if not await _is_allowed(press, previous.question, rights):
            return Response(NOT_YOURS)
        answer = await self._records.exchange(press.conversation, previous.messages[0])
        model = named_model(press.model) or model or previous.question.model
        return await self._ask(press, replace(regeneration(previous, answer), model=model))

    async def _turn_to(self, step: int, press: ButtonPress, rights: RightsOf) -> Response | None:
        """Show the version before or after the one on screen, in the same messages; behind the last comes the first."""
        previous = await self._records.ended(press.conversation, press.message)
        if previous is None:
            return await self._unknown(press)
        old = previous.question
        if not await _is_allowed(press, old, rights):
            return Response(NOT_YOURS)
        turns = [each.turn for each in await self._records.versions(press.conversation, old.id)]
        if old.id not in turns or len(turns) < 2:
            return await self._unknown(press, NO_VERSION)
        version = turns[(turns.index(old.id) + step) % len(turns)]
        show = Show(old.id, previous.messages, keeps=True, version=version)
        return await self._ask(press, replace(old, id=regenerated(old.id), kind=show))

    async def _undo(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        return await self._undoing.pressed(press.conversation, press.message, press.place, press.author, rights)

    async def _continue(self, press: ButtonPress, rights: RightsOf) -> Response | None:
        """Ask the model to go on, in the name of whoever pressed; the answer comes below the old one."""
        previous = await self._records.ended(press.conversation, press.message)
        if previous is None:
            return await self._unknown(press)
        old = previous.question
        return await self._ask(
            press,
            Question(
                id=continued(old.id),
                place=old.place,
                author=press.author,
                text=GO_ON,
                message=old.message,
                at=time.time(),
                attachments=old.attachments,
                kind=Continue(old.id),
                private=old.private,
                model=old.model,
            ),
        )

    async def _share(self, press: ButtonPress, rights: RightsOf) -> Response:
        """Show a private answer to everybody, once. Only the person who asked sees it, and so its buttons."""
        if press.conversation.owner != press.author.id:
            return Response(NOT_YOURS)
        exchange = await self._records.exchange(press.conversation, press.message)
        if exchange is None:
            return Response(NOT_KEPT)
        if not await self._turns.once(step_of(exchange.turn, Step.SHARED)):
            return Response(SHARED)
        return shared(exchange)

    async def _take(
        self, press: ButtonPress, rights: RightsOf, *, files_of: Callable[[str], tuple[ReplyFile, ...]], words: str
    ) -> Response:
        """Give the person what an answer holds as files."""
        if press.conversation.owner not in ("", press.author.id):
            return Response(NOT_YOURS)
        exchange = await self._records.exchange(press.conversation, press.message)
        files = files_of(exchange.answer) if exchange else ()
        return Response(words, files=files) if files else Response(NOT_KEPT_HERE)

    async def not_shared(self, press: ButtonPress) -> None:
        """Nothing of that was shown, because the platform refused it: it may be shared again. Raises StoreError."""
        if exchange := await self._records.exchange(press.conversation, press.message):
            await self._turns.undo(step_of(exchange.turn, Step.SHARED))

    async def _unknown(self, press: ButtonPress, sentence: str = FORGOTTEN) -> Response:
        running = await self._records.running(press.conversation)
        again = any(press.message in each.messages for each in running)
        return Response(UNDER_WAY if again else sentence)

    async def _running(self, press: ButtonPress) -> Question | None:
        """The running question whose reply is in this message. One whose messages are not known yet may be it, unless
        there are several such."""
        begun = []
        for running in await self._records.running(press.conversation):
            replaces = running.question.replaces
            messages = running.messages or (replaces.messages if replaces else ())
            if press.message in messages or running.question.id == press.turn:
                return running.question
            roots = (running.question.place.thread, running.question.message)
            if not (messages or press.turn) and press.place.thread in roots:
                begun.append(running.question)
        known = len(begun) != 1 or await self._records.ended(press.conversation, press.message) is not None
        return None if known else begun[0]

    async def _ask(self, press: ButtonPress, question: Question) -> Response | None:
        acceptance = await self._inbox.accept(question)
        if isinstance(acceptance, Duplicate) and not await self._records.waits(press.conversation, question.id):
            if question.continues and await self._records.answered(press.conversation, question.id):
                return Response(CONTINUED)
            # An earlier attempt came to nothing.
            acceptance = await self._inbox.accept(replace(question, id=asked_anew(question.id, secrets.token_hex(3))))
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


def regeneration(previous: AnsweredQuestion, answer: Exchange | None) -> Question:
    """The same question once more. Its answer, if there is one, stays until there is a new one, and then as a version
    if it answers the same words."""
    old = previous.question
    keeps = answer is not None and answer.turn == old.id and answer.question == old.words and not old.draws
    kind = Regenerate(old.id, previous.messages, answer is not None, keeps)
    return replace(old, id=regenerated(old.id), kind=kind)


async def _is_allowed(press: ButtonPress, question: Question, rights: RightsOf) -> bool:
    # Nobody is named as the author of a question that can't be read.
    return question.asked_by(press.author.id) or not question.author.id or await rights() is not Rights.NONE


def _is_root(thread: str, question: Question) -> bool:
    """Whether the reply to this question will be in this thread."""
    return bool(thread) and thread == (question.place.thread or question.message)
