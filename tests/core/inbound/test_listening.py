"""The rules of listening: one case for each row of the tables, and for what each of them must not catch."""

import pytest

from core.domain.options import Listen
from core.inbound.listening import (
    OF_BOTS,
    OF_MESSAGES,
    OF_PLACES,
    BotMessage,
    Listening,
    Remark,
    rule_of_bot,
    rule_of_message,
    rule_of_place,
)

# Each message with the rule that keeps the bot silent; "" if none does.
MESSAGES = [
    (Remark("and in Rust?", by_program=True), "a bot or an app wrote it"),
    (Remark("ann has joined", written=False), "nobody wrote it"),
    (Remark(" \n"), "it says nothing"),
    (Remark("lunch?", to_other=True), "it speaks to somebody else"),
    (Remark("!play a song"), "it is a command of another bot"),
    (Remark("! play it"), "it is a command of another bot"),
    (Remark("!prompt"), "it is a command of another bot"),
    (Remark("?rank"), "it is a command of another bot"),
    (Remark(".np"), "it is a command of another bot"),
    (Remark("/deploy"), "it is a command of another bot"),
    *(
        (Remark(text), "it is a command of another bot")
        for text in (".play despacito", "-play a song", "$balance", "m!play x", "t!rank", "!!skip")
    ),
    *(
        (Remark(text), "")
        for text in (
            *("hi! can you explain this?", "yes! do it", "no! i meant the other one", "why? i thought so", "?? why"),
            *(".gitignore doesn't work", "/tmp fills up, why?", "/users endpoint returns 500", "~five people came"),
            *("+one more thing", "$path isn't set", "-v is no option?", "ok! now in french"),
        )
    ),
    (Remark("/etc is full, why?"), ""),
    (Remark("- first, why?"), ""),
    (Remark("and in Rust?"), ""),
    (Remark("", files=True), ""),
    (Remark("!settings"), ""),
    (Remark("!prompt set Be bold."), ""),
    (Remark("!!! wow"), ""),
    (Remark(".env is lost, why?"), ""),
    (Remark("/etc/hosts"), ""),
    (Remark("??"), ""),
]
# How the bot listens, with the rule that decides.
HERE = {
    "the place is muted": Listening(Listen.ALL, muted=True, opened=True, asked=True),
    "only mentions count here": Listening(Listen.MENTION, opened=True, asked=True),
    "everything counts here": Listening(Listen.ALL),
    "it is in no thread that a question opened": Listening(Listen.THREAD, asked=True),
    "everybody counts in this thread": Listening(Listen.THREAD, opened=True),
    "its author has asked in this thread": Listening(Listen.FOLLOWUPS, opened=True, asked=True),
    "its author has not asked in this thread": Listening(Listen.FOLLOWUPS, opened=True),
}
MEANT = {"everything counts here", "everybody counts in this thread", "its author has asked in this thread"}

# What bots say, with the rule that decides.
BOTS = {
    "we wrote it ourselves": BotMessage(own=True, named=True),
    "it does not mention the bot": BotMessage(addresses=False, named=True),
    "the operator does not let this bot ask": BotMessage(commands=True),
    "bots give no commands": BotMessage(named=True, commands=True),
    "the operator lets this bot ask": BotMessage(named=True),
}
SIGNED = {"the operator does not let this bot ask", "bots give no commands"}


@pytest.mark.parametrize(("said", "why"), MESSAGES)
def test_what_a_message_is(said: Remark, why: str) -> None:
    """The first rule that applies keeps the bot silent; without one the place decides."""
    rule = rule_of_message(said)
    assert (rule.why if rule else "") == why
    assert rule is None or not rule.meant


@pytest.mark.parametrize("why", HERE)
def test_how_the_bot_listens(why: str) -> None:
    """Each row of the table decides in one situation, in which no earlier one does."""
    rule = rule_of_place(HERE[why])
    assert rule.why == why
    assert rule.meant is (why in MEANT)


@pytest.mark.parametrize("why", BOTS)
def test_what_bots_say(why: str) -> None:
    """Each row of the table decides in one situation; only who is named may ask, and only what is in vain is signed."""
    rule = rule_of_bot(BOTS[why])
    assert rule.why == why
    assert rule.meant is (why == "the operator lets this bot ask")
    assert rule.signed is (why in SIGNED)


def test_every_row_has_a_case() -> None:
    """A new rule needs one."""
    assert {rule.why for rule in OF_MESSAGES} == {why for _, why in MESSAGES} - {""}
    assert [rule.why for rule in OF_PLACES] == list(HERE)
    assert [rule.why for rule in OF_BOTS] == list(BOTS)
