"""The same suite under pytest-recording and under its stand-in: nobody sees a difference.

Each row is a command line. The suite has a test for every way to say what a test wants,
with a cassette and without. What is compared is what came of it: the outcome of every
phase, what each test was answered, what reached the network, and the cassettes, byte
for byte. pytest-recording beside this project's own plug-in has to come to the same.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.compat.suite import COMPAT, Ran, Suite

CONFTEST = """
    import json

    class Compact:
        @staticmethod
        def serialize(data):
            return json.dumps(data)

        @staticmethod
        def deserialize(text):
            return json.loads(text)

    def first_letter(one, other):
        return one.path[1] == other.path[1]

    def pytest_recording_configure(config, vcr):
        vcr.register_serializer("compact", Compact)
        vcr.register_matcher("first letter", first_letter)
"""

TESTS = """
    @pytest.mark.vcr
    def test_recorded(request):
        get("/recorded", request)

    @pytest.mark.vcr
    def test_not_recorded(request):
        get("/new", request)

    @pytest.mark.vcr
    def test_partly_recorded(request):
        get("/recorded", request)
        get("/new", request)

    @pytest.mark.vcr
    def test_asked_twice(request):
        get("/recorded", request)
        get("/recorded", request)

    @pytest.mark.vcr
    def test_asks_nothing(vcr):
        assert vcr.play_count == 0

    def test_unmarked(request, vcr):
        assert vcr is None
        get("/unmarked", request)

    @pytest.mark.vcr("extra.yaml", "deeper/more.yaml")
    @pytest.mark.vcr("extra.yaml")
    def test_extras(request, vcr):
        get("/extra", request)
        get("/more", request)
        get("/recorded", request)

    @pytest.mark.vcr("not_there.yaml")
    def test_extra_that_is_not_there(request):
        get("/recorded", request)

    @pytest.mark.default_cassette("shared")
    @pytest.mark.vcr
    def test_shared(request):
        get("/recorded", request)

    @pytest.mark.default_cassette("deeper/shared.yaml")
    @pytest.mark.vcr
    def test_shared_in_a_folder(request):
        get("/recorded", request)

    @pytest.mark.default_cassette
    @pytest.mark.vcr
    def test_default_cassette_without_a_name(request):
        get("/recorded", request)

    class TestClass:
        @pytest.mark.vcr
        def test_in_class(self, request):
            get("/recorded", request)

    @pytest.mark.vcr
    @pytest.mark.parametrize("name", ['a/b', 'c:d?', "x" * 300], ids=str)
    def test_odd_names(request, name):
        get("/recorded", request)

    @pytest.mark.vcr(record_mode="once")
    def test_mode_of_the_marker(request):
        get("/new", request)

    @pytest.mark.vcr(record_mode="rewrite")
    def test_rewrite_of_the_marker(request):
        get("/recorded", request)

    @pytest.mark.vcr(serializer="json")
    def test_json(request):
        get("/recorded", request)

    @pytest.mark.vcr(serializer="compact")
    def test_own_serializer(request):
        get("/recorded", request)

    @pytest.mark.vcr(match_on=["method", "first letter"])
    def test_own_matcher(request):
        get("/rather_another", request)

    @pytest.mark.vcr(match_on=["nonsense"])
    def test_unknown_matcher(request):
        get("/recorded", request)

    @pytest.mark.vcr(allow_playback_repeats=True)
    def test_repeats(request):
        get("/recorded", request)
        get("/recorded", request)

    @pytest.mark.vcr(ignore_localhost=True)
    def test_ignored_host(request):
        get("/recorded", request)

    @pytest.mark.block_network
    def test_blocked(request):
        get("/blocked", request)

    @pytest.mark.block_network(allowed_hosts=["127.0.*"])
    def test_allowed(request):
        get("/allowed", request)

    @pytest.mark.block_network(allowed_hosts=["example.com"])
    def test_another_allowed(request):
        get("/allowed", request)

    @pytest.mark.block_network
    @pytest.mark.vcr
    def test_blocked_and_recorded(request):
        get("/recorded", request)
        get("/new", request)

    @pytest.mark.block_network("everywhere")
    def test_wrong_block(request):
        get("/blocked", request)

    @pytest.mark.block_network(hosts=["127.0.0.1"])
    def test_wrong_block_by_name(request):
        get("/blocked", request)

    def test_what_can_be_asked_for(
        request, record_mode, disable_recording, vcr_config, vcr_markers, allowed_hosts,
        vcr_cassette_dir, default_cassette_name, block_network,
    ):
        folder = Path(vcr_cassette_dir).relative_to(request.config.rootpath)
        with SEEN.open("a") as file:
            print(record_mode, disable_recording, vcr_config, vcr_markers, allowed_hosts, folder,
                  default_cassette_name, block_network, file=file)
"""

CONFIGURED = """
    pytestmark = [pytest.mark.vcr("extra.yaml"), pytest.mark.vcr(match_on=["method", "path"])]

    @pytest.fixture(scope="module")
    def vcr_config():
        return {
            "filter_query_parameters": ["key"],
            "filter_headers": ["user-agent"],
            "match_on": ["nonsense"],
            "record_mode": "new_episodes",
            "allowed_hosts": "127.0.0.2,127.0.0.1",
        }

    def test_merged(request):
        get("/new?key=secret", request)

    @pytest.mark.vcr(filter_query_parameters=[])
    def test_closest_wins(request):
        get("/new?key=secret", request)

    @pytest.mark.vcr("/nowhere/at/all.yaml", match_on=["method"])
    def test_plays_the_first_that_matches(request, vcr):
        get("/new", request)
        assert vcr.play_count

    @pytest.mark.vcr(record_mode="none")
    @pytest.mark.block_network
    def test_hosts_of_the_settings(request, allowed_hosts):
        assert allowed_hosts == ["127.0.0.2", "127.0.0.1"]
        get("/new", request)
"""

OVERRIDDEN = """
    @pytest.fixture(scope="module")
    def vcr_cassette_dir(request):
        return str(Path(request.fspath.dirname) / "cassettes" / "elsewhere")

    @pytest.fixture
    def default_cassette_name(request):
        return "named-" + request.node.name

    @pytest.fixture(scope="session")
    def record_mode():
        return "once"

    @pytest.mark.vcr
    def test_overridden(request):
        get("/new", request)
"""


@pytest.fixture
def written(suite: Suite) -> Suite:
    """The whole suite, with a cassette for some of its tests."""
    suite.file(CONFTEST, "conftest.py")
    suite.file(TESTS, "test_marks.py")
    suite.file(CONFIGURED, "test_configured.py")
    suite.file(OVERRIDDEN, "deeper/test_overridden.py")
    for name in (
        "test_recorded",
        "test_partly_recorded",
        "test_asked_twice",
        "test_extra_that_is_not_there",
        "shared",
        "deeper/shared",
        "TestClass.test_in_class",
        "test_odd_names[a-b]",
        "test_odd_names[c-d-]",
        "test_rewrite_of_the_marker",
        "test_own_matcher",
        "test_repeats",
        "test_ignored_host",
        "test_blocked_and_recorded",
    ):
        suite.recording(f"test_marks/{name}.yaml", "/recorded")
    suite.recording("test_marks/extra.yaml", "/extra")
    suite.recording("test_marks/deeper/more.yaml", "/more")
    suite.recording("test_marks/test_json.json", "/recorded", serializer="json")
    suite.recording("test_marks/test_own_serializer.compact", "/recorded", serializer="json")
    suite.recording("test_configured/extra.yaml", "/extra")
    return suite


PLUGINS = {
    "pytest-recording": ("-p", "no:mnemosyne"),
    "beside pytest-mnemosyne": (),
    "in its place": COMPAT,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="default"),
        *(
            pytest.param((f"--record-mode={mode}",), id=mode)
            for mode in ("once", "new_episodes", "all", "rewrite")
        ),
        pytest.param(("--block-network",), id="blocked"),
        pytest.param(("--block-network", "--record-mode=once"), id="blocked-once"),
        pytest.param(("--block-network", "--allowed-hosts=127.0.0.1,x"), id="allowed"),
        pytest.param(("--disable-recording",), id="disabled"),
    ],
)
def test_the_same_comes_of_it(
    written: Suite, options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = tmp_path_factory.mktemp("before") / "suite"
    shutil.copytree(written.path, before)

    ran: dict[str, Ran] = {}
    for plugin, args in PLUGINS.items():
        _put_back(written.path, before)
        ran[plugin] = written.observe(*args, *options)

    expected = ran.pop("pytest-recording")
    assert len(expected.outcomes) > 90
    for plugin, found in ran.items():
        assert found == expected, plugin


def _put_back(path: Path, before: Path) -> None:
    """A suite as it was before it ran; the folder itself stays, since somebody stands in it."""
    for each in path.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.copytree(before, path, dirs_exist_ok=True)
