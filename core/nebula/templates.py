"""Special tokens of chat templates: what ends a turn is taken away where a server lets it through as text.

A token counts only where it is certain: at the very end of an answer, or before the header of another turn. Text
about tokens stays, above all in code.
"""

import re

# Thoughts come between these. The tags are compared without regard to case.
THOUGHT_TAGS = {
    "<think>": "</think>",  # DeepSeek, Qwen, GLM and most others
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<thoughts>": "</thoughts>",
    "<reasoning>": "</reasoning>",
    "<inner_monologue>": "</inner_monologue>",
    "<scratchpad>": "</scratchpad>",
    "<ant_thinking>": "</ant_thinking>",
    "<antthinking>": "</antthinking>",
    "[think]": "[/think]",  # Mistral (Magistral)
    "<reflection>": "</reflection>",
    "<seed:think>": "</seed:think>",  # ByteDance Seed
    "<mm:think>": "</mm:think>",
    "<longcat_think>": "</longcat_think>",
    "◁think▷": "◁/think▷",  # Kimi-VL
    "<|start_thinking|>": "<|end_thinking|>",  # Cohere
    "<|begin_of_thought|>": "<|end_of_thought|>",  # OpenThinker, Sky-T1
    "<|begin_of_thinking|>": "<|end_of_thinking|>",
    "<|think|>": "<|/think|>",
    "<|thinking|>": "<|/thinking|>",
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|channel>thought": "<channel|>",  # Gemma 4
    "<unused94>thought": "<unused95>",  # MedGemma
    # calls of tools, which nobody has offered: no answer for people
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<function_calls>": "</function_calls>",
    "<|tool_call>": "<tool_call|>",
    "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",
    "<minimax:tool_call>": "</minimax:tool_call>",
    "<function=": "</function>",
    "[tool_calls]": "[/tool_calls]",  # Mistral; nothing ends it
    "<|python_tag|>": "<|eom_id|>",  # Llama
}
# What may stand before the answer proper, and after it.
ANSWER_TAGS = (
    *("<answer>", "<response>", "<output>", "<|start_response|>", "<|begin_of_solution|>", "<|start_text|>"),
    "<|begin_of_box|>",
)
# Granite says in words where its thought and its answer begin.
SAID_THOUGHT = ("here is my thought process:", "here's my thought process:")
SAID_ANSWER = ("here is my response:", "here's my response:")
# The header of the answer itself, which the prompt should have held.
OWN_HEADERS = (
    *("<|start|>assistant", "<|im_start|>assistant", "<|start_header_id|>assistant<|end_header_id|>"),
    *("<start_of_turn>model", "<|header_start|>assistant<|header_end|>", "<｜assistant｜>"),
    *("<|message|>", "assistantfinal"),
)

_WORD = r"[A-Za-z][A-Za-z0-9_▁:/-]{0,40}"
_ROLES = (
    r"im_start|im_user|im_assistant|im_system|start_header_id|start_of_role|start|header_start|userprompt"
    r"|(?:user|assistant|system)(?:_start)?|begin_of_text|START_OF_TURN_TOKEN|(?:USER|CHATBOT|SYSTEM)_TOKEN"
)
_ENDS = (
    r"</s>|\[/INST\]|\[EOS\]|<end_of_turn>|<turn\|>|<eos>|<eoa>|<eot>|<EOT>|<end_of_sentence>|<seed:eos>|<\[EOS\]>|\[e~\["
    r"|\[\|endofturn\|\]|</(?i:answer|response|output)>"
    rf"|<\|(?!(?:{_ROLES})\|>){_WORD}\|>|<｜(?!User|Assistant|begin){_WORD}｜>"
)
_HEADERS = (
    r"\[INST\]|<s>|<start_of_turn>|<\|turn>|<bos>|<seed:bos>|<role>|\[\|(?:user|system|assistant)\|\]"
    rf"|<\|(?:{_ROLES})\|>|<｜(?:User|Assistant|begin▁of▁sentence)｜>"
)
_END = re.compile(rf"{_ENDS}|<\|(?:user|assistant)\|>")  # GLM and Phi end a turn with the next one's header
_RUN = re.compile(rf"(?:\s*(?:{_ENDS}))*\s*")
_HEADER = re.compile(_HEADERS)
# The beginning of a token, at the end of the text so far.
_OPEN = re.compile(r"(?:<[|｜]?[A-Za-z0-9_▁:/\[~]{0,42}[|｜\]]?|</?[a-z_:]{0,16}|\[[/|]?[A-Za-z~]{0,12}\|?|\[e~?)\Z")
_LONGEST_TOKEN = 48
_LONGEST_RUN = 1024  # of tokens and blanks after the end of an answer; a model that repeats them is done
MAX_JUDGED_TOKENS = 100
_ABOUT = re.compile(
    r"(?:\b(?:is|are|with|by|and|or|tokens?|tags?|called|named|like|as|the|uses?|using|write|emits?)|[:=,(])[ \t]+\Z"
)
_FENCE = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(`{3,}|~{3,})(.*)")
_TICKS = re.compile("`+")
_TRIGGERS = re.compile(r"[<\[]")


_GLUED_HEADER = "assistant\n\n"
_GLUED = re.compile(r"(?<=[.!?…。！？])" + _GLUED_HEADER)
_GLUED_BEGIN = re.compile(
    r"(?<=[.!?…。！？])(?:" + "|".join(_GLUED_HEADER[:size] for size in range(len(_GLUED_HEADER) - 1, 0, -1)) + r")\Z"
)


class TurnEnd:
    """Takes the end of a turn away from one answer. Feed it the text in order, then close it."""

    def __init__(self) -> None:
        self._pending = ""
        self._place = _Place()
        self._glued = _GluedHeader()
        self._judged = 0  # tokens that were words
        self._about = False  # the text shows headers outside code, or many tokens: it is about them
        self.over = False  # another turn began: nothing more belongs to the answer

    def feed(self, text: str) -> str:
        """Return what of the answer is certain with this piece of text."""
        return self._feed(self._glued.feed(text))

    def _feed(self, text: str) -> str:
        if self.over or not text:
            return ""
        if self._about or not (self._pending or _TRIGGERS.search(text)):  # the usual case, and the cheapest
            self._place.add(text)
            return text
        text, self._pending = self._pending + text, ""
        shown: list[str] = []
        while text:
            found = _END.search(text)
            header = _HEADER.search(text, 0, found.start() if found else len(text))
            token = header or found
            if token is None:
                kept = self._kept(text)
                self._pass(text[: len(text) - kept], shown)
                self._pending = text[len(text) - kept :]
                break
            self._pass(text[: token.start()], shown)
            text = text[token.start() :]
            if not header and self._counts(token[0]):
                run = _RUN.match(text)
                ended = run.end() if run else 0
                behind = max(ended, len(token[0]))
                if behind >= _LONGEST_RUN or (ended and _HEADER.match(text, behind)):
                    self.over = True
                    break
                if behind == len(text) or (_OPEN.match(text, behind) and len(text) - behind <= _LONGEST_TOKEN):
                    self._pending = text
                    break
            # a word: more text follows, or it is in code
            self._judged += 1
            of_header = _HEADER.fullmatch(token[0])
            if self._judged == MAX_JUDGED_TOKENS or (of_header and not self._place.in_code):
                self._about = True
                self._pass(text, shown)
                break
            self._pass(token[0], shown)
            text = text[len(token[0]) :]
        return "".join(shown)

    def close(self) -> str:
        """Return the text held back, if it is part of the answer."""
        last = self._feed(self._glued.close())
        pending, self._pending = self._pending, ""
        return last if self.over or _END.match(pending) else last + pending

    def _kept(self, text: str) -> int:
        """How many characters at the end may be the beginning of a token."""
        found = _OPEN.search(text, max(0, len(text) - _LONGEST_TOKEN))
        return len(text) - found.start() if found else 0

    def _pass(self, text: str, shown: list[str]) -> None:
        if text:
            self._place.add(text)
            shown.append(text)

    def _counts(self, token: str) -> bool:
        """Whether a token at this place would end the turn, if nothing followed."""
        if self._place.in_code or _ABOUT.search(self._place.line):
            return False
        if token.startswith("</"):
            return not self._place.has("<" + token[2:].lower())
        return True


class _GluedHeader:
    """Ends an answer at the header of the next one, of which a server has dropped the tokens: Llama 3 then writes
    `Bye!assistant` and a blank line (https://github.com/ollama/ollama/issues/3759)."""

    def __init__(self) -> None:
        self._last = ""  # the last character passed on
        self._held = ""
        self._over = False

    def feed(self, text: str) -> str:
        if self._over:
            return ""
        if self._held:
            text, self._held = self._held + text, ""
        if not text:
            return ""
        seen = self._last + text
        if found := _GLUED.search(seen):
            self._over = True
            text = text[: found.start() - len(self._last)]
        elif begun := _GLUED_BEGIN.search(seen, max(0, len(seen) - len(_GLUED_HEADER) - 1)):
            start = begun.start() - len(self._last)
            text, self._held = text[:start], text[start:]
        self._last = text[-1:] or self._last
        return text

    def close(self) -> str:
        held, self._held = self._held, ""
        return "" if held.rstrip() == "assistant" else held


class _Place:
    """Where in the Markdown of an answer its end is. Only what matters for code is kept of the text."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._line = ""
        self._fence = ""
        self._opened: set[str] = set()

    def add(self, text: str) -> None:
        self._pieces.append(text)

    @property
    def line(self) -> str:
        """The unfinished last line."""
        *lines, self._line = (self._line + "".join(self._pieces)).split("\n")
        self._pieces.clear()
        for line in lines:
            self._note(line)
            found = _FENCE.match(line)
            if self._fence:
                if found and found[1].startswith(self._fence) and not found[2].strip():
                    self._fence = ""
            elif found and not (found[1][0] == "`" and "`" in found[2]):
                self._fence = found[1]
        return self._line

    @property
    def in_code(self) -> bool:
        """Whether the end is inside a block or a span of code."""
        line = self.line
        found = _FENCE.match(line)
        return bool(self._fence or _in_span(line) or (found and "`" not in found[2]))

    def has(self, tag: str) -> bool:
        """Whether this tag opened before."""
        self._note(self.line)
        return tag in self._opened

    def _note(self, line: str) -> None:
        if "<" in line:
            line = line.lower()
            self._opened.update(tag for tag in ("<s>", "<answer>", "<response>", "<output>") if tag in line)


def _in_span(line: str) -> bool:
    length = 0
    for run in _TICKS.finditer(line):
        if not length:
            length = len(run[0])
        elif len(run[0]) == length:
            length = 0
    return length > 0
