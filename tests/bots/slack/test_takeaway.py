"""Files out of an answer in Slack, at the wire: its code and its tables, in the direct messages of whoever presses."""

from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.manifest import SCOPES
from bots.slack.outbound.private_file import DIRECTLY, NO_SCOPE
from core.inbound.buttons import CODE, TABLES
from tests.bots.slack.harness import SlackRoom, slack_room

FILE, TABLE = "nebula_reply_file", "nebula_reply_table"
LINES = "\n".join(f"print({number})  # a line of a program" for number in range(600))
ROWS = "| name | sum |\n|---|---|\n| a | =1+1 |"
ANSWER = f"Here it is:\n\n```python\n{LINES}\n```\n\n{ROWS}\n\nDone."


async def answered(room: SlackRoom, answer: str = ANSWER, channel: str = "#general") -> SlackMessage:
    """Ask as ann; the last message of the answer."""
    room.at_once()
    room.nebula.answer_next(answer)
    await room.say("ann", channel, "write" if channel[0] == "@" else "@nebula write")
    await room.quiet()
    return room.said(channel)[-1]


async def pressed(room: SlackRoom, who: str, reply: SlackMessage, button: str) -> str:
    """Press; return what only this person reads about it."""
    found = await room.slack.press(room.people[who], reply, button)
    await room.until(lambda: found.messages)
    assert {each.only_for for each in found.messages} == {room.people[who]}
    return "\n".join(each.shown for each in found.messages)


async def test_code_that_is_longer_than_a_page_can_be_had_as_a_file(redis_url: str) -> None:
    """By anybody who reads the answer; others see nothing of it."""
    async with slack_room(redis_url) as room:
        reply = await answered(room)
        assert {FILE, TABLE} <= set(reply.buttons)
        before = len(room.said("#general"))
        assert await pressed(room, "bob", reply, FILE) == f"{CODE}\n\n{DIRECTLY}"
        (sent,) = room.said("@bob")
        assert [(file.name, file.data.decode()) for file in sent.files] == [("answer.py", f"{LINES}\n")]
        assert len(room.said("#general")) == before


async def test_a_table_can_be_had_as_csv(redis_url: str) -> None:
    """In a direct message the file comes where the button is."""
    async with slack_room(redis_url) as room:
        reply = await answered(room, ROWS, "@ann")
        assert FILE not in reply.buttons
        assert await pressed(room, "ann", reply, TABLE) == TABLES
        (file,) = room.said("@ann")[-1].files
        assert (file.name, file.data.decode("utf-8-sig")) == ("table.csv", "name,sum\r\na,'=1+1\r\n")


async def test_several_files_come_one_after_the_other(redis_url: str) -> None:
    """One for each table."""
    async with slack_room(redis_url) as room:
        reply = await answered(room, f"{ROWS}\n\n{ROWS}")
        await pressed(room, "ann", reply, TABLE)
        names = [file.name for message in room.said("@ann") for file in message.files]
        assert names == ["table.csv", "table-2.csv"]


async def test_the_buttons_are_there_only_when_they_apply(redis_url: str) -> None:
    """A short block needs no file."""
    async with slack_room(redis_url) as room:
        reply = await answered(room, "```python\nprint(1)\n```")
        assert not {FILE, TABLE} & set(reply.buttons)


async def test_an_app_that_may_not_write_directly_says_so(redis_url: str) -> None:
    """The file is never shown to others instead."""
    scopes = frozenset(SCOPES) - {"im:write"}
    async with slack_room(redis_url, server={"scopes": scopes}) as room:
        reply = await answered(room)
        assert await pressed(room, "ann", reply, TABLE) == NO_SCOPE
        assert not any(each.files for each in room.said("#general"))
