"""Files: one shared below a reply by Slack's three steps, of which none that was done is done again."""

import logging

from bots.slack.api.client import Web, code_of
from core.domain.errors import PlatformError, Rejected, Unreachable

log = logging.getLogger(__name__)

# Attempts that fail for a passing reason before a file is given up.
_TRIES = 3


class Upload:
    """A file on its way to a channel or thread; kept between attempts.

    docs.slack.dev/messaging/working-with-files: files.getUploadURLExternal, the upload, files.completeUploadExternal.
    """

    def __init__(self, web: Web, name: str, content: bytes) -> None:
        self._web, self._name, self._content = web, name, content
        self._file = ""  # Slack's id, once the content is there
        self._failures = 0
        self._unsure = False  # the last step was sent, and not answered

    async def share(self, channel: str, thread: str) -> str:
        """Share it; returns its id.

        Raises PlatformError: Unreachable when it is worth another attempt, Rejected when none is left.
        """
        try:
            self._file = self._file or await self._upload()
            await self._complete(channel, thread)
            return self._file
        except Unreachable as error:
            self._failures += 1
            if self._failures < _TRIES:
                raise
            raise Rejected(f"after {_TRIES} attempts: {error}") from error

    async def _upload(self) -> str:
        begun = await self._web.call(
            self._web.client.files_getUploadURLExternal(filename=self._name, length=len(self._content))
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
            self._unsure = True
            raise
        except PlatformError as error:
            if not (self._unsure and code_of(error) == "file_not_found"):
                raise
            log.info("a file was shared already")
