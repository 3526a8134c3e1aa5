"""Builds, without IO, the request from settings, history and a question so that it fits the context window."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from core.domain.chat import ChatMessage, ChatRequest
from core.domain.conversation import Author, Exchange
from core.domain.errors import ContextTooLong
from core.domain.question import Question
from core.prompt.dialogue import told
from core.prompt.tokens import TokenEstimator
from core.settings.parameters import ChannelSettings

# In a room the model must tell the speakers apart, and must not answer with a name of its own.
ROOM_RULE = (
    "Several people write in this room: each of their messages begins with the name of its author and a colon. "
    "Begin your own messages without a name."
)


# An answer of fewer tokens is not worth asking for: then the server decides whether the question fits.
LEAST_OUTPUT = 256


def build(
    settings: ChannelSettings,
    history: Sequence[Exchange],
    question: Question,
    *,
    background: Sequence[Exchange] = (),
    model: str,
    context: int,
    window: int | None = None,
    max_output: int | None = None,
    estimator: TokenEstimator,
    quoted: str = "",
) -> ChatRequest:
    """Build the request for this question, with as much of the newest history as fits.

    `background`: what was said elsewhere in the channel. The rules tell of it as far as the history leaves room, in a
    quarter of the window at most; in a direct message they don't.
    `context` is the model's window in tokens; the request leaves room for the answer and for errors of the estimate.
    `window` is a smaller one, which a refusal named: it limits the history, but the question is sent all the same.
    `max_output` is the longest answer that the model can give, in tokens. `quoted` goes before the question.
    Raises ContextTooLong if the question alone can't fit, however wrong the estimate is.
    """
    room = not question.place.direct
    rules = rules_for(settings, question)
    fixed = [ChatMessage("system", rules), ChatMessage("user", _said(question.author, question.text, room))]
    longest = settings.max_tokens
    if longest is not None and max_output is not None:
        longest = min(longest, max_output)
    limit = min(context, window or context)
    output = min(longest or 1024, limit // 2)
    if sum(estimator.least(each.content) for each in fixed) > int(context * 0.95) - min(output, context // 4):
        raise ContextTooLong(f"the question alone does not fit into {context} tokens")
    if quoted:
        fixed[1] = replace(fixed[1], content=f"{quoted}\n\n{fixed[1].content}")
    left = int(limit * 0.95) - output - sum(estimator.count(model, each.content) for each in fixed)
    if left < 0:  # rather a short answer than none
        output = max(min(longest or 1024, LEAST_OUTPUT), output + left)
    remembered: list[ChatMessage] = []
    for exchange in reversed(history):
        pair = [
            ChatMessage("user", _said(exchange.author, exchange.question, room)),
            ChatMessage("assistant", exchange.answer),
        ]
        cost = sum(estimator.count(model, each.content) for each in pair)
        if cost > left:
            break
        left -= cost
        remembered[:0] = pair
    if room and (elsewhere := told(background, min(left, limit // 4), partial(estimator.count, model))):
        left -= estimator.count(model, elsewhere)
        fixed[0] = ChatMessage("system", f"{rules}\n\n{elsewhere}")
    return ChatRequest(
        model=model,
        messages=(fixed[0], *remembered, fixed[1]),
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=None if longest is None else min(longest, output + max(0, left)),
    )


def rules_for(settings: ChannelSettings, question: Question) -> str:
    """What the model is told before anything that was said."""
    language = f"Answer in {settings.language}." if settings.language else ""
    return "\n\n".join(filter(None, (settings.prompt, language, "" if question.place.direct else ROOM_RULE)))


def together(first: Question, others: Sequence[Question]) -> Question:
    """Combine several questions into one, for one answer."""
    room = not first.place.direct
    said = (first.text, *(_said(each.author, each.text, room) for each in others))
    files = tuple(file for each in (first, *others) for file in each.attachments)
    people = tuple(dict.fromkeys(each.author.id for each in others))
    return replace(first, text="\n\n".join(said), attachments=files, others=people)


def _said(author: Author, text: str, room: bool) -> str:
    return f"{author.name}: {text}" if room and author.name else text
