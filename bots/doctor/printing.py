"""Prints findings, for people or for programs."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TextIO

from core.finding import Finding, Verdict
from core.output import say
from core.text import one_line

MARKS = {Verdict.OK: "✓", Verdict.NOTE: "!", Verdict.BAD: "✗"}
_COLOURS = {Verdict.OK: "32", Verdict.NOTE: "33", Verdict.BAD: "31"}
_LONGEST = 1_000  # characters of a line
_WIDTH = 13


def show(finding: Finding, out: TextIO | None = None) -> None:
    """Print a line for what was found, and one for what to do about it. Colours are for terminals only."""
    out = out or sys.stdout
    mark = MARKS[finding.verdict]
    if out.isatty():
        mark = f"\x1b[{_COLOURS[finding.verdict]}m{mark}\x1b[0m"
    lines = [f"{mark} {finding.name:{_WIDTH}} {one_line(finding.text, _LONGEST)}"]
    if finding.mend:
        lines.append(f"  {'':{_WIDTH}} → {one_line(finding.mend, _LONGEST)}")
    say(*lines, out=out)


def conclusion(findings: Sequence[Finding]) -> str:
    """The last line: how many things are wrong."""
    count = sum(each.verdict is Verdict.BAD for each in findings)
    return "All is well." if not count else f"{count} thing{'s are' if count != 1 else ' is'} wrong."


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects with `name`, `verdict` (ok, note or bad), `text` and `mend`."""
    return json.dumps([dataclasses.asdict(each) for each in findings], ensure_ascii=False, indent=2)
