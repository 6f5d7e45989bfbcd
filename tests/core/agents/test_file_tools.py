"""The file tools, called as Claude calls them: what they do, and where they stop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from mnemosyne_core.agents import AgentSettings, ToolContext, Workspace, tools_for
from mnemosyne_core.errors import ToolError, WorkspaceEscapeError
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.work import AgentRole

TOOLS = {
    tool.name: tool
    for tool in tools_for(AgentRole.EXECUTOR, plugin_manager(load_entry_points=False))
}


def context_at(root: Path, *, max_file_bytes: int = 100) -> ToolContext:
    return ToolContext(
        workspace=Workspace(root, max_file_bytes=max_file_bytes),
        settings=AgentSettings(),
        ids=CountedIds(),
        environment={},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    return place


@pytest.fixture
def context(root: Path) -> ToolContext:
    return context_at(root)


async def call(name: str, context: ToolContext, **arguments: JsonValue) -> str:
    return await TOOLS[name].call(arguments, context)


async def test_a_written_file_can_be_read_edited_and_listed(
    root: Path, context: ToolContext
) -> None:
    said = await call("write_file", context, path="src/a.py", content="x = 1\r\ny = ü\n")
    await call("edit_file", context, path="src/a.py", old="x = 1", new="x = 2")

    assert said == "wrote 14 bytes to src/a.py"
    assert await call("read_file", context, path="src/a.py") == "x = 2\r\ny = ü\n"
    assert await call("list_files", context) == "src/a.py"
    assert list(context.changed) == ["src/a.py"]


@pytest.mark.parametrize(
    ("first_line", "max_lines", "text"),
    [
        pytest.param(1, None, "1\n2\n3", id="all"),
        pytest.param(2, None, "2\n3", id="from-the-second"),
        pytest.param(2, 1, "2\n", id="only-the-second"),
        pytest.param(3, 9, "3", id="more-than-there-are"),
    ],
)
async def test_some_lines_of_a_file_can_be_read(
    first_line: int, max_lines: int | None, text: str, root: Path, context: ToolContext
) -> None:
    (root / "a.txt").write_text("1\n2\n3")

    read = await call(
        "read_file", context, path="a.txt", first_line=first_line, max_lines=max_lines
    )
    assert read == text


async def test_lines_beyond_the_end_are_an_error(root: Path, context: ToolContext) -> None:
    (root / "a.txt").write_text("1\n2\n")

    with pytest.raises(ToolError, match="has only 2 lines"):
        await call("read_file", context, path="a.txt", first_line=3)


async def test_a_listing_is_sorted_and_without_caches(root: Path, context: ToolContext) -> None:
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".git/config", "a/__pycache__/z.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")

    assert await call("list_files", context) == "b.txt\na/z.txt\na/b/c.txt"
    assert await call("list_files", context, path="a/b") == "a/b/c.txt"


async def test_an_empty_and_an_endless_folder_are_told_apart(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnemosyne_core.agents._file_tools.MAX_LISTED", 2)
    assert await call("list_files", context) == "(no files)"

    for name in "abc":
        (root / name).touch()
    listing = await call("list_files", context)
    assert listing == "a\nb\n(more files follow; list a folder below)"


@pytest.mark.parametrize("tool", ["read_file", "write_file", "edit_file", "list_files"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("../secret.txt", id="parent"),
        pytest.param("a/../../secret.txt", id="parent-in-the-middle"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("out/secret.txt", id="through-a-link"),
        pytest.param("link.txt", id="a-link"),
        pytest.param("dangling", id="a-dangling-link"),
    ],
)
async def test_no_tool_leaves_the_workspace(
    tool: str, path: str, root: Path, context: ToolContext
) -> None:
    (root / "out").symlink_to(root.parent)
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "dangling").symlink_to(root.parent / "not-yet.txt")
    arguments: dict[str, dict[str, JsonValue]] = {
        "read_file": {},
        "write_file": {"content": "gone"},
        "edit_file": {"old": "secret", "new": "gone"},
        "list_files": {},
    }

    with pytest.raises(WorkspaceEscapeError):
        await call(tool, context, path=path, **arguments[tool])
    assert (root.parent / "secret.txt").read_text() == "secret"
    assert not (root.parent / "not-yet.txt").exists()


async def test_a_link_that_stays_inside_is_followed(root: Path, context: ToolContext) -> None:
    (root / "real.txt").write_text("text")
    (root / "link.txt").symlink_to("real.txt")

    await call("edit_file", context, path="link.txt", old="text", new="words")
    assert (root / "real.txt").read_text() == "words"
    assert list(context.changed) == ["real.txt"]


@given(path=st.text(max_size=40))
async def test_whatever_the_path_it_stays_inside_or_is_refused(
    path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = Workspace(tmp_path_factory.getbasetemp(), max_file_bytes=10)
    try:
        place = workspace.resolve(path)
    except ToolError:
        return
    assert place.is_relative_to(workspace.root)
    assert ".." not in place.parts


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("missing.txt", "there is no file 'missing.txt'", id="missing"),
        pytest.param("folder", "'folder' is a folder", id="folder"),
        pytest.param("pipe", "'pipe' is not an ordinary file", id="pipe"),
        pytest.param("large.txt", "would be 101 bytes; files here may have 100", id="large"),
        pytest.param("binary", "is a binary file of 4 bytes", id="binary"),
        pytest.param("latin", "not UTF-8 text: invalid start byte at byte 0 of 1", id="latin-1"),
        pytest.param("loop", "'loop' cannot be used|no file 'loop'", id="link-to-itself"),
        pytest.param("a\0b", "no file name can have", id="zero-byte"),
        pytest.param("x" * 300, "File name too long", id="too-long"),
        pytest.param("\ud800", "no file name can have", id="surrogate"),
    ],
)
async def test_a_file_that_cannot_be_read_says_why_without_an_absolute_path(
    path: str, reason: str, root: Path, context: ToolContext
) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    (root / "large.txt").write_text("x" * 101)
    (root / "binary").write_bytes(b"\x7fE\0F")
    (root / "latin").write_bytes(b"\xfc")
    (root / "loop").symlink_to("loop")

    with pytest.raises(ToolError, match=reason) as caught:
        await call("read_file", context, path=path)
    assert str(root) not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        pytest.param(".", "x", "'.' is a folder", id="the-workspace"),
        pytest.param("a.txt/b.txt", "x", "a file is where its folder would be", id="below-a-file"),
        pytest.param("b.txt", "ü" * 51, "would be 102 bytes", id="large"),
        pytest.param("b.txt", "\ud800", "not valid Unicode", id="surrogate"),
        pytest.param("pipe", "x", "not an ordinary file", id="pipe"),
    ],
)
async def test_a_file_that_cannot_be_written_says_why_and_nothing_changes(
    path: str, content: str, reason: str, root: Path, context: ToolContext
) -> None:
    (root / "a.txt").write_text("a")
    os.mkfifo(root / "pipe")

    with pytest.raises(ToolError, match=reason):
        await call("write_file", context, path=path, content=content)
    assert list(Workspace(root, max_file_bytes=1).files()) == ["a.txt", "pipe"]
    assert (root / "a.txt").read_text() == "a"
    assert not context.changed


@pytest.mark.parametrize(
    ("old", "advice"),
    [
        pytest.param("z", "occurs 0 times.*read the file", id="absent"),
        pytest.param("a", "occurs 2 times.*quote more", id="ambiguous"),
    ],
)
async def test_an_edit_needs_its_passage_exactly_once(
    old: str, advice: str, root: Path, context: ToolContext
) -> None:
    (root / "a.txt").write_text("a b a")

    with pytest.raises(ToolError, match=advice):
        await call("edit_file", context, path="a.txt", old=old, new="c")
    assert (root / "a.txt").read_text() == "a b a"


def test_a_workspace_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        Workspace(tmp_path / "file", max_file_bytes=1)
