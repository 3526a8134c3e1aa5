"""Keepsakes: what is remembered of a channel, handed out or forgotten when people want that."""

import json
import time
from dataclasses import asdict

from core.commands.registry import Invocation
from core.commands.responses import File, Response, RightsOf
from core.domain.conversation import Question, Rights
from core.domain.errors import UserError
from core.settings.routing import conversation_of
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore

MINE, ALL = "me", "all"
_MANAGERS_ONLY = "Only those who manage this channel can do that. `!{0} me` is for what you asked yourself."


class HistoryCommands:
    """Handlers of `reset`, `forget` and `export`. They raise UserError and StoreError."""

    def __init__(self, records: ConversationLookups, settings: SettingsStore) -> None:
        self._records, self._settings = records, settings

    async def reset(self, invocation: Invocation) -> Response:
        """The conversation at hand begins afresh."""
        count = await self._records.reset(await self._conversation(invocation))
        # Whoever forgets the channel's history does not want to be remembered by a private one beside it.
        await self._records.reset(await self._conversation(invocation, private=True))
        return Response(f"Forgotten: {_exchanges(count)}. We start afresh.", public=True)

    async def forget(self, invocation: Invocation, rights: RightsOf) -> Response:
        """What the person asked in this channel and its threads, or all that anybody did."""
        mine = await self._only_mine(invocation, rights)
        count = 0
        for conversation in await self._records.conversations(invocation.place.scopes[1]):
            if not mine:
                count += await self._records.reset(conversation)
            elif "/private/" not in conversation:
                count += await self._records.forget(conversation, invocation.author.id)
            elif conversation.endswith(f"/private/{invocation.author.id}"):
                count += await self._records.reset(conversation)
        await self._records.erase()
        whose = "of yours" if mine else "of this channel and its threads"
        return Response(f"Forgotten: {_exchanges(count)} {whose}. The messages themselves stay.", public=not mine)

    async def export(self, invocation: Invocation, rights: RightsOf) -> Response:
        """The same as a file, one exchange a line. What is private is handed out to its owner alone."""
        mine = await self._only_mine(invocation, rights)
        lines: list[str] = []
        for conversation in await self._records.conversations(invocation.place.scopes[1]):
            if "/private/" in conversation and not conversation.endswith(f"/private/{invocation.author.id}"):
                continue
            lines += [
                json.dumps({"conversation": conversation, **asdict(exchange)}, ensure_ascii=False)
                for exchange in await self._records.history(conversation)
                if not mine or invocation.author.id in (exchange.author.id, *exchange.others)
            ]
        if not lines:
            return Response("I remember nothing of that here.")
        name = f"nebula-{time.strftime('%Y-%m-%d', time.gmtime())}.jsonl"
        content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        return Response(f"That is what I remember: {_exchanges(len(lines))}.", file=File(name, content))

    async def _only_mine(self, invocation: Invocation, rights: RightsOf) -> bool:
        """Whether it is about what the person asked; raises UserError when they may not decide about the others'."""
        whose = invocation.argument("whose") or MINE
        if whose not in (MINE, ALL):
            raise UserError(f"Write `{invocation.command.name} {MINE}` or `{invocation.command.name} {ALL}`.")
        if whose == ALL and await rights() is Rights.NONE:
            raise UserError(_MANAGERS_ONLY.format(invocation.command.name))
        return whose == MINE

    async def _conversation(self, invocation: Invocation, *, private: bool = False) -> str:
        settings = await self._settings.of(invocation.place)
        asked = Question("", invocation.place, invocation.author, "", private=private)
        return conversation_of(asked, settings)


def _exchanges(count: int) -> str:
    return f"{count} question{'s' * (count != 1)} and answer{'s' * (count != 1)}"
