"""The variables that the core and the program read; those of a platform are with its adapter."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr

from core.domain.chat import SEEING
from core.domain.options import Context, EditPolicy, Listen, OldHistory, Overlap, Reasoning, Streaming, Switch
from core.settings.encryption import Encryption
from core.settings.environment import Section
from core.settings.fields import LOWER, WORDS, Http, Port, Words, address, only
from core.settings.locales import language_name, timezone_name
from core.settings.parameters import OperatorDefaults
from core.text import LONGEST_NAME, one_line

DEFAULT_PROMPT = (
    "You are Nebula, a helpful assistant in a chat. Answer in the language of the question, "
    "to the point, and in Markdown where it helps."
)


def _squeezed(value: object) -> object:
    """`Engineer 1` → "engineer1"."""
    return "".join(value.lower().split()) if isinstance(value, str) else value


def _ids(what: str) -> AfterValidator:
    """Accepts a platform's ids, not names: `U024BE7LH`, `175928847299117063`, a thread's `1712.0001`. `what`: of what,
    for the sentence about anything else."""

    def matches(word: str) -> bool:
        return bool(re.fullmatch(r"[A-Z][A-Z0-9]+|[0-9]+(\.[0-9]+)?", word))

    return only(matches, "not an id", f"ids of {what}")


def _line(value: str) -> str:
    """Accepts a text for one line of a message."""
    if len(value) > LONGEST_NAME:
        raise ValueError(f"it must have at most {LONGEST_NAME} characters")
    return one_line(value)


def _keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Accepts usable keys. Raises WrongKey, whose message does not contain the key."""
    Encryption([key.get_secret_value() for key in keys])
    return keys


def _at_home(path: Path) -> Path:
    """`~/data` → `/home/ann/data`."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("it begins with ~, and this user has no home directory") from None


def _off(value: object) -> object:
    """`off` → no limit."""
    return None if isinstance(value, str) and value.strip().lower() in ("off", "none", "unlimited") else value


def _must_be(parse: Callable[[str], str]) -> Callable[[str], str]:
    """A value that a parameter of channels accepts too, with a whole sentence about one that it does not."""

    def check(value: str) -> str:
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"it must be {error}") from None

    return check


def picture_size(text: str) -> str:
    """Accepts `1024x768`. Raises ValueError, which says what it must be."""
    found = _PICTURE_SIZE.fullmatch(text.lower().replace(" ", "").replace("×", "x"))
    if not found or not all(64 <= int(side) <= 4096 for side in found.groups()):
        raise ValueError("the width and height of pictures in pixels, each from 64 to 4096, such as 1024x1024")
    return found[0]


Count = Annotated[int, Field(ge=1)] | None
Quota = Annotated[Count, BeforeValidator(_off)]

_PICTURE_SIZE = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
# Where the operator's value of a parameter of channels comes from.
_FIELDS = {
    "prompt": "nebula_system_prompt",
    "model": "nebula_model",
    "temperature": "nebula_temperature",
    "top_p": "nebula_top_p",
    "max_tokens": "nebula_max_tokens",
    "streaming": "reply_streaming",
    "reasoning": "reply_reasoning",
    "buttons": "reply_buttons",
    "footer": "reply_footer",
    "overlap": "reply_overlap",
    "parallel": "reply_parallel",
    "edits": "reply_edits",
    "context": "reply_context",
    "retention": "history_days",
    "listen": "reply_listen",
    "history": "reply_history",
    "language": "reply_language",
    "timezone": "reply_timezone",
    "personal": "reply_personal",
}


class Config(Section):
    """The variables that do not belong to one platform; .env.example explains them."""

    shapes: ClassVar[Mapping[str, str]] = {"NEBULA_API_KEY": "ak_"}

    nebula_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("NEBULA_API_KEY", "NEBULA_API_TOKEN"))
    nebula_base_url: Http = "https://inference.nebulablock.com/v1"
    nebula_platform_url: Http = "https://api.nebulablock.com/api/v1"
    nebula_model: str = "meta-llama/Llama-3.3-70B-Instruct"
    nebula_max_tokens: Annotated[int, Field(ge=1)] | None = None
    nebula_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    nebula_top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    nebula_system_prompt: str = DEFAULT_PROMPT
    nebula_context_tokens: int = Field(32_768, ge=512)
    nebula_first_token_seconds: float = Field(90, gt=0, le=86_400)
    nebula_stall_seconds: float = Field(60, gt=0, le=86_400)
    nebula_streams: int = Field(200, ge=1)
    nebula_tier: Annotated[
        Literal["engineer1", "engineer2", "engineer3", "expert1", "expert2"] | None, BeforeValidator(_squeezed)
    ] = None
    nebula_requests_per_minute: Count = None
    nebula_tokens_per_minute: Count = None
    nebula_requests_per_day: Count = None
    nebula_patience_seconds: float = Field(60, ge=0, le=86_400)
    nebula_deadline_seconds: float = Field(120, gt=0, le=86_400)
    nebula_fallback_model: str = ""
    nebula_vision_model: str = "Qwen/Qwen2.5-VL-7B-Instruct"
    nebula_vision_models: Words = SEEING
    nebula_image_model: str = ""
    nebula_image_size: Annotated[str, AfterValidator(_must_be(picture_size))] = "1024x1024"
    nebula_image_steps: Count = None
    nebula_image_guidance: Annotated[float, Field(ge=0, le=100)] | None = None

    redis_url: (
        Annotated[
            str,
            address("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        ]
        | None
    ) = None
    redis_partitions: int = Field(1, ge=1, le=1024)
    redis_server: str | None = None
    data_dir: Annotated[Path, AfterValidator(_at_home)] = Path("data")

    reply_streaming: Annotated[Streaming, LOWER] = Streaming.AUTO
    reply_reasoning: Annotated[Reasoning, LOWER] = Reasoning.TIMER
    reply_buttons: Annotated[Switch, LOWER] = Switch.ON
    reply_footer: Annotated[Switch, LOWER] = Switch.OFF
    reply_pages: int = Field(10, ge=1)
    reply_characters: int = Field(1_000_000, ge=1_000, le=10_000_000)
    reply_overlap: Annotated[Overlap, LOWER] = Overlap.QUEUE
    reply_parallel: int = Field(8, ge=1, le=16)
    reply_edits: Annotated[EditPolicy, LOWER] = EditPolicy.OFFER
    reply_listen: Annotated[Listen, LOWER] = Listen.FOLLOWUPS
    reply_context: Annotated[Context, LOWER] = Context.THREAD
    reply_titles: Annotated[Switch, LOWER] = Switch.ON
    reply_history: Annotated[OldHistory, LOWER] = OldHistory.SUMMARY
    reply_language: Annotated[str, AfterValidator(_must_be(language_name))] | None = None
    reply_timezone: Annotated[str, AfterValidator(_must_be(timezone_name))] = "UTC"
    reply_personal: Annotated[Switch, LOWER] = Switch.ON

    operator: Annotated[str, AfterValidator(_line)] = ""
    introduction: Annotated[Switch, LOWER] = Switch.ON

    access_allow: Annotated[Words, _ids("people, roles, channels, threads or workspaces")] = ()
    access_deny: Annotated[Words, _ids("people, roles, channels, threads or workspaces")] = ()
    access_bots: Annotated[Words, _ids("bots, apps, workflows or webhooks")] = ()
    access_external: Annotated[Switch, LOWER] = Switch.OFF

    person_requests: Quota = None
    person_tokens: Quota = 500_000
    channel_requests: Quota = None
    channel_tokens: Quota = 2_000_000

    history_exchanges: int = Field(100, ge=1, le=1000)
    history_days: float = Field(30, gt=0, le=36_500)
    encryption_keys: Annotated[tuple[SecretStr, ...], WORDS, AfterValidator(_keys)] = ()
    question_characters: int = Field(32_000, ge=100)
    file_bytes: int = Field(10_000_000, ge=1_000, le=32_000_000)
    question_bytes: int = Field(25_000_000, ge=1_000, le=200_000_000)
    files_seconds: float = Field(10, gt=0, le=300)
    inbox_limit: int = Field(20, ge=1)
    missed_minutes: float = Field(30, ge=0, le=50)  # shorter than the store remembers the id of a question
    unreadable_seconds: float = Field(180, ge=0, le=86_400)
    turn_attempts: int = Field(3, ge=1)
    turns_at_once: int = Field(200, ge=1)
    lease_seconds: float = Field(7, ge=1, le=3600)
    drain_seconds: float = Field(20, ge=0, le=86_400)

    health_port: Port | None = None
    health_host: str = "127.0.0.1"
    health_silence_seconds: float = Field(60, gt=0, le=86_400)

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "INFO"

    @property
    def encryption(self) -> Encryption:
        """The encryption of texts in Redis."""
        return Encryption([key.get_secret_value() for key in self.encryption_keys])

    @property
    def defaults(self) -> OperatorDefaults:
        """What is in effect in a channel where nobody set anything."""
        values: dict[str, Any] = {name: getattr(self, field) for name, field in _FIELDS.items()}
        return OperatorDefaults(**values, given=frozenset(name for name in _FIELDS if self.given(_FIELDS[name])))
