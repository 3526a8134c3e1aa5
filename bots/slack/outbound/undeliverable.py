"""Tells a person why their question can't be answered in the place where they asked it."""

import logging

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of, known
from core.domain.conversation import Address
from core.domain.errors import PlatformError
from core.text import one_line

log = logging.getLogger(__name__)

# Refusals of chat.postMessage that people can understand or resolve (docs.slack.dev/reference/methods).
_REASONS = {
    "not_in_channel": "I'm not a member. Add me with `/invite` and ask again.",
    "is_archived": "it is archived.",
    "restricted_action": "only some people may post there.",
    "restricted_action_read_only_channel": "only some people may post there.",
    "restricted_action_thread_only_channel": "it only allows replies in threads. Ask me in a thread.",
    "restricted_action_thread_locked": "the thread is locked.",
    "restricted_action_non_threadable_channel": "it doesn't allow threads.",
}


async def tell(web: Web, address: Address, error: PlatformError) -> None:
    """Tell only the person who asked why there is no answer, in the channel or else directly; best effort."""
    code = code_of(error)
    strange = f"Slack refuses my reply (`{one_line(code, 50)}`)." if code and not known(code) else ""
    reason = _REASONS.get(code) or strange
    place, person = address.place, address.author
    if not (reason and person and address.turn) or place.direct:
        return
    sentence = f"I can't answer in <#{place.channel}>: {reason}"
    here = web.client.chat_postEphemeral(
        channel=place.channel, user=person, text=sentence, thread_ts=place.thread or None
    )
    try:
        await web.call(here)
        return
    except PlatformError as refused:
        log.info("Slack: could not tell a person in the channel why there is no answer: %s", refused)
    try:
        # Posting to a person's id opens their direct message (docs.slack.dev/reference/methods/chat.postMessage).
        await web.call(
            web.client.chat_postMessage(channel=person, text=sentence, unfurl_links=False, unfurl_media=False)
        )
    except PlatformError as refused:
        log.info("Slack: could not tell a person why there is no answer: %s", refused)
