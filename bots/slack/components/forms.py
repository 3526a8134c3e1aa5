"""Modals in which people enter a longer text, and the button that opens one where no command can."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.commands.registry import Invocation, find
from core.commands.responses import Form
from core.domain.conversation import Author, Place
from core.domain.errors import UserError
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
    """Why a form is open: which setting it changes, with the arguments that come before the text, and where the outcome
    is shown, by a response_url or else in a thread. Travels through Slack as JSON, in a modal's private_metadata (3,000
    characters) or a button's value (2,000), with a proof: it says whose settings a form changes, and where we send the
    outcome.
    """

    command: str
    place: Place
    scope: Layer | None = None
    response_url: str = ""
    thread: str = ""
    given: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, invocation: Invocation, form: Form | None = None, *, response_url: str = "", thread: str = ""
    ) -> "FormContext":
        """Return the context for this command's form."""
        given = form.given if form else ()
        return cls(invocation.command.name, invocation.place, invocation.scope, response_url, thread, given)

    @classmethod
    def read(cls, written: Any, workspace: str, key: bytes) -> "FormContext":
        """Parse what `write` wrote with this key. Raises ValueError for anything else, from whomever it comes."""
        try:
            fields = json.loads(written)
            proof = _proof(fields, workspace, key)
            if not hmac.compare_digest(proof.encode(), str(fields["proof"]).encode("utf-8", "surrogatepass")):
                raise ValueError("not our form")
            find(fields["command"])
            layer = Layer(fields["scope"]) if fields["scope"] else None
            channel = fields["channel"]
            # What a person may do depends on this, so it is found out here as it is everywhere else.
            place = Place("slack", workspace, channel, fields["thread"], direct=channel.startswith("D"))
            given = tuple(str(each) for each in fields.get("given", ()))
            return cls(fields["command"], place, layer, fields["response_url"], fields["answer"], given)
        except (KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
            raise ValueError("not our form") from error

    def write(self, key: bytes) -> str:
        """Return the context as JSON, with a proof that it is ours."""
        place = self.place
        fields = {
            "command": self.command,
            "channel": place.channel,
            "thread": place.thread,
            "scope": self.scope or "",
            "response_url": self.response_url,
            "answer": self.thread,
            **({"given": self.given} if self.given else {}),  # a version that knows no such forms reads all others
        }
        return json.dumps({**fields, "proof": _proof(fields, place.workspace, key)})

    def invocation(self, author: Author, text: str = "") -> Invocation:
        """Return the command as this person gives it now, with the text as its last argument."""
        command = find(self.command)
        others = (*self.given, *("",) * len(command.arguments))[: len(command.arguments) - 1]
        return Invocation(command, self.place, author, (*others, text) if text or self.given else (), self.scope)


def modal(form: Form, context: FormContext, key: bytes) -> Json:
    """Return the view of a form, with the current value in its field."""
    shown = view(CALLBACK, form.title, form.label, "Save", context.write(key))
    (block,) = shown["blocks"]
    if len(form.value) <= LONGEST:
        block["element"]["initial_value"] = form.value
    else:
        # A value that is truncated in the field would be stored truncated when somebody submits the form.
        hint = f"The current value has {len(form.value):,} characters, too many for this field. Your text replaces it."
        block["hint"] = _plain(hint, 2_000)
    return shown


def view(callback: str, title: str, label: str, submit: str, metadata: str, max_length: int = LONGEST) -> Json:
    """Return a modal with one field for a text of at most `max_length` characters; `metadata` comes back with it."""
    field: Json = {"type": "plain_text_input", "action_id": _INPUT, "multiline": True, "max_length": max_length}
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": metadata,
        "title": _plain(title, 24),
        "submit": _plain(submit, 24),
        "close": _plain("Cancel", 24),
        "blocks": [{"type": "input", "block_id": _BLOCK, "label": _plain(label, 2_000), "element": field}],
    }


def entered(view: Mapping[str, Any]) -> str:
    """Return the text in a submitted view, "" if there is none."""
    found: Any = view
    for field in ("state", "values", _BLOCK, _INPUT, "value"):
        found = found.get(field) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def errors(sentence: str) -> dict[str, str]:
    """Return the response that shows a sentence at the field."""
    return {_BLOCK: sentence[:_ERROR]}


def _proof(fields: Mapping[str, Any], workspace: str, key: bytes) -> str:
    words = [str(fields[name]) for name in ("command", "channel", "thread", "scope", "response_url", "answer")]
    words += [str(each) for each in fields.get("given", ())]
    return hmac.new(key, json.dumps([workspace, *words]).encode(), hashlib.sha256).hexdigest()


def _plain(text: str, longest: int) -> Json:
    return {"type": "plain_text", "text": text[:longest]}
