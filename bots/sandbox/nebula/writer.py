"""Writes one streamed answer in the format of vLLM behind LiteLLM, with the requested fault."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from aiohttp import web

from bots.sandbox.nebula.fake_model import tokens
from bots.sandbox.nebula.faults import ModelAnswer, NebulaFault, Thought

NOISE = (
    b": ping\n\n",
    b"id: 7\nretry: 1000\n\n",
    b"data: : keepalive\n\n",
    b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[]}\n\n',
    b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}]}\n\n',
    b'data: {"id":"chatcmpl-0","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n',
    b'data: {"id":"chatcmpl-0","choices":[{"index":0,"delta":{"content":null},"finish_reason":null}]}\n\n',
    b'data: {"id":"chatcmpl-0","choices":[{"index":0,"delta":null}]}\n\n',
)
# What comes at once is written in pieces of about so many bytes, as one packet for each token would cost most of the
# time of such an answer, on both sides.
AT_ONCE_BYTES = 16_384
# Awaited before each token with its number, so that a test decides what happens between two tokens.
Between = Callable[[int], Awaitable[object]]


class Cut(Exception):
    """The connection must be reset now."""


def deltas(answer: ModelAnswer) -> list[dict[str, str]]:
    """Split the answer into the deltas of its chunks."""
    if not answer.thought:
        return [{"content": piece} for piece in tokens(answer.text)]
    if answer.style in (Thought.REASONING, Thought.REASONING_CONTENT):
        thought = [{str(answer.style): piece} for piece in tokens(answer.thought)]
        return [*thought, *({"content": piece} for piece in tokens("\n\n" + answer.text))]
    opening = ["<think>", "\n"] if answer.style is Thought.TAGS else []
    pieces = [*opening, *tokens(answer.thought), "\n", "</think>", "\n\n", *tokens(answer.text)]
    return [{"content": piece} for piece in pieces]


class Writer:
    """One stream to one client. `written`: when each token was sent, in seconds on the loop's clock."""

    def __init__(self, response: web.StreamResponse, fault: NebulaFault, model: str, number: int) -> None:
        self._response, self._fault = response, fault
        self._unsent = bytearray()
        self._at_once = False
        self.written: list[float] = []
        self._head = {
            "id": f"chatcmpl-{number:032x}",
            "object": "chat.completion.chunk",
            "created": 1740006821,
            "model": model,
        }

    async def write(
        self,
        said: list[dict[str, str]],
        finish: str | None,
        usage: dict[str, int] | None,
        pace: float,
        between: Between | None = None,
    ) -> None:
        """Send the deltas, `pace` of them per second. They are sent at once if it is 0 or when a hold is released.

        Raises Cut, and ConnectionError if the client hung up.
        """
        clock = asyncio.get_running_loop().time
        start, noise = clock(), self._noise()
        self._at_once = not (pace or between or self._fault.bytewise)
        await self._chunk({"role": "assistant", "content": ""})
        for number, delta in enumerate(said):
            if await self._fails(number):
                return
            if between:
                await between(number)
            if pace:
                await self._pause(start + number / pace)
            await self._send(next(noise))
            self.written.append(clock())
            await self._chunk(delta)
        if await self._fails(len(said)):
            return
        if finish is not None:
            await self._chunk({}, finish)
        if usage is not None:
            await self._send(_event(json.dumps({**self._head, "choices": [], "usage": usage})))
        if self._fault.done:
            await self._send(_event("[DONE]"))
        await self._flush()

    async def _fails(self, number: int) -> bool:
        """Apply the fault that is due after this many tokens; true if it ends the stream."""
        if number in (self._fault.hold_after, self._fault.stall_after, self._fault.cut_after, self._fault.error_after):
            await self._flush()
        if self._fault.hold_after == number and self._fault.hold:
            await self._fault.hold.wait()
        if self._fault.stall_after == number:
            await asyncio.Event().wait()  # until the client hangs up or the server stops
        if self._fault.cut_after == number:
            raise Cut
        if self._fault.error_after == number:
            await self._send(_event(self._fault.error))
            await self._flush()
            return True
        return False

    async def _pause(self, until: float) -> None:
        """Wait until this time on the loop's clock, or until the hold is released."""
        if self._fault.hold is None:
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._fault.hold.wait()

    def _noise(self) -> Iterator[bytes]:
        number = 0
        while True:
            yield NOISE[number % len(NOISE)] if self._fault.noise else b""
            number += 1

    async def _chunk(self, delta: dict[str, str], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self._send(_event(json.dumps({**self._head, "choices": [choice]}, ensure_ascii=False)))

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        if self._fault.crlf:
            data = data.replace(b"\n", b"\r\n")
        if not self._fault.bytewise:
            self._unsent += data
            if not self._at_once or len(self._unsent) >= AT_ONCE_BYTES:
                await self._flush()
            return
        for byte in data:
            await self._response.write(bytes((byte,)))
            await asyncio.sleep(0)  # lets the client read each byte

    async def _flush(self) -> None:
        if data := bytes(self._unsent):
            self._unsent.clear()
            await self._response.write(data)


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()
