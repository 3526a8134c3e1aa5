"""A model of the queue: the state of one conversation after each step, and the answer of the step."""

from dataclasses import replace
from enum import StrEnum

from core.domain.conversation import Author, Conversation, Exchange, Place
from core.domain.errors import Stale
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.mailbox import Retention
from core.store.records import DeletedMessage, State
from core.store.turns import Acceptance, Claimed, Duplicate, Full, Queued, Renewed, Turn

AUTHORS = (Author("U1", "Ann"), Author("U2", "Bob"))


class LeaseState(StrEnum):
    """The state of a conversation's lease."""

    NONE = "none"  # nothing waits
    LIVE = "live"
    LAPSED = "lapsed"
    FREE = "free"  # handed back


def question(channel: str, number: int) -> Question:
    """The question with this number in a channel; two people take turns asking."""
    place = Place("slack", "T1", channel)
    author = AUTHORS[number % len(AUTHORS)]
    return Question(TurnId(f"{place.name}/{number}"), place, author, f"why {number}?", message=f"{channel}.{number}")


def reply(asked: Question) -> str:
    """The message with the answer to a question."""
    return f"r{asked.message}"


def said(turn: Turn) -> Exchange:
    """The exchange of a turn, whichever process answered it."""
    asked = turn.question
    messages = (asked.message, *(each.message for each in turn.also), reply(asked))
    return Exchange(asked.id, asked.author, asked.text, f"because of {turn.fence}", messages, 1.0)


class Box:
    """One conversation. Its methods are the steps of Turns and ConversationLookups, with their answers and errors."""

    def __init__(self, name: str, limits: Retention) -> None:
        self.name, self.limits = name, limits
        self.lease = LeaseState.NONE
        self.line: list[Question] = []  # in order of acceptance, the running one first
        self.history: list[Exchange] = []
        self.ended: list[AnsweredQuestion] = []  # newest first
        self.progress = NOTHING_SHOWN
        self.fence = self.attempts = self.epoch = 0
        self.last = ""  # the turn that ended last
        self.stopped = self.retracted = False
        self.clears = False  # nobody waits for a process that can read the question at the head
        self.requests: dict[str, str] = {}  # of each accepted question, in order of acceptance
        self.claimant = ""  # the request by which the running turn was claimed
        self.deleted: set[str] = set()
        self.committed: list[str] = []  # in order of commit, including those answered together with others

    def accept(self, asked: Question, request: str) -> Acceptance:
        """Queue a question once; a repeated request gets its answer again."""
        if known := self.requests.get(asked.id):
            if known != request:
                return Duplicate()
            if self.claimant == request and self.lease is LeaseState.LIVE:
                return Claimed(self.turn())
            return Queued(self.ahead(asked.id))
        if len(self.line) >= self.limits.inbox:
            return Full(len(self.line))
        self.requests[asked.id] = request
        self.line.append(asked)
        if self.lease is LeaseState.LIVE:
            return Queued(len(self.line) - 1)
        self._take()
        self.claimant = request
        return Claimed(self.turn())

    def ahead(self, turn: str) -> int:
        """How many questions come before this one; 0 if it no longer waits."""
        return next((place for place, each in enumerate(self.line) if each.id == turn), 0)

    def lapse(self) -> None:
        """The lease expires; its holder may not know."""
        if self.lease is LeaseState.LIVE:
            self.lease = LeaseState.LAPSED

    def claim(self) -> Turn | None:
        """Take over the conversation, unless it is held or empty."""
        if self.lease is LeaseState.LIVE or not self.line:
            return None
        self._take()
        return self.turn()

    def _take(self) -> None:
        self.fence += 1
        self.attempts += 1
        self.lease, self.claimant = LeaseState.LIVE, ""

    def turn(self) -> Turn:
        """The running turn, as a claim must return it now."""
        return Turn(
            conversation=Conversation(self.name),
            question=self.line[0],
            fence=self.fence,
            attempt=self.attempts,
            epoch=self.epoch,
            history=tuple(self.history),
            progress=self.progress,
            retracted=self.retracted,
        )

    def runs(self, turn: Turn) -> bool:
        """Whether exactly this claim of this question is the newest."""
        return turn.fence == self.fence and bool(self.line) and self.line[0].id == turn.question.id

    def renew(self, turn: Turn, progress: Progress) -> Renewed:
        """Prolong the lease; do nothing for a turn that ended under the newest fence."""
        if turn.fence != self.fence:
            raise Stale(turn.question.id)
        if not self.runs(turn):
            return Renewed()
        self.lease = LeaseState.LIVE
        self._advance(progress)
        return Renewed(stop=self.stopped or self.retracted, retract=self.retracted)

    def release(self, turn: Turn, progress: Progress) -> bool:
        """Hand back a turn that is ours; an ended turn's progress is not the next one's. Whether it waits now."""
        if turn.fence != self.fence or not self.line:
            return False
        if self.lease is not LeaseState.FREE:
            if self.runs(turn):
                self._advance(progress)
            self.lease = LeaseState.FREE
            self.attempts -= 1
        return self.runs(turn)

    def unread(self, turn: Turn) -> int:
        """The holder can't read the question at the head: it hands the conversation back, for others to try.

        1: somebody wants the line cleared, so the holder keeps the turn and ends it.
        """
        if turn.fence != self.fence or not self.line:
            return 0
        if self.clears:
            return 1
        if self.lease is not LeaseState.FREE:
            self.lease = LeaseState.FREE
            self.attempts -= 1
        return 0

    def _advance(self, progress: Progress) -> None:
        if progress.messages:
            self.progress = progress

    def commit(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...]) -> Turn | None:
        """End the turn once; a repetition only returns what comes next."""
        if self.runs(turn):
            self._end(turn, exchange, messages)
        elif self.last != turn.question.id:
            raise Stale(turn.question.id)
        elif turn.fence != self.fence:
            return None
        self.lease = LeaseState.LIVE if self.line else LeaseState.NONE
        return self.turn() if self.line else None

    def _end(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...]) -> None:
        answered = {turn.question.id, *(each.id for each in turn.also)}
        self.committed += [each.id for each in self.line if each.id in answered]
        self.line = [each for each in self.line if each.id not in answered]
        self.last, self.claimant = turn.question.id, ""
        self.progress, self.stopped, self.retracted, self.clears = NOTHING_SHOWN, False, False, False
        self.attempts = int(bool(self.line))
        if turn.epoch != self.epoch:
            return
        if exchange:
            self.history = [*self.history, exchange][-self.limits.exchanges :]
        if messages:
            self.ended = [AnsweredQuestion(turn.question, messages), *self.ended][: self.limits.ended]

    def stop(self, turn: str) -> bool:
        """Mark the running turn as stopped, if it is this one."""
        found = bool(self.line) and self.line[0].id == turn
        self.stopped, self.clears = self.stopped or found, self.clears or found
        return found

    def edit(self, asked: Question) -> State | None:
        """Change the words of a question that nobody is answering yet."""
        place = next((place for place, each in enumerate(self.line) if each.id == asked.id), None)
        if place is None:
            return None
        if place == 0 and self.lease is LeaseState.LIVE:
            return State.RUNNING
        self.line[place] = asked
        return State.WAITING

    def delete(self, message: str) -> DeletedMessage:
        """Remove a waiting question, or mark it if it runs; forget an answer."""
        running = bool(self.line) and self.line[0].message == message
        gone = [each for each in self.line[1:] if each.message == message]
        self.retracted = self.retracted or running
        self.deleted.update(each.id for each in gone)
        self.line = [each for each in self.line if each not in gone]
        exchange = next((each for each in self.history if message in each.messages), None)
        shown = next((each for each in self.ended if message in (each.question.message, *each.messages)), None)
        self.history = [each for each in self.history if each is not exchange]
        self.ended = [each for each in self.ended if each is not shown]
        return DeletedMessage(running, len(gone), exchange, shown)

    def reset(self) -> int:
        """Forget all answers; one that is being written will not be stored."""
        count = len(self.history)
        self.history, self.ended = [], []
        self.epoch += 1
        self.clears = self.clears or bool(self.line)
        return count

    def forget(self, person: str) -> int:
        """Forget the answers to one person, including one being written that may answer this person among others."""
        kept = [each for each in self.history if each.author.id != person]
        count = len(self.history) - len(kept)
        self.history = kept
        self.ended = [each for each in self.ended if each.question.author.id != person]
        self.epoch += any(each.author.id == person for each in self.line)
        return count

    def check(self) -> None:
        """Check the invariants of a queue after any steps."""
        accepted, waiting = list(self.requests), [each.id for each in self.line]
        assert sorted([*waiting, *self.committed, *self.deleted]) == sorted(accepted), "each in exactly one place"
        assert waiting == [each for each in accepted if each in waiting], "in order of acceptance"
        remembered = [each.turn for each in self.history]
        assert remembered == [each for each in self.committed if each in remembered], "in order of commit, once"
        assert bool(self.line) == (self.lease is not LeaseState.NONE), "what waits is found by whoever looks"


def reworded(asked: Question) -> Question:
    """The same question in other words."""
    return replace(asked, text=asked.text + "!")
