"""Listeners: what Slack sends, acknowledged only when it can't get lost any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

from slack_bolt.response import BoltResponse

from bots.slack.api.identity import Identity
from bots.slack.api.own_deletions import Removed
from bots.slack.api.people import People
from bots.slack.components import forms
from bots.slack.components.blocks import Json, button
from bots.slack.inbound.events import Deleted, Edited, Heard, read
from bots.slack.inbound.outage import Outage
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import responses as answers
from bots.slack.outbound.private_file import Hand
from bots.slack.outbound.surface import SlackSurface
from core.commands.registry import parse
from core.commands.responses import Response
from core.domain.conversation import Address, Place, Question
from core.domain.errors import StoreError
from core.domain.options import Placement, Streaming
from core.inbound.dispatcher import COMMAND_MARK, Dispatcher

log = logging.getLogger(__name__)


class Listeners:
    """Takes in events. Bolt would acknowledge them before its listeners run; as a middleware this one decides."""

    def __init__(
        self,
        front: Dispatcher,
        me: Identity,
        people: People,
        words: IncomingText,
        work: TaskSupervisor,
        surface: Callable[[Address], SlackSurface],
        hand: Hand,
        removed: Removed,
    ) -> None:
        self._front = front
        self._me = me
        self._people = people
        self._words = words
        self._work = work
        self._surface = surface
        self._hand = hand
        self._removed = removed
        self._outage = Outage(surface)
        self._order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def event(self, body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> BoltResponse | None:
        """An event is acknowledged when what it says is stored, or when that is nothing to us. Else Slack comes again
        (docs.slack.dev/apis/events-api: at once, after a minute, after five)."""
        if body.get("type") != "event_callback":
            await next()
            return None
        stored = not self._work.closing and await self._work.start(self._received(body.get("event") or {}))
        return BoltResponse(status=200 if stored else 503, body="")

    async def _received(self, event: dict[str, Any]) -> bool:
        if event.get("type") == "agent_session_stopped":
            await self._stopped(event)
            return True
        told = read(event, self._me)
        # Names may take a while to look up; what was said first in a channel is put first all the same.
        match told:
            case None:
                return True
            case Deleted(place, message):
                if (place.channel, message) in self._removed:
                    return True
                async with self._turn(place.channel):
                    return await self._stored(self._front.deleted(place, message))
            case Edited(question, asks):
                async with self._turn(question.place.channel):
                    edit = self._front.edited(await self.mention(question), asks=asks)
                    return await self._stored(edit, question if asks else None)
            case Heard() as question:
                async with self._turn(question.place.channel):
                    return await self._stored(self._heard(question), question)

    def _turn(self, channel: str) -> asyncio.Lock:
        return self._order.setdefault(channel, asyncio.Lock())

    async def _heard(self, question: Heard) -> None:
        mention = await self.mention(question)
        response = await self._front.heard(mention, lambda: self._people.rights(question.user, question.place))
        if response is not None:
            self._work.start(self._show(mention, response))

    async def _stored(self, step: Coroutine[Any, Any, None], question: Heard | None = None) -> bool:
        """Whether the step was done; if not, the person who put this question hears of it."""
        try:
            await step
        except StoreError as error:
            log.error("an event could not be stored, Slack will send it again: %s", error)
            if question:
                self._work.start(self._outage.tell(question))
            return False
        if question:
            self._outage.over(question.place.channel)
        return True

    async def _stopped(self, event: dict[str, Any]) -> None:
        """Somebody pressed Slack's own Stop (docs.slack.dev/ai/agent-sessions)."""
        channel, thread = str(event.get("channel") or ""), str(event.get("thread_ts") or "")
        place = Place("slack", self._me.team, channel, thread, channel.startswith("D"))
        for message in event.get("streaming_message_ts") or ("",):  # none: the model still thinks
            await self._front.halted(place, str(message))

    async def mention(self, question: Heard) -> Question:
        """The question in words, within about a second."""
        author, text = await asyncio.gather(
            self._people.author(self._me, question.user, teams=question.teams), self._words.read(question.text)
        )
        return Question(question.id, question.place, author, text, question.message, question.at, question.attachments)

    async def _show(self, mention: Question, response: Response) -> None:
        """The response to a command in a message: below it, or beside it in a direct message."""
        place = mention.place
        placement = Placement.CHANNEL if place.direct else Placement.THREAD
        extra: tuple[Json, ...] = ()
        if response.form:
            # A modal needs a trigger, which a message does not give; the press of a button does.
            invocation = parse(mention.text.lstrip()[len(COMMAND_MARK) :], place, mention.author)
            thread = place.thread or ("" if place.direct else mention.message)
            occasion = forms.Occasion.of(invocation, thread=thread)
            extra = (button("Edit it in a form", forms.OPEN, occasion.write()),)
        author, streaming = mention.author.id, Streaming.OFF
        address = Address(place, placement, mention.message, author=author, streaming=streaming)
        response = await self._hand(response, place, author)
        await answers.by_message(self._surface(address), response, extra)
