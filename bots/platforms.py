"""The table of platforms: the only place that names them all. It loads the configuration and builds their adapters."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bots.adapter import Adapter, AdapterConfig
from bots.discord.config import DiscordConfig
from bots.slack.config import SlackConfig
from core.settings.config import Config
from core.settings.environment import Environment, Reading, Section, examined, read

C = TypeVar("C", bound=AdapterConfig)


@dataclass(frozen=True, slots=True)
class Entry(Generic[C]):
    """A platform: its section of the configuration, and what builds its adapter from that."""

    config: type[C]
    build: Callable[[C], Adapter]


# The adapters are imported when they are built: the libraries of a platform without tokens are not even loaded.
def _slack(config: SlackConfig) -> Adapter:
    from bots.slack.app import Slack

    return Slack(config)


def _discord(config: DiscordConfig) -> Adapter:
    from bots.discord.app import Discord

    return Discord(config)


Table = Sequence[Entry[Any]]
PLATFORMS: Table = (Entry(SlackConfig, _slack), Entry(DiscordConfig, _discord))


def sections(platforms: Table = PLATFORMS) -> list[type[Section]]:
    """All that is read: the core's variables, and those of each platform."""
    return [Config, *(each.config for each in platforms)]


def load(env_file: Path | None = Path(".env"), platforms: Table = PLATFORMS) -> Environment:
    """Load the configuration of this process; the environment overrides `env_file`. Raises WrongConfig."""
    return read(sections(platforms), env_file, _incomplete(platforms))


def look_through(env_file: Path | None = Path(".env"), platforms: Table = PLATFORMS) -> Reading:
    """Load the configuration in spite of problems; never raises."""
    return examined(sections(platforms), env_file, _incomplete(platforms))


def _incomplete(platforms: Table) -> Callable[[Set[str]], list[str]]:
    """What the variables that are set need besides."""
    configs: list[type[AdapterConfig]] = [each.config for each in platforms]

    def incomplete(given: Set[str]) -> list[str]:
        problems = [problem for config in configs for problem in config.incomplete(given)]
        on = any(config.switch.upper() in given for config in configs)
        if on and not {"NEBULA_API_KEY", "NEBULA_API_TOKEN"} & given:
            problems.append("NEBULA_API_KEY is missing: create a key at nebulablock.com (API Keys) and put it in .env.")
        return problems

    return incomplete


def switched_on(environment: Environment, platforms: Table = PLATFORMS) -> Table:
    """The platforms that have tokens."""
    return [each for each in platforms if environment.of(each.config).on]


def adapters(environment: Environment, platforms: Table = PLATFORMS) -> list[Adapter]:
    """The adapters of the platforms that have tokens."""
    return [each.build(environment.of(each.config)) for each in switched_on(environment, platforms)]
