"""History commands: people export or delete what the bot remembers of a channel."""

import json
import time
from dataclasses import asdict

from core.commands.registry import Invocation
from core.commands.responses import Response, RightsOf
from core.domain.conversation import EVERYTHING, Conversation, Rights, Summary
from core.domain.errors import UserError
from core.domain.page import ReplyFile
from core.settings.routing import conversation_at
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.threads import AskedThreads

MINE, ALL = "me", "all"
_MANAGERS_ONLY = "Only those who manage this channel can do that. Write `!{0} me` for your own questions."


class HistoryCommands:
    """The handlers of `reset`, `forget` and `export`. They raise UserError and StoreError."""

    def __init__(
        self, records: ConversationLookups, settings: SettingsStore, ratings: Ratings, threads: AskedThreads
    ) -> None:
        self._records, self._settings, self._ratings, self._threads = records, settings, ratings, threads

    async def reset(self, invocation: Invocation) -> Response:
        """Forget the current conversation, so that it starts afresh."""
        count = await self._records.reset(await self._conversation(invocation))
        # People who delete the channel's history do not want a private history of theirs to remain next to it.
        await self._records.reset(await self._conversation(invocation, private=True))
        return Response(f"Forgotten: {_exchanges(count)}. Let's start afresh.", public=True)

    async def forget(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Forget what the person, or anybody, asked in this channel and its threads, and why they voted as they did."""
        mine = await self._only_mine(invocation, rights)
        count = 0
        for conversation in await self._records.conversations(invocation.place.channel_scope):
            if not mine or conversation.owner == invocation.author.id:
                count += await self._records.reset(conversation)
            elif not conversation.owner:
                count += await self._records.forget(conversation, invocation.author.id)
        person, channel = invocation.author.id if mine else "", invocation.place.channel_scope
        await self._ratings.forget(channel, person)
        await self._threads.forget(channel, person)
        await self._records.erase()
        kept = "" if not mine or invocation.is_public else await self._own_defaults(invocation)
        whose = "of yours" if mine else "of this channel and its threads"
        return Response(
            f"Forgotten: {_exchanges(count)} {whose}. The messages themselves stay in the chat.{kept}", public=not mine
        )

    async def export(self, invocation: Invocation, rights: RightsOf) -> Response:
        """Export the same as a file: one exchange per line, then replaced answers, then the summaries. Only their owner
        gets private exchanges; a summary goes to those who get all exchanges, and to the only person of whose questions
        it tells."""
        mine = await self._only_mine(invocation, rights)
        lines: list[str] = []
        summaries: list[str] = []
        for conversation in await self._records.conversations(invocation.place.channel_scope):
            if not conversation.visible_to(invocation.author.id):
                continue
            lines += [
                json.dumps({"conversation": conversation.name, **asdict(exchange)}, ensure_ascii=False)
                for exchange in (
                    *await self._records.history(conversation),
                    *await self._records.replaced(conversation),
                )
                if not mine or exchange.asked_by(invocation.author.id)
            ]
            summaries += [
                _told(conversation, thread, summary)
                for thread, summary in await self._records.summaries(conversation)
                if not mine or summary.people == {invocation.author.id}
            ]
        if not lines and not summaries:
            return Response("There is nothing to export here.")
        name = f"nebula-{time.strftime('%Y-%m-%d', time.gmtime())}.jsonl"
        content = "".join(f"{line}\n" for line in (*lines, *summaries)).encode("utf-8", "replace")
        also = f", and {len(summaries)} summar{'y' if len(summaries) == 1 else 'ies'}" if summaries else ""
        return Response(f"This is what I remember: {_exchanges(len(lines))}{also}.", files=(ReplyFile(name, content),))

    async def _own_defaults(self, invocation: Invocation) -> str:
        """A sentence about the person's own defaults, which are no history; "" if they have none."""
        own = sorted(await self._settings.own(invocation.place, invocation.author.id))
        if not own:
            return ""
        named = ", ".join(f"`{name}`" for name in own)
        return f" Your own defaults stay: {named}. `set --me {own[0]} default` takes one back."

    async def _only_mine(self, invocation: Invocation, rights: RightsOf) -> bool:
        """Whether the command covers only the person's own questions; raises UserError if they may not use `all`."""
        whose = invocation.argument("whose") or MINE
        if whose not in (MINE, ALL):
            raise UserError(f"Write `{invocation.command.name} {MINE}` or `{invocation.command.name} {ALL}`.")
        if whose == ALL and await rights() is Rights.NONE:
            raise UserError(_MANAGERS_ONLY.format(invocation.command.name))
        return whose == MINE

    async def _conversation(self, invocation: Invocation, *, private: bool = False) -> Conversation:
        settings = await self._settings.of(invocation.place)
        return conversation_at(invocation.place, settings, person=invocation.author.id if private else "")


def _told(conversation: Conversation, dialogue: str, summary: Summary) -> str:
    """A summary as a line of the export."""
    thread = "" if dialogue == EVERYTHING else dialogue
    told = {"thread": thread, "summary": summary.text, "questions": summary.count}
    return json.dumps({"conversation": conversation.name, **told}, ensure_ascii=False)


def _exchanges(count: int) -> str:
    return f"{count} question{'s' * (count != 1)} and answer{'s' * (count != 1)}"
