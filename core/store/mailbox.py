"""Mailboxes: the keys of each conversation, all in one Cluster slot, and the Lua steps that change them."""

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from redis.asyncio import Redis

from core.domain.conversation import Conversation, Exchange, Place
from core.domain.turn_id import first_turn
from core.settings.encryption import NO_ENCRYPTION, Encryption
from core.store.entries import Entries, turn_key
from core.store.redis.client import guarded
from core.store.redis.scripts import Script, load
from core.store.redis.spaces import Spaces

P = ParamSpec("P")


VERSIONS = 5
"""How many answers to one question are kept, the one on screen included."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in seconds, and how many there may be."""

    lease: float = 7
    dedupe: float = 3600  # Slack redelivers for about six minutes; the bot looks for missed questions half an hour back
    keep: float = 30 * 86_400
    inbox: int = 20  # questions that may wait in a lane
    exchanges: int = 100
    window_bytes: int = 256 * 1024
    ended: int = 10  # turns of a conversation whose answer can be regenerated
    asked: float = 7 * 86_400  # how long it is known who asked in a thread, after their last question there
    unreadable: float = 180  # how long a question that nobody can read waits for a process that can
    chained: int = 3  # questions of bots that are accepted in one place without a person's between
    chain: float = 3600  # how long such a chain lasts after its last question


DEFAULT_RETENTION = Retention()


def _common(
    conv: str,
    line: str,
    turns: str,
    history: str,
    ended: str,
    summaries: str,
    versions: str,
    lanes: str,
    in_channel: str,
    in_workspace: str,
    /,
    *,
    name: str,
    lease_ms: int,
    longest_ms: int,
    window: int,
    window_bytes: int,
    dedupe_ms: int,
) -> Any:
    """The keys and arguments that come first in every step."""


def _accept(
    dedupe: str,
    asked: str,
    chain: str,
    /,
    *,
    request: str,
    entry: bytes,
    inbox_limit: int,
    keep_ms: int,
    parallel: int,
    claim: int,
    thread: str,
    opens: int,
    person: str,
    asked_ms: int,
    link: str,
    most: int,
    chain_ms: int,
) -> Any:
    """DUPLICATE, FULL, SILENT or QUEUED with a number, or CLAIMED with a snapshot."""


def _claim(old_line: str, old_leases: str, /, *, lane: str) -> Any:
    """HELD, EMPTY, or CLAIMED with a snapshot."""


def _ahead(*, word: str) -> Any:
    """A number, or None."""


def _renew(ending: str, /, *, fence: int, turn: str, progress: bytes) -> Any:
    """0: somebody else holds the lease; 1: it is ours; 2: stop; 3: retract; 4: the server lost the question."""


def _release(ending: str, /, *, fence: int, turn: str, progress: bytes) -> Any:
    """0: somebody else holds the lease; 1: handed back; 2: the turn had ended."""


def _unread(*, fence: int, after_ms: int) -> Any:
    """1: end the turn with a sentence; 0: handed back."""


def _restore(ending: str, /, *, fence: int, turn: str, entry: bytes) -> Any:
    """0: somebody else holds the lease; 1: the question is there again."""


def _commit(
    ending: str,
    /,
    *,
    fence: int,
    turn: str,
    exchange: bytes,
    epoch: int,
    keep: int,
    again: bytes,
    again_keep: int,
    replaces: str,
    shows: str,
    keeps: int,
    also: Sequence[str | bytes],
) -> Any:
    """STALE, IDLE, or NEXT with a snapshot."""


def _stop(*, turn: str) -> Any:
    """1 if the turn runs."""


def _reset() -> Any:
    """How many exchanges there were."""


def _revise(*, word: str, entry: bytes) -> Any:
    """1 if the answered question is remembered."""


def _edit(*, word: str, entry: bytes) -> Any:
    """GONE, RUNNING or WAITING."""


def _delete(*, word: str) -> Any:
    """A running turn, how many waiting questions were removed, the exchange and the answered question, and how many
    summaries were forgotten."""


def _undo(undoer: str, /, *, request: str, turn: str, of_lanes: Sequence[str]) -> Any:
    """BUSY, GONE or UNDONE."""


def _forget(*, person: str, of_lanes: str, entries: Sequence[bytes]) -> Any:
    """How many exchanges and summaries were forgotten."""


def _summary(*, thread: str, whole: int) -> Any:
    """The summary, empty if there is none, and the history."""


def _summarise(*, thread: str, old: bytes, entry: bytes, told: Sequence[str]) -> Any:
    """1 if it is stored."""


def _retain(*, keep_ms: int) -> Any:
    """1 if the conversation is remembered."""


def _index() -> Any:
    """1 if the conversation exists."""


def _lapsed(lanes: str, old_leases: str, /, *, most: int, lease_ms: int, beginnings: Sequence[str]) -> Any:
    """The names of lanes."""


class Mailboxes:
    """Runs the steps. `partitions`: the number of Cluster slots that hold the conversations; it must never change.

    Each step is one Lua call. It takes the conversation first and raises StoreError.
    """

    def __init__(
        self,
        redis: "Redis",
        limits: Retention,
        partitions: int = 1,
        encryption: Encryption = NO_ENCRYPTION,
        spaces: Spaces | None = None,
    ) -> None:
        self.redis, self.limits, self.partitions = redis, limits, partitions
        self.spaces = spaces or Spaces()
        self.entries = Entries(encryption)
        self._common = Script(_common)
        self.accept, self.claim = self._step(_accept), self._step(_claim)
        self.ahead = self._step(_ahead)
        self.renew, self.release = self._step(_renew), self._step(_release)
        self.unread, self.restore = self._step(_unread), self._step(_restore)
        self.index = self._step(_index)
        self.commit, self.stop = self._step(_commit), self._step(_stop)
        self.reset, self.revise = self._step(_reset), self._step(_revise)
        self.edit, self.delete = self._step(_edit), self._step(_delete)
        self.forget, self.retain = self._step(_forget), self._step(_retain)
        self.undo = self._step(_undo)
        self.summary, self.summarise = self._step(_summary), self._step(_summarise)
        self._lapsed = load(redis, _lapsed)

    def key(self, kind: str, conversation: Conversation) -> str:
        """The key of the state `c`, the line `q`, its turns `t`, the history `h`, the answers that can be regenerated
        `e`, their versions `v` or the summaries `s`; `i` is the line of a version without lanes."""
        return f"{self._tagged(conversation.name)}:{kind}:{conversation.name}"

    def dedupe_key(self, event: str) -> str:
        """The key that says whether an event was accepted; in the partition of its name."""
        return f"{self._tagged(event)}:d:{event}"

    def question_key(self, conversation: Conversation, turn: str) -> str:
        """The key that says whether a question was accepted; in the partition of its conversation."""
        return f"{self._tagged(conversation.name)}:d:{turn}"

    def writing_key(self, conversation: Conversation, dialogue: str) -> str:
        """The key that says that somebody writes the summary of a dialogue; in the partition of its conversation."""
        return f"{self._tagged(conversation.name)}:w:{conversation.name}/{dialogue}"

    def asked_key(self, conversation: Conversation) -> str:
        """The set of those who asked in the threads of a conversation's channel; in the conversation's partition."""
        return f"{self._tagged(conversation.name)}:o:{conversation.channel_scope}"

    def chain_key(self, conversation: Conversation, place: Place) -> str:
        """How many questions of bots there were in this place without a person's; in the conversation's partition."""
        return f"{self._tagged(conversation.name)}:k:{place.name}"

    def asked_keys(self, place: Place) -> tuple[str, ...]:
        """The sets that may know of the thread of this place; usually it is one."""
        names = (place.channel_scope, place.name)
        return tuple(dict.fromkeys(f"{self._tagged(name)}:o:{place.channel_scope}" for name in names))

    def asked_in(self, channel: str) -> tuple[str, ...]:
        """The sets of a channel in all partitions."""
        prefix = self.spaces.prefix(channel)
        return tuple(f"{prefix}:{{{partition}}}:o:{channel}" for partition in range(self.partitions))

    def index_keys(self, scope: str) -> tuple[str, ...]:
        """The indexes of the conversations of a workspace or channel, one in each partition."""
        prefix = self.spaces.prefix(scope)
        return tuple(f"{prefix}:{{{partition}}}:n:{scope}" for partition in range(self.partitions))

    def _tagged(self, name: str) -> str:
        return f"{self.spaces.prefix(name)}:{self.tag(name)}"

    def tag(self, name: str) -> str:
        """The partition as a Cluster hash tag, which puts all keys of a conversation into one slot."""
        return f"{{{zlib.crc32(name.encode()) % self.partitions}}}"

    def old_leases(self, conversation: Conversation) -> str:
        """The key with the leases of a version without lanes."""
        return f"{self._tagged(conversation.name)}:leases"

    async def lapsed(self, partition: int, beginnings: Sequence[str], at_most: int) -> list[bytes]:
        """Lanes of one partition with an expired lease and one of these beginnings, which are all of one space.
        Raises StoreError."""
        tagged = f"{self.spaces.prefix(beginnings[0])}:{{{partition}}}"
        async with guarded():
            found: list[bytes] = await self._lapsed(
                f"{tagged}:lanes",
                f"{tagged}:leases",
                most=at_most,
                lease_ms=ms(self.limits.lease),
                beginnings=beginnings,
            )
        return found

    async def versions(self, conversation: Conversation, turn: str) -> tuple[Exchange, ...]:
        """All answers to the question of this turn, in order of writing, whose own is the one that is shown. Raises
        StoreError."""
        async with guarded(), self.redis.pipeline(transaction=False) as pipe:
            pipe.lrange(self.key("v", conversation), 0, -1)
            pipe.lrange(self.key("h", conversation), 0, -1)
            others, history = await pipe.execute()
        first = first_turn(turn)
        entries = [each for each in others if first_turn(turn_key(each).decode("utf-8", "replace")) == first]
        entries += [each for each in history if turn_key(each) == turn.encode()]
        return tuple(sorted(self.entries.exchanges(conversation, entries), key=lambda each: each.written))

    def _step(self, stub: Callable[P, Any]) -> Callable[Concatenate[Conversation, P], Awaitable[Any]]:
        """A step as a call with its conversation. It fills in the keys and arguments that come first in every step."""
        script = Script(stub, self._common)
        run = self.redis.register_script(script.text)

        async def step(conversation: Conversation, /, *keys: P.args, **args: P.kwargs) -> Any:
            limits, tagged = self.limits, self._tagged(conversation.name)
            first_keys, first_args = self._common.pack(
                self.key("c", conversation),
                self.key("q", conversation),
                self.key("t", conversation),
                self.key("h", conversation),
                self.key("e", conversation),
                self.key("s", conversation),
                self.key("v", conversation),
                f"{tagged}:lanes",
                f"{tagged}:n:{conversation.channel_scope}",
                f"{tagged}:n:{conversation.workspace_scope}",
                name=conversation.name,
                lease_ms=ms(limits.lease),
                longest_ms=ms(limits.keep),
                window=limits.exchanges,
                window_bytes=limits.window_bytes,
                dedupe_ms=ms(limits.dedupe),
            )
            own_keys, own_args = script.pack(*keys, **args)
            async with guarded():
                return await run(keys=first_keys + own_keys, args=first_args + own_args)

        return step


def ms(seconds: float) -> int:
    """Seconds in milliseconds, Redis's unit."""
    return round(seconds * 1000)
