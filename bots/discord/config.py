"""The variables of the Discord adapter."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, SecretStr

from bots.adapter import AdapterConfig
from core.domain.options import Switch
from core.settings.fields import LOWER, Http, Words, address, managers


def _shards(value: str | None) -> str | None:
    """`0-3/8`: a range of numbers below the number after the slash."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?/(\d+)", value.replace(" ", ""))
    if not found or not int(found[1]) <= int(found[2] or found[1]) < int(found[3]):
        raise ValueError("write 0-3/8 for the shards 0 to 3 of 8 (they count from 0), or 0/2 for the first of two")
    return found[0]


def _bare(value: SecretStr | None) -> SecretStr | None:
    """The token alone: some examples have it behind the word that goes before it in a request."""
    return value and SecretStr(value.get_secret_value().strip().removeprefix("Bot ").strip())


class DiscordConfig(AdapterConfig):
    """What connects the bot to Discord; .env.example explains it."""

    title: ClassVar[str] = "Discord"
    tokens: ClassVar[str] = "DISCORD_TOKEN"
    switch: ClassVar[str] = "discord_token"
    channel_ids: ClassVar[str] = "[0-9]+"
    # the bot's id in Base64, a time and a signature
    shapes: ClassVar[Mapping[str, str]] = {"DISCORD_TOKEN": r"(Bot )?[\w-]{23,30}\.[\w-]{5,8}\.[\w-]{25,}$"}

    discord_token: Annotated[SecretStr | None, AfterValidator(_bare)] = None
    discord_api_url: Http = "https://discord.com/api/v10"
    discord_gateway_url: Annotated[str, address("ws", "wss")] = "wss://gateway.discord.gg/"
    discord_shards: Annotated[str | None, AfterValidator(_shards)] = None
    discord_managers: Annotated[
        Words, managers(r"\d+", "manage_channels", "manage_guild", "administrator", "everyone")
    ] = ("manage_channels", "manage_guild")
    discord_user_install: Annotated[Switch, LOWER] = Switch.OFF
