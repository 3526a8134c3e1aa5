"""Pictures of the platform API over real sockets, with the account's limits, the breaker and the deadline."""

import asyncio
import base64
import json

import pytest
from aiohttp import web

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.pictures import png
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ImageRequest
from core.domain.errors import (
    BadRequest,
    BrokenStream,
    Filtered,
    ModelError,
    ModelTimeout,
    NoCredits,
    NoPicture,
    RateLimited,
    ServerTrouble,
    Unavailable,
    WrongAddress,
)
from core.domain.ports import Model
from core.nebula.catalog import parse, pictures
from core.nebula.images.wire import ANSWER_BYTES, IMAGE_BYTES
from core.nebula.wrappers.account_limits import Tier
from core.nebula.wrappers.breaking import Breakers
from core.store.quotas import QuotaLimit
from tests.core.nebula.wrappers.wrapped import busy, in_time, used, wrapped_model
from tests.redis_server import patient_connection

MODEL = "black-forest-labs/FLUX.1-schnell"
CAT = ImageRequest(MODEL, "a red cat", 512, 256)


def b64(content: bytes) -> str:
    return json.dumps({"data": [{"index": 0, "b64_json": base64.b64encode(content).decode()}]})


async def failing(model: Model) -> type[ModelError]:
    """The kind of error with which a request ends."""
    with pytest.raises(ModelError) as caught:
        await model.imagine(CAT)
    return type(caught.value)


async def test_a_picture_is_drawn() -> None:
    """The platform API gets the model, the text and the size, and nothing that nobody has set; its picture comes back
    byte for byte."""
    async with NebulaServer() as server, wrapped_model(server) as model:
        picture = await model.imagine(CAT)
        assert (picture.content, picture.kind) == (png("a red cat"), "png")
        (asked,) = server.painter.requests
        assert (asked.key, asked.model, asked.prompt, asked.width, asked.height) == ("ak", MODEL, "a red cat", 512, 256)
        assert set(asked.fields) == {"model", "prompt", "width", "height"}


async def test_steps_and_guidance_are_sent_if_they_are_set() -> None:
    """Under the names of the platform API."""
    async with NebulaServer() as server, wrapped_model(server) as model:
        await model.imagine(ImageRequest(MODEL, "a cat", 64, 64, steps=25, guidance=9.0))
        assert {"num_steps", "guidance_scale"} <= set(server.painter.requests[0].fields)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (NebulaFault(status=402, body='{"message": "Insufficient credits", "status": "failed"}'), NoCredits),
        (NebulaFault(status=404, body='{"message": "Not Found"}'), WrongAddress),
        (NebulaFault(status=400, body='{"message": "The prompt was flagged by our content policy"}'), Filtered),
        (NebulaFault(status=400, body='{"message": "NSFW content detected in the prompt"}'), Filtered),
        (NebulaFault(status=400, body='{"message": "Prompt rejected"}'), Filtered),
        (NebulaFault(status=400, body='{"message": "width must be divisible by 16"}'), BadRequest),
        (NebulaFault(status=400, body='{"message": "prompt is required"}'), BadRequest),
        (NebulaFault(status=429, body="{}", headers={"retry-after": "1000"}), RateLimited),
        (NebulaFault(status=503, body="{}"), ServerTrouble),
        (NebulaFault(status=302, body="", headers={"Location": "http://169.254.169.254/"}), WrongAddress),
        (NebulaFault(cut_after=0), ServerTrouble),
        (NebulaFault(body="{}"), NoPicture),
        (NebulaFault(body="[]"), NoPicture),
        (NebulaFault(body="<html>"), NoPicture),
        (NebulaFault(body='{"data": []}'), NoPicture),
        (NebulaFault(body='{"data": [{"url": "http://169.254.169.254/latest"}]}'), NoPicture),
        (NebulaFault(body='{"data": [{"b64_json": "not base64 at all!"}]}'), NoPicture),
        (NebulaFault(body='{"data": [{"b64_json": 7}]}'), NoPicture),
        (NebulaFault(body="[" * 100_000), NoPicture),
        (NebulaFault(body=b64(b"<script>alert(1)</script>")), NoPicture),
        (NebulaFault(body=b64(png("a") + bytes(IMAGE_BYTES))), NoPicture),
        (NebulaFault(body=b"x" * (ANSWER_BYTES + 1)), NoPicture),
    ],
)
async def test_what_goes_wrong_has_its_own_error(fault: NebulaFault, kind: type[ModelError]) -> None:
    """A refusal, an answer of another form, one that is too large, and one that sends us elsewhere, where we never
    go."""
    async with NebulaServer() as server, wrapped_model(server) as model:
        server.painter.fault(fault)
        with pytest.raises(kind) as caught:
            await model.imagine(CAT)
        assert type(caught.value) is kind
        assert len(server.painter.requests) == 1


async def test_an_answer_that_breaks_off_is_tried_again() -> None:
    """The connection is lost in the middle of the picture."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    async with NebulaServer() as server, await asyncio.start_server(cut, "127.0.0.1", 0) as broken:
        server.platform_url = f"http://127.0.0.1:{broken.sockets[0].getsockname()[1]}"
        async with wrapped_model(server, retries=2) as model:
            with pytest.raises(BrokenStream):
                await model.imagine(CAT)


async def test_a_passing_failure_is_tried_again() -> None:
    """As for an answer in words."""
    async with NebulaServer() as server, wrapped_model(server, retries=2) as model:
        server.painter.fault(NebulaFault(status=503, body="{}"))
        assert (await model.imagine(CAT)).kind == "png"
        assert len(server.painter.requests) == 2


async def drawn_until(deadline: float) -> bool:
    """The request for a slow picture is closed at this deadline. False if that passed before the request arrived."""
    async with NebulaServer() as server, wrapped_model(server, deadline_seconds=deadline) as model:
        server.painter.fault(NebulaFault(hold=Hold()))
        kind = await failing(model)
        if not server.painter.requests:
            return False
        assert kind is ModelTimeout
        await server.until(lambda: server.painter.requests[0].closed_early)
        return True


async def test_a_slow_picture_ends_at_the_deadline() -> None:
    """The request is closed, so that nothing is drawn any more."""
    await in_time(drawn_until)


async def test_a_picture_counts_as_one_request_and_no_tokens(redis_url: str) -> None:
    """Of the account's limits, however many tokens it would have cost as an answer."""
    tier = Tier(requests_per_day=10, tokens_per_minute=1000)
    async with NebulaServer() as server, wrapped_model(server, redis_url, tier) as model:
        await model.imagine(CAT)
        async with patient_connection(redis_url) as redis:
            assert await used(redis, QuotaLimit.daily("account/day", 10)) == 1
            assert await used(redis, QuotaLimit.smooth("account/tokens", 1000, 60)) == 0


async def test_an_exhausted_account_refuses_pictures_too(redis_url: str) -> None:
    """The server hears nothing of one that is too many."""
    async with NebulaServer() as server, wrapped_model(server, redis_url, Tier(requests_per_day=1)) as model:
        await model.imagine(CAT)
        with pytest.raises(RateLimited) as caught:
            await model.imagine(CAT)
        assert caught.value.ours
        assert len(server.painter.requests) == 1


async def test_a_refusal_holds_the_model_for_all(redis_url: str) -> None:
    """After a 429 that asks for a long pause, the next request is not sent."""
    async with NebulaServer() as server, wrapped_model(server, redis_url, patience=1.0) as model:
        server.painter.fault(busy(1000))
        for _ in range(2):
            with pytest.raises(RateLimited):
                await model.imagine(CAT)
        assert len(server.painter.requests) == 1


async def test_a_model_that_is_down_is_left_alone(redis_url: str) -> None:
    """After several failures its breaker opens; the models that write are still asked."""
    breakers = Breakers()
    async with NebulaServer() as server, wrapped_model(server, redis_url, breakers=breakers) as model:
        server.painter.fault(*[NebulaFault(status=503, body="{}")] * 20)
        failures = [await failing(model) for _ in range(20)]
        assert (failures[0], failures[-1]) == (ServerTrouble, Unavailable)
        assert len(server.painter.requests) < 20
        breakers.check("meta-llama/Llama-3.3-70B-Instruct")


def test_the_catalog_says_which_models_draw() -> None:
    """By its own words; one that needs a picture to change is left out, and none of them counts as one that writes."""
    listed = {
        "data": {
            "models": [
                {"model_name": "black-forest-labs/FLUX.1-Fill-dev", "model_type": "Image"},
                {"model_name": "stabilityai/stable-diffusion-xl-base-1.0", "model_type": "Image"},
                {"model_name": "Qwen/Qwen2.5-VL-7B-Instruct", "model_type": "Image-Text-to-Text"},
                {"model_name": "meta-llama/Llama-3.3-70B-Instruct", "model_type": "Text"},
                {"model_name": "some/upscaler", "model_type": "image-to-image"},
                {"model_name": MODEL, "type": "text-to-image"},
                {"model_name": "black-forest-labs/FLUX.1-Fill-dev"},
            ]
        }
    }
    assert pictures(listed) == ("stabilityai/stable-diffusion-xl-base-1.0", MODEL)
    assert "meta-llama/Llama-3.3-70B-Instruct" in [info.name for info in parse(listed)]


async def test_no_other_server_hears_of_a_request() -> None:
    """A redirect to another host is an error, and that host is not called."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        elsewhere = f"http://127.0.0.1:{runner.addresses[0][1]}/steal"
        async with NebulaServer() as server, wrapped_model(server) as model:
            server.painter.fault(NebulaFault(status=307, body="", headers={"Location": elsewhere}))
            with pytest.raises(WrongAddress):
                await model.imagine(CAT)
    finally:
        await runner.cleanup()
    assert heard == []
