"""A model of the queue: the state of one conversation with its lanes after each step, and the answer of the step."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from core.domain.conversation import Author, Conversation, Exchange, Lane, Place, digest
from core.domain.errors import QuestionDeleted, Stale
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.mailbox import Retention
from core.store.records import DeletedMessage, State
from core.store.turns import Acceptance, Claimed, Duplicate, Full, Queued, Renewed, Turn

AUTHORS = (Author("U1", "Ann"), Author("U2", "Bob"))


class LeaseState(StrEnum):
    """The state of a lane's lease. A lane that waits for room has none."""

    LIVE = "live"  # the lane is held
    LAPSED = "lapsed"
    FREE = "free"  # handed back, or offered because there is room


def question(channel: str, number: int) -> Question:
    """The question with this number in a channel; two people take turns asking."""
    place = Place("slack", "T1", channel)
    author, message = AUTHORS[number % len(AUTHORS)], f"{channel}.{number}"
    return Question(TurnId(f"{place.name}/{number}"), place, author, f"why {number}?", message, at=1.0 + number)


def reply(asked: Question) -> str:
    """The message with the answer to a question."""
    return f"r{asked.message}"


def said(turn: Turn) -> Exchange:
    """The exchange of a turn, whichever process answered it."""
    asked = turn.question
    messages = (asked.message, *(each.message for each in turn.also), reply(asked))
    return Exchange(asked.id, asked.author, asked.text, f"because of {turn.fence}", messages, asked.at)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a question from its first claim until its end."""

    fence: int = 0
    attempts: int = 0
    request: str = ""  # the call that claimed it
    after: str = ""  # the turn whose commit claimed it
    progress: Progress = NOTHING_SHOWN
    free: bool = False  # handed back
    stopped: bool = False
    retracted: bool = False
    unread: bool = False  # it waits for a process that can read it
    clears: bool = False  # nobody waits any longer for a process that can read it
    forgotten: bool = False  # its answer is not to be stored


UNCLAIMED = Claim()


class Box:
    """One conversation. Its methods are the steps of Turns and ConversationLookups, with their answers and errors."""

    def __init__(self, name: str, limits: Retention, parallel: int = 1) -> None:
        self.name, self.limits, self.parallel = name, limits, parallel
        self.line: list[Question] = []  # of all lanes, in order of acceptance
        self.lanes: dict[str, str] = {}  # the lane of each accepted question
        self.leases: dict[str, LeaseState] = {}  # of each lane that is held, or that is found by whoever looks
        self.claims: dict[str, Claim] = {}  # of each question that was claimed and has not ended
        self.done: dict[str, int] = {}  # the token under which each turn ended
        self.history: list[Exchange] = []  # in order of commit
        self.ended: list[AnsweredQuestion] = []  # newest first
        self.forgotten: list[Exchange] = []  # those whose messages are not to be read again
        self.fence = self.epoch = 0
        self.requests: dict[str, str] = {}  # of each accepted question, in order of acceptance
        self.deleted: set[str] = set()
        self.committed: list[str] = []  # in order of commit, including those answered together with others
        self.most = parallel  # lanes that may be held; after `parallel` was lowered, those that already were

    def of(self, lane: str) -> list[Question]:
        """The questions of one lane."""
        return [each for each in self.line if self.lanes[each.id] == lane]

    def heads(self) -> list[Question]:
        """The first question of each lane, in order of arrival."""
        return [each for each in self.line if self.of(self.lanes[each.id])[0] is each]

    def held(self) -> list[str]:
        """The lanes that are held."""
        return [lane for lane, state in self.leases.items() if state is LeaseState.LIVE]

    def room(self) -> int:
        """How many more lanes may be held."""
        return max(0, self.parallel - len(self.held()))

    def next(self) -> list[Question]:
        """The heads that wait for room, in order of arrival."""
        return [each for each in self.heads() if self.lanes[each.id] not in self.held()]

    def begin(self) -> list[Question]:
        """The heads for which there is room now."""
        return self.next()[: self.room()]

    def accept(
        self, lane: str, asked: Question, request: str, parallel: int | None = None, *, claim: bool = True
    ) -> Acceptance:
        """Queue a question once; a repeated request gets its answer again. Room goes to who waits longest."""
        if known := self.requests.get(asked.id):
            return self._accept_again(asked, request) if known == request else Duplicate()
        parallel = parallel or self.parallel
        for waiting, most in ((len(self.of(lane)), 1), (len(self.line), parallel)):
            if waiting >= most * self.limits.inbox:
                return Full(waiting)
        self.parallel, self.most = parallel, max(parallel, len(self.held()))
        self.requests[asked.id], self.lanes[asked.id] = request, lane
        self.line.append(asked)
        found = self._take_next(request=request) if claim else None
        self._offer()
        return Claimed(found) if found else Queued(self.ahead(asked.id) or 0)

    def _accept_again(self, asked: Question, request: str) -> Acceptance:
        for each in self.heads():
            if self.claim_of(each).request == request and self.lanes[each.id] in self.held():
                return Claimed(self.turn(each))
        return Queued(self.ahead(asked.id) or 0)

    def claim_of(self, asked: Question) -> Claim:
        """What is known of a question."""
        return self.claims.get(asked.id, UNCLAIMED)

    def ahead(self, turn: str) -> int | None:
        """How many questions must end before this one can begin; None if it does not wait."""
        asked = next((each for each in self.line if each.id == turn), None)
        if not asked:
            return None
        if before := self.of(self.lanes[turn]).index(asked):
            return before
        waiting = self.next()
        return max(0, 1 + waiting.index(asked) - self.room()) if asked in waiting else 0

    def lapse(self, lane: str) -> None:
        """The lease of a lane expires; its holder may not know."""
        if lane in self.held():
            self.leases[lane] = LeaseState.LAPSED

    def claim(self, lane: str) -> Turn | None:
        """Take over a lane whose turn has come. If others wait longer, they are found instead."""
        if lane in self.held():
            return None
        found = next((each for each in self.begin() if self.lanes[each.id] == lane), None)
        if found:
            self._take(found)
        else:
            self.leases.pop(lane, None)
        self._offer()
        return self.turn(found) if found else None

    def renumber(self, fence: int) -> None:
        """Give the newest claim this token."""
        for name, claim in self.claims.items():
            if claim.fence == self.fence:
                self.claims[name] = replace(claim, fence=fence)
        self.fence = fence

    def _take_next(self, request: str = "", after: str = "") -> Turn | None:
        """Take the lane that waits longest, if there is room. One that a process could not read waits for others, and
        one whose lease lapsed for its holder, or whoever takes it over."""
        for each in self.begin():
            claim = self.claim_of(each)
            if claim is UNCLAIMED or (claim.free and not claim.unread):
                self._take(each, request, after)
                return self.turn(each)
        return None

    def _take(self, asked: Question, request: str = "", after: str = "") -> None:
        assert asked in self.begin(), "first come, first served, and never more than there is room for"
        self.fence += 1
        attempts = self.claim_of(asked).attempts + 1
        self._note(asked, fence=self.fence, attempts=attempts, request=request, after=after, free=False)
        self.leases[self.lanes[asked.id]] = LeaseState.LIVE

    def _note(self, asked: Question, **changes: Any) -> None:
        self.claims[asked.id] = replace(self.claim_of(asked), **changes)

    def _offer(self) -> None:
        for each in self.begin():
            self.leases.setdefault(self.lanes[each.id], LeaseState.FREE)

    def turn(self, asked: Question) -> Turn:
        """The turn of a claimed question, as a claim must return it now."""
        claim = self.claims[asked.id]
        return Turn(
            lane=Lane(Conversation(self.name), self.lanes[asked.id]),
            question=asked,
            fence=claim.fence,
            attempt=claim.attempts,
            epoch=self.epoch,
            history=tuple(sorted(self.history, key=lambda each: each.at)),
            progress=claim.progress,
            retracted=claim.retracted,
            forgotten=frozenset(digest(message) for each in self.forgotten for message in each.messages),
        )

    def runs(self, turn: Turn) -> bool:
        """Whether exactly this claim of this question is the newest."""
        return turn.fence == self.claim_of(turn.question).fence

    def _ended(self, turn: Turn) -> bool:
        """Whether the turn ended under this claim of it."""
        return self.done.get(turn.question.id) == turn.fence

    def _taken_after(self, turn: Turn) -> Question | None:
        """The question that the commit of an ended turn took, unless it has ended or another process has it."""
        return next((each for each in self.heads() if self.claim_of(each).after == turn.question.id), None)

    def renew(self, turn: Turn, progress: Progress) -> Renewed:
        """Prolong the lease; do nothing for a turn that ended under the same token."""
        if self._ended(turn):
            return Renewed()
        if not self.runs(turn):
            raise Stale(turn.question.id)
        self._hold(turn.question)
        self._advance(turn.question, progress)
        claim = self.claims[turn.question.id]
        return Renewed(stop=claim.stopped or claim.retracted, retract=claim.retracted)

    def _hold(self, asked: Question) -> None:
        """Its holder has it again, even if it had handed it back or the lease had lapsed."""
        claim, lane = self.claims[asked.id], self.lanes[asked.id]
        self._note(asked, attempts=claim.attempts + claim.free, free=False)
        self.leases[lane] = LeaseState.LIVE
        self.most = max(self.most, len(self.held()))

    def release(self, turn: Turn, progress: Progress) -> bool:
        """Hand back a turn that is ours, or what its commit took: an ended turn's progress is not the next one's.

        Whether this turn waits now.
        """
        if self.runs(turn):
            if not self.claims[turn.question.id].free:
                self._advance(turn.question, progress)
            self._hand_back(turn.question)
            return True
        if self._ended(turn) and (following := self._taken_after(turn)):
            self._hand_back(following)
        return False

    def unread(self, turn: Turn) -> int:
        """The holder can't read the question: it hands the lane back, for others to try.

        1: somebody wants the line cleared, so the holder keeps the turn and ends it.
        """
        if not self.runs(turn):
            return 0
        if self.claims[turn.question.id].clears:
            return 1
        self._note(turn.question, unread=True)
        self._hand_back(turn.question)
        return 0

    def _hand_back(self, asked: Question) -> None:
        claim = self.claims[asked.id]
        if not claim.free:
            self._note(asked, attempts=claim.attempts - 1, free=True)
            self.leases[self.lanes[asked.id]] = LeaseState.FREE
        self._offer()

    def _advance(self, asked: Question, progress: Progress) -> None:
        if progress.messages:
            self._note(asked, progress=progress)

    def commit(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...]) -> Turn | None:
        """End the turn once, and take the lane that waits longest now; a repetition only returns what it took. A
        deleted question gets no answer."""
        if self.runs(turn):
            if self.claims[turn.question.id].retracted and (exchange or messages):
                raise QuestionDeleted(turn.question.id)
            self._end(turn, exchange, messages)
            found = self._take_next(after=turn.question.id)
            self._offer()
            return found
        if not self._ended(turn):
            raise Stale(turn.question.id)
        following = self._taken_after(turn)
        if following:
            self._hold(following)
        return self.turn(following) if following else None

    def _end(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...]) -> None:
        answered = {turn.question.id, *(each.id for each in turn.also)}
        self.committed += [each.id for each in self.line if each.id in answered]
        self.line = [each for each in self.line if each.id not in answered]
        self.done[turn.question.id] = turn.fence
        claim = self.claims.pop(turn.question.id)
        self.leases.pop(self.lanes[turn.question.id], None)
        if turn.epoch != self.epoch or claim.forgotten:
            self._forget([exchange] if exchange else [])
            return
        if exchange:
            self.history = [*self.history, exchange][-self.limits.exchanges :]
        if messages:
            self.ended = [AnsweredQuestion(turn.question, messages), *self.ended][: self.limits.ended]

    def _forget(self, exchanges: list[Exchange]) -> None:
        self.forgotten = [*self.forgotten, *exchanges][-self.limits.exchanges :]

    def stop(self, turn: str) -> bool:
        """Mark a turn as stopped, if it runs."""
        found = [each for each in self.line if each.id == turn and each.id in self.claims]
        for each in found:
            self._note(each, stopped=True, clears=True, unread=False)
        return bool(found)

    def edit(self, asked: Question) -> State | None:
        """Change the words of a question that nobody is answering yet."""
        place = next((place for place, each in enumerate(self.line) if each.id == asked.id), None)
        if place is None:
            return None
        if asked.id not in [each.id for each in self.next()] and asked.id in self.claims:
            return State.RUNNING
        self.line[place] = asked
        return State.WAITING

    def delete(self, message: str) -> DeletedMessage:
        """Remove a waiting question, or mark it if it runs; forget an answer."""
        running = [each for each in self.line if each.message == message and each.id in self.claims]
        gone = [each for each in self.line if each.message == message and each.id not in self.claims]
        for each in running:
            self._note(each, retracted=True)
        self.deleted.update(each.id for each in gone)
        self.line = [each for each in self.line if each not in gone]
        if gone:
            self._offer()
        exchange = next((each for each in self.history if message in each.messages), None)
        shown = next((each for each in self.ended if message in (each.question.message, *each.messages)), None)
        self._forget([exchange] if exchange else [])
        self.history = [each for each in self.history if each is not exchange]
        self.ended = [each for each in self.ended if each is not shown]
        return DeletedMessage(bool(running), len(gone), exchange, shown)

    def reset(self) -> int:
        """Forget all answers; those that are being written will not be stored."""
        count = len(self.history)
        self._forget(self.history)
        self.history, self.ended = [], []
        self.epoch += 1
        for each in self.line:
            if each.id in self.claims:
                self._note(each, clears=True, unread=False)
        return count

    def forget(self, person: str) -> int:
        """Forget the answers to one person, including one being written that may answer this person among others."""
        kept = [each for each in self.history if each.author.id != person]
        count = len(self.history) - len(kept)
        self._forget([each for each in self.history if each.author.id == person])
        self.history = kept
        self.ended = [each for each in self.ended if each.question.author.id != person]
        lanes = {self.lanes[each.id] for each in self.line if each.author.id == person}
        for each in self.line:
            if each.id in self.claims and self.lanes[each.id] in lanes:
                self._note(each, forgotten=True)
        return count

    def running(self) -> list[AnsweredQuestion]:
        """The questions that run in all lanes, with the messages of their replies."""
        found = [(each, self.claims[each.id]) for each in self.line if each.id in self.claims]
        return [AnsweredQuestion(each, claim.progress.messages) for each, claim in found]

    def check(self) -> None:
        """Check the invariants of a queue after any steps."""
        accepted, waiting = list(self.requests), [each.id for each in self.line]
        assert sorted([*waiting, *self.committed, *self.deleted]) == sorted(accepted), "each in exactly one place"
        assert waiting == [each for each in accepted if each in waiting], "in order of acceptance"
        remembered = [each.turn for each in self.history]
        assert remembered == [each for each in self.committed if each in remembered], "in order of commit, once"
        for lane in set(self.lanes.values()):
            ended = [each for each in self.committed if self.lanes[each] == lane]
            behind = [each.id for each in self.of(lane)]
            assert [*ended, *behind] == [each for each in accepted if each in {*ended, *behind}], "in order in a lane"
        heads = {each.id for each in self.heads()}
        assert set(self.claims) <= heads, "one question of a lane at a time"
        assert len({each.fence for each in self.claims.values()}) == len(self.claims), "a token for each"
        assert all(any(each.id in self.claims for each in self.of(lane)) for lane in self.held())
        assert len(self.held()) <= self.most, "no more than may run beside each other"
        self.most = max(self.parallel, len(self.held()))
        found = [each for each in self.next() if self.lanes[each.id] in self.leases]
        assert len(found) >= len(self.begin()), "what waits while there is room is found by whoever looks"


def reworded(asked: Question) -> Question:
    """The same question in other words."""
    return replace(asked, text=asked.text + "!")
