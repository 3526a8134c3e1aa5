"""Files out of an answer in Discord, at the wire: its code and its tables, for whoever presses the button."""

import aiohttp

from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.world.text import walk
from bots.sandbox.discord.world.values import DiscordMessage
from core.domain.chat import Finish
from core.inbound.buttons import CODE, NOT_KEPT_HERE, TABLES
from tests.bots.discord.harness import GENERAL, THUMBS, DiscordRoom

CODE_LINES = "\n".join(f"print({number})  # a line of a program" for number in range(90))
SCRIPT = "#!/bin/sh\necho hi"
TABLE = "| name | sum |\n|---|---|\n| a | =1+1 |"
ANSWER = f"Here it is:\n\n```python\n{CODE_LINES}\n```\n\n```sh\n{SCRIPT}\n```\n\n{TABLE}\n\nDone."


async def answered(here: DiscordRoom, answer: str = ANSWER) -> DiscordMessage:
    """Ask as Ann; the last message of the answer, with its buttons."""
    here.nebula.answer_next(answer)
    await here.say("ann", GENERAL, "@nebula write it")
    await here.until(lambda: here.shown(GENERAL) and "Regenerate" in here.buttons(here.shown(GENERAL)[-1]))
    await here.bot.runner.idle()
    return here.shown(GENERAL)[-1]


async def files(here: DiscordRoom, pressed: Interaction, who: str) -> dict[str, str]:
    """What somebody gets by a press: the names and the texts of the files in a message for them alone."""
    [message] = await here.until(lambda: pressed.followups)
    assert message.ephemeral_for == here.people[who].id
    found = {}
    async with aiohttp.ClientSession() as session:
        for file in message.attachments:
            async with session.get(file.url) as response:
                found[file.name] = await response.text("utf-8-sig")
    return found


async def test_code_that_is_longer_than_a_page_can_be_had_as_a_file(here: DiscordRoom) -> None:
    """By anybody who reads the answer, for them alone; each block under the name of its language."""
    reply = await answered(here)
    pressed = await here.press("bob", reply, "File")
    assert await files(here, pressed, "bob") == {"answer.py": f"{CODE_LINES}\n", "answer.sh": f"{SCRIPT}\n"}
    assert pressed.followups[0].content == CODE
    assert not any(each.attachments for each in here.shown(GENERAL))


async def test_a_table_can_be_had_as_csv(here: DiscordRoom) -> None:
    """No cell of it is a formula."""
    reply = await answered(here)
    pressed = await here.press("ann", reply, "CSV")
    assert await files(here, pressed, "ann") == {"table.csv": "name,sum\r\na,'=1+1\r\n"}
    assert pressed.followups[0].content == TABLES


async def test_the_buttons_are_there_only_when_they_apply(here: DiscordRoom) -> None:
    """A short block needs no file, and neither does a text without a table."""
    reply = await answered(here, "```python\nprint(1)\n```\nDone.")
    assert list(here.buttons(reply)) == ["Regenerate", *THUMBS]


async def test_more_buttons_than_fit_take_a_second_row(here: DiscordRoom) -> None:
    """An answer that was cut, with code and a table: Discord takes five in a row."""
    here.nebula.answer_next(ANSWER, finish=Finish.LENGTH)
    await here.say("ann", GENERAL, "@nebula write it")
    await here.until(lambda: here.shown(GENERAL) and "Continue" in here.buttons(here.shown(GENERAL)[-1]))
    await here.bot.runner.idle()
    reply = here.shown(GENERAL)[-1]
    assert list(here.buttons(reply)) == ["Continue", "Regenerate", "File", "CSV", *THUMBS]
    assert [sum(part.get("type") == 2 for part in walk([row])) for row in reply.components][:2] == [5, 1]


async def test_of_a_forgotten_answer_there_is_no_file(here: DiscordRoom) -> None:
    """A sentence says so."""
    reply = await answered(here)
    await here.used("max", GENERAL, "reset")
    for label in ("File", "CSV"):
        assert await here.told("ann", reply, label) == NOT_KEPT_HERE


async def test_a_private_answer_gives_its_files_too(here: DiscordRoom) -> None:
    """To the person who asked."""
    here.nebula.answer_next(ANSWER)
    shown = await here.slash("ann", GENERAL, "ask", prompt="write it", private=True)
    await here.finished(shown, "Done.")
    pressed = await here.press("ann", shown.messages[-1], "CSV")
    assert list(await files(here, pressed, "ann")) == ["table.csv"]
