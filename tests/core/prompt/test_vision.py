"""Which models see pictures, and which one is offered."""

import pytest

from core.domain.chat import Catalog, ModelInfo
from core.prompt.vision import Vision

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        (QWEN, True),
        ("gpt-4o-mini", True),
        ("google/gemini-2.5-flash", True),
        ("meta-llama/Llama-4-Scout", True),
        ("meta-llama/Llama-3.3-70B-Instruct", False),
        ("vlad/television-7b", False),
        ("gpt-4", False),
    ],
)
def test_names_of_models_say_whether_they_see(model: str, sees: bool) -> None:
    """A word counts as a whole, whatever its case."""
    assert Vision().sees(model, None) is sees


def test_the_catalog_and_the_operator_may_know_more() -> None:
    """A model without such a name sees if either says so."""
    assert Vision().sees("x/y", ModelInfo("x/y", sees=True))
    assert not Vision().sees("x/y", ModelInfo("x/y", sees=False))
    assert Vision(model="x/y").sees("X/Y", None)
    assert Vision(names=("y",)).sees("x/y", None)


@pytest.mark.parametrize(
    ("vision", "asked", "offered"),
    [
        (Vision(model=QWEN), "llama", QWEN),
        (Vision(model="other"), "llama", ""),
        (Vision(model="other", surely=True), "llama", "other"),
        (Vision(model=QWEN), QWEN.lower(), ""),
        (Vision(), "llama", ""),
    ],
)
def test_a_model_is_offered_that_can_be_asked(vision: Vision, asked: str, offered: str) -> None:
    """The catalog lists it, or the operator named it; never the one that was asked."""
    assert vision.other(asked, Catalog((ModelInfo(QWEN, "Qwen2.5-VL-7B"),))) == offered
