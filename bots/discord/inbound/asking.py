"""Asks the bot what somebody asks by an interaction: defers it, and stores the question; the turn does the rest."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import discord

from bots.discord.api.callbacks import Callback
from bots.discord.api.names import NAME
from bots.discord.api.rest import Rest
from bots.discord.dialect.markdown import small
from bots.discord.inbound.messages import in_words
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.people import author_of, names_of
from bots.discord.outbound.interaction_responses import defer
from bots.discord.room.files import Brought
from bots.discord.room.reader import Reader
from core.awake import awake
from core.domain.conversation import Place, ResponseToken
from core.domain.errors import PlatformError, StoreError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import AWAY, Dispatcher

log = logging.getLogger(__name__)

# The token that edits the first answer lives for 15 min (docs.discord.com, Receiving and Responding to Interactions);
# this has a margin. Where only the person brought the app along, it is good for five further messages (same page).
TOKEN_SECONDS = 15 * 60 - 20.0
FURTHER_MESSAGES = 5
# How many people that somebody names in a question are looked up, and for how long.
_LOOKED_UP, _LOOK_UP_SECONDS = 10, 3.0
_PERSON = re.compile(r"<@!?(\d{1,20})>")

Worded = Callable[[Question], Question]
Brings = Callable[[], Awaitable[Brought]]


def _as_it_is(question: Question) -> Question:
    return question


def at_hand(brought: Brought) -> Brings:
    """What a question brings along, if it need not be looked for."""

    async def bring() -> Brought:
        return brought

    return bring


_nothing = at_hand(Brought())


class Asking:
    """Asks questions for one client."""

    def __init__(self, dispatcher: Dispatcher, rest: Rest, ordering: ArrivalOrder, reader: Reader) -> None:
        self._dispatcher, self._rest, self._ordering, self._reader = dispatcher, rest, ordering, reader

    async def ask(
        self,
        interaction: discord.Interaction,
        callback: Callback,
        place: Place,
        prompt: str,
        *,
        private: bool,
        model: str = "",
        worded: Worded = _as_it_is,
        brings: Brings = _nothing,
    ) -> None:
        """Ask. `model`: the one that is to answer, "" for the usual one. `worded`: makes the question another kind of
        question. `brings`: what it brings along, found once Discord knows that we are working on it."""
        asked, private = interaction.created_at.timestamp(), private or place.visiting
        token = ResponseToken(str(callback.token), asked + TOKEN_SECONDS, FURTHER_MESSAGES if place.visiting else None)
        question = worded(
            Question(
                id=TurnId(f"{NAME}/i/{interaction.id}"),
                place=place,
                author=author_of(interaction.user),
                text=prompt,
                at=asked,
                interaction=token,
                private=private,
                model=model,
            )
        )
        self._reader.heard(question, replies=False, reads=interaction.permissions.read_message_history or None)
        async with asyncio.TaskGroup() as group:
            deferring = group.create_task(defer(callback, ephemeral=private))
            brought = await brings()  # before its turn in the channel: nobody waits for it
            question = replace(question, about=brought.about, attachments=brought.files)

            async def ask() -> None:
                good = await deferring
                text = await self._in_words(interaction, place, question.text)
                asked = replace(question, text=text)
                await self._dispatcher.ask(asked if good else replace(asked, interaction=None))

            async def say(sentence: str) -> None:
                if await deferring:
                    await self._rest.edit_response(callback.token, small(sentence), ephemeral=private)

            try:
                await self._ordering.store(int(place.thread or place.channel), ask, lambda: say(AWAY))
            except StoreError as error:
                log.error("could not store question %s: %s", question.id, error)
                with suppress(PlatformError):
                    await say(error.notice)

    async def _in_words(self, interaction: discord.Interaction, place: Place, text: str) -> str:
        """The text with names in place of ids. Discord resolves none of them in an option that is a text."""
        guild, data = interaction.guild, dict(interaction.data or {})
        people = {str(each.id): each.display_name for each in (interaction.client.user, interaction.user) if each}
        people |= names_of(data.get("resolved"))
        missing = [each for each in dict.fromkeys(_PERSON.findall(text)) if each not in people][:_LOOKED_UP]

        async def look_up(person: str) -> None:
            member = await self._rest.member(str(interaction.guild_id), person)
            people.update(names_of({"users": {person: member.get("user")}, "members": {person: member}}))

        if interaction.guild_id is not None and not place.visiting:
            with suppress(TimeoutError):
                async with awake(_LOOK_UP_SECONDS):
                    await asyncio.gather(*map(look_up, missing), return_exceptions=True)
        return in_words(text, guild, people)
