"""Modals in which people enter a longer text, and the button that opens one where no command can."""

import json
from dataclasses import dataclass
from typing import Any

from core.commands.registry import Invocation, find
from core.commands.responses import Form
from core.domain.conversation import Author, Place
from core.settings.parameters import Layer

Json = dict[str, Any]

CALLBACK = "nebula_form"
OPEN = "nebula_open_form"
_BLOCK = "text"
_INPUT = "value"
# Maximum length of a plain_text_input (docs.slack.dev/reference/block-kit/block-elements/plain-text-input-element).
LONGEST = 3_000
_ERROR = 2_000


@dataclass(frozen=True, slots=True)
class FormContext:
    """Why a form is open: which setting it changes, and where the outcome is shown, by a response_url or else in a
    thread. Travels through Slack as JSON, in a modal's private_metadata (3,000 characters) or a button's value (2,000).
    """

    command: str
    place: Place
    scope: Layer | None = None
    response_url: str = ""
    thread: str = ""

    @classmethod
    def of(cls, invocation: Invocation, *, response_url: str = "", thread: str = "") -> "FormContext":
        """Return the context for this command's form."""
        return cls(invocation.command.name, invocation.place, invocation.scope, response_url, thread)

    @classmethod
    def read(cls, written: str) -> "FormContext":
        """Parse what `write` wrote. Raises ValueError for anything else."""
        try:
            fields = json.loads(written)
            layer = Layer(fields["scope"]) if fields["scope"] else None
            place = Place("slack", fields["workspace"], fields["channel"], fields["thread"], fields["direct"])
            return cls(fields["command"], place, layer, fields["response_url"], fields["answer"])
        except (KeyError, TypeError) as error:
            raise ValueError("not our form") from error

    def write(self) -> str:
        """Return the context as JSON."""
        place = self.place
        return json.dumps(
            {
                "command": self.command,
                "workspace": place.workspace,
                "channel": place.channel,
                "thread": place.thread,
                "direct": place.direct,
                "scope": self.scope or "",
                "response_url": self.response_url,
                "answer": self.thread,
            }
        )

    def invocation(self, author: Author, text: str = "") -> Invocation:
        """Return the command as this person gives it now, with the text as its last argument."""
        command = find(self.command)
        others = ("",) * (len(command.arguments) - 1)
        return Invocation(command, self.place, author, (*others, text) if text else (), self.scope)


def modal(form: Form, context: FormContext) -> Json:
    """Return the view of a form, with the current value in its field."""
    field: Json = {"type": "plain_text_input", "action_id": _INPUT, "multiline": True, "max_length": LONGEST}
    block: Json = {"type": "input", "block_id": _BLOCK, "label": _plain(form.label, 2_000), "element": field}
    if len(form.value) <= LONGEST:
        field["initial_value"] = form.value
    else:
        # A value that is truncated in the field would be stored truncated when somebody submits the form.
        hint = f"The current value has {len(form.value):,} characters, too many for this field. Your text replaces it."
        block["hint"] = _plain(hint, 2_000)
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": context.write(),
        "title": _plain(form.title, 24),
        "submit": _plain("Save", 24),
        "close": _plain("Cancel", 24),
        "blocks": [block],
    }


def entered(view: Json) -> str:
    """Return the text in a submitted view, "" if there is none."""
    values = (view.get("state") or {}).get("values") or {}
    return str(((values.get(_BLOCK) or {}).get(_INPUT) or {}).get("value") or "")


def errors(sentence: str) -> dict[str, str]:
    """Return the response that shows a sentence at the field."""
    return {_BLOCK: sentence[:_ERROR]}


def _plain(text: str, longest: int) -> Json:
    return {"type": "plain_text", "text": text[:longest]}
