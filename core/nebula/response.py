"""Decodes one response of the API from its raw bytes: a stream of events, lines of JSON or one JSON object.

It is pure: bytes in, deltas out. The caller is responsible for deadlines and the connection.
"""

import json
from dataclasses import replace

from core.domain.chat import Delta, Finish, Usage
from core.domain.errors import BrokenStream, NoAnswer
from core.nebula.failures import AttemptFailed, WebPage, from_stream
from core.nebula.reasoning import Splitter, thinks_unopened
from core.nebula.sse import MAX_EVENT_BYTES, EventDecoder, EventTooLong, ServerSentEvent
from core.nebula.templates import TurnEnd
from core.nebula.wire import Chunk, clean, parse, words

MAX_WHOLE_BYTES = 2 << 20  # of a response that is not a stream: it is parsed in one go, which takes 0.1 s
HIDDEN_PROMPT_TOKENS = 4096  # what a server may put before our messages: a chat template, instructions of its own
_REPEATED_CHARACTERS = 16  # text that repeats all text so far counts as a repetition from this length
_REPLAYED_CHARACTERS = 64  # the same for text that comes once in the middle of a stream, after several pieces
_REPLAYED_PIECES = 3
_END_EVENTS = ("done", "end", "complete", "completed")


class ResponseDecoder:
    """Feed it the body of a 200 response until it has `ended` or the body is complete, then close it."""

    def __init__(self, model: str, sent: int | None = None) -> None:
        """`model`: the API's name, which tells in which form the model may think aloud. `sent`: the bytes of the
        request, which bound the number of tokens that it can have; None for any number."""
        self._model = model
        self._sent = sent
        self._received = 0
        self._splitter = Splitter(thinks_unopened(model))
        self._turn = TurnEnd()
        self._texts, self._thoughts = _Pieces(), _Pieces()
        self._events = EventDecoder()
        self._lines: _Lines | None = None  # of a body that begins with an object
        self._kind: int | None = None  # the first significant byte of the body
        self._start = b""
        self._finish: Finish | None = None
        self._lifted: Finish | None = None  # a finish after which more text came
        self._usage: Usage | None = None
        self._half = ""  # of a character that the server has split over two chunks
        self._failed: AttemptFailed | None = None
        self._malformed = self._lost = False  # there was a malformed event; it held a piece of the answer
        self._fields: list[str] | None = []  # the thought of the reasoning field, while there is no other content
        self._answered = False
        self._output = False
        self.ended = False  # ignore all that follows
        self.alive = False  # the last bytes held output of the model, not only comments and empty chunks

    @property
    def model_finished(self) -> bool:
        """Whether the model has finished. The token counts and the end mark may still follow."""
        return self._finish is not None

    @property
    def nearly_over(self) -> bool:
        """Whether a finish came that can be believed: after output, and never one with more output after it."""
        return self._finish is not None and self._lifted is None and self._output

    def feed(self, data: bytes) -> Delta | None:
        """Return what these bytes add; None if they add nothing."""
        self.alive = False
        self._received += len(data)
        if self._kind is None:
            data = self._start + data
            start = data.lstrip(b"\xef\xbb\xbf \t\r\n")  # a `{` may follow a BOM
            if not start:
                self._start = data[-3:]
                return None
            self._kind = start[0]
            if self._kind in b"{<[":
                self._lines, data = _Lines(), start
        try:
            return self._add(self._lines.feed(data) if self._lines else self._events.feed(data))
        except EventTooLong as error:
            self._fail(AttemptFailed(BrokenStream(str(error))))
            return None

    def close(self) -> Delta:
        """Return the text held back, the finish and the usage. Raises AttemptFailed if the answer is incomplete."""
        late = None
        if not self.ended:
            late = self._late()
        if self._failed is not None:
            raise self._failed
        finish = self._finish or (Finish.STOP if self.ended else self._lifted and Finish.UNKNOWN)
        if finish is None:
            raise AttemptFailed(BrokenStream("the stream ended without a finish_reason"), again=True)
        first, last = late or Delta(), self._last(finish)
        text = last.text if last.restart else first.text + last.text
        answered = bool(text.strip()) or (self._answered and not last.restart)
        if finish in (Finish.STOP, Finish.UNKNOWN) and not answered:
            if self._malformed:
                raise AttemptFailed(BrokenStream("a chunk is not valid JSON"), again=True)
            if self._finish is not Finish.STOP or not "".join(self._fields or ()).strip():
                # LiteLLM hides a failure of the server behind it in an empty answer with a normal end
                raise AttemptFailed(NoAnswer("the answer is empty"), again=True, once=True)
            # vLLM puts an answer without a closing tag wholly into the reasoning field
            text = "".join(self._fields or ()).lstrip()
        if self._lost and finish is Finish.STOP:
            finish = Finish.UNKNOWN
        return Delta(text, first.thought + last.thought, finish, self._bounded(), first.restart or last.restart)

    def _last(self, finish: Finish) -> Delta:
        """What the splitter and the end of the turn have held back."""
        last = self._splitter.close(finish)
        if last.restart:
            self._turn = TurnEnd()
        text = self._turn.feed(last.text)
        return replace(last, text=text + self._turn.close())

    def _bounded(self) -> Usage | None:
        """The usage, within what can have been sent and received: no token has less than a byte."""
        if self._usage is None or self._sent is None:
            return self._usage
        prompt = min(self._usage.prompt, self._sent + HIDDEN_PROMPT_TOKENS)
        return Usage(prompt, min(self._usage.completion, self._received))

    def _add(self, events: list[ServerSentEvent], *, closing: bool = False) -> Delta | None:
        text = thought = content = ""
        restart = False

        def split(said: str, thinking: str) -> None:
            nonlocal text, thought, restart
            if not (said or thinking):
                return
            self.alive = self._output = True
            delta = self._splitter.feed(said, thinking)
            if delta.restart:  # its thought contains the text so far
                text, restart, self._answered, self._turn = "", True, False, TurnEnd()
            text += self._turn.feed(delta.text)
            thought += delta.thought

        for event in events:
            if self.ended:
                break
            if event.data == "[DONE]" or event.data[:20].strip(" \"'").upper() == "[DONE]":
                self.ended = True
                break
            if not (event.name or self._half) and (said := words(event.data)) is not None:
                if said:
                    self._lift()
                # where the text is split does not matter; behind a finish, a server may send all of it once more
                content += self._texts.add(said, last=self._lifted is not None)
                continue
            chunk = self._read(event)
            if chunk is None:
                continue
            if chunk.text or chunk.thought:
                self._lift()
            self._note(chunk)
            if self._failed:
                break
            said = clean(chunk.text) if chunk.message else self._whole_characters(chunk.text)
            said = self._texts.add(said, whole=chunk.message, last=chunk.finish is not None)
            thinking = self._thoughts.add(chunk.thought, whole=chunk.message, last=chunk.finish is not None)
            if thinking:
                split(content, "")
                content = ""
                if self._fields is not None and not self._texts.some:
                    self._fields.append(thinking)
                split(said, thinking)
            else:
                content += said
            self.ended = self.ended or event.name in _END_EVENTS
        if self.ended or closing:
            content += self._texts.add(clean(self._half)) + self._texts.rest()
            self._half = ""
        if content:
            split(content, "")
        if self._texts.some:
            self._fields = None
        if not text and not thought:
            return None
        self._answered = self._answered or bool(text.strip())
        return Delta(text, thought, restart=restart)

    def _read(self, event: ServerSentEvent) -> Chunk | None:
        """The chunk of an event; None if the event says nothing, or is malformed."""
        try:
            chunk = parse(event.data)
        except ValueError:
            self._malformed = True
            self._lost = self._lost or '"content"' in event.data or '"text"' in event.data
            return None
        failed = event.name == "error" or (chunk is None and event.data[:8].lower().startswith(("error", "[error")))
        if failed and (chunk is None or chunk.error is None):
            return Chunk(error=event.data)
        return chunk

    def _lift(self) -> None:
        """Text has come, so a finish before it was not the end: some servers say "stop" in each chunk."""
        if self._finish is not None:
            self._lifted, self._finish = self._finish, None

    def _whole_characters(self, text: str) -> str:
        """This piece, with the first half of its first character from the piece before (JavaScript cuts so)."""
        if not text:
            return ""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return clean(text)

    def _note(self, chunk: Chunk) -> None:
        finished = self._finish is not None and self._lifted is None and self._texts.some
        if finished and chunk.error is not None and not chunk.text:
            self.ended = True  # the answer is complete; what failed is something after it
            return
        if new := chunk.usage:
            # the last one counts: some servers repeat the usage in each chunk, others split it over two
            old = self._usage or Usage()
            self._usage = Usage(new.prompt or old.prompt, new.completion or old.completion)
        self._finish = chunk.finish or self._finish
        if chunk.error is not None:
            self._fail(from_stream(chunk.error, self._model))
        elif chunk.broken:
            self._fail(AttemptFailed(BrokenStream("the server gave up"), again=True))

    def _fail(self, failed: AttemptFailed) -> None:
        self._failed = self._failed or failed
        self.ended = True

    def _late(self) -> Delta | None:
        """What the end of the body completes."""
        if not self._lines:
            return self._add(self._events.close(), closing=True)
        body = self._lines.close()
        if body.startswith("[{"):  # Gemini's errors
            body = body.removeprefix("[").removesuffix("]")
        if self._lines.many:
            return self._add([ServerSentEvent(body)] if body else [], closing=True)
        try:
            chunk = parse(body)
        except ValueError:
            self._fail(AttemptFailed(BrokenStream("the answer is not valid JSON"), again=True))
            return None
        if chunk is None:
            self._fail(AttemptFailed(WebPage("HTTP 200 with a web page instead of an answer"), again=True))
            return None
        added = self._add([ServerSentEvent(body)], closing=True)
        self.ended = True
        return added


class _Pieces:
    """The pieces of a text. Some servers repeat in each piece, or in the last one, all that came before."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._length = self._count = 0  # of characters, of pieces
        self._held: list[str] = []  # pieces of which each may be the whole text so far
        self._repeats: bool | None = None  # whether each piece repeats the text
        self._deltas = False  # there were pieces, not only whole messages
        self.some = False  # there was a text that is more than white space

    def add(self, piece: str, *, whole: bool = False, last: bool = False) -> str:
        """Return what a piece adds. `whole`: it is a whole message. `last`: it may be the last one."""
        if not piece:
            return ""
        self.some = self.some or not piece.isspace()
        if whole:
            return self.rest() + self._add_message(piece)
        self._deltas = True
        if self._repeats is None:
            return self._judge(piece)
        if self._repeats:
            return self._rest_of(piece)
        if last and _REPEATED_CHARACTERS <= self._length == len(piece) and piece == self._all:
            return ""
        if len(piece) >= self._length >= _REPLAYED_CHARACTERS and self._count >= _REPLAYED_PIECES:
            said = self._all  # some servers replay all the text once in a while
            if len(set(said[:_REPLAYED_CHARACTERS])) >= 8 and piece.startswith(said):
                return self._new(piece[self._length :])
        return self._new(piece)

    def rest(self) -> str:
        """The pieces held back: the stream is over, or goes on in another way."""
        held, self._held = self._held, []
        if not held:
            return ""
        if self._repeats is None:
            before = self._all
            self._repeats = (len(before) >= 8 and len(set(before)) >= 3) or _is_growth([before, *held])
        return self._rest_of(held[-1]) if self._repeats else self._new("".join(held))

    def _judge(self, piece: str) -> str:
        """Nearly always the second piece shows that it does not repeat the first."""
        before = self._held[-1] if self._held else self._all
        if not before:
            return self._new(piece)
        if len(piece) > len(before) and piece.startswith(before):
            self._held.append(piece)
            if not _is_growth([self._all, *self._held]):
                return ""
            self._repeats = True
            return self.rest()
        self._repeats = False
        return self.rest() + self._new(piece)

    def _add_message(self, piece: str) -> str:
        """A message beside or in place of pieces: usually the whole text, or the text so far."""
        if len(piece) >= self._length and self._repeats is not False and piece.startswith(self._all):
            if self._length and len(piece) > self._length:
                self._repeats = True
            return self._new(piece[self._length :])
        if self._deltas:
            return self._rest_of(piece) if len(piece) > self._length and piece.startswith(self._all) else ""
        if self._repeats is None:
            self._repeats = False  # messages are pieces here
        return self._rest_of(piece) if self._repeats else self._new(piece)

    def _rest_of(self, piece: str) -> str:
        """What a piece adds that repeats the text."""
        if len(piece) <= self._length:
            return "" if self._all.startswith(piece) else self._new(piece)
        return self._new(piece[self._length :] if piece.startswith(self._all) else piece)

    def _new(self, text: str) -> str:
        if text:
            self._said.append(text)
            self._length += len(text)
            self._count += 1
        return text

    @property
    def _all(self) -> str:
        self._said = ["".join(self._said)]
        return self._said[0]


def _is_growth(texts: list[str]) -> bool:
    """Whether texts, of which each begins with the one before, are surely one text that grows: no row of signs."""
    return len(texts) >= 3 and len(texts[-1]) >= 8 and len(set(texts[-2])) >= 3


class _Lines:
    """A body that begins with an object: a whole answer, or one object in each line."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._line: bytes | None = None  # the first line; perhaps it is the whole answer
        self.many = False  # there is an object in each line

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the objects of complete lines. Raises EventTooLong."""
        searched = len(self._body)
        self._body += data
        if len(self._body) > (MAX_EVENT_BYTES if self.many and b"\n" not in data else MAX_WHOLE_BYTES):
            raise EventTooLong("the answer is too large")
        if self._line is None:
            end = self._body.find(b"\n", searched)
            if end < 0:
                return []
            self._line = bytes(self._body[:end])
            searched = end
        if not self.many:
            if self._line == b"" or not self._body[searched:].strip():
                return []
            self.many = _is_json(self._line)
            self._line = b""  # decided
            if not self.many:
                return []
        elif b"\n" not in data:
            return []
        *lines, rest = bytes(self._body).split(b"\n")
        self._body = bytearray(rest)
        return [ServerSentEvent(text) for line in lines if (text := line.decode("utf-8", "replace").strip())]

    def close(self) -> str:
        """The whole answer, or the last line without an end."""
        return self._body.decode("utf-8", "replace").strip()


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
