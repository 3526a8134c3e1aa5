"""Pictures in Discord, at the wire: `/imagine` and `!imagine`, with Stop, Regenerate and what can go wrong."""

import aiohttp
import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.world.values import DiscordMessage, Overwrite, Permission
from bots.sandbox.hold import Hold
from bots.sandbox.nebula.fake_model import MODELS
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.pictures import png
from core.domain.errors import NoCredits, NoPicture
from core.reply.layout import DRAWING, NO_PICTURE, STOPPED
from core.turns.drawing import FILTERED, NO_LIST, NO_MODEL, REFUSED
from tests.bots.discord.harness import GENERAL, THUMBS, DiscordRoom, room

PROMPT = "a red cat, *very* @everyone"
SHOWN = "a red cat, \\*very\\* @\u200beveryone"
FLUX = "black-forest-labs/FLUX.1-schnell"


async def drawn(here: DiscordRoom, text: str = f"@nebula !imagine {PROMPT}") -> tuple[DiscordMessage, DiscordMessage]:
    """Ask for a picture as Ann; the reply and the message with the file, once nothing runs any more."""
    await here.say("ann", GENERAL, text)
    await here.until(lambda: any(each.attachments for each in here.shown(GENERAL)))
    await here.bot.runner.idle()
    reply, file = here.shown(GENERAL)
    return reply, file


async def bytes_of(message: DiscordMessage) -> bytes:
    """The content of a message's file, as a client downloads it."""
    [file] = message.attachments
    async with aiohttp.ClientSession() as session, session.get(file.url) as response:
        return await response.read()


@pytest.mark.parametrize("slash", [True, False])
async def test_a_picture_is_a_file_with_its_text_as_alt_text(here: DiscordRoom, slash: bool) -> None:
    """By slash command and by message: the text in small print, where it pings nobody, buttons, and the file below."""
    if slash:
        await here.slash("ann", GENERAL, "imagine", text=PROMPT)
        await here.until(lambda: any(each.attachments for each in here.shown(GENERAL)))
        await here.bot.runner.idle()
        reply, file = here.shown(GENERAL)
        assert reply.content == f"-# ann: {SHOWN}"
    else:
        reply, file = await drawn(here)
        assert reply.content == f"-# {SHOWN}"
    assert not reply.pings
    assert list(here.buttons(reply)) == ["Regenerate", *THUMBS, "Undo"]
    [picture] = file.attachments
    assert (picture.name, picture.kind, picture.description) == ("a-red-cat-very-everyone.png", "image/png", PROMPT)
    assert await bytes_of(file) == png(PROMPT)
    [asked] = here.nebula.painter.requests
    assert (asked.model, asked.prompt, asked.width, asked.height) == (FLUX, PROMPT, 1024, 1024)
    assert here.nebula.requests == ()


async def test_it_says_that_it_draws(here: DiscordRoom) -> None:
    """At once, and with a button that ends it: the request is closed, and nothing is shown but that."""
    here.nebula.painter.fault(NebulaFault(hold=Hold()))
    await here.say("ann", GENERAL, "@nebula !imagine a cat")
    [reply] = await here.until(lambda: here.shown(GENERAL))
    assert DRAWING in reply.content
    await here.nebula.until(lambda: bool(here.nebula.painter.requests))
    await here.press("ann", reply, "Stop")
    await here.nebula.until(lambda: here.nebula.painter.requests[0].closed_early)
    await here.until(lambda: STOPPED in here.said(GENERAL)[0])
    await here.bot.runner.idle()
    [reply] = here.shown(GENERAL)
    assert DRAWING not in reply.content
    assert not reply.attachments


async def test_an_option_chooses_the_shape(here: DiscordRoom) -> None:
    """It stands in the small print in words, behind those of the person."""
    await here.slash("ann", GENERAL, "imagine", text="a cat", shape="wide")
    await here.until(lambda: any(each.attachments for each in here.shown(GENERAL)))
    assert here.said(GENERAL)[0] == r"-# ann: a cat \(wide\)"
    [drawn] = here.nebula.painter.requests
    assert (drawn.prompt, drawn.width, drawn.height) == ("a cat", 1216, 832)


async def test_a_new_picture_replaces_the_old_one(here: DiscordRoom) -> None:
    """Regenerate asks for it once more; the old file goes, the reply stays, and words are never asked for."""
    reply, old = await drawn(here)
    here.nebula.painter.content = png("another")
    await here.press("ann", reply, "Regenerate")
    await here.until(lambda: any(each.attachments and each.id != old.id for each in here.shown(GENERAL)))
    await here.bot.runner.idle()
    same, new = here.shown(GENERAL)
    assert same.id == reply.id
    assert await bytes_of(new) == png("another")
    assert here.nebula.requests == ()


async def test_the_old_picture_stays_if_no_new_one_comes(here: DiscordRoom) -> None:
    """What went wrong is a message of its own."""
    reply, old = await drawn(here)
    here.nebula.painter.fault(NebulaFault(status=402, body="{}"))
    await here.press("ann", reply, "Regenerate")
    await here.until(lambda: NoCredits.notice in here.said(GENERAL)[-1])
    await here.bot.runner.idle()
    assert [each.id for each in here.shown(GENERAL)][:2] == [reply.id, old.id]


async def test_a_later_question_knows_of_the_picture(here: DiscordRoom) -> None:
    """The history holds its text, and never its bytes."""
    await drawn(here, "@nebula !imagine a cat")
    await here.answered("ann", GENERAL, "@nebula and its name?", "Tom.")
    told = [each.content for each in here.nebula.requests[-1].messages]
    assert any(each.endswith("imagine a cat") for each in told)
    assert "[picture: a cat]" in told


async def test_a_private_picture_is_for_one_person(here: DiscordRoom) -> None:
    """The command's option makes it so: nobody else sees the text or the file, and nothing can be shared."""
    shown = await here.slash("ann", GENERAL, "imagine", text="a cat", private=True)
    await here.until(lambda: any(each.attachments for each in shown.messages))
    await here.bot.runner.idle()
    assert {each.ephemeral_for for each in shown.messages} == {here.people["ann"].id}
    assert here.shown(GENERAL) == []
    assert "Share" not in here.buttons(shown.messages[0])


async def test_the_question_takes_the_picture_with_it(here: DiscordRoom) -> None:
    """Whoever deletes the message that asked takes both messages away."""
    question = await here.say("ann", GENERAL, "@nebula !imagine a cat")
    await here.until(lambda: any(each.attachments for each in here.shown(GENERAL)))
    await here.bot.runner.idle()
    await here.discord.delete(question)
    await here.until(lambda: here.shown(GENERAL) == [])


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (NebulaFault(status=400, body='{"message": "flagged by our content policy"}'), FILTERED),
        (NebulaFault(status=402, body="{}"), NoCredits.notice),
        (NebulaFault(status=404, body="{}"), REFUSED),
        (NebulaFault(status=429, body="{}", headers={"retry-after": "90"}), "rate limit"),
        (NebulaFault(body='{"data": [{"b64_json": "PHN2Zz4="}]}'), NoPicture.notice),
    ],
    ids=["policy", "credits", "missing", "limit", "wrong"],
)
async def test_what_goes_wrong_is_a_sentence(here: DiscordRoom, fault: NebulaFault, sentence: str) -> None:
    """In the reply, with a button that tries again."""
    here.nebula.painter.fault(fault)
    await here.say("ann", GENERAL, "@nebula !imagine a cat")
    [reply] = await here.until(lambda: [each for each in here.shown(GENERAL) if sentence in each.content])
    await here.until(lambda: list(here.buttons(reply)) == ["Regenerate"])


async def test_without_a_model_that_draws_it_says_so(redis_client: Redis) -> None:
    """The command stays, and explains; nothing is asked of the picture endpoint."""

    def before(stage: DiscordRoom) -> None:
        stage.nebula.models = [each for each in MODELS if each[2] != "Image"]

    async with room(redis_client, before=before) as here:
        shown = await here.slash("ann", GENERAL, "imagine", text="a cat")
        await here.finished(shown, NO_MODEL)
        assert here.nebula.painter.requests == []


async def test_without_a_list_of_models_it_says_so(redis_client: Redis) -> None:
    """Nebula's list is out of reach."""

    def before(stage: DiscordRoom) -> None:
        stage.nebula.catalog_status = 503

    async with room(redis_client, before=before) as here:
        shown = await here.slash("ann", GENERAL, "imagine", text="a cat")
        await here.finished(shown, NO_LIST)


async def test_the_operator_chooses_the_model_and_the_size(redis_client: Redis) -> None:
    """Also a model that no list has."""
    changes = {
        "nebula_image_model": "own/painter",
        "nebula_image_size": "640×480",
        "nebula_image_steps": 4,
        "nebula_image_guidance": 3.5,
    }
    async with room(redis_client, changes=changes) as here:
        await drawn(here)
        [asked] = here.nebula.painter.requests
        assert (asked.model, asked.width, asked.height) == ("own/painter", 640, 480)
        assert {"num_steps", "guidance_scale"} <= set(asked.fields)


async def test_a_place_that_takes_no_files_says_so(redis_client: Redis) -> None:
    """Without the permission to attach files, the reply ends with a sentence."""

    async with room(redis_client) as here:
        denied = Permission.ATTACH_FILES
        rules = (Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied))
        here.discord.overwrite(here.place(GENERAL), *rules)
        await here.say("ann", GENERAL, "@nebula !imagine a cat")
        await here.until(lambda: any(NO_PICTURE in each for each in here.said(GENERAL)))


async def test_imagine_wants_a_text(here: DiscordRoom) -> None:
    """Without one it says how to write it."""
    await here.say("ann", GENERAL, "@nebula !imagine")
    await here.until(lambda: any("imagine <text>" in each for each in here.said(GENERAL)))
    assert here.nebula.painter.requests == []


async def test_a_picture_counts_like_an_answer(redis_client: Redis) -> None:
    """Of what a person may ask in an hour."""
    async with room(redis_client, changes={"person_requests": 1}) as here:
        await drawn(here)
        refused = await here.slash("ann", GENERAL, "imagine", text="a dog")
        await here.until(lambda: any("used up" in each.content for each in refused.messages))
        assert len(here.nebula.painter.requests) == 1
