"""Commands in Slack at the wire: `/nebula`, `!` after a mention, buttons and modals, and who may change what."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from tests.bots.slack.harness import ENDLESS, SlackRoom, slack_room


async def shown(room: SlackRoom, who: str, channel: str, text: str, command: str = "/nebula") -> tuple[str, str]:
    """Return the response to a slash command, and who alone sees it."""
    answer = await room.slash(who, channel, text, command)
    assert answer.problem == ""
    (message, *_) = await room.until(lambda: answer.messages)
    return message.shown, message.only_for


@pytest.mark.parametrize("command", ["/nebula", "/ask-the-stars"])
async def test_a_bare_command_shows_help(redis_url: str, command: str) -> None:
    """Whatever name the app registered for it; only the person who asked sees it."""
    async with slack_room(redis_url) as room:
        text, seen_by = await shown(room, "ann", "#general", "", command)
        assert "prompt set" in text
        assert seen_by == room.people["ann"]


async def test_a_question_by_command_is_answered_in_the_channel(redis_url: str) -> None:
    """The reply is public and starts with who asked what, because the command itself is not in the channel."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("Blue.")
        answer = await room.slash("ann", "#general", "ask what colour is <!here> *the sky*?")
        await room.answered("#general", "Blue.")
        await room.quiet()
        (reply,) = room.said("#general")
        assert reply.shown == "ann: what colour is <!here> *the sky*?\n\nBlue."
        assert (reply.thread_ts, reply.only_for, reply.pings, answer.messages) == ("", "", (), ())


async def test_two_commands_are_two_questions(redis_url: str) -> None:
    """If the same person gives the same words twice, they are asked twice."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "#general", "ask hello")
        await room.slash("ann", "#general", "ask hello")
        await room.until(lambda: len(room.said("#general")) == 2)


@pytest.mark.parametrize("private", [True, False])
async def test_a_question_where_the_bot_is_no_member_is_refused(redis_url: str, private: bool) -> None:
    """Slack offers the command everywhere; where the bot can't write, it asks the person for an invitation."""
    async with slack_room(redis_url) as room:
        room.open("#far", private=private, bot_in=False)
        text, seen_by = await shown(room, "ann", "#far", "ask hello")
        assert "/invite" in text
        assert seen_by == room.people["ann"]
        assert not room.nebula.requests


async def test_a_command_in_a_direct_message(redis_url: str) -> None:
    """Questions by command also work there."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "@ann", "ask hello")
        await room.until(lambda: room.said("@ann"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pormpt set x", "`prompt set`"),
        ("ask", "Ask me something"),
        ("set temperature hot", "`temperature` must be a number from 0 to 2"),
        ("set tempo 1", "There is no setting `tempo`"),
        ("set temperature", "`value` is missing (its new value, or default). Write `set <parameter> <value>`."),
    ],
)
async def test_a_wrong_command_is_explained(redis_url: str, text: str, sentence: str) -> None:
    """Only the person sees it, with what to write instead."""
    async with slack_room(redis_url) as room:
        said, seen_by = await shown(room, "ann", "#general", text)
        assert sentence in said
        assert seen_by == room.people["ann"]


async def test_a_wrong_command_after_a_mention_is_explained_in_the_thread(redis_url: str) -> None:
    """The model does not see it."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "#general", "@nebula !pormpt show")
        await room.answered("#general", "There is no command", asked.ts)
        await room.quiet()
        assert not room.nebula.requests


async def test_a_redelivered_command_is_carried_out_once(redis_url: str) -> None:
    """A command after a mention arrives as an event, and Slack may deliver an event again."""
    async with slack_room(redis_url) as room:
        room.slack.redeliver(3)
        await room.say("ann", "#general", "@nebula !settings")
        await room.quiet()
        await room.until(lambda: room.said("#general"))
        assert len(room.said("#general")) == 1


async def test_a_prompt_applies_to_its_channel(redis_url: str) -> None:
    """A prompt set by command is announced publicly and applies only there; its line breaks and characters are kept."""
    async with slack_room(redis_url) as room:
        room.open("#random")
        text, seen_by = await shown(room, "ann", "#general", "prompt set You are a pirate.\nSay <arr> & *ahoy*.")
        assert "You are a pirate." in text
        assert seen_by == ""
        for channel in ("#general", "#random"):
            await room.say("ann", channel, "@nebula hello")
            await room.quiet()
        prompts = [request.messages[0].content for request in room.nebula.requests]
        assert "You are a pirate.\nSay <arr> & *ahoy*." in prompts[0]
        assert "pirate" not in prompts[1]


async def test_a_prompt_is_edited_in_a_modal(redis_url: str) -> None:
    """`prompt set` without a text opens a form with the current prompt; the saved prompt is announced publicly."""
    async with slack_room(redis_url) as room:
        await shown(room, "ann", "#general", "prompt set Be brief.")
        answer = await room.slash("ann", "#general", "prompt set")
        view = await room.form()
        field = view.blocks[0]["element"]
        assert (field["initial_value"], field["multiline"]) == ("Be brief.", True)
        outcome = await room.fill("ann", view, "Be\nbold.")
        assert outcome.closed
        (message,) = await room.until(lambda: answer.messages)
        assert "Be\nbold." in message.shown
        assert message.only_for == ""
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert "Be\nbold." in room.nebula.requests[0].messages[0].content


async def test_a_form_is_closed_before_slack_calls_it_failed(redis_url: str) -> None:
    """If storing takes longer than Slack waits, the outcome is shown once it is known."""
    async with slack_room(redis_url, patience=replace(ENDLESS, form=0.0)) as room:
        answer = await room.slash("ann", "#general", "prompt set")
        assert (await room.fill("ann", await room.form(), "Be bold.")).closed
        assert "Be bold." in (await room.until(lambda: answer.messages))[0].shown


async def test_a_long_prompt_is_not_cut_by_the_modal(redis_url: str) -> None:
    """A prompt that does not fit the field is left out of it, and the form says so."""
    async with slack_room(redis_url) as room:
        await shown(room, "ann", "#general", "prompt set " + "word " * 1000)
        await room.slash("ann", "#general", "prompt set")
        view = await room.form()
        assert "initial_value" not in view.blocks[0]["element"]
        assert "too many for this field" in view.blocks[0]["hint"]["text"]


async def test_a_modal_shows_what_is_wrong_with_its_text(redis_url: str, redis_client: Redis) -> None:
    """The modal stays open with the text that the person typed."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "#general", "prompt set")
        view = await room.form()
        await redis_client.config_set("maxmemory", "1")
        try:
            outcome = await room.fill("ann", view, "x")
        finally:
            await redis_client.config_set("maxmemory", "0")
        assert not outcome.closed
        assert "My memory is out of reach" in next(iter(outcome.errors.values()))


async def test_a_modal_opens_from_a_button_in_a_thread(redis_url: str) -> None:
    """Slash commands do not exist in threads: `!prompt set` offers a button, whose form changes the same prompt."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "lunch?")
        await room.say("ann", "#general", "@nebula !prompt set", root.ts)
        offer = await room.answered("#general", "prompt set", root.ts)
        pressed = await room.slack.press(room.people["ann"], offer, offer.buttons[0])
        assert pressed.problem == ""
        view = await room.form()
        outcome = await room.slack.submit(
            room.people["ann"], view, {view.blocks[0]["element"]["action_id"]: "Be bold."}
        )
        assert outcome.closed
        message = await room.answered("#general", "Be bold.", root.ts)
        assert message.thread_ts == root.ts
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert "Be bold." in room.nebula.requests[0].messages[0].content


async def test_a_button_does_not_lend_rights(redis_url: str) -> None:
    """Anybody may press a button offered to somebody else; the form opens only for people who may use it."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula !prompt set")
        offer = await room.answered("#general", "prompt set")
        pressed = await room.slack.press(room.people["bob"], offer, offer.buttons[0])
        (message,) = await room.until(lambda: pressed.messages)
        assert "You may not change" in message.shown
        assert message.only_for == room.people["bob"]
        assert not room.slack.views


@pytest.mark.parametrize(
    ("who", "managers", "command", "allowed"),
    [
        ("ann", "admins creators", "set temperature 1", True),
        ("bob", "admins creators", "set temperature 1", False),
        ("eve", "admins creators", "set temperature 1", True),
        ("ann", "admins", "set temperature 1", False),
        ("bob", "everyone", "set temperature 1", True),
        ("ann", "admins creators", "set --workspace temperature 1", False),
        ("bob", "everyone", "set --workspace temperature 1", False),
        ("eve", "admins creators", "set --workspace temperature 1", True),
        ("bob", "admins creators", "settings", True),
    ],
)
async def test_who_may_change_settings(redis_url: str, who: str, managers: str, command: str, allowed: bool) -> None:
    """Admins everything, creators their channel, and others as SLACK_MANAGERS says; everybody may look."""
    async with slack_room(redis_url, slack_managers=managers) as room:
        text, _ = await shown(room, who, "#general", command)
        assert ("may not" not in text and "Only admins" not in text) is allowed


async def test_listed_people_may_change_settings(redis_url: str) -> None:
    """SLACK_MANAGERS may name people by their ids; other people's ids do not help."""
    async with slack_room(redis_url, slack_managers="U0SOMEBODY") as room:
        assert "may not" in (await shown(room, "bob", "#general", "set temperature 1"))[0]
    async with slack_room(redis_url, slack_managers=f"admins,{room.people['bob'].lower()}") as room:
        assert "is now" in (await shown(room, "bob", "#general", "set temperature 1"))[0]


async def test_everybody_may_change_their_direct_message(redis_url: str) -> None:
    """Nobody else is there."""
    async with slack_room(redis_url) as room:
        await room.say("bob", "@bob", "!set temperature 0.5")
        await room.answered("@bob", "is now")


async def test_rights_that_slack_does_not_confirm_are_not_granted(redis_url: str) -> None:
    """If users.info and conversations.info fail, nobody may change a channel."""
    async with slack_room(redis_url) as room:
        for method in ("users.info", "conversations.info"):
            room.slack.faults.add(method, faults.refused("missing_scope"), times=None)
        assert "may not" in (await shown(room, "eve", "#general", "set temperature 1"))[0]


async def test_a_question_by_command_that_can_not_be_stored_is_reported(redis_url: str, redis_client: Redis) -> None:
    """Slack does not deliver commands again, so the person must know."""
    async with slack_room(redis_url) as room:
        await redis_client.config_set("maxmemory", "1")
        try:
            text, seen_by = await shown(room, "ann", "#general", "ask hello")
        finally:
            await redis_client.config_set("maxmemory", "0")
        assert "My memory is out of reach" in text
        assert seen_by == room.people["ann"]


async def test_a_long_response_to_a_command_is_complete(redis_url: str) -> None:
    """A text that does not fit one message is shown in several."""
    async with slack_room(redis_url) as room:
        prompt = "\n".join(f"Rule {number} of this channel." for number in range(450))
        await shown(room, "ann", "#general", f"prompt set {prompt}")
        answer = await room.slash("ann", "#general", "prompt show")
        await room.until(lambda: len(answer.messages) == 2)
        text = "".join(message.shown for message in answer.messages)
        assert [line for line in text.splitlines() if line.startswith("Rule ")] == prompt.splitlines()


async def test_a_response_whose_blocks_are_refused_is_shown_in_mrkdwn(redis_url: str) -> None:
    """If a response_url accepts no markdown block it gets sections."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("response_url", faults.refused("invalid_blocks"))
        answer = await room.slash("ann", "#general", "help")
        (message,) = await room.until(lambda: answer.messages)
        assert {block["type"] for block in message.blocks} == {"section"}


async def test_the_outcome_of_a_form_falls_back_to_a_message(redis_url: str) -> None:
    """The response_url may have expired while the person was writing."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", "#general", "prompt set")
        view = await room.form()
        room.slack.faults.add("response_url", faults.refused("expired_url"), times=None)
        assert (await room.fill("ann", view, "Be bold.")).closed
        await room.answered("#general", "Be bold.")


async def test_a_response_in_a_thread_waits_for_a_rate_limit(redis_url: str) -> None:
    """A 429 from chat.postMessage delays it."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", faults.rate_limited(0))
        await room.say("ann", "#general", "@nebula !help")
        await room.answered("#general", "prompt set")


async def test_a_delayed_response_is_shown_later(redis_url: str) -> None:
    """The bot waits out a 429 from the response_url."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("response_url", faults.rate_limited(0))
        text, _ = await shown(room, "ann", "#general", "settings")
        assert "temperature" in text


async def test_who_set_something_is_named(redis_url: str) -> None:
    """With the name that people see, not an id."""
    async with slack_room(redis_url) as room:
        await shown(room, "ann", "#general", "set temperature 1")
        assert "by ann" in (await shown(room, "bob", "#general", "settings"))[0]
