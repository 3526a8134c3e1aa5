"""The least that a bot could do: one socket to the platform, and a request to the model for every event on it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from core.domain.chat import ChatMessage, ChatRequest
from core.nebula.client import Nebula
from tests.bench.wire import Addresses

_IDENTIFY, _HELLO, _DISPATCH = 2, 10, 0  # opcodes of Discord's gateway
_INTENTS = 1 << 0 | 1 << 9 | 1 << 12  # guilds, guild messages, direct messages


class Floor:
    """Asks the model with the bot's own client, without SDK, Redis, settings, history and reply."""

    def __init__(self, model: Nebula, name: str) -> None:
        self._model, self._name = model, name
        self.ready = asyncio.Event()
        self.answered = asyncio.Event()

    async def slack(self, session: aiohttp.ClientSession, at: Addresses) -> None:
        """Serve Socket Mode until cancelled."""
        headers = {"Authorization": f"Bearer {at.slack_app_token}"}
        async with session.post(f"{at.slack}apps.connections.open", headers=headers) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url) as socket:
            async for frame in socket:
                body: dict[str, Any] = json.loads(frame.data)
                if body["type"] == "hello":
                    self.ready.set()
                elif "envelope_id" in body:
                    await self._ask(body["payload"]["event"]["text"])
                    await socket.send_str(json.dumps({"envelope_id": body["envelope_id"]}))

    async def discord(self, session: aiohttp.ClientSession, at: Addresses) -> None:
        """Serve the gateway until cancelled, which must be before its first heartbeat is due."""
        async with session.ws_connect(f"{at.gateway}?v=10&encoding=json") as socket:
            async for frame in socket:
                body: dict[str, Any] = json.loads(frame.data)
                if body["op"] == _HELLO:
                    identity = {"token": at.discord_token, "intents": _INTENTS, "properties": {"os": "linux"}}
                    await socket.send_str(json.dumps({"op": _IDENTIFY, "d": identity}))
                elif body["op"] == _DISPATCH:
                    await self._dispatched(body["t"], body["d"])

    async def _dispatched(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "GUILD_CREATE":
                self.ready.set()
            case "MESSAGE_CREATE":
                await self._ask(data["content"])
            case "INTERACTION_CREATE":
                await self._ask(data["data"]["options"][0]["value"])

    async def _ask(self, text: str) -> None:
        request = ChatRequest(self._name, (ChatMessage("system", "Answer."), ChatMessage("user", text)))
        async with self._model.stream(request) as deltas:
            async for _ in deltas:
                pass
        self.answered.set()


@asynccontextmanager
async def floor(model: Nebula, name: str, at: Addresses, platform: str) -> AsyncIterator[Floor]:
    """Connect the floor to one platform, "slack" or "discord"."""
    least = Floor(model, name)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        serving = group.create_task((least.slack if platform == "slack" else least.discord)(session, at))
        await least.ready.wait()
        yield least
        serving.cancel()
