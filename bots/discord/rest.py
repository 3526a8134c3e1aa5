"""The calls of Discord's REST API that replies need: messages, interaction responses, threads, reactions, typing.

Nothing that is sent can ping: `allowed_mentions` goes with every content, edits included.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bots.discord.http import Http
from core.errors import Unreachable

SUPPRESS_EMBEDS = 1 << 2  # message flag: no link previews
NOBODY = {"parse": [], "replied_user": False}
_A_DAY = 1440  # minutes until a silent thread is archived
ORIGINAL = "@original"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as Discord stored it."""

    id: str
    content: str


@dataclass(frozen=True, slots=True)
class Token:
    """What answers an interaction, as one word for `Mention.interaction`."""

    application: str
    token: str

    def __str__(self) -> str:
        return f"{self.application}/{self.token}"

    @classmethod
    def parse(cls, word: str) -> "Token":
        application, _, token = word.partition("/")
        return cls(application, token)

    @property
    def path(self) -> str:
        return f"/webhooks/{self.application}/{quote(self.token, safe='')}"


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message; `id` comes back when it is pressed."""

    id: str
    label: str


class Rest:
    """Typed calls over `Http`; all raise PlatformError."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def post(
        self, channel: str, content: str, *, nonce: str, reply_to: str = "", button: Button | None = None
    ) -> Sent:
        """A new message. Repeated with the same nonce within minutes it is still one message, with its first content.

        That needs `enforce_nonce` (docs.discord.com, Create Message). `reply_to` may be gone.
        """
        body: dict[str, Any] = {
            "content": content,
            "flags": SUPPRESS_EMBEDS,
            "allowed_mentions": NOBODY,
            "nonce": nonce,
            "enforce_nonce": True,
        }
        if reply_to:
            body["message_reference"] = {"message_id": reply_to, "fail_if_not_exists": False}
        if button:
            part = {"type": 2, "style": 2, "label": button.label, "custom_id": button.id}
            body["components"] = [{"type": 1, "components": [part]}]
        return _sent(await self._http.call("POST", f"/channels/{channel}/messages", body), content)

    async def edit(self, channel: str, message: str, content: str) -> None:
        """Replace the content. No flags are sent: that would bring the link previews back."""
        body = {"content": content, "allowed_mentions": NOBODY}
        await self._http.call("PATCH", f"/channels/{channel}/messages/{message}", body)

    async def delete(self, channel: str, message: str) -> None:
        """Take a message away."""
        await self._http.call("DELETE", f"/channels/{channel}/messages/{message}")

    async def answer(self, token: Token, content: str, message: str = ORIGINAL) -> Sent:
        """Replace the content of an interaction's response, or of a followup; a deferred response is filled in."""
        body: dict[str, Any] = {"content": content, "allowed_mentions": NOBODY}
        if message == ORIGINAL:
            body["flags"] = SUPPRESS_EMBEDS  # what was deferred carries no flags yet
        path = f"{token.path}/messages/{message}"
        return _sent(await self._http.call("PATCH", path, body, bot=False), content)

    async def follow_up(self, token: Token, content: str) -> Sent:
        """A further message for an interaction. Webhooks know no nonce: an unclear failure may have posted it."""
        body = {"content": content, "flags": SUPPRESS_EMBEDS, "allowed_mentions": NOBODY}
        return _sent(await self._http.call("POST", token.path, body, bot=False), content)

    async def withdraw(self, token: Token, message: str) -> None:
        """Delete a message of an interaction."""
        await self._http.call("DELETE", f"{token.path}/messages/{message}", bot=False)

    async def react(self, channel: str, message: str, emoji: str) -> None:
        """Add the bot's own reaction."""
        await self._http.call("PUT", f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me")

    async def unreact(self, channel: str, message: str, emoji: str) -> None:
        """Take the bot's own reaction away."""
        await self._http.call("DELETE", f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me")

    async def type(self, channel: str) -> None:
        """Show the bot as typing for ten seconds."""
        await self._http.call("POST", f"/channels/{channel}/typing")

    async def content(self, channel: str, message: str) -> str:
        """What a message says; "" where the bot may not read it."""
        return _sent(await self._http.call("GET", f"/channels/{channel}/messages/{message}"), "").content

    async def parent(self, channel: str) -> str:
        """The channel that a thread belongs to; "" for what is no thread."""
        found = await self._http.call("GET", f"/channels/{channel}")
        thread = isinstance(found, dict) and found.get("type") in (10, 11, 12)
        return str(found.get("parent_id") or "") if thread else ""

    async def start_thread(self, channel: str, message: str, name: str) -> str:
        """A public thread under a message; returns its id. Raises ThreadExists when there is one."""
        body = {"name": name, "auto_archive_duration": _A_DAY}
        found = await self._http.call("POST", f"/channels/{channel}/messages/{message}/threads", body)
        return str(found["id"]) if isinstance(found, dict) and "id" in found else message


def _sent(answer: Any, content: str) -> Sent:
    if not isinstance(answer, dict) or "id" not in answer:
        raise Unreachable("Discord's answer is not a message")
    stored = answer.get("content")
    return Sent(str(answer["id"]), stored if isinstance(stored, str) else content)
