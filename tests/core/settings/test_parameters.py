"""Settings: the narrowest layer wins, and everybody can see where a value comes from."""

from typing import Any

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Author, Place
from core.domain.errors import UserError
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.settings.config import Config
from core.settings.parameters import Layer, Stored, checked, parameter
from core.settings.routing import address_of, conversation_of
from core.store.settings import SettingsStore

PLACE = Place("slack", "T1", "C1", "17.1")
PLATFORM_DEFAULTS = {"slack": PlatformDefaults(Memory.CHANNEL, Placement.THREAD)}


def store(redis: Redis, **environment: Any) -> SettingsStore:
    return SettingsStore(redis, Config(**environment).defaults, PLATFORM_DEFAULTS)


def value(text: str) -> Stored:
    return Stored(text, "Ann", 5.0)


async def test_layers_in_order(redis_client: Redis) -> None:
    """Default, environment, workspace, channel, thread: each overrides the one before, until its value is removed."""
    assert (await store(redis_client).of(PLACE)).origin("temperature").layer is Layer.DEFAULT
    settings = store(redis_client, nebula_temperature=0.1)
    seen = [(await settings.of(PLACE)).temperature]
    for scope, number in zip(PLACE.scopes, ("0.2", "0.3", "0.4"), strict=True):
        await settings.write(scope, "temperature", value(number))
        seen.append((await settings.of(PLACE)).temperature)
    assert seen == [0.1, 0.2, 0.3, 0.4]
    assert (await settings.of(PLACE)).origin("temperature").layer is Layer.THREAD
    assert (await settings.of(PLACE)).origin("temperature").by == "Ann"
    await settings.write(PLACE.scopes[2], "temperature", None)
    assert (await settings.of(PLACE)).origin("temperature").layer is Layer.CHANNEL


async def test_channels_are_kept_apart(redis_client: Redis) -> None:
    """A channel's value applies to no other channel; a workspace's value applies to all its channels, nowhere else."""
    settings = store(redis_client)
    await settings.write("slack/T1/C1", "prompt", value("pirate"))
    await settings.write("slack/T1", "model", value("m"))
    assert (await settings.of(Place("slack", "T1", "C2"))).prompt != "pirate"
    assert (await settings.of(Place("slack", "T1", "C2"))).model == "m"
    assert (await settings.of(Place("slack", "T2", "C1"))).model != "m"


async def test_value_that_no_longer_parses_is_ignored(redis_client: Redis) -> None:
    """A value stored by another version must not silence the channel."""
    settings = store(redis_client)
    await settings.write("slack/T1/C1", "temperature", value("warm"))
    await settings.write("slack/T1/C1", "unheard_of", value("1"))
    assert (await settings.of(PLACE)).temperature is None


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("temperature", "3", "a number from 0 to 2"),
        ("temperature", "nan", "a number from 0 to 2"),
        ("top_p", "0", "a number from 0.01 to 1"),
        ("max_tokens", "-1", "a whole number"),
        ("max_tokens", "²", "a whole number"),
        ("memory", "brain", "one of: channel, thread"),
        ("prompt", "", "a text of 1 to"),
        ("prompt", "x" * 12_001, "a text of 1 to"),
    ],
)
def test_wrong_value_is_explained(name: str, text: str, sentence: str) -> None:
    """An impossible value is refused, with what it must be."""
    with pytest.raises(UserError, match=sentence):
        checked(parameter(name), text)


def test_unknown_parameter_names_the_known() -> None:
    """Somebody who guesses learns which settings exist."""
    with pytest.raises(UserError, match="`temperature`"):
        parameter("heat")


@pytest.mark.parametrize(
    ("place", "memory", "replies", "conversation"),
    [
        (Place("slack", "T1", "C1"), "channel", "thread", "slack/T1/C1"),
        (Place("slack", "T1", "C1", "9"), "channel", "thread", "slack/T1/C1"),
        (Place("slack", "T1", "C1", "9"), "thread", "thread", "slack/T1/C1/9"),
        (Place("slack", "T1", "C1"), "thread", "thread", "slack/T1/C1/17"),
        (Place("slack", "T1", "C1"), "thread", "channel", "slack/T1/C1"),
        (Place("slack", "T1", "D1", direct=True), "thread", "thread", "slack/T1/D1"),
    ],
)
async def test_conversation(redis_client: Redis, place: Place, memory: str, replies: str, conversation: str) -> None:
    """Memory decides whether a thread, including one that the reply opens, is a conversation of its own."""
    settings = store(redis_client)
    await settings.write(place.scopes[1], "memory", value(memory))
    await settings.write(place.scopes[1], "replies", value(replies))
    question = Question(TurnId("m"), place, Author("U1", "Ann"), "hi", message="17")
    resolved = await settings.of(place)
    assert conversation_of(question, resolved).name == conversation
    assert address_of(question, resolved).message == "17"


async def test_direct_messages_are_answered_next_to_the_question(redis_client: Redis) -> None:
    """The reply can't disturb anybody else there."""
    settings = store(redis_client)
    assert (await settings.of(Place("slack", "T1", "D1", direct=True))).replies is Placement.CHANNEL
    assert (await settings.of(PLACE)).replies is Placement.THREAD
