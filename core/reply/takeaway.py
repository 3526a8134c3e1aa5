"""Takeaway: what people can take out of an answer as files: its code, by the language of each block, and its tables.

A model wrote every byte of it. Nothing here runs any, and a person who opens a file is told who wrote it.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable

from core.domain.page import Action, Page, ReplyFile
from core.markdown.excerpts import Excerpts, excerpts
from core.markdown.paginate import LONGEST_PAGE
from core.pauses import Pausing, at_once

MOST_FILES = 5
"""The most blocks, or tables, of an answer that are given as files: its longest ones."""
LONGEST_ANSWER = 200_000
"""Characters. Of a longer answer nothing is offered: all of it is a file already."""
# The end of a file's name by the language of its fence. What is not here is a text, and so are batch files and the
# like: they would run where somebody only wanted to look at them.
_ENDS = {
    "py": ("python", "py", "python3", "py3"),
    "js": ("javascript", "js", "node", "mjs"),
    "jsx": ("jsx",),
    "ts": ("typescript", "ts"),
    "tsx": ("tsx",),
    "html": ("html", "htm"),
    "css": ("css",),
    "scss": ("scss",),
    "json": ("json", "jsonc"),
    "jsonl": ("jsonl", "ndjson"),
    "yaml": ("yaml", "yml"),
    "toml": ("toml",),
    "ini": ("ini", "cfg", "conf"),
    "xml": ("xml", "svg"),
    "sh": ("sh", "bash", "shell", "zsh", "console", "shell-session"),
    "sql": ("sql", "postgresql", "mysql", "sqlite", "plsql"),
    "c": ("c", "h"),
    "cpp": ("cpp", "c++", "cc", "cxx", "hpp"),
    "cs": ("csharp", "cs", "c#"),
    "java": ("java",),
    "kt": ("kotlin", "kt"),
    "swift": ("swift",),
    "go": ("go", "golang"),
    "rs": ("rust", "rs"),
    "rb": ("ruby", "rb"),
    "php": ("php",),
    "pl": ("perl", "pl"),
    "lua": ("lua",),
    "r": ("r",),
    "jl": ("julia", "jl"),
    "scala": ("scala",),
    "hs": ("haskell", "hs"),
    "ex": ("elixir", "ex"),
    "clj": ("clojure", "clj"),
    "dart": ("dart",),
    "tex": ("latex", "tex"),
    "md": ("markdown", "md", "mdx"),
    "csv": ("csv",),
    "tsv": ("tsv",),
    "diff": ("diff", "patch"),
    "tf": ("terraform", "tf", "hcl"),
    "graphql": ("graphql", "gql"),
    "proto": ("protobuf", "proto"),
    "lean": ("lean",),
}
_END_OF = {language: end for end, languages in _ENDS.items() for language in languages}
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_MARKS = ("***", "**", "__", "~~", "``", "`", "*", "_")  # around a whole cell
# How a spreadsheet knows a formula, in the wide forms of these signs too, with white space before it or not.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]\s*\S")
_NUMBER = re.compile(r"\s*[+-]?[0-9][0-9.,_ \u00a0\u202f]*+\s?[%\u20ac$\u00a3]?\s*")


def offers(text: str, fits: Callable[[Page], bool], pages: int) -> Pausing[tuple[Action, ...]]:
    """The buttons under a complete answer of so many pages: for its code, if a block is longer than a page, and for its
    tables."""
    if len(text) > LONGEST_ANSWER or not ("|" in text or pages > 1):
        return ()
    found = yield from excerpts(text)
    long = pages > 1 and any(_is_long(block.text, fits) for block in found.code)
    return (*((Action.FILE,) if long else ()), *((Action.TABLE,) if found.tables else ()))


def _is_long(code: str, fits: Callable[[Page], bool]) -> bool:
    """Whether a block is longer than a page here. No page is longer than LONGEST_PAGE, so that no more is measured."""
    return len(code) > LONGEST_PAGE or not fits(Page(f"```\n{code}\n```"))


def code_files(answer: str) -> tuple[ReplyFile, ...]:
    """The blocks of code of an answer as files, in order: `answer.py`, `answer-2.py`. Of more than MOST_FILES, the
    longest."""
    found = _excerpts(answer).code
    longest = sorted(range(len(found)), key=lambda index: -len(found[index].text))[:MOST_FILES]
    chosen = [found[index] for index in sorted(longest)]
    names = _names("answer", (_END_OF.get(block.language, "txt") for block in chosen))
    return tuple(
        ReplyFile(name, block.text.encode("utf-8", "replace"))
        for name, block in zip(names, chosen, strict=True)
        if block.text.strip()
    )


def table_files(answer: str) -> tuple[ReplyFile, ...]:
    """The tables of an answer as CSV (RFC 4180; in UTF-8 with a mark that Excel needs), in order: `table.csv`,
    `table-2.csv`. Of more than MOST_FILES, the longest.

    A spreadsheet runs a cell that begins with = + - or @ as a formula, which can call programs and send the sheet away
    (owasp.org, CSV Injection). The model may have taken it from a stranger. So such a cell gets an apostrophe in front,
    unless it is a plain number.
    """
    found = _excerpts(answer).tables
    longest = sorted(range(len(found)), key=lambda index: -len(found[index]))[:MOST_FILES]
    chosen = [found[index] for index in sorted(longest)]
    files = []
    for name, rows in zip(_names("table", ("csv" for _ in chosen)), chosen, strict=True):
        out = io.StringIO(newline="")
        csv.writer(out).writerows([_cell(cell) for cell in row] for row in rows)
        files.append(ReplyFile(name, out.getvalue().encode("utf-8-sig", "replace")))
    return tuple(files)


def _excerpts(answer: str) -> Excerpts:
    return at_once(excerpts(answer)) if len(answer) <= LONGEST_ANSWER else Excerpts()


def _names(stem: str, ends: Iterable[str]) -> list[str]:
    """Names for files with these ends, each once."""
    counted: dict[str, int] = {}
    names = []
    for end in ends:
        counted[end] = counted.get(end, 0) + 1
        names.append(f"{stem}-{counted[end]}.{end}" if counted[end] > 1 else f"{stem}.{end}")
    return names


def _cell(text: str) -> str:
    """A cell as a spreadsheet should have it: without marks around all of it, and never a formula."""
    text = _BREAK.sub("\n", text).strip()
    for mark in _MARKS:
        inner = text[len(mark) : -len(mark)]
        if inner.strip() and text == f"{mark}{inner}{mark}" and mark not in inner:
            text = inner
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
