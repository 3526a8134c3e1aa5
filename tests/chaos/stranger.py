"""A hostile person in the room: sends on both platforms what hurts most, and has the model write what is hardest to
show. `make chaos` and `make bench` let it act beside ordinary people."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any

from aiohttp import web

from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.world.values import DiscordChannel
from bots.sandbox.nebula.faults import ModelAnswer, NebulaFault, Received
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.nebula.writer import Cut, Writer
from bots.sandbox.slack.server import SlackServer
from core.reply.layout import WRITING

Json = dict[str, Any]
Act = Callable[[str], Awaitable[None]]

CHARACTERS = 20_000  # of a long message in Slack
DISCORD_CHARACTERS = 1_900  # Discord's own limit is 2,000, with the mention
MENTIONS = 2_500  # in one message
MAX_LOOKUPS = 200  # of people's profiles, of which the stranger's messages may cause most
BURST = 40  # commands or presses at once
CONNECTIONS = 300  # half-open ones, more than the open files that a replica has in the run
_ODD = re.compile(r"\bodd (\w+)")

# What the model writes to "odd <name>": the text, the characters of a chunk, and chunks per second.
ODD_ANSWERS: Mapping[str, tuple[str, int, float]] = {
    "images": ("![" * 5_000, 100, 50.0),
    "brackets": ("[" * 10_000, 100, 50.0),
    "nested": ("[[[[]]]]" * 1_500, 100, 50.0),
    "emphasis": ("*_`[<" * 2_000, 100, 50.0),
    "table": ("| a | b |\n|---|---|\n| " + "<![CDATA[" * 1_500 + " | c |\n", 100, 50.0),
    "han": ("漢" * 30_000, 30_000, 50.0),
    "quotes": ("> " * 5_000, 100, 50.0),
    "fences": ("```\n" * 2_500, 100, 50.0),
    "endless": ("word " * 4_000_000, 4_000, 100.0),  # 20 MB in 50 s: the bot must have stopped reading before
}
ENDLESS = "endless"
SLACK_KINDS = ("images", "table", "han")  # few: its limit on edits is the whole workspace's
LONG_TEXTS = (
    *("!set -a" + " " * CHARACTERS + "!", "[" * CHARACTERS, "![" * (CHARACTERS // 2), "`" * CHARACTERS),
    *("*_`[<" * (CHARACTERS // 5), "<" * CHARACTERS, "a=" * (CHARACTERS // 2), "\t" * CHARACTERS, "\n" * CHARACTERS),
)


class OddModel(NebulaServer):
    """The sandbox's Nebula, which writes odd answers to the stranger's odd questions."""

    async def _send(
        self, request: web.Request, received: Received, answer: ModelAnswer, fault: NebulaFault, number: int
    ) -> web.StreamResponse:
        kind = odd_kind(received)
        if not kind or not received.stream:
            return await super()._send(request, received, answer, fault, number)
        text, size, pace = ODD_ANSWERS[kind]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        said = [{"content": text[start : start + size]} for start in range(0, len(text), size)]
        with suppress(Cut):  # no fault of the run cuts a stream
            await Writer(response, fault, received.model, number).write(said, "stop", None, pace)
        await response.write_eof()
        return response


def odd_kind(received: Received) -> str:
    """Which odd answer a request gets, "" for none."""
    found = _ODD.search(received.messages[-1].content) if received.messages else None
    return found[1] if found and found[1] in ODD_ANSWERS else ""


class Stranger:
    """Somebody with no rights, in rooms of their own beside everybody else's."""

    def __init__(self, slack: SlackServer, discord: DiscordServer) -> None:
        self._slack, self._discord = slack, discord
        self._user = slack.add_user("mallory")
        self._channel = slack.add_channel("fun", self._user)
        self._direct = slack.open_dm(self._user)
        self._guild = discord.add_guild("Fun")
        self._member = discord.add_member(self._guild, "mallory")
        self._place = discord.add_channel(self._guild, "fun")
        self._roots: dict[str, str] = {}  # Slack's odd questions: the question by its ts
        self._rooms: list[tuple[DiscordChannel, str]] = []  # Discord's odd questions, each in a channel of its own
        self._open: list[asyncio.StreamWriter] = []
        self._number = int(time.time()) << 24
        texts = [(f"long text {text[:9]!r}", partial(self._long, text)) for text in LONG_TEXTS]
        self._acts: tuple[tuple[str, Act], ...] = (
            ("odd questions", self._questions),
            *texts[:3],
            ("junk gateway events", self._junk_events),
            ("commands at once", self._commands),
            ("half-open connections", self._half_open),
            *texts[3:6],
            ("odd questions", self._questions),
            ("malformed presses and forms in Slack", self._slack_interactions),
            ("malformed interactions in Discord", self._discord_interactions),
            ("unsigned requests", self._unsigned),
            *texts[6:],
            ("mentions", self._mentions),
            ("presses at once", self._presses),
            ("many questions in one place", self._crowd),
        )
        self.many = len(self._acts)

    def acts(self) -> Iterator[tuple[str, Act]]:
        """Everything that the stranger does, again and again, each with its name; an act takes the bot's request URL,
        "" if it has none."""
        return cycle(self._acts)

    def open_ends(self) -> tuple[int, list[str]]:
        """How many odd questions were asked, and what was shown of each whose reply is missing or not at its end."""
        found = []
        for ts, kind in self._roots.items():
            replies = [each for each in self._slack.messages(self._channel, ts) if each.user != self._user]
            unseen = not replies and not self._slack.ephemerals(self._channel, self._user)
            found += _left(f"slack {kind}", [(each.streaming == "in_progress", each.shown) for each in replies], unseen)
        for place, kind in self._rooms:
            said = [each for each in self._discord.messages(place) if each.author.id == self._discord.bot_user.id]
            found += _left(f"discord {kind}", [(each.loading, each.content) for each in said], not said)
        return len(self._roots) + len(self._rooms), found

    def owns(self, room: str) -> bool:
        """Whether this conversation is one of the stranger's own."""
        slack = f"slack/{self._slack.team}/"
        return room.startswith((slack + self._channel, slack + self._direct, f"discord/{self._guild.id}/"))

    def close(self) -> None:
        """Close the half-open connections."""
        for writer in self._open:
            writer.close()
        self._open.clear()

    # --- questions ---

    async def _questions(self, _: str) -> None:
        for kind in ODD_ANSWERS:
            place = self._discord.add_channel(self._guild, f"fun-{len(self._rooms)}")
            await self._discord.say(self._member, place, f"@{self._discord.bot_user.name} odd {kind}")
            self._rooms.append((place, kind))
        for kind in SLACK_KINDS:
            root = await self._slack.say(self._user, self._channel, f"@nebula odd {kind}")
            self._roots[root.ts] = kind

    async def _long(self, text: str, _: str) -> None:
        """To the bot, in a channel, a direct message and as a command; in Discord too."""
        await self._mention(f"<@{self._slack.bot_user}> {text}")
        await self._direct_message({"text": text})
        await self._slack.slash(self._user, self._channel, "/nebula", text.removeprefix("!"))
        await self._tell(f"{text[:DISCORD_CHARACTERS]}!")

    async def _mentions(self, _: str) -> None:
        people = " ".join(f"<@U{number:09}>" for number in range(MENTIONS))
        await self._mention(f"<@{self._slack.bot_user}> {people}")
        await self._tell(f"<@{self._id()}> " * 80)

    async def _crowd(self, _: str) -> None:
        for _turn in range(BURST // 2):
            await self._tell("[" * 500)

    async def _tell(self, text: str) -> None:
        await self._discord.say(self._member, self._place, f"@{self._discord.bot_user.name} {text}")

    async def _mention(self, text: str) -> None:
        """Its event alone: the sandbox's client escapes what people type."""
        said = await self._slack.say(self._user, self._channel, "hello")
        await self._event({"type": "app_mention", "text": text, "channel": said.channel, "ts": said.ts})

    async def _direct_message(self, event: Json) -> None:
        ts = f"{time.time():.0f}.{int(self._id()) % 1_000_000:06}"
        await self._event({"type": "message", "channel": self._direct, "channel_type": "im", "ts": ts, **event})

    async def _event(self, event: Json) -> None:
        event = {"user": self._user, "event_ts": event["ts"], "team": self._slack.team, **event}
        await self._slack.deliver("events_api", {**self._head(), "type": "event_callback", "event": event})

    # --- commands and presses ---

    async def _commands(self, _: str) -> None:
        for name in ("export", "forget", "settings"):
            for _turn in range(BURST):
                await self._discord.slash(self._member, self._place, name)
        texts = ("export", "forget", "settings")
        await asyncio.gather(
            *(self._slack.slash(self._user, self._channel, "/nebula", texts[n % 3]) for n in range(BURST))
        )

    async def _presses(self, _: str) -> None:
        place = self._place
        ids = (f"reply:stop:{place.guild}/{place.id}", f"reply:regenerate:{place.guild}/{place.id}")
        for index in range(BURST):
            self._interaction(3, {"custom_id": ids[index % 2], "component_type": 2})

    async def _discord_interactions(self, _: str) -> None:
        odd = (
            "",
            "reply:",
            "reply:stop:",
            "reply:stop:" + "/" * 80,
            "open:",
            "form:",
            "reply:stop:\x00\ud800",
            7,
            None,
        )
        for custom_id in odd:
            self._interaction(3, {"custom_id": custom_id, "component_type": 2})
            self._interaction(5, {"custom_id": custom_id, "components": [{"type": 1, "components": None}]})
        payloads: list[object] = [None, [], {}, {"name": None}]
        payloads.append({"name": "ask", "id": "5", "type": 1, "options": [{"name": "prompt"}]})
        for data in payloads:
            for kind in (2, 3, 4, 5, 99):
                self._interaction(kind, data)
        forms: tuple[Any, ...] = (None, [None], [{"type": 18, "component": {"custom_id": "text", "value": [1]}}])
        for parts in forms:
            self._interaction(5, {"custom_id": "form:prompt set:nowhere", "components": parts})
        self._interaction(2, {"name": "help", "id": "5", "type": 1}, member=None, user=None)
        self._interaction(2, {"name": "help", "id": "5", "type": 1}, channel=None, entitlements=None)

    async def _slack_interactions(self, _: str) -> None:
        action = {"action_id": "nebula_reply_stop", "block_id": "b", "type": "button", "action_ts": "1.0"}
        press = {"type": "block_actions", "channel": {"id": self._channel}, "container": {"type": "message"}}
        values = (None, 7, "", "slack", "slack/" * 500, "\x00", "slack/T/C\ud800")
        changes: tuple[Json, ...] = ({"actions": None}, {"actions": [None]}, {"actions": [{}]}, {"channel": None})
        secrets = (None, "", "{", "[]", '{"command": "prompt set", "direct": true}', "[" * 2_000, "é" * 3_000)
        view = {"type": "modal", "callback_id": "nebula_form", "state": {"values": None}}
        odd: list[Json] = [
            *({**press, "actions": [{**action, "value": value}]} for value in values),
            *({**press, "actions": [{**action, "value": "slack/T/C"}], **each} for each in (*changes, {"user": None})),
            *({"type": "view_submission", "view": {**view, "private_metadata": each}} for each in secrets),
            {"type": "view_submission", "view": None},
        ]
        await asyncio.gather(*map(self._forged, odd))
        size = {"id": "F1", "name": "\ud800", "size": "abc", "mimetype": None, "url_private": None}
        await self._direct_message({"subtype": "file_share", "text": "hello", "files": [size]})

    async def _forged(self, payload: Json) -> None:
        user = {"id": self._user, "username": "mallory", "name": "mallory", "team_id": self._slack.team}
        await self._slack.deliver(
            "interactive", {**self._head(), "user": user, "trigger_id": f"{self._id()}.1", **payload}
        )

    def _head(self) -> Json:
        return {"token": "t", "team_id": self._slack.team, "api_app_id": "A1", "event_id": f"Ev{self._id()}"} | {
            "team": {"id": self._slack.team, "domain": "sandbox"}
        }

    def _interaction(self, kind: int, data: object, **changes: object) -> None:
        place, user = self._place, {"id": self._member.id, "username": "mallory", "discriminator": "0", "avatar": None}
        member = {"user": user, "roles": [], "permissions": "0", "flags": 0, "joined_at": "2024-01-01T00:00:00+00:00"}
        payload: Json = {
            "id": self._id(),
            "application_id": self._discord.application_id,
            "type": kind,
            "data": data,
            "token": "t",
            "version": 1,
            "guild_id": place.guild,
            "channel_id": place.id,
            "channel": {"id": place.id, "type": 0, "name": "fun", "position": 0},
            "member": member,
            "message": self._message({}),
            "entitlements": [],
            "attachment_size_limit": 1,
        } | changes
        self._dispatch("INTERACTION_CREATE", payload)

    # --- junk ---

    async def _junk_events(self, _: str) -> None:
        poll: Json = {"question": {"text": "Tea?"}, "answers": [], "expiry": None, "allow_multiselect": False}
        messages: tuple[Json, ...] = (
            {"poll": {**poll, "layout_type": 1}},
            {"embeds": None},
            {"content": None, "attachments": None},
            {"author": None},
            {"mentions": [{"id": "x"}]},
            {"message_reference": {"type": 9}, "referenced_message": {"id": "1"}},
            {"type": 9_999, "flags": -1, "components": [{"type": 777}]},
            {"timestamp": "yesterday"},
        )
        for changes in messages:
            self._dispatch("MESSAGE_CREATE", self._message(changes))
            self._dispatch("MESSAGE_UPDATE", self._message(changes))
        for event in (
            "MESSAGE_DELETE",
            "CHANNEL_UPDATE",
            "THREAD_CREATE",
            "GUILD_MEMBER_UPDATE",
            "MESSAGE_REACTION_ADD",
        ):
            self._dispatch(event, {"id": None, "guild_id": self._guild.id, "channel_id": "x"})
            self._dispatch(event, {})
        self._dispatch("SOMETHING_NEW", {"id": "1"})

    async def _half_open(self, url: str) -> None:
        """Open connections and send the beginning of a request over each."""
        if not url:
            return
        host, port = _address(url)
        head = b"POST /slack/events HTTP/1.1\r\nHost: bot\r\nContent-Length: 1000000\r\n"
        for number in range(CONNECTIONS):
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.write(head + (b"\r\nabc" if number % 2 else b""))
                self._open.append(writer)

    async def _unsigned(self, url: str) -> None:
        """Whole requests that Slack did not sign."""
        if not url:
            return
        host, port = _address(url)
        heads = (
            {"X-Slack-Request-Timestamp": "abc", "X-Slack-Signature": "v0=0"},
            {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=\xe9"},
            {"Content-Encoding": "deflate"},
            {"Content-Type": "application/json; charset=nonsense"},
        )
        for head in heads:
            for body in (b"[" * 100_000, b"payload=%ff", json.dumps({"type": "url_verification"}).encode()):
                lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
                request = f"POST /slack/events HTTP/1.1\r\nHost: bot\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, port)
                    writer.write(request.encode("latin-1") + body)
                    self._open.append(writer)

    def _message(self, changes: Json) -> Json:
        user = {"id": self._member.id, "username": "mallory", "discriminator": "0", "avatar": None}
        return {
            "id": self._id(),
            "channel_id": self._place.id,
            "guild_id": self._guild.id,
            "type": 0,
            "author": user,
            "content": "hello",
            "timestamp": "2026-11-28T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
        } | changes

    def _dispatch(self, event: str, payload: Json) -> None:
        self._discord.gateway.dispatch(event, lambda _: payload, guild=self._guild.id)

    def _id(self) -> str:
        self._number += 1
        return str(self._number)


def _left(name: str, said: list[tuple[bool, str]], unseen: bool) -> list[str]:
    growing = [text for grows, text in said if grows or WRITING in text]
    return [f"{name}: {text[-60:]!r}" for text in growing] + ([f"{name}: no answer"] if unseen else [])


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return host, int(port)
