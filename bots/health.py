"""A small server for probes and Prometheus: /healthz, /readyz and /metrics. It is off unless HEALTH_PORT is set."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from bots.http_port import http_port
from core import metrics
from core.domain.chat import Catalog
from core.domain.errors import BadKey, Blocked, ModelError, NoCredits, StoreError, WrongAddress
from core.domain.ports import Connected
from core.settings.environment import WrongConfig

log = logging.getLogger(__name__)

# Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats).
_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
# How long requests under way may take when the server closes.
_CLOSING_SECONDS = 1.0
# A probe sends no body.
_MAX_BODY_BYTES = 1_000
# Until the next look at Nebula, as long as it does not take our key.
LOOK_PAUSE_SECONDS = 60.0
# What whoever runs the bot reads; the error says the rest.
_PROBLEMS: dict[type[ModelError], str] = {
    BadKey: "Nebula refuses NEBULA_API_KEY",
    NoCredits: "the account of NEBULA_API_KEY is empty",
    Blocked: "Nebula, or something in front of it, refuses this machine",
    WrongAddress: "there is no list of models at NEBULA_BASE_URL, which usually ends with /v1",
}
_OTHER = "Nebula does not answer at NEBULA_BASE_URL"


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing that the bot needs to answer questions. `text` describes it."""

    name: str
    ok: bool
    text: str


Checker = Callable[[], Awaitable[Check]]


@asynccontextmanager
async def health(port: int | None, host: str, checks: Sequence[Checker]) -> AsyncIterator[None]:
    """Serve on this port while the context is open; None: do not serve. Raises WrongConfig if it cannot be opened.

    /healthz answers as long as the event loop runs. /readyz has one line per check, and status 503 while one fails.
    """
    if port is None:
        yield
        return

    def unusable(error: OSError) -> WrongConfig:
        problem = f"HEALTH_PORT: cannot open port {port} on {host} ({error.strerror})."
        return WrongConfig((f"{problem} Choose another port, or remove the setting.",))

    async with http_port(
        _routes(checks),
        host,
        port,
        body_bytes=_MAX_BODY_BYTES,
        closing_seconds=_CLOSING_SECONDS,
        unusable=unusable,
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


class FirstLook:
    """Looks at Nebula at the start: otherwise people in a channel would be the first to learn of a wrong key.

    `refusal`: why no answer is to be expected before somebody changes something; "" if any is.
    """

    def __init__(self) -> None:
        self.refusal = ""

    async def run(
        self, check: Callable[[], Awaitable[None]], model: str, catalog: Callable[[], Awaitable[Catalog]]
    ) -> None:
        """Look until Nebula takes our key, then whether it offers the model. `check`: raises ModelError if it does not
        take the key. `model`: the one that answers where no other is set."""
        told = ""
        while True:
            try:
                await check()
                break
            except ModelError as error:
                problem = f"{_PROBLEMS.get(type(error), _OTHER)} ({error})"
                self.refusal = problem if _lasts(error) else ""
            if problem != told:
                log.warning("%s", problem)
            told = problem
            await asyncio.sleep(LOOK_PAUSE_SECONDS)
        self.refusal = ""
        log.info("Nebula takes our key")
        offered = await catalog()  # that of the start may be from before Nebula could answer
        if offered.live and offered.find(model) is None:
            log.warning("NEBULA_MODEL: %s is not among the models that Nebula offers", model)


def _lasts(error: ModelError) -> bool:
    """Whether no answer is to be expected before somebody changes something. With 403 only the list may be refused."""
    return isinstance(error, NoCredits) or (isinstance(error, BadKey) and not str(error).startswith("HTTP 403"))


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
