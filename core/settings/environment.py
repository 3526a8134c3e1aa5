"""Reads the environment and .env into sections, one for each owner; a wrong configuration reports all problems at once.

A section imports no library of its platform: it is read whether or not the platform is used.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError, create_model, model_validator

from core.domain.errors import NebulaBotError
from core.finding import Finding
from core.settings.env_file import EnvFile, read_env_file
from core.settings.names import SECRETS, Known, doubts, meant, misspelt


class WrongConfig(NebulaBotError):
    """The configuration can't be used. `problems` are sentences that say what to do."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Section(BaseModel):
    """The variables of one owner, in lower case. No two sections have one of the same name.

    `shapes`: how a secret of each variable looks, as a regular expression for its beginning.
    """

    model_config = ConfigDict(extra="ignore", validate_by_name=True, defer_build=True)
    shapes: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The names of variables count as those of the fields, and a value of blanks alone is none."""
        named = {low if (low := name.lower()) in cls.model_fields else name: value for name, value in values.items()}
        return {name: value for name, value in named.items() if not isinstance(value, str) or value.strip()}

    def given(self, field: str) -> bool:
        """Whether the environment or .env sets this field."""
        return field in self.model_fields_set


S = TypeVar("S", bound=Section)


class Environment:
    """A configuration without problems, from which each owner gets its own section. `file`: the .env that was read;
    `doubts`: what is probably a mistake, but may be meant for others."""

    def __init__(
        self, values: Mapping[str, Any], given: Set[str], file: EnvFile | None = None, doubts: tuple[Finding, ...] = ()
    ) -> None:
        """`values` of all fields; `given`: those that the environment or .env sets."""
        self._values, self._given = values, given
        self.file, self.doubts = file or EnvFile(), doubts

    @property
    def count(self) -> int:
        """How many settings the environment and .env set."""
        return len(self._given)

    @property
    def secrets(self) -> bool:
        """Whether they set any key or token."""
        return any(name.upper().endswith(SECRETS) for name in self._given)

    def of(self, section: type[S]) -> S:
        """The values of this section. It must be one of those that were read."""
        names = section.model_fields.keys()
        return section.model_construct(_fields_set=self._given & names, **{name: self._values[name] for name in names})


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration, with the defaults in place of what is wrong in it, and the sentences that say what that is."""

    environment: Environment
    problems: tuple[str, ...]


def read(
    sections: Sequence[type[Section]],
    env_file: Path | None,
    incomplete: Callable[[Set[str]], Iterable[str]] = lambda given: (),
) -> Environment:
    """Read these sections, all at once; the environment overrides `env_file`, with empty values too. Raises
    WrongConfig.

    `incomplete` gets the names of all variables that are set and says which others they need.
    """
    reading = examined(sections, env_file, incomplete)
    if reading.problems:
        raise WrongConfig(reading.problems)
    return reading.environment


def examined(
    sections: Sequence[type[Section]],
    env_file: Path | None,
    incomplete: Callable[[Set[str]], Iterable[str]] = lambda given: (),
) -> Reading:
    """Like `read`, but goes on in spite of problems."""
    file = read_env_file(env_file)
    in_file = file.values or {}
    around = {name.upper(): value.strip() for name, value in os.environ.items()}
    texts = {name: value for name, value in {**in_file, **around}.items() if value}
    known = _known(sections)
    everything = create_model("Everything", __base__=tuple(sections))
    values = {field: text for field, names in _names(everything) if (text := _first(texts, names))}
    wrong = dict(_wrong(everything, values))
    odd = {name: why for name in known.names & texts.keys() if (why := _odd(name, texts[name], known))}
    problems = [*file.problems, *(f"{field.upper()}: {why}." for field, why in wrong.items())]
    problems += [f"{name}: {why}." for name, why in sorted(odd.items()) if name.lower() not in wrong]
    problems += misspelt(in_file, known, texts.keys())
    if not file.found or file.values is not None:
        problems += incomplete(texts.keys() | meant(in_file, known, texts.keys()))
    # What can't be right is not tried: whoever gets it would refuse it, for another reason.
    wrong.update((field, odd[name]) for field, names in _names(everything) for name in names if name in odd)
    whole = everything(**{field: text for field, text in values.items() if field not in wrong})
    found = {name: getattr(whole, name) for name in everything.model_fields}
    unsure = (*file.doubts, *doubts(around, known, texts.keys()))
    return Reading(Environment(found, whole.model_fields_set, file, unsure), tuple(problems))


def variables(sections: Iterable[type[Section]]) -> set[str]:
    """The names of all variables that these sections read; a few fields have several."""
    return {name for section in sections for _, names in _names(section) for name in names}


def misplaced(sections: Iterable[type[Section]], name: str, text: str) -> str:
    """Why this can't be the secret that belongs in this variable, such as one of another kind; "" if it may be."""
    return _odd(name, text, _known(sections)) if text else ""


def _known(sections: Iterable[type[Section]]) -> Known:
    sections = tuple(sections)
    shapes = [(shape, name) for each in sections for name, shape in each.shapes.items()]
    return Known(frozenset(variables(sections)), shapes)


def _names(section: type[BaseModel]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each field with the names of its variables, of which the first one that has a value counts."""
    for name, field in section.model_fields.items():
        alias = field.validation_alias
        more = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []
        yield name, tuple(dict.fromkeys((name.upper(), *more)))


def _first(texts: Mapping[str, str], names: Sequence[str]) -> str:
    return next((texts[name] for name in names if name in texts), "")


def _wrong(everything: type[BaseModel], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The fields with a value that they can't have, and why."""
    try:
        everything(**values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            yield str(detail["loc"][0]).lower(), reason(detail)


def _odd(name: str, text: str, known: Known) -> str:
    """Why this can't be the secret that belongs here, "" if it may be."""
    if not name.endswith(SECRETS):
        return ""
    if (whose := known.owner(text)) and whose != name and (whose, name) != ("NEBULA_API_KEY", "NEBULA_API_TOKEN"):
        return f"it looks like what belongs in {whose}"
    if text[0] in "\"'<" or not re.fullmatch("(Bot )?[!-~]+", text):
        return "it contains quotation marks, a space or a character that no token has: copy it anew"
    return ""


def reason(detail: Any) -> str:
    """Pydantic's message in our words: what the value must be, never the value itself, which may be a secret."""
    text = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "float_parsing":
            return "it must be a number"
        case "int_parsing" | "int_from_float":
            return "it must be a whole number"
        case _:
            return text.replace("Input should be", "it must be")
