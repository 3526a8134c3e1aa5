"""What somebody asks by command, and the model that they chose for this one question."""

import re
from dataclasses import dataclass, replace

from core.commands.registry import Invocation, missing
from core.domain.errors import UserError
from core.domain.question import Question
from core.settings.parameters import checked, parameter

# Before a question, perhaps behind the flag `--private`, which is left; phones turn two hyphens into a dash.
_MODEL = re.compile(r"((?:--|[\u2014\u2013])private\s+)?(?:--|[\u2014\u2013])model(?:[\s=]+(\S+)|$)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AskedByCommand:
    """The question, and the model as somebody wrote it, "" for the usual one. `draws`: a picture is to answer it."""

    text: str
    model: str = ""
    draws: bool = False

    def of(self, question: Question) -> Question:
        """This question with what the command asks."""
        return replace(question, text=self.text, model=self.model, draws=self.draws)


def asked(invocation: Invocation) -> AskedByCommand | None:
    """What a command asks, None for one that asks nothing. Raises UserError, which says what to write instead."""
    if invocation.command.name == "with":
        if lack := missing(invocation):
            raise UserError(lack)
        return AskedByCommand(invocation.argument("prompt"), named_model(invocation.argument("model")))
    if invocation.command.name == "imagine":
        if lack := missing(invocation):
            raise UserError(lack)
        return AskedByCommand(invocation.argument("text"), draws=True)
    if invocation.command.name != "ask":
        return None
    prompt = invocation.argument("prompt")
    if not (flag := _MODEL.match(prompt)):
        return AskedByCommand(prompt)
    text = (flag[1] or "") + prompt[flag.end() :]
    if not (flag[2] and prompt[flag.end() :].strip()):
        raise UserError("Write the model's name and your question: `ask --model <name> <question>`.")
    return AskedByCommand(text, named_model(flag[2]))


def named_model(text: str) -> str:
    """The name of a model, "" for none. Raises UserError for what can't be one."""
    return checked(parameter("model"), text) if text.strip() else ""
