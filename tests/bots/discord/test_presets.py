"""Presets, personal defaults and a model for one question in Discord at the wire."""

import pytest
from redis.asyncio import Redis

from bots.discord.components.commands import definitions
from core.commands.registry import parse
from core.domain.conversation import Author, Place, Rights
from tests.bots.discord.harness import GENERAL, DiscordRoom, room

RANDOM = "#random"
CODER, LLAMA = "Qwen/Qwen2.5-Coder-32B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"


def rules(here: DiscordRoom) -> str:
    """The system message of the newest request."""
    return here.nebula.requests[-1].messages[0].content


async def shown_at_end(here: DiscordRoom, who: str, where: str, text: str, answer: str) -> str:
    """What the answer to a question looks like when it is complete."""
    here.nebula.answer_next(answer)
    await here.say(who, where, text)
    await here.until(lambda: any(answer in each for each in here.said(where)))
    await here.bot.runner.idle()
    return here.said(where)[-1]


async def suggested(here: DiscordRoom, who: str, where: str, command: str, option: str, typed: str) -> list[str]:
    found = await here.discord.autocomplete(here.people[who], here.place(where), command, option, typed)
    return [str(choice.value) for choice in found]


def characters(part: dict[str, object]) -> int:
    """What Discord counts of a command: names, descriptions and values, also of all options and choices."""
    inner = [each for name in ("options", "choices") for each in (part.get(name) or ())]  # type: ignore[attr-defined]
    own = sum(len(str(part.get(name, ""))) for name in ("name", "description", "value"))
    return own + sum(map(characters, inner))


def test_commands_keep_discords_limits() -> None:
    """At most 8,000 characters in each, and 25 options and choices (docs.discord.com, Application Commands). A model
    for one question is an option, not a command of its own."""
    for command in definitions():
        assert characters(command) <= 8000
        options = command.get("options", ())
        parts = [command, *options, *(each for one in options for each in one.get("options", ()))]
        assert all(len(part.get(kind) or ()) <= 25 for part in parts for kind in ("options", "choices"))
    names = {command["name"] for command in definitions()}
    assert "preset" in names
    assert "with" not in names


async def test_a_preset_is_saved_used_and_followed(here: DiscordRoom) -> None:
    """By slash commands, with suggestions; `settings` names it as the origin."""
    await here.used("max", GENERAL, "model set", name="Qwen2.5-Coder-32B")
    saved = await here.slash("max", GENERAL, "preset save", name="Reviewer", text="You review code.")
    await here.until(lambda: saved.original)
    assert saved.original
    assert saved.original.content.startswith(
        f"The preset `reviewer` is saved: a prompt of 16 characters, `model` `{CODER}`"
    )
    assert not saved.original.ephemeral_for
    assert await suggested(here, "max", RANDOM, "preset use", "name", "rev") == ["reviewer"]
    assert "now uses the preset `reviewer`" in await here.used("max", RANDOM, "preset use", name="reviewer")
    await here.answered("ann", RANDOM, "@nebula hello", "Hi.")
    assert (here.nebula.requests[-1].model, rules(here).partition("\n")[0]) == (CODER, "You review code.")
    await here.used("max", GENERAL, "preset save", name="reviewer", text="You review prose.")
    await here.answered("ann", RANDOM, "@nebula and now?", "Yes.")
    assert rules(here).startswith("You review prose.")
    shown = await here.used("ann", RANDOM, "settings")
    assert "**prompt**: `You review prose.` (from the preset `reviewer` of this channel, saved by max" in shown
    assert "**preset**: `reviewer` (set for this channel by max" in shown
    assert "`reviewer`, saved by max" in await here.used("ann", GENERAL, "preset list")
    assert "You review prose." in await here.used("ann", GENERAL, "preset show", name="reviewer")
    assert "is somebody else's" in await here.used("ann", GENERAL, "preset delete", name="reviewer")
    await here.used("ada", GENERAL, "preset delete", name="reviewer")
    assert "deleted, so it does not count" in await here.used("ann", RANDOM, "settings")
    await here.answered("ann", RANDOM, "@nebula and now?", "No.")
    assert not rules(here).startswith("You review")


async def test_a_form_asks_for_the_prompt(here: DiscordRoom) -> None:
    """It knows the name; in a message, a button opens it."""
    opened = await here.slash("max", GENERAL, "preset save", name="cook")
    modal = await here.until(lambda: opened.modal)
    assert modal
    sent = await here.discord.submit_modal(opened, {"text": "You are a cook."})
    await here.until(lambda: sent.original)
    assert sent.original
    assert "The preset `cook` is saved" in sent.original.content
    await here.say("max", GENERAL, "@nebula !preset save cook")
    await here.until(lambda: "after the name" in here.said(GENERAL)[-1])
    message = here.shown(GENERAL)[-1]
    again = await here.press("max", message, "Preset cook")
    modal = await here.until(lambda: again.modal)
    assert modal
    assert "You are a cook." in str(modal.components)
    sent = await here.discord.submit_modal(again, {"text": "You are a baker."})
    await here.until(lambda: sent.original)
    assert "You are a baker." in await here.used("ann", GENERAL, "preset show", name="cook")


async def test_presets_of_a_direct_message_are_nobody_elses(here: DiscordRoom) -> None:
    """There is no server to which they could belong."""
    await here.used("ann", "@ann", "preset save", name="mine", text="My secret.")
    assert await suggested(here, "ann", "@ann", "preset use", "name", "") == ["mine"]
    assert await suggested(here, "bob", "@bob", "preset use", "name", "") == []
    assert "no presets yet" in await here.used("ann", GENERAL, "preset list")


async def test_as_many_are_suggested_as_discord_takes(here: DiscordRoom) -> None:
    """Twenty-five of them, and none for what is no name."""
    place = Place("discord", here.guild.id, here.place(GENERAL).id)

    async def rights() -> Rights:
        return Rights.CHANNEL

    for number in range(30):
        saved = parse(f"preset save p{number} x", place, Author("7", "max"))
        assert "is saved" in (await here.bot.dispatcher.invoked(saved, rights)).text
    assert len(await suggested(here, "ann", GENERAL, "preset show", "name", "p")) == 25
    assert await suggested(here, "ann", GENERAL, "preset show", "name", "`<!*") == []


async def test_whoever_may_not_use_the_bot_is_told_no_names(redis_client: Redis) -> None:
    """Neither by a command nor while they type."""
    changes: dict[str, str] = {}

    def deny(stage: DiscordRoom) -> None:
        changes["access_deny"] = stage.people["bob"].id

    async with room(redis_client, before=deny, changes=changes) as here:
        await here.used("max", GENERAL, "preset save", name="secret", text="x")
        assert await suggested(here, "ann", GENERAL, "preset use", "name", "") == ["secret"]
        assert await suggested(here, "bob", GENERAL, "preset use", "name", "") == []
        assert "You can't use this bot here" in await here.used("bob", GENERAL, "preset list")


@pytest.mark.parametrize("private", [False, True])
async def test_a_model_for_one_question(here: DiscordRoom, private: bool) -> None:
    """`/ask model:` with suggestions; small print says which model answered. The next question is as usual."""
    shown = await here.slash("ann", GENERAL, "ask", prompt="why?", private=private, model="Llama3.1-8B")
    assert await suggested(here, "ann", GENERAL, "ask", "model", "coder") == [CODER]
    await here.until(lambda: shown.messages and "Answered by" in shown.messages[-1].content)
    assert here.nebula.requests[-1].model == LLAMA
    assert f"Answered by `{LLAMA}`." in shown.messages[-1].content
    await here.answered("ann", GENERAL, "@nebula and now?", "Yes.")
    assert here.nebula.requests[-1].model != LLAMA


async def test_with_after_a_mention(here: DiscordRoom) -> None:
    """The same in a message; without a question, it says what is missing. `settings` shows it."""
    await here.say("ann", GENERAL, "@nebula !with Qwen2.5-Coder-32B write a regex")
    await here.until(lambda: any(f"Answered by `{CODER}`." in text for text in here.said(GENERAL)))
    assert here.asked() == "ann: write a regex"
    assert "of the newest question here: `Qwen2.5-Coder-32B` (chosen by ann)" in await here.used(
        "bob", GENERAL, "settings"
    )
    await here.say("ann", GENERAL, "@nebula !with Qwen2.5-Coder-32B")
    await here.until(lambda: "`prompt` is missing" in here.said(GENERAL)[-1])
    assert len(here.nebula.requests) == 1


async def test_a_name_that_is_none_is_refused(here: DiscordRoom) -> None:
    """Before the question is asked."""
    assert "must be the name of a model" in await here.used("ann", GENERAL, "ask", prompt="why?", model="`a b`")
    assert not here.nebula.requests


async def test_personal_defaults_go_along(here: DiscordRoom) -> None:
    """Set for oneself alone, seen by oneself alone, and the same in a direct message; a channel can refuse them."""
    own = await here.slash("ann", GENERAL, "set", parameter="model", value="Llama3.1-8B", scope="me")
    await here.until(lambda: own.original)
    assert own.original
    assert own.original.content == f"`model` of your own questions is now: `{LLAMA}`"
    assert own.original.ephemeral_for == here.people["ann"].id
    by_llama = f"\n-# Answered by `{LLAMA}`."
    assert await shown_at_end(here, "ann", GENERAL, "@nebula hi", "One.") == f"One.{by_llama}"
    assert await shown_at_end(here, "bob", GENERAL, "@nebula hi", "Two.") == "Two."
    assert await shown_at_end(here, "ann", "@ann", "hi", "Three.") == f"Three.{by_llama}"
    await here.used("max", GENERAL, "set", parameter="personal", value="off")
    await here.answered("ann", GENERAL, "@nebula hi", "Hm.")
    assert [each.model == LLAMA for each in here.nebula.requests] == [True, False, True, False]
    assert "your own default" not in await here.used("ann", GENERAL, "settings")
    assert "your own default since" in await here.used("ann", RANDOM, "settings")
    assert LLAMA not in await here.used("bob", RANDOM, "settings")
    assert "here people's own defaults do not count" in await here.used(
        "bob", GENERAL, "set", parameter="language", value="German", scope="me"
    )


async def test_a_prompt_knows_channel_bot_and_day(here: DiscordRoom) -> None:
    """The names are those that people see."""
    await here.used("max", GENERAL, "prompt set", text="{bot} in {channel} on {date} for {user}")
    await here.answered("ann", GENERAL, "@nebula hi", "Hi.")
    first = rules(here).partition("\n")[0]
    assert first.startswith(f"{here.me.name} in general on 20")
    assert first.endswith(" for {user}")
