"""Files in Slack at the wire: one that a command sends to the person who asked for it."""

import pytest

from bots.sandbox.slack.methods import faults
from bots.slack.manifest import SCOPES
from bots.slack.outbound.private_file import DIRECTLY, NO_SCOPE, NO_UPLOAD, NOT_ALLOWED, NOT_SENT
from core.commands.registry import Invocation
from core.commands.responses import Response, RightsOf
from core.domain.page import ReplyFile
from core.inbound.dispatcher import Dispatcher
from tests.bots.slack.harness import SlackRoom, slack_room

GRANTED = frozenset(SCOPES)


class Giver(Dispatcher):
    """Responds to each command with a file."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Take the place of this dispatcher."""
        self.__dict__.update(dispatcher.__dict__)

    async def invoked(self, invocation: Invocation, rights: RightsOf) -> Response:
        return Response("Here it is.", files=(ReplyFile("export.json", b"{}"),))


async def given(room: SlackRoom, slash: bool) -> str:
    """Ask for the file in the channel; return what the channel reads about it."""
    if slash:
        answer = await room.slash("ann", "#general", "settings")
        return (await room.until(lambda: answer.messages))[0].shown
    await room.say("ann", "#general", "@nebula !settings")
    return (await room.answered("#general", "Here it is.")).shown


@pytest.mark.parametrize("slash", [True, False])
async def test_a_file_goes_only_to_the_person_who_asked(redis_url: str, slash: bool) -> None:
    """It is in their direct messages, and the response says so."""
    async with slack_room(redis_url, dispatcher=Giver, server={"scopes": GRANTED}) as room:
        assert DIRECTLY in await given(room, slash)
        (shared,) = room.said("@ann")
        assert [(file.name, file.data) for file in shared.files] == [("export.json", b"{}")]
        assert not [message for message in room.said("#general") if message.files]


@pytest.mark.parametrize("slash", [True, False])
async def test_a_file_is_never_shown_to_others(redis_url: str, slash: bool) -> None:
    """An app with an older manifest may not open a direct message: there is a sentence, and no file."""
    async with slack_room(redis_url, dispatcher=Giver, server={"scopes": GRANTED - {"im:write"}}) as room:
        if slash:
            answer = await room.slash("ann", "#general", "settings")
            assert NO_SCOPE in (await room.until(lambda: answer.messages))[0].shown
        else:
            await room.say("ann", "#general", "@nebula !settings")
            await room.answered("#general", NO_SCOPE)
        assert not [message for message in room.said("#general") if message.files]


async def test_a_rate_limit_is_waited_for(redis_url: str) -> None:
    """A temporary refusal does not make a private file public."""
    async with slack_room(redis_url, dispatcher=Giver, server={"scopes": GRANTED}) as room:
        room.slack.faults.add("conversations.open", faults.rate_limited(0))
        assert DIRECTLY in await given(room, True)
        assert not [message for message in room.said("#general") if message.files]


async def test_a_file_in_a_direct_message_stays_there(redis_url: str) -> None:
    """It is already private."""
    async with slack_room(redis_url, dispatcher=Giver) as room:
        await room.say("ann", "@ann", "!settings")
        await room.answered("@ann", "Here it is.")
        assert [len(message.files) for message in room.said("@ann")] == [1, 0]
        assert not room.calls("conversations.open")


@pytest.mark.parametrize("told", [True, False])
async def test_without_the_right_to_upload_it_says_who_can_give_it(redis_url: str, told: bool) -> None:
    """Another attempt would not help. Slack tells what the app may do, or refuses the file alone."""
    server = {"scopes": GRANTED - {"files:write"}, "tells_scopes": told}
    async with slack_room(redis_url, dispatcher=Giver, server=server) as room:
        shown = await given(room, True)
        assert NO_UPLOAD in shown
        assert "Here it is." in shown
        assert bool(room.calls("conversations.open")) is not told


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("file_uploads_disabled", NOT_ALLOWED.format("file_uploads_disabled")), ("invalid_arguments", NOT_SENT)],
)
async def test_a_refused_file_is_reported(redis_url: str, code: str, sentence: str) -> None:
    """The rest of the response is shown all the same."""
    async with slack_room(redis_url, dispatcher=Giver) as room:
        room.slack.faults.add("files.getUploadURLExternal", faults.refused(code), times=None)
        assert sentence in await given(room, True)
