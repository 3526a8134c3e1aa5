"""The SSE decoder: every line end of real servers, and every way in which a network splits the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.nebula.sse import EventDecoder, EventTooLong, ServerSentEvent


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def datas(*pieces: bytes) -> list[str]:
    return [event.data for event in decode(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_lf_crlf_or_cr(end: bytes) -> None:
    """All three line ends of the standard separate lines and events."""
    assert datas(b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end) == ["a\nb", "c"]


def test_a_split_crlf_is_one_line_end() -> None:
    """An LF at the start of the next piece does not count as an empty line."""
    assert datas(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_event_is_complete_with_its_blank_line() -> None:
    """A CR at the end of a piece does not wait for an LF that may never come."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\r\r") == [ServerSentEvent("a")]


def test_other_unicode_line_ends_are_data() -> None:
    """U+2028, U+2029, U+0085, VT and FF are ordinary characters in JSON."""
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf"
    assert datas(f"data: {text}\n\n".encode()) == [text]


def test_the_space_after_the_colon_is_optional_and_only_one_is_dropped() -> None:
    """`data:x`, `data: x` and `data:  x` are read as the standard says."""
    assert datas(b"data:x\n\ndata: x\n\ndata:  x\n\n") == ["x", "x", " x"]


def test_comments_pings_and_blocks_without_data_are_skipped() -> None:
    """Only data reaches the JSON parser."""
    assert datas(b": ping\n\nid: 1\nretry: 3\n\ndata:\n\ndata\n\n:\n\nevent: x\n\ndata: a\n\n") == ["a"]


def test_a_byte_order_mark_does_not_hide_the_first_event() -> None:
    """A BOM at the very start is dropped, even if it is split."""
    assert datas(b"\xef\xbb", b"\xbfdata: a\n\n") == ["a"]


def test_the_name_belongs_to_its_event_alone() -> None:
    """`event:` names one event and not the next."""
    assert decode(b"event: error\ndata: a\n\ndata: b\n\n") == [ServerSentEvent("a", "error"), ServerSentEvent("b")]


def test_the_last_event_needs_no_blank_line() -> None:
    """A body that ends in the middle of an event still gives that event."""
    assert datas(b"data: a\n\ndata: b") == ["a", "b"]
    assert datas(b"data: a\n\ndata: b\n") == ["a", "b"]


def test_invalid_utf_8_does_not_end_the_stream() -> None:
    """An invalid byte becomes U+FFFD."""
    assert datas(b"data: a\xffb\n\n") == ["a\ufffdb"]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 90, b": " + b"x" * 90, b"data: xxxxxxxxxx\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    """Neither a long line nor endless data lines exceed the limit."""
    decoder = EventDecoder(limit=100)

    def feed() -> None:
        for _ in range(20):
            decoder.feed(piece)

    with pytest.raises(EventTooLong):
        feed()


def test_endless_comments_are_no_event() -> None:
    """There may be any number of keep-alive comments without an event between them."""
    decoder = EventDecoder(limit=100)
    for _ in range(100):
        assert decoder.feed(b": keep-alive\n") == []


def test_an_event_in_many_pieces_is_joined_in_linear_time() -> None:
    """Copying the line for each piece would move 800 GB here and exceed the test's time limit."""
    decoder = EventDecoder(limit=1 << 24)
    events = [event for piece in (b"data: ", *[b"x" * 8] * 450_000, b"\n\n") for event in decoder.feed(piece)]
    assert [len(event.data) for event in events] == [3_600_000]


STREAM_LINES = st.sampled_from(
    [
        b'data: {"t":"\xe2\x80\xa8\xf0\x9f\x99\x82"}',
        b"data:x",
        b"data",
        b": ping",
        b"id: 7",
        b"event: error",
        b"",
        b"",
        b"data: \xff\xfe",
    ]
)


@given(
    st.lists(st.tuples(STREAM_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12),
    st.booleans(),
    st.data(),
)
def test_splits_change_nothing(lines: list[tuple[bytes, bytes]], bom: bool, data: st.DataObject) -> None:
    """Any split of the same bytes gives the same events."""
    # a lone CR before an LF line would read as one CRLF, which is correct however it is split
    body = (b"\xef\xbb\xbf" if bom else b"") + b"".join(line + end for line, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    pieces = [body[start:stop] for start, stop in pairwise([0, *cuts, len(body)])]
    assert decode(*pieces) == decode(body)
    assert decode(*(bytes((byte,)) for byte in body)) == decode(body)


@given(st.lists(st.lists(STREAM_LINES, max_size=3), max_size=6), st.data())
def test_a_read_of_whole_events_gives_the_same_events(events: list[list[bytes]], data: st.DataObject) -> None:
    """Reads that end at the end of an event take a shorter path, which gives the same result as single bytes."""
    blocks = [b"".join(line + b"\n" for line in lines) + b"\n" for lines in events]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(blocks)), max_size=4)))
    pieces = [b"".join(blocks[start:stop]) for start, stop in pairwise([0, *cuts, len(blocks)])]
    assert decode(*pieces) == decode(*(bytes((byte,)) for byte in b"".join(blocks)))


def test_a_read_of_whole_events_is_bounded_too() -> None:
    """The limit also holds for an event in one piece."""
    decoder = EventDecoder(limit=100)
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent("a")]
    with pytest.raises(EventTooLong):
        decoder.feed(b"data: " + b"x" * 101 + b"\n\n")
