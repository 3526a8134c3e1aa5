"""Thought and answer are told apart in every shape in which servers send them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Delta, Finish
from core.reasoning import Splitter, split, thinks_unopened


def run(*pieces: str, unopened: bool = False, finish: Finish | None = Finish.STOP) -> tuple[str, str]:
    """The text and the thought that come of these pieces of content."""
    splitter = Splitter(unopened)
    deltas = [splitter.feed(piece) for piece in pieces]
    deltas.append(splitter.close(finish))
    return "".join(delta.text for delta in deltas), "".join(delta.thought for delta in deltas)


@pytest.mark.parametrize("unopened", [False, True])
def test_tags_separate_thought_and_answer(unopened: bool) -> None:
    """What stands between the tags is thought; the blank lines before the answer are dropped."""
    assert run("<think>\nWell.\n</think>\n\nYes.", unopened=unopened) == ("Yes.", "\nWell.\n")


def test_a_missing_opening_tag_is_known_by_the_model() -> None:
    """A model whose prompt holds the opening tag begins inside its thought."""
    assert run("Okay, ", "let me ", "</think>", "\n\n", "Yes.", unopened=True) == ("Yes.", "Okay, let me ")


def test_no_word_of_an_unopened_thought_is_text_before_its_end() -> None:
    """Until the closing tag comes, everything is passed on as thought."""
    splitter = Splitter(unopened=True)
    assert splitter.feed("Okay, let me think") == Delta(thought="Okay, let me think")
    assert splitter.undecided


def test_a_stop_without_any_tag_makes_it_the_answer() -> None:
    """Nothing is lost when a model that usually thinks just answers."""
    assert run("The answer ", "is 42.", unopened=True)[0] == "The answer is 42."


def test_a_cut_without_any_tag_is_an_unfinished_thought() -> None:
    """Cut by the output limit, or broken off, the text may not be shown as an answer."""
    assert run("Okay, let", unopened=True, finish=Finish.LENGTH) == ("", "Okay, let")
    assert run("Okay, let", unopened=True, finish=None) == ("", "Okay, let")


def test_a_cut_answer_whose_thought_the_server_took_away_is_shown() -> None:
    """It begins with the blank line that follows a thought."""
    assert run("\n\nThe answer", unopened=True, finish=Finish.LENGTH)[0] == "The answer"


def test_an_empty_thought_whose_opening_tag_is_in_the_prompt() -> None:
    """A closing tag at the very start belongs to no answer, whatever the model."""
    assert run("\n</think>\n\nYes.") == ("Yes.", "")
    assert run("</thi", "nk>", "Yes.", unopened=True) == ("Yes.", "")


def test_other_models_flow_at_once() -> None:
    """An ordinary model's words are text the moment they come."""
    splitter = Splitter()
    assert splitter.feed("Yes") == Delta(text="Yes")
    assert splitter.feed(", <thi") == Delta(text=", <thi")


def test_an_answer_may_speak_of_the_tags() -> None:
    """A tag in the middle of an answer is a word like others."""
    words = "Write `<think>` and `</think>` around it: <think>so</think>."
    assert run(words) == (words, "")
    assert run("<think>a</think>" + words) == (words, "a")


def test_an_answer_that_begins_like_a_tag_is_not_lost() -> None:
    """`<thin` and `<b>` turn out to be text."""
    assert run("<", "thin") == ("<thin", "")
    assert run("<b>", "bold</b>") == ("<b>bold</b>", "")
    assert run(" <", unopened=True) == ("<", "")


def test_a_thought_that_never_ends_is_no_answer() -> None:
    """An opening tag without its closing one: nothing of it is shown."""
    assert run("<think>", "Hm", "m </thi") == ("", "Hmm </thi")


def test_a_second_thought_before_the_answer_is_thought() -> None:
    """Some models open another one at once."""
    assert run("<think>a</think>\n<think>b</think>\nYes.") == ("Yes.", "ab")


def test_a_reasoning_field_means_clean_content() -> None:
    """After a reasoning field content flows at once, even from a model that leaves out tags."""
    splitter = Splitter(unopened=True)
    assert splitter.feed(thought="Okay") == Delta(thought="Okay")
    assert splitter.feed("\n\nYes") == Delta(text="Yes")
    assert splitter.feed(".") == Delta(text=".")


def test_a_reasoning_field_frees_what_was_held() -> None:
    """Content that came before the field was answer after all."""
    splitter = Splitter(unopened=True)
    splitter.feed("Yes")
    assert splitter.feed(thought="hm") == Delta(text="Yes", thought="hm")


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", True),
        ("deepseek-ai/DeepSeek-R1-0528-Free", True),
        ("Qwen/QwQ-32B", True),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", True),
        ("meta-llama/Llama-3.3-70B-Instruct", False),
        ("deepseek-ai/DeepSeek-V3-0324", False),
        ("vendor/model-non-thinking", False),
        ("vendor/r12-instruct", False),
    ],
)
def test_models_that_leave_out_the_opening_tag_are_known_by_name(model: str, thinks: bool) -> None:
    """R1, QwQ and models named for their thinking do; the others do not."""
    assert thinks_unopened(model) is thinks


def test_a_whole_answer_is_split_without_doubling_words() -> None:
    """Text that turns out to be the answer is not in the thought too."""
    assert split("42.", "", Finish.STOP, unopened=True) == Delta(text="42.")
    assert split("\n\n42.", "Okay", Finish.STOP, unopened=True) == Delta(text="42.", thought="Okay")
    assert split("Okay</think>42.", "", Finish.STOP, unopened=True) == Delta(text="42.", thought="Okay")


PARTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think>", "\n", " ", "Okay", "a < b", "🙂"]), max_size=8
)


@given(PARTS, st.booleans(), st.sampled_from([*Finish, None]), st.data())
def test_cuts_change_nothing(parts: list[str], unopened: bool, finish: Finish | None, data: st.DataObject) -> None:
    """Any split of the same content gives the same text and the same thought."""
    content = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=10)))
    pieces = [content[start:stop] for start, stop in pairwise([0, *cuts, len(content)])]
    assert run(*pieces, unopened=unopened, finish=finish) == run(content, unopened=unopened, finish=finish)


@given(PARTS, st.booleans())
def test_no_word_is_lost(parts: list[str], unopened: bool) -> None:
    """Apart from tags and white space, all of the content is in the text or in the thought."""
    content = "".join(parts)
    text, thought = run(content, unopened=unopened)
    assert text.count("Okay") + thought.count("Okay") >= content.count("Okay")
    assert text.count("🙂") + thought.count("🙂") >= content.count("🙂")
