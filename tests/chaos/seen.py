"""The observable results of a chaos run: the bot's messages, the store's histories, the model's requests."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bots.sandbox.nebula.faults import Received
from core.domain.conversation import Conversation
from core.settings.encryption import NO_ENCRYPTION
from core.store.entries import Entries
from tests.chaos.judge import Kept, Said, number_in
from tests.chaos.lanes import Heard, Span
from tests.chaos.load import Load
from tests.chaos.takeover import Request
from tests.chaos.world import ChaosWorld

REQUESTS = 3  # that the bot makes for an answer before it gives up (Nebula's `retries`)
_WORD = re.compile(r"\bw(\d+)x")
# People's settings never expire, nor what all processes must agree on.
FOR_GOOD = ("nb:s:", "nb:setup", "nb:owner:", "nb:indexed")


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message of the bot with everything it showed: (monotonic seconds, text)."""

    said: Said
    frames: tuple[tuple[float, str], ...]


def shown(world: ChaosWorld, load: Load) -> tuple[ShownMessage, ...]:
    """Every message of the bot that everybody can see."""
    return (*_in_slack(world, load), *_in_discord(world, load))


def _in_slack(world: ChaosWorld, load: Load) -> Iterator[ShownMessage]:
    turns, messages = load.by_turn(), load.by_message()
    for name in load.rooms:
        platform, _, channel = name.split("/")
        for each in world.slack.messages(channel) if platform == "slack" else ():
            if each.user != world.slack.bot_user and not each.bot:
                continue
            turn = str(each.metadata.get("event_payload", {}).get("turn", ""))
            frames = tuple((frame.at, frame.shown) for frame in each.frames)
            yield ShownMessage(
                Said(
                    each.ts,
                    name,
                    each.shown,
                    turns.get(turn) or messages.get(each.thread_ts, 0),
                    streams=each.streaming == "in_progress",
                    first=_first(frames),
                    gap=not channel.startswith("D"),
                ),
                frames,
            )


def _in_discord(world: ChaosWorld, load: Load) -> Iterator[ShownMessage]:
    turns, messages = load.by_turn(), load.by_message()
    for name, place in load.rooms.items():
        for each in world.discord.messages(place) if name.startswith("discord/") and place else ():
            if each.author.id != world.discord.bot_user.id or each.ephemeral_for:
                continue
            frames = tuple((frame.at, frame.content) for frame in each.frames)
            command = f"discord/i/{(each.interaction or {}).get('id')}"
            replies_to = turns.get(command) or messages.get(each.reference, 0)
            yield ShownMessage(
                Said(each.id, name, each.content, replies_to, each.loading, first=_first(frames)), frames
            )


def _first(frames: Sequence[tuple[float, str]]) -> float:
    return next((at for at, text in frames if _WORD.search(text)), math.inf)


def screen_changes(seen: Sequence[ShownMessage]) -> tuple[dict[int, list[float]], dict[int, float]]:
    """When the reply to each question changed on screen, and since when its last word was visible."""
    changes: dict[int, list[float]] = defaultdict(list)
    ends: dict[int, float] = {}
    for each in seen:
        about = {int(number) for _, text in each.frames for number in _WORD.findall(text)} or {each.said.replies_to}
        for number in about:
            changes[number] += [at for at, _ in each.frames]
            whole = [at for at, text in each.frames if f"w{number}xend" in text]
            if whole:
                ends[number] = min(whole[0], ends.get(number, math.inf))
    return changes, ends


def heard(world: ChaosWorld, load: Load, seen: Sequence[ShownMessage]) -> tuple[Heard, ...]:
    """Each accepted question: when it was asked, when the model heard of it, and when its reply changed last."""
    spans: dict[int, list[Span]] = defaultdict(list)
    for each in answers(world):
        if each.messages:
            spans[number_in(each.messages[-1].content)].append((each.at, max((each.at, *each.written))))
    changes, _ = screen_changes(seen)
    return tuple(
        Heard(
            each.number,
            each.room,
            each.lane,
            load.said[each.number],
            load.known[load.put[each.number].turn],
            max(changes.get(each.number, ()), default=math.inf),
            tuple(spans[each.number]),
        )
        for each in load.asked()
        if each.accepted
    )


def answers(world: ChaosWorld) -> tuple[Received, ...]:
    """The requests for answers; those for titles of chats are not streamed."""
    return tuple(each for each in world.nebula.requests if each.stream)


def requests(world: ChaosWorld) -> tuple[Request, ...]:
    """Which process asked the model which question."""
    found = answers(world)
    return tuple(Request(each.at, each.key, number_in(each.messages[-1].content)) for each in found if each.messages)


def attempts(world: ChaosWorld) -> dict[int, int]:
    """How often the model began to answer each question, without those of which it refused as many requests as the bot
    makes: these end in a sentence."""
    found: dict[int, int] = defaultdict(int)
    refused: dict[int, int] = defaultdict(int)
    for each in answers(world):
        begun, number = each.finished or each.closed_early, number_in(each.messages[-1].content)
        found[number] += begun
        refused[number] += not begun
    return {number: many for number, many in found.items() if many or refused[number] < REQUESTS}


async def kept(world: ChaosWorld) -> tuple[Kept, ...]:
    """All histories."""
    found: list[Kept] = []
    async for key in world.store.client.scan_iter("nb:*:h:*", count=1000):
        conversation = Conversation.named(key.decode().partition(":h:")[2])
        room = "/".join(conversation.scope.split("/")[:3])
        entries: list[Any] = await world.store.client.lrange(key, 0, -1)
        exchanges = Entries(NO_ENCRYPTION).exchanges(conversation, entries)
        found += [Kept(room, number_in(each.question), each.answer) for each in exchanges]
    return tuple(found)


async def waiting(world: ChaosWorld) -> int:
    """How many questions wait or run."""
    keys = [key async for key in world.store.client.scan_iter("nb:*:q:*", count=1000)]
    return sum([await world.store.client.llen(key) for key in keys])


async def endless(world: ChaosWorld) -> tuple[str, ...]:
    """Keys that would never expire."""
    keys = [key async for key in world.store.client.scan_iter("*", count=1000)]
    lives = [(key.decode(), await world.store.client.pttl(key)) for key in keys]
    return tuple(name for name, life in lives if life == -1 and not name.startswith(FOR_GOOD))
