"""Separates what a model thinks aloud from what it answers, while the answer streams in.

A thought comes between `<think>` and `</think>` in the content, or in a separate field. Some models have the
opening tag in their prompt, so that only `</think>` appears
(https://github.com/deepseek-ai/DeepSeek-R1/issues/350, https://github.com/vllm-project/vllm/issues/12999).

A tag counts only where it can be one: an opening tag at the very start of an answer, a closing tag after it. So an
answer may mention `<think>` without losing a word. If a model is known to omit the opening tag, its output counts as
thought from the first word, until one of these decides:

    </think>                    all before it was thought; the answer begins
    a reasoning field           the server separates thoughts itself: all before it was answer
    the end, by `stop`          there was no thought: all of it was the answer
    the end, by anything else   an unfinished thought

A blank line before the first word means that the server has removed a thought: the answer begins there.

The output of any other model counts as answer. If a closing tag then appears where neither a sentence nor code would
have one, and there was no thought before, then all before the tag was thought and the answer begins behind it: the
delta has `restart` set.
"""

import re
from enum import Enum, auto

from core.domain.chat import Delta, Finish

OPENING_TAG, CLOSING_TAG = "<think>", "</think>"
MAX_JUDGED_TAGS = 100  # closing tags in one answer; an answer with more of them is about tags
_UNOPENED = re.compile(r"(?<![a-z0-9])r1(?![0-9])|deepseek-?r1|qwq|(?<!no)(?<!no-)(?<!non)(?<!non-)thinking")
_TICKS = re.compile("`+")
_FENCE = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(`{3,}|~{3,})(.*)")
_MARKER = re.compile(r"\s*(?:>|[-*+#|]+|\d{1,9}[.)])\s+")  # of a list, a quote, a heading or a table
_GOES_ON = re.compile(r"[,.;:!?)\]}，。；：！？）、]|[ \t]+[,.;:=()\-–—−→|]")
_SENTENCE_ENDS = ".!?;…。！？；"
_QUOTES = "\"'“‘„«「『([{（*_:：<>=|"


def thinks_unopened(model: str) -> bool:
    """Whether a model of this name may begin inside a thought, without an opening tag."""
    return _UNOPENED.search(model.lower()) is not None


class _State(Enum):
    START = auto()  # only white space or part of a tag so far
    THOUGHT = auto()  # after <think>
    HELD = auto()  # no tag yet, from a model that omits the opening tag
    ANSWER = auto()


class Splitter:
    """Splits one answer. Feed it the pieces in order, then close it.

    Text that may still turn out to be the answer (HELD) is passed on as thought, so that people see the model
    working. If it was the answer after all, `close` returns all of it as text.
    """

    def __init__(self, unopened: bool = False) -> None:
        """`unopened`: the model may begin inside a thought (see `thinks_unopened`)."""
        self._unopened = unopened
        self._state = _State.START
        self._pending = ""  # undecided so far: white space, part of a tag, or a tag and the blanks after it
        self._held: list[str] = []
        self._said: _Said | None = _Said()  # the answer, while it may still turn out to be thought

    @property
    def undecided(self) -> bool:
        """Whether thought that was passed on may still turn out to be the answer."""
        return self._state is _State.HELD

    def feed(self, content: str = "", thought: str = "") -> Delta:
        """Return what a piece of content and a piece of a reasoning field add to the answer and to the thought.

        There is at most one `restart`; its thought contains all the text before it.
        """
        text = ""
        if thought:
            text = self._settle()
        if not content:
            return Delta(text, thought)
        if self._state is _State.ANSWER:
            if self._said is None:
                return Delta(text + content, thought)
            if not self._pending and "<" not in content:  # the usual case, and the cheapest
                self._said.add(content)
                return Delta(content)
        more = self._split(content)
        return Delta(text + more.text, thought + more.thought, restart=more.restart)

    def close(self, finish: Finish | None) -> Delta:
        """Return the text held back. `finish` is None if the stream broke off."""
        pending, self._pending = self._pending, ""
        if self._state is _State.THOUGHT:
            return Delta(thought=pending)
        if self._state is _State.HELD:
            if finish is Finish.STOP:
                self._state = _State.ANSWER
                return Delta(text="".join((*self._held, pending)).lstrip())
            return Delta(thought=pending)
        if self._state is _State.START:
            return Delta(text=pending.lstrip())
        if (
            self._said is not None
            and pending.startswith(CLOSING_TAG)
            and self._said.ends_thought(pending[len(CLOSING_TAG) :])
        ):
            return self._restart("")
        return Delta(text=pending)

    def _settle(self) -> str:
        """A reasoning field has come: from here on, content has no tags. Returns the text held back so far."""
        self._unopened, self._said = False, None
        if self._state in (_State.START, _State.THOUGHT):
            return ""
        text = "".join((*self._held, self._pending))
        if self._state is _State.HELD:
            text = text.lstrip()
        self._held.clear()
        self._pending = ""
        self._state = _State.ANSWER
        return text

    def _split(self, content: str) -> Delta:
        thought = ""
        while True:
            content = self._pending + content
            self._pending = ""
            if self._state is _State.ANSWER:
                more = self._watch(content)
                return Delta(more.text, thought + more.thought, restart=more.restart)
            if self._state is _State.START:
                begun = content.lstrip()
                if begun not in (OPENING_TAG, CLOSING_TAG) and (
                    OPENING_TAG.startswith(begun) or CLOSING_TAG.startswith(begun)
                ):
                    self._pending = content
                    return Delta(thought=thought)
                if begun.startswith(OPENING_TAG):
                    self._state, self._said, content = _State.THOUGHT, None, begun[len(OPENING_TAG) :]
                elif begun.startswith(CLOSING_TAG) and (self._unopened or self._said is None):  # an empty thought
                    self._unopened, self._said, content = False, None, begun[len(CLOSING_TAG) :]
                    if not content:
                        return Delta(thought=thought)
                elif self._unopened and not content.startswith("\n\n"):
                    self._state = _State.HELD
                else:
                    self._state, content = _State.ANSWER, begun
                continue
            said, closed, rest = content.partition(CLOSING_TAG)
            if not closed:
                kept = _tail(content)
                said, self._pending = content[: len(content) - kept], content[len(content) - kept :]
                if self._state is _State.HELD:
                    self._held.append(said)
                return Delta(thought=thought + said)
            self._held.clear()
            thought += said
            # the answer has not begun: a second thought may follow, and its tag counts
            self._state, self._unopened, self._said, content = _State.START, False, None, rest

    def _watch(self, content: str) -> Delta:
        """Process a piece of the answer, in which a closing tag may turn all before it into thought."""
        text = ""
        while self._said is not None:
            before, closed, after = content.partition(CLOSING_TAG)
            if not closed:
                kept = _tail(content)
                before, self._pending = content[: len(content) - kept], content[len(content) - kept :]
                self._said.add(before)
                return Delta(text + before)
            self._said.add(before)
            text += before
            if not after.lstrip(" \t"):  # only what follows shows whether it is a tag or a word
                self._pending = CLOSING_TAG + after
                return Delta(text)
            if self._said.ends_thought(after):
                return self._restart(after)
            self._said.add(CLOSING_TAG)
            text, content = text + CLOSING_TAG, after
            if self._said.judged == MAX_JUDGED_TAGS:
                self._said = None
        return Delta(text + content)

    def _restart(self, rest: str) -> Delta:
        """All text so far was thought; the answer begins with `rest`."""
        thought = self._said.whole() if self._said is not None else ""
        self._state, self._unopened, self._said = _State.START, False, None
        more = self._split(rest) if rest else Delta()
        return Delta(more.text, thought + more.thought, restart=bool(thought))


class _Said:
    """The answer so far. Its Markdown is parsed only when a closing tag appears, and each line only once."""

    def __init__(self) -> None:
        self.judged = 0  # closing tags
        self._pieces: list[str] = []
        self._parsed = 0  # pieces parsed
        self._line = ""  # the unfinished line at the end of the last piece parsed
        self._fence = ""  # the fence that opened the current code block
        self._opened = False  # there was an opening tag, which the next closing tag would match

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    def whole(self) -> str:
        return "".join(self._pieces)

    def ends_thought(self, after: str) -> bool:
        """Whether a closing tag between all this and `after` ends a thought. `after` is more than blanks, or the end.

        Such a tag is at the beginning or end of a line, or after a sentence (vLLM and LiteLLM give
        `text</think>\\n\\n`, chat templates `text\\n</think>\\n\\n`), and the rest of the line does not go on as a
        sentence about the tag.
        """
        self.judged += 1
        *lines, self._line = (self._line + "".join(self._pieces[self._parsed :])).split("\n")
        self._parsed = len(self._pieces)
        for line in lines:
            self._scan(line)
        line = _prose(self._line)
        if self._fence or self._opened or OPENING_TAG in line or "`" in line or _MARKER.fullmatch(line):
            return False
        follows = after.lstrip(" \t")
        last = not follows or follows[0] in "\r\n"
        if not last and _GOES_ON.match(after):
            return False
        if after != follows and follows[:1].isalpha() and not follows[0].isupper():
            return False
        said = line.rstrip()
        if not said:
            return len(line.expandtabs(4)) < 4  # a deeper indentation means code
        if said[-1] in _SENTENCE_ENDS:
            return True
        return said == line and said[-1] not in _QUOTES and (last or after != follows)

    def _scan(self, line: str) -> None:
        found = _FENCE.match(line)
        if self._fence:
            if found and found[1].startswith(self._fence) and not found[2].strip():
                self._fence = ""
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            self._fence = found[1]
        elif OPENING_TAG in line:
            self._opened = self._opened or OPENING_TAG in _prose(line)


def split(content: str, thought: str, finish: Finish, unopened: bool = False) -> Delta:
    """Split a whole answer into its text and its thought."""
    splitter = Splitter(unopened)
    first = splitter.feed("", thought)
    second = splitter.feed(content)
    undecided = splitter.undecided
    last = splitter.close(finish)
    if undecided and last.text:
        return Delta(first.text + last.text, first.thought)
    text = last.text if last.restart else second.text + last.text
    return Delta(text, first.thought + second.thought + last.thought)


def _prose(line: str) -> str:
    """The line with an x for each code span. A span that is still open becomes a backtick at the end."""
    parts: list[str] = []
    start = ticks = 0
    for run in _TICKS.finditer(line):
        length = run.end() - run.start()
        if not ticks:
            parts.append(line[start : run.start()])
            ticks = length
        elif length == ticks:
            parts.append("x")
            start, ticks = run.end(), 0
    parts.append("`" if ticks else line[start:])
    return "".join(parts)


def _tail(content: str) -> int:
    """How many characters at the end may be the beginning of a closing tag."""
    start = content.rfind("<", max(0, len(content) - len(CLOSING_TAG) + 1))
    return len(content) - start if start >= 0 and CLOSING_TAG.startswith(content[start:]) else 0
