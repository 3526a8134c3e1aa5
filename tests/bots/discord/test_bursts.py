"""What one person does too fast is refused, with a sentence once; others are served."""

from core.inbound.dispatcher import TOO_FAST
from tests.bots.discord.harness import GENERAL, DiscordRoom


async def test_slash_commands(here: DiscordRoom) -> None:
    """After ten at once Ann reads a sentence that only she sees at each of them, so that none is lost without a word;
    Bob is served."""
    used = [await here.slash("ann", GENERAL, "settings") for _ in range(40)]
    await here.until(lambda: all(one.original for one in used))
    assert "temperature" in await here.used("bob", GENERAL, "settings")
    shown = [one.original for one in used if one.original]
    assert len([one for one in shown if TOO_FAST not in one.content]) < 30  # a slow machine lets her in again meanwhile
    assert [len(one.messages) for one in used] == [1] * 40
    assert all(one.ephemeral_for == here.people["ann"].id for one in shown)


async def test_forms(here: DiscordRoom) -> None:
    """What somebody wrote into a form is not lost without a word either, and a question is no command."""
    here.bot.dispatcher._bursts._clock = lambda: 0.0  # she stays too fast, however long it takes
    opened = await here.slash("ada", GENERAL, "prompt set")
    await here.until(lambda: opened.modal)
    for _ in range(40):
        await here.slash("ada", GENERAL, "settings")
    sent = await here.discord.submit_modal(opened, {"text": "Be brief."})
    await here.until(lambda: sent.original and TOO_FAST in sent.original.content)
    here.nebula.answer_next("Hi.")
    assert "Hi." in await here.used("ada", GENERAL, "ask", prompt="hello")


async def test_commands_behind_a_mention(here: DiscordRoom) -> None:
    """They are not answered for ever either."""
    here.bot.dispatcher._bursts._clock = lambda: 0.0  # she stays too fast, however long it takes
    for _ in range(40):
        await here.say("ann", GENERAL, "@nebula !settings")
    await here.until(lambda: any(TOO_FAST in text for text in here.said(GENERAL)))
    await here.answered("bob", GENERAL, "@nebula hello", "Hi.")
    assert len(here.said(GENERAL)) < 30


async def test_presses(here: DiscordRoom) -> None:
    """The answer is asked for anew a few times only."""
    await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
    [reply] = here.shown(GENERAL)
    pressed = [await here.press("bob", reply, "Regenerate") for _ in range(40)]
    await here.until(lambda: any(TOO_FAST in each.content for one in pressed for each in one.followups))
    assert len([each for one in pressed for each in one.followups]) < 30


async def test_letters(here: DiscordRoom) -> None:
    """Suggestions for letters that nobody can type so fast are empty; the command itself still works."""
    ada, general = here.people["ada"], here.place(GENERAL)
    here.bot.dispatcher._typing._clock = lambda: 0.0  # she stays too fast, however long it takes
    found = [await here.discord.autocomplete(ada, general, "model set", "name", "") for _ in range(100)]
    assert found[0]
    assert not all(found)
    assert "is now" in await here.used("ada", GENERAL, "model set", name="DeepSeek-V3")
