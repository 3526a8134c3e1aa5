"""Mentions in a text: turns typed names into ids, and finds whom a text notifies."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bots.sandbox.discord.world.values import Json

# Discord's parser ignores mentions inside code; an unclosed fence is no code.
CODE_SPAN = re.compile(r"```.*?```|``.+?``|`[^`\n]+`", re.DOTALL)
USER_MENTION = re.compile(r"<@!?(\d{15,20})>")
ROLE_MENTION = re.compile(r"<@&(\d{15,20})>")
TEXT_DISPLAY = 10


@dataclass(frozen=True, slots=True)
class Mentions:
    """The live mentions of a text: ids in order of appearance."""

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    everyone: bool = False
    here: bool = False

    @property
    def pings(self) -> frozenset[str]:
        """The mentions as names: everyone, here, user:ID, role:ID."""
        names = [f"user:{user}" for user in self.users] + [f"role:{role}" for role in self.roles]
        if self.everyone:
            names.append("everyone")
        if self.here:
            names.append("here")
        return frozenset(names)


def mentions(text: str, allowed: Json | None = None, *, users_only: bool = False) -> Mentions:
    """Whom `text` notifies under an allowed_mentions object (resources/message#allowed-mentions-object).

    Without one, all mentions are live, or with `users_only` (interactions and webhooks) only those of users.
    """
    live = CODE_SPAN.sub(" ", text)
    users = tuple(dict.fromkeys(USER_MENTION.findall(live)))
    roles = tuple(dict.fromkeys(ROLE_MENTION.findall(live)))
    everyone, here = "@everyone" in live, "@here" in live
    if allowed is None:
        return Mentions(users) if users_only else Mentions(users, roles, everyone, here)
    parse = allowed.get("parse") or []
    if "users" not in parse:
        users = tuple(user for user in users if user in map(str, allowed.get("users") or []))
    if "roles" not in parse:
        roles = tuple(role for role in roles if role in map(str, allowed.get("roles") or []))
    shout = "everyone" in parse
    return Mentions(users, roles, everyone and shout, here and shout)


def display_text(components: Iterable[Json]) -> str:
    """The text that a Components V2 layout shows, which can mention like content does."""
    return "\n".join(str(part.get("content", "")) for part in walk(components) if part.get("type") == TEXT_DISPLAY)


def walk(components: Iterable[Json]) -> Iterable[Json]:
    """All components including nested ones, parents first."""
    for component in components:
        yield component
        yield from walk(component.get("components") or ())
        yield from walk(inner for name in ("component", "accessory") if (inner := component.get(name)))


def resolve(text: str, names: Mapping[str, str]) -> str:
    """`text` as the client sends it: each typed name (with its @ or #) outside code becomes its mention. Longer names
    take precedence, case does not matter, and a name inside a word (an e-mail address) stays.
    """
    if not names:
        return text
    table = {name.lower(): mention for name, mention in names.items()}
    longest = sorted(table, key=len, reverse=True)
    pattern = re.compile(r"(?<![\w<])(?:" + "|".join(map(re.escape, longest)) + r")(?!\w)", re.IGNORECASE)
    pieces, end = [], 0
    for code in CODE_SPAN.finditer(text):
        pieces += [pattern.sub(lambda hit: table[hit[0].lower()], text[end : code.start()]), code[0]]
        end = code.end()
    return "".join(pieces) + pattern.sub(lambda hit: table[hit[0].lower()], text[end:])
