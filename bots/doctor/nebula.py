"""Examines Nebula: whether its address is right, it takes our key, offers our model, and answers with one token."""

from collections.abc import AsyncGenerator, Sequence

from core.awake import awake
from core.domain.chat import Catalog, ChatMessage, ChatRequest, ModelInfo
from core.domain.errors import (
    BadKey,
    Blocked,
    ModelError,
    ModelTimeout,
    NoAnswer,
    NoCredits,
    RateLimited,
    UnknownModel,
    WrongAddress,
)
from core.finding import Finding, Verdict, bad, note, well
from core.nebula.client import Nebula
from core.settings.config import Config

NAME = "Nebula"
LIST_SECONDS, ANSWER_SECONDS = 6.0, 15.0
_MENDS: dict[type[ModelError], tuple[str, str]] = {
    BadKey: (
        "refuses NEBULA_API_KEY",
        "copy it anew from nebulablock.com (API Keys); a key that was renewed no longer works",
    ),
    NoCredits: ("the account of NEBULA_API_KEY is empty", "top it up at nebulablock.com"),
    Blocked: (
        "refuses this machine, or something in front of it does",
        "look for a firewall, a proxy or a VPN between",
    ),
    WrongAddress: (
        "does not answer at NEBULA_BASE_URL",
        "correct it: https://inference.nebulablock.com/v1 is the usual one",
    ),
    UnknownModel: ("does not offer NEBULA_MODEL to this key", "name one from its list"),
}


def failure(error: ModelError) -> Finding:
    """What a failure means for whoever runs the bot."""
    for kind, (text, mend) in _MENDS.items():
        if isinstance(error, kind):
            return bad(NAME, f"{text} ({error})", mend)
    return bad(NAME, f"does not answer at NEBULA_BASE_URL ({error})", "wait for it, or check the network")


def refuses_key(error: ModelError) -> bool:
    """Whether no answer is to be expected with this key. With 403 only the list may be refused."""
    return isinstance(error, BadKey) and not str(error).startswith("HTTP 403")


def offer(models: Sequence[ModelInfo], model: str, variable: str = "NEBULA_MODEL") -> Finding:
    """Whether a model is among those that Nebula offers to the key."""
    many = f"key accepted, {len(models)} model{'s' * (len(models) != 1)}"
    offered = Catalog(tuple(models))
    if offered.find(model):
        return well(NAME, f"{many}, {model} among them")
    near = offered.near(model, 0.5)
    hint = f"did you mean {near}?" if near else "`model list` in a chat shows them all"
    return bad(NAME, f"{many}; {variable}: {model} is not among the models that it offers", hint)


def tier(config: Config) -> Finding:
    """Which limits of the account the bot keeps by itself."""
    limits = (config.nebula_requests_per_minute, config.nebula_tokens_per_minute, config.nebula_requests_per_day)
    if config.nebula_tier or any(limits):
        return well(NAME, f"the limits of {config.nebula_tier or 'the account'} are kept by the bot")
    text = "NEBULA_TIER is not set: the bot learns of the account's limits by being refused"
    return note(NAME, text, "set it to the tier of your account, such as engineer1")


async def examine(config: Config, client: Nebula) -> AsyncGenerator[Finding, None]:
    """What is right and wrong with Nebula. Never raises. It costs one short answer."""
    if config.nebula_api_key is None:
        yield bad(NAME, "NEBULA_API_KEY is missing", "create a key at nebulablock.com (API Keys) and put it into .env")
        return
    seen: Finding | None = None  # what is wrong with the list of models
    try:
        async with awake(LIST_SECONDS):
            models = await client.check()
    except (ModelError, TimeoutError) as error:
        failed = error if isinstance(error, ModelError) else ModelTimeout(f"no answer within {LIST_SECONDS:g} s")
        yield (seen := failure(failed))
        if isinstance(failed, ModelTimeout | WrongAddress) or refuses_key(failed):
            return
    else:
        offered = offer(models, config.nebula_model)
        seen = offered if offered.verdict is Verdict.BAD else None
        yield offered
        if config.nebula_fallback_model:
            yield offer(models, config.nebula_fallback_model, "NEBULA_FALLBACK_MODEL")
        catalog = await client.catalog()
        if not any(each.context for each in catalog.models):
            yield note(
                NAME,
                "no list of models says how large their windows are",
                f"check NEBULA_PLATFORM_URL; NEBULA_CONTEXT_TOKENS ({config.nebula_context_tokens:,}) counts for all",
            )
    answered = await _token(config, client, after=seen)
    if answered:
        yield answered
    yield tier(config)


async def _token(config: Config, client: Nebula, *, after: Finding | None) -> Finding | None:
    """Ask for one token. `after`: what is wrong with the list of models; None if that is said again."""
    model = config.nebula_model
    request = ChatRequest(model, (ChatMessage("user", "Say yes."),), max_tokens=1)
    try:
        async with awake(ANSWER_SECONDS):
            await client.complete(request)
    except NoAnswer:  # it only thought
        pass
    except RateLimited as error:
        return note(NAME, f"{model} answers, but the account's limit is reached ({error})", "see NEBULA_TIER")
    except TimeoutError:
        return bad(NAME, f"{model} gave no token within {ANSWER_SECONDS:g} s", "choose a faster NEBULA_MODEL, or wait")
    except ModelError as error:
        unknown = after is not None and isinstance(error, UnknownModel)
        return None if unknown or failure(error) == after else failure(error)
    return well(NAME, f"{model} answers all the same" if after else f"{model} answers")
