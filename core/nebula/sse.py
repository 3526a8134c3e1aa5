"""An incremental decoder of Server-Sent Events, without IO: bytes in, events out.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import codecs
import re
from dataclasses import dataclass

import msgspec

_DATA_AGAIN = re.compile(rb"(?:data: ?)+")
MAX_EVENT_BYTES = 1 << 20  # a token takes a few hundred


class EventTooLong(ValueError):
    """An event is longer than the decoder's limit."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its data and its name. The name is "" if the stream gives none, which means a plain message."""

    data: str
    name: str = ""


class EventDecoder:
    """Turns the bytes of one stream into events, wherever they are split.

    Only LF, CR and CRLF end a line: U+2028 and similar are ordinary characters inside JSON.
    Events without data (comments, pings, `id:` and `retry:` blocks) are skipped. Invalid UTF-8 becomes U+FFFD.
    Some mistakes of real servers are understood: `data:` twice in a line, as a doubled proxy writes it; lines of data
    without a blank line between them, if each is a JSON object of its own; a JSON object or an end mark without
    `data:`; and `error:` in its place.
    """

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        """`limit`: how many bytes one event may have before its blank line."""
        self._limit = limit
        self._line = (
            bytearray()
        )  # the part of a line received so far; grows in place, so that many small reads stay cheap
        self._after_cr = False
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._dense = False  # no blank lines separate the events

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that these bytes complete. Raises EventTooLong."""
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 0x0A:  # the LF of a CRLF whose CR ended the previous piece
                data = data[1:]
        if not data:
            return []
        if self._between_events and data.endswith(b"\n\n") and b"\r" not in data:
            return self._whole_events(data)
        lines = data.splitlines()  # bytes split at LF, CR and CRLF only
        last = data[-1]
        self._after_cr = last == 0x0D
        rest = b"" if last in b"\r\n" else lines.pop()
        events: list[ServerSentEvent] = []
        if lines and self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        for line in lines:
            self._take(line, events)
        if rest:
            self._line += rest
            if self._size + len(self._line) > self._limit:
                raise EventTooLong(f"an event has more than {self._limit} bytes")
        return events

    def close(self) -> list[ServerSentEvent]:
        """Return the last event, if the stream ended without the required blank line."""
        events: list[ServerSentEvent] = []
        if self._line:
            self._take(bytes(self._line), events)
            self._line.clear()
        self._take(b"", events)
        return events

    @property
    def _between_events(self) -> bool:
        """Whether the stream is between two events."""
        return not (self._line or self._data or self._name or self._at_start)

    def _whole_events(self, data: bytes) -> list[ServerSentEvent]:
        """Decode the usual read: whole events and no part of another."""
        events: list[ServerSentEvent] = []
        for block in data[:-2].split(b"\n\n"):
            usual = block.startswith(b"data: ") and b"\n" not in block and not block.startswith(b"data:", 6)
            if usual and len(block) <= self._limit:
                if block[6:].strip(b" "):
                    events.append(ServerSentEvent(block[6:].decode("utf-8", "replace")))
                continue
            for line in block.split(b"\n"):
                self._take(line, events)
            self._dispatch(events)
        return events

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"error":  # llama.cpp until 2025
            field, self._name = b"data", "error"
        elif line.startswith((b"{", b"[DONE]")):  # a failure that knows nothing of the stream it is in
            field, value = b"data", line
        if field == b"data":
            if doubled := _DATA_AGAIN.match(value):
                value = value[doubled.end() :]
            if len(self._data) == 1 and _begins_event(value) and _is_object(self._data[0]):
                self._dispatch(events)
                self._dense = True
            self._size += len(value)
            if self._size > self._limit:
                raise EventTooLong(f"an event has more than {self._limit} bytes")
            self._data.append(value)
            if self._dense and (value.rstrip() == b"[DONE]" or (len(self._data) == 1 and _is_object(value))):
                self._dispatch(events)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        data = b"\n".join(self._data) if self._data else b""
        if data.strip(b"\n "):
            events.append(ServerSentEvent(data.decode("utf-8", "replace"), self._name))
        self._data.clear()
        self._name = ""
        self._size = 0


def _begins_event(value: bytes) -> bool:
    return value.startswith(b"{") or value.rstrip() == b"[DONE]"


def _is_object(data: bytes) -> bool:
    """Whether this is a complete JSON object. Nearly all data is refused at its first and last byte."""
    if not (data.startswith(b"{") and data.rstrip().endswith(b"}")):
        return False
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return True
