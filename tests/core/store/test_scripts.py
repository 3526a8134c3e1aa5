"""Lua scripts and their stubs: a script that does not agree with its header or stub does not load."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from core.store.mailbox import DEFAULT_RETENTION, Mailboxes
from core.store.presence import Presence
from core.store.quotas import Demand, Granted, QuotaLimit, Quotas
from core.store.ratelimits import RedisRateLimit
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.redis import scripts
from core.store.redis.replicas import Replicas
from core.store.redis.scripts import Script
from core.store.settings import SettingsStore
from tests.configuration import configured
from tests.redis_server import patient_quotas

LUA = Path(str(scripts.FOLDER))
DECLARED = sorted(
    (path.stem, kind) for path in LUA.glob("*.lua") for kind in re.findall("-- (KEYS|ARGV): ", path.read_text())
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the scripts, from which they are loaded."""
    shutil.copytree(LUA, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    return tmp_path


async def test_a_server_that_lost_its_scripts_gets_them_again(redis_client: Redis) -> None:
    """A restart or a failover loses them; the call is answered as if nothing had happened."""
    quotas, once = patient_quotas(redis_client), Demand(QuotaLimit.daily("once", 1), 1)
    await redis_client.script_flush()
    assert await quotas.take("first", [once]) == Granted(0)
    await redis_client.script_flush()
    assert await quotas.take("second", [once]) != Granted(0)


def _load_all() -> None:
    """Load all scripts, as a process does when it starts."""
    redis = Redis()
    ConversationLookups(Mailboxes(redis, DEFAULT_RETENTION))
    Presence(redis, 60)
    Quotas(redis)
    RedisRateLimit(redis)
    Ratings(redis, 60)
    SettingsStore(redis, configured().core.defaults, {})
    Replicas(redis)


@pytest.mark.usefixtures("folder")
def test_every_script_declares_its_keys_and_arguments() -> None:
    """All scripts load, and only those without keys and arguments of their own have no header."""
    _load_all()
    silent = {path.stem for path in LUA.glob("*.lua")} - {name for name, _ in DECLARED}
    assert silent == {"bucket", "index", "plan", "reset"}


@pytest.mark.parametrize(("name", "kind"), DECLARED)
def test_a_changed_header_fails_the_load(folder: Path, name: str, kind: str) -> None:
    """With one more name, another name or no names, the process does not start."""
    path = folder / f"{name}.lua"
    before = path.read_text()
    for old, new in ((rf"(-- {kind}: )", r"\1NEW "), (rf"(-- {kind}: )\S+", r"\1OTHER"), (rf"-- {kind}: .*\n", "")):
        path.write_text(re.sub(old, new, before, count=1))
        with pytest.raises(TypeError, match=rf"{name}\.lua"):
            _load_all()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("accept", "local DEDUPE = KEYS[11]", "local DEDUPE = KEYS[12]"),
        ("accept", "ARGV[10], ARGV[11]", "ARGV[11], ARGV[10]"),
        ("commit", "local ALSO = 17", "local ALSO = 18"),
        ("common", "KEYS[1], KEYS[2], ", "KEYS[2], KEYS[1], "),
        ("retain", "tonumber(KEEP_MS)", "tonumber(ARGV[8])"),
    ],
)
def test_a_body_that_reads_something_else_fails_the_load(folder: Path, name: str, old: str, new: str) -> None:
    """The body must read what the header declares, counted after the shared beginning."""
    path = folder / f"{name}.lua"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TypeError, match=rf"{name}\.lua does not read what its header declares"):
        _load_all()


def test_a_call_is_packed_in_the_order_of_the_header(folder: Path) -> None:
    """The order of the keywords does not matter, and repeated values are flattened."""
    (folder / "both.lua").write_text(
        "-- KEYS: FIRST REST...\n-- ARGV: A B MORE...\n"
        "local FIRST, REST = KEYS[1], 2\nlocal A, B = ARGV[1], tonumber(ARGV[2])\nlocal MORE = 3\n"
    )

    def both(first: str, rest: Sequence[str], /, *, a: str, b: int, more: Sequence[int]) -> Any:
        """Nothing."""

    assert Script(both).pack("f", ["r", "s"], more=(3, 4), b=2, a="1") == (["f", "r", "s"], ["1", 2, 3, 4])
