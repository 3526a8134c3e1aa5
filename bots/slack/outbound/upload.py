"""Uploads a file in Slack's three steps; a retry never repeats a step that has succeeded."""

import logging

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of
from core.domain.errors import PlatformError, Rejected, Unreachable

log = logging.getLogger(__name__)

# Attempts with temporary failures before we give up.
_MAX_ATTEMPTS = 3
_ALT_CHARACTERS = 1000  # of `alt_txt` (docs.slack.dev/reference/methods/files.getUploadURLExternal)


class Upload:
    """A file on its way to a channel or thread; keeps its progress between attempts.

    docs.slack.dev/messaging/working-with-files: files.getUploadURLExternal, the upload, files.completeUploadExternal.
    """

    def __init__(self, web: Web, name: str, content: bytes, description: str = "") -> None:
        """`description`: what a picture shows, for people who can't see it."""
        self._web, self._name, self._content, self._description = web, name, content, description[:_ALT_CHARACTERS]
        self._file = ""  # Slack's id, once the content has been uploaded
        self._failures = 0
        self._unconfirmed = False  # the last step was sent, but got no response

    async def share(self, channel: str, thread: str) -> str:
        """Share the file and return its id.

        Raises PlatformError: Unreachable if another attempt may help, Rejected if there are no attempts left.
        """
        try:
            self._file = self._file or await self._upload()
            await self._complete(channel, thread)
            return self._file
        except Unreachable as error:
            self._failures += 1
            if self._failures < _MAX_ATTEMPTS:
                raise
            raise Rejected(f"after {_MAX_ATTEMPTS} attempts: {error}") from error

    async def _upload(self) -> str:
        begun = await self._web.call(
            self._web.client.files_getUploadURLExternal(
                filename=self._name, length=len(self._content), alt_txt=self._description or None
            )
        )
        await self._web.upload(str(begun["upload_url"]), self._content)
        return str(begun["file_id"])

    async def _complete(self, channel: str, thread: str) -> None:
        call = self._web.client.files_completeUploadExternal(
            files=[{"id": self._file, "title": self._name}], channel_id=channel, thread_ts=thread or None
        )
        try:
            await self._web.call(call)
        except Unreachable:
            self._unconfirmed = True
            raise
        except PlatformError as error:
            if not (self._unconfirmed and code_of(error) == "file_not_found"):
                raise
            log.info("Slack: a file was already shared")
