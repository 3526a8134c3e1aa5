"""The load of a chaos run: who asks what, where and when, on both platforms; in channels several people at once."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial

from bots.sandbox.discord.world.values import DiscordChannel, DiscordUser, Guild
from core.domain.chat import ChatMessage
from core.domain.errors import StoreError
from core.store.redis.client import guarded
from tests.bounds import HANG_SECONDS
from tests.chaos.judge import AskedQuestion, answer_to, number_in, question
from tests.chaos.world import ChaosWorld

ASK_SHARE, THREAD_SHARE, AT_ONCE_SHARE = 0.1, 0.3, 0.3
DIRECT_EVERY = 5  # every fifth room is a direct message
PEOPLE, TOGETHER_SECONDS = 6, 3.0  # people in a channel, who ask at about the same time: within these seconds
DELIVERY_TIMEOUT_SECONDS = HANG_SECONDS  # until the store has a question: until then its platform delivers it again
COMMAND_TIMEOUT_SECONDS = 8.0  # until the store has a command, which nobody delivers again
STORE_POLL_SECONDS = 0.1  # between two checks of the store


@dataclass(frozen=True, slots=True)
class Put:
    """A question that was asked. `turn`: its id in the store; `lane`: the line in its room that it is in.

    `must`: whether it must not get lost. `opens`: the message under which its reply must be, "" for none. `reported`:
    whether the bot or the platform told the person that it failed.
    """

    turn: str
    lane: str
    must: bool
    opens: str = ""
    reported: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Aim:
    """A place in a room where somebody is about to ask. `lane`: the lane there, None if the question begins one."""

    lane: str | None
    ask: Callable[[int], Awaitable[Put]]


@dataclass(frozen=True, slots=True)
class ChaosRoom:
    """A conversation. `name`: the beginning of its name in the store. `aim` lets one of its people look for a place;
    `stored` says that the store has a question."""

    name: str
    people: int
    aim: Callable[[int, random.Random], Aim]
    stored: Callable[[Put], None] = lambda put: None


class Load:
    """All rooms of a world, and everything asked in them. `copies`: the most deliveries of one event. `parallel`: the
    setting of the bot; with 1, a room has only one lane."""

    def __init__(self, rng: random.Random, lengths: tuple[int, int], copies: int, parallel: int) -> None:
        """`lengths`: words of the shortest and of the longest answer."""
        self.put: dict[int, Put] = {}  # in the order in which each lane was asked
        self.said: dict[int, float] = {}  # when each was asked, in monotonic seconds
        self._rng, self._lengths, self._copies, self._one_line = rng, lengths, copies, parallel == 1
        # While somebody asks in a lane, nobody else does, so that its order is known.
        self._asking: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._words: dict[int, int] = {}
        self.rooms: dict[
            str, DiscordChannel | None
        ] = {}  # by their name in the store; with Discord's own value for its rooms
        self._rooms: dict[int, str] = {}
        self.known: dict[str, float] = {}  # turns that the store has accepted, and when they were first seen there
        self._world: ChaosWorld
        self._guild: Guild
        self._people: list[DiscordUser]  # of Discord's channels

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
        people = [world.slack.add_user(f"ann{number or ''}") for number in range(PEOPLE)]
        self._guild = world.discord.add_guild("Guild")
        self._people = [world.discord.add_member(self._guild, f"bob-{number}") for number in range(PEOPLE)]
        ours: list[ChaosRoom] = []
        for index in range(slack):
            direct = index % DIRECT_EVERY == DIRECT_EVERY - 1
            users = [world.slack.add_user(f"sue{index}")] if direct else people
            channel = world.slack.open_dm(*users) if direct else world.slack.add_channel(f"room{index}", people[0])
            ours.append(self._slack_room(users, channel, direct))
        return ours, [self._discord_room(index % DIRECT_EVERY == DIRECT_EVERY - 1) for index in range(discord)]

    def more_rooms(self, many: int) -> list[ChaosRoom]:
        """Open this many more channels in Discord."""
        return [self._discord_room(direct=False) for _ in range(many)]

    def _slack_room(self, users: Sequence[str], channel: str, direct: bool) -> ChaosRoom:
        slack = self._world.slack
        name = f"slack/{slack.team}/{channel}"
        self.rooms[name] = None
        roots: list[str] = []

        async def command(user: str, number: int) -> Put:
            answer = await slack.slash(user, channel, "/nebula", f"ask {question(number)}")
            reported = lambda: bool(answer.problem or answer.messages)  # noqa: E731
            turn = f"{name}/command/{answer.trigger_id}"
            return Put(turn, self._lane("" if direct else user), must=False, reported=reported)

        async def say(user: str, thread: str, first: bool, copies: int, number: int) -> Put:
            slack.redeliver(copies)
            text = question(number) if direct else f"@nebula {question(number)}"
            message = await slack.say(user, channel, text, thread, mention_first=first)
            opens = "" if thread or direct else message.ts
            return Put(f"{name}/{message.ts}", self._lane(thread or opens), must=True, opens=opens)

        def aim(person: int, rng: random.Random) -> Aim:
            user = users[person]
            if not direct and rng.random() < ASK_SHARE:
                return Aim(self._lane(user), partial(command, user))
            copies = rng.randint(1, self._copies) - 1
            thread = rng.choice(roots) if roots and not direct and rng.random() < THREAD_SHARE else ""
            lane = self._lane(thread) if thread or direct or self._one_line else None
            return Aim(lane, partial(say, user, thread, rng.random() < 0.5, copies))

        def stored(put: Put) -> None:
            if put.opens:
                roots.append(put.opens)

        return ChaosRoom(name, len(users), aim, stored)

    def _discord_room(self, direct: bool) -> ChaosRoom:
        discord, index = self._world.discord, len(self.rooms)
        users = [discord.add_member(self._guild, f"bob{index}")] if direct else self._people
        place = discord.open_dm(users[0]) if direct else discord.add_channel(self._guild, f"room{index}")
        name = f"discord/{place.guild or '-'}/{place.id}"
        self.rooms[name] = place

        async def ask(user: DiscordUser, command: bool, copies: int, number: int) -> Put:
            # Discord does not keep events while nobody is connected.
            while not (self._world.serving and discord.gateway.sessions and discord.commands.registered):
                await asyncio.sleep(STORE_POLL_SECONDS)
            discord.gateway.duplicate = copies
            lane = self._lane("" if direct else user.id)
            try:
                if command:
                    pressed = await discord.slash(user, place, "ask", {"prompt": question(number)})
                    reported = lambda: not pressed.acknowledged or not pressed.loading  # noqa: E731
                    return Put(f"discord/i/{pressed.id}", lane, must=False, reported=reported)
                text = question(number) if direct else f"@{discord.bot_user.name} {question(number)}"
                message = await discord.say(user, place, text)
                return Put(f"discord/{place.id}/{message.id}", lane, must=True, opens=message.id)
            finally:
                discord.gateway.duplicate = 1

        def aim(person: int, rng: random.Random) -> Aim:
            copies, command = rng.randint(1, self._copies), not direct and rng.random() < ASK_SHARE
            lane = self._lane("" if direct else users[person].id)
            return Aim(lane, partial(ask, users[person], command, copies))

        return ChaosRoom(name, len(users), aim)

    def _lane(self, name: str) -> str:
        return "" if self._one_line else name

    async def talk(self, shares: Sequence[tuple[Sequence[ChaosRoom], int]], seconds: float, first: int = 1) -> None:
        """Ask this many questions in each group of rooms, spread over this time and numbered from `first`. The people
        of a channel ask at about the same time."""
        plans: dict[tuple[str, int], list[tuple[float, int]]] = {}
        rooms: dict[str, ChaosRoom] = {}
        number = first
        for group, many in shares:
            asked: dict[str, tuple[int, float]] = {}  # how many questions a room has, and the time of its last people
            for index in range(many):
                room = group[index % len(group)]
                rooms[room.name] = room
                before, together = asked.get(room.name, (0, 0.0))
                if before % room.people == 0:
                    together = self._rng.uniform(0, seconds)
                asked[room.name] = before + 1, together
                at = together + (self._rng.uniform(0, TOGETHER_SECONDS) if room.people > 1 else 0.0)
                person = self._rng.randrange(room.people)  # so that some ask again before they have an answer
                plans.setdefault((room.name, person), []).append((min(at, seconds), number))
                self.words(number)
                number += 1
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group_:
            looking = group_.create_task(self._look())
            talks = [
                group_.create_task(self._converse(rooms[name], person, plan, begun, random.Random(self._rng.random())))
                for (name, person), plan in plans.items()
            ]
            await asyncio.wait(talks)
            looking.cancel()

    async def put_long(self, rooms: Sequence[ChaosRoom], numbers: Sequence[int], words: int) -> None:
        """Ask a question with a long answer in each of these rooms, now."""
        for room, number in zip(rooms, numbers, strict=True):
            self._words[number] = words
            await self._put(room, room.aim(0, random.Random(number)), number)

    async def _converse(
        self, room: ChaosRoom, person: int, plan: list[tuple[float, int]], begun: float, rng: random.Random
    ) -> None:
        """One person in a room: each question comes at its time, but not before the store has the previous one."""
        clock = asyncio.get_running_loop().time
        times = sorted(at for at, _ in plan)
        for at, number in zip(times, sorted(number for _, number in plan), strict=True):
            if rng.random() > AT_ONCE_SHARE:
                await asyncio.sleep(begun + at - clock())
            aim = room.aim(person, rng)
            async with AsyncExitStack() as stack:
                if aim.lane is not None:
                    await stack.enter_async_context(self._asking[room.name, aim.lane])
                put = await self._put(room, aim, number)
                end = clock() + (DELIVERY_TIMEOUT_SECONDS if put.must else COMMAND_TIMEOUT_SECONDS)
                while put.turn not in self.known and clock() < end:
                    await asyncio.sleep(STORE_POLL_SECONDS)
            room.stored(put)

    async def _put(self, room: ChaosRoom, aim: Aim, number: int) -> Put:
        self._rooms[number], self.said[number] = room.name, time.monotonic()
        put = self.put[number] = await aim.ask(number)
        self._world.note(f"question {number} is {put.turn}, lane {put.lane!r}")
        return put

    async def _look(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(STORE_POLL_SECONDS)

    async def look(self) -> None:
        """Record which questions the store has accepted; does nothing while it is away."""
        with suppress(StoreError):
            async with guarded():  # a cancellation always ends it, whereas redis-py alone may swallow one
                async for key in self._world.store.client.scan_iter("nb:*:d:*", count=1000):
                    self.known.setdefault(key.decode().partition(":d:")[2], time.monotonic())

    def asked(self) -> tuple[AskedQuestion, ...]:
        """All questions, lane by lane in the order in which they were asked."""
        return tuple(
            AskedQuestion(number, self._rooms[number], self.words(number), put.turn in self.known, put.must, put.lane)
            for number, put in self.put.items()
        )

    def refused(self) -> tuple[int, int]:
        """How many commands were not accepted, and for how many of those nobody told the person."""
        lost = [put for put in self.put.values() if not put.must and put.turn not in self.known]
        return len(lost), sum(not put.reported() for put in lost)

    def by_turn(self) -> Mapping[str, int]:
        """The number of each question by its id in the store."""
        return {put.turn: number for number, put in self.put.items()}

    def by_message(self) -> Mapping[str, int]:
        """The number of each question by the message under which its reply is."""
        return {put.opens: number for number, put in self.put.items() if put.opens}
