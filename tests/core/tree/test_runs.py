"""One database, several runs: killed processes, two trees at once, and what comes after them."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mnemosyne_core.errors import ActorDownError, RestartIntensityError, StorageError
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import WorkResult
from tests.core.tree.cast import Call, Cast, done, refused
from tests.core.tree.laws import assert_lawful

WORKER = """
import asyncio, sys
from pathlib import Path
from mnemosyne_core.tree import SupervisionConfig
from tests.core.tree.cast import APPROVED, Cast, done, refused

async def review(call):
    verdict = refused("no docstring") if call.attempt == 1 else APPROVED
    return done(call, verdict.model_dump(mode="json"))

async def main():
    cast = Cast()
    cast.reviewer.answer = review
    async with cast.tree(SupervisionConfig(database=Path(sys.argv[1]))) as tree:
        for n in range(1_000_000):
            needs = [f"i{n - 1}"] if n % 3 else []
            item = {"id": f"i{n}", "description": "x", "dependencies": needs, "max_attempts": 9}
            handle = await tree.submit(item)
            print(handle.id, flush=True)
            await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_after_a_kill_every_acknowledged_item_ends_and_none_twice(
    tmp_path: Path, seed: int
) -> None:
    file = tmp_path / "tree.db"
    acknowledged = run_and_kill(file, after_lines=random.Random(seed).randrange(1, 60))

    later = Cast()
    async with later.tree(SupervisionConfig(database=file)) as tree:
        finished = set(tree.journal.finished())
        for item_id in acknowledged:
            result = await tree.handle(item_id).result(timeout=5)
            assert result.success
        assert finished.isdisjoint(call.item.id for call in later.executor.calls)
        assert_lawful(tree)


def run_and_kill(file: Path, *, after_lines: int) -> list[str]:
    """Have a process work on `file` until it is killed; the ids that it said were stored."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as worker:
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(after_lines)]
        worker.kill()
        lines += worker.stdout.readlines()
    # The last line may have been cut by the kill.
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_a_second_tree_on_the_same_file_takes_over_and_the_first_one_says_so(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")
    gate = asyncio.Event()

    async def wait(call: Call) -> WorkResult:
        await gate.wait()
        return done(call)

    cast.executor.answer = wait
    first = cast.tree(config)
    await first.start()
    handle = await first.submit({"id": "a", "description": "x"})
    await first.state.wait_until(lambda s: s.agents["executor"].items, 5)

    async with Cast().tree(config) as second:
        assert (await second.handle("a").result(timeout=5)).attempt == 2
        gate.set()
        with pytest.raises((StorageError, RestartIntensityError), match="another one writes"):
            await handle.result(timeout=5)
        with pytest.raises(StorageError, match="another one writes"):
            await first.stop()
        assert_lawful(second)
        assert (await (await second.submit({"description": "y"})).result(timeout=5)).success


async def test_guidance_outlives_the_run_that_gave_it(cast: Cast, tmp_path: Path) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")
    cast.verdicts = [refused("no docstring")]

    async def hang_then(call: Call) -> WorkResult:
        if call.attempt == 2:
            await asyncio.Event().wait()
        return done(call)

    cast.executor.answer = hang_then
    async with cast.tree(config) as tree:
        await tree.submit({"id": "a", "description": "x", "max_attempts": 5})
        await tree.state.wait_until(
            lambda s: s.items["a"].attempt == 2 and s.agents["executor"].items, 5
        )

    later = Cast()
    later.verdicts = [refused("no tests")]
    async with later.tree(config) as tree:
        assert (await tree.handle("a").result(timeout=5)).success
    assert [(call.attempt, call.guidance) for call in later.executor.calls] == [
        (3, ("mind: no docstring",)),
        (4, ("mind: no docstring", "mind: no tests")),
    ]


@pytest.mark.slow
async def test_a_hundred_trees_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folders))

    async def one(n: int) -> None:
        cast = Cast()
        cast.verdicts = [refused("no docstring")]
        config = SupervisionConfig(database=tmp_path / f"{n}.db" if n % 10 == 0 else None)
        async with cast.tree(config) as tree:
            result = await (await tree.submit({"id": f"i{n}", "description": "x"})).result(5)
            assert result.success
            if n % 5 == 0:
                await tree.restart_agent("executor")

    await one(1000)
    gc.collect()
    tasks = asyncio.all_tasks()
    before = open_files(), threading.active_count(), trees_alive()
    for n in range(100):
        await one(n)
    gc.collect()
    assert asyncio.all_tasks() == tasks
    # Fewer: what an earlier test had left to be collected.
    after = open_files(), threading.active_count(), trees_alive()
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert list(folders.iterdir()) == []


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def trees_alive() -> int:
    return sum(isinstance(each, SupervisionTree) for each in gc.get_objects())


async def test_an_item_that_was_interrupted_in_its_review_goes_round_again(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")

    async def hang(_: Call) -> WorkResult:
        await asyncio.Event().wait()
        raise AssertionError("nobody lets it go on")

    cast.reviewer.answer = hang
    async with cast.tree(config) as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        await tree.state.wait_until(lambda s: s.agents["reviewer"].items, 5)
    with pytest.raises(ActorDownError):
        await handle.result(timeout=5)

    later = Cast()
    async with later.tree(config) as tree:
        result = await tree.handle("a").result(timeout=5)
        assert (result.success, result.attempt) == (True, 2)
        assert_lawful(tree)
