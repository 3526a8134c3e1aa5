"""The settings of a channel: the table of parameters, and how each value is found, together with its origin."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from core.domain.conversation import Place
from core.domain.errors import UserError
from core.domain.options import (
    Context,
    EditPolicy,
    Listen,
    Memory,
    OldHistory,
    Overlap,
    Placement,
    PlatformDefaults,
    Reasoning,
    Streaming,
    Switch,
)
from core.settings.locales import language_name, timezone_name
from core.settings.presets import CONTENTS, PRESET, Preset, referred
from core.text import as_code, harmless

DAY_SECONDS = 86_400.0
# Beside the parameters of a scope: whether the bot is muted there. Its value is that it is there.
MUTED = "muted"
# Of a workspace: what it suggests to people to ask where a chat begins, one on each line.
SUGGESTIONS = "suggestions"


class Layer(StrEnum):
    """Where a value comes from; each layer overrides those above it in this list.

    A workspace, a channel or a thread may use a preset: its values belong to the layer that uses it, whose own ones
    override them. The layer of a person counts for their own questions only, and only where `personal` is on.
    """

    DEFAULT = "default"  # the bot's own, or the platform's
    ENVIRONMENT = "environment"  # the operator's
    WORKSPACE = "workspace"
    CHANNEL = "channel"
    PERSON = "person"
    THREAD = "thread"
    QUESTION = "question"  # its model alone


PERSONAL = ("model", "temperature", "reasoning", "language")
"""The parameters that people can set for their own questions."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The layer of a value and, for the layers that people set, who set it and when (epoch seconds). `preset`: the one
    that holds it, "" if the layer itself does. `where`: what the platform calls the layer."""

    layer: Layer
    by: str = ""
    at: float = 0.0
    preset: str = ""
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """A value that somebody set in the chat, as text; `at` is in epoch seconds."""

    value: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class LayerEntries:
    """What people set in one layer, by name. `preset`: the one that it uses, as it is now; None for none, also if it
    was deleted."""

    layer: Layer
    own: Mapping[str, Stored]
    preset: Preset | None = None


@dataclass(frozen=True, slots=True)
class UsedPreset:
    """A preset that a layer uses. `found`: false if it was deleted."""

    name: str
    origin: Origin
    found: bool


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The values in effect in one place. None leaves a model parameter to the server. `retention` is in days. `muted`:
    the layers in which somebody muted the bot. `suggestions`: those of the workspace (see PlatformDefaults).
    `usual_model`: the one that answers the questions of people who chose none for themselves."""

    prompt: str
    model: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    memory: Memory
    replies: Placement
    streaming: Streaming = Streaming.AUTO
    reasoning: Reasoning = Reasoning.TIMER
    buttons: Switch = Switch.ON
    footer: Switch = Switch.OFF
    overlap: Overlap = Overlap.QUEUE
    parallel: int = 8
    edits: EditPolicy = EditPolicy.OFFER
    context: Context = Context.THREAD
    retention: float | None = None
    listen: Listen = Listen.FOLLOWUPS
    history: OldHistory = OldHistory.SUMMARY
    language: str | None = None
    timezone: str = "UTC"
    personal: Switch = Switch.ON
    muted: frozenset[Layer] = frozenset()
    suggestions: tuple[str, ...] = ()
    origins: tuple[tuple[str, Origin], ...] = ()
    presets: tuple[UsedPreset, ...] = ()
    usual_model: str = ""

    @property
    def keep(self) -> float | None:
        """How many seconds things are remembered; None: as long as the operator says."""
        return None if self.retention is None else self.retention * DAY_SECONDS

    def origin(self, parameter: str) -> Origin:
        """Return where the value of this parameter comes from."""
        return dict(self.origins)[parameter]

    def with_model(self, model: str) -> "ChannelSettings":
        """These settings for a question that names its model; "" for one that does not."""
        if not model:
            return self
        origins = {**dict(self.origins), "model": Origin(Layer.QUESTION)}
        return replace(self, model=model, origins=tuple(origins.items()), usual_model=self.usual_model or self.model)


@dataclass(frozen=True, slots=True)
class OperatorDefaults:
    """The values in effect where nobody set others in the chat, each by the name of its parameter. `given`: names of
    those that the operator chose; the others are the bot's own. `retention` is in days."""

    prompt: str
    model: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    streaming: Streaming
    reasoning: Reasoning
    buttons: Switch
    footer: Switch
    overlap: Overlap
    parallel: int
    edits: EditPolicy
    context: Context
    retention: float
    listen: Listen
    history: OldHistory
    language: str | None = None
    timezone: str = "UTC"
    personal: Switch = Switch.ON
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that people can set. `parse` raises ValueError, saying what the value must be."""

    name: str
    title: str
    parse: Callable[[str], Any]
    choices: tuple[str, ...] = ()


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high:,}")
        return int(text)

    return parse


def _one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError(f"one of: {', '.join(kind)}") from None

    return parse


def _text(longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        text = harmless(text)
        if not 1 <= len(text) <= longest:
            raise ValueError(f"a text of 1 to {longest:,} characters")
        return text

    return parse


def _name(text: str) -> str:
    text = text.strip("\"'` ")
    if not re.fullmatch(r"[!-_a-~]{1,200}", text):  # printable ASCII without spaces and backticks
        raise ValueError("the name of a model: letters, digits and signs, without spaces")
    return text


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("prompt", "system prompt", _text(12_000)),
    Parameter("model", "model that answers", _name),
    Parameter("temperature", "how freely words are chosen: 0 = focused, 2 = random", _number(0, 2)),
    Parameter("top_p", "share of the likeliest words to choose from", _number(0.01, 1)),
    Parameter("max_tokens", "longest answer, in tokens", _count(1, 1_000_000)),
    Parameter("memory", "what shares a memory: the channel, or each thread", _one_of(Memory), tuple(Memory)),
    Parameter("replies", "where replies go: a thread, or the channel", _one_of(Placement), tuple(Placement)),
    Parameter("streaming", "how replies grow on screen", _one_of(Streaming), tuple(Streaming)),
    Parameter(
        "reasoning",
        "how much of the model's thinking is shown",
        _one_of(Reasoning),
        tuple(Reasoning),
    ),
    Parameter("buttons", "buttons under replies", _one_of(Switch), tuple(Switch)),
    Parameter("footer", "model, tokens and time under replies", _one_of(Switch), tuple(Switch)),
    Parameter("overlap", "what happens to questions during an answer", _one_of(Overlap), tuple(Overlap)),
    Parameter("parallel", "how many answers are written at once, in threads or to different people", _count(1, 16)),
    Parameter(
        "edits",
        "what happens to an answer when its question changes",
        _one_of(EditPolicy),
        tuple(EditPolicy),
    ),
    Parameter(
        "context",
        "what I read of what others say: nothing, the thread, or also the channel",
        _one_of(Context),
        tuple(Context),
    ),
    Parameter("retention", "how many days I remember things", _number(0.01, 3650)),
    Parameter("listen", "which messages without a mention I answer", _one_of(Listen), tuple(Listen)),
    Parameter(
        "history",
        "what I keep in mind of old questions that no longer fit: a summary, or nothing",
        _one_of(OldHistory),
        tuple(OldHistory),
    ),
    Parameter("language", "language of the answers", language_name),
    Parameter("timezone", "time zone of {date} in a system prompt", timezone_name),
    Parameter("personal", "whether people's own defaults count here", _one_of(Switch), tuple(Switch)),
)
_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def parameter(name: str) -> Parameter:
    """Find a parameter by name. Raises UserError, which lists all parameters."""
    found = _BY_NAME.get(name.strip().lower().replace("-", "_"))
    if found is None:
        known = ", ".join(f"`{each.name}`" for each in PARAMETERS)
        shown = as_code(name[:50])
        raise UserError(f"There is no setting `{shown}`. You can set {known}.")
    return found


def checked(wanted: Parameter, text: str) -> str:
    """Return the value as it is stored. Raises UserError, which says what the value must be."""
    try:
        return str(wanted.parse(text))
    except ValueError as error:
        raise UserError(f"`{wanted.name}` must be {error}, or `default`.") from None


def resolve(
    place: Place, operator: OperatorDefaults, defaults: PlatformDefaults, stored: Sequence[LayerEntries]
) -> ChannelSettings:
    """Find the values in effect in this place: the narrowest layer that sets a value wins.

    `stored`: in the order of the layers. A stored value that no longer parses (from a newer or older version) is
    ignored.
    """
    values: dict[str, Any] = {each.name: getattr(operator, each.name) for each in fields(operator)}
    given = values.pop("given")
    origins = {each.name: Origin(Layer.ENVIRONMENT if each.name in given else Layer.DEFAULT) for each in PARAMETERS}
    values["memory"] = defaults.memory
    # In a direct message there is nobody else to disturb: the reply goes next to the question.
    values["replies"] = Placement.CHANNEL if place.direct else defaults.replies
    usual = values["model"]
    refused = _refuses_people(operator, stored)
    for each in stored:
        if each.layer is Layer.PERSON and refused:
            continue
        for name, value, origin in _values(each):
            values[name], origins[name] = value, replace(origin, where=called(each.layer, defaults))
            if name == "model" and each.layer is not Layer.PERSON:
                usual = value
    muted = frozenset(each.layer for each in stored if MUTED in each.own)
    return ChannelSettings(
        **values,
        muted=muted,
        suggestions=_suggested(defaults, stored),
        origins=tuple(origins.items()),
        presets=tuple(_used(stored, defaults)),
        usual_model=usual,
    )


def _values(entries: LayerEntries) -> Iterator[tuple[str, Any, Origin]]:
    """The values of one layer with their origins: those of its preset, and then its own."""
    layer, preset = entries.layer, entries.preset
    found = []
    if preset:
        origin = Origin(layer, preset.by, preset.at, preset.name)
        found += [(name, text, origin) for name, text in preset.values if name in CONTENTS]
    found += [(name, each.value, Origin(layer, each.by, each.at)) for name, each in entries.own.items()]
    for name, text, origin in found:
        if name in _BY_NAME and (layer is not Layer.PERSON or name in PERSONAL):
            try:
                value = _BY_NAME[name].parse(text)
            except ValueError:
                continue
            yield name, value, origin


def _refuses_people(operator: OperatorDefaults, stored: Sequence[LayerEntries]) -> bool:
    """Whether people's own defaults do not count: places decide that, and so it is known before those are looked at."""
    personal = operator.personal
    for each in stored:
        for name, value, _ in _values(each):
            personal = value if name == "personal" else personal
    return personal is Switch.OFF


def _used(stored: Sequence[LayerEntries], defaults: PlatformDefaults) -> Iterator[UsedPreset]:
    for each in stored:
        if (use := each.own.get(PRESET)) and each.layer is not Layer.PERSON:
            origin = Origin(each.layer, use.by, use.at, where=called(each.layer, defaults))
            yield UsedPreset(referred(use.value)[0], origin, each.preset is not None)


def called(layer: Layer, defaults: PlatformDefaults) -> str:
    """What people of a platform call a layer."""
    return defaults.workspace if layer is Layer.WORKSPACE else str(layer)


def _suggested(defaults: PlatformDefaults, stored: Sequence[LayerEntries]) -> tuple[str, ...]:
    """What the workspace suggests to ask, where the platform has a place to show it."""
    own = (each.own.get(SUGGESTIONS) for each in stored if each.layer is Layer.WORKSPACE)
    found = next((each.value for each in own if each), "") if defaults.suggestions else ""
    return tuple(filter(None, found.split("\n"))) or defaults.suggestions
