"""The fake model of the sandbox's Nebula, which calls itself a stand-in, and a catalog like the real one."""

import re
from collections.abc import Sequence

from core.domain.chat import ChatMessage

MAX_QUOTED_CHARACTERS = 400  # of a question or prompt

# (model_name, model_alias, model_type, context_length, max_completion_tokens); None for unknown sizes
FakeModel = tuple[str, str, str, int | None, int | None]
MODELS: tuple[FakeModel, ...] = (
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "DeepSeek-R1-Distill-Llama-70B", "Text", 32768, 10000),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "DeepSeek-R1-Distill-Qwen-32B", "Text", 32768, 10000),
    ("meta-llama/Llama-3.3-70B-Instruct", "Llama3.3-70B", "Text", 131072, None),
    ("meta-llama/Llama-3.1-8B-Instruct", "Llama3.1-8B", "Text", 131072, None),
    ("Qwen/Qwen2.5-Coder-32B-Instruct", "Qwen2.5-Coder-32B", "Text", 32768, None),
    ("deepseek-ai/DeepSeek-V3-0324", "DeepSeek-V3-0324", "Text", 131072, None),
    ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B", "Text", 32768, None),
    ("black-forest-labs/FLUX.1-schnell", "FLUX.1-schnell", "Image", None, None),
    ("BAAI/bge-large-en-v1.5", "bge-large-en-v1.5", "Embedding", 512, None),
)


def fake_answer(messages: Sequence[ChatMessage]) -> str:
    """An answer in Markdown that says that it comes from no AI, and shows what the model received."""
    system = "\n".join(message.content for message in messages if message.role == "system")
    said = [message for message in messages if message.role != "system"]
    question = said[-1].content if said else ""
    earlier = len(said[:-1])
    lines = [
        "I am the **stand-in model** of the sandbox: no AI, only a script that answers the same way each time. "
        "Set `NEBULA_API_KEY` to talk to a real model.",
        "",
        "You asked:",
        "",
        _quote(question),
        "",
        "What I received:",
        "",
        f"- {'no earlier messages' if not earlier else f'{earlier} earlier message' + 's' * (earlier > 1)} "
        "of this conversation",
        f"- {'a system prompt' if system else 'no system prompt'}",
        f"- {sum(len(message.content) for message in messages)} characters in all",
    ]
    if pictures := sum(len(message.pictures) for message in messages):
        lines.append(f"- {pictures} picture{'s' * (pictures > 1)}")
    if system:
        lines += ["", "The current system prompt:", "", _quote(system)]
    lines += [
        "",
        "And a piece of code, as models often write it:",
        "",
        "```python",
        "def answer(question: str) -> str:",
        '    """What a real model would do here is up to the model."""',
        '    return f"You said {len(question)} characters."',
        "```",
    ]
    return "\n".join(lines)


def fake_thought(messages: Sequence[ChatMessage]) -> str:
    """What the fake model thinks aloud when it imitates a reasoning model."""
    return f"Okay, there are {len(messages)} messages. Let me look at the last one and repeat it politely."


def tokens(text: str) -> list[str]:
    """Split the text into pieces about as long as a model's tokens."""
    return re.findall(r"\s*[^\s]{1,5}|\s+\Z", text)


def _quote(text: str) -> str:
    short = text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + " …"
    return "\n".join(f"> {line}".rstrip() for line in short.split("\n"))
