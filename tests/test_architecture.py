"""The rules of the house that a machine can check: who imports whom, how large packages and files are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path.relative_to(ROOT) for folder in ("core", "bots") for path in (ROOT / folder).rglob("*.py"))

# What each package may import of ours, beside itself. There is no exception.
ALLOWED: dict[str, set[str]] = {
    "core.text": set(),
    "core.domain": {"core.text"},
    "core.metrics": set(),
    "core.markdown": {"core.text"},
    "core.settings": {"core.domain", "core.text"},
    "core.ratelimit": {"core.domain"},
    "core.prompt": {"core.domain", "core.settings"},
    "core.store.redis": {"core.domain", "core.metrics"},
    "core.store": {"core.domain", "core.settings", "core.ratelimit", "core.store.redis"},
    "core.reply": {"core.domain", "core.markdown", "core.ratelimit", "core.metrics"},
    "core.nebula": {"core.domain", "core.metrics"},
    "core.nebula.wrappers": {"core.domain", "core.prompt", "core.store", "core.nebula"},
    "core.access": {"core.domain", "core.settings", "core.store"},
    "core.commands": {"core.domain", "core.settings", "core.store"},
    "core.turns": {
        *("core.domain", "core.settings", "core.ratelimit", "core.prompt", "core.store", "core.reply"),
        *("core.access", "core.metrics"),
    },
    "core.inbound": {
        *("core.domain", "core.settings", "core.store", "core.access", "core.commands", "core.reply", "core.turns"),
    },
    "bots.slack.dialect": {"core.markdown"},
    "bots.slack.api": {
        *("core.domain", "core.settings", "core.metrics", "core.text", "bots.http_port", "bots.proxy"),
    },
    "bots.slack.components": {
        *("core.domain", "core.commands", "core.markdown", "core.settings"),
        "bots.slack.dialect",
    },
    "bots.slack.outbound": {
        *("core.domain", "core.commands", "core.reply", "core.text"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.dialect"),
    },
    "bots.slack.inbound": {
        *("core.domain", "core.access", "core.commands", "core.inbound", "core.text"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.dialect", "bots.slack.outbound"),
    },
    "bots.slack.manifest": {"core.commands"},
    "bots.slack.app": {
        *("core.domain", "core.inbound", "core.settings", "bots.slack.manifest"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.inbound", "bots.slack.outbound"),
    },
    "bots.discord.dialect": {"core.markdown"},
    "bots.discord.api": {"core.domain", "core.ratelimit", "core.metrics", "bots.proxy"},
    "bots.discord.components": {"core.domain", "core.commands", "core.settings", "bots.discord.api"},
    "bots.discord.outbound": {
        *("core.domain", "core.commands", "core.markdown", "core.reply"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.dialect"),
    },
    "bots.discord.inbound": {
        *("core.domain", "core.commands", "core.inbound", "core.settings", "bots.proxy"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.dialect", "bots.discord.outbound"),
    },
    "bots.discord.app": {
        *("core.domain", "core.inbound", "core.settings"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.inbound", "bots.discord.outbound"),
    },
    "bots.console": {
        *("core.domain", "core.commands", "core.settings", "core.store", "core.text"),
        *("bots.compose", "bots.interrupt"),
    },
    "bots.sandbox.hold": set(),
    "bots.sandbox.nebula": {"core.domain", "bots.sandbox.hold"},
    "bots.sandbox.slack": set(),
    "bots.sandbox.discord": {"bots.sandbox.hold"},
    "bots.sandbox.terminal": {
        *("core.text", "bots.sandbox.nebula", "bots.sandbox.slack", "bots.sandbox.discord", "bots.interrupt"),
    },
    "bots.sandbox.app": {
        *("core.settings", "bots.compose", "bots.run", "bots.slack.app", "bots.discord.app"),
        *("bots.sandbox.nebula", "bots.sandbox.slack", "bots.sandbox.discord", "bots.sandbox.terminal"),
    },
    "bots.proxy": set(),
    "bots.http_port": set(),
    "bots.interrupt": set(),
    "bots.logs": {"core.text"},
    "bots.alive": {"core.settings"},
    "bots.health": {"core.domain", "core.settings", "core.metrics", "bots.http_port"},
    # Where concrete classes are chosen.
    "bots.compose": {
        *("core.domain", "core.settings", "core.ratelimit", "core.store", "core.store.redis", "core.nebula"),
        *("core.nebula.wrappers", "core.access", "core.commands", "core.turns", "core.inbound"),
    },
    "bots.run": {
        *("core.domain", "core.settings", "core.store.redis", "core.nebula.wrappers"),
        *("bots.alive", "bots.compose", "bots.health", "bots.slack.app", "bots.discord.app"),
    },
    "bots.cli": {
        *("core.domain", "core.settings", "bots.alive", "bots.logs", "bots.run", "bots.slack.manifest"),
        *("bots.console", "bots.sandbox.app"),
    },
    "bots.__main__": {"bots.cli"},
}
# Libraries that have one door each: who may import them.
DOORS: dict[str, set[str]] = {
    "httpx": {"core.nebula"},
    "httpx_aiohttp": {"core.nebula"},
    "msgspec": {"core.nebula"},
    "redis": {"core.store", "core.store.redis", "bots.compose", "bots.run"},
    "markdown_it": {"core.markdown", "bots.slack.dialect"},
    "wcwidth": {"core.markdown", "bots.slack.dialect"},
    "cryptography": {"core.settings"},
    "prometheus_client": {"core.metrics", "bots.health"},
    "slack_bolt": {"bots.slack.api", "bots.slack.inbound", "bots.slack.app"},
    "slack_sdk": {"bots.slack.api", "bots.slack.inbound", "bots.slack.app"},
    "discord": {
        *("bots.discord.api", "bots.discord.components", "bots.discord.inbound", "bots.discord.outbound"),
        "bots.discord.app",
    },
    "rich": {"bots.console", "bots.sandbox.terminal"},
    "prompt_toolkit": {"bots.console", "bots.sandbox.terminal"},
}
# Where private names of libraries are used; each such file says in which version it was verified.
PRIVATE = {
    *("bots.slack.api.private_api", "bots.discord.api.private_api", "core.nebula.private_api", "core.store.redis"),
}
FILES, LINES = 12, 400  # of a package, of a file
# Each plays a whole platform: its routes are many, its idea is one.
SERVERS = {"bots.sandbox.slack", "bots.sandbox.discord"}


def module(path: Path) -> str:
    """The name of a file's module."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def package(name: str) -> str:
    """The longest name of the table that a module's name begins with; "" where there is none."""
    parts = name.split(".")
    found = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((each for each in found if each in ALLOWED), "")


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, by their full names."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_who_imports_whom(path: Path) -> None:
    """Each package imports what the table allows, and a library that has one door is imported there alone."""
    own = package(module(path))
    assert own or path.name == "__init__.py", f"{path} is in no package of the table"
    for name in imports(path):
        root = name.split(".")[0]
        if root in ("core", "bots"):
            theirs = package(name)
            assert theirs in ALLOWED.get(own, set()) | {own}, f"{path} imports {name}"
        else:
            assert own in DOORS.get(root, {own}), f"{path} imports {root}"


def private_names(tree: ast.Module) -> Iterator[str]:
    """The private names that a file uses without defining them: of a library's objects, or of another file's."""
    own: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                own.add(name)
            case ast.Attribute(value=ast.Name("self" | "cls"), attr=name, ctx=ast.Store()):
                own.add(name)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")) | ast.Attribute(value=ast.Name("os"), attr="_exit"):
                continue
            case ast.Attribute(attr=name) | ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(str(name)), *_]):
                used = [name]
            case ast.ImportFrom(module=module, names=names):
                used = [*(module or "").split("."), *(alias.name for alias in names)]
            case _:
                continue
        yield from (name for name in used if name.startswith("_") and not name.endswith("__") and name not in own)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_private_names_of_libraries_are_gathered(path: Path) -> None:
    """A private name is used in the file that defines it; those of libraries are gathered in one file per package."""
    if not PRIVATE & {module(path), module(path.parent)}:
        assert not list(private_names(ast.parse((ROOT / path).read_text())))


def test_private_names_were_verified_in_the_pinned_versions() -> None:
    """The versions that these files name are the ones in requirements.lock: who changes a pin looks at them again."""
    texts = [(ROOT / path).read_text() for path in SOURCES if PRIVATE & {module(path), module(path.parent)}]
    verified = {pin for text in texts for pin in re.findall(r"[\w.-]+==\d[\w.]*\w", text)}
    assert verified
    assert verified <= {line.split(" ")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}


def test_the_table_has_no_circle() -> None:
    """There is an order in which each package comes after all that it may import."""
    left = {name: set(allowed) for name, allowed in ALLOWED.items()}
    while free := [name for name, allowed in left.items() if not allowed & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_the_table_allows_nothing_that_is_not_used() -> None:
    """What nobody imports any more is taken out of the table."""
    used: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for path in SOURCES:
        if own := package(module(path)):
            used[own] |= {package(name) for name in imports(path)} - {own, ""}
    assert {name: allowed - used[name] for name, allowed in ALLOWED.items() if allowed - used[name]} == {}


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=str)
def test_a_package_is_one_idea(folder: Path) -> None:
    """Each package says its idea in one sentence and has few files, so that its names can be read at once."""
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
    assert docstring
    assert len(docstring.splitlines()) == 1
    files = [path for path in SOURCES if path.parent == folder and path.name != "__init__.py"]
    assert len(files) <= FILES or module(folder) in SERVERS


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_one_file_one_idea(path: Path) -> None:
    """No file is above 400 lines, and each begins with one sentence that says what it is."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= LINES
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20
