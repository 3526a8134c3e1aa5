"""The sandbox's Slack workspace on stage."""

from collections.abc import Callable

from bots.sandbox.slack import SlackServer
from bots.sandbox.slack_people import Answer
from bots.sandbox.slack_values import Json, View
from bots.sandbox.stage import BOT, CHANNELS, PEOPLE, Dialog, Seen


class SlackStage:
    """The Slack workspace."""

    name = "slack"

    def __init__(self, server: SlackServer) -> None:
        self.server = server
        self._people = {name: server.add_user(name, admin=name == "ann") for name in PEOPLE}
        ann = self._people["ann"]
        self._rooms = {room: server.add_channel(room[1:], ann) for room in CHANNELS}
        for channel in self._rooms.values():
            for person in self._people.values():
                server.join(person, channel)
        self._private = {name: server.open_dm(user) for name, user in self._people.items()}
        self._answers: list[tuple[str, Answer]] = []
        self._views: set[str] = set()

    async def say(self, person: str, room: str, text: str, thread: str) -> None:
        await self.server.say(self._people[person], self._channel(person, room), BOT.sub("@nebula", text), thread)

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        self._views = {view.id for view in self.server.views}
        name, _, rest = text.partition(" ")
        command, rest = ("/nebula", rest) if name == "nebula" else ("/nebula", text)
        channel = self._channel(person, room)
        self._answers.append((channel, await self.server.slash(self._people[person], channel, command, rest)))

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        channel, found = self._channel(person, room), []
        for message in self.server.messages(channel):
            thread = message.thread_ts if message.thread_ts != message.ts else ""
            author = "nebula" if message.user == self.server.bot_user else self.server.user(message.user).name
            reactions = " ".join(f":{name}:" for name, _ in message.reactions)
            bot = message.user == self.server.bot_user
            found.append(Seen(message.ts, author, message.shown, bot, thread, reactions))
        for where, answer in self._answers:
            if where == channel:
                found += [
                    Seen(each.ts, "nebula", each.shown, True, "", "only you see this" if each.only_for else "")
                    for each in answer.messages
                ]
                if answer.problem:
                    found.append(Seen(answer.trigger_id, "slack", answer.problem, True))
        return tuple({each.id: each for each in found}.values())

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


def _field(view: View) -> Json:
    """The first input of a modal."""
    return next(block["element"] for block in view.blocks if block["type"] == "input")
