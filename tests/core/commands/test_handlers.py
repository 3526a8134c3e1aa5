"""What people read after they change a setting."""

from core.domain.conversation import Rights
from tests.core.core_harness import Process


async def test_changed_setting_is_shown(bot: Process) -> None:
    """The response names the setting, its scope and its value."""
    assert await bot.command("set temperature 0.5") == "`temperature` of this channel is now: `0.5`"


async def test_removed_setting_shows_the_value_in_effect(bot: Process) -> None:
    """After `default` the response says which value counts now, and where it comes from."""
    await bot.command("set --workspace top_p 0.5", rights=Rights.WORKSPACE)
    await bot.command("set top_p 0.7")
    said = await bot.command("set top_p default")
    assert said.startswith("This channel no longer has its own `top_p`. The value in effect is `0.5` (set for this ")
    said = await bot.command("set temperature default")
    assert said.endswith("The value is left to the server (the default).")


async def test_overridden_setting_shows_the_value_in_effect(bot: Process) -> None:
    """A value for the whole workspace changes nothing in a channel that has its own; the response says so."""
    prompt = "You are a pirate.\nSay arr."
    await bot.command(f"prompt set {prompt}")
    said = await bot.command("prompt set --workspace You are a cook.", rights=Rights.WORKSPACE)
    assert said.startswith("`prompt` of this workspace is changed, but a narrower setting overrides it here. The value")
    assert said.endswith(f") is:\n\n```\n{prompt}\n```")


async def test_missing_argument_is_named(bot: Process) -> None:
    """Somebody who leaves an argument out learns how to write the command."""
    said = await bot.command("set temperature")
    assert said == "`value` is missing (its new value, or default). Write `set <parameter> <value>`."


async def test_numbers_are_written_as_people_write_them(bot: Process) -> None:
    """A whole number has no point behind it."""
    await bot.command("set retention 30")
    assert "**retention**: `30` (set for this channel" in await bot.command("settings")
