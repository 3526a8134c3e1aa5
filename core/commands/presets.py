"""Preset commands: people save a prompt with a model and parameters under a name, and use it in their channels.

Whoever may change a channel may use any preset there and save new ones. A preset is changed and deleted by the person
who saved it first, and by those who manage the workspace: other channels follow it. In a direct message everybody may
change everything, so there only the latter save presets for the workspace.
"""

import secrets
import time

from core.commands.registry import Invocation
from core.commands.responses import Form, Response, RightsOf
from core.commands.wording import brief, came_from, day, fenced, plain
from core.domain.conversation import NO_WORKSPACE, Place, Rights
from core.domain.errors import UserError
from core.settings.parameters import ChannelSettings, Layer, Origin, Stored, checked, parameter
from core.settings.presets import CONTENTS, MOST_PRESETS, NONE, PRESET, Preset, preset_name
from core.settings.routing import usual_layer
from core.store.settings import Saved, SettingsStore

MOST_LISTED = 50
_ATTEMPTS = 3  # at a change that others make at the same time
FULL = f"There are {MOST_PRESETS} presets already. Delete one that nobody needs: `preset delete <name>`."
NO_RIGHT = (
    "You may not change this channel, so you can't save a preset in it. Ask one of its managers, or do it in a channel "
    "that you manage."
)
ONLY_MANAGERS = (
    "In a direct message only admins of the whole {} can save presets. Save it in a channel that you manage."
)
BUSY = "Somebody else is changing this preset right now. Please try again."


class PresetCommands:
    """The handlers of `preset …`. They raise UserError and StoreError."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    async def save(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Save the prompt together with what this channel has set for itself; without a text, ask for it in a form."""
        name = preset_name(invocation.argument("name"))
        place, text = invocation.place, invocation.argument("text")
        settings = await self._settings.of(place)
        for _ in range(_ATTEMPTS):
            before = await self._settings.preset(place.library, name)
            await self._may_save(invocation, before, rights)
            if not text.strip():
                prompt = (before and before.value("prompt")) or settings.prompt
                form = Form("preset save", f"Preset {name}"[:24], "How should I behave?", prompt, (name,))
                return Response(f"Write the prompt after the name: `!preset save {name} You are …`", form=form)
            preset = Preset(
                name=name,
                id=before.id if before else secrets.token_hex(4),
                revision=secrets.token_hex(4),
                values=(("prompt", checked(parameter("prompt"), text.strip())), *_own_values(settings, name)),
                author=before.author if before else invocation.author.id,
                by=invocation.author.name,
                at=time.time(),
            )
            match await self._settings.save_preset(place.library, preset, before):
                case Saved.DONE:
                    who = "Channels that use it follow." if before else f"`preset use {name}` uses it in a channel."
                    return Response(f"The preset `{name}` is saved: {_contents(preset)}. {who}", public=True)
                case Saved.FULL:
                    raise UserError(FULL)
        raise UserError(BUSY)

    async def use(self, invocation: Invocation, layer: Layer, scope: str) -> Response:
        """Use a preset in this scope, or none any more."""
        place, wanted = invocation.place, invocation.argument("name").strip()
        here = "conversation" if place.direct and layer is Layer.CHANNEL else self._settings.called(place, layer)
        if wanted.lower() == NONE:
            await self._settings.write(scope, PRESET, None)
            return Response(f"This {here} no longer uses a preset of its own.", public=True)
        preset = await self._known(invocation)
        used = Stored(preset.reference, invocation.author.name, time.time())
        await self._settings.write(scope, PRESET, used)
        sentence = f"This {here} now uses the preset `{preset.name}`: {_contents(preset)}."
        overridden = _overridden(preset, layer, place, await self._settings.of(place))
        return Response(f"{sentence}{overridden}", public=True)

    async def list(self, invocation: Invocation) -> Response:
        """List the presets, those of most names by these alone."""
        place = invocation.place
        names = await self._settings.preset_names(place.library)
        if not names:
            return Response("There are no presets yet. `preset save <name> <prompt>` saves one.")
        found = await self._settings.presets(place.library, names[:MOST_LISTED])
        uses = {each.name: each.origin.where for each in (await self._settings.of(place)).presets if each.found}
        lines = []
        for each in found:
            here = f" ← used by this {uses[each.name]}" if each.name in uses else ""
            lines.append(f"- `{each.name}`, saved by {plain(each.by)} on {day(each.at)}: {_contents(each)}{here}")
        if others := names[MOST_LISTED:]:
            lines.append(f"\n… and {len(others)} more: {', '.join(f'`{each}`' for each in others)}.")
        return Response("\n".join(lines))

    async def show(self, invocation: Invocation) -> Response:
        """Show all of a preset."""
        preset = await self._known(invocation)
        lines = [f"The preset `{preset.name}`, saved by {plain(preset.by)} on {day(preset.at)}:", ""]
        lines += [f"- **{name}**: {brief(value)}" for name, value in preset.values if name != "prompt"]
        lines += ["", fenced(preset.value("prompt"))]
        return Response("\n".join(lines))

    async def delete(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Delete a preset. Whoever used it uses none then, also if somebody saves another one under its name."""
        for _ in range(_ATTEMPTS):
            preset = await self._known(invocation)
            await self._may_change(invocation, preset, rights)
            if await self._settings.delete_preset(invocation.place.library, preset) is Saved.DONE:
                sentence = (
                    f"The preset `{preset.name}` is deleted. Channels that used it go back to their other settings."
                )
                return Response(sentence, public=True)
        raise UserError(BUSY)

    async def suggested(self, library: str, typed: str) -> tuple[str, ...]:
        """The names that contain what somebody typed."""
        return tuple(each for each in await self._settings.preset_names(library) if typed.strip().lower() in each)

    async def _known(self, invocation: Invocation) -> Preset:
        """The preset that a command names. Raises UserError, which names others."""
        name = preset_name(invocation.argument("name"))
        if found := await self._settings.preset(invocation.place.library, name):
            return found
        names = await self._settings.preset_names(invocation.place.library)
        others = f" There are {', '.join(f'`{each}`' for each in names[:MOST_LISTED])}." if names else ""
        raise UserError(f"There is no preset `{name}`.{others}")

    async def _may_save(self, invocation: Invocation, before: Preset | None, rights: RightsOf) -> None:
        """Raises UserError if this person may not save this."""
        if before:
            await self._may_change(invocation, before, rights)
            return
        held = await rights()
        if held is Rights.NONE:
            raise UserError(NO_RIGHT)
        if invocation.place.direct and invocation.place.workspace != NO_WORKSPACE and held is not Rights.WORKSPACE:
            raise UserError(ONLY_MANAGERS.format(self._settings.called(invocation.place, Layer.WORKSPACE)))

    async def _may_change(self, invocation: Invocation, preset: Preset, rights: RightsOf) -> None:
        """Raises UserError if this person may not change or delete this preset."""
        if preset.author != invocation.author.id and await rights() is not Rights.WORKSPACE:
            workspace = self._settings.called(invocation.place, Layer.WORKSPACE)
            raise UserError(
                f"`{preset.name}` is somebody else's: only whoever saved it first (last saved by {plain(preset.by)}) "
                f"and admins of the whole {workspace} can change or delete it. Save yours under another name."
            )


def _own_values(settings: ChannelSettings, preset: str) -> list[tuple[str, str]]:
    """What a channel or thread has set for itself, without the prompt: what others set is no part of its preset, nor
    what another preset that it uses holds."""
    found = ((each, settings.origin(each)) for each in CONTENTS if each != "prompt")
    own = [
        name
        for name, origin in found
        if origin.layer in (Layer.CHANNEL, Layer.THREAD) and origin.preset in ("", preset)
    ]
    return [(name, str(getattr(settings, name))) for name in own]


def _contents(preset: Preset) -> str:
    others = (f"`{name}` {brief(value)}" for name, value in preset.values if name != "prompt")
    length = len(preset.value("prompt"))
    return ", ".join((f"a prompt of {length:,} character{'s' * (length != 1)}", *others))


def _overridden(preset: Preset, layer: Layer, place: Place, settings: ChannelSettings) -> str:
    """The sentences that say which of its values do not count here, and what gives way to them."""

    def counts(origin: Origin) -> bool:
        return origin.layer is layer and origin.preset == preset.name

    others = [(name, settings.origin(name)) for name, _ in preset.values if not counts(settings.origin(name))]
    if not others:
        return ""
    named = ", ".join(f"`{name}` ({came_from(origin)})" for name, origin in others)
    usual, set_here, preset_here = usual_layer(place, settings), "", ""
    for name, origin in others:
        flag = "" if origin.layer is usual else f"--{origin.layer} "
        if origin.preset:
            preset_here = preset_here or f" `preset use {flag}{NONE}` ends the use of `{origin.preset}`."
        else:
            set_here = set_here or f" `set {flag}{name} {NONE}` takes such a value back."
    return f"\n\nIt does not count here for {named}.{set_here}{preset_here}"
