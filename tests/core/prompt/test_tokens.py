"""Estimates of token counts, beside what real tokenizers counted."""

from itertools import count

import pytest

from core.prompt.tokens import TokenEstimator
from tests.degenerate import Case
from tests.growth import MOST, growth

# A text, and how many tokens the tokenizers of Qwen 2.5 and DeepSeek V3 make of a hundred of it.
COUNTED = {
    "English": (
        "Could you please check whether the deployment of last Thursday changed the way that invoices are numbered? ",
        1801,
        1801,
    ),
    "German": (
        "Die Sitzung beginnt um neun Uhr morgens, und wir besprechen die größeren Änderungen an der Datenbank. ",
        3001,
        3001,
    ),
    "Russian": ("Заседание начнётся в девять часов утра, и мы обсудим результаты прошлой недели. ", 2901, 2501),
    "Chinese": ("会议将于上午九点开始，我们将讨论上周的结果以及数据库的重大更改。", 1600, 1600),
    "Japanese": ("会議は午前九時に始まり、先週の結果とデータベースの大きな変更について話し合います。", 2600, 2700),
    "Korean": ("회의는 오전 아홉 시에 시작되며 지난주의 결과와 주요 변경 사항을 논의할 것입니다. ", 2800, 2801),
    "Arabic": ("سيبدأ الاجتماع في التاسعة صباحا وسنناقش نتائج الأسبوع الماضي والتغييرات الكبيرة. ", 2601, 2901),
    "code": ("    if (x[i] != 0) {\n        y[j] = compute(x, i);  // keep the sign\n    }\n", 2900, 2900),
    "JSON": ('{"id": 17, "name": "user 17", "tags": ["a", "b"], "score": 0.4711, "ok": true}\n', 4100, 3700),
    "log": ("2026-11-28T23:14:05.123Z INFO core.turns.runner turn 8842 took 4.711s\n", 4400, 3200),
    "URL": ("https://example.com/api/v1/items/48213?page=3&sort=desc\n", 2200, 2100),
    "base64": (
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO\n",
        5200,
        5100,
    ),
    "hex": ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n", 6000, 4400),
    "CSV": ("817.21,13.05,99.50,4711.00,0.13\n", 3200, 2100),
    "table": ("| alpha                  | beta                   | gamma                  |\n", 1000, 1000),
    "emoji": ("😀🎉🚀👍🔥💡🙏😂", 800, 1300),
}
NUMBERS = count()
CASES: tuple[Case, ...] = (
    lambda length: "a1" * (length // 2),
    lambda length: "a1b2c3d4e5f6g7h8i9j0 " * (length // 21),
    lambda length: "a" * 19 + " " + "-=" * (length // 2),
    lambda length: ("a" * 19 + ".") * (length // 20),
    lambda length: " \n" * (length // 2),
    lambda length: "會é\U0001f600я" * (length // 4),
    lambda length: "\ud800" * length,
)


def guess(text: str) -> int:
    return TokenEstimator().count("m", text)


@pytest.mark.parametrize("kind", COUNTED)
def test_a_guess_is_near_the_counts_of_real_tokenizers(kind: str) -> None:
    """Texts, code and files alike: from three fifths to five thirds of what each of them counts."""
    text, *counts = COUNTED[kind]
    found = guess(text * 100)
    for counted in counts:
        assert 0.6 * counted <= found <= 1.65 * counted, found / counted


@pytest.mark.parametrize("case", CASES)
async def test_a_guess_takes_time_in_proportion_to_the_text(case: Case) -> None:
    """Whatever people or files hold."""
    assert await growth(lambda text: guess(f"{next(NUMBERS)} {text}"), case) <= MOST


def test_what_other_processes_learnt_counts_until_this_one_knows_better() -> None:
    """A ratio is adopted once; then this process's own answers teach."""
    estimator, text = TokenEstimator(), "some words of English text " * 50
    before = estimator.count("m", text)
    estimator.adopt("m", 2.0)
    assert estimator.count("m", text) > 1.9 * before
    for _ in range(20):
        estimator.learn("m", [text], before)
    estimator.adopt("m", 2.0)
    assert estimator.count("m", text) < 1.1 * before


async def test_samples_stand_for_a_very_long_text() -> None:
    """Counting it takes no longer than counting a shorter one, and comes to about the same."""
    text = "".join(text * 100 for text, *_ in COUNTED.values())
    assert abs(guess(text * 20) / (20 * guess(text)) - 1) < 0.2
    assert await growth(lambda text: guess(f"{next(NUMBERS)} {text}"), lambda length: "word 12 " * (10 * length)) < MOST
