"""response_url: answers to a command or an interaction, 5 times within 30 minutes."""

import json
from dataclasses import dataclass, field

from aiohttp import web

from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.methods.chat import Chat, content, unfurls
from bots.sandbox.slack.workspace.blocks import SlackRefusal
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackMessage

MOST_USES = 5  # docs.slack.dev/interactivity/handling-user-interaction


@dataclass(slots=True)
class ResponseUrl:
    """One response_url: where its answers go, and the messages that they created."""

    id: str
    channel: str
    user: str
    until: float
    original: tuple[str, str] | None = None  # ts and only_for of the message that `replace_original` means
    uses: int = 0
    sent: list[str] = field(default_factory=list)


class ResponseUrls:
    """All response_urls that have been issued. `base` is the server's address."""

    def __init__(self, ws: Workspace, chat: Chat, *, replaces: bool = True) -> None:
        """`replaces`: with `replace_original`, the URL of a command or a menu replaces what it showed first. Only for
        presses the documentation says so; people report that it shows a further message (slackapi/bolt-js#2287,
        slackapi/bolt-python#1268)."""
        self.base = ""
        self._replaces = replaces
        self.seconds = 1800.0
        self._ws = ws
        self._chat = chat
        self._addresses: dict[str, ResponseUrl] = {}

    def new(self, channel: str, user: str, original: SlackMessage | None = None) -> ResponseUrl:
        """A new response_url."""
        until = self._ws.now() + self.seconds
        address = ResponseUrl(self._ws.new_id("R"), channel, user, until)
        address.original = (original.ts, original.only_for) if original else None
        self._addresses[address.id] = address
        return address

    def url(self, address: ResponseUrl) -> str:
        """The absolute URL, as payloads carry it."""
        return f"{self.base}/response/{address.id}"

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one POST to a response_url."""
        address = self._addresses.get(request.match_info["address"])
        try:
            if not address:
                raise SlackRefusal("invalid_url")
            if address.uses >= MOST_USES:
                raise SlackRefusal("used_url")
            if self._ws.now() > address.until:
                raise SlackRefusal("expired_url")
            body = json.loads(await request.text())
            self.answer(address, body)
            address.uses += 1
        except SlackRefusal as refusal:
            gone = refusal.code.endswith("_url")
            return web.json_response(refusal.body(), status=404 if gone else 400)
        except ValueError:
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        return web.json_response({"ok": True})

    def answer(self, address: ResponseUrl, body: Json) -> None:
        """Show an answer, from the URL or from the acknowledgement. Raises SlackRefusal."""
        ws = self._ws
        original = self._original(address)
        if body.get("delete_original"):
            if not original:
                raise SlackRefusal("message_not_found")
            if original.only_for:
                ws.hidden.remove(original)
                ws.changed()
            else:
                ws.remove(original)
            return
        # response_urls do not support markdown_text, so a body with nothing else has no text (vercel/chat#440)
        args = Args({name: value for name, value in body.items() if name != "markdown_text"})
        said = content(args)
        if body.get("replace_original") and original:
            self._chat.rewrite(original, said)
            return
        # in a thread only if the body names it (docs.slack.dev/interactivity/handling-user-interaction)
        thread = ws.root(address.channel, args.text("thread_ts"))
        if body.get("response_type") == "in_channel":
            message = self._chat.own(address.channel, thread, said, unfurls(args))
        else:
            message = self._chat.whisper(address.channel, address.user, said, thread)
        address.sent.append(message.ts)
        if self._replaces:
            address.original = address.original or (message.ts, message.only_for)

    def messages(self, address: ResponseUrl) -> tuple[SlackMessage, ...]:
        """The messages of the answers as they are now, oldest first."""
        ws = self._ws
        known = {message.ts: message for message in ws.hidden} | ws.messages[address.channel]
        return tuple(known[ts] for ts in address.sent if ts in known)

    def _original(self, address: ResponseUrl) -> SlackMessage | None:
        if not address.original:
            return None
        ts, only_for = address.original
        if only_for:
            return next((m for m in self._ws.hidden if m.ts == ts), None)
        return self._ws.messages[address.channel].get(ts)
