"""The sandbox's Discord guild on stage."""

from collections.abc import Callable

from bots.sandbox.discord import DiscordServer
from bots.sandbox.discord_interactions import Interaction
from bots.sandbox.discord_values import Channel, DiscordRefuses, Json, Modal, Permission
from bots.sandbox.stage import BOT, CHANNELS, PEOPLE, Dialog, Seen

_SUBCOMMAND = 1  # option type, interactions/application-commands#application-command-option-type
_TEXT_INPUT = 4  # component type, components/reference#component-object-component-types


class DiscordStage:
    """The Discord guild."""

    name = "discord"

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        guild = server.add_guild("Sandbox")
        rights = {"ann": Permission.MANAGE_CHANNELS | Permission.MANAGE_GUILD, "bob": Permission.NONE}
        self._people = {name: server.add_member(guild, name, permissions=rights[name]) for name in PEOPLE}
        self._rooms = {room: server.add_channel(guild, room[1:]) for room in CHANNELS}
        self._private = {name: server.open_dm(user) for name, user in self._people.items()}
        self._interaction: Interaction | None = None

    async def say(self, person: str, room: str, text: str, thread: str) -> None:
        text = BOT.sub(f"@{self.server.bot_user.name}", text)
        await self.server.say(self._people[person], self._channel(person, room, thread), text)

    async def command(self, person: str, room: str, text: str, thread: str) -> None:
        name, options = self._parsed(text)
        channel = self._channel(person, room, thread)
        self._interaction = await self.server.slash(self._people[person], channel, name, options)

    def seen(self, person: str, room: str) -> tuple[Seen, ...]:
        channel, found = self._channel(person, room, ""), []
        for place in (channel, *self.server.threads(channel)):
            for message in self.server.messages(place):
                if message.ephemeral_for not in ("", self._people[person].id) or message.loading:
                    continue
                reactions = " ".join(each.emoji for each in message.reactions)
                note = "only you see this" if message.ephemeral_for else reactions
                bot = message.author.id == self.server.bot_user.id
                thread = place.id if place.id != channel.id else ""
                files = " ".join(f"[{each.name}]" for each in message.attachments)
                text = " ".join(filter(None, (message.content, files)))
                found.append(Seen(message.id, message.author.name, text, bot, thread, note))
        return tuple(found)

    def dialog(self) -> Dialog | None:
        modal = self._interaction.modal if self._interaction else None
        return Dialog(modal.title, str(_input(modal).get("value", ""))) if modal else None

    async def submit(self, text: str) -> None:
        if self._interaction and self._interaction.modal:
            field = self._interaction.modal.fields[0]
            self._interaction = await self.server.submit_modal(self._interaction, {field: text})

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        await self.server.until(condition, seconds)

    def _parsed(self, text: str) -> tuple[str, dict[str, object]]:
        """`prompt set You are …` as a command and its options; the last one takes all the rest.

        Raises DiscordRefuses for a command that the bot did not register.
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
                raise DiscordRefuses(f"/{name} goes on with one of: {', '.join(groups)}")
            name, options = f"{name} {word}", groups[word].get("options", [])
        values: dict[str, object] = {}
        for index, option in enumerate(options):
            value, _, rest = rest.strip().partition(" ") if index < len(options) - 1 else (rest.strip(), "", "")
            if value:
                values[option["name"]] = value
        return name, values

    def _channel(self, person: str, room: str, thread: str) -> Channel:
        if room == "dm":
            return self._private[person]
        channel = self._rooms[room]
        return next((each for each in self.server.threads(channel) if each.id == thread), channel)


def _input(modal: Modal) -> Json:
    """The first text input of a form, inside whatever lays it out."""
    pending: list[Json] = list(modal.components)
    while pending:
        part = pending.pop(0)
        if part.get("type") == _TEXT_INPUT:
            return part
        pending += [*part.get("components", []), *([part["component"]] if "component" in part else [])]
    return {}
