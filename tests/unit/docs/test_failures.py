"""docs/failures.md is what the table of causes says."""

import failures

from coterie.core.causes import CAUSES


def test_the_page_is_made_from_the_table() -> None:
    assert failures.PAGE.read_text(encoding="utf-8") == failures.page(), "run: python tools/failures.py"


def test_every_code_stands_there_once() -> None:
    text = failures.page()
    for code in CAUSES:
        assert text.count(f"\n| `{code}` | ") == 1
