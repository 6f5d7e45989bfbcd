"""Which tools an agent of each role has, and how plug-ins add theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pluggy import PluginManager
from pydantic import BaseModel, ConfigDict, Field

from mnemosyne_core.agents._command import RUN_COMMAND
from mnemosyne_core.agents._file_tools import EDIT_FILE, LIST_FILES, READ_FILE, WRITE_FILE
from mnemosyne_core.agents._tool import AnyTool, Tool, ToolContext
from mnemosyne_core.errors import PluginError
from mnemosyne_core.hooks import hookimpl, in_registration_order, plugin_manager, register_once
from mnemosyne_core.ids import MemoryId
from mnemosyne_core.work import AgentRole

BUILT_IN = "mnemosyne-tools"
"""Name of the plug-in that offers the tools below; block it to do without them."""


class Remember(BaseModel):
    """Arguments of `remember`."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    text: str = Field(min_length=1, description="What to remember, in one or two sentences.")


async def _remember(given: Remember, context: ToolContext) -> str:
    # The id stays with us: in the conversation it would make every run different.
    context.memories[MemoryId(context.ids.mint("memory"))] = given.text
    return "remembered"


REMEMBER = Tool(
    name="remember",
    description="Keep something that was learned here and that will help with later work.",
    input_model=Remember,
    run=_remember,
)

_TOOLS: dict[AgentRole, tuple[AnyTool, ...]] = {
    AgentRole.ORCHESTRATOR: (READ_FILE, WRITE_FILE, EDIT_FILE, LIST_FILES, REMEMBER),
    AgentRole.EXECUTOR: (READ_FILE, WRITE_FILE, EDIT_FILE, LIST_FILES, RUN_COMMAND, REMEMBER),
    AgentRole.REVIEWER: (READ_FILE, LIST_FILES, RUN_COMMAND),
    AgentRole.OPTIMIZER: (),
}


class BuiltInTools:
    """The plug-in for the tools of this package."""

    @hookimpl(trylast=True)  # answers are read backwards, so these tools come first
    def mnemosyne_tools(self, role: AgentRole) -> Sequence[AnyTool]:
        """The tools of `role`."""
        return _TOOLS[role]


def tools_for(role: AgentRole, plugins: PluginManager | None = None) -> tuple[AnyTool, ...]:
    """The built-in tools of a role, then those of plug-ins in order of registration.

    Raises:
        PluginError: Two tools have the same name.
    """
    manager = plugins or plugin_manager()
    register_once(manager, BuiltInTools(), name=BUILT_IN)
    offered = in_registration_order(manager.hook.mnemosyne_tools(role=role))
    tools = [tool for some in offered for tool in cast("Sequence[AnyTool]", some)]
    return unambiguous(tools)


def unambiguous(tools: Sequence[AnyTool]) -> tuple[AnyTool, ...]:
    """The tools, each with a name of its own.

    Raises:
        PluginError: Two have the same name.
    """
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise PluginError(
                plugin=tool.name,
                problem="there are two tools of this name; Claude could not tell them apart, "
                "rename one",
            )
        seen.add(tool.name)
    return tuple(tools)
