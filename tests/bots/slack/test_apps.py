"""Apps as their manifests describe them: with the fewest rights, and with a slash command of their own."""

from bots.slack.manifest import EVENTS, FOR_HISTORY, OPTIONAL, SCOPES, named
from tests.bots.slack.harness import slack_room

GENERAL = "#general"
MINIMAL = {
    "scopes": frozenset(SCOPES.keys() - OPTIONAL),
    "subscriptions": frozenset(EVENTS.keys() - OPTIONAL - FOR_HISTORY),
}


async def test_an_app_with_the_fewest_rights_answers_all_who_ask(redis_url: str) -> None:
    """Mentions in channels and group messages, direct messages, and the slash command; it never asks Slack for what it
    has no scope for."""
    async with slack_room(redis_url, server=MINIMAL) as room:
        room.channels["#group"] = room.slack.add_group_dm([room.people["ann"], room.people["bob"]])
        for channel, text in ((GENERAL, "@nebula one"), ("@ann", "two"), ("#group", "@nebula three")):
            await room.say("ann", channel, text)
            await room.answered(channel, text.split()[-1])
        await room.slash("ann", GENERAL, "ask four")
        await room.answered(GENERAL, "four")
        thread = (await room.say("bob", GENERAL, "@nebula five")).ts
        await room.answered(GENERAL, "five", thread)
        await room.say("bob", GENERAL, "and without a mention", thread)
        await room.quiet()
        assert len(room.nebula.requests) == 5
        assert not [call for call in room.slack.calls if call.error == "missing_scope"]


async def test_the_bot_answers_to_the_command_of_its_manifest(redis_url: str) -> None:
    """Slack delivers to an app its own commands alone, so the bot need not be told its name."""
    async with slack_room(redis_url) as room:
        await room.slash("ann", GENERAL, "ask hello", named("Tutor").command)
        await room.answered(GENERAL, "hello")
        assert (await room.slash("ann", GENERAL, "settings", "/tutor")).problem == ""
