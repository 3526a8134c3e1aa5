"""Painter: draws the pictures that people ask for, with the model and the size that the operator chose, and in the
shape that they chose themselves."""

import logging
import math
import re
from dataclasses import dataclass
from enum import StrEnum

from core.domain.chat import ImageRequest
from core.domain.errors import BadRequest, CantDraw, Filtered, ModelError, UnknownModel, WrongAddress
from core.domain.page import ReplyFile
from core.domain.ports import Model
from core.text import one_line

log = logging.getLogger(__name__)

NO_MODEL = "Nebula offers this bot no model that draws, so I can't make pictures."
NO_LIST = "I can't reach Nebula's list of models right now, so I don't know which one draws. Please try again later."
_CHECK = "ask whoever runs it to check NEBULA_IMAGE_MODEL, NEBULA_IMAGE_SIZE and NEBULA_PLATFORM_URL."
REFUSED = f"Nebula refuses to draw with the settings of this bot. Please {_CHECK}"
FILTERED = "A content filter refused this picture. Please describe it in other words."
NOT_THIS = (
    "Nebula refuses to draw this, and does not say why. Please describe it in other words. If that does not help, it "
    f"is the settings of this bot: {_CHECK}"
)
NO_WORDS = "Write what the picture shows: `imagine --{} <text>`."
NOT_THIS_SHAPE = "Nebula refuses to draw this with `--{0}`. Please ask once more without `--{0}`."
LONGEST_DESCRIPTION = 1000
"""Characters: Slack's limit for `alt_txt` (docs.slack.dev, files.getUploadURLExternal); Discord's is 1024."""
_NAME_CHARACTERS = 40
_NOT_IN_NAMES = re.compile(r"[\W_]+")


class Shape(StrEnum):
    """The shape of one picture. It has no more pixels than other pictures: they cost what they cost."""

    WIDE = "wide"
    TALL = "tall"
    SQUARE = "square"


# Width by height. Sides are multiples of so many pixels, which all models take that draw by patches.
_ASPECTS = {Shape.WIDE: 3 / 2, Shape.TALL: 2 / 3, Shape.SQUARE: 1.0}
_STEP = 64
# Before or behind the text; phones turn two hyphens into a dash.
_FLAG = re.compile(rf"(?:--|[\u2014\u2013])({'|'.join(Shape)})", re.IGNORECASE)


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
        """Draw what this text says; a flag before or behind it says in which shape. Raises ModelError; CantDraw if no
        model is there that draws."""
        prompt, shape = shaped(prompt)
        if not prompt:
            raise CantDraw(NO_WORDS.format(shape))
        options, model = self._options, await self._name()
        width, height = _sides(options, shape)
        request = ImageRequest(model, prompt, width, height, steps=options.steps, guidance=options.guidance)
        try:
            picture = await self._model.imagine(request)
        except (BadRequest, Filtered, UnknownModel, WrongAddress) as error:
            log.warning("%s does not draw: %s: %s", model, type(error).__name__, error)
            raise CantDraw(_refused(error, shape)) from error
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


def flagged(text: str, shape: str) -> str:
    """This text for a picture of this shape, "" for the usual one."""
    return f"--{shape} {text}" if shape else text


def shaped(text: str) -> tuple[str, Shape | None]:
    """A text without its flag, and the shape that this says; None for the usual one."""
    first, last = text.split(maxsplit=1), text.rsplit(maxsplit=1)
    if first and (flag := _FLAG.fullmatch(first[0])):
        return "".join(first[1:]).strip(), Shape(flag[1].lower())
    if last and (flag := _FLAG.fullmatch(last[-1])):
        return "".join(last[:-1]).strip(), Shape(flag[1].lower())
    return text, None


def described(text: str) -> str:
    """A text for people, with its shape in words: `a cat (wide)`."""
    words, shape = shaped(text)
    return f"{one_line(words)} ({shape})".lstrip() if shape else one_line(text)


def _refused(error: ModelError, shape: Shape | None) -> str:
    """The sentence for a refusal: where nothing says whether the words or the settings are to blame, for both."""
    match error:
        case Filtered():
            return FILTERED
        case BadRequest() if shape:
            return NOT_THIS_SHAPE.format(shape)
        case BadRequest():
            return NOT_THIS
        case _:
            return REFUSED


def _sides(options: PictureOptions, shape: Shape | None) -> tuple[int, int]:
    """Width and height in pixels."""
    if shape is None:
        return options.width, options.height
    pixels, aspect = options.width * options.height, _ASPECTS[shape]
    width, height = (int(math.sqrt(each) / _STEP) * _STEP for each in (pixels * aspect, pixels / aspect))
    return max(_STEP, width), max(_STEP, height)


def file_name(prompt: str, kind: str) -> str:
    """The name of a picture, after the first words of its text: `a-red-cat.png`."""
    words = _NOT_IN_NAMES.sub(" ", prompt[: 4 * _NAME_CHARACTERS].lower()).split()
    name = "-".join(words)
    if len(name) > _NAME_CHARACTERS:
        name = name[:_NAME_CHARACTERS].rpartition("-")[0] or name[:_NAME_CHARACTERS]
    return f"{name or 'picture'}.{'jpg' if kind == 'jpeg' else kind}"
