"""A room on a simulated Discord, with the wire server, a Nebula server, a real Redis, the core and the adapter."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bots.compose import Bot, assemble, chat_model
from bots.discord.api.limits import LIMITS, Window
from bots.discord.api.limits import Limits as BotLimits
from bots.discord.app import Discord
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.limits import DiscordLimits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.world.text import walk
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage, DiscordUpload, DiscordUser, Permission
from bots.sandbox.nebula.server import NebulaServer
from core.files.reader import FileLimits
from core.inbound.dispatcher import Dispatcher
from core.inbound.menus import ASK
from tests.bounds import HANG_SECONDS
from tests.configuration import Configuration, configured

T = TypeVar("T")
THUMBS = ["👍", "👎"]  # the labels of the buttons
BELOW_PRIVATE = ["Share", *THUMBS, "Undo"]
GENERAL = "#general"
# In these tests the windows of Discord's limits are this many times shorter, for the server and for the bot.
FASTER = 5.0


def _quick(window: Window) -> Window:
    return replace(window, seconds=window.seconds / FASTER)


QUICK_BOT_LIMITS = BotLimits(
    post=_quick(LIMITS.post),
    edit=_quick(LIMITS.edit),
    old_edit=_quick(LIMITS.old_edit),
    interaction=_quick(LIMITS.interaction),
    interaction_seconds=LIMITS.interaction_seconds / FASTER,
    reaction_seconds=LIMITS.reaction_seconds / FASTER,
    everything=_quick(LIMITS.everything),
)
"""The limits that the bot keeps in tests."""


def paragraphs(number: int) -> list[str]:
    """Numbered paragraphs; a message has room for six of them."""
    return [f"Paragraph {each:02}. " + "word " * 60 for each in range(number)]


def long_answer(number: int) -> str:
    """An answer of so many paragraphs, which says where it ends."""
    return "\n\n".join([*paragraphs(number), "End."])


class DiscordRoom:
    """Acts for people in places, both by name: `#general` is a channel, `@ann` the direct channel with Ann."""

    def __init__(self, discord: DiscordServer, model: NebulaServer) -> None:
        self.discord, self.nebula = discord, model
        self.platform: Discord
        self.bot: Bot
        self.guild = discord.add_guild("Works")
        self.channels = {name: discord.add_channel(self.guild, name[1:]) for name in (GENERAL, "#random")}
        self.people = {name: discord.add_member(self.guild, name) for name in ("ann", "bob")}
        self.people["max"] = discord.add_member(self.guild, "max", permissions=Permission.MANAGE_CHANNELS)
        self.people["ada"] = discord.add_member(self.guild, "ada", permissions=Permission.ADMINISTRATOR)

    def place(self, where: str | DiscordChannel) -> DiscordChannel:
        """Return a channel by name."""
        if isinstance(where, DiscordChannel):
            return where
        return self.discord.open_dm(self.people[where[1:]]) if where.startswith("@") else self.channels[where]

    async def say(
        self,
        who: str,
        where: str | DiscordChannel,
        text: str,
        *,
        reply_to: DiscordMessage | None = None,
        ping: bool = True,
        attachments: Sequence[DiscordUpload] = (),
        role: bool = False,
    ) -> DiscordMessage:
        """Write a message as a person; `role` mentions the bot by its role."""
        return await self.discord.say(
            self.people[who],
            self.place(where),
            text,
            reply_to=reply_to,
            ping=ping,
            attachments=attachments,
            mention_bot_role=role,
        )

    async def slash(self, who: str, where: str | DiscordChannel, path: str, **options: object) -> Interaction:
        """Use a slash command as soon as it is registered."""
        name = path.split()[0]
        await self.until(lambda: any(command["name"] == name for command in self.discord.commands.registered))
        return await self.discord.slash(self.people[who], self.place(where), path, options)

    async def menu(self, who: str, message: DiscordMessage, name: str) -> Interaction:
        """Choose a menu of a message as soon as it is registered."""
        await self.until(lambda: any(command["name"] == name for command in self.discord.commands.registered))
        return await self.discord.menu(self.people[who], message, name)

    async def asked_about(self, who: str, message: DiscordMessage, text: str) -> Interaction:
        """Choose "Ask Nebula" of a message, and submit its form."""
        opened = await self.menu(who, message, ASK)
        await self.until(lambda: opened.modal)
        return await self.discord.submit_modal(opened, {"text": text})

    async def finished(self, shown: Interaction, end: str) -> str:
        """Wait for the whole answer to an interaction; return all its messages together."""
        await self.until(lambda: shown.messages and shown.messages[-1].content.endswith(end))
        await self.bot.runner.idle()
        return "\n".join(message.content for message in shown.messages)

    async def used(self, who: str, where: str | DiscordChannel, path: str, **options: str) -> str:
        """Use a slash command and return what it shows, all messages together."""
        shown = await self.slash(who, where, path, **options)
        await self.until(lambda: shown.original is not None and not shown.loading)
        return "\n".join(message.content for message in shown.messages)

    async def answered(
        self, who: str, where: str | DiscordChannel, text: str, answer: str, *, settle: bool = True
    ) -> str:
        """Ask a question, wait for its whole scripted answer, and return the text of the model's last request.

        With `settle`, also wait until no other turn runs.
        """
        before = len(self.nebula.requests)
        self.nebula.answer_next(answer)
        await self.say(who, where, text)
        await self.until(lambda: any(text.endswith(answer) for text in self.said(where)))
        if settle:
            await self.bot.runner.idle()
        assert len(self.nebula.requests) == before + 1
        return self.asked()

    def buttons(self, message: DiscordMessage) -> dict[str, str]:
        """The buttons that a message has now: their ids by their labels."""
        current = self.discord.message(message)
        parts = walk(current.components) if current else ()
        return {str(part["label"]): str(part["custom_id"]) for part in parts if part.get("type") == 2}

    async def press(self, who: str, message: DiscordMessage, label: str) -> Interaction:
        """Press a button as soon as it is there."""
        await self.until(lambda: label in self.buttons(message))
        return await self.discord.press(self.people[who], message, self.buttons(message)[label])

    async def told(self, who: str, message: DiscordMessage, label: str) -> str:
        """Press a button; return the sentence that only this person sees."""
        pressed = await self.press(who, message, label)
        [sentence] = await self.until(lambda: pressed.followups)
        assert sentence.ephemeral_for == self.people[who].id
        return sentence.content

    def said(self, where: str | DiscordChannel) -> list[str]:
        """What the bot shows in a place, one entry per message."""
        return [message.content for message in self.shown(where)]

    def shown(self, where: str | DiscordChannel) -> list[DiscordMessage]:
        """The bot's messages in a place that everybody sees."""
        found = self.discord.messages(self.place(where))
        return [one for one in found if one.author.id == self.me.id and not one.ephemeral_for]

    def asked(self) -> str:
        """The question of the last request to the model."""
        return self.nebula.requests[-1].messages[-1].content

    @property
    def me(self) -> DiscordUser:
        """The bot's user."""
        return self.discord.bot_user

    async def until(self, condition: Callable[[], T], timeout: float = HANG_SECONDS) -> T:
        """Wait until Discord reaches a state."""
        return await self.discord.until(condition, timeout)


def config_for(discord: DiscordServer, model: NebulaServer, **changes: Any) -> Configuration:
    """The configuration of a bot that uses these servers."""
    values: dict[str, Any] = {
        "nebula_api_key": "key",
        "nebula_base_url": model.base_url,
        "nebula_platform_url": model.platform_url,
        "discord_token": discord.token,
        "discord_api_url": discord.api_url,
        "discord_gateway_url": discord.gateway_url,
        "drain_seconds": 0,
        "files_seconds": HANG_SECONDS,
        "reply_titles": "off",  # the model would be asked twice
    }
    return configured(**{**values, **changes})


def discord_server(**options: Any) -> DiscordServer:
    """A Discord without rate limits, and with interaction deadlines long enough for a busy machine."""
    return DiscordServer(**{"limits": None, "interaction_deadline": HANG_SECONDS, **options})


@asynccontextmanager
async def room(
    redis: "Redis",
    *,
    limits: DiscordLimits | None = None,
    before: Callable[[DiscordRoom], None] = lambda _: None,
    changes: dict[str, Any] | None = None,
    kept: BotLimits = QUICK_BOT_LIMITS,
    answer_seconds: float = HANG_SECONDS,
    dispatcher: Callable[[Dispatcher], Dispatcher] = lambda each: each,
    **options: Any,
) -> AsyncIterator[DiscordRoom]:
    """Run everything.

    `before` is called before the bot connects; `changes` go into the configuration, `options` to the server; `limits`
    are the server's, as Discord has them; `kept` are those that the bot keeps. `dispatcher` may put one in its place.
    """
    quick = limits.faster(FASTER) if limits else None
    async with discord_server(limits=quick, **options) as discord, NebulaServer() as model:
        stage = DiscordRoom(discord, model)
        before(stage)
        async with running(
            stage, redis, config_for(discord, model, **(changes or {})), answer_seconds, kept, dispatcher
        ):
            yield stage
            with suppress(RedisError, OSError):
                await redis.flushall()  # no other process could continue running turns, so we don't wait for them


@asynccontextmanager
async def running(
    stage: DiscordRoom,
    redis: "Redis",
    config: Configuration,
    answer_seconds: float = HANG_SECONDS,
    limits: BotLimits = QUICK_BOT_LIMITS,
    dispatcher: Callable[[Dispatcher], Dispatcher] = lambda each: each,
) -> AsyncIterator[None]:
    """Run the bot from its log-in to its end. A second one at the same time is a second replica, a later one a
    restart."""
    platform = Discord(config.discord, limits=limits, answer_seconds=answer_seconds)
    async with chat_model(config.core, redis) as model, asyncio.TaskGroup() as group:
        bot = assemble(
            config.core,
            redis,
            model,
            [platform],
            reading=HANG_SECONDS,
            file_limits=FileLimits(seconds=HANG_SECONDS),
        )
        platform.share(bot.limiter)
        async with bot.runner.open():
            serving = group.create_task(platform.run(dispatcher(bot.dispatcher)))
            ready = group.create_task(platform.ready.wait())
            await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            stage.platform, stage.bot = platform, bot
            yield
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
