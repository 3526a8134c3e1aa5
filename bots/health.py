"""Health: a small server for probes and Prometheus, off unless HEALTH_PORT is set: /healthz, /readyz and /metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from core import metrics
from core.domain.errors import StoreError
from core.domain.ports import Connected
from core.settings.config import Config, WrongConfig

log = logging.getLogger(__name__)

# Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats).
_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
# Seconds that a request under way gets when the server is closed.
_CLOSING = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well before questions can be answered: `text` says how it is."""

    name: str
    ok: bool
    text: str


Checker = Callable[[], Awaitable[Check]]


@asynccontextmanager
async def health(config: Config, checks: Sequence[Checker]) -> AsyncIterator[None]:
    """Serve while the context is open, if HEALTH_PORT is set. Raises WrongConfig when the port can't be opened.

    /healthz answers as long as the event loop does. /readyz has a line for each check, and status 503 while one fails.
    """
    if config.health_port is None:
        yield
        return
    runner = web.AppRunner(_application(checks), access_log=None, shutdown_timeout=_CLOSING)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, config.health_host, config.health_port).start()
        except OSError as error:
            where = f"HEALTH_PORT {config.health_port} can't be opened on {config.health_host}"
            raise WrongConfig((f"{where} ({error.strerror}): choose another, or leave it out.",)) from error
        log.info("health and metrics on http://%s:%d", config.health_host, config.health_port)
        yield
    finally:
        await runner.cleanup()


def running(stop: asyncio.Event) -> Checker:
    """Not ready any more once the process was told to stop: no new questions should be sent to it."""

    async def check() -> Check:
        return Check("process", not stop.is_set(), "stopping" if stop.is_set() else "running")

    return check


def redis(ping: Callable[[], Awaitable[float]]) -> Checker:
    """`ping` returns the seconds that the server took, or raises StoreError."""

    async def check() -> Check:
        try:
            return Check("redis", True, f"ok, {1000 * await ping():.1f} ms")
        except StoreError as error:
            return Check("redis", False, str(error) or "out of reach")

    return check


def platform(connected: Connected, silence: float) -> Checker:
    """The connection is up, and its last sign of life is at most `silence` seconds old."""

    async def check() -> Check:
        state = connected.connection()
        if not state.up:
            return Check(connected.name, False, "not connected")
        if state.silent is None:
            return Check(connected.name, True, "listening")
        return Check(connected.name, state.silent <= silence, f"last heard {state.silent:.0f} s ago")

    return check


def breaker(broken: Callable[[], bool]) -> Checker:
    """Nebula, by its circuit breaker: `broken` while requests are not even tried."""

    async def check() -> Check:
        return Check("nebula", not broken(), "not asked after many failures" if broken() else "ok")

    return check


def _application(checks: Sequence[Checker]) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        found = await asyncio.gather(*(check() for check in checks))
        lines = "".join(f"{check.name}: {check.text}\n" for check in found)
        return web.Response(text=lines, status=200 if all(check.ok for check in found) else 503)

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposed(), headers={"Content-Type": _FORMAT})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposed)])
    return application
