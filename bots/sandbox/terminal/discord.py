"""The sandbox's Discord guild as a screen."""

import re
from collections.abc import Callable

from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.world.text import walk
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage, DiscordRefuses, Json, Modal, Permission
from bots.sandbox.terminal.screen import BOT, CHANNEL_NAMES, PEOPLE, Dialog, Seen

# Option types, interactions/application-commands#application-command-option-type.
_SUBCOMMAND, _STRING = 1, 3
_ON_MESSAGE = (
    3  # the command type, interactions/application-commands#application-command-object-application-command-types
)
# Component types, components/reference#component-object-component-types.
_BUTTON, _TEXT_INPUT = 2, 4
_NAMED = re.compile(r"(\w+):(\S+)\s*")


class DiscordScreen:
    """The Discord guild as a person sees and uses it."""

    name = "discord"

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        guild = server.add_guild("Sandbox")
        rights = {"ann": Permission.MANAGE_CHANNELS | Permission.MANAGE_GUILD, "bob": Permission.NONE}
        self._people = {name: server.add_member(guild, name, permissions=rights[name]) for name in PEOPLE}
        self._rooms = {room: server.add_channel(guild, room[1:]) for room in CHANNEL_NAMES}
        self._private = {name: server.open_dm(user) for name, user in self._people.items()}
        self._interaction: Interaction | None = None

    async def say(self, person: str, room: str, text: str, thread: str) -> None:
        text = BOT.sub(f"@{self.server.bot_user.name}", text)
        await self.server.say(self._people[person], self._channel(person, room, thread), text)

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        channel = self._channel(person, room, thread)
        if text.strip() in self._menus():
            newest = next((each for each in reversed(self._messages(person, room)) if each.channel == channel.id), None)
            if newest is None:
                raise DiscordRefuses("there is no message here yet")
            self._interaction = await self.server.menu(self._people[person], newest, text.strip())
            return
        name, options = self._parsed(text)
        self._interaction = await self.server.slash(self._people[person], channel, name, options)

    async def press(self, person: str, room: str, message: str, label: str) -> None:
        found = next(each for each in self._messages(person, room) if each.id == message)
        button, *values = {**_choices(found), **_buttons(found)}[label]
        self._interaction = await self.server.press(self._people[person], found, button, values)

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        return tuple(self._seen(message, self._channel(person, room, "")) for message in self._messages(person, room))

    def _messages(self, person: str, room: str) -> list[DiscordMessage]:
        """The messages that this person sees in the room and its threads, oldest first."""
        channel, user = self._channel(person, room, ""), self._people[person].id
        places = (channel, *self.server.threads(channel))
        found = [message for place in places for message in self.server.messages(place)]
        shown = [each for each in found if each.ephemeral_for in ("", user) and not each.loading]
        return sorted(shown, key=lambda each: int(each.id))

    def _seen(self, message: DiscordMessage, room: DiscordChannel) -> Seen:
        files = (f"[{each.name}]" for each in message.attachments)
        return Seen(
            message.id,
            message.author.name,
            " ".join(filter(None, (message.content, *files))),
            bot=message.author.id == self.server.bot_user.id,
            thread=message.channel if message.channel != room.id else "",
            note="only you see this" if message.ephemeral_for else " ".join(each.emoji for each in message.reactions),
            buttons=tuple(_buttons(message)),
            choices=tuple(_choices(message)),
            frames=len(message.frames),
        )

    def dialog(self) -> Dialog | None:
        modal = self._interaction.modal if self._interaction else None
        return Dialog(modal.title, str(_input(modal).get("value", ""))) if modal else None

    async def submit(self, text: str) -> None:
        if self._interaction and self._interaction.modal:
            field = self._interaction.modal.fields[0]
            self._interaction = await self.server.submit_modal(self._interaction, {field: text})

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        await self.server.until(condition, seconds)

    def _menus(self) -> set[str]:
        """The menus of a message. Typed like a command, one is used on the newest message."""
        return {each["name"] for each in self.server.commands.registered if each["type"] == _ON_MESSAGE}

    def _parsed(self, text: str) -> tuple[str, dict[str, object]]:
        """Parse `prompt set You are …` into a command and its options; the last option takes the rest.

        Options that offer values come first, by name: `ask private:true …`. Raises DiscordRefuses for a command
        that the bot has not registered.
        """
        name, _, rest = text.strip().partition(" ")
        command = next((each for each in self.server.commands.registered if each["name"] == name), None)
        if command is None:
            raise DiscordRefuses(f"there is no command /{name}")
        options = command.get("options", [])
        groups = {each["name"]: each for each in options if each["type"] == _SUBCOMMAND}
        if groups:
            word, _, rest = rest.partition(" ")
            if word not in groups:
                raise DiscordRefuses(f"/{name} needs one of these words: {', '.join(groups)}")
            name, options = f"{name} {word}", groups[word].get("options", [])
        values: dict[str, object] = {}
        while (named := _NAMED.match(rest.strip())) and named[1] in {option["name"] for option in options}:
            values[named[1]] = named[2]
            rest = rest.strip()[named.end() :]
        positional = [option["name"] for option in options if _is_positional(option) and option["name"] not in values]
        for index, option in enumerate(positional):
            value, _, rest = rest.strip().partition(" ") if index < len(positional) - 1 else (rest.strip(), "", "")
            if value:
                values[option] = value
        return name, values

    def _channel(self, person: str, room: str, thread: str) -> DiscordChannel:
        if room == "dm":
            return self._private[person]
        channel = self._rooms[room]
        return next((each for each in self.server.threads(channel) if each.id == thread), channel)


def _buttons(message: DiscordMessage) -> dict[str, tuple[str, ...]]:
    """The buttons of a message: label to id."""
    parts = (part for part in walk(message.components) if part.get("type") == _BUTTON)
    return {str(part["label"]): (str(part["custom_id"]),) for part in parts}


def _choices(message: DiscordMessage) -> dict[str, tuple[str, ...]]:
    """The options in the menus of a message: label to the id of the menu, and the value."""
    found = ((part, option) for part in walk(message.components) for option in part.get("options") or ())
    return {str(option["label"]): (str(part["custom_id"]), str(option["value"])) for part, option in found}


def _is_positional(option: Json) -> bool:
    """Whether an option is positional: it is required, or takes any text. What offers values is given by name."""
    offers = option.get("choices") or option.get("autocomplete")
    return bool(option.get("required")) or (option["type"] == _STRING and not offers)


def _input(modal: Modal) -> Json:
    """The first text input of a form, at any depth of its layout."""
    pending: list[Json] = list(modal.components)
    while pending:
        part = pending.pop(0)
        if part.get("type") == _TEXT_INPUT:
            return part
        pending += [*part.get("components", []), *([part["component"]] if "component" in part else [])]
    return {}
