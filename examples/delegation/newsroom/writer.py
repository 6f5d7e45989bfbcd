"""The writer: an agent of mnemosyne_core with one tool of ours."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mnemosyne_core.agents import Agent, Tool, ToolContext, create_agent, tools_for
from mnemosyne_core.tree import AgentPlace


class CountWords(BaseModel):
    """Arguments of `count_words`."""

    path: str = Field(description="Path of a text file, relative to the workspace.")


async def count_words(given: CountWords, context: ToolContext) -> str:
    """How many words a file of the workspace has."""
    text = context.workspace.read(given.path)
    return f"{len(text.split())} words"


COUNT_WORDS = Tool(
    name="count_words",
    description="Count the words of a text file.",
    input_model=CountWords,
    run=count_words,
)


def make_writer(place: AgentPlace) -> Agent:
    """The writer for a place in a tree."""
    return create_agent(
        place.role,
        client=place.client,
        workspace=place.workspace,
        settings=place.settings,
        tools=(*tools_for(place.role, place.plugins), COUNT_WORDS),
        ids=place.ids,
        clock=place.clock,
    )
