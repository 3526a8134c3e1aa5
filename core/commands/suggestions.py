"""Suggestion commands: the questions that a workspace suggests to its people where a chat begins."""

import time
from collections.abc import Sequence

from core.commands.registry import Invocation
from core.commands.responses import Response
from core.domain.errors import UserError
from core.settings.parameters import SUGGESTIONS, Stored
from core.store.settings import SettingsStore
from core.text import as_code, one_line

MOST, LONGEST = 4, 150
"""Suggestions of a workspace, as Slack shows four (docs.slack.dev/reference/methods:
assistant.threads.setSuggestedPrompts), and characters of one."""
NONE_HERE = "This platform has no place to show suggestions: they are for Slack's agent pane."


class SuggestionCommands:
    """The handlers of `suggest …`. They raise UserError and StoreError."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    async def list(self, invocation: Invocation) -> Response:
        """Show them with their numbers."""
        return Response(_listed(await self._here(invocation)))

    async def add(self, invocation: Invocation) -> Response:
        """Add one at the end."""
        found, text = await self._here(invocation), invocation.argument("text")
        if len(text) > LONGEST:
            raise UserError(f"This is too long: a suggestion has at most {LONGEST} characters.")
        text = as_code(one_line(text))
        if not text:
            raise UserError("Write the question after the command: `suggest add What changed this week?`")
        if text in found:
            raise UserError("I suggest this already.")
        if len(found) >= MOST:
            raise UserError(f"There can be {MOST} suggestions: remove one with `suggest remove` first.")
        return await self._store(invocation, (*found, text))

    async def remove(self, invocation: Invocation) -> Response:
        """Remove the one with this number."""
        found, number = await self._here(invocation), invocation.argument("number").strip(" .#")
        if number not in [str(place) for place in range(1, len(found) + 1)]:
            raise UserError(f"Write the number of one of them, 1 to {len(found)}: `suggest list` shows them.")
        if len(found) == 1:
            raise UserError("One must stay: add another one first, or go back to mine with `suggest default`.")
        place = int(number) - 1
        return await self._store(invocation, (*found[:place], *found[place + 1 :]))

    async def default(self, invocation: Invocation) -> Response:
        """Go back to the platform's own."""
        await self._here(invocation)
        return await self._store(invocation, ())

    async def _here(self, invocation: Invocation) -> tuple[str, ...]:
        found = (await self._settings.of(invocation.place)).suggestions
        if not found:
            raise UserError(NONE_HERE)
        return found

    async def _store(self, invocation: Invocation, suggestions: Sequence[str]) -> Response:
        stored = Stored("\n".join(suggestions), invocation.author.name, time.time()) if suggestions else None
        await self._settings.write(invocation.place.scopes[0], SUGGESTIONS, stored)
        return Response(_listed(await self._here(invocation)), public=True)


def _listed(suggestions: Sequence[str]) -> str:
    lines = [f"{number}. `{each}`" for number, each in enumerate(suggestions, 1)]
    return "\n".join(["In this workspace I suggest these questions where a chat begins:", "", *lines])
