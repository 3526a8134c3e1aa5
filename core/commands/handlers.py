"""The handlers of the commands: what each command does, and who may give it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.commands.history import HistoryCommands
from core.commands.personal import OWN, PersonalCommands
from core.commands.presets import PresetCommands
from core.commands.registry import COMMANDS, Invocation, missing, usage
from core.commands.responses import Form, Response, RightsOf
from core.commands.suggestions import SuggestionCommands
from core.commands.wording import brief, came_from, fenced, in_effect, plain, shown, unset
from core.domain.conversation import Conversation, Place, Rights
from core.domain.errors import UserError
from core.domain.options import Listen
from core.domain.ports import ChatModel
from core.settings.parameters import (
    DAY_SECONDS,
    MUTED,
    PARAMETERS,
    ChannelSettings,
    Layer,
    Stored,
    checked,
    parameter,
)
from core.settings.routing import conversation_at, usual_layer
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.threads import AskedThreads
from core.store.turns import Turns
from core.text import as_code

ALOUD = "People also said why they voted an answer down. Use the slash command, so that only you read it."
FOLLOW_UPS = (
    "In a thread that your question opened, you need not mention me again; a message that begins with a mention of "
    "somebody else is not for me. "
)
NOT_SHOWN = "What anybody set for their own questions alone is not shown here; the slash command shows you yours."
# The most models that a list shows.
_MAX_LISTED = 60


class Handlers:
    """One method for each command. They raise UserError if something can't be done, and StoreError if Redis fails."""

    def __init__(
        self,
        settings: SettingsStore,
        turns: Turns,
        records: ConversationLookups,
        threads: AskedThreads,
        ratings: Ratings,
        model: ChatModel,
        limits: str = "",
    ) -> None:
        """`limits`: what people and channels may use, in words."""
        self._settings, self._limits = settings, limits
        self._turns, self._records = turns, records
        self._presets, self._personal = PresetCommands(settings), PersonalCommands(settings, self._known)
        self._history = HistoryCommands(self._records, settings, ratings, threads)
        self._ratings, self._threads = ratings, threads
        self._model = model
        suggestions = SuggestionCommands(settings)
        # Commands that everybody may use for what is their own, and that do more for people with rights.
        self._own: dict[str, Callable[[Invocation, RightsOf], Awaitable[Response]]] = {
            "stop": self.stop,
            "ratings": self.ratings,
            "forget": self._history.forget,
            "export": self._history.export,
            "preset save": self._presets.save,
            "preset delete": self._presets.delete,
        }
        self._handlers: dict[str, Callable[[Invocation], Awaitable[Response]]] = {
            "prompt show": self.prompt_show,
            "prompt set": self.prompt_set,
            "prompt clear": self.prompt_clear,
            "model show": self.model_show,
            "model set": self.model_set,
            "model list": self.model_list,
            "preset use": self.preset_use,
            "preset list": self._presets.list,
            "preset show": self._presets.show,
            "set": self.set,
            "settings": self.settings,
            "mute": self.mute,
            "unmute": self.unmute,
            "reset": self._history.reset,
            "suggest list": suggestions.list,
            "suggest add": suggestions.add,
            "suggest remove": suggestions.remove,
            "suggest default": suggestions.default,
            "help": self.help,
        }

    async def run(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Carry out a command other than `ask`. `rights` is called only for a command that needs them."""
        command = invocation.command
        if lack := missing(invocation):
            raise UserError(lack)
        if invocation.scope is Layer.PERSON:
            return await self._personal.set(invocation)
        if command.changes or command.everywhere:
            self._check(await rights(), invocation)
        if own := self._own.get(command.name):
            return await own(invocation, rights)
        return await self._handlers[command.name](invocation)

    async def suggestions(self, place: Place) -> tuple[str, ...]:
        """Return the questions that people in this place are suggested to ask."""
        return (await self._settings.of(place)).suggestions

    async def known(self, scope: str) -> tuple[Conversation, ...]:
        """Return the conversations below a scope."""
        return await self._records.conversations(scope)

    async def models(self, typed: str) -> tuple[str, ...]:
        """Return the names of the models that contain what somebody typed, for autocompletion."""
        catalog = await self._model.catalog()
        typed = typed.strip().lower()
        return tuple(info.name for info in catalog.models if typed in " ".join(info.names).lower())

    async def presets(self, place: Place, typed: str) -> tuple[str, ...]:
        """Return the names of the presets that contain what somebody typed, for autocompletion."""
        return await self._presets.suggested(place.library, typed)

    async def prompt_show(self, invocation: Invocation) -> Response:
        settings = await self._settings.of(invocation.place)
        return Response(f"System prompt here ({came_from(settings.origin('prompt'))}):\n\n{fenced(settings.prompt)}")

    async def prompt_set(self, invocation: Invocation) -> Response:
        if text := invocation.argument("text"):
            return await self._store(invocation, "prompt", text)
        settings = await self._settings.of(invocation.place)
        form = Form("prompt set", "System prompt", "How should I behave here?", settings.prompt)
        return Response("Write the new prompt after the command: `!prompt set You are …`", form=form)

    async def prompt_clear(self, invocation: Invocation) -> Response:
        return await self._store(invocation, "prompt", "default")

    async def model_show(self, invocation: Invocation) -> Response:
        settings = await self._seen_by(invocation)
        return Response(f"`{settings.model}` answers here ({came_from(settings.origin('model'))}).")

    async def model_set(self, invocation: Invocation) -> Response:
        return await self._store(invocation, "model", invocation.argument("name"))

    async def model_list(self, invocation: Invocation) -> Response:
        catalog, settings = await self._model.catalog(), await self._seen_by(invocation)
        current = catalog.find(settings.model)
        lines = []
        for info in catalog.models[:_MAX_LISTED]:
            alias = f" ({info.alias})" if info.alias and info.alias != info.name else ""
            room = f", {info.context:,} tokens" if info.context else ""
            here = " ← answers here" if info == current else ""
            lines.append(f"- `{info.name}`{alias}{room}{here}")
        if len(catalog.models) > _MAX_LISTED:
            lines.append(f"\n… and {len(catalog.models) - _MAX_LISTED} more.")
        if current is None:
            lines.append(f"\n`{settings.model}` answers here, but is not on this list.")
        if catalog.pictures:
            names = ", ".join(f"`{each}`" for each in catalog.pictures[:_MAX_LISTED])
            lines.append(f"\nFor pictures (`imagine`): {names}.")
        if not catalog.live:
            lines.append("\nI can't reach Nebula's list right now; these are the models I know.")
        return Response("\n".join(lines))

    async def set(self, invocation: Invocation) -> Response:
        wanted = parameter(invocation.argument("parameter"))
        return await self._store(invocation, wanted.name, invocation.argument("value"))

    async def preset_use(self, invocation: Invocation) -> Response:
        layer, scope = await self._scope(invocation)
        return await self._presets.use(invocation, layer, scope)

    async def settings(self, invocation: Invocation) -> Response:
        settings = await self._seen_by(invocation)
        lines = []
        for each in PARAMETERS:
            value = getattr(settings, each.name)
            shown = unset(each.name) if value is None else brief(value)
            lines.append(f"- **{each.name}**: {shown} ({came_from(settings.origin(each.name))})")
        for used in settings.presets:
            gone = "" if used.found else "; it was deleted, so it does not count"
            lines.append(f"- **preset**: `{used.name}` ({came_from(used.origin)}{gone})")
        if chosen := await self._newest_choice(invocation.place, settings):
            lines.append(chosen)
        if self._limits:
            lines.append(f"\nLimits of whoever runs the bot: {self._limits}.")
        if invocation.is_public:
            lines.append(f"\n{NOT_SHOWN}")
        if settings.muted:
            where = " and ".join(f"this {layer}" for layer in sorted(settings.muted))
            lines.append(f"\nI am muted in {where}: I answer only mentions.")
        return Response("\n".join(lines))

    async def mute(self, invocation: Invocation) -> Response:
        place = invocation.place
        if place.direct:
            raise UserError("In a direct message everything you write is for me.")
        await self._settings.write(place.name, MUTED, Stored("on", "", 0.0))  # nobody asks who it was
        here = Layer.THREAD if place.thread else Layer.CHANNEL
        sentence = f"Muted: in this {here} I answer only mentions and commands, until somebody mentions me."
        return Response(sentence, public=True)

    async def unmute(self, invocation: Invocation) -> Response:
        place = invocation.place
        here = Layer.THREAD if place.thread else Layer.CHANNEL
        muted = (await self._settings.of(place)).muted
        await self._settings.write(place.name, MUTED, None)
        if left := muted - {here}:
            [wider] = left
            return Response(f"This {wider} is still muted: say `unmute` in the {wider} itself.")
        return Response(f"I listen to follow-ups in this {here} again." if muted else f"This {here} is not muted.")

    async def stop(self, invocation: Invocation, rights: RightsOf) -> Response:
        settings = await self._settings.of(invocation.place)
        for person in (invocation.author.id, ""):  # the person's own private answer first
            conversation = conversation_at(invocation.place, settings, person=person)
            running = [each.question for each in await self._records.running(conversation)]
            if thread := invocation.place.thread:  # in a thread, only what is written there
                running = [each for each in running if thread in (each.place.thread, each.message)]
            if running:
                break
        else:
            return Response("I am not writing anything here.")
        # Nobody is named as the author of a question that can't be read: anybody may clear the line of it.
        own = [each for each in running if not each.author.id or each.asked_by(invocation.author.id)]
        if not own and await rights() is Rights.NONE:
            raise UserError("Only the person who asked and those who manage this channel can stop this answer.")
        for question in own or running:
            await self._turns.stop(conversation, question.id)
        return Response("Stopping. What I have written so far stays.")

    async def ratings(self, invocation: Invocation, rights: RightsOf) -> Response:
        """The votes for everybody, and the newest reasons for those who manage the channel, where nobody else reads."""
        scope = invocation.place.channel_scope
        settings = await self._settings.of(replace(invocation.place, thread=""))  # the votes are the channel's
        found = await self._ratings.of(scope)
        if not found:
            return Response("Nobody has rated an answer here yet.")
        lines = [f"- `{each.model or 'unknown'}`: 👍 {each.good}, 👎 {each.bad}" for each in found]
        reasons = await self._ratings.reasons(scope, settings.keep)
        if not reasons or await rights() is Rights.NONE:
            return Response("\n".join(lines))
        if invocation.is_public:
            return Response("\n".join([*lines, "", ALOUD]))
        lines += ["", "Why people voted an answer down:"]
        for each in reasons:
            words = as_code(each.text)  # so it pings nobody and links nothing
            lines.append(f"- {time.strftime('%Y-%m-%d', time.gmtime(each.at))}: `{words}`")
        return Response("\n".join(lines))

    async def help(self, invocation: Invocation) -> Response:
        settings = await self._settings.of(invocation.place)
        listens = settings.listen is not Listen.MENTION and not settings.muted
        lines = [
            f"Mention me with a question, or send me a direct message. {FOLLOW_UPS * listens}I also understand these "
            "commands, as slash commands or with a `!` in front in a message to me:",
            "",
        ]
        here = [each for each in COMMANDS if settings.suggestions or not each.suggests]
        lines += [f"- `{usage(each)}`: {each.title[0].lower()}{each.title[1:]}" for each in here]
        settable = ", ".join(f"`{each.name}` ({each.title})" for each in PARAMETERS)
        lines += ["", f"Settings: {settable}. To undo a setting, give it the value `default`. {OWN}"]
        return Response("\n".join(lines))

    async def _seen_by(self, invocation: Invocation) -> ChannelSettings:
        """The settings for the questions of whoever gave the command; where others read the response, everybody's."""
        person = "" if invocation.is_public else invocation.author.id
        return await self._settings.of(invocation.place, person)

    async def _newest_choice(self, place: Place, settings: ChannelSettings) -> str:
        """A line about the newest question here, if it named its model."""
        newest = await self._records.newest(conversation_at(place, settings), place.thread)
        if newest is None or not newest.model:
            return ""
        return f"- **model** of the newest question here: {brief(newest.model)} (chosen by {plain(newest.author.name)})"

    async def _scope(self, invocation: Invocation) -> tuple[Layer, str]:
        """The layer and the scope that a command changes: those that the person named, otherwise where they are."""
        place = invocation.place
        layer = invocation.scope or usual_layer(place, await self._settings.of(place))
        if layer is Layer.THREAD and not place.thread:
            raise UserError("This is not a thread; leave out `--thread`.")
        return layer, place.scopes[(Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD).index(layer)]

    async def _store(self, invocation: Invocation, name: str, text: str) -> Response:
        """Set or remove one value, in the scope that the person named, otherwise in the one where they are."""
        place = invocation.place
        layer, scope = await self._scope(invocation)
        note = ""
        if text.strip().lower() == "default":
            await self._settings.write(scope, name, None)
        else:
            value = checked(parameter(name), text.strip())
            if name == "model":
                value, note = await self._known(value)
            await self._settings.write(scope, name, Stored(value, invocation.author.name, time.time()))
        settings = await self._settings.of(place)
        if name == "retention" and layer is not Layer.WORKSPACE and settings.retention is not None:
            # For a workspace it applies from the next question on.
            keep = settings.retention * DAY_SECONDS
            if layer is Layer.CHANNEL:
                await self._ratings.retain(scope, keep)
                await self._threads.retain(scope, keep)
            await self._records.retain(scope, keep)
        current, origin = getattr(settings, name), settings.origin(name)
        here = "conversation" if place.direct and layer is Layer.CHANNEL else self._settings.called(place, layer)
        if origin.layer is layer and not origin.preset:
            sentence = f"`{name}` of this {here} is now{shown(name, current)}"
        elif text.strip().lower() == "default":
            sentence = f"This {here} no longer has its own `{name}`. {in_effect(name, current, origin)}"
        else:
            changed = f"`{name}` of this {here} is changed, but a narrower setting overrides it here."
            sentence = f"{changed} {in_effect(name, current, origin)}"
        return Response(f"{sentence}{note}", public=True)

    async def _known(self, name: str) -> tuple[str, str]:
        """Return the API's name of a model, and a warning if the catalog, which changes, does not list it."""
        catalog = await self._model.catalog()
        if info := catalog.find(name):
            return info.name, ""
        return name, f"\n\n{catalog.doubt(name)}"

    def _check(self, rights: Rights, invocation: Invocation) -> None:
        """Raises UserError if the person may not do this."""
        wide = invocation.command.everywhere or invocation.scope is Layer.WORKSPACE
        if wide and rights is not Rights.WORKSPACE:
            workspace = self._settings.called(invocation.place, Layer.WORKSPACE)
            raise UserError(f"Only admins of the whole {workspace} can change its settings.")
        if rights is Rights.NONE:
            raise UserError(
                "You may not change this channel's settings; ask one of its managers. `!settings` shows the current "
                "ones."
            )
