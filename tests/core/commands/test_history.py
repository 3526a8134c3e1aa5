"""The history of a channel: export, deletion, retention and encryption."""

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.commands.registry import Invocation, find
from core.commands.responses import Response
from core.domain.conversation import Conversation, Place, Rights
from core.domain.page import Action
from core.settings.encryption import Encryption, Unreadable, WrongKey
from core.store.records import ConversationLookups
from core.store.redis.erasure import DAILY, RECENT, WANTED
from core.store.turns import Turns
from core.turns.runner import GAVE_UP
from tests.core.core_harness import ANN, BOB, HERE, LANE, ROOM, Process, process

THREAD = Place("test", "W1", "C1", "T7")


async def used(bot: Process, text: str, rights: Rights = Rights.NONE) -> Response:
    name, _, whose = text.partition(" ")

    async def of() -> Rights:
        return rights

    return await bot.dispatcher.invoked(Invocation(find(name), ROOM, ANN, (whose,)), of)


async def questions(bot: Process, conversation: str = ROOM.name) -> list[str]:
    return [
        each.question for each in await ConversationLookups(bot.turns.mailboxes).history(Conversation(conversation))
    ]


async def talk(bot: Process) -> None:
    """Ann and Bob ask in the channel, Ann in a thread with its own memory, both in private."""
    await bot.answer("of Ann")
    await bot.answer("of Bob", author=BOB)
    for author in (ANN, BOB):
        await bot.inbox.accept(bot.question("secret", author=author, private=True))
        await bot.runner.idle()
    await bot.command("set memory thread")
    await bot.answer("of Ann in a thread", THREAD)


async def test_people_can_delete_their_own_questions(bot: Process) -> None:
    """In the channel, in its threads and in private; the questions of others stay."""
    await talk(bot)
    assert "3 questions" in (await used(bot, "forget me")).text
    assert await questions(bot) == ["of Bob"]
    assert await questions(bot, THREAD.name) == []
    assert await questions(bot, f"{ROOM.name}/private/U1") == []
    assert await questions(bot, f"{ROOM.name}/private/U2") == ["secret"]


async def test_managers_can_delete_everything(bot: Process) -> None:
    """They delete everything in the channel; nobody else can."""
    await talk(bot)
    assert "Only those who manage" in (await used(bot, "forget all")).text
    assert await questions(bot) == ["of Ann", "of Bob"]
    assert "5 questions" in (await used(bot, "forget all", Rights.CHANNEL)).text
    for conversation in (ROOM.name, THREAD.name, f"{ROOM.name}/private/U2"):
        assert await questions(bot, conversation) == []


@pytest.mark.parametrize("way", ["reset", "forget me", "set retention 1", "deleted message"])
async def test_what_is_forgotten_leaves_the_servers_log_too(bot: Process, redis_client: Redis, way: str) -> None:
    """However it is forgotten, the append-only file is to be rewritten without it."""
    question = bot.question("a secret")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    for key in (DAILY, RECENT):  # a rewrite began a short time ago, so the next one waits
        await redis_client.set(key, 1)
    assert not await redis_client.exists(WANTED)
    if way == "deleted message":
        await bot.dispatcher.deleted(ROOM, question.message)
    else:
        await bot.command(way)
    assert await redis_client.exists(WANTED)


async def test_running_question_that_is_forgotten_is_not_stored(bot: Process, server: NebulaServer) -> None:
    """If the author deletes everything while the model writes an answer, that answer is not stored either."""
    held = server.hold(after=3)
    server.answer_next("word " * 30)
    await bot.inbox.accept(mention := bot.question("running"))
    await bot.rooms.rooms[mention.message].until("word")
    await used(bot, "forget me")
    held.release()
    await bot.runner.idle()
    assert await questions(bot) == []


async def test_export_contains_all_stored_exchanges(bot: Process) -> None:
    """One line per exchange: everybody gets their own, managers get all, nobody gets private questions of others."""
    await talk(bot)
    mine = await used(bot, "export me")
    everything = await used(bot, "export all", Rights.CHANNEL)
    assert mine.files
    assert everything.files
    lines = [json.loads(line) for line in mine.files[0].content.splitlines()]
    assert [line["question"] for line in lines] == ["of Ann", "of Ann in a thread", "secret"]
    assert [json.loads(line)["question"] for line in everything.files[0].content.splitlines()] == [
        *("of Ann", "of Bob"),
        "of Ann in a thread",
        "secret",
    ]


async def test_empty_export_is_a_sentence(bot: Process) -> None:
    """An empty file would help nobody."""
    assert (await used(bot, "export")).text == "There is nothing to export here."


async def test_retention_is_set_per_channel(bot: Process, redis_client: Redis) -> None:
    """The keys of a conversation expire after the time in the channel's setting."""
    await bot.command("set retention 2")
    await bot.answer("hi")
    for kind in "che":
        assert 86_400_000 < await redis_client.pttl(f"nb:{{0}}:{kind}:{ROOM.name}") <= 2 * 86_400_000


async def test_expired_exchanges_are_neither_read_nor_kept(bot: Process, redis_client: Redis) -> None:
    """This also holds in a busy channel, where the keys never expire."""
    await bot.answer("old")
    await bot.answer("new")
    key = f"nb:{{0}}:h:{ROOM.name}"
    entry = await redis_client.lindex(key, 0)
    assert isinstance(entry, bytes)
    words, _, value = entry.partition(b"|")
    aged = words.rpartition(b",@")[0] + b",@1000|" + value
    await redis_client.lset(key, 0, aged)  # type: ignore[arg-type]
    server_saw = await bot.answer("newest")
    assert server_saw
    assert await questions(bot) == ["new", "newest"]


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


async def test_texts_are_encrypted(redis_client: Redis, server: NebulaServer) -> None:
    """With a key, no word that people wrote is readable in Redis, and everything works as it does without one."""
    server.answer_next("classified answer")
    async with process(redis_client, server, encryption_keys=key("a")) as bot:
        await bot.answer("classified question")
        async for name in redis_client.scan_iter():
            dump: Any = await redis_client.dump(name)
            assert b"classified" not in dump, name
        await bot.answer("and?")
    assert server.requests[-1].messages[2].content == "classified answer"


async def test_keys_can_be_changed(redis_client: Redis, server: NebulaServer) -> None:
    """Entries with an older key stay readable, and with `plain` those from before there were keys."""
    old, new = key("old"), key("new")
    for keys in ("", f"{old},plain", f"{new},{old},plain"):
        async with process(redis_client, server, encryption_keys=keys) as bot:
            await bot.answer(f"with {len(keys)}")
    assert len(server.requests[-1].messages) == 1 + 2 + 2 + 1
    async with process(redis_client, server, encryption_keys=new) as bot:
        await bot.answer("without the old one, and without what is not encrypted")
    assert len(server.requests[-1].messages) == 1 + 2 + 1


async def test_question_that_cannot_be_decrypted_is_kept(redis_client: Redis, server: NebulaServer) -> None:
    """A process without the key leaves the question to one that has it."""
    right = key("a")
    async with process(redis_client, server, encryption_keys=right) as bot:
        pass
    question = bot.question("encrypted")
    await bot.inbox.accept(question)  # accepted while the process was closing
    async with process(redis_client, server, rooms=bot.rooms) as blind:
        await blind.answer("hello", Place("test", "W1", "C2"))
        assert await blind.turns.waiting(HERE) == 1
    await redis_client.zadd("nb:{0}:lanes", {str(LANE): 1})
    async with process(redis_client, server, rooms=bot.rooms, encryption_keys=right) as successor:
        await successor.settled(question)


@pytest.mark.parametrize(
    "keys", [["SECRETkey"], ["SECRETSECRETSECRET:QUJD"], ["a:!!"], ["a:QUJD"], ["b c:QUJD"], 2 * [key("a")]]
)
def test_wrong_keys_are_refused(keys: list[str]) -> None:
    """The start fails with a sentence that does not contain the key."""
    with pytest.raises(WrongKey) as wrong:
        Encryption(keys)
    assert not any(part in str(wrong.value) for part in ("!!", "QUJD", "SECRET"))


async def test_entry_with_other_words_is_not_read(redis_client: Redis, server: NebulaServer) -> None:
    """Whoever can write to Redis can't give an answer to another turn or message, nor put in one of their own."""
    async with process(redis_client, server, encryption_keys=key("a")) as bot:
        await bot.answer("mine")
        history = f"nb:{{0}}:h:{ROOM.name}"
        entry = await redis_client.lindex(history, 0)
        assert isinstance(entry, bytes)
        words, _, value = entry.partition(b"|")
        forged = (
            b'{"turn":"t","author":{"id":"U1","name":"Ann"},"question":"forged","answer":"a","messages":["m"],"at":1}'
        )
        await redis_client.rpush(history, b"other," + words + b"|" + value, b"t,m|" + forged)
        assert await redis_client.rpush(f"nb:{{0}}:e:{ROOM.name}", entry)
        records = ConversationLookups(bot.turns.mailboxes)
        assert [each.question for each in await records.history(HERE)] == ["mine"]
        assert await records.exchange(HERE, "m") is None


def test_entry_of_the_version_before_can_be_read() -> None:
    """It did not seal the words; and what this version seals is, for that one, encrypted with a key that it lacks."""
    secret = key("a")
    encryption, nonce = Encryption([secret]), b"n" * 12
    cipher = AESGCM(base64.b64decode(secret.partition(":")[2]))
    older = b"\x01a." + nonce + cipher.encrypt(nonce, b"text", b"here")
    assert encryption.decrypt(older, "here", b"words") == b"text"
    assert encryption.encrypt(b"text", "here", b"words").startswith(b"\x01a+.")
    with pytest.raises(Unreadable):
        encryption.decrypt(encryption.encrypt(b"text", "here", b"words"), "here", b"others")


def test_plain_text_beside_keys() -> None:
    """It is refused, unless the configuration says that encryption is being switched on or off."""
    with pytest.raises(Unreadable):
        Encryption([key("a")]).decrypt(b"{}", "here")
    assert Encryption([key("a"), "plain"]).decrypt(b"{}", "here") == b"{}"
    off = Encryption(["plain", key("a")])
    assert off.decrypt(off.encrypt(b"{}", "here"), "here") == off.encrypt(b"{}", "here") == b"{}"


def test_encrypted_text_belongs_to_its_place() -> None:
    """An entry that was moved to another conversation, or changed, can't be decrypted."""
    encryption = Encryption([key("a")])
    stored = encryption.encrypt(b"text", "here")
    assert encryption.decrypt(stored, "here") == b"text"
    for other, place in ((stored, "there"), (stored[:-1] + bytes([stored[-1] ^ 1]), "here"), (stored[:8], "here")):
        with pytest.raises(Unreadable):
            encryption.decrypt(other, place)


async def test_process_without_the_key_uses_up_no_attempt(redis_client: Redis, server: NebulaServer) -> None:
    """However often it tries, the process with the key still answers."""
    right = key("a")
    async with process(redis_client, server, encryption_keys=right) as bot:
        pass
    question = bot.question("encrypted")
    await bot.inbox.accept(question)  # accepted while the process was closing
    for _ in range(5):
        with pytest.raises(Unreadable):
            await Turns(redis_client).claim(LANE)
    async with process(redis_client, server, rooms=bot.rooms, encryption_keys=right) as successor:
        await successor.settled(question)
    assert GAVE_UP not in bot.shown(question)


async def test_retention_applies_at_once(bot: Process, redis_client: Redis) -> None:
    """It also applies in a channel where nobody asks any more; an export has nothing that is too old."""
    await bot.answer("hi")
    await bot.command("set retention 1")
    for kind in "che":
        assert await redis_client.pttl(f"nb:{{0}}:{kind}:{ROOM.name}") <= 86_400_000


async def test_answer_to_several_questions_belongs_to_all_who_asked(bot: Process, server: NebulaServer) -> None:
    """Each author of several questions answered together may ask again, and `forget` deletes the exchange."""
    await bot.command("set parallel 1")
    await bot.command("set overlap merge")
    server.fault(NebulaFault(stall_after=3))
    server.answer_next("first " * 20)
    await bot.inbox.accept(first := bot.question("first"))
    await bot.rooms.rooms[first.message].until("first")
    second = bot.question("second", author=BOB)
    for mention in (second, bot.question("secret of Ann")):
        await bot.inbox.accept(mention)
    await bot.turns.stop(HERE, first.id)
    await bot.runner.idle()
    [message] = bot.rooms.rooms[second.message].messages
    assert await bot.press(Action.AGAIN, message, ANN) is None
    await bot.runner.idle()
    await used(bot, "forget me")
    async for name in redis_keys(bot):
        dump: Any = await bot.turns.mailboxes.redis.dump(name)
        assert b"secret of Ann" not in dump, name


def redis_keys(bot: Process) -> AsyncIterator[bytes]:
    return bot.turns.mailboxes.redis.scan_iter()
