"""Access list: who may use the bot, and where, according to whoever runs it."""

from collections.abc import Iterable

from core.domain.conversation import Author, Place

DENIED = "You can't use this bot here. Ask whoever runs it for access."
EXTERNAL = "Only members of this workspace can use this bot here."


class AccessList:
    """Two lists of ids: of people, roles, channels, threads and workspaces."""

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = (), *, external: bool = False) -> None:
        """`allow`: if it lists anything, nothing else is allowed. `deny` overrides it. `external`: whether people from
        other organisations may ask."""
        self._allow, self._deny, self._external = frozenset(allow), frozenset(deny), external

    def refusal(self, author: Author, place: Place) -> str:
        """Return the sentence for an author who may not ask in this place, "" for one who may."""
        ids = {author.id, *author.roles, place.workspace, place.channel, place.thread} - {""}
        if ids & self._deny or (self._allow and not ids & self._allow):
            return DENIED
        return EXTERNAL if author.external and not self._external else ""


EVERYBODY = AccessList()
