"""The tools for files. They run inline: a file is small, and the order of effects stays fixed."""

from __future__ import annotations

from itertools import islice

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from mnemosyne_core.agents._tool import Tool, ToolContext
from mnemosyne_core.errors import ToolError

MAX_LISTED = 1000


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadFile(_Arguments):
    """Arguments of `read_file`."""

    path: str = Field(description="Path relative to the workspace.")
    first_line: PositiveInt = Field(default=1, description="Line to begin with; the first is 1.")
    max_lines: PositiveInt | None = Field(
        default=None, description="How many lines; all if absent."
    )


class WriteFile(_Arguments):
    """Arguments of `write_file`."""

    path: str = Field(description="Path relative to the workspace.")
    content: str = Field(description="The whole new content.")


class EditFile(_Arguments):
    """Arguments of `edit_file`."""

    path: str = Field(description="Path relative to the workspace.")
    old: str = Field(min_length=1, description="Text that occurs exactly once in the file.")
    new: str = Field(description="Text to put in its place.")


class ListFiles(_Arguments):
    """Arguments of `list_files`."""

    path: str = Field(default=".", description="Folder relative to the workspace.")


async def _read_file(given: ReadFile, context: ToolContext) -> str:
    lines = context.workspace.read(given.path).splitlines(keepends=True)
    if given.first_line > max(len(lines), 1):
        raise ToolError(f"{given.path!r} has only {len(lines)} lines")
    start = given.first_line - 1
    stop = None if given.max_lines is None else start + given.max_lines
    return "".join(lines[start:stop])


async def _write_file(given: WriteFile, context: ToolContext) -> str:
    size = context.workspace.write(given.path, given.content)
    _note_change(given.path, context)
    return f"wrote {size} bytes to {given.path}"


async def _edit_file(given: EditFile, context: ToolContext) -> str:
    text = context.workspace.read(given.path)
    found = text.count(given.old)
    if found != 1:
        raise ToolError(
            f"the old text occurs {found} times in {given.path!r}; it must occur exactly once, "
            f"{'read the file for its present text' if not found else 'quote more around it'}"
        )
    context.workspace.write(given.path, text.replace(given.old, given.new))
    _note_change(given.path, context)
    return f"edited {given.path}"


async def _list_files(given: ListFiles, context: ToolContext) -> str:
    names = list(islice(context.workspace.files(given.path), MAX_LISTED + 1))
    if not names:
        return "(no files)"
    more = ["(more files follow; list a folder below)"] if len(names) > MAX_LISTED else []
    return "\n".join(names[:MAX_LISTED] + more)


def _note_change(path: str, context: ToolContext) -> None:
    workspace = context.workspace
    context.changed[workspace.name_of(workspace.resolve(path))] = None


READ_FILE = Tool(
    name="read_file",
    description="Read a text file of the workspace, all of it or some of its lines.",
    input_model=ReadFile,
    run=_read_file,
)
WRITE_FILE = Tool(
    name="write_file",
    description="Create a file of the workspace or replace its content. Makes missing folders.",
    input_model=WriteFile,
    run=_write_file,
)
EDIT_FILE = Tool(
    name="edit_file",
    description="Replace one passage of a text file, which must occur in it exactly once.",
    input_model=EditFile,
    run=_edit_file,
)
LIST_FILES = Tool(
    name="list_files",
    description=(
        "List the files below a folder of the workspace, one path per line. "
        "Caches, virtual environments and version control are left out."
    ),
    input_model=ListFiles,
    run=_list_files,
)
