"""Reads the environment and .env into one typed value; a wrong configuration reports all problems at once."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.errors import NebulaBotError
from core.domain.options import EditPolicy, Overlap, Reasoning, Streaming, Switch
from core.settings.encryption import Encryption

DEFAULT_PROMPT = (
    "You are Nebula, a helpful assistant in a chat. Answer in the language of the question, "
    "to the point, and in Markdown where it helps."
)


class WrongConfig(NebulaBotError):
    """The configuration can't be used. `problems` are sentences that say what to do."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _address(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


def _token(prefix: str, where: str) -> AfterValidator:
    """The prefix of a Slack token shows its kind; only a token of another kind is refused."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value().startswith(tuple({"xoxb-", "xapp-", "xoxp-"} - {prefix})):
            raise ValueError(f"it must be the token that begins with {prefix} ({where})")
        return value

    return AfterValidator(check)


def _words(value: object) -> object:
    """`admins, U123` → ("admins", "U123")."""
    return tuple(word for word in value.replace(",", " ").split()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _squeezed(value: object) -> object:
    """`Engineer 1` → "engineer1"."""
    return "".join(value.lower().split()) if isinstance(value, str) else value


def _managers(ids: str, *words: str) -> AfterValidator:
    """Accepts known words, and whatever looks like an id of the platform."""

    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [word for word in value if word not in words and not re.fullmatch(ids, word)]:
            raise ValueError(f"{', '.join(unknown)} is not known; write {', '.join(words)}, or ids")
        return value

    return AfterValidator(check)


def _shards(value: str | None) -> str | None:
    """`0-3/8`: a range of numbers below the number after the slash."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?/(\d+)", value.replace(" ", ""))
    if not found or not int(found[1]) <= int(found[2] or found[1]) < int(found[3]):
        raise ValueError("write 0-3/8 for the shards 0 to 3 of 8 (they count from 0), or 0/2 for the first of two")
    return found[0]


def _ids(value: tuple[str, ...]) -> tuple[str, ...]:
    """Accepts a platform's ids, not names: `U024BE7LH`, `175928847299117063`, a thread's `1712.0001`."""
    if unknown := [word for word in value if not re.fullmatch(r"[A-Z][A-Z0-9]+|[0-9]+(\.[0-9]+)?", word)]:
        raise ValueError(
            f"{', '.join(unknown)} is not an id; write ids of people, roles, channels, threads or workspaces"
        )
    return value


def _keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Accepts usable keys. Raises WrongKey, whose message does not contain the key."""
    Encryption([key.get_secret_value() for key in keys])
    return keys


Http = Annotated[str, _address("http", "https")]
Count = Annotated[int, Field(ge=1)] | None
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Config(BaseSettings):
    """All variables that the bot reads, in lower case; .env.example explains them."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", enable_decoding=False)

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

    redis_url: (
        Annotated[
            str,
            _address("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        ]
        | None
    ) = None
    redis_partitions: int = Field(1, ge=1, le=1024)
    redis_server: str | None = None
    data_dir: Path = Path("data")

    slack_bot_token: Annotated[SecretStr | None, _token("xoxb-", "OAuth & Permissions → Bot User OAuth Token")] = None
    slack_app_token: Annotated[SecretStr | None, _token("xapp-", "Basic Information → App-Level Tokens")] = None
    slack_signing_secret: SecretStr | None = None
    slack_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    slack_host: str = "0.0.0.0"
    slack_sockets: int = Field(1, ge=1, le=10)
    slack_api_url: Http = "https://slack.com/api/"
    slack_managers: Annotated[
        Words, _managers(r"(?i)[UW][A-Z0-9]*[0-9][A-Z0-9]*", "admins", "creators", "everyone")
    ] = (
        "admins",
        "creators",
    )

    discord_token: SecretStr | None = None
    discord_api_url: Http = "https://discord.com/api/v10"
    discord_gateway_url: Annotated[str, _address("ws", "wss")] = "wss://gateway.discord.gg/"
    discord_shards: Annotated[str | None, AfterValidator(_shards)] = None
    discord_managers: Annotated[
        Words, _managers(r"\d+", "manage_channels", "manage_guild", "administrator", "everyone")
    ] = ("manage_channels", "manage_guild")

    reply_streaming: Annotated[Streaming, BeforeValidator(_lower)] = Streaming.AUTO
    reply_reasoning: Annotated[Reasoning, BeforeValidator(_lower)] = Reasoning.TIMER
    reply_buttons: Annotated[Switch, BeforeValidator(_lower)] = Switch.ON
    reply_footer: Annotated[Switch, BeforeValidator(_lower)] = Switch.OFF
    reply_pages: int = Field(10, ge=1)
    reply_overlap: Annotated[Overlap, BeforeValidator(_lower)] = Overlap.QUEUE
    reply_edits: Annotated[EditPolicy, BeforeValidator(_lower)] = EditPolicy.OFFER

    access_allow: Annotated[Words, AfterValidator(_ids)] = ()
    access_deny: Annotated[Words, AfterValidator(_ids)] = ()
    access_external: Annotated[Switch, BeforeValidator(_lower)] = Switch.OFF

    person_requests: Count = None
    person_tokens: Count = None
    channel_requests: Count = None
    channel_tokens: Count = None

    history_exchanges: int = Field(100, ge=1, le=1000)
    history_days: float = Field(30, gt=0, le=36_500)
    encryption_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(_words), AfterValidator(_keys)] = ()
    question_characters: int = Field(32_000, ge=100)
    inbox_limit: int = Field(20, ge=1)
    missed_minutes: float = Field(30, ge=0, le=50)  # shorter than the store remembers the id of a question
    turn_attempts: int = Field(3, ge=1)
    turns_at_once: int = Field(200, ge=1)
    lease_seconds: float = Field(7, ge=1, le=3600)
    drain_seconds: float = Field(20, ge=0, le=86_400)

    health_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    health_host: str = "127.0.0.1"
    health_silence_seconds: float = Field(60, gt=0, le=86_400)

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "INFO"

    @property
    def slack_over_http(self) -> bool:
        """Whether Slack sends events to us over HTTP; otherwise we open a socket."""
        return self.slack_signing_secret is not None and self.slack_port is not None

    @property
    def encryption(self) -> Encryption:
        """The encryption of texts in Redis."""
        return Encryption([key.get_secret_value() for key in self.encryption_keys])

    @property
    def has_slack(self) -> bool:
        return self.slack_bot_token is not None

    @property
    def has_discord(self) -> bool:
        return self.discord_token is not None

    def given(self, field: str) -> bool:
        """Whether the environment or .env sets this field."""
        return field in self.model_fields_set


def load(env_file: Path | None = Path(".env")) -> Config:
    """Load the configuration of this process; the environment overrides `env_file`. Raises WrongConfig."""
    in_file = dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
    given = {name.upper() for name, value in {**in_file, **os.environ}.items() if value and value.strip()}
    problems = _incomplete(given) + _misspelt(in_file)
    try:
        config = Config(_env_file=env_file)  # type: ignore[call-arg]
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems = [f"{_name(detail['loc'])}: {_reason(detail)}." for detail in details] + problems
        raise WrongConfig(tuple(problems)) from None
    if problems:
        raise WrongConfig(tuple(problems))
    return config


def _incomplete(given: set[str]) -> list[str]:
    """Problems with variables that others need but nobody set."""
    problems = []
    missing = {"SLACK_SIGNING_SECRET", "SLACK_PORT"} - given
    if "SLACK_APP_TOKEN" not in given and len(missing) == 1:
        problems.append(f"{missing.pop()} is missing: events over HTTP need both SLACK_SIGNING_SECRET and SLACK_PORT.")
    elif "SLACK_BOT_TOKEN" in given and "SLACK_APP_TOKEN" not in given and missing:
        problems.append(
            "SLACK_APP_TOKEN is missing: besides SLACK_BOT_TOKEN the bot needs the xapp- token (Socket Mode), "
            "or SLACK_SIGNING_SECRET and SLACK_PORT (HTTP)."
        )
    if "SLACK_APP_TOKEN" in given and "SLACK_BOT_TOKEN" not in given:
        problems.append(
            "SLACK_BOT_TOKEN is missing: with SLACK_APP_TOKEN alone the bot can't answer; add the xoxb- token."
        )
    if {"SLACK_BOT_TOKEN", "DISCORD_TOKEN"} & given and not {"NEBULA_API_KEY", "NEBULA_API_TOKEN"} & given:
        problems.append("NEBULA_API_KEY is missing: create a key at nebulablock.com (API Keys) and put it in .env.")
    return problems


def _misspelt(in_file: Mapping[str, str | None]) -> list[str]:
    """Problems with names in .env that are almost ours: misspelt variables that would otherwise be ignored silently."""
    known = {name.upper() for name in Config.model_fields} | {"NEBULA_API_TOKEN"}
    problems = []
    for name in in_file:
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.85)
        if name.upper() not in known and near:
            problems.append(f"{name} in .env is not a setting; did you mean {near[0]}?")
    return problems


def _name(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper()


def _reason(detail: Any) -> str:
    """Pydantic's message in our words: what the value must be, never the value itself, which may be a secret."""
    text = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "float_parsing":
            return "it must be a number"
        case "int_parsing" | "int_from_float":
            return "it must be a whole number"
        case _:
            return text.replace("Input should be", "it must be")
