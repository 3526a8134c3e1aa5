"""The first answer to an interaction, which Discord wants within 3 s: sent once and at once.

discord.py's own callbacks wait out failures for longer than an interaction lives.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import discord
from discord import ui

from bots.discord.api.http import File, Http
from bots.discord.api.rest import EPHEMERAL, NOBODY, SUPPRESS_EMBEDS, Token

# Discord's numbers (docs.discord.com, Receiving and Responding to Interactions; Message Flags).
_MESSAGE, _DEFERRED, _UPDATED, _CHOICES, _MODAL = 4, 5, 6, 8, 9


class Callback:
    """Answers one interaction, which can be done once. All calls raise PlatformError."""

    def __init__(self, http: Http, interaction: discord.Interaction) -> None:
        self._http = http
        self.token = Token(str(interaction.application_id), interaction.token)
        self._path = f"/interactions/{interaction.id}/{quote(interaction.token, safe='')}/callback"

    async def defer(self, *, ephemeral: bool = False) -> None:
        """Show that the bot is at it; the token then fills in the message."""
        await self._send(_DEFERRED, {"flags": EPHEMERAL * ephemeral})

    async def take(self) -> None:
        """A press arrived; what comes of it shows in the message by itself."""
        await self._send(_UPDATED, {})

    async def show(self, content: str, *, ephemeral: bool, file: File | None = None) -> None:
        """A message."""
        flags = SUPPRESS_EMBEDS | EPHEMERAL * ephemeral
        await self._send(_MESSAGE, {"content": content, "flags": flags, "allowed_mentions": NOBODY}, file)

    async def go_on(self, content: str, *, ephemeral: bool, file: File | None = None) -> None:
        """A further message, after `show` or once what was deferred is filled in."""
        body = {"content": content, "flags": SUPPRESS_EMBEDS | EPHEMERAL * ephemeral, "allowed_mentions": NOBODY}
        await self._http.send("POST", self.token.path, body, bot=False, file=file)

    async def suggest(self, values: Sequence[str]) -> None:
        """Suggestions for what is being typed."""
        await self._send(_CHOICES, {"choices": [{"name": value, "value": value} for value in values]})

    async def open(self, form: ui.Modal) -> None:
        """A dialog."""
        await self._send(_MODAL, form.to_dict())

    async def _send(self, kind: int, data: Any, file: File | None = None) -> None:
        await self._http.send("POST", self._path, {"type": kind, "data": data}, bot=False, file=file)
