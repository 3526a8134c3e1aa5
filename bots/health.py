"""A small server for probes and Prometheus: /healthz, /readyz and /metrics. It is off unless HEALTH_PORT is set."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from bots.http_port import http_port
from core import metrics
from core.domain.errors import StoreError
from core.domain.ports import Connected

log = logging.getLogger(__name__)

# Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats).
_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
# How long requests under way may take when the server closes.
_CLOSING_SECONDS = 1.0
# A probe sends no body.
_MAX_BODY_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing that the bot needs to answer questions. `text` describes it."""

    name: str
    ok: bool
    text: str


Checker = Callable[[], Awaitable[Check]]


@asynccontextmanager
async def health(port: int | None, host: str, checks: Sequence[Checker]) -> AsyncIterator[None]:
    """Serve on this port while the context is open; None: do not serve. Raises like `http_port`.

    /healthz answers as long as the event loop runs. /readyz has one line per check, and status 503 while one fails.
    """
    if port is None:
        yield
        return

    routes = _routes(checks)
    async with http_port(
        routes, "HEALTH_PORT", host, port, body_bytes=_MAX_BODY_BYTES, closing_seconds=_CLOSING_SECONDS
    ):
        log.info("serving health and metrics on http://%s:%d", host, port)
        yield


def running(stop: asyncio.Event) -> Checker:
    """Fails once the process is stopping: it should get no new questions."""

    async def check() -> Check:
        return Check("process", not stop.is_set(), "stopping" if stop.is_set() else "running")

    return check


def redis(ping: Callable[[], Awaitable[float]]) -> Checker:
    """Passes while Redis answers. `ping` returns how many seconds it took, or raises StoreError."""

    async def check() -> Check:
        try:
            return Check("redis", True, f"ok, {1000 * await ping():.1f} ms")
        except StoreError as error:
            return Check("redis", False, str(error) or "unreachable")

    return check


def platform(connected: Connected, silence: float) -> Checker:
    """Passes while the connection is up and its last sign of life is at most `silence` seconds old."""

    async def check() -> Check:
        state = connected.connection()
        if not state.up:
            return Check(connected.name, False, "not connected")
        if state.silent is None:
            return Check(connected.name, True, "listening")
        return Check(connected.name, state.silent <= silence, f"last heard {state.silent:.0f} s ago")

    return check


def nebula(broken: Callable[[], bool], refusal: Callable[[], str] = str) -> Checker:
    """Passes unless Nebula is `broken`: its circuit breaker does not even try requests; or it refuses us, for this
    reason."""

    async def check() -> Check:
        why = "circuit breaker open after repeated failures" if broken() else refusal()
        return Check("nebula", not why, why or "ok")

    return check


def _routes(checks: Sequence[Checker]) -> list[web.RouteDef]:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        results = await asyncio.gather(*(check() for check in checks))
        lines = "".join(f"{check.name}: {check.text}\n" for check in results)
        return web.Response(text=lines, status=200 if all(check.ok for check in results) else 503)

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposed(), headers={"Content-Type": _FORMAT})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposed)]
