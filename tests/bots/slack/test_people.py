"""Who asks in Slack, at the wire: members of ours and of other organisations, and what finding that out costs."""

from core.access.allowlist import EXTERNAL
from core.domain.conversation import Author
from tests.bots.slack.harness import Room, slack_room
from tests.bots.slack.witness import Witness, witness

OTHER = "T0OTHER"


def authors(room: Room) -> list[Author]:
    """Of the questions as the front heard them, each once."""
    return list({mention.id: mention.author for mention in witness(room.front).questions}.values())


async def test_people_of_another_organisation_are_told_apart(redis_url: str) -> None:
    """In what they say, press and command; whoever runs the bot has to let them in."""
    async with slack_room(redis_url, front=Witness) as room:
        room.person("zoe", team=OTHER)
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
        assert [press.author.external for press in witness(room.front).presses] == [True, False]
        answer = await room.slash("zoe", "#general", "settings")
        assert EXTERNAL in (await room.until(lambda: answer.messages))[0].shown


async def test_they_can_be_let_in(redis_url: str) -> None:
    """Then they are answered like everybody."""
    async with slack_room(redis_url, front=Witness, access_external="on") as room:
        room.person("zoe", team=OTHER)
        await room.say("zoe", "#general", "@nebula hello")
        await room.quiet()
        assert [author.external for author in authors(room)] == [True]
        assert len(room.nebula.requests) == 1


async def test_each_person_is_looked_up_once(redis_url: str) -> None:
    """The author who is also named in the text, and neither the bot nor anybody again."""
    async with slack_room(redis_url) as room:
        for text in ("@nebula what do @ann and @bob like?", "@nebula and @bob?"):
            await room.say("ann", "#general", text)
            await room.quiet()
        asked = sorted(str(call.arguments["user"]) for call in room.calls("users.info"))
        assert asked == sorted(room.people[name] for name in ("ann", "bob"))
