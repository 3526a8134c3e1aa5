"""Files: upload in three steps, and download with the bot's token."""

import mimetypes
from dataclasses import replace

from aiohttp import web

from bots.sandbox.slack.delivery.events import Events
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.workspace.blocks import SlackRefusal
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, SlackFile, SlackMessage
from bots.sandbox.slack.workspace.wire import file_json

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>Sign in</body></html>"

MAX_ALT_TEXT = 1000  # characters (docs.slack.dev/reference/methods/files.getUploadURLExternal)
UNKNOWN_KIND = "application/octet-stream"


class Files:
    """The files of the workspace. `base` is the server's address."""

    def __init__(self, ws: Workspace, events: Events) -> None:
        self.base = ""
        self._deleted: set[str] = set()
        self.downloads: list[str] = []  # the Authorization of each request for a file's content
        self.signed_out = False  # Slack shows its sign-in page in place of each file
        self.sends_to = ""  # where Slack sends whoever asks for a file
        self._ws = ws
        self._events = events
        self._started: dict[str, SlackFile] = {}
        self.methods = {
            "files.info": self.info,
            "files.delete": self.delete,
            "files.getUploadURLExternal": self.start,
            "files.completeUploadExternal": self.complete,
        }

    def info(self, args: Args) -> Json:
        """files.info."""
        self._ws.require("files:read")
        if args.text("file") in self._deleted:
            raise SlackRefusal("file_deleted")
        if args.text("file") not in self._ws.files:
            raise SlackRefusal("file_not_found")
        return {"file": file_json(self._ws.files[args.text("file")], self.base, asked=True)}

    def remove(self, file: str) -> bool:
        """Delete a file, as a person or an app does; return whether there was one."""
        if self._ws.files.pop(file, None) is None:
            return False
        self._deleted.add(file)
        return True

    def delete(self, args: Args) -> Json:
        """files.delete: removes the file, and its message if that held nothing else."""
        ws, file = self._ws, args.needed("file")
        ws.require("files:write")
        if not self.remove(file):
            raise SlackRefusal("file_not_found")
        for messages in ws.messages.values():
            for message in [each for each in messages.values() if any(one.id == file for one in each.files)]:
                ws.remove(message)
                self._events.deleted(message)
        return {}

    def start(self, args: Args) -> Json:
        """files.getUploadURLExternal."""
        self._ws.require("files:write")
        if not args.number("length", 0):
            raise SlackRefusal("invalid_arguments", "missing required field: length")
        if len(alt := args.text("alt_txt")) > MAX_ALT_TEXT:
            raise SlackRefusal("invalid_arguments", "alt_txt is too long")
        name, kind = args.needed("filename"), mimetypes.guess_type(args.needed("filename"))[0]
        file = SlackFile(name, b"", kind or UNKNOWN_KIND, self._ws.new_id("F"), self._ws.bot_user, alt)
        self._started[file.id] = file
        return {"upload_url": f"{self.base}/upload/{file.id}", "file_id": file.id}

    async def upload(self, request: web.Request) -> web.Response:
        """Receive the bytes, raw or as the only part of a form."""
        file = self._started.get(request.match_info["file"])
        if not file:
            return web.Response(status=404)
        data = await request.read()
        if request.content_type == "multipart/form-data":
            part = next(iter((await request.post()).values()), b"")
            data = part.file.read() if isinstance(part, web.FileField) else str(part).encode()
        self._started[file.id] = replace(file, data=data)
        return web.Response(text=f"OK - {len(data)}")

    def complete(self, args: Args) -> Json:
        """files.completeUploadExternal: shares the files in a message of the app if the call names a channel."""
        ws = self._ws
        ws.require("files:write")
        wanted = args.json("files", "invalid_arguments")
        if not isinstance(wanted, list) or not wanted:
            raise SlackRefusal("invalid_arguments", "missing required field: files")
        ids = [str(item.get("id")) for item in wanted if isinstance(item, dict)]
        if any(not self._started.get(file, SlackFile("", b"")).data for file in ids):
            raise SlackRefusal("file_not_found")
        place = args.text("channel_id") or args.text("channels")
        channel = ws.joined(place).id if place else ""
        thread = ws.root(channel, args.text("thread_ts")) if channel else ""
        files = tuple(self._started.pop(file) for file in ids)
        ws.files |= {file.id: file for file in files}
        if channel:
            fresh = SlackMessage(ws.new_ts(), channel, ws.bot_user, ws.bot_id, thread_ts=thread, files=files)
            message = ws.put(ws.compose(replace(fresh, subtype="file_share"), args.text("initial_comment")))
            ws.set_status(channel, thread or message.ts, "")
            self._events.said(message)
        return {"files": [file_json(file, self.base) for file in files]}

    async def download(self, request: web.Request, token: str) -> web.Response:
        """Send the content to a client with the token and the scope, otherwise Slack's login page with status 200
        (slackapi/bolt-js#2585)."""
        file = self._ws.files.get(request.match_info["file"])
        self.downloads.append(request.headers.get("Authorization", ""))
        if request.headers.get("Authorization") != f"Bearer {token}" or self.signed_out:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        if self.sends_to:
            raise web.HTTPFound(self.sends_to)
        if not file:
            return web.Response(status=404)
        headers = {"Content-Encoding": file.encoding} if file.encoding else None
        kind = file.mimetype if file.mode in ("hosted", "snippet") else "text/html"
        return web.Response(body=file.data, content_type=kind, headers=headers)
