"""The sandbox's Slack workspace as a screen."""

from collections.abc import Callable, Mapping

from bots.sandbox.slack.people import InteractionResult
from bots.sandbox.slack.server import SlackServer
from bots.sandbox.slack.workspace.values import Json, SlackMessage, View, block_elements
from bots.sandbox.terminal.screen import BOT, CHANNEL_NAMES, PEOPLE, Dialog, Seen

_STOP = "Stop"  # Slack's own button below a streaming message


class SlackScreen:
    """The Slack workspace as a person sees and uses it."""

    name = "slack"

    def __init__(self, server: SlackServer, menus: Mapping[str, str] | None = None) -> None:
        """`menus`: the entries in the menu of a message, with the ids that the app gives them. Typed like a command, an
        entry is used on the newest message."""
        self.server = server
        self._menus = menus or {}
        self._people = {name: server.add_user(name, admin=name == "ann") for name in PEOPLE}
        ann = self._people["ann"]
        self._rooms = {room: server.add_channel(room[1:], ann) for room in CHANNEL_NAMES}
        for channel in self._rooms.values():
            for person in self._people.values():
                server.join(person, channel)
        self._private = {name: server.open_dm(user) for name, user in self._people.items()}
        self._answers: list[tuple[str, InteractionResult]] = []
        self._views: set[str] = set()

    async def say(self, person: str, room: str, text: str, thread: str) -> None:
        await self.server.say(self._people[person], self._channel(person, room), BOT.sub("@nebula", text), thread)

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        self._views = {view.id for view in self.server.views}
        user, channel = self._people[person], self._channel(person, room)
        if callback := self._menus.get(text.strip()):
            if not (messages := self.server.messages(channel)):
                raise LookupError("there is no message here yet")
            self._answers.append((channel, await self.server.shortcut(user, messages[-1], callback)))
            return
        name, _, rest = text.partition(" ")
        command, rest = ("/nebula", rest) if name == "nebula" else ("/nebula", text)
        self._answers.append((channel, await self.server.slash(user, channel, command, rest)))

    async def press(self, person: str, room: str, message: str, label: str) -> None:
        user, channel = self._people[person], self._channel(person, room)
        found = next(each for each in self._messages(user, channel) if each.ts == message)
        self._views = {view.id for view in self.server.views}
        if found.streaming == "in_progress" and label == _STOP:
            await self.server.stop_stream(user, found)
            return
        action, value = {**found.choices, **_buttons(found)}[label]
        self._answers.append((channel, await self.server.press(user, found, action, value)))

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        user, channel = self._people[person], self._channel(person, room)
        found = [self._seen(message) for message in self._messages(user, channel)]
        problems = [each for where, each in self._answers if where == channel and each.problem]
        return (*found, *(Seen(each.trigger_id, "slack", each.problem, True) for each in problems))

    def _messages(self, user: str, channel: str) -> list[SlackMessage]:
        """The messages that this person sees in a channel and its threads, oldest first."""
        found = (*self.server.messages(channel), *self.server.ephemerals(channel, user))
        return sorted(found, key=lambda each: float(each.ts))

    def _seen(self, message: SlackMessage) -> Seen:
        bot = message.user == self.server.bot_user or bool(message.bot)
        files = (f"[{each.name}]" for each in message.files)
        reactions = " ".join(f":{name}:" for name, _ in message.reactions)
        return Seen(
            message.ts,
            "nebula" if bot else self.server.user(message.user).name,
            " ".join(filter(None, (message.shown, *files))),
            bot=bot,
            thread=message.thread_ts if message.thread_ts != message.ts else "",
            note="only you see this" if message.only_for else reactions,
            buttons=(_STOP,) if message.streaming == "in_progress" else tuple(_buttons(message)),
            choices=tuple(message.choices),
            frames=len(message.frames),
        )

    def dialog(self) -> Dialog | None:
        view = self._view()
        return Dialog(view.title, str(_field(view).get("initial_value", ""))) if view else None

    async def submit(self, text: str) -> None:
        if view := self._view():
            await self.server.submit(view.user, view, {str(_field(view)["action_id"]): text})

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        await self.server.until(condition, seconds)

    def _view(self) -> View | None:
        return next((view for view in self.server.views if view.id not in self._views and view.type == "modal"), None)

    def _channel(self, person: str, room: str) -> str:
        return self._private[person] if room == "dm" else self._rooms[room]


def _buttons(message: SlackMessage) -> dict[str, tuple[str, str]]:
    """The buttons of a message: label to action and value."""
    found: dict[str, tuple[str, str]] = {}
    for element in (each for block in message.blocks for each in block_elements(block)):
        if element["type"] == "button":
            found[element["text"]["text"]] = element["action_id"], element.get("value", "")
        elif element["type"] == "feedback_buttons":
            for button in (element["positive_button"], element["negative_button"]):
                found[button["text"]["text"]] = element["action_id"], button["value"]
    return found


def _field(view: View) -> Json:
    """The first input of a modal."""
    return next(block["element"] for block in view.blocks if block["type"] == "input")
