"""The variables of this adapter."""

from collections.abc import Set
from typing import ClassVar

from pydantic import Field, SecretStr

from bots.adapter import AdapterConfig


class CampfireConfig(AdapterConfig):
    """What connects the bot to the chat."""

    title: ClassVar[str] = "Campfire"
    tokens: ClassVar[str] = "CAMPFIRE_TOKEN + CAMPFIRE_ROOM"
    switch: ClassVar[str] = "campfire_token"

    campfire_token: SecretStr | None = None
    campfire_room: str = ""
    campfire_length: int = Field(2000, ge=100)

    @classmethod
    def incomplete(cls, given: Set[str]) -> list[str]:
        alone = "CAMPFIRE_TOKEN" in given and "CAMPFIRE_ROOM" not in given
        return ["CAMPFIRE_ROOM is missing: the bot speaks in one room."] if alone else []
