"""Blocks: a page as Block Kit, within Slack's limits."""

import re
from html import escape
from typing import Any

from bots.slack.dialect.markdown import LIMIT, plain, to_mrkdwn, to_slack_markdown
from core.domain.page import Page
from core.markdown.paginate import Pages, flow

Json = dict[str, Any]

# Slack's own weighing of a message is in bytes: 10,600 to 11,300 were seen to pass (CopilotKit/CopilotKit#6063,
# openclaw/openclaw#143882).
MARKDOWN_BYTES = 10_500
# docs.slack.dev/reference/block-kit/blocks/section-block, and text objects in general.
SECTION_CHARACTERS = 3_000
# chat.update refuses a `text` above 4,000 characters, chat.postMessage cuts it into several messages
# (docs.slack.dev/reference/methods/chat.update). It is what notifications and screen readers get.
TEXT_CHARACTERS = 3_000
_SMALL_PRINT = 1_000


def fits(page: Page, most: int = MARKDOWN_BYTES) -> bool:
    """Whether the page's text, in Slack's dialect, is within the limits of one message, `most` UTF-8 bytes; small print
    always is."""
    return _within(to_slack_markdown(page.text), most)


def blocks(page: Page, *, markdown: bool = True) -> list[Json]:
    """The page as blocks: small print, text, small print. Without `markdown` the text is in mrkdwn sections, for
    servers that do not know markdown blocks."""
    text: list[Json] = []
    if page.text.strip():
        text = [{"type": "markdown", "text": to_slack_markdown(page.text)}] if markdown else _sections(page.text)
    return [*_head(page), *text, *_foot(page)] or [_context("…")]


def small_print(page: Page) -> list[Json]:
    """The page's small print alone, for below a text."""
    return [*_head(page), *_foot(page)]


def fallback(page: Page) -> str:
    """The page as the plain `text` beside its blocks."""
    text = plain(page.text[:TEXT_CHARACTERS]).strip() or plain(page.foot or page.head).strip() or "…"
    # never half an entity: `&am` would show as it is
    return text if len(text) <= TEXT_CHARACTERS else re.sub(r"&\w{0,4}$", "", text[: TEXT_CHARACTERS - 1]) + "…"


def pages(text: str) -> tuple[Page, ...]:
    """A whole text as messages, at least one."""
    laid = flow(Pages(), text, lambda part: _within(to_slack_markdown(part)), final=True)
    return tuple(Page(part) for part in (*laid.closed, laid.open) if part) or (Page("…"),)


def button(label: str, action: str, value: str) -> Json:
    """A row with one button; `value` comes back with its press, up to 2,000 characters."""
    text = {"type": "plain_text", "text": label}
    return {"type": "actions", "elements": [{"type": "button", "text": text, "action_id": action, "value": value}]}


def _head(page: Page) -> list[Json]:
    # A head may quote a person: nothing in it is Markdown of ours, and it must ping nobody.
    return [_context(escape(page.head[:_SMALL_PRINT], quote=False))] if page.head else []


def _foot(page: Page) -> list[Json]:
    return [_context(to_mrkdwn(page.foot[:_SMALL_PRINT]))] if page.foot else []


def _within(markdown: str, most: int = MARKDOWN_BYTES) -> bool:
    return len(markdown) <= LIMIT and len(markdown.encode()) <= most


def _sections(text: str) -> list[Json]:
    laid = flow(Pages(), text, lambda part: len(to_mrkdwn(part)) <= SECTION_CHARACTERS, final=True)
    parts = [to_mrkdwn(part) for part in (*laid.closed, laid.open) if part]
    return [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in parts]


def _context(mrkdwn: str) -> Json:
    # verbatim: plain `@names` and addresses stay plain
    element = {"type": "mrkdwn", "text": mrkdwn[:SECTION_CHARACTERS], "verbatim": True}
    return {"type": "context", "elements": [element]}
