"""Sends the first answer to an interaction, which Discord expects within 3 s. It is sent once and immediately.

discord.py's own callbacks retry failures for longer than an interaction lives.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import discord
from discord import ui

from bots.discord.api.http import File, Http
from bots.discord.api.rest import EPHEMERAL, NOBODY, SUPPRESS_EMBEDS, Button, Token, rows

# Discord's numbers (docs.discord.com, Receiving and Responding to Interactions; Message Flags).
_MESSAGE, _DEFERRED, _ACKNOWLEDGED, _CHOICES, _MODAL = 4, 5, 6, 8, 9


class Callback:
    """Answers one interaction, which is possible only once. All calls raise PlatformError."""

    def __init__(self, http: Http, interaction: discord.Interaction) -> None:
        self._http = http
        self.token = Token(str(interaction.application_id), interaction.token)
        self._path = f"/interactions/{interaction.id}/{quote(interaction.token, safe='')}/callback"

    async def defer(self, *, ephemeral: bool = False) -> None:
        """Show that the bot is working on it; the token can fill in the message later."""
        await self._send(_DEFERRED, {"flags": EPHEMERAL * ephemeral})

    async def acknowledge(self) -> None:
        """Acknowledge a button press. Its effect shows in the message itself."""
        await self._send(_ACKNOWLEDGED, {})

    async def show(self, content: str, *, ephemeral: bool, files: Sequence[File] = ()) -> None:
        """Answer with a message."""
        flags = SUPPRESS_EMBEDS | EPHEMERAL * ephemeral
        await self._send(_MESSAGE, {"content": content, "flags": flags, "allowed_mentions": NOBODY}, files)

    async def follow_up(
        self, content: str, *, ephemeral: bool, files: Sequence[File] = (), buttons: Sequence[Button] = ()
    ) -> bool:
        """Send a further message, after `show` or after the deferred response was filled in. Returns whether only the
        person sees it: Discord decides that where they alone brought the app along (docs.discord.com, Permissions,
        USE_EXTERNAL_APPS)."""
        flags = SUPPRESS_EMBEDS | EPHEMERAL * ephemeral
        body: dict[str, Any] = {"content": content, "flags": flags, "allowed_mentions": NOBODY}
        if buttons:
            body["components"] = rows(buttons)
        sent = (await self._http.send("POST", self.token.path, body, bot=False, files=files)).json
        return isinstance(sent, dict) and bool(int(sent.get("flags") or 0) & EPHEMERAL)

    async def suggest(self, values: Sequence[str]) -> None:
        """Suggest values for what the person is typing."""
        await self._send(_CHOICES, {"choices": [{"name": value, "value": value} for value in values]})

    async def open_form(self, form: ui.Modal) -> None:
        """Open a dialog."""
        await self._send(_MODAL, form.to_dict())

    async def _send(self, kind: int, data: Any, files: Sequence[File] = ()) -> None:
        await self._http.send("POST", self._path, {"type": kind, "data": data}, bot=False, files=files)
