"""The rules of the house that a machine can check: who imports whom, how large a file is, how it begins."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path.relative_to(ROOT) for folder in ("core", "bots") for path in (ROOT / folder).rglob("*.py"))
COMPOSITION = {
    "bots/compose.py",
    "bots/run.py",
    "bots/sandbox/driver.py",
    "bots/console/app.py",
    "bots/cli.py",
    "bots/__main__.py",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def package(name: str) -> str:
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_who_imports_whom(path: Path) -> None:
    """core knows no platform, platforms do not know each other, and Redis and the model have one door each."""
    names = set(imports(path))
    roots = {name.split(".")[0] for name in names}
    if path.parts[0] == "core":
        assert "bots" not in roots
        assert not roots & {"slack_sdk", "slack_bolt", "discord", "rich", "prompt_toolkit"}
    elif str(path) not in COMPOSITION:
        own = ".".join(path.parts[:2])
        others = {package(name) for name in names if name.startswith("bots.")} - {own, "bots.proxy", "bots.interrupt"}
        assert not others, f"{path} reaches into {others}"
    if "redis" in roots:
        assert path.parts[:2] == ("core", "store") or str(path) in COMPOSITION
    if "httpx" in roots and path.parts[0] == "core":
        assert path.name.startswith(("nebula", "catalog", "attempts", "answer"))


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_one_file_one_idea(path: Path) -> None:
    """No file is above 400 lines, and each with code begins with one sentence that says what it is."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= 400
    if text.strip():
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring
        assert len(docstring.splitlines()[0]) > 20
