"""The load of a chaos run: who asks what, where and when, on both platforms."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bots.sandbox.discord.values import DiscordChannel, Guild
from core.domain.chat import ChatMessage
from core.domain.errors import StoreError
from core.store.redis.client import guarded
from tests.bounds import HANG_SECONDS
from tests.chaos.judge import AskedQuestion, answer_to, number_in, question
from tests.chaos.world import ChaosWorld

ASK_SHARE, THREAD_SHARE, AT_ONCE_SHARE = 0.1, 0.3, 0.3
DIRECT_EVERY = 5  # every fifth room is a direct message
DELIVERY_TIMEOUT_SECONDS = HANG_SECONDS  # until the store has a question: until then its platform delivers it again
COMMAND_TIMEOUT_SECONDS = 8.0  # until the store has a command, which nobody delivers again
STORE_POLL_SECONDS = 0.1  # between two checks of the store


@dataclass(frozen=True, slots=True)
class Put:
    """A question that was asked. `turn`: its id in the store.

    `must`: whether it must not get lost. `opens`: the message under which its reply must be, "" for none. `reported`:
    whether the bot or the platform told the person that it failed.
    """

    turn: str
    must: bool
    opens: str = ""
    reported: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class ChaosRoom:
    """A conversation. `name`: the beginning of its name in the store. `ask` asks a question in it."""

    name: str
    ask: Callable[[int, random.Random], Awaitable[Put]]


class Load:
    """All rooms of a world, and everything asked in them. `copies`: the most deliveries of one event."""

    def __init__(self, rng: random.Random, lengths: tuple[int, int], copies: int = 1) -> None:
        """`lengths`: words of the shortest and of the longest answer."""
        self.put: dict[int, Put] = {}
        self._rng, self._lengths, self._copies = rng, lengths, copies
        self._words: dict[int, int] = {}
        self.rooms: dict[
            str, DiscordChannel | None
        ] = {}  # by their name in the store; with Discord's own value for its rooms
        self._rooms: dict[int, str] = {}
        self._known: set[str] = set()  # turns that the store has accepted
        self._world: ChaosWorld
        self._guild: Guild

    def say(self, messages: tuple[ChatMessage, ...]) -> str:
        """The model's answer."""
        number = number_in(messages[-1].content)
        return answer_to(number, self.words(number)) if number else "Yes."  # to the stranger

    def words(self, number: int) -> int:
        """The length of the answer to this question; drawn on the first call."""
        return self._words.setdefault(number, self._rng.randint(*self._lengths))

    def enter(self, world: ChaosWorld, slack: int, discord: int) -> tuple[list[ChaosRoom], list[ChaosRoom]]:
        """Open this many rooms on each platform."""
        self._world = world
        ann = world.slack.add_user("ann")
        self._guild = world.discord.add_guild("Guild")
        ours: list[ChaosRoom] = []
        for index in range(slack):
            direct = index % DIRECT_EVERY == DIRECT_EVERY - 1
            user = world.slack.add_user(f"sue{index}") if direct else ann
            channel = world.slack.open_dm(user) if direct else world.slack.add_channel(f"room{index}", ann)
            ours.append(self._slack_room(user, channel, direct))
        return ours, [self._discord_room(index % DIRECT_EVERY == DIRECT_EVERY - 1) for index in range(discord)]

    def more_rooms(self, many: int) -> list[ChaosRoom]:
        """Open this many more channels in Discord."""
        return [self._discord_room(direct=False) for _ in range(many)]

    def _slack_room(self, user: str, channel: str, direct: bool) -> ChaosRoom:
        slack = self._world.slack
        name = f"slack/{slack.team}/{channel}"
        self.rooms[name] = None
        roots: list[str] = []

        async def ask(number: int, rng: random.Random) -> Put:
            if not direct and rng.random() < ASK_SHARE:
                answer = await slack.slash(user, channel, "/nebula", f"ask {question(number)}")
                reported = lambda: bool(answer.problem or answer.messages)  # noqa: E731
                return Put(f"{name}/command/{answer.trigger_id}", must=False, reported=reported)
            slack.redeliver(rng.randint(1, self._copies) - 1)
            thread = rng.choice(roots) if roots and not direct and rng.random() < THREAD_SHARE else ""
            text = question(number) if direct else f"@nebula {question(number)}"
            message = await slack.say(user, channel, text, thread, mention_first=rng.random() < 0.5)
            if not (thread or direct):
                roots.append(message.ts)
            return Put(f"{name}/{message.ts}", must=True, opens="" if thread or direct else message.ts)

        return ChaosRoom(name, ask)

    def _discord_room(self, direct: bool) -> ChaosRoom:
        discord, index = self._world.discord, len(self.rooms)
        user = discord.add_member(self._guild, f"bob{index}")
        place = discord.open_dm(user) if direct else discord.add_channel(self._guild, f"room{index}")
        name = f"discord/{place.guild or '-'}/{place.id}"
        self.rooms[name] = place

        async def ask(number: int, rng: random.Random) -> Put:
            # Discord does not keep events while nobody is connected.
            while not (self._world.serving and discord.gateway.sessions and discord.commands.registered):
                await asyncio.sleep(STORE_POLL_SECONDS)
            discord.gateway.duplicate = rng.randint(1, self._copies)
            try:
                if not direct and rng.random() < ASK_SHARE:
                    pressed = await discord.slash(user, place, "ask", {"prompt": question(number)})
                    reported = lambda: not pressed.acknowledged or not pressed.loading  # noqa: E731
                    return Put(f"discord/i/{pressed.id}", must=False, reported=reported)
                text = question(number) if direct else f"@{discord.bot_user.name} {question(number)}"
                message = await discord.say(user, place, text)
                return Put(f"discord/{place.id}/{message.id}", must=True, opens=message.id)
            finally:
                discord.gateway.duplicate = 1

        return ChaosRoom(name, ask)

    async def talk(self, shares: Sequence[tuple[Sequence[ChaosRoom], int]], seconds: float, first: int = 1) -> None:
        """Ask this many questions in each group of rooms, spread over this time and numbered from `first`."""
        plans: dict[str, list[tuple[float, int]]] = {}
        rooms: dict[str, ChaosRoom] = {}
        number = first
        for group, many in shares:
            for index in range(many):
                room = group[index % len(group)]
                rooms[room.name] = room
                plans.setdefault(room.name, []).append((self._rng.uniform(0, seconds), number))
                self.words(number)
                number += 1
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group_:
            looking = group_.create_task(self._look())
            talks = [
                group_.create_task(self._converse(rooms[name], plan, begun, random.Random(self._rng.random())))
                for name, plan in plans.items()
            ]
            await asyncio.wait(talks)
            looking.cancel()

    async def put_long(self, rooms: Sequence[ChaosRoom], numbers: Sequence[int], words: int) -> None:
        """Ask a question with a long answer in each of these rooms, now."""
        for room, number in zip(rooms, numbers, strict=True):
            self._words[number] = words
            self._rooms[number] = room.name
            self.put[number] = await room.ask(number, random.Random(number))

    async def _converse(self, room: ChaosRoom, plan: list[tuple[float, int]], begun: float, rng: random.Random) -> None:
        """One room: each question comes at its time, but not before the store has the previous one."""
        clock = asyncio.get_running_loop().time
        times = sorted(at for at, _ in plan)
        for at, number in zip(times, sorted(number for _, number in plan), strict=True):
            if rng.random() > AT_ONCE_SHARE:
                await asyncio.sleep(begun + at - clock())
            self._rooms[number] = room.name
            put = await room.ask(number, rng)
            self.put[number] = put
            self._world.note(f"question {number} is {put.turn}")
            end = clock() + (DELIVERY_TIMEOUT_SECONDS if put.must else COMMAND_TIMEOUT_SECONDS)
            while put.turn not in self._known and clock() < end:
                await asyncio.sleep(STORE_POLL_SECONDS)

    async def _look(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(STORE_POLL_SECONDS)

    async def look(self) -> None:
        """Record which questions the store has accepted; does nothing while it is away."""
        with suppress(StoreError):
            async with guarded():  # a cancellation always ends it, whereas redis-py alone may swallow one
                async for key in self._world.store.client.scan_iter("nb:*:d:*", count=1000):
                    self._known.add(key.decode().partition(":d:")[2])

    def asked(self) -> tuple[AskedQuestion, ...]:
        """All questions, room by room in the order in which they were asked."""
        return tuple(
            AskedQuestion(number, self._rooms[number], self.words(number), put.turn in self._known, put.must)
            for number, put in sorted(self.put.items())
        )

    def refused(self) -> tuple[int, int]:
        """How many commands were not accepted, and for how many of those nobody told the person."""
        lost = [put for put in self.put.values() if not put.must and put.turn not in self._known]
        return len(lost), sum(not put.reported() for put in lost)

    def by_turn(self) -> Mapping[str, int]:
        """The number of each question by its id in the store."""
        return {put.turn: number for number, put in self.put.items()}

    def by_message(self) -> Mapping[str, int]:
        """The number of each question by the message under which its reply is."""
        return {put.opens: number for number, put in self.put.items() if put.opens}
