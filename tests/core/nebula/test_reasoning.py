"""Thought and answer are separated in every form in which servers send them."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.chat import Delta, Finish
from core.nebula.reasoning import MAX_JUDGED_TAGS, Splitter, split, thinks_unopened
from core.reply.state import Phase, Reply


def run(*pieces: str, unopened: bool = False, finish: Finish | None = Finish.STOP) -> tuple[str, str]:
    """The text and the thought of these pieces of content."""
    splitter = Splitter(unopened)
    deltas = [splitter.feed(piece) for piece in pieces]
    deltas.append(splitter.close(finish))
    return total(deltas)


def total(deltas: Iterable[Delta]) -> tuple[str, str]:
    """The text and the thought of these pieces, combined as a reply combines them."""
    reply, thought = Reply(phase=Phase.THINKING), ""
    for delta in deltas:
        reply = reply.add(delta, 0)
        thought += delta.thought
    return reply.text, thought


def cut(content: str, cuts: list[int]) -> list[str]:
    return [content[start:stop] for start, stop in pairwise([0, *sorted(cuts), len(content)])]


@pytest.mark.parametrize("unopened", [False, True])
def test_tags_separate_thought_and_answer(unopened: bool) -> None:
    """All between the tags is thought; the blank lines before the answer are dropped."""
    assert run("<think>\nWell.\n</think>\n\nYes.", unopened=unopened) == ("Yes.", "\nWell.\n")


def test_the_model_tells_that_the_opening_tag_is_missing() -> None:
    """A model whose prompt holds the opening tag begins inside its thought."""
    assert run("Okay, ", "let me ", "</think>", "\n\n", "Yes.", unopened=True) == ("Yes.", "Okay, let me ")


def test_an_unopened_thought_is_never_shown_as_text() -> None:
    """Until the closing tag, everything is passed on as thought."""
    splitter = Splitter(unopened=True)
    assert splitter.feed("Okay, let me think") == Delta(thought="Okay, let me think")
    assert splitter.undecided


def test_without_any_tag_a_normal_end_makes_it_the_answer() -> None:
    """Nothing is lost if a model that usually thinks answers directly."""
    assert run("The answer ", "is 42.", unopened=True)[0] == "The answer is 42."


def test_without_any_tag_a_cut_leaves_an_unfinished_thought() -> None:
    """If the output limit cuts it or the stream breaks off, the text must not become the answer."""
    assert run("Okay, let", unopened=True, finish=Finish.LENGTH) == ("", "Okay, let")
    assert run("Okay, let", unopened=True, finish=None) == ("", "Okay, let")


def test_an_answer_whose_thought_was_removed_streams() -> None:
    """It begins with the blank line after a removed thought, and is text from its first word."""
    splitter = Splitter(unopened=True)
    assert [splitter.feed(piece).text for piece in ("\n", "\nThe ", "answer")] == ["", "The ", "answer"]
    assert run("\n\nThe answer", unopened=True, finish=Finish.LENGTH) == ("The answer", "")


def test_a_blank_line_may_also_begin_a_thought() -> None:
    """A tag still counts after the blank line: at once, or later as with any other model."""
    assert run("\n\n<think>Hm</think>Yes.", unopened=True) == ("Yes.", "Hm")
    assert run("\n\nOkay, hm.\n</think>\n\nYes.", unopened=True) == ("Yes.", "Okay, hm.\n")


def test_an_empty_thought_whose_opening_tag_is_in_the_prompt() -> None:
    """A closing tag at the very start is never part of an answer, whatever the model."""
    assert run("\n</think>\n\nYes.") == ("Yes.", "")
    assert run("</thi", "nk>", "Yes.", unopened=True) == ("Yes.", "")


def test_other_models_stream_at_once() -> None:
    """The words of an ordinary model are text as soon as they arrive."""
    splitter = Splitter()
    assert splitter.feed("Yes") == Delta(text="Yes")
    assert splitter.feed(", <thi") == Delta(text=", <thi")


def test_an_answer_may_mention_the_tags() -> None:
    """A tag in the middle of an answer is an ordinary word."""
    words = "Write `<think>` and `</think>` around it: <think>so</think>."
    assert run(words) == (words, "")
    assert run("<think>a</think>" + words) == (words, "a")


def test_an_answer_that_begins_like_a_tag_is_not_lost() -> None:
    """`<thin` and `<b>` turn out to be text."""
    assert run("<", "thin") == ("<thin", "")
    assert run("<b>", "bold</b>") == ("<b>bold</b>", "")
    assert run(" <", unopened=True) == ("<", "")


def test_a_thought_without_an_end_is_not_an_answer() -> None:
    """Nothing is shown after an opening tag without a closing tag."""
    assert run("<think>", "Hm", "m </thi") == ("", "Hmm </thi")


def test_a_second_thought_before_the_answer_is_thought() -> None:
    """Some models open another thought at once."""
    assert run("<think>a</think>\n<think>b</think>\nYes.") == ("Yes.", "ab")


def test_a_reasoning_field_means_clean_content() -> None:
    """After a reasoning field content streams at once, even from a model that omits tags."""
    splitter = Splitter(unopened=True)
    assert splitter.feed(thought="Okay") == Delta(thought="Okay")
    assert splitter.feed("\n\nYes") == Delta(text="Yes")
    assert splitter.feed(".") == Delta(text=".")


def test_a_reasoning_field_releases_the_text_held_back() -> None:
    """Content before the field was answer after all."""
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
def test_models_that_omit_the_opening_tag_are_known_by_name(model: str, thinks: bool) -> None:
    """R1, QwQ and models named for their thinking do; the others do not."""
    assert thinks_unopened(model) is thinks


def test_a_whole_answer_is_split_without_repeating_words() -> None:
    """Text that turns out to be the answer is not in the thought as well."""
    assert split("42.", "", Finish.STOP, unopened=True) == Delta(text="42.")
    assert split("\n\n42.", "Okay", Finish.STOP, unopened=True) == Delta(text="42.", thought="Okay")
    assert split("Okay</think>42.", "", Finish.STOP, unopened=True) == Delta(text="42.", thought="Okay")


UNEXPECTED_THOUGHTS = [
    ("Okay so first. hmm …\n", "\n\nThe answer is 43."),  # the form of chat templates
    ("Okay, let me think for some time;", "\n\nThe final answer"),  # vLLM without its parser
    ("Okay, let me think", "\n\nThe final answer"),
    ("Okay.\n", "The answer is 43."),
    ("Okay.\n", "**43**"),
    ("Okay.\n  ", "  \n43"),
    ("Okay. ", "\n\nThe answer"),
    ("Okay.", " The answer is 43."),
    ("Okay.", "the answer is 43."),
    ("Okay", " The answer is 43."),
    ("嗯，好的。\n", "\n\n答案是43。"),
    ("Okay.\r\n", "\r\n\r\nThe answer"),
    ("It is 6 * 7 =\n42.", "\n\n42"),
    ("The tag `</think>` ends it; `<think>` begins it.\n", "\n\nYes."),
    ("```python\nx = '</think>'\n```\nDone.\n", "\n\nYes."),
    ("They want to know what </think> is for.\n", "\n\nIt ends a thought."),
]


@pytest.mark.parametrize(("thought", "answer"), UNEXPECTED_THOUGHTS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_closing_tag_takes_back_the_thought(thought: str, answer: str, size: int) -> None:
    """An unknown model thinks aloud: the text shown before its closing tag is not the answer."""
    content = f"{thought}</think>{answer}"
    assert run(*cut(content, list(range(0, len(content), size)))) == (answer.lstrip(), thought)


def test_the_text_is_taken_back_in_one_delta() -> None:
    """The words stream as text; the delta at the end of the tag repeats them as thought and begins the answer."""
    splitter = Splitter()
    assert splitter.feed("Hm, ") == Delta("Hm, ")
    assert splitter.feed("so.\n</thi") == Delta("so.\n")
    assert splitter.feed("nk>\n\nYes") == Delta("Yes", "Hm, so.\n", restart=True)
    assert splitter.feed("!\n</think>\n\nNo") == Delta("!\n</think>\n\nNo")


TAGS_AS_WORDS = [
    "Models end a thought with `</think>`\n\nand then answer.",
    "`a`, ``b ` </think>\n``",
    "```\n<think>\nHm\n</think>\nYes\n```\nLike this.",
    "So:\n\n~~~~text\nHm\n~~~\n</think>\n\nYes\n~~~~\n",
    "1. Like this:\n   ```xml\n   Hm\n</think>\n   ```\n",
    "> ```\n</think>\n",
    "```\n```python\n</think>\n\nYes\n```\n",
    "Like this:\n\n    Hm\n    </think>\n    Yes\n",
    "The format:\n\n<think>\nHm\n</think>\n\nYes",
    "Write <think>Hm.</think> Then the answer.",
    "The tag </think> ends the thought.",
    "It ends with </think>\n\nThen the answer.",
    "It ends with:</think>\n\nThen the answer.",
    'It is called "</think>" there.',
    "It is (</think>)\nthere.",
    "Two tags:\n- </think>\n- </tool>",
    "Two tags:\n1. </think>\n2. </tool>",
    "> </think>\n\nThat was it.",
    "| </think> | closes |",
    "Two tags.\n</think> closes the thought.",
    "Two tags.\n</think>: closes the thought.",
    "Two tags.\n</think> – closes the thought.",
    "</think> closes the thought.",
    "使用</think>标签来结束思考",
    "Did you mean it? </think>, I mean.",
    "a < b, x </ y, </thin",
]


@pytest.mark.parametrize("words", TAGS_AS_WORDS)
@pytest.mark.parametrize("size", [1, 1000])
def test_an_answer_may_explain_a_closing_tag(words: str, size: int) -> None:
    """In code, quotes, a sentence or a list, or with an opening tag, it is an ordinary word."""
    assert run(*cut(words, list(range(0, len(words), size)))) == (words, "")


def test_a_tag_after_a_known_thought_is_a_word() -> None:
    """If the thought came in a field or between tags, no part of the answer is taken back."""
    words = "Hm.\n</think>\n\nYes."
    assert run("<think>a</think>" + words) == (words, "a")
    splitter = Splitter()
    assert total([splitter.feed(thought="a"), splitter.feed(words)]) == (words, "a")


def test_a_reasoning_field_releases_part_of_a_tag() -> None:
    """The part of the answer that was held back is not lost."""
    splitter = Splitter()
    assert total([splitter.feed("a </thi"), splitter.feed(thought="hm"), splitter.feed("ng>")]) == ("a </thing>", "hm")


def test_a_thought_with_no_answer_after_it() -> None:
    """If the closing tag comes last, there is no answer."""
    assert run("Okay, hm.\n</think>") == ("", "Okay, hm.\n")
    assert run("Okay, hm.\n</think>\n\n") == ("", "Okay, hm.\n")


def test_an_answer_full_of_tags_is_an_answer() -> None:
    """After many tags that were only words, tags are no longer examined."""
    words = "A </think> word. " * MAX_JUDGED_TAGS + "\n</think>\n\nYes."
    assert run(words) == (words, "")
    assert run(words[words.index(".") + 2 :]) == ("Yes.", words[words.index(".") + 2 : words.rindex("</think>")])


@pytest.mark.parametrize(("thought", "answer"), UNEXPECTED_THOUGHTS)
def test_a_whole_answer_is_split_at_an_unexpected_tag(thought: str, answer: str) -> None:
    """Nothing was shown before, so nothing is taken back."""
    assert split(f"{thought}</think>{answer}", "", Finish.STOP) == Delta(answer.lstrip(), thought)
    assert split(f"{thought}</think>", "", Finish.STOP).text == ""


PARTS = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "</think>",
            "<",
            "</",
            "think>",
            "\n",
            "\n\n",
            " ",
            "Okay",
            "a < b",
            "🙂",
            ".",
            "`",
            "```",
        ]
    ),
    max_size=10,
)


@given(PARTS, st.booleans(), st.sampled_from([*Finish, None]), st.data())
def test_splits_change_nothing(parts: list[str], unopened: bool, finish: Finish | None, data: st.DataObject) -> None:
    """Any split of the same content gives the same text and the same thought."""
    content = "".join(parts)
    pieces = cut(content, data.draw(st.lists(st.integers(0, len(content)), max_size=10)))
    assert run(*pieces, unopened=unopened, finish=finish) == run(content, unopened=unopened, finish=finish)


@given(PARTS, st.booleans())
def test_no_word_is_lost(parts: list[str], unopened: bool) -> None:
    """Apart from tags and white space, all of the content is in the text or in the thought."""
    content = "".join(parts)
    text, thought = run(*content, unopened=unopened)
    assert text.count("Okay") + thought.count("Okay") >= content.count("Okay")
    assert text.count("🙂") + thought.count("🙂") >= content.count("🙂")
