"""Reads the environment and .env into sections, one for each owner; a wrong configuration reports all problems at once.

A section imports no library of its platform: it is read whether or not the platform is used.
"""

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import AliasChoices, ValidationError, create_model, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.errors import NebulaBotError

_SECRETS = ("_TOKEN", "_KEY", "_SECRET")
_ENCODING = "utf-8-sig"  # some editors begin a file with a byte order mark


class WrongConfig(NebulaBotError):
    """The configuration can't be used. `problems` are sentences that say what to do."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Section(BaseSettings):
    """The variables of one owner, in lower case. No two sections have one of the same name."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", enable_decoding=False, validate_by_name=True, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """A value of blanks alone is none."""
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    def given(self, field: str) -> bool:
        """Whether the environment or .env sets this field."""
        return field in self.model_fields_set


S = TypeVar("S", bound=Section)


class Environment:
    """A configuration without problems, from which each owner gets its own section."""

    def __init__(self, values: Mapping[str, Any], given: Set[str]) -> None:
        """`values` of all fields; `given`: those that the environment or .env sets."""
        self._values, self._given = values, given

    def of(self, section: type[S]) -> S:
        """The values of this section. It must be one of those that were read."""
        names = section.model_fields.keys()
        return section.model_construct(_fields_set=self._given & names, **{name: self._values[name] for name in names})


def read(
    sections: Sequence[type[Section]],
    env_file: Path | None,
    incomplete: Callable[[Set[str]], Iterable[str]] = lambda given: (),
) -> Environment:
    """Read these sections, all at once; the environment overrides `env_file`. Raises WrongConfig.

    `incomplete` gets the names of all variables that are set and says which others they need.
    """
    in_file = _contents(env_file)
    given = {name.upper() for name, value in {**in_file, **os.environ}.items() if value and value.strip()}
    everything = create_model("Everything", __base__=tuple(sections))
    problems = [*incomplete(given), *_misspelt(in_file, variables(sections))]
    try:
        whole = everything(_env_file=env_file, _env_file_encoding=_ENCODING)  # type: ignore[call-arg]
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems = [f"{str(detail['loc'][0]).upper()}: {_reason(detail)}." for detail in details] + problems
        raise WrongConfig(tuple(problems)) from None
    if problems:
        raise WrongConfig(tuple(problems))
    return Environment({name: getattr(whole, name) for name in everything.model_fields}, whole.model_fields_set)


def _contents(env_file: Path | None) -> Mapping[str, str | None]:
    """What is in a .env; nothing if there is none. Raises WrongConfig if it can't be read."""
    if env_file is None or not (env_file.is_file() or env_file.is_dir()):
        return {}
    try:
        with env_file.open(encoding=_ENCODING) as stream:
            return dotenv_values(stream=stream)
    except UnicodeDecodeError:
        problem = f"{env_file} is not in UTF-8: save it anew in this encoding."
    except OSError as error:
        problem = f"{env_file} can't be read ({error.strerror}): it must be a file that the bot may read."
    raise WrongConfig((problem,))


def variables(sections: Iterable[type[Section]]) -> set[str]:
    """The names of all variables that these sections read; a few fields have several."""
    names = set()
    for section in sections:
        for name, field in section.model_fields.items():
            names.add(name.upper())
            if isinstance(field.validation_alias, AliasChoices):
                names |= {str(choice) for choice in field.validation_alias.choices}
    return names


def _misspelt(in_file: Mapping[str, str | None], known: Collection[str]) -> list[str]:
    """Problems with names in .env that are almost ours: misspelt variables that would otherwise be ignored silently.

    A name that begins like one of our secrets, such as SLACK_, is meant for us however it goes on.
    """
    secrets = {name.split("_")[0] for name in known if name.endswith(_SECRETS)}
    problems = []
    for name in in_file:
        ours = name.upper().split("_")[0] in secrets
        near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.6 if ours else 0.85)
        if name.upper() not in known and (near or ours):
            hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists all settings."
            problems.append(f"{name} in .env is not a setting; {hint}")
    return problems


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
