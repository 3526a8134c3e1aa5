"""Gateway events that discord.py can't read: each is lost alone, and what matters of it is read all the same."""

import logging
from typing import Any

import discord
import pytest
from redis.asyncio import Redis

from bots.discord.components.commands import is_private, typed
from bots.discord.components.forms import FormCommand, submitted
from bots.sandbox.discord.sessions import Intent
from tests.bots.discord.harness import GENERAL, DiscordRoom, room

POLL: dict[str, Any] = {
    "question": {"text": "Tea?"},
    "answers": [],
    "expiry": None,
    "allow_multiselect": False,
    "layout_type": 1,
}


def send(here: DiscordRoom, event: str, payload: Any) -> None:
    """Send an event as it is."""
    here.discord.gateway.dispatch(event, lambda _: payload, guild=here.guild.id, guild_intent=Intent.NONE)


def message(here: DiscordRoom, **changes: Any) -> dict[str, Any]:
    """A message of Ann's that mentions the bot; a field that is ... is left out."""
    ann = here.people["ann"]
    payload = {
        "id": here.discord.open_dm(ann).id[:-4] + "0000",
        "channel_id": here.place(GENERAL).id,
        "guild_id": here.guild.id,
        "type": 0,
        "author": {"id": ann.id, "username": "ann", "discriminator": "0", "avatar": None, "global_name": "ann"},
        "member": {"roles": [], "flags": 0, "joined_at": "2024-01-01T00:00:00+00:00"},
        "content": f"<@{here.me.id}> hello",
        "timestamp": "2026-11-28T00:00:00+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [{"id": here.me.id, "username": "Nebula", "discriminator": "0", "avatar": None}],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
    }
    return {name: value for name, value in {**payload, **changes}.items() if value is not ...}


def interaction(here: DiscordRoom, **changes: Any) -> dict[str, Any]:
    """Ann uses /help."""
    ann = here.people["ann"]
    payload = {
        "id": "1",
        "application_id": here.discord.application_id,
        "type": 2,
        "data": {"name": "help", "id": "5", "type": 1},
        "token": "t",
        "version": 1,
        "guild_id": here.guild.id,
        "channel_id": here.place(GENERAL).id,
        "channel": {"id": here.place(GENERAL).id, "type": 0, "name": "general", "position": 0},
        "member": {"user": {"id": ann.id, "username": "ann", "discriminator": "0", "avatar": None}, "roles": []}
        | {"permissions": "0", "flags": 0, "joined_at": "2024-01-01T00:00:00+00:00"},
        "entitlements": [],
        "attachment_size_limit": 1,
    }
    return {name: value for name, value in {**payload, **changes}.items() if value is not ...}


class TestMessages:
    """A question in an event that discord.py can't read."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"poll": POLL},
            {"embeds": None},
            {"embeds": ...},
            {"attachments": None},
            {"attachments": [{"junk": 1}]},
            {"components": 7},
            {"sticker_items": [{}]},
            {"message_reference": 3, "type": 19},
            {"message_snapshots": [{}]},
            {"edited_timestamp": "yesterday"},
            {"type": 4242, "embeds": None},
            {"reactions": [{}]},
        ],
        ids=str,
    )
    async def test_it_is_answered_or_lost_alone(self, here: DiscordRoom, changes: dict[str, Any]) -> None:
        """The connection stays; a message of an ordinary type is answered."""
        send(here, "MESSAGE_CREATE", message(here, **changes))
        if changes.get("type") != 4242:
            here.nebula.answer_next("Hi.")
            await here.until(lambda: any(text.endswith("Hi.") for text in here.said(GENERAL)))
        await here.answered("bob", GENERAL, "@nebula and me?", "You too.")
        assert (here.discord.gateway.identifies, here.discord.gateway.resumes) == (1, 0)

    async def test_its_files_are_kept(self, here: DiscordRoom) -> None:
        """Something else in the message is unreadable: the question still has its file."""
        file = {"id": "7", "filename": "plan.txt", "size": 1, "url": "", "proxy_url": ""}
        here.nebula.answer_next("Hi.")
        send(here, "MESSAGE_CREATE", message(here, embeds=None, attachments=[file]))
        await here.until(lambda: any("plan.txt" in text for text in here.said(GENERAL)))

    async def test_without_an_author_it_is_lost_alone(
        self, here: DiscordRoom, caplog: pytest.LogCaptureFixture
    ) -> None:
        """discord.py takes such a message, and then lacks what it is asked for."""
        send(here, "MESSAGE_CREATE", message(here, author=...))
        await here.answered("bob", GENERAL, "@nebula and me?", "You too.")
        assert not any(record.exc_info for record in caplog.records)

    async def test_without_its_guild_it_is_no_direct_message(self, here: DiscordRoom) -> None:
        """A guild that can't be read must not make the question one to which no access list applies."""
        send(here, "MESSAGE_CREATE", message(here, guild_id=None, content="hello"))
        await here.answered("bob", GENERAL, "@nebula and me?", "You too.")
        assert len(here.nebula.requests) == 1


class TestOtherEvents:
    """Events of all kinds."""

    @pytest.mark.parametrize("junk", [None, [], {}, "x", 7, {"id": "x"}, {"id": None, "guild_id": None}], ids=str)
    async def test_no_event_ends_the_connection(
        self, here: DiscordRoom, junk: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever is in it, in any kind of event but those of a session; the log has one line for each kind."""
        parsers = discord.Client(intents=discord.Intents.none())._connection.parsers
        events = sorted(parsers.keys() - {"READY", "RESUMED"})
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                for event in events:
                    send(here, event, junk)
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert (here.discord.gateway.identifies, here.discord.gateway.resumes) == (1, 0)
        lines = [record.getMessage() for record in caplog.records if "could not read an event" in record.getMessage()]
        assert len(lines) == len(set(lines))

    async def test_unknown_kinds_of_events_and_channels_are_passed_over(self, here: DiscordRoom) -> None:
        """A channel of a type that does not exist yet, and an event that nobody knows."""
        send(here, "CHANNEL_CREATE", {"id": "77", "guild_id": here.guild.id, "type": 99, "name": "new", "position": 1})
        send(here, "CHANNEL_UPDATE", {"id": "77", "guild_id": here.guild.id, "type": 99, "name": "new", "position": 1})
        send(here, "THREAD_CREATE", {"id": "78", "guild_id": here.guild.id, "type": 99, "parent_id": None})
        send(here, "SOMETHING_NEW", {"id": 1})
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert (here.discord.gateway.identifies, here.discord.gateway.resumes) == (1, 0)

    async def test_opcodes_that_nobody_knows_are_passed_over(self, here: DiscordRoom) -> None:
        """A gateway of the future sends them."""
        here.discord.gateway.broadcast({"op": 31, "d": {"x": 1}})
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert (here.discord.gateway.identifies, here.discord.gateway.resumes) == (1, 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"entitlements": None},
            {"entitlements": [{"junk": 1}]},
            {"type": 99},
            {"attachment_size_limit": ...},
            {"channel": None},
            {"channel": {"id": "1", "type": 99}},
            {"authorizing_integration_owners": None},
            {"context": 77},
            {"member": None},
            {"data": None},
            {"guild": None},
            {"locale": "tlh"},
        ],
        ids=str,
    )
    async def test_interactions(self, here: DiscordRoom, changes: dict[str, Any]) -> None:
        """One that can't be read harms nobody else."""
        send(here, "INTERACTION_CREATE", interaction(here, **changes))
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert (here.discord.gateway.identifies, here.discord.gateway.resumes) == (1, 0)
        # The command itself is carried out wherever its person and its name are there.
        if changes.keys() & {"entitlements", "attachment_size_limit", "authorizing_integration_owners", "context"}:
            await here.until(lambda: any(call.route.endswith("/callback") for call in here.discord.calls))


async def test_a_ready_that_can_not_be_read_is_asked_for_again(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it there is no session: the client signs in once more."""
    monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.01)
    monkeypatch.setattr("bots.discord.app.RETRY_SECONDS", 0.01)

    def spoil(stage: DiscordRoom) -> None:
        stage.discord.gateway.fault_response = 1

    async with room(redis_client, before=spoil) as here:
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert here.discord.gateway.identifies == 2


@pytest.mark.parametrize("junk", [None, 7, "x", {}, [None], [7], [{"components": [None]}], [{"component": 7}]], ids=str)
def test_odd_parts_of_forms_and_commands_are_passed_over(junk: Any) -> None:
    """They hold no value; whoever sent them gets the sentence for a form or a command without one."""
    assert submitted({"custom_id": "form:prompt edit", "components": junk}) == (FormCommand("prompt edit"), "")
    assert typed({"name": "model", "options": junk}) is None
    assert not is_private({"name": "ask", "options": junk})
