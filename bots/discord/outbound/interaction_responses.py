"""Shows the response to an interaction: at once, deferred, or in further messages."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from bots.discord.api.callbacks import Callback
from bots.discord.api.http import Answered, File, TokenExpired
from bots.discord.api.rest import Button, Rest
from bots.discord.components.forms import dialog
from bots.discord.dialect.markdown import small
from bots.discord.outbound.responses import contents_of, files_of
from core.commands.responses import Response
from core.domain.errors import PlatformError, Rejected, SlowDown
from core.domain.page import ReplyFile
from core.domain.retry import retried
from core.settings.parameters import Layer

log = logging.getLogger(__name__)

_DONE = "Done."
TOO_LARGE = "Discord does not accept this file; it may be too large."
# How many messages show what somebody shares; a longer text becomes a file. Where a person brought the app along, a
# token is good for five, one of which may have to say that nobody else sees the others.
SHARED_MESSAGES = 4
SHARED_FILE, IN_FILE = "answer.md", "This is the beginning. The file has all of it."
HIDDEN = (
    "Discord shows this to you alone: here, people may not let others see what the apps write that they bring along."
)
NOT_SHARED = "I could not share this answer: Discord does not let me write here, or is out of reach."
PARTLY_SHARED = "I could not share all of this answer: Discord does not let me write more here, or is out of reach."
_PAUSES = (1.0, 2.0, 4.0)  # before what is shared is sent again


async def show(callback: Callback, response: Response, scope: Layer | None = None) -> bool:
    """Show a response, to the person alone unless it is public. Best effort: the command is already done.

    Returns False if another process acknowledged the command.
    """
    contents = await contents_of(response)
    alone = files_of(response) if len(contents) == 1 else ()
    try:
        if response.form:
            await callback.open_form(dialog(response.form, scope))
            return True
        try:
            await callback.show(contents[0], ephemeral=not response.public, files=alone)
        except Answered:
            raise
        except Rejected as error:
            if not alone:
                raise
            log.warning("Discord refused a file: %s", error)
            await callback.show(contents[0], ephemeral=not response.public)
            await callback.follow_up(TOO_LARGE, ephemeral=True)
        await _follow_up(callback, contents[1:], response)
    except Answered:
        log.debug("another process acknowledged a command")
        return False
    except PlatformError as error:
        log.warning("could not show the response to a command: %s", error)
    return True


async def show_late(rest: Rest, callback: Callback, response: Response) -> None:
    """Show the response of a deferred command.

    Deferring fixes who sees the response, before its content is known. So we defer for the person alone, and what
    everybody may see follows in a message of its own.
    """
    contents = await contents_of(response)
    # The deferred response is filled in without a file; the file comes with the messages that follow.
    alone = not response.public and (len(contents) > 1 or not response.files)
    first, others = (contents[0], contents[1:]) if alone else (_DONE, contents)
    try:
        await rest.edit_response(callback.token, first, ephemeral=True)
        await _follow_up(callback, others, response)
    except PlatformError as error:
        log.warning("could not show the response to a command: %s", error)


async def show_below(callback: Callback, response: Response, buttons: tuple[Button, ...] = ()) -> None:
    """Show the response to a button, to the person alone."""
    try:
        await _follow_up(callback, await contents_of(response), response, buttons)
    except PlatformError as error:
        log.warning("could not show the response to a button: %s", error)


async def defer(callback: Callback, *, ephemeral: bool = False) -> bool:
    """Show that the bot is working on it. Returns False if that came too late, so that the token no longer works."""
    try:
        await callback.defer(ephemeral=ephemeral)
    except TokenExpired as error:
        log.info("a command was not deferred in time: %s", error)
        return False
    except Answered:
        pass  # another of our processes got the same event, and the store knows the question
    except PlatformError as error:
        log.warning("a command may not have been deferred: %s", error)
    return True


async def share(callback: Callback, response: Response) -> bool:
    """Show everybody what a person shares; if Discord refuses, they read so. Returns False if nothing was shown."""
    contents = await contents_of(response)
    if len(contents) > SHARED_MESSAGES:
        contents = (*contents[: SHARED_MESSAGES - 1], small(IN_FILE))
        response = replace(response, files=(ReplyFile(SHARED_FILE, response.text.encode("utf-8", "replace")),))
    shown, hidden = 0, False
    try:
        for content in contents:
            files = files_of(response) if shown == len(contents) - 1 else ()
            hidden = await _send(callback, content, public=True, files=files)
            shown += 1
        if hidden:
            await callback.follow_up(small(HIDDEN), ephemeral=True)
    except PlatformError as error:
        log.warning("could not show everybody what somebody shares: %s", error)
        if shown < len(contents):
            await show_below(callback, Response(PARTLY_SHARED if shown else NOT_SHARED))
    return shown > 0


async def _follow_up(
    callback: Callback, contents: Sequence[str], response: Response, buttons: tuple[Button, ...] = ()
) -> None:
    """Send further messages; the last one has the files and the buttons. Without a file that Discord refuses, its text
    is sent all the same."""
    for index, content in enumerate(contents):
        last = index == len(contents) - 1
        files, below = (files_of(response), buttons) if last else ((), ())
        try:
            await _send(callback, content, public=response.public, files=files, buttons=below)
        except Rejected as error:
            if not files:
                raise
            log.warning("Discord refused a file: %s", error)
            await _send(callback, content, public=response.public, buttons=below)
            await callback.follow_up(TOO_LARGE, ephemeral=True)


async def _send(
    callback: Callback,
    content: str,
    *,
    public: bool,
    files: tuple[File, ...] = (),
    buttons: tuple[Button, ...] = (),
) -> bool:
    """Send one message, later if Discord asks for that. Returns whether only the person sees it."""

    async def send() -> bool:
        return await callback.follow_up(content, ephemeral=not public, files=files, buttons=buttons)

    return await retried(send, _PAUSES, on=SlowDown)
