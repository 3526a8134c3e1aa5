"""Access: who may use the bot, and where, by the lists of whoever runs it."""

from collections.abc import Iterable

from core.domain.conversation import Author, Place
from core.domain.options import Switch
from core.settings.config import Config

DENIED = "You can't use this bot here. Whoever runs it decides who may."
EXTERNAL = "Only members of this workspace can use this bot here."


class AccessList:
    """The lists name people, roles, channels, threads and workspaces by their ids."""

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = (), *, external: bool = False) -> None:
        """`allow`: where something is listed, nothing else is allowed. `deny` goes before it. `external`: whether
        people of other organisations may ask."""
        self._allow, self._deny, self._external = frozenset(allow), frozenset(deny), external

    @classmethod
    def of(cls, config: Config) -> "AccessList":
        """As the configuration says."""
        return cls(config.access_allow, config.access_deny, external=config.access_external is Switch.ON)

    def refusal(self, author: Author, place: Place) -> str:
        """The sentence for somebody who may not ask there; "" for who may."""
        ids = {author.id, *author.roles, place.workspace, place.channel, place.thread} - {""}
        if ids & self._deny or (self._allow and not ids & self._allow):
            return DENIED
        return EXTERNAL if author.external and not self._external else ""


EVERYBODY = AccessList()
