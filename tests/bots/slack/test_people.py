"""Who asks in Slack, at the wire: members of ours and other organizations, and the cost of finding out."""

from core.access.admission import EXTERNAL
from core.domain.conversation import Author
from tests.bots.slack.harness import SlackRoom, slack_room
from tests.bots.slack.witness import Witness, witness

OTHER_TEAM = "T0OTHER"


def authors(room: SlackRoom) -> list[Author]:
    """Return the authors of the questions that the dispatcher received, each once."""
    return list({question.id: question.author for question in witness(room.dispatcher).questions}.values())


async def test_people_of_another_organization_are_recognized(redis_url: str) -> None:
    """In messages, button presses and commands; the operator has to let them in."""
    async with slack_room(redis_url, dispatcher=Witness) as room:
        room.person("zoe", team=OTHER_TEAM)
        await room.say("zoe", "#general", "@nebula hello")
        await room.quiet()
        seen = [each.shown for each in (*room.said("#general"), *room.slack.ephemerals(room.where("#general")))]
        assert seen == [EXTERNAL]
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert [author.external for author in authors(room)] == [True, False]
        assert len(room.nebula.requests) == 1
        for who in ("zoe", "ann"):
            await room.slack.press(room.people[who], room.said("#general")[-1], "nebula_reply_again")
        await room.quiet()
        assert [press.author.external for press in witness(room.dispatcher).presses] == [True, False]
        answer = await room.slash("zoe", "#general", "settings")
        assert EXTERNAL in (await room.until(lambda: answer.messages))[0].shown


async def test_they_can_be_let_in(redis_url: str) -> None:
    """Then they are answered like everybody else."""
    async with slack_room(redis_url, dispatcher=Witness, access_external="on") as room:
        room.person("zoe", team=OTHER_TEAM)
        await room.say("zoe", "#general", "@nebula hello")
        await room.quiet()
        assert [author.external for author in authors(room)] == [True]
        assert len(room.nebula.requests) == 1


async def test_each_person_is_looked_up_once(redis_url: str) -> None:
    """The author, who is also named in the text; but never the bot, and nobody twice."""
    async with slack_room(redis_url) as room:
        for text in ("@nebula what do @ann and @bob like?", "@nebula and @bob?"):
            await room.say("ann", "#general", text)
            await room.quiet()
        asked = sorted(str(call.arguments["user"]) for call in room.calls("users.info"))
        assert asked == sorted(room.people[name] for name in ("ann", "bob"))
