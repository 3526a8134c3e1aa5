"""Surfaces: opens the surface of a reply, or of something beside it, on the question's platform, and reads there what
was said around the question."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from core.domain.conversation import Address, Attachment, Place
from core.domain.ports import Entitles, Platform, Surface
from core.domain.question import Question
from core.domain.surroundings import Reach, Surroundings
from core.domain.turn_id import Step, TurnId, step_of
from core.settings.parameters import ChannelSettings
from core.settings.routing import address_of


class Surfaces:
    """Opens surfaces on the platforms that this process serves. No method does IO, except the asynchronous ones."""

    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms

    def __iter__(self) -> Iterator[str]:
        """The names of the platforms."""
        return iter(self._platforms)

    def reply(self, question: Question, settings: ChannelSettings, *, adopted: bool) -> Surface:
        """Where the reply to this question appears. `adopted`: another process accepted the question."""
        return self._open(address_of(question, settings, adopted=adopted))

    def beside(self, question: Question, settings: ChannelSettings, step: Step) -> Surface:
        """Where something beside the reply to this question appears, such as an offer."""
        return self.at(address_of(question, settings), question.id, step)

    def at(self, address: Address, turn: TurnId, step: Step) -> Surface:
        """Where something beside the reply to this address appears. Its turn id tells it from the reply."""
        return self._open(replace(address, turn=step_of(turn, step)))

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        """What was said around this question. Raises PlatformError."""
        return await self._platforms[question.place.platform].surroundings(question, reach)

    async def channel_name(self, place: Place) -> str:
        """The name of this channel, "" if it is not known. Raises PlatformError."""
        return await self._platforms[place.platform].channel_name(place)

    async def fetch(self, platform: str, attachment: Attachment, most: int) -> bytes:
        """The content of a file on this platform. Raises PlatformError."""
        return await self._platforms[platform].fetch(attachment, most)

    def chat(self, question: Question, settings: ChannelSettings) -> str:
        """The chat that a question began and whose title is ours to set (see Entitles); "" if there is none."""
        platform = self._platforms[question.place.platform]
        return platform.chat(address_of(question, settings)) if isinstance(platform, Entitles) else ""

    async def entitle(self, question: Question, settings: ChannelSettings, title: str, *, begun: bool = False) -> None:
        """Give that chat a title (see Entitles). Raises PlatformError."""
        platform = self._platforms[question.place.platform]
        if isinstance(platform, Entitles):
            await platform.entitle(address_of(question, settings), title, begun=begun)

    def _open(self, address: Address) -> Surface:
        return self._platforms[address.place.platform].open(address)
