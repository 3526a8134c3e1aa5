"""What people and other bots do in the sandbox's Slack: write, edit, delete, react, use commands and menus, press and
submit."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bots.sandbox.slack.delivery.deliverer import Deliverer
from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.methods.info import Info
from bots.sandbox.slack.methods.response_urls import ResponseUrl, ResponseUrls
from bots.sandbox.slack.methods.streaming import Streams
from bots.sandbox.slack.methods.views import Views
from bots.sandbox.slack.workspace.blocks import SlackRefusal, checked_view
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.text import escape, typed
from bots.sandbox.slack.workspace.values import Json, SlackFile, SlackMessage, SlackUser, View, block_elements
from bots.sandbox.slack.workspace.wire import DOMAIN, view_json


@dataclass(frozen=True, slots=True)
class InteractionResult:
    """The app's answer to a command, a menu or a press. `problem`: why the app did not acknowledge it in time."""

    problem: str
    trigger_id: str
    response_url: str
    _responses: ResponseUrls
    _address: ResponseUrl

    @property
    def messages(self) -> tuple[SlackMessage, ...]:
        """The messages of the answer as they are now; ephemeral ones have `only_for`. The app may still add some."""
        return self._responses.messages(self._address)


@dataclass(frozen=True, slots=True)
class Submission:
    """The app's answer to a modal. `errors` are by block_id; `closed` says whether the modal closed."""

    problem: str
    closed: bool
    errors: Mapping[str, str]


class SlackPeople:
    """Acts for everybody in the workspace."""

    def __init__(
        self,
        ws: Workspace,
        events: Events,
        deliverer: Deliverer,
        responses: ResponseUrls,
        views: Views,
        info: Info,
        streams: Streams,
    ) -> None:
        self._ws = ws
        self._events = events
        self._deliverer = deliverer
        self._responses = responses
        self._views = views
        self._info = info
        self._streams = streams

    def typed(self, text: str) -> str:
        """The text that the client sends for what somebody typed."""
        people = {person.name: person.id for person in self._ws.people.values()}
        return typed(text, people, {channel.name: channel.id for channel in self._ws.channels.values()})

    def join(self, user: str, channel: str) -> None:
        """Join a channel, if not a member yet. Raises ValueError for other people's direct messages."""
        found = self._ws.channels[channel]
        if user not in found.members:
            if found.kind in ("im", "mpim"):
                raise ValueError(f"{user} is not in {channel}")
            self._ws.add_channel(replace(found, members=found.members | {user}))
            kind = "C" if found.kind == "channel" else "G"
            joined = {"type": "member_joined_channel", "user": user, "channel": channel, "channel_type": kind}
            self._events.other(joined | {"team": self._ws.team})

    def say(
        self, fresh: SlackMessage, text: str, files: Iterable[SlackFile], both: bool, first: bool, dm: bool
    ) -> SlackMessage:
        """Write a message in a channel or thread, perhaps with blocks, and send it to the app."""
        ws = self._ws
        if fresh.user:
            self.join(fresh.user, fresh.channel)
        stored = tuple(replace(file, id=file.id or ws.new_id("F"), user=fresh.user) for file in files)
        ws.files |= {file.id: file for file in stored}
        thread = ws.root(fresh.channel, fresh.thread_ts)
        subtype = "file_share" if stored else fresh.subtype
        fresh = replace(fresh, ts=ws.new_ts(), thread_ts=thread, files=stored, subtype=subtype)
        if not fresh.bot:
            fresh = replace(fresh, client_msg_id=fresh.client_msg_id or str(uuid.uuid4()))
        message = ws.put(ws.compose(fresh, self.typed(text), fresh.blocks))
        self._events.said(message, both=both, mention_first=first, dm_mention=dm)
        return message

    def edit(self, user: str, channel: str, ts: str, text: str) -> SlackMessage:
        """Change one's own message."""
        ws = self._ws
        old = self._own(user, channel, ts)
        new = replace(ws.compose(old, self.typed(text)), edits=old.edits + 1, edited=ws.new_ts())
        ws.put(new)
        self._events.changed(new, old)
        return new

    def delete(self, user: str, channel: str, ts: str) -> None:
        """Delete one's own message."""
        old = self._own(user, channel, ts)
        self._ws.remove(old)
        self._events.deleted(old)

    def react(self, user: str, message: SlackMessage, name: str) -> None:
        """Add a reaction to a message."""
        args = Args({"channel": message.channel, "timestamp": message.ts, "name": name})
        self._info.reaction(args, user, present=True)

    def stop_stream(self, user: str, message: SlackMessage) -> None:
        """Press the Stop button of a streaming reply, or of a thread in which no reply streams yet."""
        stopped = [message.ts] if self._streams.stopped_by_user(message.channel, message.ts) else []
        where = {"channel": message.channel, "thread_ts": message.thread_ts or message.ts, "user": user}
        self._events.other({"type": "agent_session_stopped", **where, "streaming_message_ts": stopped})

    def open_home(self, user: str, tab: str) -> None:
        """Look at the app's home or messages tab."""
        self._events.other({"type": "app_home_opened", "user": user, "channel": self._ws.open_im(user), "tab": tab})

    def start_chat(self, user: str) -> str:
        """Open a new chat in Slack's older assistant: a thread under a message of the app's."""
        ws, channel = self._ws, self._ws.open_im(user)
        root = ws.put(ws.compose(SlackMessage(ws.new_ts(), channel, ws.bot_user, ws.bot_id), "New chat"))
        thread = {"user_id": user, "context": {}, "channel_id": channel, "thread_ts": root.ts}
        self._events.other({"type": "assistant_thread_started", "assistant_thread": thread})
        return root.ts

    async def slash(self, user: str, channel: str, command: str, text: str) -> InteractionResult:
        """Use a slash command. Returns when the app has acknowledged it, or after 3 s."""
        ws = self._ws
        self.join(user, channel)
        who = ws.person(user)
        address = self._responses.new(channel, user)
        trigger = ws.new_trigger(user)
        payload: Json = {
            "token": "verification-token",
            "team_id": who.team or ws.team,
            "team_domain": DOMAIN,
            "channel_id": channel,
            "channel_name": self._channel(channel)["name"],
            "user_id": user,
            "user_name": who.name,
            "command": command,
            "text": escape(text),
            "api_app_id": ws.app_id,
            "is_enterprise_install": "false",
            "response_url": self._responses.url(address),
            "trigger_id": trigger,
        }
        return await self._ask("slash_commands", command, payload, address)

    async def press(self, user: str, message: SlackMessage, action_id: str, value: str) -> InteractionResult:
        """Use a button, or choose the option with this value. Raises LookupError if there is no such element."""
        ws = self._ws
        block, element = self._element(message, action_id)
        address = self._responses.new(message.channel, user, message)
        action = {"action_id": action_id, "block_id": block["block_id"], "type": element["type"]}
        action |= {"action_ts": ws.new_ts()}
        if element["type"] == "button":
            action |= {"text": element["text"]} | {k: element[k] for k in ("value", "style") if k in element}
        elif element["type"] == "feedback_buttons":
            action |= {"value": value or element["positive_button"]["value"]}
        elif "options" in element:
            action |= {"selected_option": next(o for o in element["options"] if o["value"] == value)}
        container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        container |= {"thread_ts": message.thread_ts} if message.thread_ts else {}
        payload: Json = {
            **self._head("block_actions", user),
            "container": {**container, "is_ephemeral": bool(message.only_for)},
            "channel": self._channel(message.channel),
            # Slack keeps no ephemeral messages, so it can't send one along
            **({} if message.only_for else {"message": self._events.json(message)}),
            "state": {"values": {}},
            "response_url": self._responses.url(address),
            "actions": [action],
        }
        return await self._ask("interactive", "block_actions", payload, address)

    async def shortcut(self, user: str, message: SlackMessage, callback_id: str) -> InteractionResult:
        """Choose one of the app's shortcuts from a message's menu. Slack sends all of the message along, also where the
        app is no member (reference/interaction-payloads/shortcuts-interaction-payload). Raises ValueError for a message
        that the person does not see."""
        ws = self._ws
        if user not in ws.channels[message.channel].members or message.only_for:
            raise ValueError(f"{user} has no menu for {message.ts}")
        # the worst that an app has to expect: its own message is what `replace_original` replaces
        original = message if message.bot == ws.bot_id else None
        address = self._responses.new(message.channel, user, original)
        payload: Json = {
            **self._head("message_action", user),
            "callback_id": callback_id,
            "channel": self._channel(message.channel),
            "message_ts": message.ts,
            "message": self._events.json(message),
            "response_url": self._responses.url(address),
        }
        return await self._ask("interactive", "message_action", payload, address)

    async def submit(self, user: str, view: View, values: Mapping[str, str]) -> Submission:
        """Fill in a modal and submit it. Raises ValueError if the client would not submit it."""
        state = self._state(view, values)
        payload = {**self._head("view_submission", user), "view": view_json(self._ws, view, state), "response_urls": []}
        ack = await self._deliverer.ask("interactive", "view_submission", payload)
        if ack.problem:
            return Submission(ack.problem, False, {})
        match ack.body.get("response_action"):
            case "errors":
                self._ws.views[view.id] = replace(view, errors=dict(ack.body["errors"]))
                self._ws.changed()
                return Submission("", False, dict(ack.body["errors"]))
            case "update":
                self._views.put(checked_view(ack.body["view"]), user, view.id)
                return Submission("", False, {})
        self._ws.views.pop(view.id, None)
        self._ws.changed()
        return Submission("", True, {})

    async def _ask(self, kind: str, name: str, payload: Json, address: ResponseUrl) -> InteractionResult:
        ack = await self._deliverer.ask(kind, name, payload)
        problem = ack.problem
        if ack.body.get("text") or ack.body.get("blocks"):
            try:
                self._responses.answer(address, ack.body)
            except SlackRefusal:
                problem = "invalid_command_response"
        return InteractionResult(problem, payload["trigger_id"], payload["response_url"], self._responses, address)

    def _head(self, kind: str, user: str) -> Json:
        ws = self._ws
        who: SlackUser = ws.person(user)
        return {
            "type": kind,
            "user": {"id": user, "username": who.name, "name": who.name, "team_id": who.team or ws.team},
            "api_app_id": ws.app_id,
            "token": "verification-token",
            "trigger_id": ws.new_trigger(user),
            "team": {"id": ws.team, "domain": DOMAIN},
            "enterprise": None,
            "is_enterprise_install": False,
            "action_ts": f"{time.time():.6f}",
        }

    def _channel(self, channel: str) -> Json:
        found = self._ws.channels[channel]
        name = {"im": "directmessage", "group": "privategroup"}.get(found.kind, found.name)
        return {"id": channel, "name": name}

    def _own(self, user: str, channel: str, ts: str) -> SlackMessage:
        old = self._ws.message(channel, ts)
        if old.user != user:
            raise ValueError(f"{user} did not write {ts}")
        return old

    def _element(self, message: SlackMessage, action_id: str) -> tuple[Json, Json]:
        for block in message.blocks:
            for element in block_elements(block):
                if element.get("action_id") == action_id:
                    return block, element
        raise LookupError(f"no {action_id} among {message.buttons}")

    def _state(self, view: View, values: Mapping[str, str]) -> Json:
        state: dict[str, Any] = {}
        for block in view.blocks:
            for element in block_elements(block):
                if block["type"] != "input":
                    continue
                value = values.get(element["action_id"], element.get("initial_value", ""))
                if not value and not block.get("optional"):
                    raise ValueError(f"{element['action_id']} must be filled in")
                if value and not element.get("min_length", 0) <= len(value) <= element.get("max_length", 3000):
                    raise ValueError(f"{element['action_id']} is too short or too long")
                state[block["block_id"]] = {element["action_id"]: _filled(element, value)}
        return state


def _filled(element: Json, value: str) -> Json:
    if "options" in element:
        chosen = next((option for option in element["options"] if option["value"] == value), None)
        return {"type": element["type"], "selected_option": chosen}
    for kind in ("conversation", "channel", "user"):
        if element["type"] == f"{kind}s_select":
            return {"type": element["type"], f"selected_{kind}": value or None}
    return {"type": element["type"], "value": value or None}
