"""The values that the sandbox's Slack returns: messages as people see them, calls, deliveries, views."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SlackUser:
    """A member of the workspace, or of another `team`; `bot_id` is set for apps."""

    id: str
    name: str
    admin: bool = False
    owner: bool = False
    bot_id: str = ""
    team: str = ""  # "" for ours
    guest: bool = False  # sees only the channels that they are in


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """A conversation. `kind`: channel (public), group (private), im or mpim, as events name it."""

    id: str
    name: str
    kind: str
    creator: str
    members: frozenset[str]
    archived: bool = False


@dataclass(frozen=True, slots=True)
class SlackFile:
    """A file; `data` is its content. `alt`: what a picture shows.

    `size`: what Slack says of it, None for the truth. `stub`: another workspace shares it, and Slack describes it only
    when asked (docs.slack.dev/reference/objects/file-object, check_file_info). `elsewhere`: it was only linked, and is
    at this address. `encoding`: in which it comes. `mode`: "canvas" or "post" for what people write in Slack itself,
    whose content comes as a web page; "snippet" for a text, whose beginning an event brings along;
    "hidden_by_limit" for one that the workspace's plan no longer shows, "tombstone" for one that was deleted.
    """

    name: str
    data: bytes
    mimetype: str = "application/octet-stream"
    id: str = ""
    user: str = ""
    alt: str = ""
    size: int | None = None
    stub: bool = False
    elsewhere: str = ""
    encoding: str = ""
    mode: str = "hosted"


@dataclass(frozen=True, slots=True)
class SlackFrame:
    """What a message showed from the moment `at` on (monotonic seconds)."""

    at: float
    shown: str


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A snapshot of a message.

    `shown` is the Markdown that a person reads; `pings` are those that a client would act on; `unfurls` says whether
    link previews were left on; `only_for` names the one person who sees an ephemeral message; `edits` counts updates,
    and `edited` says whether people see the "(edited)" label; `streaming` is "", in_progress or completed; `metadata`
    is what the app attached for apps; `attachments` are cards and forwarded messages.
    """

    ts: str
    channel: str
    user: str = ""
    bot: str = ""
    text: str = ""
    shown: str = ""
    blocks: tuple[Json, ...] = ()
    thread_ts: str = ""
    subtype: str = ""
    app: str = ""
    client_msg_id: str = ""
    files: tuple[SlackFile, ...] = ()
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    edits: int = 0
    edited: str = ""  # ts of the last edit with a label
    frames: tuple[SlackFrame, ...] = ()
    pings: tuple[str, ...] = ()
    unfurls: bool = False
    only_for: str = ""
    streaming: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attachments: tuple[Json, ...] = ()

    @property
    def buttons(self) -> tuple[str, ...]:
        """The action_ids that a person could press."""
        found = (element for block in self.blocks for element in block_elements(block))
        return tuple(each["action_id"] for each in found if "action_id" in each and "options" not in each)

    @property
    def choices(self) -> Mapping[str, tuple[str, str]]:
        """The options of its menus: each label with the action_id of its menu, and its value."""
        found = (element for block in self.blocks for element in block_elements(block))
        return {
            option["text"]["text"]: (each["action_id"], option["value"])
            for each in found
            for option in each.get("options", ())
        }


@dataclass(frozen=True, slots=True)
class View:
    """An open modal, or somebody's App Home. `errors` are the app's errors for its fields, by block_id."""

    id: str
    user: str
    type: str
    callback_id: str
    title: str
    private_metadata: str
    blocks: tuple[Json, ...]
    raw: Json
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlackCall:
    """A call of the Web API. `at`: its arrival in monotonic seconds; `error`: Slack's error code, or "" for success."""

    method: str
    arguments: Mapping[str, Any]
    at: float
    error: str = ""
    status: int = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver something to the app. `kind`: events_api, slash_commands or interactive.

    `problem` is "" if the app acknowledged it, otherwise Slack's retry reason.
    """

    kind: str
    name: str  # type of the event, the command, or the type of the interaction
    event_id: str
    attempt: int
    at: float
    problem: str = ""


def block_elements(block: Json) -> list[Json]:
    """The interactive elements of a block."""
    found = block.get("elements", []) if block.get("type") in ("actions", "context_actions") else []
    return [*found, *(block[name] for name in ("accessory", "element") if name in block)]
