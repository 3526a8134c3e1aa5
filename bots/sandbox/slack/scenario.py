"""Sets up the sandbox's Slack (people, bots, channels) and lets people act in it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.people import InteractionResult, SlackPeople, Submission
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackChannel, SlackFile, SlackMessage, SlackUser, View


class Crowd:
    """The part of SlackServer that acts for people. Ids name people, channels and messages."""

    bot_user: str
    _ws: Workspace
    _events: Events
    _people: SlackPeople

    # --- people and places ---

    def add_user(
        self, name: str, *, admin: bool = False, owner: bool = False, team: str = "", guest: bool = False
    ) -> str:
        """Add somebody to the workspace, or from the workspace `team` through Slack Connect. Returns the user's id."""
        return self._ws.add_person(SlackUser(self._ws.new_id("U"), name, admin, owner, team=team, guest=guest))

    def add_bot(self, name: str) -> str:
        """Add another app's bot to the workspace. Returns its user id."""
        return self._ws.add_person(SlackUser(self._ws.new_id("U"), name, bot_id=self._ws.new_id("B")))

    def add_channel(self, name: str, creator: str, *, private: bool = False, bot_in: bool = True) -> str:
        """Add a channel with everybody in it, and our bot if `bot_in`."""
        members = frozenset(self._ws.people) - (frozenset() if bot_in else {self.bot_user})
        kind = "group" if private else "channel"
        return self._ws.add_channel(SlackChannel(self._ws.new_id("C"), name, kind, creator, members))

    def open_dm(self, user: str, other: str = "") -> str:
        """The direct message between somebody and the bot, or an `other` person."""
        return self._ws.open_im(user, other)

    def add_group_dm(self, users: Iterable[str]) -> str:
        """Open a group message of these people and the bot."""
        return self._ws.open_group([self.bot_user, *users])

    def join(self, user: str, channel: str) -> None:
        """Somebody, or our bot, joins a channel."""
        self._people.join(user, channel)

    def leave(self, user: str, channel: str) -> None:
        """Somebody, or our bot, is removed from a channel."""
        found = self._ws.channels[channel]
        self._ws.add_channel(replace(found, members=found.members - {user}))

    def archive(self, channel: str) -> None:
        """Archive a channel: nobody can write in it any more."""
        self._ws.add_channel(replace(self._ws.channels[channel], archived=True))

    def vanish(self, channel: str) -> None:
        """Delete a channel with all its messages."""
        del self._ws.channels[channel]
        self._ws.messages[channel].clear()
        self._ws.changed()

    def user(self, user: str) -> SlackUser:
        """The user with this id."""
        return self._ws.people[user]

    def channel(self, channel: str) -> SlackChannel:
        """The channel with this id."""
        return self._ws.channels[channel]

    # --- what people do ---

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread: str = "",
        *,
        files: Iterable[SlackFile] = (),
        edited: bool = False,
        client_msg_id: str = "",
        as_both: bool = True,
        mention_first: bool = True,
        dm_mention: bool = False,
        attachments: Iterable[Json] = (),
    ) -> SlackMessage:
        """Somebody writes a message. `text` is as typed (`@nebula hi`), `thread` is the ts of the root.

        `as_both` also sends message.* for a mention in a channel, before app_mention unless `mention_first`.
        """
        stamp = self._ws.new_ts() if edited else ""
        fresh = SlackMessage("", channel, user, thread_ts=thread, client_msg_id=client_msg_id, edited=stamp)
        fresh = replace(fresh, attachments=tuple(attachments))
        return self._people.say(fresh, text, files, as_both, mention_first, dm_mention)

    async def bot_says(
        self,
        bot: str,
        channel: str,
        text: str,
        thread: str = "",
        *,
        attachments: Iterable[Json] = (),
        blocks: Iterable[Json] = (),
    ) -> SlackMessage:
        """Another bot (see `add_bot`) writes a message, with bot_id and subtype bot_message."""
        bot_id = self._ws.person(bot).bot_id
        fresh = SlackMessage("", channel, bot, bot_id, thread_ts=thread, subtype="bot_message")
        fresh = replace(fresh, attachments=tuple(attachments), blocks=tuple(blocks))
        return self._people.say(fresh, text, (), True, True, False)

    async def workflow_says(
        self, channel: str, text: str, thread: str = "", *, bot: str = "B0WORKFLOW", app: str = ""
    ) -> SlackMessage:
        """A workflow, or an app's incoming webhook, writes a message: with bot_id, and without a user
        (caipe-io/ai-platform-engineering#2193). `app`: the id of the app that it belongs to."""
        fresh = SlackMessage("", channel, "", bot, thread_ts=thread, subtype="bot_message", app=app)
        return self._people.say(fresh, text, (), True, True, False)

    async def start_chat(self, user: str) -> str:
        """Somebody opens a new chat in Slack's older assistant: assistant_thread_started. Returns the thread's ts."""
        return self._people.start_chat(user)

    async def edit(self, user: str, channel: str, ts: str, text: str) -> SlackMessage:
        """Somebody changes their own message: message_changed, and app_mention again if it names the bot."""
        return self._people.edit(user, channel, ts, text)

    async def delete(self, user: str, channel: str, ts: str) -> None:
        """Somebody deletes their own message: message_deleted."""
        self._people.delete(user, channel, ts)

    async def unfurl(self, message: SlackMessage) -> None:
        """Add a link preview to a message: message_changed, with an unchanged text."""
        self._events.changed(message, message)

    async def react(self, user: str, message: SlackMessage, name: str) -> None:
        """Somebody adds a reaction to a message."""
        self._people.react(user, message, name)

    async def open_home(self, user: str, tab: str = "home") -> None:
        """Somebody opens the app's tab home or messages."""
        self._people.open_home(user, tab)

    async def stop_stream(self, user: str, message: SlackMessage) -> None:
        """Somebody stops a streaming reply (later appends get stopped_by_user), or the next reply to a message."""
        self._people.stop_stream(user, message)

    async def slash(self, user: str, channel: str, command: str, text: str) -> InteractionResult:
        """Somebody uses a slash command. Returns when it has been acknowledged, or after `ack_timeout`."""
        return await self._people.slash(user, channel, command, text)

    async def press(self, user: str, message: SlackMessage, action_id: str, value: str = "") -> InteractionResult:
        """Somebody uses a button, or chooses the option with this value."""
        return await self._people.press(user, message, action_id, value)

    async def shortcut(self, user: str, message: SlackMessage, callback_id: str) -> InteractionResult:
        """Somebody chooses one of the app's shortcuts from the menu of a message."""
        return await self._people.shortcut(user, message, callback_id)

    async def submit(self, user: str, view: View, values: Mapping[str, str]) -> Submission:
        """Somebody fills in a modal (values by action_id) and submits it."""
        return await self._people.submit(user, view, values)
