"""The Web API methods about people, conversations, reactions and statuses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.workspace.blocks import SlackRefusal
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackChannel, SlackMessage
from bots.sandbox.slack.workspace.wire import DOMAIN, bot_json, channel_json, replies_page, user_json

_SCOPES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


class Info:
    """Methods that read the workspace, and those for reactions and statuses. `url` is the workspace's address in
    auth.test."""

    def __init__(self, ws: Workspace, events: Events) -> None:
        self._ws = ws
        self._events = events
        self.methods: Mapping[str, Callable[[Args], Json]] = {
            "auth.test": self.auth,
            "team.info": self.team,
            "bots.info": self.bot,
            "users.info": self.user,
            "users.list": self.users,
            "conversations.info": self.conversation,
            "users.conversations": self.conversations,
            "conversations.open": self.open,
            "conversations.history": self.history,
            "conversations.replies": self.replies,
            "reactions.add": self.react,
            "reactions.remove": self.unreact,
            "assistant.threads.setStatus": self.status,
            "assistant.threads.setTitle": self.title,
            "assistant.threads.setSuggestedPrompts": self.suggest,
        }

    def auth(self, args: Args) -> Json:
        """auth.test."""
        ws = self._ws
        who = {"user": ws.bot_name, "user_id": ws.bot_user, "bot_id": ws.bot_id}
        team = {"url": f"https://{DOMAIN}.slack.com/", "team": "Sandbox", "team_id": ws.team}
        return {**team, **who, "is_enterprise_install": False}

    def team(self, args: Args) -> Json:
        """team.info."""
        self._ws.require("team:read")
        return {"team": {"id": self._ws.team, "name": "Sandbox", "domain": DOMAIN, "icon": {}}}

    def bot(self, args: Args) -> Json:
        """bots.info: our own bot, or another one that has written here."""
        self._ws.require("users:read")
        wanted = args.text("bot") or self._ws.bot_id
        if wanted == self._ws.bot_id:
            return {"bot": bot_json(self._ws)}
        for person in self._ws.people.values():
            if person.bot_id == wanted:
                return {"bot": {"id": wanted, "name": person.name, "user_id": person.id, "deleted": False}}
        raise SlackRefusal("bot_not_found")

    def user(self, args: Args) -> Json:
        """users.info."""
        self._ws.require("users:read")
        return {"user": user_json(self._ws, self._ws.person(args.text("user")))}

    def users(self, args: Args) -> Json:
        """users.list, in pages if a limit is given."""
        self._ws.require("users:read")
        people = list(self._ws.people.values())
        start = int(args.text("cursor") or 0)
        end = start + args.number("limit", len(people))
        cursor = str(end) if end < len(people) else ""
        members = [user_json(self._ws, person) for person in people[start:end]]
        return {"members": members, "response_metadata": {"next_cursor": cursor}}

    def conversation(self, args: Args) -> Json:
        """conversations.info."""
        channel = self._ws.visible(args.text("channel"))
        self._require(channel, "read")
        return {"channel": channel_json(self._ws, channel)}

    def conversations(self, args: Args) -> Json:
        """users.conversations: the bot's conversations of the named types, in pages."""
        ws = self._ws
        kinds = {_TYPES.get(each.strip(), "") for each in (args.text("types") or "public_channel").split(",")}
        for kind in kinds:
            ws.require(f"{_SCOPES.get(kind, kind)}:read")
        found = [each for each in ws.channels.values() if each.kind in kinds and ws.bot_user in each.members]
        if args.flag("exclude_archived", False):
            found = [each for each in found if not each.archived]
        start = int(args.text("cursor") or 0)
        end = start + args.number("limit", 100)
        listed = [channel_json(ws, each) for each in found[start:end]]
        return {"channels": listed, "response_metadata": {"next_cursor": str(end) if end < len(found) else ""}}

    def open(self, args: Args) -> Json:
        """conversations.open: a direct message with one person, or a group message with several."""
        ws = self._ws
        if args.has("channel"):
            return {"channel": channel_json(ws, ws.visible(args.text("channel")))}
        users = [user for user in args.text("users").split(",") if user]
        if not users:
            raise SlackRefusal("users_list_not_supplied")
        ws.require("im:write" if len(users) == 1 else "mpim:write")
        for user in users:
            ws.person(user)
        if len(users) == 1:
            return {"channel": channel_json(ws, ws.channels[ws.open_im(users[0])])}
        return {"channel": channel_json(ws, ws.channels[ws.open_group([ws.bot_user, *users])])}

    def history(self, args: Args) -> Json:
        """conversations.history: newest first, without replies."""
        channel = self._ws.joined(args.text("channel"))
        self._require(channel, "history")
        found = [m for m in self._ws.messages[channel.id].values() if m.thread_ts in ("", m.ts)]
        return self._page(self._between(found, args)[::-1], args)

    def replies(self, args: Args) -> Json:
        """conversations.replies: a root and its replies, oldest first. As Slack was seen to do (simstudioai/sim#4934),
        a page from `oldest` on begins with the root all the same."""
        channel = self._ws.joined(args.text("channel"))
        self._require(channel, "history")
        found = self._ws.messages[channel.id].get(args.needed("ts"))
        if not found:
            raise SlackRefusal("thread_not_found")
        thread = self._ws.thread(channel.id, found.thread_ts or found.ts)
        page = self._page(self._between(thread, args), args)
        first = [self._events.json(each) for each in thread[:1] if not each.thread_ts]
        if not args.has("oldest") or first == page["messages"][:1]:
            return page
        return page | {"messages": [*first, *page["messages"]]}

    def react(self, args: Args) -> Json:
        """reactions.add."""
        return self.reaction(args, self._ws.bot_user, present=True)

    def unreact(self, args: Args) -> Json:
        """reactions.remove."""
        return self.reaction(args, self._ws.bot_user, present=False)

    def reaction(self, args: Args, user: str, *, present: bool) -> Json:
        """Add or remove somebody's reaction. Raises SlackRefusal with already_reacted or no_reaction."""
        ws = self._ws
        ws.require("reactions:write")
        message = ws.message(ws.visible(args.text("channel")).id, args.needed("timestamp"))
        name = args.needed("name").strip(":")
        reactions = dict(message.reactions)
        who = reactions.get(name, ())
        if (user in who) is present:
            raise SlackRefusal("already_reacted" if present else "no_reaction")
        reactions[name] = (*who, user) if present else tuple(other for other in who if other != user)
        ws.put(replace(message, reactions=tuple((key, value) for key, value in reactions.items() if value)))
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        kind = "reaction_added" if present else "reaction_removed"
        self._events.other({"type": kind, "user": user, "reaction": name, "item": item, "item_user": message.user})
        return {}

    def status(self, args: Args) -> Json:
        """assistant.threads.setStatus; "" clears the status."""
        self._ws.require("chat:write", "assistant:write")
        channel = self._ws.joined(args.text("channel_id")).id
        thread = args.needed("thread_ts")
        if thread not in self._ws.messages[channel]:
            raise SlackRefusal("invalid_thread_ts")
        if args.has("loading_messages") and len(args.json("loading_messages", "invalid_arguments")) > 10:
            raise SlackRefusal("invalid_arguments", "no more than 10 loading_messages")
        self._ws.set_status(channel, thread, args.text("status"))
        return {}

    def title(self, args: Args) -> Json:
        """assistant.threads.setTitle."""
        ws = self._ws
        ws.require("assistant:write")
        channel, thread = ws.joined(args.text("channel_id")), args.needed("thread_ts")
        if channel.kind != "im":
            raise SlackRefusal("channel_not_found")
        if thread not in ws.messages[channel.id]:
            raise SlackRefusal("invalid_thread_ts")
        ws.titles[channel.id, thread] = args.needed("title")
        ws.changed()
        return {}

    def suggest(self, args: Args) -> Json:
        """assistant.threads.setSuggestedPrompts: up to four; an agent's are for the whole pane, and with a thread they
        silently do nothing (its documentation)."""
        ws = self._ws
        ws.require("assistant:write")
        channel = ws.joined(args.text("channel_id"))
        if channel.kind != "im":
            raise SlackRefusal("channel_not_found")
        prompts = args.json("prompts", "invalid_arguments")
        if not 1 <= len(prompts) <= 4 or not all(each.get("title") and each.get("message") for each in prompts):
            raise SlackRefusal("invalid_arguments", "one to four prompts with title and message")
        ws.suggestions[channel.id, args.text("thread_ts")] = tuple(prompts)
        ws.changed()
        return {}

    def _require(self, channel: SlackChannel, right: str) -> None:
        self._ws.require(f"{_SCOPES[channel.kind]}:{right}")

    def _between(self, messages: Sequence[SlackMessage], args: Args) -> list[SlackMessage]:
        oldest, latest = float(args.text("oldest") or 0), float(args.text("latest") or "inf")
        if args.flag("inclusive", False):
            return [m for m in messages if oldest <= float(m.ts) <= latest]
        return [m for m in messages if oldest < float(m.ts) < latest]

    def _page(self, messages: Sequence[SlackMessage], args: Args) -> Json:
        part, cursor = replies_page(messages, min(args.number("limit", 100), 1000), args.text("cursor"))
        listed = [self._events.json(message) for message in part]
        if args.flag("include_all_metadata", False):
            listed = [{**body, "metadata": each.metadata} for body, each in zip(listed, part, strict=True)]
        metadata = {"response_metadata": {"next_cursor": cursor}} if cursor else {}
        return {"messages": listed, "has_more": bool(cursor), **metadata}
