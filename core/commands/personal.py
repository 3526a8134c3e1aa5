"""Personal commands: people set defaults for their own questions, which only they are shown."""

import time
from collections.abc import Awaitable, Callable

from core.commands.registry import Invocation
from core.commands.responses import Response
from core.commands.wording import in_effect, shown
from core.domain.errors import UserError
from core.domain.options import Switch
from core.settings.parameters import PERSONAL, Layer, Stored, checked, parameter
from core.store.settings import SettingsStore

OWN = "For your own questions you can set " + ", ".join(f"`{each}`" for each in PERSONAL) + ": `set --me model …`."


class PersonalCommands:
    """The handlers of `set --me`. They raise UserError and StoreError."""

    def __init__(self, settings: SettingsStore, known: Callable[[str], Awaitable[tuple[str, str]]]) -> None:
        """`known`: returns the API's name of a model, and a warning if there is no such model."""
        self._settings, self._known = settings, known

    async def set(self, invocation: Invocation) -> Response:
        """Set or remove a person's own default. Only they read the response, where the platform can do that."""
        place, person = invocation.place, invocation.author
        match invocation.command.name:
            case "set":
                name, text = parameter(invocation.argument("parameter")).name, invocation.argument("value")
            case "model set":
                name, text = "model", invocation.argument("name")
            case _:
                raise UserError(OWN)
        if name not in PERSONAL:
            raise UserError(OWN)
        note, stored = "", None
        if text.strip().lower() != "default":
            value = checked(parameter(name), text.strip())
            if name == "model":
                value, note = await self._known(value)
            stored = Stored(value, person.name, time.time())
        await self._settings.write_own(place, person.id, name, stored)
        settings = await self._settings.of(place, person.id)
        current, origin = getattr(settings, name), settings.origin(name)
        if stored is None:
            sentence = f"You no longer have your own `{name}`. {in_effect(name, current, origin)}"
        elif settings.personal is Switch.OFF:
            sentence = f"`{name}` is noted for your own questions, but here people's own defaults do not count."
        elif origin.layer is not Layer.PERSON:
            changed = f"`{name}` is noted for your own questions, but this thread overrides it."
            sentence = f"{changed} {in_effect(name, current, origin)}"
        else:
            sentence = f"`{name}` of your own questions is now{shown(name, current)}"
        return Response(f"{sentence}{note}", alone=True)
