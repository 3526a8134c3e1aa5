"""The order of origins, as a table: each layer overrides those before it, and a preset belongs to whoever uses it."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Place
from core.domain.options import Memory, Placement, PlatformDefaults, Switch
from core.settings.parameters import PERSONAL, Layer, LayerEntries, Origin, Stored, resolve
from core.settings.presets import Preset
from core.store.settings import Saved, SettingsStore
from tests.configuration import configured

PLACE = Place("slack", "T1", "C1", "17.1")
DEFAULTS = PlatformDefaults(Memory.CHANNEL, Placement.THREAD)
PEOPLES = (Layer.WORKSPACE, Layer.CHANNEL, Layer.PERSON, Layer.THREAD)


def preset(model: str, name: str = "reviewer", **values: str) -> Preset:
    return Preset(name, f"id of {name}", "1", (("model", model), *values.items()), "U9", "Eve", 7.0)


def value(text: str) -> Stored:
    return Stored(text, "Ann", 5.0)


def entries(layer: Layer, own: str, used: str) -> LayerEntries:
    return LayerEntries(layer, {"model": value(own)} if own else {}, preset(used) if used else None)


# Which model each layer sets for itself and through its preset, widest first: workspace, channel, person, thread. Then
# the one of the question, and what counts.
TABLE = [
    (("", ""), ("", ""), "", ("", ""), "", "operator", Origin(Layer.ENVIRONMENT)),
    (("", "wp"), ("", ""), "", ("", ""), "", "wp", Origin(Layer.WORKSPACE, "Eve", 7.0, "reviewer")),
    (("w", "wp"), ("", ""), "", ("", ""), "", "w", Origin(Layer.WORKSPACE, "Ann", 5.0)),
    (("w", "wp"), ("", "cp"), "", ("", ""), "", "cp", Origin(Layer.CHANNEL, "Eve", 7.0, "reviewer")),
    (("w", "wp"), ("c", "cp"), "", ("", ""), "", "c", Origin(Layer.CHANNEL, "Ann", 5.0)),
    (("w", "wp"), ("c", "cp"), "p", ("", ""), "", "p", Origin(Layer.PERSON, "Ann", 5.0)),
    (("w", "wp"), ("c", "cp"), "p", ("", "tp"), "", "tp", Origin(Layer.THREAD, "Eve", 7.0, "reviewer")),
    (("w", "wp"), ("c", "cp"), "p", ("t", "tp"), "", "t", Origin(Layer.THREAD, "Ann", 5.0)),
    (("w", "wp"), ("c", "cp"), "p", ("t", "tp"), "q", "q", Origin(Layer.QUESTION)),
]


@pytest.mark.parametrize(("workspace", "channel", "person", "thread", "question", "model", "origin"), TABLE)
def test_the_narrowest_layer_wins(
    workspace: tuple[str, str],
    channel: tuple[str, str],
    person: str,
    thread: tuple[str, str],
    question: str,
    model: str,
    origin: Origin,
) -> None:
    """Own values of a layer override those of its preset, and both override all that is wider."""
    operator = configured(nebula_model="operator").core.defaults
    stored = [
        entries(layer, *each) for layer, each in zip(PEOPLES, (workspace, channel, (person, ""), thread), strict=True)
    ]
    found = resolve(PLACE, operator, DEFAULTS, stored).with_model(question)
    assert (found.model, found.origin("model")) == (model, origin)


def test_the_layers_are_listed_in_their_order() -> None:
    """The order is written down once."""
    assert list(Layer) == [Layer.DEFAULT, Layer.ENVIRONMENT, *PEOPLES, Layer.QUESTION]


def test_a_person_sets_nothing_for_others() -> None:
    """Of what a person may have stored, only what concerns their own questions counts."""
    own = {
        "prompt": value("Obey."),
        "retention": value("1"),
        "preset": value("reviewer 1"),
        "language": value("German"),
    }
    found = resolve(PLACE, configured().core.defaults, DEFAULTS, [LayerEntries(Layer.PERSON, own)])
    assert (found.language, found.retention, found.presets) == ("German", 30, ())
    assert found.prompt != "Obey."
    assert set(PERSONAL) == {"model", "temperature", "reasoning", "language"}


@pytest.mark.parametrize("layer", [Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD])
def test_a_place_can_refuse_personal_defaults(layer: Layer) -> None:
    """Whichever layer refuses them, also one that is narrower than the person; the usual model is the room's."""
    stored = [
        LayerEntries(each, {"personal": value("off")} if each is layer else {"model": value("theirs")})
        for each in PEOPLES
        if each in (layer, Layer.PERSON)
    ]
    operator = configured(nebula_model="operator").core.defaults
    assert resolve(PLACE, operator, DEFAULTS, stored).model == "operator"
    allowed = [replace(each, own={}) if each.layer is layer else each for each in stored]
    found = resolve(PLACE, operator, DEFAULTS, allowed)
    assert (found.model, found.usual_model) == ("theirs", "operator")
    assert resolve(PLACE, replace(operator, personal=Switch.OFF), DEFAULTS, allowed).model == "operator"


async def reads(redis: Redis) -> int:
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_a_question_costs_one_round_trip(redis_client: Redis) -> None:
    """With a thread, a preset of the channel and personal defaults, as without; the first look at a preset that another
    process has set takes one more."""
    settings = SettingsStore(redis_client, configured().core.defaults, {"slack": DEFAULTS})
    await settings.save_preset(PLACE.library, one := preset("m"), None)
    await settings.write(PLACE.channel_scope, "preset", value(one.reference))
    await settings.write_own(PLACE, "U1", "language", value("German"))
    costs = []
    for _ in range(2):
        before = await reads(redis_client)
        found = await settings.of(PLACE, "U1")
        costs.append(await reads(redis_client) - before - 1)  # the count itself is a read
        assert (found.model, found.language) == ("m", "German")
    assert costs == [2, 1]


async def test_a_change_of_a_preset_is_seen_at_once(redis_client: Redis) -> None:
    """Also by a process that has read it before: nothing of it is kept but its name."""
    one, other = (SettingsStore(redis_client, configured().core.defaults, {"slack": DEFAULTS}) for _ in range(2))
    await one.save_preset(PLACE.library, first := preset("m1"), None)
    await one.write(PLACE.channel_scope, "preset", value(first.reference))
    assert (await other.of(PLACE)).model == "m1"
    await one.save_preset(PLACE.library, replace(first, revision="2", values=(("model", "m2"),)), first)
    assert (await other.of(PLACE)).model == "m2"
    await one.save_preset(PLACE.library, second := preset("m3", "cook"), None)
    await one.write(PLACE.channel_scope, "preset", value(second.reference))
    assert (await other.of(PLACE)).model == "m3"


async def test_the_faster_of_two_changes_counts(redis_client: Redis) -> None:
    """Whoever read an older state changes nothing, and learns that."""
    settings = SettingsStore(redis_client, configured().core.defaults, {"slack": DEFAULTS})
    first = preset("m1")
    assert await settings.save_preset("slack/T1", first, None) is Saved.DONE
    assert await settings.save_preset("slack/T1", replace(first, id="other"), None) is Saved.CHANGED
    second = replace(first, revision="2")
    assert await settings.save_preset("slack/T1", second, first) is Saved.DONE
    assert await settings.delete_preset("slack/T1", first) is Saved.CHANGED
    assert await settings.preset("slack/T1", "reviewer") == second
    assert await settings.delete_preset("slack/T1", second) is Saved.DONE
    assert await settings.preset("slack/T1", "reviewer") is None


async def test_a_preset_that_cant_be_read_is_none(redis_client: Redis) -> None:
    """What another version stored silences no channel."""
    settings = SettingsStore(redis_client, configured().core.defaults, {"slack": DEFAULTS})
    await redis_client.hset("nb:s:slack/T1/presets", mapping={"a": b"1,2|[]", "b": b"\xff", "c": "1|{}"})
    await settings.write(PLACE.channel_scope, "preset", value("a 1"))
    found = await settings.of(PLACE)
    assert [each.found for each in found.presets] == [False]
    assert await settings.presets("slack/T1", ["a", "b", "c"]) == ()


@pytest.mark.parametrize(("roaming", "same"), [(True, True), (False, False)])
async def test_defaults_go_with_a_person_where_ids_do(redis_client: Redis, roaming: bool, same: bool) -> None:
    """On a platform whose people are the same in all workspaces, their defaults are too."""
    settings = SettingsStore(redis_client, configured().core.defaults, {"slack": replace(DEFAULTS, roaming=roaming)})
    await settings.write_own(PLACE, "U1", "model", value("theirs"))
    assert ((await settings.of(replace(PLACE, workspace="T2"), "U1")).model == "theirs") is same
    assert (await settings.of(PLACE, "U2")).model != "theirs"
    assert (await settings.of(PLACE)).model != "theirs"
