"""The request for a picture and its answer, as the platform API has them (docs of Nebula Block, Generate Images).

`POST /images/generation` with `model`, `prompt`, `width`, `height`, and for some models `num_steps` and
`guidance_scale`. It answers `{"data": [{"index", "b64_json"}], "message", "status", …}`. An address in place of the
picture is not documented, so none is fetched: nobody can send us to another server.
"""

import base64
import binascii
import json

from core.domain.chat import ImageRequest, ImageResult
from core.domain.errors import NoPicture
from core.nebula.images.formats import kind_of

IMAGE_BYTES = 10 << 20
"""The largest picture: Discord takes no larger file (docs.discord.com, Uploading Files)."""
ANSWER_BYTES = IMAGE_BYTES * 4 // 3 + (64 << 10)
"""The largest answer: its picture in base64, and room for the words around it."""


def asked(request: ImageRequest) -> bytes:
    """The body of a request."""
    fields = {
        "model": request.model,
        "prompt": request.prompt,
        "width": request.width,
        "height": request.height,
        "num_steps": request.steps,
        "guidance_scale": request.guidance,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def answered(body: bytes | None) -> ImageResult:
    """The picture of an answer; None: the answer is too large. Raises NoPicture."""
    if body is None:
        raise NoPicture("the answer is too large")
    try:
        first = json.loads(body)["data"][0]["b64_json"]
        encoded = first.removeprefix("data:").rpartition(";base64,")[2]
        content = base64.b64decode(encoded, validate=True)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, binascii.Error) as error:
        raise NoPicture(f"an answer of another form: {type(error).__name__}") from None
    if not (kind := kind_of(content)) or len(content) > IMAGE_BYTES:
        raise NoPicture("no picture, one of another kind, or one that is too large")
    return ImageResult(content, kind)
