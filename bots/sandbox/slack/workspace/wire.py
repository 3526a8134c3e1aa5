"""The JSON shapes of Slack's objects and events, as the API and real subscriptions send them."""

import time
from collections.abc import Sequence

from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackChannel, SlackFile, SlackMessage, SlackUser, View

DOMAIN = "sandbox"


def user_json(ws: Workspace, person: SlackUser) -> Json:
    """A user object (reference/objects/user-object)."""
    team = person.team or ws.team
    profile = {"real_name": person.name, "display_name": person.name, "team": team}
    if person.bot_id:
        profile |= {"api_app_id": ws.app_id, "bot_id": person.bot_id}
    return {
        "id": person.id,
        "team_id": team,
        **({"is_stranger": True} if person.team else {}),
        "name": person.name,
        "real_name": person.name,
        "deleted": False,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": person.admin or person.owner,
        "is_owner": person.owner,
        "is_primary_owner": False,
        "is_restricted": person.guest,
        "is_ultra_restricted": False,
        "is_bot": bool(person.bot_id),
        "is_app_user": False,
        "updated": 1_700_000_000,
    }


def channel_json(ws: Workspace, channel: SlackChannel) -> Json:
    """A conversation object (reference/objects/conversation-object)."""
    body: Json = {
        "id": channel.id,
        "created": 1_700_000_000,
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind in ("group", "mpim"),
        "is_private": channel.kind != "channel",
        "is_archived": channel.archived,
        "is_ext_shared": False,
        "is_shared": False,
        "is_org_shared": False,
    }
    if channel.kind == "im":
        return body | {"user": next(iter(channel.members - {ws.bot_user})), "is_open": True}
    return body | {
        "name": channel.name,
        "name_normalized": channel.name,
        "creator": channel.creator,
        "is_member": ws.bot_user in channel.members,
        "is_general": False,
        "context_team_id": ws.team,
        "num_members": len(channel.members),
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


PREVIEW = 200  # characters of a snippet that come with it; of Slack's own number we know nothing


def file_json(file: SlackFile, base: str, *, asked: bool = False) -> Json:
    """A file object; `base` is the server's address. `asked`: it is an answer of files.info."""
    if file.stub and not asked:
        return {"id": file.id, "mode": "file_access", "file_access": "check_file_info", "created": 0}
    if file.mode in ("hidden_by_limit", "tombstone"):
        return {"id": file.id, "mode": file.mode}
    if file.elsewhere:
        known = {"id": file.id, "name": file.name, "title": file.name, "mimetype": file.mimetype, "user": file.user}
        return known | {"mode": "external", "is_external": True, "size": 0, "url_private": file.elsewhere}
    url = f"{base}/files-pri/{file.id}/{file.name}"
    return {
        "id": file.id,
        "name": file.name,
        "title": file.name,
        "mimetype": file.mimetype,
        "filetype": file.name.rpartition(".")[2],
        "size": len(file.data) if file.size is None else file.size,
        "user": file.user,
        "mode": file.mode,
        "is_external": False,
        "url_private": url,
        "url_private_download": url,
        **({"alt_txt": file.alt} if file.alt else {}),
        **(_preview(file) if file.mode == "snippet" else {}),
    }


def _preview(file: SlackFile) -> Json:
    text = file.data.decode()
    return {"preview": text[:PREVIEW], "preview_is_truncated": len(text) > PREVIEW}


def message_json(ws: Workspace, message: SlackMessage, base: str) -> Json:
    """A message as the Web API returns it."""
    person = ws.people.get(message.user)
    team = person.team if person and person.team else ws.team
    body: Json = {"type": "message", "ts": message.ts, "text": message.text, "team": team}
    if team != ws.team:
        body |= {"user_team": team, "source_team": team}
    if message.subtype:
        body["subtype"] = message.subtype
    if message.user:
        body["user"] = message.user
    if message.bot:
        body["bot_id"] = message.bot
    if message.bot and not message.user:
        body["username"] = "workflow"
    if message.app:
        body["app_id"] = message.app
    if message.bot == ws.bot_id:
        body["app_id"] = ws.app_id
        body["bot_profile"] = bot_json(ws)
    if message.blocks:
        body["blocks"] = list(message.blocks)
    if message.attachments:
        body["attachments"] = list(message.attachments)
    if message.client_msg_id:
        body["client_msg_id"] = message.client_msg_id
    if message.files:
        body["files"] = [file_json(file, base) for file in message.files]
    if message.edited:
        body["edited"] = {"user": message.user or ws.bot_user, "ts": message.edited}
    if message.streaming:
        body["streaming_state"] = message.streaming
    if message.reactions:
        body["reactions"] = [{"name": n, "users": list(who), "count": len(who)} for n, who in message.reactions]
    if message.thread_ts:
        body["thread_ts"] = message.thread_ts
        root = ws.messages[message.channel].get(message.thread_ts)
        if root:
            body["parent_user_id"] = root.user
    elif replies := [m for m in ws.thread(message.channel, message.ts) if m.ts != message.ts]:
        who = list(dict.fromkeys(reply.user for reply in replies))
        body |= {"thread_ts": message.ts, "reply_count": len(replies), "reply_users": who}
        body |= {"reply_users_count": len(who), "latest_reply": replies[-1].ts}
    return body


def bot_json(ws: Workspace) -> Json:
    """Our own bot's object, as bots.info and bot_profile show it."""
    icons = {"image_36": "https://a.slack-edge.com/bot_36.png"}
    body = {"id": ws.bot_id, "app_id": ws.app_id, "user_id": ws.bot_user, "name": ws.bot_name, "team_id": ws.team}
    return {**body, "deleted": False, "updated": 1_700_000_000, "icons": icons}


def view_json(ws: Workspace, view: View, values: Json | None = None) -> Json:
    """A view as answers and interaction payloads carry it."""
    own = {"id": view.id, "team_id": ws.team, "app_id": ws.app_id, "bot_id": ws.bot_id, "root_view_id": view.id}
    extra = {"hash": f"{int(time.time())}.{view.id}", "state": {"values": values or {}}, "previous_view_id": None}
    defaults: Json = {"callback_id": "", "private_metadata": "", "external_id": "", "clear_on_close": False}
    return {**defaults, "notify_on_close": False, **view.raw, **own, **extra}


def event_body(ws: Workspace, event: Json) -> Json:
    """The event_callback around an event (docs.slack.dev/apis/events-api)."""
    owner = {"enterprise_id": None, "team_id": ws.team, "user_id": ws.bot_user, "is_bot": True}
    return {
        "token": "verification-token",
        "team_id": ws.team,
        "context_team_id": ws.team,
        "context_enterprise_id": None,
        "api_app_id": ws.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": ws.new_id("Ev"),
        "event_time": int(time.time()),
        "authorizations": [{**owner, "is_enterprise_install": False}],
        "is_ext_shared_channel": False,
        "event_context": ws.new_id("EC"),
    }


def replies_page(messages: Sequence[SlackMessage], limit: int, cursor: str) -> tuple[Sequence[SlackMessage], str]:
    """One page of a list, and the cursor of the next page ("" at the end)."""
    start = int(cursor) if cursor.isdigit() else 0
    end = start + max(1, limit)
    return messages[start:end], str(end) if end < len(messages) else ""
