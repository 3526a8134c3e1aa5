"""Splits what a model thinks aloud from what it answers, while the answer streams in.

A thought comes between `<think>` and `</think>` in the content, or in a field of its own. Some models have the
opening tag in their prompt, so that only `</think>` appears
(https://github.com/deepseek-ai/DeepSeek-R1/issues/350, https://github.com/vllm-project/vllm/issues/12999).

A tag counts only where it can be one: an opening tag at the very start of an answer, a closing tag after it. So an
answer may write about `<think>` without losing a word. A model that is known to leave out the opening tag is
heard as thinking from its first word, until one of these settles it:

    </think>                    what came before was thought, the answer begins
    a reasoning field           the server separates thoughts itself: what came before was answer
    the end, by `stop`          there was no thought: all of it was the answer
    the end, by anything else   an unfinished thought, except when it began with a blank line: an answer does that
                                when the server has taken its thought away
"""

import re
from enum import Enum, auto

from core.model import Delta, Finish

OPEN, CLOSE = "<think>", "</think>"
_UNOPENED = re.compile(r"(?<![a-z0-9])r1(?![0-9])|deepseek-?r1|qwq|(?<!no)(?<!no-)(?<!non)(?<!non-)thinking")


def thinks_unopened(model: str) -> bool:
    """Whether a model of this name may begin inside a thought, without an opening tag."""
    return _UNOPENED.search(model.lower()) is not None


class _State(Enum):
    START = auto()  # nothing but white space, or a part of a tag
    THOUGHT = auto()  # after <think>
    HELD = auto()  # no tag yet, from a model that leaves out the opening one
    ANSWER = auto()


class Splitter:
    """Splits one answer. Feed it the pieces in order, then close it.

    Text that may still turn out to be the answer (HELD) is passed on as thought, so that people see the model at
    work; if it was the answer after all, `close` returns all of it as text.
    """

    def __init__(self, unopened: bool = False) -> None:
        """`unopened`: the model may begin inside a thought (see `thinks_unopened`)."""
        self._unopened = unopened
        self._state = _State.START
        self._pending = ""  # what can't be judged yet: white space, part of a tag
        self._held: list[str] = []

    @property
    def undecided(self) -> bool:
        """Whether thought that was passed on may still turn out to be the answer."""
        return self._state is _State.HELD

    def feed(self, content: str = "", thought: str = "") -> Delta:
        """What a piece of content and a piece of a reasoning field add to the answer and to the thought."""
        text = ""
        if thought:
            text = self._settle()
        if not content:
            return Delta(text, thought)
        if self._state is _State.ANSWER:  # the usual case, and the cheapest
            return Delta(text + content, thought)
        more = self._split(content)
        return Delta(text + more.text, thought + more.thought)

    def close(self, finish: Finish | None) -> Delta:
        """What was kept back. `finish` is None when the stream broke off."""
        pending, self._pending = self._pending, ""
        if self._state is _State.THOUGHT:
            return Delta(thought=pending)
        if self._state is _State.HELD:
            held = "".join((*self._held, pending))
            self._held.clear()
            if finish is Finish.STOP or (finish is not None and held.startswith("\n\n")):
                self._state = _State.ANSWER
                return Delta(text=held.lstrip())
            return Delta(thought=pending)
        return Delta(text=pending.lstrip())

    def _settle(self) -> str:
        """A reasoning field: content is clean from here on. Returns what was held back until now."""
        self._unopened = False
        if self._state is not _State.HELD:
            return ""
        text = "".join((*self._held, self._pending)).lstrip()
        self._held.clear()
        self._pending = ""
        self._state = _State.ANSWER
        return text

    def _split(self, content: str) -> Delta:
        thought = ""
        while True:
            content = self._pending + content
            self._pending = ""
            if self._state is _State.START:
                begun = content.lstrip()
                if begun not in (OPEN, CLOSE) and (OPEN.startswith(begun) or CLOSE.startswith(begun)):
                    self._pending = content
                    return Delta(thought=thought)
                if begun.startswith(OPEN):
                    self._state, content = _State.THOUGHT, begun[len(OPEN) :]
                elif begun.startswith(CLOSE):  # an empty thought whose opening tag was in the prompt
                    self._unopened, content = False, begun[len(CLOSE) :]
                    if not content:
                        return Delta(thought=thought)
                elif self._unopened:
                    self._state = _State.HELD
                else:
                    self._state = _State.ANSWER
                    return Delta(begun, thought)
                continue
            said, closed, rest = content.partition(CLOSE)
            if not closed:
                kept = _tail(content)
                said, self._pending = content[: len(content) - kept], content[len(content) - kept :]
                if self._state is _State.HELD:
                    self._held.append(said)
                return Delta(thought=thought + said)
            self._held.clear()
            thought += said
            # a second thought may follow, and its tag counts: the answer has not begun
            self._state, self._unopened, content = _State.START, False, rest


def split(content: str, thought: str, finish: Finish, unopened: bool = False) -> Delta:
    """The text and the thought of a whole answer."""
    splitter = Splitter(unopened)
    first = splitter.feed("", thought)
    second = splitter.feed(content)
    undecided = splitter.undecided
    last = splitter.close(finish)
    if undecided and last.text:
        return Delta(first.text + last.text, first.thought)
    return Delta(first.text + second.text + last.text, first.thought + second.thought + last.thought)


def _tail(content: str) -> int:
    """How many characters at the end may be the beginning of a closing tag."""
    start = content.rfind("<", max(0, len(content) - len(CLOSE) + 1))
    return len(content) - start if start >= 0 and CLOSE.startswith(content[start:]) else 0
