"""The project's rules that a program can check: imports between packages, the size of packages and files, class
names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path.relative_to(ROOT) for folder in ("core", "bots") for path in (ROOT / folder).rglob("*.py"))

# Which of our packages each package may import, beside itself. There is no exception.
ALLOWED: dict[str, set[str]] = {
    "core.text": set(),
    "core.pauses": set(),
    "core.awake": set(),
    "core.domain": {"core.text"},
    "core.metrics": set(),
    "core.finding": set(),
    "core.output": {"core.domain"},
    "core.version": set(),
    "core.untraced": set(),
    "core.markdown": {"core.pauses"},
    "core.settings": {"core.domain", "core.finding", "core.text"},
    "core.ratelimit": {"core.domain"},
    "core.prompt": {"core.domain", "core.settings", "core.text"},
    "core.files": {"core.domain", "core.pauses", "core.text"},
    # It runs in a process of its own: nothing of ours imports it.
    "core.files.child": {"core.files", "core.text", "core.untraced"},
    "core.store.redis": {"core.awake", "core.domain", "core.finding", "core.metrics"},
    "core.store": {"core.awake", "core.domain", "core.settings", "core.ratelimit", "core.store.redis"},
    "core.summaries": {
        "core.awake",
        "core.domain",
        "core.metrics",
        "core.pauses",
        "core.prompt",
        "core.store",
        "core.store.redis",
    },
    "core.reply": {"core.domain", "core.markdown", "core.pauses", "core.ratelimit", "core.metrics"},
    "core.nebula.images": {"core.domain"},
    "core.nebula.http": {"core.domain"},
    "core.nebula": {"core.awake", "core.domain", "core.metrics", "core.nebula.http", "core.nebula.images"},
    "core.nebula.wrappers": {"core.domain", "core.prompt", "core.store", "core.nebula"},
    "core.access": {"core.domain", "core.settings", "core.store"},
    "core.commands": {"core.domain", "core.settings", "core.store", "core.text"},
    "core.turns": {
        *("core.awake", "core.domain", "core.settings", "core.ratelimit", "core.prompt", "core.store", "core.reply"),
        *("core.access", "core.metrics", "core.summaries", "core.text", "core.files", "core.pauses"),
    },
    "core.inbound": {
        *("core.domain", "core.settings", "core.ratelimit", "core.store", "core.access", "core.commands"),
        *("core.reply", "core.turns", "core.text"),
    },
    "bots.slack.dialect": {"core.markdown", "core.text"},
    "bots.slack.api": {
        *("core.awake", "core.domain", "core.ratelimit", "core.metrics", "core.text"),
        *("bots.http_port", "bots.proxy"),
    },
    "bots.slack.components": {
        *("core.domain", "core.commands", "core.inbound", "core.markdown", "core.pauses", "core.settings", "core.text"),
        "bots.slack.dialect",
    },
    "bots.slack.outbound": {
        *("core.domain", "core.commands", "core.pauses", "core.ratelimit", "core.reply", "core.text"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.dialect"),
    },
    "bots.slack.inbound": {
        *("core.awake", "core.domain", "core.access", "core.commands", "core.inbound", "core.ratelimit", "core.text"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.dialect", "bots.slack.outbound"),
    },
    "bots.adapter": {"core.domain", "core.finding", "core.inbound", "core.ratelimit", "core.settings"},
    "bots.slack.greetings": {
        *("core.domain", "core.commands", "core.inbound"),
        *("bots.slack.api", "bots.slack.inbound", "bots.slack.outbound"),
    },
    "bots.slack.manifest": {"core.commands", "core.inbound"},
    "bots.slack.config": {"core.domain", "core.settings", "bots.adapter"},
    "bots.slack.examine": {
        *("core.awake", "core.domain", "core.finding", "core.text", "bots.adapter", "bots.http_port"),
        *("bots.slack.api", "bots.slack.config", "bots.slack.manifest"),
    },
    "bots.slack.app": {
        *("core.domain", "core.finding", "core.inbound", "core.ratelimit", "core.settings", "bots.adapter"),
        *("bots.slack.config", "bots.slack.examine", "bots.slack.greetings", "bots.slack.manifest"),
        *("bots.slack.api", "bots.slack.components", "bots.slack.inbound", "bots.slack.outbound"),
    },
    "bots.discord.dialect": {"core.markdown", "core.text"},
    "bots.discord.api": {"core.domain", "core.ratelimit", "core.metrics", "bots.proxy"},
    "bots.discord.components": {
        *("core.domain", "core.commands", "core.inbound", "core.settings", "bots.discord.api"),
    },
    "bots.discord.outbound": {
        *("core.domain", "core.commands", "core.markdown", "core.pauses", "core.settings"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.dialect"),
    },
    "bots.discord.room": {"core.awake", "core.domain", "core.text", "bots.discord.api", "bots.discord.dialect"},
    "bots.discord.introduction": {
        *("core.domain", "core.commands", "core.inbound", "bots.discord.api", "bots.discord.outbound"),
    },
    "bots.discord.inbound": {
        *(
            "core.awake",
            "core.domain",
            "core.commands",
            "core.inbound",
            "core.text",
            "bots.proxy",
            "bots.discord.introduction",
        ),
        *("bots.discord.api", "bots.discord.components", "bots.discord.dialect", "bots.discord.outbound"),
        "bots.discord.room",
    },
    "bots.discord.config": {"core.domain", "core.settings", "bots.adapter"},
    "bots.discord.permissions": set(),
    "bots.discord.examine": {
        *("core.awake", "core.domain", "core.finding", "core.text", "bots.adapter", "bots.proxy"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.config", "bots.discord.permissions"),
    },
    "bots.discord.app": {
        *("core.domain", "core.finding", "core.inbound", "core.ratelimit", "core.settings"),
        *("bots.adapter", "bots.discord.config", "bots.discord.examine"),
        *("bots.discord.api", "bots.discord.components", "bots.discord.inbound", "bots.discord.outbound"),
        *("bots.discord.permissions", "bots.discord.room"),
    },
    "bots.console": {
        *("core.domain", "core.commands", "core.inbound", "core.settings", "core.store", "core.text"),
        *("bots.compose", "bots.interrupt"),
    },
    "bots.sandbox.hold": set(),
    "bots.sandbox.nebula": {"core.domain", "bots.sandbox.hold"},
    "bots.sandbox.slack.workspace": set(),
    "bots.sandbox.slack.delivery": {"bots.sandbox.slack.workspace"},
    "bots.sandbox.slack.methods": {"bots.sandbox.slack.delivery", "bots.sandbox.slack.workspace"},
    "bots.sandbox.slack": {
        *("bots.sandbox.slack.delivery", "bots.sandbox.slack.methods", "bots.sandbox.slack.workspace"),
    },
    "bots.sandbox.discord.world": set(),
    "bots.sandbox.discord": {"bots.sandbox.hold", "bots.sandbox.discord.world"},
    "bots.sandbox.terminal": {
        *("core.text", "bots.sandbox.nebula", "bots.sandbox.slack", "bots.sandbox.discord", "bots.interrupt"),
        *("bots.sandbox.slack.methods", "bots.sandbox.slack.workspace", "bots.sandbox.discord.world"),
    },
    "bots.sandbox.app": {
        *("core.inbound", "core.settings", "bots.adapter", "bots.compose", "bots.run"),
        *("bots.slack.app", "bots.slack.config", "bots.slack.manifest", "bots.discord.app", "bots.discord.config"),
        *("bots.sandbox.nebula", "bots.sandbox.slack", "bots.sandbox.discord", "bots.sandbox.terminal"),
    },
    "bots.proxy": set(),
    "bots.http_port": {"core.awake", "core.domain", "core.finding", "core.settings"},
    "bots.interrupt": set(),
    "bots.logs": {"core.text"},
    "bots.alive": {"core.settings"},
    "bots.health": {"core.domain", "core.metrics", "bots.http_port"},
    "bots.doctor": {
        *("core.awake", "core.domain", "core.finding", "core.nebula", "core.settings", "core.store.redis", "core.text"),
        *("core.output", "core.version", "bots.adapter", "bots.compose", "bots.http_port", "bots.proxy"),
    },
    # Where concrete classes are chosen.
    "bots.compose": {
        *("core.domain", "core.settings", "core.ratelimit", "core.store", "core.store.redis", "core.nebula"),
        *("core.nebula.wrappers", "core.access", "core.commands", "core.summaries", "core.turns", "core.inbound"),
        *("core.files", "core.prompt"),
    },
    "bots.run": {
        *("core.domain", "core.finding", "core.settings", "core.store.redis", "core.nebula.wrappers"),
        *("core.version", "bots.adapter", "bots.alive", "bots.compose", "bots.doctor", "bots.health"),
    },
    "bots.platforms": {
        *("core.settings", "bots.adapter"),
        *("bots.slack.app", "bots.slack.config", "bots.discord.app", "bots.discord.config"),
    },
    # It tells people how to create the apps, and knows of each platform what it asks for.
    "bots.setup": {
        *("core.domain", "core.finding", "core.settings", "core.text", "bots.compose", "bots.doctor"),
        *("core.output", "bots.slack.api", "bots.slack.examine", "bots.slack.manifest"),
        *("bots.discord.api", "bots.discord.examine", "bots.discord.permissions"),
    },
    "bots.cli": {
        *("core.domain", "core.settings", "bots.alive", "bots.doctor", "bots.logs", "bots.platforms", "bots.run"),
        *("core.output", "core.untraced", "bots.setup", "bots.slack.manifest", "bots.discord.permissions"),
        *("bots.console", "bots.sandbox.app"),
    },
    "bots.__main__": {"bots.cli"},
}
# Libraries that only a few packages may import.
DOORS: dict[str, set[str]] = {
    "httpx": {"core.nebula", "core.nebula.http"},
    "httpx_aiohttp": {"core.nebula"},
    "msgspec": {"core.nebula", "core.files"},
    "PIL": {"core.files.child"},
    "pypdfium2": {"core.files.child"},
    "charset_normalizer": {"core.files.child"},
    "redis": {"core.store", "core.store.redis", "bots.compose", "bots.doctor", "bots.run"},
    "markdown_it": {"core.markdown", "bots.slack.dialect"},
    "wcwidth": {"core.markdown", "bots.slack.dialect"},
    "cryptography": {"core.settings"},
    "prometheus_client": {"core.metrics", "bots.health"},
    "slack_bolt": {"bots.slack.api", "bots.slack.inbound", "bots.slack.app"},
    "slack_sdk": {"bots.slack.api", "bots.slack.inbound", "bots.slack.app", "bots.slack.examine"},
    "discord": {
        *("bots.discord.api", "bots.discord.components", "bots.discord.inbound", "bots.discord.outbound"),
        *("bots.discord.room", "bots.discord.app", "bots.discord.examine", "bots.discord.introduction"),
        "bots.discord.permissions",
    },
    "rich": {"bots.console", "bots.sandbox.terminal"},
    "prompt_toolkit": {"bots.console", "bots.sandbox.terminal"},
}
# Where private names of libraries are used; each such file says in which version it was verified.
PRIVATE = {
    *("bots.slack.api.private_api", "bots.discord.api.private_api", "core.nebula.http.private_api", "core.store.redis"),
}
FILES, LINES = 12, 400  # files per package, lines per file


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
def test_packages_import_only_what_the_table_allows(path: Path) -> None:
    """Each package imports only what the table allows, and only the named packages import these libraries."""
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


def test_the_table_has_no_cycle() -> None:
    """In some order, each package comes after all packages that it may import."""
    left = {name: set(allowed) for name, allowed in ALLOWED.items()}
    while free := [name for name, allowed in left.items() if not allowed & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_the_table_allows_nothing_that_is_not_used() -> None:
    """The table contains no import that nobody uses."""
    used: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for path in SOURCES:
        if own := package(module(path)):
            used[own] |= {package(name) for name in imports(path)} - {own, ""}
    assert {name: allowed - used[name] for name, allowed in ALLOWED.items() if allowed - used[name]} == {}


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=str)
def test_packages_are_small_and_described(folder: Path) -> None:
    """Each package states its idea in one sentence and has few files, so that its names can be read at once."""
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
    assert docstring
    assert len(docstring.splitlines()) == 1
    files = [path for path in SOURCES if path.parent == folder and path.name != "__init__.py"]
    assert len(files) <= FILES


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_are_short_and_described(path: Path) -> None:
    """No file has more than 400 lines, and each begins with one sentence that says what it is."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= LINES
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20


def test_no_two_public_classes_share_a_name() -> None:
    """The name of a class says which one it is, without a look at the imports."""
    found: dict[str, list[Path]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path)
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
