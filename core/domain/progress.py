"""Progress: how far a reply has come on screen, kept so that any process can go on with it, or take it away."""

from dataclasses import dataclass

from core.domain.conversation import Question


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reply had come, kept with the turn so that another process can go on in the same messages.

    `characters` of the model's text were on screen.
    """

    messages: tuple[str, ...] = ()
    characters: int = 0


NOTHING_SHOWN = Progress()


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A mention and the messages in which its reply stands; `offer` is the one among them that says that the question
    was changed since."""

    mention: Question
    messages: tuple[str, ...]
    offer: str = ""
