"""The modal that asks about a message which somebody chose from its menu, and the state that it carries.

The state travels in the modal's private_metadata, with a proof that we wrote it for the person who opens it: whichever
process takes the submission needs nothing else, and nothing of the message is stored meanwhile.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Any

from bots.slack.components import forms
from core.domain.conversation import Attachment
from core.domain.surroundings import Role, Said
from core.inbound.menus import ASK
from core.text import one_line

Json = dict[str, Any]

CALLBACK = "nebula_ask_about"
LABEL, EXAMPLES = "Your question", "What does this mean? · How do I answer it? · Translate it. Only you see the answer."
# The most that private_metadata holds (docs.slack.dev/reference/views). Slack does not say how it counts: UTF-16 units
# are at least as many as characters.
MOST_METADATA = 3_000
_SHOWN = 300  # characters of the message that the modal shows
_FIELDS = ("channel", "thread", "url", "opened", "id", "author", "role", "at", "files", "text")
_MOST_FILES = 3  # of the message; more would leave no room for its text


@dataclass(frozen=True, slots=True)
class ChosenMessage:
    """A message that somebody chose, in a channel and perhaps a thread; where the answer goes, a response_url of
    `opened` (epoch seconds)."""

    channel: str
    thread: str
    url: str
    opened: float
    said: Said

    def write(self, workspace: str, person: str, key: bytes) -> str:
        """Return this as JSON that fits, with as much of the message's text as fits, and the proof."""
        least, most = 0, len(self.said.text)
        while least < most:  # the longest text that fits
            middle = (least + most + 1) // 2
            if _size(self._written(middle, workspace, person, key)) <= MOST_METADATA:
                least = middle
            else:
                most = middle - 1
        return self._written(least, workspace, person, key)

    @classmethod
    def read(cls, written: str, workspace: str, person: str, key: bytes) -> "ChosenMessage":
        """Parse what `write` wrote for this person. Raises ValueError for anything else."""
        try:
            fields = json.loads(written)
            proof = _proof(fields, workspace, person, key)
            if not hmac.compare_digest(proof.encode(), str(fields["proof"]).encode("utf-8", "surrogatepass")):
                raise ValueError("not our form")
            files = tuple(
                Attachment(name, kind, "", size, file=file, channel=fields["channel"], message=fields["id"])
                for file, name, kind, size in fields["files"]
            )
            said = Said(
                fields["id"], fields["author"], Role(fields["role"]), float(fields["at"]), fields["text"], files
            )
            return cls(fields["channel"], fields["thread"], fields["url"], float(fields["opened"]), said)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not our form") from error

    def _written(self, characters: int, workspace: str, person: str, key: bytes) -> str:
        said = self.said
        text = said.text if characters >= len(said.text) else said.text[: max(0, characters - 1)] + "…"
        files = [[each.file, each.name, each.kind, each.size] for each in said.files[-_MOST_FILES:] if each.file]
        about = (said.id, said.author, said.role, said.at, files, text)
        values = (self.channel, self.thread, self.url, self.opened, *about)
        fields = dict(zip(_FIELDS, values, strict=True))
        return json.dumps({**fields, "proof": _proof(fields, workspace, person, key)}, ensure_ascii=False)


def modal(chosen: ChosenMessage, workspace: str, person: str, key: bytes) -> Json:
    """Return the view that shows the beginning of the message and asks for a question about it."""
    said = chosen.said
    view = forms.view(CALLBACK, ASK, LABEL, "Ask", chosen.write(workspace, person, key))
    (field,) = view["blocks"]
    field["element"]["placeholder"] = {"type": "plain_text", "text": EXAMPLES}
    words = f"{said.author}: {one_line(said.text, _SHOWN)}"
    shown = {"type": "section", "text": {"type": "plain_text", "text": words, "emoji": False}}
    return {**view, "blocks": [shown, field]}


def shortened(said: Said, longest: int) -> Said:
    """Return the message with at most so many characters."""
    return said if len(said.text) <= longest else replace(said, text=said.text[: longest - 1] + "…")


def _size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _proof(fields: Any, workspace: str, person: str, key: bytes) -> str:
    words = [str(fields[name]) for name in _FIELDS]
    return hmac.new(key, json.dumps(["chosen", workspace, person, *words]).encode(), hashlib.sha256).hexdigest()
