"""Renders a page as Block Kit blocks, within Slack's limits."""

import re
from html import escape
from typing import Any

from bots.slack.dialect.markdown import LIMIT, plain, to_mrkdwn, to_slack_markdown
from core.domain.page import Page
from core.markdown.paginate import split
from core.pauses import Pausing

Json = dict[str, Any]

# Slack limits a message in bytes; 10,600 to 11,300 were observed to pass (CopilotKit/CopilotKit#6063,
# openclaw/openclaw#143882).
MARKDOWN_BYTES = 10_500
# docs.slack.dev/reference/block-kit/blocks/section-block, and text objects in general.
SECTION_CHARACTERS = 3_000
# chat.update refuses a `text` above 4,000 characters, chat.postMessage splits it into several messages
# (docs.slack.dev/reference/methods/chat.update). Notifications and screen readers use this text.
TEXT_CHARACTERS = 3_000
_SMALL_PRINT = 1_000


def fits(page: Page, max_bytes: int = MARKDOWN_BYTES) -> bool:
    """Return whether the page's text, in Slack's dialect, fits one message of `max_bytes` UTF-8 bytes; small print
    always fits."""
    return _within(to_slack_markdown(page.text), max_bytes)


def blocks(page: Page, link: str = "") -> list[Json]:
    """Return the page as blocks: small print, text, small print. `link`: mrkdwn that the small print begins with."""
    text = [{"type": "markdown", "text": to_slack_markdown(page.text)}] if page.text.strip() else []
    return [*_head(page, link), *text, *_foot(page)] or [_context("…")]


def sections(page: Page, link: str = "") -> Pausing[list[Json]]:
    """Return the same with the text in mrkdwn sections, for servers that do not support markdown blocks."""
    parts = (yield from split(page.text, _fits_section)) if page.text.strip() else ()
    text = [{"type": "section", "text": {"type": "mrkdwn", "text": to_mrkdwn(part)}} for part in parts]
    return [*_head(page, link), *text, *_foot(page)] or [_context("…")]


def small_print(page: Page) -> list[Json]:
    """Return only the page's small print, to be placed below a text."""
    return [*_head(page), *_foot(page)]


def fallback(page: Page) -> str:
    """Return the page as the plain `text` that accompanies its blocks."""
    text = plain(page.text[:TEXT_CHARACTERS]).strip() or plain(page.foot or page.head).strip() or "…"
    # never cut an entity in half: `&am` would be visible
    return text if len(text) <= TEXT_CHARACTERS else re.sub(r"&\w{0,4}$", "", text[: TEXT_CHARACTERS - 1]) + "…"


def pages(text: str) -> Pausing[tuple[Page, ...]]:
    """Split a complete text into messages, at least one."""
    parts = yield from split(text, lambda part: _within(to_slack_markdown(part)))
    return tuple(map(Page, parts)) or (Page("…"),)


def button(label: str, action: str, value: str) -> Json:
    """Return a row with one button; Slack returns `value`, up to 2,000 characters, when somebody presses it."""
    text = {"type": "plain_text", "text": label}
    return {"type": "actions", "elements": [{"type": "button", "text": text, "action_id": action, "value": value}]}


def _head(page: Page, link: str = "") -> list[Json]:
    # A head may quote a person, so it is not our Markdown, and it must not ping anybody.
    lines = [*filter(None, (link, escape(page.head[:_SMALL_PRINT], quote=False)))]
    return [_context("\n".join(lines))] if lines else []


def _foot(page: Page) -> list[Json]:
    return [_context(to_mrkdwn(page.foot[:_SMALL_PRINT]))] if page.foot else []


def _within(markdown: str, max_bytes: int = MARKDOWN_BYTES) -> bool:
    return len(markdown) <= LIMIT and len(markdown.encode()) <= max_bytes


def _fits_section(part: str) -> bool:
    return len(part) <= SECTION_CHARACTERS and len(to_mrkdwn(part)) <= SECTION_CHARACTERS


def _context(mrkdwn: str) -> Json:
    # verbatim: Slack does not turn plain `@names` and addresses into links
    element = {"type": "mrkdwn", "text": mrkdwn[:SECTION_CHARACTERS], "verbatim": True}
    return {"type": "context", "elements": [element]}
