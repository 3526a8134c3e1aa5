"""What a server takes in a request: learnt from its refusals, for each model, and remembered for a while."""

import re
from dataclasses import dataclass, replace

from core.domain.chat import ChatMessage, ChatRequest

_FIELDS = ("stream_options", "max_tokens", "temperature", "top_p")
_UNKNOWN = re.compile(
    r"(extra|unknown|unrecognized|unrecognised|unexpected|additional|unsupported|invalid|deprecated)[ _]"
    r"(field|param|argument|propert|input|key|keyword|option|value for)"
    r"|(extra inputs|additional properties) (are|is) not|not permitted|not (supported|allowed|recognized|recognised)"
    r"|(does|do)(n't| not) support|no longer support|unsupported|unrecognized|only the default|cannot both be"
    r"|unknown name|is deprecated"
)
_NULL = re.compile(
    r"\bnull\b|\bnone\b|valid integer|(?:should|must) be an? (?:valid )?(?:int|number)|nonetype|int_type"
    r"|expected (?:an? )?(?:int|number|u32|i32|u64)"
)
_SYSTEM = re.compile(
    r"system[' `\"]*(?:role|message|prompt|instruction)s?\b[^\n]{0,60}?(?:not|n't|un)[ -]?(?:be )?"
    r"(?:supp|allow|perm|accept|valid)"
    r"|(?:not|n't|un)[ -]?support(?:s|ed)?\b[^\n]{0,30}?\bsystem|developer instruction[^\n]{0,40}?not"
    r"|roles? must alternate|only [`'\"]?user(?:(?!system)[^\n]){0,40}? roles are"
    r"|(?:unexpected|invalid|unknown|unsupported|bad) (?:message )?role\b[^\n]{0,40}?system"
    r"|(?:be(?: one of)?|are):? [\[(]?[`'\"]?user[`'\"]?,? ?(?:and |or )?[`'\"]?(?:assistant|model)\b"
    r"(?![^\n]{0,60}?system)"
    r"|(?:unable to|can ?not|can't|does not|doesn't) (?:use|accept|take|handle)\b[^\n]{0,20}?\bsystem"
    r"|system (?:role|message|prompt|instruction)s? (?:is |are )?not enabled"
    r"|['\"`]system['\"`][^\n]{0,60}?(?:is not|not (?:a )?(?:valid|one of|supp|allow))"
    r"|no system (?:role|message|prompt)"
    r"|(?:valid role|role should be|supported roles|use)[ :][^\n]{0,12}?user[^\n]{0,10}?,? (?:model|assistant)\b"
    r"|first message[^\n]{0,40}?(?:user|system)"
)


_STREAM = re.compile(
    r"(?<![a-z_])stream(?:ing|ed)?\b(?!_)[^\n]{0,60}?(?:not|n't|un)[ -]?(?:be |yet )?(?:supp|allow|perm|avail|enabl)"
    r"|['`\"]stream['`\"]? does not|verified to stream"
    r"|(?:not|n't|un)[ -]?support(?:s|ed)? (?:stream(?:ing)?\b(?! ?_?option)|['`\"]stream['`\"])"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to write a request. `stream`: answers can be streamed; else they come as a whole. `system`: the role is
    known; without it the rules are in front of the first message.
    `nulls`: parameters may be null. `omitted`: fields to leave out. `output`: the name of the limit on the answer."""

    stream: bool = True
    system: bool = True
    nulls: bool = True
    omitted: frozenset[str] = frozenset()
    output: str = "max_tokens"


STANDARD = Dialect()


def adapted(dialect: Dialect, status: int, words: str, sent: frozenset[str], unset: frozenset[str]) -> Dialect | None:
    """Another way to write the request that this refusal asks for; None if it is about something else.

    `words`: of the refusal, in lower case. `sent`: the fields of the request; `unset`: those that are null.
    """
    if status in (401, 402, 403, 408, 429) or status > 501:
        return None
    if dialect.system and _SYSTEM.search(words):
        return replace(dialect, system=False)
    if status not in (400, 422):
        return None
    if dialect.stream and "stream_options" in sent and _STREAM.search(words):
        return replace(dialect, stream=False)
    named = [field for field in _FIELDS if field in sent and field in words]
    if "include_usage" in words and "stream_options" in sent:
        named = ["stream_options"]
    if dialect.nulls and unset and _NULL.search(words) and (not named or unset & set(named)):
        return replace(dialect, nulls=False)
    if not (_UNKNOWN.search(words) or named == ["stream_options"]):
        return None
    if "max_completion_tokens" in words and "max_tokens" in sent and "max_tokens" not in unset:
        return replace(dialect, output="max_completion_tokens")
    if dialect.nulls and unset & set(named):
        return replace(dialect, nulls=False)
    if len(named) > 1 and {"temperature", "top_p"} <= set(named):
        named = ["top_p"]  # a server that takes one of them only
    if not named and "stream_options" in sent:
        named = ["stream_options"]
    if not named and dialect.nulls and unset:
        return replace(dialect, nulls=False)
    return replace(dialect, omitted=dialect.omitted | {named[0]}) if named else None


def messages(request: ChatRequest, dialect: Dialect) -> tuple[ChatMessage, ...]:
    """The messages of a request; for a model without a system role, with the rules in front of the first question."""
    if dialect.system:
        return request.messages
    rules = "\n\n".join(each.content for each in request.messages if each.role == "system" and each.content.strip())
    rest = [each for each in request.messages if each.role != "system"]
    if not rules:
        return tuple(rest)
    if rest and rest[0].role == "user":
        rest[0] = replace(rest[0], content=f"{rules}\n\n{rest[0].content}")
    else:
        rest.insert(0, ChatMessage("user", rules))
    return tuple(rest)
