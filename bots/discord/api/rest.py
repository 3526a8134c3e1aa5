"""The REST calls that replies need: messages, interaction responses, threads, reactions, typing.

Nothing that we send can ping anybody: `allowed_mentions` goes with every content, edits included.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from cachetools import TTLCache

from bots.discord.api.http import ApiResponse, File, Http
from bots.discord.api.limits import LIMITS, Limits
from core.domain.errors import SlowDown, Unreachable
from core.domain.rates import RateLimitStatus
from core.ratelimit.bucket import Permit
from core.ratelimit.limiter import RateLimiter

SUPPRESS_EMBEDS = 1 << 2  # message flag: no link previews
EPHEMERAL = 1 << 6  # message flag: one person sees it
LOADING = 1 << 7  # message flag: a deferred response
NOBODY = {"parse": [], "replied_user": False}
_ARCHIVE_MINUTES = 1440  # minutes until a silent thread is archived
ORIGINAL = "@original"
# The indicator lasts ten seconds (docs.discord.com, Trigger Typing Indicator); we renew it at most this often.
_TYPING_SECONDS = 5.0
_MAX_TYPED = 10_000  # channels kept in memory
_THREADS = (10, 11, 12)  # types of channels (docs.discord.com, Channel Types)
_IN_ROW = 5  # buttons (docs.discord.com, Component Reference)
T = TypeVar("T")
_NONCE_LENGTH = 24  # in characters; Discord takes up to 25 (docs.discord.com, Create Message)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as Discord stored it."""

    id: str
    content: str
    rate_limit: RateLimitStatus | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """The token that answers an interaction, as a single word for `Question.interaction`."""

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
    """A button under a message; Discord sends `id` back when somebody presses it. `row`: buttons of one row stand side
    by side, five at most. `text`: nobody can press it, it only says something."""

    id: str
    label: str
    row: int = 0
    text: bool = False


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu under a message, with the value and the label of each option; Discord sends `id` back with the value."""

    id: str
    label: str
    options: tuple[tuple[str, str], ...]


Component = Button | Menu


class Rest:
    """Typed calls over `Http`; all raise PlatformError.

    `limiter` counts what belongs to no reply: typing, and reading rooms. By default it counts for this process alone.
    """

    def __init__(self, http: Http, limits: Limits = LIMITS) -> None:
        self._http, self._all_calls = http, limits.all_calls
        self.limiter = RateLimiter()
        # Channels in which we have just shown the bot as typing.
        self._typed: TTLCache[str, None] = TTLCache(_MAX_TYPED, _TYPING_SECONDS)

    async def post(
        self,
        channel: str,
        content: str,
        *,
        nonce: str,
        reply_to: str = "",
        buttons: Sequence[Component] = (),
        files: Sequence[File] = (),
    ) -> Sent:
        """Post a message. Repeated within minutes with the same nonce, it remains one message with its first content.

        This needs `enforce_nonce` (docs.discord.com, Create Message). The message `reply_to` may have been deleted.
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
        if buttons:
            body["components"] = rows(buttons)
        return _sent(await self._http.send("POST", f"/channels/{channel}/messages", body, files=files), content)

    async def edit(
        self, channel: str, message: str, content: str, buttons: Sequence[Component] = ()
    ) -> RateLimitStatus | None:
        """Replace the content and the buttons. We send no flags: they would bring the link previews back."""
        body = {"content": content, "allowed_mentions": NOBODY, "components": rows(buttons)}
        return (await self._http.send("PATCH", f"/channels/{channel}/messages/{message}", body)).rate_limit

    async def delete(self, channel: str, message: str) -> None:
        """Delete a message."""
        await self._http.call("DELETE", f"/channels/{channel}/messages/{message}")

    async def edit_response(
        self,
        token: Token,
        content: str,
        message: str = ORIGINAL,
        buttons: Sequence[Component] = (),
        *,
        ephemeral: bool = False,
    ) -> Sent:
        """Replace the content of an interaction's response or followup; this also fills in a deferred response.

        `ephemeral`: as it was deferred. An edit can't change it, but says it again.
        """
        body: dict[str, Any] = {"content": content, "allowed_mentions": NOBODY, "components": rows(buttons)}
        if message == ORIGINAL:
            body["flags"] = SUPPRESS_EMBEDS | EPHEMERAL * ephemeral  # a deferred response has no flags yet
        path = f"{token.path}/messages/{message}"
        return _sent(await self._http.send("PATCH", path, body, bot=False), content)

    async def follow_up(
        self,
        token: Token,
        content: str,
        buttons: Sequence[Component] = (),
        *,
        ephemeral: bool = False,
        files: Sequence[File] = (),
    ) -> Sent:
        """Send a further message for an interaction. Webhooks have no nonce: an unclear failure may have posted it.

        They can't refer to a message either (discord-api-docs issue 2251). Discord links every followup to the original
        response (docs.discord.com, Message Interaction Metadata).
        """
        flags = SUPPRESS_EMBEDS | EPHEMERAL * ephemeral
        body: dict[str, Any] = {"content": content, "flags": flags, "allowed_mentions": NOBODY}
        if buttons:
            body["components"] = rows(buttons)
        return _sent(await self._http.send("POST", token.path, body, bot=False, files=files), content)

    async def delete_response(self, token: Token, message: str) -> None:
        """Delete a message of an interaction."""
        await self._http.call("DELETE", f"{token.path}/messages/{message}", bot=False)

    async def react(self, channel: str, message: str, emoji: str) -> None:
        """Add the bot's own reaction."""
        await self._http.call("PUT", f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me")

    async def unreact(self, channel: str, message: str, emoji: str) -> None:
        """Remove the bot's own reaction."""
        await self._http.call("DELETE", f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me")

    async def own_reactions(self, channel: str, message: str) -> tuple[str, ...]:
        """Return the emoji that the bot reacted to a message with."""
        found = await self._http.call("GET", f"/channels/{channel}/messages/{message}")
        reactions = (found.get("reactions") or ()) if isinstance(found, dict) else ()
        return tuple(str(each["emoji"]["name"]) for each in reactions if each.get("me"))

    async def type(self, channel: str) -> None:
        """Show the bot as typing for ten seconds, if a call is to spare; one serves all replies in the channel."""
        if channel in self._typed:
            return
        self._typed[channel] = None
        if permit := await self.spare():
            await within(permit, lambda: self._http.call("POST", f"/channels/{channel}/typing"))

    async def message(self, channel: str, message: str) -> dict[str, Any]:
        """Return a message as Discord sends it."""
        found = await self._http.call("GET", f"/channels/{channel}/messages/{message}")
        if not isinstance(found, dict) or "id" not in found:
            raise Unreachable("Discord's answer is not a message")
        return found

    async def content(self, channel: str, message: str) -> str:
        """Return a message's text; "" where the bot may not read it."""
        return str((await self.message(channel, message)).get("content") or "")

    async def messages_after(
        self, channel: str, message: str, limit: int
    ) -> tuple[list[dict[str, Any]], RateLimitStatus | None]:
        """Return the `limit` oldest messages after an id, in any order, and the rate limit of such calls.

        The list is empty where the bot may not read the history.
        """
        return await self._listed(f"/channels/{channel}/messages?limit={limit}&after={message}")

    async def messages_before(
        self, channel: str, message: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], RateLimitStatus | None]:
        """Like `messages_after`, but the `limit` newest before an id; None: of all."""
        before = "" if message is None else f"&before={message}"
        return await self._listed(f"/channels/{channel}/messages?limit={limit}{before}")

    async def _listed(self, path: str) -> tuple[list[dict[str, Any]], RateLimitStatus | None]:
        answer = await self._http.send("GET", path)
        found = answer.json if isinstance(answer.json, list) else []
        messages = [each for each in found if isinstance(each, dict) and str(each.get("id", "")).isdigit()]
        return messages, answer.rate_limit

    async def spare(self) -> Permit | None:
        """A permit for one call, if one of the whole bot's is to spare."""
        return await self.limiter.ticket().attempt(self._all_calls)

    async def member(self, guild: str, person: str) -> dict[str, Any]:
        """Return a person as a member of a guild."""
        found = await self._http.call("GET", f"/guilds/{guild}/members/{person}")
        if not isinstance(found, dict) or "roles" not in found:
            raise Unreachable("Discord's answer is not a member")
        return found

    async def is_deferred(self, token: Token) -> bool:
        """Whether an interaction's response is deferred and not filled in yet."""
        found = await self._http.call("GET", f"{token.path}/messages/{ORIGINAL}", bot=False)
        return isinstance(found, dict) and bool(int(found.get("flags") or 0) & LOADING)

    async def find_response(self, channel: str, application: str, content: str, file: str, *, after: str) -> str:
        """Return an application's newest interaction message with this content and file, after another message.

        `file` is "" for a message without one. Returns "" if there is none, or if the bot may not read the channel.
        """
        found = await self._http.call("GET", f"/channels/{channel}/messages?limit=100&after={after or 0}")
        for each in found if isinstance(found, list) else ():
            files = [str(one.get("filename")) for one in each.get("attachments", ())]
            same = str(each.get("content")).strip() == content.strip() and files == [file] * bool(file)
            if same and each.get("webhook_id") == application:
                return str(each["id"])
        return ""

    async def direct_channel(self, person: str) -> str:
        """Return the channel for direct messages with a person."""
        found = await self._http.call("POST", "/users/@me/channels", {"recipient_id": person})
        if not isinstance(found, dict) or "id" not in found:
            raise Unreachable("Discord's answer is not a channel")
        return str(found["id"])

    async def channel(self, channel: str) -> dict[str, Any]:
        """Return a channel or thread as Discord sends it."""
        found = await self._http.call("GET", f"/channels/{channel}")
        if not isinstance(found, dict) or "type" not in found:
            raise Unreachable("Discord's answer is not a channel")
        return found

    async def guild(self, guild: str) -> dict[str, Any]:
        """Return a guild with its roles."""
        found = await self._http.call("GET", f"/guilds/{guild}")
        if not isinstance(found, dict) or "roles" not in found:
            raise Unreachable("Discord's answer is not a guild")
        return found

    async def parent(self, channel: str) -> str:
        """Return the channel that a thread belongs to; "" if `channel` is not a thread."""
        found = await self.channel(channel)
        if found["type"] not in _THREADS and "thread_metadata" not in found:
            return ""
        if not found.get("parent_id"):
            raise Unreachable("Discord does not say which channel a thread belongs to")
        return str(found["parent_id"])

    async def unarchive(self, thread: str) -> None:
        """Reopen a thread, as writing in it would; a locked thread stays closed."""
        await self._http.call("PATCH", f"/channels/{thread}", {"archived": False})

    async def rename(self, thread: str, name: str) -> None:
        """Give a thread another name."""
        await self._http.call("PATCH", f"/channels/{thread}", {"name": name})

    async def start_thread(self, channel: str, message: str, name: str) -> str:
        """Start a public thread under a message and return its id. Raises ThreadExists if there is one already."""
        body = {"name": name, "auto_archive_duration": _ARCHIVE_MINUTES}
        found = await self._http.call("POST", f"/channels/{channel}/messages/{message}/threads", body)
        return str(found["id"]) if isinstance(found, dict) and "id" in found else message


async def within(permit: Permit, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call that was counted among all. A refusal under a limit of its own says nothing about theirs."""
    async with permit:
        try:
            return await call()
        except SlowDown as slow:
            if slow.everywhere:
                raise
            refused = slow
    raise refused


def nonce_of(name: str) -> str:
    """The nonce for a name: whichever process posts under it, Discord keeps a single message."""
    return hashlib.sha256(name.encode()).hexdigest()[:_NONCE_LENGTH]


def rows(components: Sequence[Component]) -> list[dict[str, Any]]:
    """The buttons in rows of five at most, and each menu in one of its own (docs.discord.com, Component Reference)."""
    found: dict[int | str, list[dict[str, Any]]] = {}
    for each in components:
        found.setdefault(each.row if isinstance(each, Button) else each.id, []).append(_component(each))
    cut = (parts[at : at + _IN_ROW] for parts in found.values() for at in range(0, len(parts), _IN_ROW))
    return [{"type": 1, "components": parts} for parts in cut]


def _component(component: Component) -> dict[str, Any]:
    if isinstance(component, Button):
        shown = {"type": 2, "style": 2, "label": component.label, "custom_id": component.id}
        return shown | ({"disabled": True} if component.text else {})
    options = [{"label": label, "value": value} for value, label in component.options]
    return {"type": 3, "custom_id": component.id, "placeholder": component.label, "options": options}


def _sent(answer: ApiResponse, content: str) -> Sent:
    found = answer.json
    if not isinstance(found, dict) or "id" not in found:
        raise Unreachable("Discord's answer is not a message")
    stored = found.get("content")
    return Sent(str(found["id"]), stored if isinstance(stored, str) else content, answer.rate_limit)
