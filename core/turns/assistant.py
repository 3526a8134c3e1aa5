"""Assistant: runs one turn from the question to the finished answer; one task reads the model, another shows the
reply."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from core import metrics
from core.domain.chat import Beat, Finish
from core.domain.conversation import NO_SUMMARY, Author, Exchange, Place, Summary
from core.domain.errors import CantSee, ContextTooLong, Gone, ModelError, NebulaBotError, PlatformError, UnknownModel
from core.domain.options import Streaming, Switch
from core.domain.ports import NO_STATUS, Model, Surface
from core.domain.question import NO_VERSION
from core.domain.surroundings import Surroundings
from core.domain.turn_id import TurnId
from core.files.attachments import NOTHING_ATTACHED, Attached, AttachmentReader, kept
from core.prompt.dialogue import recall
from core.prompt.own_name import OwnName
from core.prompt.variables import DIRECT, filled, has_channel
from core.prompt.vision import Vision
from core.ratelimit.limiter import RateLimiter
from core.reply.latest import Latest
from core.reply.layout import ReplyStyle
from core.reply.measuring import measure
from core.reply.notices import show_thinking
from core.reply.publisher import CheckpointListener, ReplyPublisher
from core.reply.state import Phase, Reply
from core.reply.versions import VersionsOf, chosen_model, if_known, models_of, new_version, no_versions, shown_again
from core.settings.parameters import ChannelSettings
from core.settings.routing import thread_of
from core.store.mailbox import VERSIONS
from core.store.turns import Turn
from core.store.windows import ModelWindows
from core.summaries.writer import Outgrown, SummaryWriter
from core.text import one_line
from core.turns.background import Background
from core.turns.drawing import Painter, described
from core.turns.fitting import Asked, Sizes
from core.turns.reading import RoomReader, history_before, history_read, unseen

log = logging.getLogger(__name__)

NOTHING_TO_READ = "There is nothing here that I can read. Write a question, or send a file that I can read."


@dataclass(frozen=True, slots=True)
class TurnResult:
    """Result of a turn: the exchange to remember, if any, and the messages in which the question can be asked again.

    `stopped`: somebody ended the answer. `tokens`: its cost, estimated from the text alone where the server did not
    say. `outgrown`: what to do about the dialogue's summary once it is committed.
    """

    exchange: Exchange | None
    messages: tuple[str, ...] = ()
    stopped: bool = False
    tokens: int = 0
    outgrown: Outgrown | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence in place of an answer. `again`: offer a button that asks the question again."""

    sentence: str
    again: bool = False


class Assistant:
    """Answers turns with a model. Between turns it keeps only its estimates of token counts."""

    def __init__(
        self,
        model: Model,
        limiter: RateLimiter,
        rooms: RoomReader,
        *,
        context: int,
        pages: int = 10,
        characters: int = 1_000_000,
        windows: ModelWindows | None = None,
        summaries: SummaryWriter | None = None,
        background: Background | None = None,
        files: AttachmentReader | None = None,
        vision: Vision | None = None,
        painter: Painter | None = None,
    ) -> None:
        """`rooms`: reads what was said around a question. `context`: the model's window in tokens, where the catalog
        does not say. `pages`: the most messages of a reply; a longer text becomes a file. `characters`: the most of an
        answer and of a thought; then the model is not read any more. `windows`: what was learnt about the models, for
        all processes; None for what this one learns alone. `summaries`: of what no longer fits. `background`: for what
        goes beside the turns. `files`: reads a question's. `vision`: which models see. `painter`: draws."""
        self._model = model
        self._limiter = limiter
        self._rooms = rooms
        self._max_pages = pages
        self._max_characters = characters
        self._sizes = Sizes(windows, context, background, vision)
        self._files = files
        self._summaries, self._background = summaries, background
        self._painter = painter or Painter(model)
        self._running: dict[TurnId, asyncio.Timeout] = {}

    def stop(self, turn: TurnId) -> bool:
        """End the model's request for this question and keep the text so far. False if none runs here."""
        scope = self._running.pop(turn, None)  # a second stop finds none
        if scope is None:
            return False
        scope.reschedule(asyncio.get_running_loop().time())
        return True

    async def answer(
        self,
        turn: Turn,
        settings: ChannelSettings,
        surface: Surface,
        listener: CheckpointListener,
        *,
        refusal: Refusal | None = None,
        versions: VersionsOf = no_versions,
    ) -> TurnResult:
        """Answer the question and show the answer; returns what to remember.

        `listener` learns what of the reply is on screen. With `refusal`, that sentence is the whole reply and the model
        is not asked; nor is it for a question that turns to another of its `versions`. Raises Stale and StoreError.
        """
        question = turn.question
        fresh = question.at and turn.attempt == 1 and not question.replaces
        with metrics.turn(question.place.platform, time.time() - question.at if fresh else None) as measured:
            return await self._answer(turn, settings, surface, listener, refusal, versions, measured)

    async def _answer(
        self,
        turn: Turn,
        settings: ChannelSettings,
        surface: Surface,
        listener: CheckpointListener,
        refusal: Refusal | None,
        versions: VersionsOf,
        measured: metrics.MeasuredTurn,
    ) -> TurnResult:
        known = await versions() if turn.question.shows else ()
        cell, beat = Latest(Reply()), Beat()
        command = turn.question.interaction
        style = ReplyStyle(
            reasoning=settings.reasoning,
            buttons=settings.buttons is Switch.ON,
            model=settings.model if settings.footer is Switch.ON else "",
            pages=min(self._max_pages, (command and command.messages) or self._max_pages),
            live=settings.streaming is not Streaming.OFF and (command is None or command.grows),
            by_status=surface.by_status,
            append_only=surface.append_only,
            again=not turn.question.private,
            share=turn.question.private and not turn.question.place.direct,
            draws=turn.question.draws,
        )
        replaces = turn.question.replaces
        keep = replaces is not None and replaces.answered
        heading, halt = _heading(turn), partial(self.stop, turn.question.id)
        publisher = ReplyPublisher(
            cell,
            surface,
            self._limiter,
            listener,
            turn.progress,
            beat,
            heading=heading,
            style=style,
            halt=halt,
            keep=keep,
            platform=turn.question.place.platform,
        )
        gone = False
        try:
            async with asyncio.TaskGroup() as group:
                status_task = group.create_task(show_thinking(surface, publisher.visible))
                writing: asyncio.Task[Outgrown | None] = group.create_task(
                    self._turn_to(turn, settings, cell, known)
                    if turn.question.shows and not refusal
                    else self._write(turn, settings, cell, beat, refusal, surface.own_name, versions)
                )
                await publisher.publish()
                status_task.cancel()
            measured.end = "refused" if refusal else cell.value.phase.value
        except* PlatformError as lost:
            # Somebody deleted the reply or its channel, or revoked our right to write: nobody reads the answer.
            log.warning("turn %s: its reply can no longer be shown: %s", turn.question.id, lost.exceptions[0])
            gone = lost.subgroup(Gone) is not None
            measured.end = "lost"
        with suppress(PlatformError):
            await surface.status(NO_STATUS)
        outgrown = None if writing.cancelled() else writing.result()
        reply, messages = cell.value, tuple(publisher.messages)
        asked_for_again = messages if not gone and reply.asked is not None and not turn.question.private else ()
        stopped = reply.phase is Phase.STOPPED
        tokens = 0 if turn.question.shows else self._cost(reply, settings.model)
        if reply.empty or not messages or gone:  # do not remember what was taken away
            return TurnResult(None, asked_for_again, stopped, tokens)
        question = turn.question
        shown = (*filter(None, (each.message for each in (question, *turn.also))), *messages)
        if shows := question.shows:
            version = next(each for each in known if each.turn == shows.version)
            return TurnResult(replace(version, turn=question.id, messages=shown), asked_for_again)
        exchange = Exchange(
            turn=question.id,
            author=Author(question.author.id, question.author.name),
            question=question.words,
            answer=reply.text or f"[picture: {one_line(question.text)}]",
            messages=shown,
            at=question.at,
            model=reply.model or reply.chosen or settings.model,
            others=question.others,
            thread=thread_of(question, settings),
            written=turn.fence / 1e6,  # the time of its claim in µs: the clocks of our processes differ
            finish=reply.finish if reply.finish is not Finish.STOP else None,
            stopped=stopped,
            files=kept(question.attachments),
            unseen=reply.unseen,
        )
        return TurnResult(exchange, asked_for_again, stopped, tokens, outgrown)

    def committed(self, result: TurnResult) -> None:
        """The exchange of a turn is in the history now: beside the turns, its dialogue's summary may be written."""
        if result.exchange and result.outgrown and self._summaries and self._background:
            self._background.start(self._summaries.write(result.outgrown))

    def _cost(self, reply: Reply, model: str) -> int:
        if reply.usage:
            return reply.usage.prompt + reply.usage.completion
        said = reply.thought + reply.text
        return self._sizes.estimator.count(reply.model or model, said) if said and reply.asked is not None else 0

    async def _write(
        self,
        turn: Turn,
        settings: ChannelSettings,
        cell: Latest[Reply],
        beat: Beat,
        refusal: Refusal | None,
        name: str,
        versions: VersionsOf,
    ) -> Outgrown | None:
        """Read the model's stream as fast as it comes; every piece replaces the newest reply in the cell.

        `name`: of the bot, as people see it. Returns what to do about the summary.
        """
        outgrown = None
        if refusal:
            asked = time.monotonic() if refusal.again else None
            cell.close(cell.value.to(Phase.FAILED if refusal.again else Phase.DONE, refusal.sentence, asked=asked))
            return None
        cell.set(cell.value.to(Phase.THINKING, asked=time.monotonic()))
        try:
            async with asyncio.timeout(None) as scope:
                self._running[turn.question.id] = scope
                if turn.question.draws:
                    drawn = await self._painter.draw(turn.question.text)
                    cell.set(replace(cell.value, file=drawn.file, chosen=drawn.model))
                else:
                    outgrown = await self._stream(turn, settings, cell, beat, name, versions)
            cell.close(cell.value.to(Phase.DONE, cell.value.notice, ended=time.monotonic()))
        except TimeoutError:  # our own scope, ended by stop(): the model's timeouts are ModelErrors
            cell.close(cell.value.to(Phase.STOPPED, ended=time.monotonic()))
        except ModelError as error:
            log.warning("turn %s: %s: %s", turn.question.id, type(error).__name__, error)
            if isinstance(error, UnknownModel):
                error.once = bool(turn.question.model)
            cell.close(cell.value.to(Phase.FAILED, error.notice))
        except Exception:
            # A defect of ours must not leave people with a reply that never ends.
            log.exception("turn %s failed", turn.question.id)
            cell.close(cell.value.to(Phase.FAILED, NebulaBotError.notice))
        finally:
            self._running.pop(turn.question.id, None)
            measure(cell.value, turn.question.place.platform)
        return outgrown

    async def _turn_to(
        self, turn: Turn, settings: ChannelSettings, cell: Latest[Reply], known: tuple[Exchange, ...]
    ) -> None:
        """Show a version; the model is not asked."""
        shows, usual = turn.question.shows, settings.usual_model or settings.model
        version, catalog = shows.version if shows else NO_VERSION, await self._model.catalog()
        reply = shown_again(cell.value, version, known, usual, catalog)
        if reply.unseen:
            info = catalog.find(reply.chosen or usual)
            sees = self._sizes.vision.other(info.name if info else reply.chosen or usual, catalog)
            reply = replace(reply, note=unseen(reply.unseen), choices=replace(reply.choices, sees=sees))
        cell.close(reply)

    async def _stream(
        self,
        turn: Turn,
        settings: ChannelSettings,
        cell: Latest[Reply],
        beat: Beat,
        name: str,
        versions: VersionsOf,
    ) -> Outgrown | None:
        before = history_before(turn)
        recalled = recall(before, turn.question, settings)
        (around, attached), catalog, stored, channel, known = await asyncio.gather(
            self._read(turn, settings, history_read(turn, before), recalled.dialogue),
            self._model.catalog(),
            self._stored(turn, recalled.name),
            self._channel(turn.question.place, settings.prompt),
            if_known(versions),
        )
        prompt = filled(settings.prompt, now=time.time(), timezone=settings.timezone, channel=channel, bot=name)
        settings = replace(settings, prompt=prompt)
        asked = Asked.of(settings, turn.question, recalled, around, stored, turn.history[len(before) :], attached)
        fitting = await self._sizes.fitting(asked, catalog)
        own_name = None if turn.question.place.direct else OwnName(name)
        doubt = catalog.doubt(settings.model) if turn.question.model else ""
        usual = settings.usual_model or settings.model
        chosen = chosen_model(settings.model, usual, catalog)
        choices = new_version(models_of(usual, catalog), known, VERSIONS)
        other = self._sizes.vision.other(fitting.model, catalog)
        while True:
            begun = False
            note = "\n".join(filter(None, (doubt, fitting.note)))
            seen_by = replace(choices, sees=other if fitting.unseen else "")
            cell.set(replace(cell.value, note=note, chosen=chosen, choices=seen_by, unseen=fitting.unseen))
            if fitting.says_nothing:
                cell.set(replace(cell.value, notice=NOTHING_TO_READ))
                return None
            try:
                async with self._model.stream(fitting.request, beat) as deltas:
                    async for delta in deltas:
                        begun = True
                        reply = cell.value.add(own_name.without(delta) if own_name else delta, time.monotonic())
                        cell.set(reply.cut(self._max_characters))
                        if max(len(reply.written), len(reply.thoughts)) > self._max_characters:
                            log.warning("turn %s: the answer is too long, and is not read further", turn.question.id)
                            cell.set(replace(cell.value, finish=Finish.LENGTH))
                            break
                break
            except ContextTooLong as error:
                if begun or not await fitting.shrink(error):
                    raise
            except CantSee as error:
                if begun or not await fitting.blinded(error):
                    raise
        if not cell.value.model:
            await fitting.answered(cell.value.usage)
        # The summary is everybody's: the usual model writes it, and what fits into its window decides when.
        if self._summaries is None or chosen:
            return None
        return fitting.outgrown(turn.conversation, recalled.name, partial(self._summaries.crowds, turn.history))

    async def _read(
        self, turn: Turn, settings: ChannelSettings, history: Sequence[Exchange], dialogue: Sequence[Exchange]
    ) -> tuple[Surroundings, Attached]:
        """What was said around the question, its files, and those of its dialogue; then those of others that it is
        about."""
        around = self._rooms.around(turn, settings, history)
        if self._files is None:
            return await around, NOTHING_ATTACHED
        until = self._files.deadline()
        said, own, earlier = await asyncio.gather(
            around, self._files.of(turn.question, until), self._files.of_dialogue(turn.question, dialogue, until)
        )
        return said, own.plus(await self._files.of_room(turn.question, said, own, until)).behind(earlier)

    async def _stored(self, turn: Turn, dialogue: str) -> Summary:
        """What Redis has of the summary; where nothing is remembered, there is none."""
        if not (self._summaries and turn.history):
            return NO_SUMMARY
        return await self._summaries.of(turn.conversation, dialogue)

    async def _channel(self, place: Place, prompt: str) -> str:
        """The name of the channel for the prompt, if that wants to know it."""
        if place.direct or not has_channel(prompt):
            return DIRECT
        return await self._rooms.channel_name(place)


def _heading(turn: Turn) -> str:
    """Small print above the reply: the question of a command, which nobody else could read; what a picture shows;
    whether the reply answers several questions."""
    question = turn.question
    if question.declined:
        return ""
    lines, words = [], described(question.text) if question.draws else one_line(question.text)
    if turn.also:
        lines.append(f"Answering the last {len(turn.also) + 1} questions together.")
    if not (question.message or question.place.direct):
        lines.append(f"{one_line(question.author.name)}: {words}")
    elif question.draws:
        lines.append(words)
    if question.draws and question.attachments:
        lines.append("I draw from words alone, so I did not look at your files.")
    return "\n".join(lines)
