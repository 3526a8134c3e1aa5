"""Painter: draws the pictures that people ask for, with the model and the size that the operator chose."""

import logging
import re
from dataclasses import dataclass

from core.domain.chat import ImageRequest
from core.domain.errors import BadRequest, CantDraw, UnknownModel, WrongAddress
from core.domain.page import ReplyFile
from core.domain.ports import Model
from core.text import one_line

log = logging.getLogger(__name__)

NO_MODEL = "Nebula offers this bot no model that draws, so I can't make pictures."
NO_LIST = "I can't reach Nebula's list of models right now, so I don't know which one draws. Please try again later."
REFUSED = (
    "Nebula refuses to draw with the settings of this bot. Please ask whoever runs it to check NEBULA_IMAGE_MODEL, "
    "NEBULA_IMAGE_SIZE and NEBULA_PLATFORM_URL."
)
LONGEST_DESCRIPTION = 1000
"""Characters: Slack's limit for `alt_txt` (docs.slack.dev, files.getUploadURLExternal); Discord's is 1024."""
_NAME_CHARACTERS = 40
_NOT_IN_NAMES = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How pictures are drawn. `model`: "" for the first of the catalog. Sides in pixels. None: the server decides."""

    model: str = ""
    width: int = 1024
    height: int = 1024
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and the model that drew it."""

    model: str
    file: ReplyFile


class Painter:
    """Keeps nothing between two pictures."""

    def __init__(self, model: Model, options: PictureOptions = PictureOptions()) -> None:
        self._model, self._options = model, options

    async def draw(self, prompt: str) -> Drawn:
        """Draw what this text says. Raises ModelError; CantDraw if no model is there that draws."""
        options, model = self._options, await self._name()
        request = ImageRequest(
            model, prompt, options.width, options.height, steps=options.steps, guidance=options.guidance
        )
        try:
            picture = await self._model.imagine(request)
        except (BadRequest, UnknownModel, WrongAddress) as error:
            log.warning("%s does not draw: %s: %s", model, type(error).__name__, error)
            raise CantDraw(REFUSED) from error
        description = one_line(prompt, LONGEST_DESCRIPTION)
        return Drawn(model, ReplyFile(file_name(prompt, picture.kind), picture.content, description))

    async def _name(self) -> str:
        """The model that draws. Raises CantDraw."""
        if self._options.model:
            return self._options.model
        catalog = await self._model.catalog()
        if not catalog.pictures:
            raise CantDraw(NO_MODEL if catalog.live else NO_LIST)
        return catalog.pictures[0]


def file_name(prompt: str, kind: str) -> str:
    """The name of a picture, after the first words of its text: `a-red-cat.png`."""
    words = _NOT_IN_NAMES.sub(" ", prompt[: 4 * _NAME_CHARACTERS].lower()).split()
    name = "-".join(words)
    if len(name) > _NAME_CHARACTERS:
        name = name[:_NAME_CHARACTERS].rpartition("-")[0] or name[:_NAME_CHARACTERS]
    return f"{name or 'picture'}.{'jpg' if kind == 'jpeg' else kind}"
