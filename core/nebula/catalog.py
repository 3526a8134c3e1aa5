"""The models on offer: the short names of the API page, the five built-in models, and a cache of the live list."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from core.awake import awake
from core.domain.chat import Catalog, ModelInfo

# The five models of the API page, with its short names. Only the live catalog knows their sizes.
BUILT_IN = Catalog(
    (
        ModelInfo("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "DeepSeek-R1-Distill-Llama-70B"),
        ModelInfo("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "DeepSeek-R1-Distill-Qwen-32B"),
        ModelInfo("meta-llama/Llama-3.3-70B-Instruct", "Llama3.3-70B"),
        ModelInfo("meta-llama/Llama-3.1-8B-Instruct", "Llama3.1-8B"),
        ModelInfo("Qwen/Qwen2.5-Coder-32B-Instruct", "Qwen2.5-Coder-32B"),
    ),
    live=False,
)
_ALIASES = {info.name.lower(): info.alias for info in BUILT_IN.models}
_SIZE = re.compile(r"(\d{1,10}(?:\.\d{1,4})?) ?([km]?)(?: ?tokens?)?")
MAX_MODELS = 2000  # of a list; what comes after them can still be asked by name
_MAX_NAME_CHARACTERS = 200
_NAMES = ("model_name", "id", "name", "model", "slug")
_CONTEXT = (
    *("context_length", "max_model_len", "max_input_tokens", "context_window", "max_context_length", "context_size"),
    *("contextlength", "contextwindow", "inputtokenlimit", "input_token_limit", "n_ctx", "max_sequence_length"),
    *("max_context_window_tokens", "availablecontexttokens", "context_tokens", "max_prompt_tokens", "max_context"),
    *("max_seq_len", "ctx_len", "contextsize", "max_context_tokens", "n_ctx_train"),
)
_OUTPUT = (
    *("max_completion_tokens", "max_output_tokens", "outputtokenlimit", "output_token_limit", "max_output_length"),
    *("maxoutputtokens", "maxcompletiontokens", "max_new_tokens", "max_output"),
)
# Objects in which some lists keep the sizes (OpenRouter, llama.cpp, LiteLLM, GitHub, Venice).
_INSIDE = ("top_provider", "meta", "model_info", "limits", "capabilities", "model_spec", "limit", "architecture")
_KINDS = ("model_type", "type", "mode", "task", "pipeline_tag", "kind", "category", "modality", "object_type")
_OUTPUTS = ("output_modalities", "outputmodalities", "supported_output_modalities")
_INPUTS = ("input_modalities", "inputmodalities", "supported_input_modalities")
_VISION = ("supports_vision", "supportsvision", "vision", "supports_images", "supports_image_input", "multimodal")
_NOT_TEXT = re.compile(
    r"image|video|audio|speech|embed|rerank|\btts\b|\bstt\b|\basr\b|transcri|moderation|diffusion|classif|music|\b3d\b"
)
# For lists that say nothing about kinds.
_NOT_TEXT_NAMES = re.compile(
    r"(?i)embed|rerank|whisper|dall-?e|(?<![a-z])tts(?![a-z])|moderation|stable-diffusion|sdxl|(?<![a-z])flux(?![a-z])"
    r"|(?<![a-z])bge-|gpt-image|(?<![a-z])sora(?![a-z])"
)

# The kinds of models that draw, such as "Image" (docs of Nebula Block, List Models) and "text-to-image"; and the names
# of those that need a picture to change, such as FLUX.1-Fill-dev (the same, Image Generation).
_DRAWS = re.compile(r"^image$|text(?:-to-|_to_|2|->)image|^image[ _-]generat")
_CHANGES = re.compile(r"(?i)(?<![a-z])(?:fill|inpaint\w*|outpaint\w*|edit|redux|canny|depth|upscal\w*)(?![a-z])")


def api_name(name: str) -> str:
    """Translate a short name of the API page, in any letter case, to the API's name; leave other names unchanged."""
    wanted = name.strip()
    for info in BUILT_IN.models:
        if wanted.lower() == info.alias.lower():
            return info.name
    return wanted


def parse(value: object) -> tuple[ModelInfo, ...]:
    """Read the text models of a model list: the platform's `{"data": {"models": […]}}` or the API's `{"data": […]}`.

    Raises ValueError if it is neither.
    """
    found: dict[str, ModelInfo] = {}
    for name, item in _items(value):
        if len(found) == MAX_MODELS or not _is_text(item, name):
            continue
        alias = item.get("model_alias")
        named = isinstance(alias, str) and 0 < len(alias) <= _MAX_NAME_CHARACTERS
        known = _ALIASES.get(name.lower(), "")  # a short name that works here, whatever the list calls the model
        found.setdefault(
            name,
            ModelInfo(
                name,
                str(alias) if named else known,
                _size(item, _CONTEXT),
                _size(item, _OUTPUT),
                _sees(item),
                known,
            ),
        )
    return tuple(found.values())


def pictures(value: object) -> tuple[str, ...]:
    """The names of the models of a list that draw a picture of a text: those of which it says so. One that changes a
    picture is left out: nobody can give it one. Raises ValueError if it is no list."""
    found = (name for name, item in _items(value) if _draws(item) and not _CHANGES.search(name))
    return tuple(dict.fromkeys(found))[:MAX_MODELS]


def _items(value: object) -> Iterator[tuple[str, dict[str, object]]]:
    """The items of a list that have a name. Raises ValueError if it is no list."""
    for _ in range(4):
        if not isinstance(value, dict):
            break
        value = value.get("data", value.get("models", value.get("items")))
    if not isinstance(value, list):
        raise ValueError("not a list of models")
    for item in value[: 2 * MAX_MODELS]:
        item = {"id": item} if isinstance(item, str) else item
        if not isinstance(item, dict):
            continue
        name = next((name for key in _NAMES if isinstance(name := item.get(key), str) and name.strip()), "")
        if name and len(name) <= _MAX_NAME_CHARACTERS:
            yield name, item


def _draws(item: dict[str, object]) -> bool:
    """Whether a list says that a model draws."""
    kinds = (value for key, value in item.items() if key.lower() in _KINDS and isinstance(value, str))
    return any(_DRAWS.search(value.lower()) for value in kinds)


def _is_text(item: dict[str, object], name: str) -> bool:
    """Whether a model writes text, as far as the list says."""
    said = False
    architecture = item.get("architecture")
    for holder in (item, architecture) if isinstance(architecture, dict) else (item,):
        for key, value in holder.items():
            if key.lower() in _OUTPUTS and isinstance(value, list) and value:
                return any(isinstance(each, str) and each.lower() == "text" for each in value)
            if key.lower() in _KINDS and isinstance(value, str) and value:
                # of "text+image->text" and "image-text-to-text" the end counts
                made = re.split(r"->|-to-|_to_|2", value.lower())[-1]
                if _NOT_TEXT.search(made):
                    return False
                said = True
    return said or _NOT_TEXT_NAMES.search(name) is None


def _sees(item: dict[str, object]) -> bool | None:
    """Whether a model takes pictures; None if the list does not say so. OpenRouter lists what goes in, LiteLLM and
    others say `supports_vision`, where a missing word says nothing; some name the way, as in "image-text-to-text"."""
    holders = [item, *(inner for key in _INSIDE if isinstance(inner := item.get(key), dict))]
    for holder in holders:
        for key, value in holder.items():
            name = key.lower()
            if name in _INPUTS and isinstance(value, list) and value:
                return any(isinstance(each, str) and each.lower() in ("image", "vision") for each in value)
            if name in _VISION and isinstance(value, bool):
                return value
            if name in _KINDS and isinstance(value, str):
                taken = re.split(r"->|-to-|_to_|2", value.lower())
                if len(taken) > 1 and re.search("image|vision|any", "".join(taken[:-1])):
                    return True
    return None


def _size(item: dict[str, object], names: Sequence[str]) -> int | None:
    """A size in tokens under one of these names, also as text such as "32768" or "128k"."""
    holders = [item, *(inner for key in _INSIDE if isinstance(inner := item.get(key), dict))]
    holders += [inner for holder in holders[1:] if isinstance(inner := holder.get("limits"), dict)]
    for holder in holders:
        known = {key.lower(): value for key, value in holder.items()}
        for name in names:
            if size := _tokens(known.get(name)):
                return size
    return None


def _tokens(value: object) -> int | None:
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip().lower().replace(",", "").replace("_", ""))):
        value = float(found[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[found[2] or ""]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        return None
    return int(value)


class CatalogCache:
    """Caches the live catalog for a while. A lookup never fails and never takes long."""

    def __init__(
        self,
        sources: Sequence[Callable[[], Awaitable[Catalog]]],
        *,
        seconds: float,
        patience: float = 4.0,
        pause: float = 60.0,
    ) -> None:
        """`sources`: tried in order until one returns models. `seconds`: how long a list counts as fresh. `patience`:
        how long one caller waits for all sources together, in seconds. `pause`: seconds before sources that failed
        are tried again."""
        self._sources = sources
        self._seconds, self._patience, self._pause = seconds, patience, pause
        self._catalog: Catalog | None = None
        self._until = -1.0
        self._refreshing = asyncio.Lock()

    async def get(self) -> Catalog:
        """Return the newest catalog available: the live one, else the last live one, else the built-in one."""
        if self._catalog is not None and (time.monotonic() < self._until or self._refreshing.locked()):
            return self._catalog
        async with self._refreshing:  # whoever waited here finds the result of the first caller
            if self._catalog is None or time.monotonic() >= self._until:
                await self._refresh()
            assert self._catalog is not None
            return self._catalog

    async def _refresh(self) -> None:
        found = Catalog(())
        known = self._catalog is not None and self._catalog.live
        for source in self._sources:
            try:
                # each source gets a share, so that one that hangs leaves time for the next
                async with awake(self._patience / len(self._sources) / (2 if known else 1)):
                    found = await source()
            except Exception:  # noqa: BLE001  however a source fails, the next one may work
                continue
            if found.models:
                break
        if found.models:
            self._catalog = found
        elif self._catalog is None:
            self._catalog = BUILT_IN
        self._until = time.monotonic() + (self._seconds if found.models else min(self._pause, self._seconds))
