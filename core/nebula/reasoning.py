"""Separates what a model thinks aloud from what it answers, while the answer streams in.

A thought comes between tags in the content, such as `<think>` and `</think>` (core.nebula.templates has the pairs of
all families), or in a separate field. Some models have the opening tag in their prompt, so that only the closing one
appears (https://github.com/deepseek-ai/DeepSeek-R1/issues/350, https://github.com/vllm-project/vllm/issues/12999).
gpt-oss writes messages in named channels (https://github.com/openai/harmony): `<|channel|>analysis<|message|>…<|end|>`;
its last channel is the answer. Where a server drops the tokens, `analysis…assistantfinal…` is left of them.

A tag counts only where it can be one: an opening tag at the very start of an answer, a closing tag after it. So an
answer may mention `<think>` without losing a word. If a model is known to omit the opening tag, its output counts as
thought from the first word, until one of these decides:

    a closing tag               all before it was thought; the answer begins
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
from core.nebula.templates import ANSWER_TAGS, OWN_HEADERS, SAID_ANSWER, SAID_THOUGHT, THOUGHT_TAGS

MAX_JUDGED_TAGS = 100  # closing tags in one answer; an answer with more of them is about tags
_UNOPENED = re.compile(r"(?<![a-z0-9])r1(?![0-9])|deepseek-?r1|qwq|(?<!no)(?<!no-)(?<!non)(?<!non-)thinking")
_TICKS = re.compile("`+")
_FENCE = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(`{3,}|~{3,})(.*)")
_MARKER = re.compile(r"\s*(?:>|[-*+#|]+|\d{1,9}[.)])\s+")  # of a list, a quote, a heading or a table
_GOES_ON = re.compile(r"[,.;:!?)\]}，。；：！？）、]|[ \t]+[,.;:=()\-–—−→|]")
_SENTENCE_ENDS = ".!?;…。！？；"
_QUOTES = "\"'“‘„«「『([{（*_:：<>=|"


class _Tags:
    """Several tags, looked for without regard to case. `keep`: what ends the search without being part of the tag."""

    def __init__(self, *tags: str, keep: str = "") -> None:
        self._tags, self._keep = tuple(tag.lower() for tag in tags), keep
        self._pattern = re.compile("|".join(map(re.escape, tags)), re.IGNORECASE)
        self._first = re.compile(f"[{re.escape(''.join({tag[0] for tag in self._tags}))}]", re.IGNORECASE)
        self._longest = max(map(len, tags))

    def possible(self, content: str) -> bool:
        """Whether a tag may be or begin in this text."""
        return self._first.search(content) is not None

    def leads(self, content: str) -> str:
        """The tag with which this text begins, "" if with none."""
        found = self._pattern.match(content)
        return found[0] if found else ""

    def inside(self, content: str) -> bool:
        return self._pattern.search(content) is not None

    def partition(self, content: str) -> tuple[str, str, str]:
        """The text before the first tag, the tag, and the text after it."""
        found = self._pattern.search(content)
        if found is None:
            return content, "", ""
        end = found.start() if found[0].lower() == self._keep else found.end()
        return content[: found.start()], found[0], content[end:]

    def tail(self, content: str) -> int:
        """How many characters at the end may be the beginning of a tag."""
        for found in self._first.finditer(content, max(0, len(content) - self._longest + 1)):
            rest = content[found.start() :].lower()
            if any(tag.startswith(rest) for tag in self._tags):
                return len(rest)
        return 0


_CLOSERS = {opening: _Tags(closing) for opening, closing in THOUGHT_TAGS.items()}
_OPENING = _Tags(*THOUGHT_TAGS)
# Closing tags that are certain enough to count without an opening one.
_ANY = _Tags(*(tag for tag in THOUGHT_TAGS.values() if "think" in tag or "thought" in tag or "reason" in tag))
_ANSWER = _Tags(*ANSWER_TAGS)
# gpt-oss's channels: what ends one, and what begins the next; each needs no other.
_CHANNEL, _MESSAGE, _ASSISTANT = "<|channel|>", "<|message|>", "<|start|>assistant"
_CHANNEL_ENDS = _Tags("<|end|>", "<|call|>", "<|return|>", _ASSISTANT, _CHANNEL, keep=_CHANNEL)
_MAX_CHANNEL_NAME = 200
_BARE = tuple(name + _MESSAGE for name in ("analysis", "commentary", "final"))  # where the prompt holds the first token
_GLUED, _GLUED_END = "analysis", _Tags("assistantfinal")
_SAID_ANSWER = _Tags(*SAID_ANSWER)
_BEGINNINGS = (
    *(*THOUGHT_TAGS, *THOUGHT_TAGS.values(), *ANSWER_TAGS, *OWN_HEADERS, *SAID_THOUGHT),
    *(_CHANNEL, *_BARE, _GLUED),
)


def thinks_unopened(model: str) -> bool:
    """Whether a model of this name may begin inside a thought, without an opening tag."""
    return _UNOPENED.search(model.lower()) is not None


class _State(Enum):
    START = auto()  # only white space or part of a tag so far
    THOUGHT = auto()  # after an opening tag
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
        self._closer = _ANY  # what ends the thought
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
            if not self._pending and not _ANY.possible(content):  # the usual case, and the cheapest
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
        if self._said is not None and (tag := _ANY.leads(pending)) and self._said.ends_thought(pending[len(tag) :]):
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
                content, waits = self._begin(content)
                if waits:
                    self._pending = content
                    return Delta(thought=thought)
                continue
            said, closed, rest = self._closer.partition(content)
            if not closed:
                kept = self._closer.tail(content)
                said, self._pending = content[: len(content) - kept], content[len(content) - kept :]
                if self._state is _State.HELD:
                    self._held.append(said)
                return Delta(thought=thought + said)
            self._held.clear()
            thought += said
            # the answer has not begun: a second thought may follow, and its tag counts
            self._state, self._unopened, self._said, content = _State.START, False, None, rest

    def _begin(self, content: str) -> tuple[str, bool]:
        """Decide what begins here. Returns the text after what only marks it, and whether more of it is needed first;
        without more, either the state has changed or the text has become shorter."""
        begun = content.lstrip()
        lower = begun.lower()
        if begun == _GLUED or any(len(lower) < len(tag) and tag.startswith(lower) for tag in _BEGINNINGS):
            return content, True
        if tag := _OPENING.leads(begun):
            self._state, self._said, self._closer = _State.THOUGHT, None, _CLOSERS[tag.lower()]
            return begun[len(tag) :], False
        if header := next((each for each in OWN_HEADERS if lower.startswith(each)), ""):
            return begun[len(header) :], not begun[len(header) :]
        if lower.startswith(_BARE):
            begun = _CHANNEL + begun
        if begun.startswith(_CHANNEL):
            name, named, rest = begun[len(_CHANNEL) :].partition(_MESSAGE)
            if named:
                final = name.strip().lower().startswith("final")
                self._state, self._said = (_State.ANSWER if final else _State.THOUGHT), None
                self._closer = _CHANNEL_ENDS
                return rest.lstrip() if final else rest, False
            if len(name) <= _MAX_CHANNEL_NAME:
                return content, True
        known = self._unopened or self._said is None
        if known and (tag := _ANY.leads(begun)):  # an empty thought
            self._unopened, self._said = False, None
            return begun[len(tag) :], not begun[len(tag) :]
        if self._said is None and (tag := _ANSWER.leads(begun)):
            self._state = _State.ANSWER
            return begun[len(tag) :].lstrip(), False
        if begun.startswith(_GLUED) and begun[len(_GLUED)].isalpha() and not "a" <= begun[len(_GLUED)] <= "z":
            self._state, self._closer = _State.HELD, _GLUED_END
            self._held.append(_GLUED)
            return begun[len(_GLUED) :], False
        if said := next((each for each in SAID_THOUGHT if lower.startswith(each)), ""):
            self._state, self._closer = _State.HELD, _SAID_ANSWER
            self._held.append(begun[: len(said)])
            return begun[len(said) :], False
        if self._unopened and not content.startswith("\n\n"):
            self._state, self._closer = _State.HELD, _ANY
            return content, False
        self._state = _State.ANSWER
        return begun, False

    def _watch(self, content: str) -> Delta:
        """Process a piece of the answer, in which a closing tag may turn all before it into thought."""
        text = ""
        while self._said is not None:
            before, closed, after = _ANY.partition(content)
            if not closed:
                kept = _ANY.tail(content)
                before, self._pending = content[: len(content) - kept], content[len(content) - kept :]
                self._said.add(before)
                return Delta(text + before)
            self._said.add(before)
            text += before
            if not after.lstrip(" \t"):  # only what follows shows whether it is a tag or a word
                self._pending = closed + after
                return Delta(text)
            if self._said.ends_thought(after):
                return self._restart(after)
            self._said.add(closed)
            text, content = text + closed, after
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
        if self._fence or self._opened or _OPENING.inside(line) or "`" in line or _MARKER.fullmatch(line):
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
        elif _OPENING.inside(line):
            self._opened = self._opened or _OPENING.inside(_prose(line))


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
