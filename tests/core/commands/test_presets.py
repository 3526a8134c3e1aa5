"""Presets: who saves, uses, changes and deletes them, what they hold, and what people read about them."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.commands.presets import FULL, ONLY_MANAGERS
from core.commands.registry import parse
from core.commands.responses import Response
from core.domain.conversation import Author, Place, Rights
from core.settings.presets import MOST_PRESETS
from tests.core.core_harness import ANN, BOB, ROOM, Process, process

RANDOM, THREAD = replace(ROOM, channel="C2"), replace(ROOM, thread="t1")
DIRECT = Place("test", "W1", "D1", direct=True)
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


async def run(
    bot: Process, text: str, *, place: Place = ROOM, author: Author = ANN, rights: Rights = Rights.CHANNEL
) -> Response:
    """A slash command, however fast it comes."""

    async def held() -> Rights:
        return rights

    return await bot.dispatcher.invoked(parse(text, place, author), held)


async def said(bot: Process, text: str, **how: object) -> str:
    return (await run(bot, text, **how)).text  # type: ignore[arg-type]


def rules(server: NebulaServer) -> str:
    """The system message of the newest request."""
    return server.requests[-1].messages[0].content


async def test_a_preset_holds_the_prompt_and_what_the_channel_has_set(bot: Process, server: NebulaServer) -> None:
    """The model and the parameters of the channel, but nothing that the whole workspace or a person has set."""
    await run(bot, "set --workspace top_p 0.5", rights=Rights.WORKSPACE)
    await run(bot, "set --me language German")
    await run(bot, f"model set {LLAMA}")
    await run(bot, "set temperature 0.3")
    saved = await run(bot, "preset save Reviewer You review code.")
    assert saved.public
    assert saved.text == (
        f"The preset `reviewer` is saved: a prompt of 16 characters, `model` `{LLAMA}`, `temperature` `0.3`. "
        "`preset use reviewer` uses it in a channel."
    )
    used = await run(bot, "preset use REVIEWER", place=RANDOM)
    assert used.text.startswith("This channel now uses the preset `reviewer`: a prompt of 16 characters, `model`")
    await bot.answer("hi", RANDOM, BOB)
    request = server.requests[-1]
    assert (request.model, request.temperature) == (LLAMA, 0.3)
    assert rules(server).startswith("You review code.\n\n")


async def test_a_preset_holds_nothing_of_another_one(bot: Process) -> None:
    """What a channel uses of another preset is not its own; what it uses of this one stays in it."""
    await run(bot, f"model set {LLAMA}", place=RANDOM)
    await run(bot, "preset save cook You are a cook.", place=RANDOM)
    await run(bot, "preset use cook")
    await run(bot, "set temperature 0.3")
    assert "14 characters, `temperature` `0.3`." in await said(bot, "preset save poet You are poets.")
    assert f"`model` `{LLAMA}`, `temperature` `0.3`." in await said(bot, "preset save cook You are a baker.")


async def test_a_channel_follows_the_changes_of_its_preset(bot: Process, server: NebulaServer) -> None:
    """The next question has the new prompt; nobody touches the channel."""
    await run(bot, "preset save cook You are a cook.")
    await run(bot, "preset use cook", place=RANDOM)
    await bot.answer("hi", RANDOM)
    assert rules(server).startswith("You are a cook.")
    assert "Channels that use it follow." in await said(bot, "preset save cook You are a baker.")
    await bot.answer("hi", RANDOM)
    assert rules(server).startswith("You are a baker.")


async def test_settings_name_the_preset_as_the_origin(bot: Process) -> None:
    """With whose it is and since when, and who uses it."""
    await run(bot, "preset save cook You are a cook.", author=BOB)
    await run(bot, "preset use cook")
    shown = await said(bot, "settings")
    assert "- **prompt**: `You are a cook.` (from the preset `cook` of this channel, saved by Bob on 20" in shown
    assert "- **preset**: `cook` (set for this channel by Ann on 20" in shown
    assert "(from the preset `cook` of this channel, saved by Bob" in await said(bot, "prompt show")


async def test_own_values_override_the_preset_and_are_named(bot: Process, server: NebulaServer) -> None:
    """Whoever uses a preset is told what of it does not count, and how to change that."""
    await run(bot, "preset save cook You are a cook.")
    await run(bot, "prompt set You are a pirate.")
    used = await said(bot, "preset use cook")
    assert "It does not count here for `prompt` (set for this channel by Ann on" in used
    assert used.endswith("`set prompt default` takes such a value back.")
    await bot.answer("hi")
    assert rules(server).startswith("You are a pirate.")
    assert "The value in effect is `You are a cook.` (from the preset" in await said(bot, "set prompt default")
    await bot.answer("hi")
    assert rules(server).startswith("You are a cook.")
    assert await said(bot, "preset use default") == "This channel no longer uses a preset of its own."
    await bot.answer("hi")
    assert "cook" not in rules(server)


async def test_a_workspace_and_a_thread_can_use_one_too(bot: Process, server: NebulaServer) -> None:
    """Each in its own layer."""
    for name in ("wide", "narrow"):
        await run(bot, f"preset save {name} You are {name}.")
    assert "Only admins of the whole workspace" in await said(bot, "preset use --workspace wide")
    await run(bot, "preset use --workspace wide", rights=Rights.WORKSPACE)
    await run(bot, "preset use --thread narrow", place=THREAD)
    await bot.answer("hi")
    assert rules(server).startswith("You are wide.")
    await bot.answer("hi", THREAD)
    assert rules(server).startswith("You are narrow.")


@pytest.mark.parametrize(
    ("before", "use", "way"),
    [
        ("preset use poet", "preset use --workspace cook", "`preset use default` ends the use of `poet`."),
        ("set prompt Rhyme.", "preset use --workspace cook", "`set prompt default` takes such a value back."),
        ("set --thread prompt Rhyme.", "preset use cook", "`set --thread prompt default` takes such a value back."),
        ("preset use --thread poet", "preset use cook", "`preset use --thread default` ends the use of `poet`."),
    ],
)
async def test_what_stands_in_the_way_of_a_preset_can_be_taken_back_as_it_says(
    bot: Process, before: str, use: str, way: str
) -> None:
    """An own value and another preset give way to different commands, in the place that has them."""
    for text in ("preset save cook You are a cook.", "preset save poet You are a poet.", "preset use default"):
        await run(bot, text)
    await run(bot, before, place=THREAD)
    used = await said(bot, use, place=THREAD, rights=Rights.WORKSPACE)
    assert used.endswith(f". {way}")
    await run(bot, way.split("`")[1], place=THREAD)
    assert (await bot.settings.of(THREAD)).prompt == "You are a cook."


async def test_the_length_of_a_prompt_is_counted_in_words(bot: Process) -> None:
    """One character is one."""
    assert "a prompt of 1 character. " in await said(bot, "preset save x y")


async def test_a_deleted_preset_does_not_count_and_does_not_come_back(bot: Process, server: NebulaServer) -> None:
    """A channel that used it falls back, says so in its settings, and does not use a later one of the same name: else
    whoever manages one channel could change the prompt of another."""
    await run(bot, "preset save cook You are a cook.")
    await run(bot, "preset use cook", place=RANDOM)
    deleted = await run(bot, "preset delete cook")
    assert deleted.public
    assert deleted.text.endswith("Channels that used it go back to their other settings.")
    await run(bot, "preset save cook You are evil.", author=BOB)
    await bot.answer("hi", RANDOM)
    assert not rules(server).startswith(("You are a cook", "You are evil"))
    assert "- **preset**: `cook` (set for this channel by Ann on" in (
        shown := await said(bot, "settings", place=RANDOM)
    )
    assert "; it was deleted, so it does not count)" in shown


@pytest.mark.parametrize("what", ["preset save cook You are evil.", "preset delete cook"])
async def test_only_its_author_and_admins_change_a_preset(bot: Process, what: str) -> None:
    """Other channels follow it, so the right to one channel is not enough."""
    await run(bot, "preset save cook You are a cook.")
    refused = await run(bot, what, author=BOB)
    assert not refused.public
    assert refused.text.startswith("`cook` is somebody else's: only whoever saved it first (last saved by Ann)")
    assert "You are a cook." in await said(bot, "preset show cook")
    assert (await run(bot, what, author=BOB, rights=Rights.WORKSPACE)).public
    if "save" in what:  # it stays Ann's
        assert (await run(bot, "preset delete cook", rights=Rights.NONE)).public


async def test_who_may_change_nothing_saves_and_uses_nothing(bot: Process) -> None:
    """They may read all presets."""
    await run(bot, "preset save cook You are a cook.")
    assert "can't save a preset in it" in await said(bot, "preset save mine x", author=BOB, rights=Rights.NONE)
    assert "You may not change this channel's" in await said(bot, "preset use cook", author=BOB, rights=Rights.NONE)
    assert "You are a cook." in await said(bot, "preset show cook", author=BOB, rights=Rights.NONE)


async def test_a_direct_message_is_no_way_around_the_rights(bot: Process) -> None:
    """There everybody may change everything, but the presets are the workspace's."""
    assert await said(bot, "preset save mine x", place=DIRECT) == ONLY_MANAGERS.format("workspace")
    assert "is saved" in await said(bot, "preset save ours x", place=DIRECT, rights=Rights.WORKSPACE)
    assert "This conversation now uses" in await said(bot, "preset use ours", place=DIRECT, author=BOB)


async def test_where_there_is_no_workspace_presets_are_ones_own(bot: Process) -> None:
    """In a direct message without a workspace, nobody else sees or uses them."""
    anns, bobs = (Place("test", "-", each, direct=True) for each in ("D1", "D2"))
    assert "is saved" in await said(bot, "preset save mine My secret prompt", place=anns)
    assert "`mine`" in await said(bot, "preset list", place=anns)
    assert "no presets yet" in await said(bot, "preset list", place=bobs, author=BOB)


@pytest.mark.parametrize("name", ["list", "show", "save", "use", "delete", "help", "preset", "with", "set"])
async def test_a_preset_can_be_named_like_a_command(bot: Process, name: str) -> None:
    """A name stands in another place than a command."""
    await run(bot, f"preset save {name} You are {name}.")
    assert f"You are {name}." in await said(bot, f"preset show {name}")
    assert f"`{name}`" in await said(bot, "preset list")
    assert f"uses the preset `{name}`" in await said(bot, f"preset use {name}")
    assert "is deleted" in await said(bot, f"preset delete {name}")


@pytest.mark.parametrize(
    "name", ["a`b", "<!here>", "@everyone", "x" * 33, "ä", "a/b", "a:b", "*a*", "\u202ea", "--cook", "-x"]
)
async def test_a_name_without_marks_is_wanted(bot: Process, name: str) -> None:
    """Other names are refused with what a name must be, and are not repeated."""
    for command in (
        f"preset save {name} You are",
        f"preset use {name}",
        f"preset show {name}",
        f"preset delete {name}",
    ):
        shown = await said(bot, command)
        assert shown.startswith("The name of a preset has up to 32 letters")
        assert name not in shown


async def test_line_breaks_are_no_part_of_a_name(bot: Process) -> None:
    """A name ends with its line; the prompt keeps its own line breaks."""
    await run(bot, "preset save\ncook\nYou are\n\na cook.")
    assert "You are\n\na cook." in await said(bot, "preset show cook")
    assert "up to 32 letters" in await said(bot, "preset use cook\nreviewer")


async def test_default_is_no_name(bot: Process) -> None:
    """It ends the use of a preset."""
    assert "`default` can't be the name" in await said(bot, "preset save default x")


async def test_what_is_missing_is_named(bot: Process) -> None:
    """And so is an unknown preset, with those that there are."""
    assert await said(bot, "preset use") == "`name` is missing (the preset's name). Write `preset use <name>`."
    assert await said(bot, "preset show cook") == "There is no preset `cook`."
    await run(bot, "preset save baker x")
    assert await said(bot, "preset use cook") == "There is no preset `cook`. There are `baker`."
    assert "`prompt` must be a text of 1 to 12,000" in await said(bot, "preset save cook " + "x" * 12_001)


async def test_a_workspace_has_so_many_presets(bot: Process) -> None:
    """Of a thousand, a hundred are saved; the list names all of these and describes the first."""
    found = [await said(bot, f"preset save p{number:04} x") for number in range(1000)]
    assert [each for each in found if "is saved" not in each] == [FULL] * (1000 - MOST_PRESETS)
    shown = await said(bot, "preset list")
    assert shown.count("saved by Ann") == 50
    assert "… and 50 more: `p0050`" in shown
    assert "`p0099`." in shown
    assert len(shown) < 6000
    assert "is saved" in await said(bot, "preset save p0001 y"), "what there is can still be changed"
    await run(bot, "preset delete p0002")
    assert "is saved" in await said(bot, "preset save p1000 y")


async def test_without_a_text_a_form_asks_for_it(bot: Process) -> None:
    """It holds the prompt of the preset or, for a new one, of the channel."""
    await run(bot, "prompt set You are a pirate.")
    form = (await run(bot, "preset save cook")).form
    assert form
    assert (form.value, form.given) == ("You are a pirate.", ("cook",))
    await run(bot, "preset save cook You are a cook.")
    form = (await run(bot, "preset save cook")).form
    assert form
    assert form.value == "You are a cook."
    assert (await run(bot, "preset save cook", author=BOB)).form is None


async def test_a_preset_is_no_question_of_scope_for_one_person(bot: Process) -> None:
    """A person's own defaults are single parameters."""
    await run(bot, "preset save cook x")
    assert "For your own questions you can set `model`" in await said(bot, "preset use --me cook")


async def test_another_bot_has_presets_of_its_own(redis_client: Redis, server: NebulaServer) -> None:
    """Two bots in one workspace may share a Redis."""
    async with process(redis_client, server, bot_id="B1") as one, process(redis_client, server, bot_id="B2") as other:
        await run(one, "preset save cook x")
        assert "no presets yet" in await said(other, "preset list")
