"""Builds, without IO, the request from settings, history and a question so that it fits the context window."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.domain.chat import ChatMessage, ChatRequest, Picture
from core.domain.conversation import Author, Exchange
from core.domain.errors import ContextTooLong
from core.domain.question import Question
from core.prompt.dialogue import told
from core.prompt.quoting import named
from core.prompt.summary import told as told_of_summary
from core.prompt.tokens import PICTURE_TOKENS, TokenEstimator
from core.settings.parameters import ChannelSettings
from core.text import UNSEEN

# In a room the model must tell the speakers apart, and must not answer with a name of its own.
ROOM_RULE = (
    "Several people write in this room: each of their messages begins with the name of its author and a colon. "
    "Begin your own messages without a name."
)


# An answer of fewer tokens is not worth asking for: then the server decides whether the question fits.
LEAST_OUTPUT = 256
# The beginning of a special token, such as `<|im_end|>`, as chat templates have them (see nebula/templates.py).
_TOKEN = re.compile(r"<(?=[|｜][\w▁ .:-]{1,40}[|｜]>)")


@dataclass(frozen=True, slots=True)
class Built:
    """A request, and what of the dialogue it holds. `left_out`: how many of the oldest exchanges did not fit into the
    `room` for them, in tokens. `summarised`: the rules tell of the summary; `elsewhere`: of the background."""

    request: ChatRequest
    left_out: int = 0
    room: int = 0
    summarised: bool = False
    elsewhere: bool = False


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
    pictures: tuple[Picture, ...] = (),
    summary: str = "",
) -> Built:
    """Build the request for this question, with as much of the newest history as fits.

    `summary`: of what came before the history; the rules tell of it before there is room for anything else.
    `background`: what was said elsewhere in the channel. The rules tell of it as far as the history leaves room, in a
    quarter of the window at most; in a direct message they don't.
    `context` is the model's window in tokens; the request leaves room for the answer and for errors of the estimate.
    `window` is a smaller one, which a refusal named: it limits the history, but the question is sent all the same.
    `max_output` is the longest answer that the model can give, in tokens. `quoted` goes before the question,
    and `pictures` go with it.
    Raises ContextTooLong if the question alone can't fit, however wrong the estimate is.
    """
    room = not question.place.direct
    rules = rules_for(settings, question)
    fixed = [ChatMessage("system", rules), ChatMessage("user", _said(question.author, question.words, room), pictures)]
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
    left -= PICTURE_TOKENS * len(pictures)
    if left < 0:  # rather a short answer than none
        output = max(min(longest or 1024, LEAST_OUTPUT), output + left)
    count = partial(estimator.count, model)
    record = summary and told_of_summary(summary, left, limit, count)
    left = for_dialogue = left - (count(record) if record else 0)
    remembered: list[ChatMessage] = []
    for exchange in reversed(history):
        if (spent := cost(exchange, count, room=room)) > left:
            break
        left -= spent
        remembered[:0] = _repeated(exchange, room)
    elsewhere = told(background, min(left, limit // 4), count) if room else ""
    if elsewhere:
        left -= count(elsewhere)
    fixed[0] = ChatMessage("system", "\n\n".join(filter(None, (rules, record, elsewhere))))
    request = ChatRequest(
        model=model,
        messages=(fixed[0], *remembered, fixed[1]),
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=None if longest is None else min(longest, output + max(0, left)),
    )
    left_out = len(history) - len(remembered) // 2
    return Built(request, left_out, max(0, for_dialogue), bool(record), bool(elsewhere))


def cost(exchange: Exchange, count: Callable[[str], int], *, room: bool) -> int:
    """How many tokens an exchange takes in a request: what decides whether it fits. `room`: people have names there."""
    return sum(count(each.content) for each in _repeated(exchange, room))


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
    return replace(first, text="\n\n".join(filter(None, said)), attachments=files, others=people)


def _repeated(exchange: Exchange, room: bool) -> list[ChatMessage]:
    question = ChatMessage("user", _said(exchange.author, exchange.question, room))
    return [question, ChatMessage("assistant", exchange.answer)]


def _said(author: Author, text: str, room: bool) -> str:
    """What somebody said, behind their name in a room. A token of a chat template would be one for some servers."""
    text = _TOKEN.sub("<" + UNSEEN, text)
    return f"{named(author.name)}: {text}" if room and author.name else text
