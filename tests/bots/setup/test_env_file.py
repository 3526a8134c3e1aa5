"""Changes of a .env: whatever it looks like, what was asked for is set, and the rest stays."""

from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from hypothesis import assume, given
from hypothesis import strategies as st

from bots.setup.env_file import merged

NAMES = ("NEBULA_API_KEY", "ACCESS_ALLOW", "MINE")
TEXTS = st.text("aB3 -_.,'\"\\#=$", max_size=8)
LINES = st.one_of(
    st.builds("{}={}".format, st.sampled_from((*NAMES, "access_allow")), TEXTS),
    st.builds("# {}=".format, st.sampled_from(NAMES)),
    st.builds("export {} = '{}\n# {}=x'".format, *(st.sampled_from(NAMES),) * 3),
    st.builds("# {}".format, TEXTS),
    TEXTS,
)
FILES = st.builds("".join, st.lists(st.builds("{}{}".format, LINES, st.sampled_from(["\n", "\r\n", "\n\n"]))))
ENDS = st.sampled_from(["", "# end", "MINE=1"])
CHANGES = st.dictionaries(st.sampled_from(NAMES[:2]), TEXTS.map(str.strip).filter(bool), min_size=1)


def values(file: str) -> dict[str, str]:
    """What is set in it."""
    found = dotenv_values(stream=StringIO(file))
    return {name.upper(): value for name, value in found.items() if value and value.strip()}


@given(FILES, ENDS, CHANGES)
def test_what_was_asked_for_is_set_and_the_rest_stays(file: str, end: str, changes: dict[str, str]) -> None:
    """As python-dotenv reads it, which the bot does too; and a second time nothing changes."""
    assume(not any(each.error for each in parse_stream(StringIO(file + end))))  # the bot would not start with it
    before, after = values(file + end), merged(file + end, changes)
    found = values(after)
    assert {name: found.get(name) for name in changes} == changes
    assert {name: value for name, value in found.items() if name not in changes} == {
        name: value for name, value in before.items() if name not in changes
    }
    assert merged(after, changes) == after


def test_a_name_is_found_in_any_case_and_stays_as_it_is() -> None:
    """The bot reads it in any case; set twice, only the last one would count."""
    assert merged("export nebula_api_key=ak_1\n", {"NEBULA_API_KEY": "ak_2"}) == "export nebula_api_key=ak_2\n"
