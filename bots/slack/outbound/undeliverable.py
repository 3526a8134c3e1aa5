"""Barred: what a person is told whose question can't be answered where it was put."""

import logging

from bots.slack.api.client import Web, code_of
from core.domain.conversation import Address
from core.domain.errors import PlatformError

log = logging.getLogger(__name__)

# Refusals of chat.postMessage that a person can do something about (docs.slack.dev/reference/methods).
_WHY = {
    "not_in_channel": "I am not in it. Add me (`/invite`) and ask again.",
    "is_archived": "it is archived.",
    "restricted_action": "only some people may write there.",
    "restricted_action_read_only_channel": "only some people may write there.",
    "restricted_action_thread_only_channel": "it takes replies in threads only. Ask me in a thread.",
    "restricted_action_thread_locked": "the thread is locked.",
    "restricted_action_non_threadable_channel": "it has no threads.",
}


async def tell(web: Web, address: Address, error: PlatformError) -> None:
    """Tell whoever asked why there is no answer, alone in the channel or else directly; best effort."""
    why = _WHY.get(code_of(error))
    place, person = address.place, address.author
    if not (why and person and address.turn) or place.direct:
        return
    sentence = f"I can't answer in <#{place.channel}>: {why}"
    here = web.client.chat_postEphemeral(
        channel=place.channel, user=person, text=sentence, thread_ts=place.thread or None
    )
    try:
        await web.call(here)
        return
    except PlatformError as refused:
        log.info("nobody can be told there: %s", refused)
    try:
        # A person's id opens their direct message (docs.slack.dev/reference/methods/chat.postMessage).
        await web.call(web.client.chat_postMessage(channel=person, text=sentence, unfurl_links=False))
    except PlatformError as refused:
        log.info("nobody was told that a question stays unanswered: %s", refused)
