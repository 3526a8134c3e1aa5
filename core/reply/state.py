"""Reply: what is known of an answer at one moment, and the table of the phases that it goes through."""

from dataclasses import dataclass, replace
from enum import StrEnum

from core.domain.chat import Delta, Finish, Usage
from core.domain.page import NO_CHOICES, Choices, ReplyFile
from core.reply.growing import GrowingText


class Phase(StrEnum):
    QUEUED = "queued"
    THINKING = "thinking"  # the model was asked; nothing to show yet
    STREAMING = "streaming"
    DONE = "done"
    FAILED = "failed"  # ended by an error; the notice says which
    STOPPED = "stopped"  # ended by a person


TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.QUEUED: frozenset({Phase.THINKING, Phase.DONE, Phase.FAILED, Phase.STOPPED}),
    Phase.THINKING: frozenset({Phase.STREAMING, Phase.DONE, Phase.FAILED, Phase.STOPPED}),
    Phase.STREAMING: frozenset({Phase.DONE, Phase.FAILED, Phase.STOPPED}),
    Phase.DONE: frozenset(),
    Phase.FAILED: frozenset(),
    Phase.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One state of an answer. `text` is exactly what the model wrote, `thought` what it thought aloud; `notice` is our
    own sentence about its end.

    Times are seconds of a monotonic clock; the caller passes them in.
    """

    phase: Phase = Phase.QUEUED
    written: GrowingText = GrowingText()  # noqa: RUF009 - never changes
    notice: str = ""
    note: str = ""  # small print at its top: what was read for it
    asked: float | None = None  # when the model was asked
    thoughts: GrowingText = GrowingText()  # noqa: RUF009
    thought_since: float | None = None  # when the model began to think aloud
    thought_until: float | None = None  # when the model began to answer
    text_since: float | None = None  # when the first text came
    text_until: float | None = None  # when the newest text came
    ended: float | None = None
    finish: Finish | None = None
    usage: Usage | None = None
    model: str = ""  # the model that answers, if it is not the one that was asked
    chosen: str = ""  # the model that was asked, if it is not the usual one here
    choices: Choices = NO_CHOICES  # what people can choose once it is complete
    file: ReplyFile | None = None  # the picture that answers instead of text
    unseen: tuple[str, ...] = ()  # names of the pictures that the model does not see

    @property
    def text(self) -> str:
        return str(self.written)

    @property
    def thought(self) -> str:
        return str(self.thoughts)

    @property
    def empty(self) -> bool:
        """Whether there is no answer so far, neither a text nor a picture."""
        return not (self.written or self.file)

    @property
    def over(self) -> bool:
        """Whether the reply is complete: nothing will be added any more."""
        return not TRANSITIONS[self.phase]

    def to(self, phase: Phase, notice: str = "", *, asked: float | None = None, ended: float | None = None) -> "Reply":
        """This reply in its next phase. Raises ValueError for a step that the table does not allow."""
        if phase not in TRANSITIONS[self.phase]:
            raise ValueError(f"a reply can't go from {self.phase} to {phase}")
        asked, ended = (self.asked if asked is None else asked), (self.ended if ended is None else ended)
        return replace(self, phase=phase, notice=notice, asked=asked, ended=ended)

    def cut(self, length: int) -> "Reply":
        """This reply with at most so many characters, as if the model's own limit on length had cut it."""
        if len(self.written) <= length:
            return self
        return replace(self, written=GrowingText(self.text[:length]), finish=Finish.LENGTH)

    def add(self, delta: Delta, now: float) -> "Reply":
        """This reply with one more piece. White space before the first word of an answer is dropped."""
        before = GrowingText() if delta.restart else self.written
        text = before.plus(delta.text if before else delta.text.lstrip())
        since, until = self.thought_since, self.thought_until
        if delta.restart:
            since, until = self.text_since if since is None else since, None
        elif delta.thought and since is None:
            since = now
        if text and since is not None and until is None:
            until = now
        return Reply(
            phase=Phase.STREAMING if text or self.written else self.phase,
            written=text,
            notice=self.notice,
            note=self.note,
            asked=self.asked,
            thoughts=self.thoughts.plus(self.text if delta.restart else "").plus(delta.thought),
            thought_since=since,
            thought_until=until,
            text_since=self.text_since if self.text_since is not None or not text else now,
            text_until=now if delta.text and text else self.text_until,
            ended=self.ended,
            finish=delta.finish or self.finish,
            usage=delta.usage or self.usage,
            model=delta.model or self.model,
            chosen=self.chosen,
            choices=self.choices,
            unseen=self.unseen,
        )
