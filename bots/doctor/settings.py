"""What is to be said of the configuration itself: which .env was read, what in it is doubtful, and the limits."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bots.compose import user_limits
from core.finding import Finding, Verdict, bad, note, well
from core.settings.config import Config
from core.settings.env_file import NAME, elsewhere
from core.settings.environment import Environment, Reading

LIMITS = "limits"
CONFIGURATION = "configuration"
SETUP = "`make setup` (`nebula-bot setup`)"
_ROOT = Path(__file__).parents[2]  # of a checkout


def astray(environment: Environment) -> bool:
    """Whether there is no .env and no key, but a file elsewhere that was probably meant: the rest follows from that."""
    file = environment.file
    looked = file.path if file.values is None and not file.found else None
    return looked is not None and not environment.secrets and elsewhere(looked, _ROOT) is not None


def env_file(environment: Environment) -> Iterator[Finding]:
    """Which .env was read, or where one was looked for, and what is doubtful about it and the environment."""
    file = environment.file
    if file.values is not None:
        count = len(file.values)
        yield well(NAME, f"{file.path}, {count} setting{'s' * (count != 1)}")
    elif file.path is not None and not file.found:
        text = f"there is no {file.path}; {environment.count} settings are in the environment"
        other = elsewhere(file.path, _ROOT)
        if other and astray(environment):
            yield bad(NAME, text, f"there is a {other}: start the bot in its folder, or call the file {NAME}")
        else:
            mend = "" if environment.secrets else f"{SETUP} asks for what is needed, and writes it"
            yield note(NAME, text, f"{other} is not read" if other else mend or "none is needed beside them")
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


def explained(reading: Reading, *names: str) -> bool:
    """Whether it was already said why there is none of these variables: .env can't be read, or a problem or a doubt
    names one of them."""
    environment = reading.environment
    if environment.file.found and environment.file.values is None:
        return True
    doubtful = [f"{each.text} {each.mend}" for each in environment.doubts if each.verdict is Verdict.BAD]
    return any(name in sentence for sentence in (*reading.problems, *doubtful) for name in names)


def platforms(names: Sequence[str], tokens: Sequence[str], *, follows: bool = False) -> Finding:
    """Which platforms have tokens. `tokens`: the variables that switch each of all platforms on. `follows`: if there
    are none, it was already said why."""
    if names:
        return well(CONFIGURATION, f"tokens for {' and '.join(names)}")
    if follows:
        return note(CONFIGURATION, "no platform has tokens")
    mend = f"run {SETUP}, or put into .env: {', or '.join(tokens)}"
    return bad(CONFIGURATION, "no platform has tokens", mend)


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
