"""Checks messages and modals as Discord does, with Discord's errors."""

from collections.abc import Sequence

from bots.sandbox.discord.world.text import TEXT_DISPLAY, walk
from bots.sandbox.discord.world.values import COMPONENTS_V2, Json

MAX_CONTENT = 2000  # code points (resources/message#create-message)
MAX_FILE = 10 * 1024 * 1024  # bytes (reference#uploading-files)
MAX_V2_BYTES = 10_170  # UTF-8 bytes + 12 per text display (discord-api-docs issue 8554)
BLOCKED_WORDS: tuple[str, ...] = ()  # by the server's AutoMod
BUTTON_COMPONENT, STRING_SELECT, SELECTS = 2, 3, frozenset({3, 5, 6, 7, 8})
LINK, PREMIUM = 5, 6  # button styles without a custom id
LABEL = 18

MESSAGES = {
    0: "401: Unauthorized",
    10003: "Unknown Channel",
    10004: "Unknown Guild",
    10007: "Unknown Member",
    10008: "Unknown Message",
    10013: "Unknown User",
    10014: "Unknown Emoji",
    10015: "Unknown Webhook",
    10062: "Unknown interaction",
    10063: "Unknown application command",
    20012: "You are not authorized to perform this action on this application",
    30046: "Maximum number of edits to messages older than 1 hour reached. Try again later",
    40005: "Request entity too large",
    40058: "Cannot message this thread until after the post author has sent an initial message.",
    40060: "Interaction has already been acknowledged.",
    40094: "This interaction has reached its limit of followup messages.",
    50001: "Missing Access",
    50005: "Cannot edit a message authored by another user",
    50006: "Cannot send an empty message",
    50007: "Cannot send messages to this user",
    50008: "Cannot send messages in a non-text channel",
    50013: "Missing Permissions",
    50024: "Cannot execute action on this channel type",
    50027: "Invalid Webhook Token",
    50035: "Invalid Form Body",
    50083: "Thread is archived",
    50109: "The request body contains invalid JSON.",
    160002: "Cannot reply without permission to read message history",
    160004: "A thread has already been created for this message",
    160005: "Thread is locked",
    200000: "Message was blocked by automatic moderation",
}
STATUS = {10: 404, 20: 403, 30: 429, 40: 400, 50: 403, 160: 400, 200: 400}
EXCEPTIONS = {40005: 413, 50006: 400, 50008: 400, 50024: 400, 50027: 401, 50035: 400, 50083: 400, 50109: 400}


class ApiError(Exception):
    """An error answer: Discord's JSON `code` and its HTTP `status`."""

    def __init__(
        self, code: int, *, status: int = 0, message: str = "", errors: Json | None = None, retry_after: float = 0.0
    ) -> None:
        super().__init__(f"{code} {message or MESSAGES.get(code, '')}")
        self.code = code
        self.status = status or EXCEPTIONS.get(code) or STATUS[code // 1000]
        self.text = message or MESSAGES[code]
        self.errors = errors
        self.retry_after = retry_after  # seconds, for 429

    @property
    def body(self) -> Json:
        """The JSON body."""
        body: Json = {"message": self.text, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        if self.status == 429:
            body |= {"retry_after": round(self.retry_after, 3), "global": False}
        return body


def invalid(path: str, code: str, message: str) -> ApiError:
    """50035 for the field at `path` (dots between the steps)."""
    errors: Json = {"_errors": [{"code": code, "message": message}]}
    for step in reversed(path.split(".")):
        errors = {step: errors}
    return ApiError(50035, errors=errors)


def text(path: str, value: str, most: int, least: int = 0) -> None:
    """Raise 50035 unless a text has `least` to `most` code points."""
    if len(value) > most:
        raise invalid(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    if len(value) < least:
        raise invalid(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")


def check_message(content: str, embeds: Sequence[Json], components: Sequence[Json], flags: int, files: int) -> None:
    """Raise Discord's error for a message that would be like this after a create or an edit."""
    text("content", content, MAX_CONTENT)
    if any(word in content for word in BLOCKED_WORDS):
        raise ApiError(200000)
    _check_embeds(embeds)
    _check_components(components, v2=bool(flags & COMPONENTS_V2))
    if files > 10:
        raise invalid("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    if flags & COMPONENTS_V2 and (content or embeds):
        field = "content" if content else "embeds"
        raise invalid(field, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", f"The '{field}' field is barred.")
    if not content.strip() and not embeds and not components and not files:
        raise ApiError(50006)


def _check_embeds(embeds: Sequence[Json]) -> None:
    if len(embeds) > 10:
        raise invalid("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        path = f"embeds.{index}"
        fields = embed.get("fields") or []
        if len(fields) > 25:
            raise invalid(f"{path}.fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        parts = [
            (f"{path}.title", embed.get("title"), 256),
            (f"{path}.description", embed.get("description"), 4096),
            (f"{path}.footer.text", (embed.get("footer") or {}).get("text"), 2048),
            (f"{path}.author.name", (embed.get("author") or {}).get("name"), 256),
            *((f"{path}.fields.{at}.name", field.get("name"), 256) for at, field in enumerate(fields)),
            *((f"{path}.fields.{at}.value", field.get("value"), 1024) for at, field in enumerate(fields)),
        ]
        for where, value, most in parts:
            text(where, str(value or ""), most)
            total += len(str(value or ""))
    if total > 6000:
        raise invalid("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_components(components: Sequence[Json], *, v2: bool) -> None:
    parts = list(walk(components))
    if not v2:
        if len(components) > 5:
            raise invalid("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        if any(part.get("type") != 1 for part in components):
            raise invalid("components.0", "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1,).')
    custom_ids = set()
    for part in parts:
        kind = part.get("type")
        if kind == 1 and not 1 <= len(part.get("components") or ()) <= 5:
            raise invalid("components.0.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        inside = part.get("components") or ()
        if kind == 1 and len(inside) > 1 and any(one.get("type") in SELECTS for one in inside):
            # a select takes the whole row (components/reference#action-row)
            raise invalid("components.0.components", "BASE_TYPE_BAD_LENGTH", "Must be 1 in length.")
        if kind == BUTTON_COMPONENT:
            text("components.0.components.0.label", str(part.get("label") or ""), 80)
        if kind == STRING_SELECT:
            _check_options(part)
        if kind in SELECTS and len(part.get("options") or ()) > 25:
            raise invalid("components.0.components.0.options", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        if kind in SELECTS or (kind == BUTTON_COMPONENT and part.get("style") not in (LINK, PREMIUM)):
            custom_id = str(part.get("custom_id") or "")
            text("components.0.components.0.custom_id", custom_id, 100, 1)
            if custom_id in custom_ids:
                raise invalid(
                    "components.0.components.0.custom_id",
                    "COMPONENT_CUSTOM_ID_DUPLICATED",
                    "Component custom id cannot be duplicated",
                )
            custom_ids.add(custom_id)
    if v2:
        shown = [str(part.get("content", "")) for part in parts if part.get("type") == TEXT_DISPLAY]
        if len(parts) > 40:
            raise invalid("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total is above 40")
        if sum(map(len, shown)) > 4000:
            raise invalid("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", "Text exceeds maximum size of 4000")
        if sum(len(one.encode()) + 12 for one in shown) > MAX_V2_BYTES:
            raise ApiError(0, status=500, message="500: Internal Server Error")


def _check_options(select: Json) -> None:
    """Raise 50035 for the options of a select (components/reference#string-select)."""
    where = "components.0.components.0"
    text(f"{where}.placeholder", str(select.get("placeholder") or ""), 150)
    options = select.get("options") or []
    if not options:
        raise invalid(f"{where}.options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
    for option in options:
        text(f"{where}.options.0.label", str(option.get("label") or ""), 100, 1)
        text(f"{where}.options.0.value", str(option.get("value") or ""), 100, 1)
    if len({option["value"] for option in options}) < len(options):
        raise invalid(
            f"{where}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The option value is already used"
        )


def check_modal(data: Json) -> None:
    """Raise 50035 for a modal that Discord would not open (components/reference)."""
    text("data.title", str(data.get("title") or ""), 45, 1)
    text("data.custom_id", str(data.get("custom_id") or ""), 100, 1)
    components = data.get("components") or []
    if not 1 <= len(components) <= 5:
        raise invalid("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    if any(part.get("type") not in (1, TEXT_DISPLAY, LABEL) for part in components):
        raise invalid("data.components.0", "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1, 10, 18).')
    for part in walk(components):
        if part.get("type") == TEXT_DISPLAY:
            text("data.components.0.content", str(part.get("content") or ""), 4000, 1)
        if part.get("type") == 4:
            text("data.components.0.placeholder", str(part.get("placeholder") or ""), 100)
            text("data.components.0.value", str(part.get("value") or ""), 4000)


def check_choices(choices: Sequence[Json]) -> None:
    """Raise 50035 for suggestions beyond 25 or longer than 100 (interactions/application-commands)."""
    if len(choices) > 25:
        raise invalid("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, choice in enumerate(choices):
        text(f"data.choices.{index}.name", str(choice.get("name", "")), 100, 1)
        if isinstance(choice.get("value"), str):
            text(f"data.choices.{index}.value", choice["value"], 100)
