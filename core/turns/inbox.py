"""Inbox: accepts each question once and queues it in Redis; whoever has room runs its turn."""

import uuid
from contextlib import suppress

from core.access.admission import Admission
from core.domain.conversation import Lane, Place
from core.domain.errors import StoreError
from core.domain.options import Overlap
from core.domain.ports import Surface, full
from core.domain.question import Question
from core.domain.turn_id import Step, step_of
from core.reply.notices import say, send_ephemeral
from core.settings.parameters import MUTED, ChannelSettings, Layer
from core.settings.routing import conversation_of, lane_of
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.turns import Acceptance, Claimed, Full, Queued, Refused, Silent, Turns
from core.turns.accepted import AcceptedQuestions
from core.turns.background import Background
from core.turns.runner import TurnRunner
from core.turns.surfaces import Surfaces

# Shown once, where bots asked so often that the next question could be their answer to the last reply.
AMONG_BOTS = "I have answered bots {times} times in a row here, so I wait until a person asks me something."


class Inbox:
    """Where questions arrive."""

    def __init__(
        self,
        turns: Turns,
        records: ConversationLookups,
        settings: SettingsStore,
        admission: Admission,
        runner: TurnRunner,
        surfaces: Surfaces,
        accepted: AcceptedQuestions,
        background: Background,
    ) -> None:
        self._turns, self._records, self._settings, self._admission = turns, records, settings, admission
        self._runner, self._surfaces = runner, surfaces
        self._accepted, self._background = accepted, background

    async def accept(self, question: Question) -> Acceptance:
        """Queue a question, and run it if it is next. Once this has returned, the question cannot get lost.

        Takes two round trips, the settings of the place and the accepting step, and one more where quotas limit
        people's use, or where somebody muted the bot: a mention ends that. Raises StoreError.
        """
        settings = await self._settings.of(question.place, question.asker)
        if sentence := await self._admission.refusal(question):
            # A bot might answer the sentence.
            if await self._turns.once(step_of(question.id, Step.REFUSED)) and not question.author.program:
                self._background.start(send_ephemeral(self._surface(question, settings), sentence))
            return Refused(sentence)
        question = self._admission.judged(question)
        if question.is_said and not question.overheard:
            await self._unmute(question.place, settings)
        lane = lane_of(question, settings)
        acceptance = await self._queue(question, lane, settings)
        if self._runner.closing:
            return acceptance
        match acceptance:
            case Claimed(turn) if turn.question.id != question.id:
                self._show_waiting(question, lane, settings)
            case Queued():
                self._show_waiting(question, lane, settings)
                if settings.overlap is Overlap.INTERRUPT and not question.replaces:
                    await self._interrupt(lane, question)
            case Full(waiting) if not (question.replaces or question.continues):  # a button's caller tells the person
                if not question.author.program:
                    self._background.start(say(self._surface(question, settings), full(waiting)))
            case Silent(first=True) if await self._turns.once(step_of(question.id, Step.SILENT)):
                sentence = AMONG_BOTS.format(times=self._turns.limits.chained)
                self._background.start(say(self._surfaces.beside(question, settings, Step.SILENT), sentence))
        return acceptance

    async def _queue(self, question: Question, lane: Lane, settings: ChannelSettings) -> Acceptance:
        """Queue a question that may be asked, and run the turn that this claims. Raises StoreError."""
        known = question.id in self._accepted
        self._accepted.add(question.id)  # before the step: the turn may begin before the step's answer arrives
        acceptance: Acceptance | None = None
        try:
            claim = self._runner.has_room
            acceptance = await self._turns.accept(
                lane, question, uuid.uuid4().hex, settings.keep, parallel=settings.parallel, claim=claim
            )
        finally:
            if not (known or isinstance(acceptance, Claimed | Queued)):
                self._accepted.discard(question.id)
        if isinstance(acceptance, Claimed):
            if self._runner.closing:  # it began meanwhile
                await self._turns.release(acceptance.turn)
            else:
                # If the turn is another question's, a dead process left that one waiting.
                own = acceptance.turn.question.id == question.id
                self._runner.run(acceptance.turn, settings if own else None)
        return acceptance

    async def knows(self, question: Question) -> bool:
        """Whether this question was accepted, or refused with a sentence, within the last hour. Raises StoreError."""
        conversation = conversation_of(question, await self._settings.of(question.place))
        return await self._turns.known(conversation, question.id)

    async def _unmute(self, place: Place, settings: ChannelSettings) -> None:
        """Somebody mentioned the bot in this thread, or in this channel outside threads."""
        if (Layer.THREAD if place.thread else Layer.CHANNEL) in settings.muted:
            await self._settings.write(place.name, MUTED, None)

    async def _interrupt(self, lane: Lane, question: Question) -> None:
        """End the lane's running answer in favour of a newer question. Best effort: that one is answered anyway."""
        with suppress(StoreError):
            running = await self._records.running_in(lane)
            if running and running.question.id != question.id:
                await self._turns.stop(lane.conversation, running.question.id)

    def _surface(self, question: Question, settings: ChannelSettings) -> Surface:
        return self._surfaces.reply(question, settings, adopted=question.id not in self._accepted)

    def _show_waiting(self, question: Question, lane: Lane, settings: ChannelSettings) -> None:
        if question.replaces:  # the old answer stays on screen until the new turn begins
            return

        async def accept_again(lost: Question) -> None:
            await self._queue(lost, lane, settings)

        surface = self._surface(question, settings)
        self._background.start(self._accepted.wait(question, lane.conversation, surface, accept_again))
