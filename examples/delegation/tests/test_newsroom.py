"""From a topic to an article. The scripts are what the cassettes were recorded from."""

from __future__ import annotations

import asyncio

import pytest
from newsroom import Planner, publish
from newsroom.desk import NotPublishedError

from mnemosyne_core import AgentRole, WorkItem
from pytest_mnemosyne.simulation import (
    has_no_tool_result,
    has_tool_result,
    system_contains,
    text_contains,
    tool_use,
)

GATES = ("intent", "tests", "documentation", "no_anti_patterns", "constraints")
planner = system_contains("You are the planner")
writer = system_contains("You are the executor")
reviewer = system_contains("You are the reviewer")
optimizer = system_contains("You are the optimizer")


def verdict(decision, *issues, **failing):
    return {
        "decision": decision,
        "gates": {**dict.fromkeys(GATES, True), **failing},
        "confidence": 0.9,
        "issues": list(issues),
        "suggested_tests": [],
    }


def script_article(claude, topic, path, text, *, guidance=None):
    """The writer's way: write the file, count its words, say that it is done."""
    about = [writer, text_contains(topic)]
    if guidance:
        about.append(text_contains(guidance))
    claude.when(*about, has_no_tool_result()).reply(tool_use("write_file", path=path, content=text))
    claude.when(*about, has_tool_result("wrote")).reply(tool_use("count_words", path=path))
    claude.when(*about, has_tool_result("words")).reply(f"I wrote {path} and counted its words.")


async def test_a_topic_becomes_a_reviewed_article(
    newsroom, scripted_claude, claude_cassette, event_log, tmp_path
):
    scripted_claude.when(planner).reply("What tides are\nWhat the moon does\nWhat the sun adds")
    script_article(
        scripted_claude, "Tides", "tides.md", "# Tides\n\nThe moon pulls, the sea follows.\n"
    )
    scripted_claude.when(reviewer).reply(json=verdict("approve"))

    tree = await newsroom()
    article = await publish(tree, "Tides")

    text = (tmp_path / "workspace" / article.path).read_text()
    assert text.startswith("#")
    assert len(text.split()) <= 60
    assert len(article.outline) >= 3
    event_log.assert_order(
        lambda event: event.kind == "work_completed" and event.fact.item_id == "tides.plan",
        lambda event: event.kind == "work_claimed" and event.fact.item_id == "tides.article",
        "work_reviewed",
        lambda event: event.kind == "work_completed" and event.fact.item_id == "tides.article",
    )
    assert {turn.agent for turn in claude_cassette.turns} == {
        "orchestrator",
        "executor",
        "reviewer",
    }


async def test_an_article_that_is_refused_is_written_again_with_guidance(
    newsroom, scripted_claude, event_log
):
    guidance = "Name the two kinds of tide."
    script_article(
        scripted_claude,
        "Tides",
        "tides.md",
        "# Tides\n\nSpring tides are high, neap tides are not.\n",
        guidance=guidance,
    )
    script_article(scripted_claude, "Tides", "tides.md", "# Tides\n\nThe sea rises.\n")
    scripted_claude.when(planner).reply("What tides are\nTheir kinds\nTheir causes")
    scripted_claude.when(reviewer, text_contains("Attempt: 1")).reply(
        json=verdict("revise", "It leaves out the kinds of tide.", intent=False)
    )
    scripted_claude.when(reviewer, text_contains("Attempt: 2")).reply(json=verdict("approve"))
    scripted_claude.when(optimizer).reply(json={"guidance": [guidance]})

    article = await publish(await newsroom(), "Tides")

    reviews = len(event_log.of("work_reviewed"))
    assert article.attempts == reviews
    assert len(event_log.of("feedback_consolidated")) == reviews - 1


async def test_two_topics_at_once_get_their_own_articles(newsroom, scripted_claude, tmp_path):
    topics = {"Rain": "rain.md", "Snow": "snow.md"}
    for topic, path in topics.items():
        scripted_claude.when(planner, text_contains(topic)).reply(f"{topic} falls\nWhy\nWhere")
        script_article(scripted_claude, topic, path, f"# {topic}\n\n{topic} falls from clouds.\n")
        scripted_claude.when(reviewer, text_contains(topic)).reply(json=verdict("approve"))

    tree = await newsroom()
    articles = await asyncio.gather(*(publish(tree, topic) for topic in topics))

    assert [article.path for article in articles] == list(topics.values())
    for topic, path in topics.items():
        assert topic.lower() in (tmp_path / "workspace" / path).read_text().lower()


@pytest.mark.claude_cassette
async def test_the_planner_alone_needs_no_tree(scripted_claude, claude_cassette):
    scripted_claude.reply("Where bees live\nWhat bees do\nWhy bees matter")

    planner = Planner()
    await planner.start_session()
    try:
        result = await planner.execute_work(WorkItem(id="bees", description="Topic: bees"))
    finally:
        await planner.stop_session()

    assert result.success
    assert 3 <= len(result.data["outline"]) <= 5
    (turn,) = claude_cassette.turns
    assert turn.model == "claude-haiku-5-5"


async def test_an_article_is_not_published_without_a_writer(make_supervision_tree):
    def nobody(_):
        raise ModuleNotFoundError("No module named 'ink'", name="ink")

    class Ready(Planner):
        async def execute_work(self, item, *, attempt=1, guidance=()):
            from mnemosyne_core import WorkResult

            return WorkResult(item_id=item.id, success=True, data={"outline": ["a point"]})

    agents = {AgentRole.ORCHESTRATOR: lambda _: Ready(), AgentRole.EXECUTOR: nobody}
    tree = await make_supervision_tree(agents=agents)

    with pytest.raises(NotPublishedError, match="ink"):
        await publish(tree, "Tides")
    assert not tree.is_healthy()
