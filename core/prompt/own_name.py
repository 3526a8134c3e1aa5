"""Takes the bot's own name away from the front of an answer: in a room, models imitate the names before messages."""

import re
from dataclasses import replace

from core.domain.chat import Delta

_ALWAYS = "assistant"  # the name of the model's role in chat templates
_KINDS = "bot|ai|app|assistant"  # what may stand in brackets behind a name
_MAX_NAMES = 3  # in a row
_DECORATION = "*_`@[(<#\"' "


class OwnName:
    """Takes the name away from one answer, however it is streamed."""

    def __init__(self, name: str) -> None:
        """`name`: the name that people see; letter case does not matter."""
        # one of `nebula: `, `**nebula:** `, `[nebula]: `, `@nebula:`, with a colon of any script
        names = "|".join(re.escape(each) for each in dict.fromkeys((name.strip().lower(), _ALWAYS)) if each)
        self._prefix = re.compile(
            rf"\s*(?P<open>[*_`]{{0,3}})[@\[(<\"']?(?:{names})(?: ?[\[(](?:{_KINDS})[\])])?"
            r"[\])>\"']?(?:(?P=open)\s?[:：]|\s?[:：](?P=open))"
            r"(?:[ \t]+|\s*\n\s*|(?=\S))"
        )
        self._longest = max(len(name), len(_ALWAYS)) + 24
        self._begins = tuple(each for each in (name.strip().lower(), _ALWAYS) if each)
        self._held = ""
        self._left = _MAX_NAMES

    def without(self, delta: Delta) -> Delta:
        """The delta without the name. The last delta, which has a finish, also brings what was held back."""
        if delta.restart:
            self._held, self._left = "", _MAX_NAMES
        if not self._left:
            return delta
        text = self._held + delta.text
        self._held = ""
        while self._left and (found := self._prefix.match(text.lower())) and len(text) == len(text.lower()):
            if found.end() == len(text):
                break  # only what follows shows that it is not the whole answer
            text, self._left = text[found.end() :], self._left - 1
        if self._left and delta.finish is None and self._may_begin(text):
            self._held, text = text, ""
        elif text.strip():
            self._left = 0
        else:
            self._held, text = (text, "") if delta.finish is None else ("", text)
        return replace(delta, text=text)

    def _may_begin(self, text: str) -> bool:
        """Whether this may be the beginning of a name, or a name without the text that follows."""
        begun = text.lstrip().lower()
        if len(begun) > self._longest:
            return False
        bare = begun.lstrip(_DECORATION)
        return any(each.startswith(bare) or self._follows(bare, each) for each in self._begins)

    @staticmethod
    def _follows(bare: str, name: str) -> bool:
        kind = bare[len(name) :].strip("*_`[(])>\"' \t\n:：")
        return bare.startswith(name) and any(each.startswith(kind) for each in _KINDS.split("|"))
