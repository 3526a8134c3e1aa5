"""Steps whose answer gets lost on the wire: the client sends them once more, and learns what the first one did."""

from core.domain.conversation import Conversation, Lane
from core.settings.presets import Preset
from core.store.records import ConversationLookups, Undone
from core.store.settings import Saved, SettingsStore
from core.store.turns import Claimed, Turns
from tests.configuration import configured
from tests.core.store.line import line
from tests.core.store.queue_model import question, said
from tests.redis_server import patient_connection

HERE = Conversation(question("C1", 0).place.name)
LIBRARY = "test/W1"


async def test_an_undo_whose_answer_was_lost_is_told_as_done(redis_url: str) -> None:
    """With the messages that are to go: the repetition does not find that nothing is there. A later one does."""
    async with line(redis_url) as (wire, redis):
        turns = Turns(redis)
        begun = await turns.accept(Lane(HERE), question("C1", 0), "request")
        assert isinstance(begun, Claimed)
        await turns.commit(begun.turn, said(begun.turn), ("m1",))
        records = ConversationLookups(turns.mailboxes)
        [exchange] = await records.history(HERE)
        wire.loses = True
        undone = await records.undo(HERE, exchange)
        assert wire.lost == 1
        assert isinstance(undone, Undone)
        assert undone.shown
        assert undone.shown.messages == ("m1",)
        assert await records.undo(HERE, exchange) is None
        assert await records.history(HERE) == ()


async def test_a_preset_whose_answer_was_lost_is_told_as_done(redis_url: str) -> None:
    """Saved, saved anew and deleted: nobody was faster. Whoever read an older one still is too late."""
    first, second = (Preset("p", "i", each, (("prompt", each),), "U1", "Ann", 1.0) for each in ("one", "two"))
    async with line(redis_url) as (wire, redis):
        store = SettingsStore(redis, configured().core.defaults, {})
        for before, after in ((None, first), (first, second)):
            wire.loses = True
            assert await store.save_preset(LIBRARY, after, before) is Saved.DONE
            assert await store.save_preset(LIBRARY, first, None) is (Saved.DONE if after is first else Saved.CHANGED)
        wire.loses = True
        assert await store.delete_preset(LIBRARY, first) is Saved.CHANGED
        wire.loses = True
        assert await store.delete_preset(LIBRARY, second) is Saved.DONE
        assert wire.lost == 4
        assert await store.preset(LIBRARY, "p") is None


async def test_an_answer_that_ends_while_its_person_is_forgotten_leaves_nothing(redis_url: str) -> None:
    """It is stored after the history was read, and before the step that forgets; nor can it be regenerated."""
    async with line(redis_url) as (wire, redis), patient_connection(redis_url) as other:
        turns = Turns(other)
        begun = await turns.accept(Lane(HERE), question("C1", 0), "request")
        assert isinstance(begun, Claimed)
        turn = begun.turn

        ended: list[str] = []

        async def ends() -> None:
            ended.append(turn.question.id)
            await turns.commit(turn, said(turn), ("m1",))

        wire.words, wire.meanwhile = turns.mailboxes.key("h", HERE).encode() + b"\r\n$1\r\n0", ends
        records = ConversationLookups(Turns(redis).mailboxes)
        await records.forget(HERE, turn.question.author.id)
        assert ended
        assert await records.history(HERE) == ()
        assert await records.ended(HERE, "m1") is None
