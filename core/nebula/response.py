"""Decodes one response of the API from its raw bytes: a stream of events or one JSON object, whichever it is.

It is pure: bytes in, deltas out. The caller is responsible for deadlines and the connection.
"""

from core.domain.chat import Delta, Finish, Usage
from core.domain.errors import BrokenStream, NoAnswer, ServerTrouble
from core.nebula.failures import AttemptFailed, from_stream
from core.nebula.reasoning import Splitter, split, thinks_unopened
from core.nebula.sse import EventDecoder, EventTooLong, ServerSentEvent
from core.nebula.wire import Chunk, parse, words

MAX_WHOLE_BYTES = 8 << 20  # of a response that is not a stream


class ResponseDecoder:
    """Feed it the body of a 200 response until it has `ended` or the body is complete, then close it."""

    def __init__(self, model: str) -> None:
        """`model`: the API's name, which tells in which form the model may think aloud."""
        self._model = model
        self._unopened = thinks_unopened(model)
        self._splitter = Splitter(self._unopened)
        self._events = EventDecoder()
        self._kind: int | None = None  # the first significant byte of the body
        self._body = bytearray()  # of a response that is not a stream
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._failed: AttemptFailed | None = None
        self._answered = False
        self.ended = False  # ignore all that follows
        self.alive = False  # the last bytes held output of the model, not only comments and empty chunks

    @property
    def model_finished(self) -> bool:
        """Whether the model has finished. The token counts and the end mark may still follow."""
        return self._finish is not None

    def feed(self, data: bytes) -> Delta | None:
        """Return what these bytes add; None if they add nothing."""
        self.alive = False
        if self._kind is None:
            start = data.lstrip(b"\xef\xbb\xbf \t\r\n")  # a `{` may follow a BOM
            self._kind = start[0] if start else None
        if self._kind is not None and self._kind in b"{<":
            self._body += data
            if len(self._body) > MAX_WHOLE_BYTES:
                self._fail(AttemptFailed(BrokenStream("the answer is too large")))
            return None
        try:
            return self._add(self._events.feed(data))
        except EventTooLong as error:
            self._fail(AttemptFailed(BrokenStream(str(error))))
            return None

    def close(self) -> Delta:
        """Return the text held back, the finish and the usage. Raises AttemptFailed if the answer is incomplete."""
        late = None
        if not self.ended:
            late = self._whole() if self._body else self._add(self._events.close())
        if self._failed is not None:
            raise self._failed
        if self._finish is None and not self.ended:
            raise AttemptFailed(BrokenStream("the stream ended without a finish_reason"), again=True)
        finish = self._finish or Finish.STOP
        last = self._splitter.close(finish)
        first = late or Delta()
        text = last.text if last.restart else first.text + last.text
        answered = bool(text.strip()) or (self._answered and not last.restart)
        if finish is Finish.STOP and not answered:
            # LiteLLM hides a failure of the server behind it in an empty answer with a normal end
            raise AttemptFailed(NoAnswer("the answer is empty"), again=True, once=True)
        return Delta(text, first.thought + last.thought, finish, self._usage, first.restart or last.restart)

    def _add(self, events: list[ServerSentEvent]) -> Delta | None:
        text = thought = content = ""
        restart = False

        def split(said: str, thinking: str) -> None:
            nonlocal text, thought, restart
            if not (said or thinking):
                return
            self.alive = True
            delta = self._splitter.feed(said, thinking)
            if delta.restart:  # its thought contains the text so far
                text, restart, self._answered = "", True, False
            text += delta.text
            thought += delta.thought

        for event in events:
            if self.ended:
                break
            if event.data == "[DONE]":
                self.ended = True
                break
            if not event.name and (said := words(event.data)) is not None:
                content += said  # where the text is split does not matter
                continue
            try:
                chunk = parse(event.data)
            except ValueError:
                self._fail(AttemptFailed(BrokenStream("a chunk is not valid JSON"), again=True))
                break
            if chunk is None:
                continue
            if event.name == "error" and chunk.error is None:
                chunk = Chunk(error=event.data)
            self._note(chunk)
            if chunk.thought:
                split(content, "")
                split(chunk.text, chunk.thought)
                content = ""
            else:
                content += chunk.text
        if content:
            split(content, "")
        if not text and not thought:
            return None
        self._answered = self._answered or bool(text.strip())
        return Delta(text, thought, restart=restart)

    def _note(self, chunk: Chunk) -> None:
        self._usage = chunk.usage or self._usage  # the last one counts: some servers repeat the usage in each chunk
        self._finish = chunk.finish or self._finish
        if chunk.error is not None:
            self._fail(from_stream(chunk.error, self._model))
        elif chunk.broken:
            self._fail(AttemptFailed(BrokenStream("the server gave up"), again=True))

    def _fail(self, failed: AttemptFailed) -> None:
        self._failed = self._failed or failed
        self.ended = True

    def _whole(self) -> Delta | None:
        try:
            chunk = parse(self._body.decode("utf-8-sig", "replace")) if self._kind == ord("{") else None
        except ValueError:
            self._fail(AttemptFailed(BrokenStream("the answer is not valid JSON"), again=True))
            return None
        if chunk is None:
            self._fail(AttemptFailed(ServerTrouble("HTTP 200 with a web page instead of an answer"), again=True))
            return None
        self._note(chunk)
        self.ended = True
        return split(chunk.text, chunk.thought, self._finish or Finish.STOP, self._unopened)
