"""The models on offer: the short names of the API page, the five built-in models, and a cache of the live list."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

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
_ALIASES = {info.name: info.alias for info in BUILT_IN.models}
_NOT_TEXT = ("image", "video", "audio", "speech", "embed", "rerank")


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
    while isinstance(value, dict):
        value = value.get("data", value.get("models"))
    if not isinstance(value, list):
        raise ValueError("not a list of models")
    found: dict[str, ModelInfo] = {}
    for item in value:
        name = item.get("model_name") or item.get("id") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name.strip() or not _is_text(item):
            continue
        alias = item.get("model_alias")
        found.setdefault(
            name,
            ModelInfo(
                name,
                alias if isinstance(alias, str) and alias else _ALIASES.get(name, ""),
                _size(item, "context_length", "max_model_len", "max_input_tokens", "context_window"),
                _size(item, "max_completion_tokens", "max_output_tokens"),
            ),
        )
    return tuple(found.values())


def _is_text(item: dict[str, object]) -> bool:
    kind = item.get("model_type")
    if not isinstance(kind, str) or not kind:
        return True
    return not any(word in kind.lower() for word in _NOT_TEXT)


def _size(item: dict[str, object], *names: str) -> int | None:
    for name in names:
        size = item.get(name)
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
    return None


class CatalogCache:
    """Caches the live catalog for a while. A lookup never fails and never takes long."""

    def __init__(
        self,
        sources: Sequence[Callable[[], Awaitable[tuple[ModelInfo, ...]]]],
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
        models: tuple[ModelInfo, ...] = ()
        known = self._catalog is not None and self._catalog.live
        for source in self._sources:
            try:
                # each source gets a share, so that one that hangs leaves time for the next
                async with asyncio.timeout(self._patience / len(self._sources) / (2 if known else 1)):
                    models = await source()
            except Exception:  # noqa: BLE001  however a source fails, the next one may work
                continue
            if models:
                break
        if models:
            self._catalog = Catalog(models)
        elif self._catalog is None:
            self._catalog = BUILT_IN
        self._until = time.monotonic() + (self._seconds if models else min(self._pause, self._seconds))
