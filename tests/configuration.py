"""Configurations for tests: the defaults, with a few values that differ."""

from dataclasses import dataclass
from typing import Any

from bots.discord.config import DiscordConfig
from bots.slack.config import SlackConfig
from core.settings.config import Config
from core.settings.environment import S


@dataclass(frozen=True, slots=True)
class Configuration:
    """A section for each owner."""

    core: Config
    slack: SlackConfig
    discord: DiscordConfig


def configured(**values: Any) -> Configuration:
    """A configuration with these values, each in the section that has a field of this name."""

    def section(kind: type[S]) -> S:
        return kind(**{name: values.pop(name) for name in values.keys() & kind.model_fields.keys()})

    found = Configuration(section(Config), section(SlackConfig), section(DiscordConfig))
    assert not values, f"no section has {', '.join(values)}"
    return found
