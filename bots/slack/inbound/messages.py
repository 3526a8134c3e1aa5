"""Receives Slack's events, and acknowledges each only when it can no longer get lost."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from cachetools import TTLCache
from slack_bolt.response import BoltResponse

from bots.slack.api.client import OwnDeletions
from bots.slack.api.people import People
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import Identity
from bots.slack.components import forms
from bots.slack.components.blocks import Json, button
from bots.slack.inbound.events import Deleted, Edited, RawQuestion, read, unaddressed
from bots.slack.inbound.outage import Outage
from bots.slack.inbound.payloads import place, string
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import responses
from bots.slack.outbound.private_file import FileSharer
from bots.slack.outbound.surface import SlackSurface
from core.commands.registry import parse
from core.commands.responses import Response
from core.domain.conversation import Address, Author
from core.domain.errors import StoreError
from core.domain.options import Placement, Streaming
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import COMMAND_MARK, Dispatcher
from core.inbound.listening import BotMessage, Remark, Rule

log = logging.getLogger(__name__)

_MINUTE_SECONDS = 60.0
# Questions that apps may ask in the name of one person, in so many seconds.
APP_QUESTIONS, APP_PERIOD_SECONDS = 10, 600.0
# People that are remembered for that; streams that one press of Slack's own button can stop.
_MAX_PEOPLE, _MOST_STREAMS = 1_000, 20


class Listeners:
    """Receives events as a Bolt middleware, because Bolt acknowledges events before its listeners run."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Identity,
        people: People,
        incoming_text: IncomingText,
        tasks: TaskSupervisor,
        surface: Callable[[Address], SlackSurface],
        share_file: FileSharer,
        own_deletions: OwnDeletions,
        withheld: Callable[[float], None],
        form_key: bytes,
        opened: Callable[[dict[str, Any]], Coroutine[Any, Any, None]],
        joined: Callable[[dict[str, Any]], Coroutine[Any, Any, None]],
        sign: Callable[[str, str], Awaitable[None]],
    ) -> None:
        """`withheld`: called with the seconds for which Slack kept events from us. `form_key`: as in Collaborators.
        `opened`, `joined`: called with the event if somebody opened the app's pane, and if we joined a channel. `sign`:
        marks a message in a channel as one that is not answered."""
        self._dispatcher = dispatcher
        self._me = me
        self._people = people
        self._incoming_text = incoming_text
        self._tasks = tasks
        self._surface = surface
        self._share_file = share_file
        self._own_deletions, self._withheld = own_deletions, withheld
        self._form_key, self._opened, self._joined, self._sign = form_key, opened, joined, sign
        self._own_app = ""  # the id of our app, once an event named it
        self._by_apps: TTLCache[str, set[TurnId]] = TTLCache(_MAX_PEOPLE, APP_PERIOD_SECONDS)
        self._outage = Outage(surface)
        self._order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def event(self, body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> BoltResponse | None:
        """Acknowledge an event when it is stored or does not concern us. Otherwise Slack sends it again
        (docs.slack.dev/apis/events-api: at once, after a minute, after five)."""
        if body.get("type") == "app_rate_limited":
            self._rate_limited(body)
            return BoltResponse(status=200, body="")
        if body.get("type") != "event_callback":
            await next()
            return None
        event = body.get("event")
        if not isinstance(event, dict):
            log.warning("Slack: an event has a form that can't be read")
            return BoltResponse(status=200, body="")
        self._own_app = string(body.get("api_app_id")) or self._own_app
        stored = not self._tasks.closing and await self._tasks.start(self._received(event))
        return BoltResponse(status=200 if stored else 503, body="")

    def _rate_limited(self, body: dict[str, Any]) -> None:
        """Slack delivers no events of ours for a minute, and says so each minute (docs.slack.dev/apis/events-api: more
        than 30,000 in an hour): look for the questions among them."""
        minute = body.get("minute_rate_limited")
        since = (
            float(minute) if isinstance(minute, int) and 0 < minute <= time.time() else time.time() - _MINUTE_SECONDS
        )
        log.warning("Slack: there are too many events, so it withholds some; looking for questions among them")
        self._withheld(time.time() - since)

    async def _received(self, event: dict[str, Any]) -> bool:
        match event.get("type"):
            case "agent_session_stopped":
                await self._stopped(event)
                return True
            case "app_home_opened" | "assistant_thread_started":
                self._tasks.start(self._opened(event))
                return True
            case "member_joined_channel":
                ours = event.get("user") == self._me.user
                return await self._stored(self._joined(event)) if ours else True
        change = read(event, self._me)
        asked = change.raw if isinstance(change, Edited) else change
        if isinstance(asked, RawQuestion) and not asked.said and not await self.accepts(asked):
            return True
        match change:
            case None:
                return True
            case Deleted(where, message):
                if (where.channel, message) in self._own_deletions:
                    return True
                async with self._turn(where.channel):
                    return await self._stored(self._dispatcher.deleted(where, message))
            case Edited(raw, _, overheard=True):
                async with self._turn(raw.place.channel):
                    return await self._stored(self._overheard_edit(raw))
            case Edited(raw) if self._may_ask(raw):
                return True  # what a bot changes is no new question
            case Edited(raw, asks):
                async with self._in_turn(raw) as question:
                    return await self._stored(self._dispatcher.edited(question, asks=asks), raw if asks else None)
            case RawQuestion(said=Remark() as said) as raw:
                if not self._dispatcher.followups.may_be_meant(said, raw.place):
                    return True
                async with self._turn(raw.place.channel):
                    return await self._stored(self._overheard(raw, said))
            case RawQuestion() as raw:
                async with self._in_turn(raw) as question:
                    return await self._stored(self._heard(raw, question), raw)

    async def accepts(self, raw: RawQuestion) -> bool:
        """Return whether a person asked this, or a bot that may. An app may post with a person's token. So that it does
        not talk with us for ever, it may ask a few questions only; of bots' questions, the store accepts a few."""
        if not raw.bot:
            return True
        commands = self._dispatcher.is_command(unaddressed(raw.text, self._me))
        own, addresses = self._own_app in raw.bot, raw.said is None
        rule = self._dispatcher.bots.rule(raw.bot, own=own, addresses=addresses, commands=commands)
        if rule.meant:
            return True
        if own or not raw.user or self._may_ask(raw) or not await self._people.is_human(raw.user):
            if rule.signed:
                self._tasks.start(self._show_sign(raw, rule))
            return False
        asked = self._by_apps.setdefault(raw.user, set())
        if raw.id not in asked and len(asked) >= APP_QUESTIONS:
            log.warning("Slack: an app asks too much in the name of a person, so some questions are dropped")
            return False
        asked.add(raw.id)
        return True

    def _may_ask(self, raw: RawQuestion) -> bool:
        """Return whether a bot wrote this that may ask."""
        return bool(raw.bot) and self._dispatcher.bots.names(raw.bot)

    async def _show_sign(self, raw: RawQuestion, why: Rule[BotMessage]) -> None:
        if await self._dispatcher.bots.is_new(raw.bot, raw.place, why):
            await self._sign(raw.place.channel, raw.message)

    def _turn(self, channel: str) -> asyncio.Lock:
        return self._order.setdefault(channel, asyncio.Lock())

    @asynccontextmanager
    async def _in_turn(self, raw: RawQuestion) -> AsyncIterator[Question]:
        """The question when it is its channel's turn, so that messages stay in their order. Names are looked up for all
        that wait at once: together they take no longer than for one."""
        async with asyncio.TaskGroup() as group:
            question = group.create_task(self.question(raw))
            async with self._turn(raw.place.channel):
                yield await question

    async def _overheard(self, raw: RawQuestion, said: Remark) -> None:
        """A message without a mention: names are looked up only once it is known to be for us."""
        if await self._dispatcher.followups.is_meant(said, raw.place, raw.user):
            await self._heard(raw, await self.question(raw))

    async def _overheard_edit(self, raw: RawQuestion) -> None:
        """An edit of what may have been a question without a mention, perhaps where the bot no longer listens."""
        listens = await self._dispatcher.followups.listens(raw.place, raw.user)
        if listens or await self._dispatcher.knows(raw.place, raw.message):
            await self._dispatcher.edited(await self.question(raw), asks=False)

    async def _heard(self, raw: RawQuestion, question: Question) -> None:
        response = await self._dispatcher.heard(question, partial(self._people.rights, raw.user, raw.place))
        if response is not None:
            self._tasks.start(self._show(question, response))

    async def _stored(self, step: Coroutine[Any, Any, None], raw: RawQuestion | None = None) -> bool:
        """Return whether the step succeeded; if not, tell the person who asked this question."""
        try:
            await step
        except StoreError as error:
            log.error("Slack: could not store an event, which Slack will send again: %s", error)
            if raw:
                self._tasks.start(self._outage.tell(raw))
            return False
        if raw:
            self._outage.over(raw.place.channel)
        return True

    async def _stopped(self, event: dict[str, Any]) -> None:
        """Handle a press of Slack's own Stop button (docs.slack.dev/ai/agent-sessions)."""
        try:
            where = place(event.get("channel"), self._me, string(event.get("thread_ts")))
        except ValueError as error:
            log.warning("Slack: a stop has a form that can't be read: %s", error)
            return
        streams = event.get("streaming_message_ts")
        # no message: the model is still thinking
        for message in streams[:_MOST_STREAMS] if isinstance(streams, list) and streams else ("",):
            await self._dispatcher.halted(where, string(message))

    async def question(self, raw: RawQuestion) -> Question:
        """Return the question with names instead of ids, within about a second."""
        author, text, files = await asyncio.gather(
            self._author(raw), self._incoming_text.read(raw.text), self._incoming_text.files(raw.attachments)
        )
        overheard = raw.said is not None and not raw.said.to_other
        return Question(raw.id, raw.place, author, text, raw.message, raw.at, files, overheard=overheard)

    async def _author(self, raw: RawQuestion) -> Author:
        if self._may_ask(raw):
            return Author(raw.bot[0], raw.name or raw.bot[0], raw.bot[1:], program=True)
        return await self._people.author(raw.user, raw.name, raw.teams)

    async def _show(self, question: Question, response: Response) -> None:
        """Show the response to a command in a message: in its thread, or beside it in a direct message."""
        where = question.place
        placement = Placement.CHANNEL if where.direct else Placement.THREAD
        extra: tuple[Json, ...] = ()
        if response.form:
            # A modal needs a trigger, which a button press provides and a message does not.
            invocation = parse(question.text.lstrip()[len(COMMAND_MARK) :], where, question.author)
            thread = where.thread or ("" if where.direct else question.message)
            context = forms.FormContext.of(invocation, response.form, thread=thread)
            extra = (button("Edit it in a form", forms.OPEN, context.write(self._form_key)),)
        author, streaming = question.author.id, Streaming.OFF
        address = Address(where, placement, question.message, author=author, streaming=streaming)
        if response.alone and not where.direct:
            await responses.privately(self._surface(address), response)
            return
        response = await self._share_file(response, where, author)
        await responses.by_message(self._surface(address), response, extra)
