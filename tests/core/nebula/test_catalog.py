"""Lists of models as servers of this family write them."""

import difflib
from typing import Any

import pytest

from core.domain.chat import Catalog, ModelInfo
from core.nebula.catalog import MAX_MODELS, parse


@pytest.mark.parametrize(
    "item",
    [
        {"context_length": 32768, "max_completion_tokens": 4096},
        {"context_length": "32768", "max_completion_tokens": "4096"},
        {"context_window": "32k", "max_output_tokens": "4k"},
        {"max_model_len": 32768.0, "max_output_tokens": 4096},
        {"inputTokenLimit": 32768, "outputTokenLimit": 4096},
        {"context_length": None, "top_provider": {"context_length": 32768, "max_completion_tokens": 4096}},
        {"meta": {"n_ctx": 32768}, "max_new_tokens": 4096},
        {"model_info": {"max_input_tokens": 32768, "max_output_tokens": 4096}},
        {"capabilities": {"limits": {"max_context_window_tokens": 32768, "max_output_tokens": 4096}}},
    ],
)
def test_sizes_are_read_in_every_form(item: dict[str, Any]) -> None:
    """As numbers and texts, under the names of several servers, in an inner object too."""
    assert parse({"data": [{"id": "m", **item}]}) == (ModelInfo("m", "", 32768, 4096),)


@pytest.mark.parametrize("size", [True, -1, 0, "many", "", [], {}, 1e300, "9" * 400, None])
def test_a_size_that_is_none_is_not_known(size: object) -> None:
    """Nothing odd becomes a window."""
    assert parse([{"id": "m", "context_length": size}]) == (ModelInfo("m"),)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image"},
        {"model_type": "Embedding"},
        {"mode": "embedding"},
        {"mode": "image_generation"},
        {"type": "rerank"},
        {"task": "text-to-image"},
        {"pipeline_tag": "automatic-speech-recognition"},
        {"architecture": {"output_modalities": ["image"]}},
        {"architecture": {"modality": "text->image"}},
        {"output_modalities": ["embeddings"]},
        {"id": "text-embedding-3-small"},
        {"id": "whisper-1"},
        {"id": "black-forest-labs/FLUX.1-schnell"},
    ],
)
def test_models_that_write_no_text_are_left_out(item: dict[str, Any]) -> None:
    """However the list says it; without a word, by well-known names."""
    assert parse({"data": [{"id": "m", **item}]}) == ()


@pytest.mark.parametrize(
    "item",
    [
        {"type": "chat"},
        {"object": "model"},
        {"pipeline_tag": "image-text-to-text"},
        {"architecture": {"modality": "text+image->text", "output_modalities": ["text"]}},
        {"model_type": "Vision"},
        {"type": None, "mode": ""},
        {"id": "vendor/fluxional-8b"},
    ],
)
def test_models_that_write_text_are_listed(item: dict[str, Any]) -> None:
    """Reading pictures does not make a model draw them."""
    assert len(parse({"data": [{"id": "m", **item}]})) == 1


def test_other_envelopes_and_names() -> None:
    """Gemini's, Ollama's and a bare list of names."""
    assert [info.name for info in parse({"models": [{"name": "models/g"}, {"model": "llama3"}]})] == [
        "models/g",
        "llama3",
    ]
    assert [info.name for info in parse(["a", "b", 7, None])] == ["a", "b"]


def test_a_list_is_bounded() -> None:
    """Neither many entries nor long names fill the memory."""
    assert len(parse([{"id": f"m{number}"} for number in range(10 * MAX_MODELS)])) == MAX_MODELS
    assert parse([{"id": "m" * 100_000}]) == ()


def test_no_list_is_an_error() -> None:
    """An error in its place is no empty catalog."""
    values: list[object] = [{"error": "x"}, "x", None, {"data": {"data": {"data": {"data": {}}}}}]
    for value in values:
        with pytest.raises(ValueError):
            parse(value)


@pytest.mark.parametrize(
    ("item", "sees"),
    [
        ({"architecture": {"input_modalities": ["text", "image"]}}, True),
        ({"architecture": {"input_modalities": ["text"]}}, False),
        ({"architecture": {"modality": "text+image->text"}}, True),
        ({"pipeline_tag": "image-text-to-text"}, True),
        ({"model_info": {"supports_vision": True}}, True),
        ({"capabilities": {"vision": False}}, False),
        ({"model_type": "Text"}, None),
        ({"supports_vision": None}, None),
        ({"input_modalities": "image"}, None),
    ],
)
def test_whether_a_model_sees_is_read_where_a_list_says_it(item: dict[str, Any], sees: bool | None) -> None:
    """In the words of OpenRouter, Hugging Face, LiteLLM and others; Nebula's own list says nothing."""
    (info,) = parse([{"id": "m", **item}])
    assert info.sees is sees


def test_a_misspelt_name_is_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many models are on the list, and however much alike their names are: nobody waits for that."""
    compared = 0
    ratio = difflib.SequenceMatcher.ratio

    def counted(matcher: difflib.SequenceMatcher[str]) -> float:
        nonlocal compared
        compared += 1
        return ratio(matcher)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted)
    models = tuple(ModelInfo(f"{org}/model-{number}-instruct") for org in ("qwen", "yi") for number in range(1000))
    assert "Did you mean `qwen/model-421-instruct`?" in Catalog(models).doubt("qwn/model-421-instrct")
    assert 0 < compared <= 40
