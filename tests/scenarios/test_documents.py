"""The documents are true: their commands can be run, their links lead somewhere, their settings are the bot's."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bots.cli import main
from bots.discord.permissions import PERMISSIONS
from bots.platforms import sections
from bots.slack.manifest import EVENTS, OPTIONAL, SCOPES
from core.commands.registry import COMMANDS
from core.settings.encryption import Encryption
from core.settings.parameters import PARAMETERS
from tests.pictures import screen

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for folder in ("", "docs") for path in (ROOT / folder).glob("*.md"))
FIELDS = {name.upper(): field for each in sections() for name, field in each.model_fields.items()}
SETTINGS = set(FIELDS)
OTHERS = {"NEBULA_API_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}  # a second name; those that libraries read
PROGRAMS = ("make ", "nebula-bot ", "manifest ", ".venv/bin/", "python ", "docker ", "cp ", "openssl ", "git ")


def text(document: str) -> str:
    return (ROOT / document).read_text()


def fenced(document: str) -> list[str]:
    """The lines of a document's blocks for the shell."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text(document), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def spans(document: str) -> list[str]:
    """What a document sets as code within a sentence or a table."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text(document), flags=re.MULTILINE | re.DOTALL))


def commands() -> list[str]:
    named = (
        [*fenced(document), *(span for span in spans(document) if span.startswith(PROGRAMS))] for document in DOCUMENTS
    )
    return sorted({command for each in named for command in each})


def rows(document: str) -> list[list[str]]:
    """The cells of a document's tables, without the lines below their heads."""
    lines = (line for line in text(document).splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("command", commands())
def test_command_can_be_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a document tells people to type is known to the program that it names, and the files in it are there."""
    program, *arguments = shlex.split(command)
    for path in (each for each in arguments if re.fullmatch(r"[\w.]+(/[\w.]+)+", each)):
        assert (ROOT / path).exists()
    match Path(program).name:
        case "make":
            done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        case "nebula-bot" | "manifest" as name:
            words = ["manifest", *arguments] if name == "manifest" else arguments
            if words[:1] == ["manifest"]:
                assert main(words) == 0
            else:
                with pytest.raises(SystemExit) as ended:
                    main([*words, "--help"])
                assert ended.value.code == 0
            assert capsys.readouterr().out
        case "python":
            assert arguments[0] == "-m"
            before = arguments.index("--") if "--" in arguments else len(arguments)
            words = [sys.executable, *arguments[:before], "--help", *arguments[before:]]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert f"usage: python -m {arguments[1]}" in done.stdout
        case "openssl":
            if shutil.which(program) is None:
                pytest.skip("openssl is not installed")
            done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
            assert Encryption([f"new:{done.stdout.strip()}"])
        case "docker":  # only its files can be checked here
            assert arguments[0] == "compose"
        case "install":
            assert (ROOT / arguments[-2]).exists()
        case "tar":  # tests/scenarios/test_service.py runs both
            assert arguments[0] in ("-czf", "-xzf")
        case _:
            pytest.fail(f"nobody checks whether {program} can be run")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_command_can_be_copied(document: str) -> None:
    """A block for the shell holds commands alone: no prompt, nothing to fill in; and no block is of another kind."""
    for line in fenced(document):
        assert not re.search(r"^[$#>]|…|<\w", line), line
    assert set(re.findall(r"^ *```(.*)$", text(document), re.MULTILINE)) <= {"sh", ""}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_link_leads_somewhere(document: str) -> None:
    """A link to another document or picture finds it, and the heading that it names."""
    for path, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", text(document)):
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_setting_is_explained() -> None:
    """.env.example and docs/settings.md have each variable that is read, once, and none that is not."""
    lines = (line.removeprefix("# ") for line in text(".env.example").splitlines())
    example = [match[1] for line in lines if (match := re.match(r"([A-Z_]+)=", line))]
    table = [cells[0].strip("`") for cells in rows("docs/settings.md") if cells[0].startswith("`")]
    assert sorted(example) == sorted(SETTINGS)
    assert sorted(table) == sorted(SETTINGS)


def test_the_example_begins_with_what_matters() -> None:
    """Ten variables, before the groups; whoever fills them in has a bot that is live and bounded."""
    top = text(".env.example").partition("# ---")[0]
    assert re.findall(r"^(?:# )?([A-Z_]+)=", top, re.MULTILINE) == [
        *("NEBULA_API_KEY", "NEBULA_TIER", "NEBULA_MODEL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DISCORD_TOKEN"),
        *("ACCESS_ALLOW", "PERSON_TOKENS", "CHANNEL_TOKENS", "REDIS_URL"),
    ]


def test_every_right_is_explained() -> None:
    """docs/permissions.md has what `manifest --explain` prints: each right, why, and what is lost without it."""
    found = [cells for cells in rows("docs/permissions.md") if "without it" not in cells]
    slack = [[f"`{name}`", each.why, each.lost] for name, each in (SCOPES | EVENTS).items()]
    kept = ["no" if name in OPTIONAL else "yes" for name in SCOPES | EVENTS]
    assert found == [
        *([*cells, minimal] for cells, minimal in zip(slack, kept, strict=True)),
        *([each.name, each.why, each.lost] for each in PERMISSIONS.values()),
    ]


def test_every_variable_that_is_named_exists() -> None:
    """No document speaks of a variable that the bot does not read."""
    for document in DOCUMENTS:
        named = {span for span in spans(document) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", span)}
        assert named <= SETTINGS | OTHERS, document


def test_table_shows_the_defaults() -> None:
    """A default in docs/settings.md is the one in force without the variable; an empty one means that there is none."""
    for name, shown, *_ in (cells for cells in rows("docs/settings.md") if cells[0].startswith("`")):
        default = FIELDS[name.strip("`")].default
        if not shown.startswith("`"):
            assert default in (None, "", ()) or shown == "a short one", name
            continue
        known = ", ".join(default) if isinstance(default, tuple) else default
        assert (f"{known:g}" if isinstance(known, float) else str(known)) == shown.strip("`"), name


def test_every_command_and_parameter_of_the_chat_is_explained() -> None:
    """docs/commands.md has each command and parameter, and none that does not exist."""
    found = set(re.findall(r"`/nebula (\w+)", text("docs/commands.md")))
    assert found == {command.name.split()[0] for command in COMMANDS}
    table = text("docs/commands.md").partition("## Parameters")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [each.name for each in PARAMETERS]


def test_architecture_names_what_exists() -> None:
    """A class, a file or a package that ARCHITECTURE.md names is there under this name."""
    sources = "\n".join(path.read_text() for folder in ("core", "bots") for path in (ROOT / folder).rglob("*.py"))
    for name in spans("ARCHITECTURE.md"):
        if re.fullmatch(r"([A-Z][a-z]+)+", name):
            assert re.search(rf"^class {name}\b", sources, re.MULTILINE), name
        elif re.fullmatch(r"(core|bots|tests|store)(/\w+)+(\.py)?", name):
            assert any((ROOT / folder / name).exists() for folder in ("", "core")), name
    for name in re.findall(r"\b(?:[A-Z][a-z]+){2,}", text("ARCHITECTURE.md").partition("## Keys")[0]):
        assert f"class {name}" in sources, name


def test_readme_is_short() -> None:
    """It is read in five minutes, and shows both platforms."""
    assert len(text("README.md").splitlines()) <= 150
    assert re.findall(r"!\[[^]]+\]\((.*)\)", text("README.md")) == ["docs/slack.svg", "docs/discord.svg"]


@pytest.mark.parametrize("name", ["slack", "discord"])
def test_picture_is_small_and_whole(name: str) -> None:
    """A picture loads nothing from elsewhere and shows the session that it is rendered from."""
    source = text(f"docs/{name}.svg")
    assert len(source.encode()) < 60_000
    assert not re.findall(r"url\((?!#)|@import|<script|href", source)
    shown = "".join(ElementTree.fromstring(source).itertext()).replace("\xa0", " ")
    assert f"{name} #general ann › " in shown
    assert "stand-in" in shown


def test_screen_shows_what_a_terminal_does() -> None:
    """A line that is drawn again replaces what it showed; what was written below it stays until it is drawn again."""
    assert screen("one\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree\nfour") == ["three", "four"]
