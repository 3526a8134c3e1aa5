"""What the model knows in Slack, at the wire: a thread is a dialogue, and the rules tell of the channel's others."""

from tests.bots.slack.harness import SlackRoom, slack_room


async def asked(room: SlackRoom, who: str, channel: str, text: str, answer: str, thread: str = "") -> str:
    """Ask, wait for this answer, and return the ts of the question."""
    room.nebula.answer_next(answer)
    said = await room.say(who, channel, text, thread)
    await room.answered(channel, answer)
    await room.quiet()
    return said.ts


def request(room: SlackRoom) -> tuple[str, list[tuple[str, str]]]:
    """The rules of the newest request, and its other messages with their roles."""
    rules, *turns = room.nebula.requests[-1].messages
    assert rules.role == "system"
    return rules.content, [(each.role, each.content) for each in turns]


async def test_a_thread_has_no_turn_of_another(redis_url: str) -> None:
    """The rules mention what was said there, and a follow-up sees the question that its thread hangs on."""
    async with slack_room(redis_url) as room:
        first = await asked(room, "ann", "#general", "@nebula pears?", "About pears.")
        await asked(room, "bob", "#general", "@nebula ripe?", "Ripe ones.", first)
        second = await asked(room, "bob", "#general", "@nebula kiwis?", "About kiwis.")
        rules, turns = request(room)
        assert turns == [("user", "bob: kiwis?")]
        assert 'ann asked: "pears?" You answered: "About pears."' in rules
        assert 'bob asked: "ripe?" You answered: "Ripe ones."' in rules
        await asked(room, "ann", "#general", "@nebula sweet?", "Sweet ones.", second)
        rules, turns = request(room)
        assert turns == [("user", "bob: kiwis?"), ("assistant", "About kiwis."), ("user", "ann: sweet?")]
        assert "About pears." in rules
        assert "kiwis" not in rules


async def test_a_thread_that_people_began(redis_url: str) -> None:
    """Its first question has no turns before it, as what people said is quoted in it; the second one has those of the
    thread."""
    async with slack_room(redis_url) as room:
        await asked(room, "ann", "#general", "@nebula pears?", "About pears.")
        root = await room.say("bob", "#general", "lunch, anybody?")
        await asked(room, "bob", "#general", "@nebula soup?", "About soup.", root.ts)
        [(role, content)] = request(room)[1]
        assert role == "user"
        assert "bob (person): lunch, anybody?" in content
        assert content.endswith("\n\nbob: soup?")
        await asked(room, "ann", "#general", "@nebula hot?", "Hot.", root.ts)
        rules, turns = request(room)
        assert turns == [("user", "bob: soup?"), ("assistant", "About soup."), ("user", "ann: hot?")]
        assert "About pears." in rules


async def test_commands_in_the_channel_are_a_dialogue_of_their_own(redis_url: str) -> None:
    """Their answers are in the channel itself: what threads are about is background, and the other way round."""
    async with slack_room(redis_url) as room:
        await asked(room, "ann", "#general", "@nebula pears?", "About pears.")
        for text, answer in (("kiwis?", "About kiwis."), ("ripe?", "Ripe.")):
            room.nebula.answer_next(answer)
            await room.slash("bob", "#general", f"ask {text}")
            await room.answered("#general", answer)
            await room.quiet()
        rules, turns = request(room)
        assert turns == [("user", "bob: kiwis?"), ("assistant", "About kiwis."), ("user", "bob: ripe?")]
        assert "About pears." in rules
        answer_to_command = await room.answered("#general", "Ripe.")
        await asked(room, "ann", "#general", "@nebula sure?", "Sure.", answer_to_command.ts)
        rules, turns = request(room)
        assert turns == [("user", "bob: ripe?"), ("assistant", "Ripe."), ("user", "ann: sure?")]
        assert "About kiwis." in rules


async def test_each_thread_of_a_direct_message_is_a_chat(redis_url: str) -> None:
    """It sees the question that it hangs on, and a question outside threads those before it. Nobody is told of other
    chats."""
    async with slack_room(redis_url) as room:
        first = await asked(room, "ann", "@ann", "pears?", "About pears.")
        await asked(room, "ann", "@ann", "ripe?", "Ripe ones.", first)
        assert request(room)[1] == [("user", "pears?"), ("assistant", "About pears."), ("user", "ripe?")]
        second = await asked(room, "ann", "@ann", "kiwis?", "About kiwis.")
        rules, turns = request(room)
        assert turns == [("user", "pears?"), ("assistant", "About pears."), ("user", "kiwis?")]
        assert "Ripe ones." not in rules
        await asked(room, "ann", "@ann", "sweet?", "Sweet ones.", second)
        rules, turns = request(room)
        assert turns == [("user", "kiwis?"), ("assistant", "About kiwis."), ("user", "sweet?")]
        assert "pears" not in rules
