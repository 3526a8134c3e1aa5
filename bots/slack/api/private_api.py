"""What we use of slack_sdk beyond its documented interface: private names, and undocumented ones that we set.

Each was verified with slack-sdk==3.47.0, by reading it and by the tests of the adapter. Check them all before that pin
changes; each docstring says what breaks without it.
"""

import asyncio
import logging
from collections.abc import Awaitable

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.file_upload_v2_result import FileUploadV2Result


def upload_content(
    client: AsyncWebClient, url: str, content: bytes, *, logger: logging.Logger, seconds: int, proxy: str | None
) -> Awaitable[FileUploadV2Result]:
    """Send a file's content to the address that Slack assigned to it.

    Without it, a file needs files_upload_v2, which starts over on each attempt and may share a file twice.
    """
    return client._upload_file(url=url, data=content, logger=logger, timeout=seconds, proxy=proxy, ssl=client.ssl)


def set_address(client: SocketModeClient, url: str | None) -> None:
    """Set where the next connection goes; with None, the client asks Slack for an address first.

    Without it, a client retries an address forever, although each works only once and only for a short time
    (docs.slack.dev/apis/events-api/using-socket-mode).
    """
    client.wss_uri = url


def background_tasks(client: SocketModeClient) -> list["asyncio.Future[object]"]:
    """The tasks that a client has started. Without it, they may outlive it: closing cancels them without waiting."""
    tasks = (client.message_processor, client.current_session_monitor, client.message_receiver)
    return [task for task in tasks if task]
