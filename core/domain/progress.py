"""Progress: how much of a reply is on screen, stored so that any process can continue the reply or remove it."""

from dataclasses import dataclass

from core.domain.question import Question


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a reply is on screen, stored with the turn so that another process can continue in the same messages.

    `characters`: how many characters of the model's text people can see.
    """

    messages: tuple[str, ...] = ()
    characters: int = 0


NOTHING_SHOWN = Progress()


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question and the messages of its reply. `offer`: the one among them that says that the question has changed."""

    question: Question
    messages: tuple[str, ...]
    offer: str = ""
