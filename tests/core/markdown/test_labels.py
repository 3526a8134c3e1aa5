"""Labels of links that name another address than the target."""

import pytest

from core.markdown.labels import misleads
from tests.growth import MOST, growth

EVIL = "https://evil.example/x"


@pytest.mark.parametrize(
    "label",
    [
        "https://bank.com",
        "bank.com",
        "www.bank.com",
        "Bank.com/login",
        "Log in at https://bank.com now",
        "**https://bank.com**",
        "https\\://bank.com",
        "https:/\u200b/bank.com",
        "&#104;ttps://bank.com",
        "ba**nk**.com",
        "bank\u3002com",
        "https://bank.com.evil.test",
        "http://user@bank.com/",
        "HTTPS://BANK.COM",
        "`bank.com`",
        "my.py/x",
        "https://my.py",
        "\u0440\u0430\u0443pal.com",
    ],
)
def test_an_address_of_another_host(label: str) -> None:
    """However it is written."""
    assert misleads(label, EVIL)


@pytest.mark.parametrize(
    ("label", "target"),
    [
        ("the docs", EVIL),
        ("https://evil.example", EVIL),
        ("evil.example", EVIL),
        ("www.evil.example/y", EVIL),
        ("docs.evil.example", EVIL),
        (EVIL, EVIL),
        ("main.py", "https://github.com/a/b/main.py"),
        ("README.md", "https://github.com/a/b"),
        ("version 1.2.3", EVIL),
        ("e.g. this", EVIL),
        ("ann@bank.com", "mailto:ann@bank.com"),
        ("Node.js", "https://nodejs.org"),
        ("b\u00fccher.de", "https://xn--bcher-kva.de/"),
        ("https://bank.com", "#bank"),
    ],
)
def test_an_honest_label(label: str, target: str) -> None:
    """Words, the same site, files, versions."""
    assert not misleads(label, target)


def test_who_the_target_belongs_to_is_read_as_a_browser_does() -> None:
    """A name before an at sign is no host."""
    assert misleads("https://bank.com", "https://bank.com@evil.example/")
    assert misleads("https://bank.com", "https://evil.example\\@bank.com/")
    assert misleads("https://bank.com", "https://[/")


@pytest.mark.parametrize("text", ["a.", "a", "a@", "https://", ".", "\\", "-", "a:/"])
async def test_the_time_grows_with_the_length(text: str) -> None:
    """Twice as long a label costs no more than twice as much."""
    assert await growth(lambda label: misleads(label, EVIL), lambda n: text * (n // len(text))) <= MOST
