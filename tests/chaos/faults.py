"""Faults of a chaos run: a seeded share of the platforms' calls and of the model's requests fails."""

import asyncio
import random
from collections.abc import Callable

from bots.sandbox.nebula.faults import NebulaFault as ModelFault
from bots.sandbox.slack.methods.faults import SlackFault, applied_then_slow, rate_limited, server_error, slow
from tests.chaos.world import ChaosWorld

MAX_CALLS = 3000  # how many calls of each kind to prepare faults for
CALL_SHARE = 0.04  # of a platform's calls
MODEL_SHARE = 0.05  # of the model's requests: 503 before the first token
TWICE_IN = 10  # requests: three failures among them could be those of one question, which ends it
DROP_SECONDS = (6.0, 12.0)  # between two breaks of all sockets of a platform

_SLACK = ("chat.postMessage", "chat.update", "chat.startStream", "chat.appendStream", "chat.stopStream")
_DISCORD = ("POST /channels/*/messages", "PATCH /channels/*/messages/*", "PATCH /webhooks/*")
_OK = ModelFault()


def switch_on(world: ChaosWorld, rng: random.Random) -> None:
    """Make posts and edits get 429, 500 and slow answers, and requests to the model 503."""
    for method in _SLACK:
        for before in _spaces(rng, CALL_SHARE):
            world.slack.faults.add(method, SlackFault(), times=before)
            world.slack.faults.add(
                method, rng.choice((rate_limited(1), server_error(500), slow(1), applied_then_slow(1)))
            )
    discord = world.discord.faults
    for route in _DISCORD:
        kinds: tuple[Callable[[int], None], ...] = (
            lambda before, route=route: discord.rate_limit(route, 1, before=before),  # type: ignore[misc]
            lambda before, route=route: discord.error(route, 500, before=before),  # type: ignore[misc]
            lambda before, route=route: discord.slow(route, 1, before=before),  # type: ignore[misc]
        )
        for before in _spaces(rng, CALL_SHARE):
            rng.choice(kinds)(before)
    last = TWICE_IN
    for drawn in _spaces(rng, MODEL_SHARE):
        before = max(drawn, TWICE_IN - last)
        if before:
            world.nebula.fault(_OK, times=before)
        world.nebula.fault(ModelFault(status=503, body="{}"))
        last = before


async def drop_sockets(world: ChaosWorld, rng: random.Random) -> None:
    """Break all sockets of one platform or the other from time to time, until cancelled."""
    while True:
        await asyncio.sleep(rng.uniform(*DROP_SECONDS))
        world.note("sockets break")
        if rng.random() < 0.5:
            world.slack.drop_sockets()
        else:
            world.discord.gateway.drop()


def _spaces(rng: random.Random, share: float) -> list[int]:
    """How many calls succeed before each one that fails."""
    found: list[int] = []
    while sum(found) + len(found) < MAX_CALLS:
        found.append(int(rng.expovariate(share)))
    return found
