"""Errors of Discord's API by their codes: passing, of this message, of this channel, for good."""

from typing import Any

import pytest

from bots.discord.api.http import Http, NotPermitted, TokenExpired
from bots.discord.outbound import channel_surface
from bots.sandbox.discord.world.values import EPHEMERAL, SUPPRESS_EMBEDS
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, Unreachable
from tests.bots.discord.harness import GENERAL, DiscordRoom, discord_server

POST = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
RESPOND = "PATCH /webhooks/{application}/{token}/messages/@original"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, 0, Unreachable),
        (403, 40333, Unreachable),
        (403, 20029, Unreachable),
        (400, 40006, Unreachable),
        (400, 130000, Unreachable),
        (500, 0, Unreachable),
        (502, 50013, Unreachable),
        (503, 130000, Unreachable),
        (408, 0, Unreachable),
        (425, 0, Unreachable),
        (400, 50035, Rejected),
        (400, 200000, Rejected),
        (400, 240000, Rejected),
        (403, 20009, Rejected),
        (413, 0, Rejected),
        (400, 99999, Rejected),
        (403, 50001, NotPermitted),
        (403, 50013, NotPermitted),
        (400, 50008, NotPermitted),
        (403, 50007, Forbidden),
        (403, 99999, Forbidden),
        (401, 40001, Forbidden),
        (404, 10008, Gone),
        (401, 50027, TokenExpired),
    ],
)
async def test_an_error_is_of_the_kind_that_its_code_says(status: int, code: int, kind: type[PlatformError]) -> None:
    """The HTTP status alone does not tell whether a call may succeed later."""
    async with discord_server() as discord:
        discord.faults.error(POST, status, code=code)
        http = Http(discord.api_url, discord.token)
        async with http.open():
            with pytest.raises(kind) as caught:
                await http.call("POST", "/channels/1/messages", {"content": "x"})
        assert type(caught.value) is kind


async def test_a_refused_field_is_named_in_the_log(here: DiscordRoom) -> None:
    """Its path and the reason, not what was written."""
    http = Http(here.discord.api_url, here.discord.token)
    async with http.open():
        with pytest.raises(Rejected) as caught:
            await http.call("POST", f"/channels/{here.place(GENERAL).id}/messages", {"content": "secret" * 1000})
    assert "content: BASE_TYPE_MAX_LENGTH" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("route", [POST, EDIT])
@pytest.mark.parametrize(("status", "code"), [(403, 0), (403, 40333), (400, 130000)])
async def test_what_passes_ends_no_answer(here: DiscordRoom, route: str, status: int, code: int) -> None:
    """The whole answer comes, and nobody reads that the bot may not write here."""
    here.nebula.pace = 200
    here.discord.faults.error(route, status, 2, code=code)
    await here.answered("ann", GENERAL, "@nebula hello", "word " * 40 + "end")
    assert here.said("@ann") == []


@pytest.mark.parametrize("fault", ["429", "500"])
async def test_a_thread_that_can_not_be_opened_is_not_waited_for(
    here: DiscordRoom, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The reply goes into the channel."""
    monkeypatch.setattr(channel_surface, "THREAD_TRIES", 2)
    await here.used("ada", GENERAL, "set", parameter="replies", value="thread")
    if fault == "429":
        here.discord.faults.rate_limit("POST /channels/*/threads", 600.0, None)
    else:
        here.discord.faults.error("POST /channels/*/threads", 500, None)
    await here.answered("ann", GENERAL, "@nebula hello", "Here, then.")


async def test_edits_of_what_one_person_sees_say_so(here: DiscordRoom) -> None:
    """A server that takes the flags literally would make it public otherwise."""
    here.nebula.answer_next("Only for you.")
    used = await here.slash("ann", GENERAL, "ask", prompt="hello", private=True)
    await here.until(lambda: used.original and "Only for you." in used.original.content)
    flags: list[Any] = [call.body.get("flags") for call in here.discord.calls if call.route == RESPOND]
    assert flags
    assert set(flags) == {SUPPRESS_EMBEDS | EPHEMERAL}
