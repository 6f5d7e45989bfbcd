from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import markdown

PAGE = """\
# Title

```python
x = 1
```

- a list

  ```bash name=go
  run this
  ```

~~~console exit=1
$ false
```
~~~
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_blocks_are_found_in_order_with_what_their_fences_say(page: Path) -> None:
    found = [(each.line, each.language, each.words, each.text) for each in markdown.blocks(page)]

    assert found == [
        (3, "python", (), "x = 1\n"),
        (9, "bash", ("name=go",), "run this\n"),
        (13, "console", ("exit=1",), "$ false\n```\n"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("```python\nx = 1\n", "page.md:1: this fence is never closed", id="open"),
        pytest.param("words\n\n    x = 1\n", "page.md:3: indented code", id="indented"),
        pytest.param("\tx = 1\n", "page.md:1: indented code", id="indented-by-a-tab"),
    ],
)
def test_code_that_would_escape_is_refused(page: Path, text: str, problem: str) -> None:
    page.write_text(text, encoding="utf-8")

    with pytest.raises(markdown.PageError, match=problem):
        markdown.blocks(page)


def test_the_command_line_prints_the_named_block(page: Path) -> None:
    ran = subprocess.run(
        [sys.executable, markdown.__file__, page, "go"], capture_output=True, text=True, check=True
    )

    assert ran.stdout == "run this\n"


def test_an_unknown_name_is_one_line_that_lists_the_known_ones(page: Path) -> None:
    ran = subprocess.run(
        [sys.executable, markdown.__file__, page, "stop"], capture_output=True, text=True
    )

    assert ran.returncode == 1
    assert ran.stderr == f"markdown: {page}: 0 blocks are named 'stop'; named blocks: go\n"
