"""What is to be said of the configuration itself: which .env was read, what in it is doubtful, and the limits."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bots.compose import user_limits
from core.finding import Finding, bad, note, well
from core.settings.config import Config
from core.settings.env_file import NAME, elsewhere
from core.settings.environment import Environment

LIMITS = "limits"
CONFIGURATION = "configuration"
_ROOT = Path(__file__).parents[2]  # of a checkout


def env_file(environment: Environment) -> Iterator[Finding]:
    """Which .env was read, or where one was looked for, and what is doubtful about it and the environment."""
    file = environment.file
    if file.values is not None:
        count = len(file.values)
        yield well(NAME, f"{file.path}, {count} setting{'s' * (count != 1)}")
    elif file.path is not None and not file.found:
        text = f"there is no {file.path}; {environment.count} settings are in the environment"
        other = elsewhere(file.path, _ROOT)
        if other and not environment.secrets:
            yield bad(NAME, text, f"there is a {other}: start the bot in its folder, or call the file {NAME}")
        else:
            yield note(NAME, text, f"{other} is not read" if other else "")
    yield from environment.doubts


def known(environment: Environment) -> list[Finding]:
    """What a start says of its configuration."""
    return [*env_file(environment), limits(environment.of(Config))]


def problems(sentences: Sequence[str]) -> Iterator[Finding]:
    """What must be mended before the bot can start."""
    for sentence in sentences:
        mark = "; " if "; " in sentence else ": "
        text, _, mend = sentence.rstrip(".").partition(mark)
        if " " in text:
            yield bad(CONFIGURATION, text, mend)
        else:  # a variable, and what its value must be
            yield bad(CONFIGURATION, f"{text}: {mend}", "correct it; docs/settings.md explains each setting")


def platforms(names: Sequence[str], tokens: Sequence[str]) -> Finding:
    """Which platforms have tokens. `tokens`: the variables that switch each of all platforms on."""
    if names:
        return well(CONFIGURATION, f"tokens for {' and '.join(names)}")
    return bad(CONFIGURATION, "no platform has tokens", f"put into .env: {', or '.join(tokens)}")


def limits(config: Config) -> Finding:
    """What people may use, and of whose money."""
    said = user_limits(config).sentence
    if said:
        return well(LIMITS, said)
    return note(LIMITS, "nobody has a limit", "set PERSON_TOKENS and CHANNEL_TOKENS, so that a mistake stays cheap")


def addresses(config: Config) -> Iterator[Finding]:
    """Where this process can be looked at."""
    if config.health_port is not None:
        yield well("health", f"http://{config.health_host}:{config.health_port}/readyz")
