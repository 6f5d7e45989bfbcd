"""YAML for cassettes: a loader that executes nothing, a dumper that people can review.

Other recorders leave language tags in their files (`!!python/object/apply:...`,
`!binary`, `!ruby/...`). The loader takes what such a node holds as plain data
and never what its tag promises, so no file can make it run anything.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _BaseDumper
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # PyYAML built without libyaml: the same files, ten times slower
    from yaml import SafeDumper as _BaseDumper  # type: ignore[assignment]
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

from pytest_mnemosyne.cassette._json_styles import LONGEST_NUMBER

# Long lines are for the editor to wrap: a fold in the file would be a line of diff
# for every word that changes before it.
_WIDTH = 1 << 20

_MOST_UNFOLDED = 64 * 1024 * 1024
"""What the aliases of a file may come to, in characters; honest ones repeat a header or two."""

_ANCHOR = re.compile(rb"(?:^|[\s\[{,])&\S")
_ALIAS = re.compile(rb"(?:^|[\s\[{,])\*\S")

_LINE_BREAKS = frozenset("\x85\u2028\u2029\ufeff")
"""What is a line break, or nothing at all, to YAML, and text to everybody else."""


Where = tuple[str | int, ...]
"""The keys and indexes that lead to a node."""


class YamlProblem(Exception):  # noqa: N818 - a finding, made an error with a path by its reader
    """The text is no YAML.

    Attributes:
        line: Counted from 1, where it is known.
        problem: What is wrong there.
    """

    def __init__(self, line: int | None, problem: str) -> None:
        self.line = line
        self.problem = problem
        super().__init__(problem)


class ShapeProblem(Exception):  # noqa: N818 - as above
    """YAML, but not of the shape that was expected.

    Attributes:
        where: The keys and indexes that lead to it.
        problem: What is wrong there.
    """

    def __init__(self, where: Where, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(problem)


class Flow(dict[str, object]):
    """A mapping that is written on one line."""


class FlowList(list[object]):
    """A sequence that is written on one line."""


class _Loader(_BaseLoader):
    """Safe for files of strangers."""

    may_alias = False
    """Whether there can be aliases in the file, which have to be weighed before they unfold."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Make plain data of the composed nodes, unless they are made to unfold without end."""
        if self.may_alias:
            _weigh(node)
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make plain data of a mapping, unless two of its keys are one: a merge went wrong."""
        pairs = node.value
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        # What is left of the pairs are those that stand here; `<<` brings others.
        if len(made) < len(pairs):
            _check_keys(pairs)
        return made


def _check_keys(pairs: list[tuple[yaml.Node, yaml.Node]]) -> None:
    seen: dict[str, int] = {}
    for key, _ in pairs:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in seen:
                raise YamlProblem(
                    line, f"the key {key.value!r} stands twice, here and in line {seen[key.value]}"
                )
            seen[key.value] = line


class _FastDumper(_BaseDumper):
    """Block style, texts of several lines as literal blocks, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


class _EmojiDumper(yaml.SafeDumper):
    """The same in Python: slower, but it writes characters beyond U+FFFF as themselves."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _construct_plainly(loader: Any, _suffix: str, node: yaml.Node) -> object:
    """What an unknown tag's node holds; a call with one argument is its argument."""
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        items: list[object] = loader.construct_sequence(node, deep=True)
        return items[0] if len(items) == 1 else items
    mapping: dict[Hashable, object] = loader.construct_mapping(node, deep=True)
    return mapping


def _construct_buffer(loader: Any, node: yaml.Node) -> object:
    """The content of a stored `BytesIO`."""
    mapping = loader.construct_mapping(node, deep=True)
    state = mapping.get("state") or (b"",)
    return state[0] if state else b""


def _construct_arguments(loader: Any, node: yaml.Node) -> object:
    """The first argument of a stored call, such as `iter([...])`."""
    mapping = loader.construct_mapping(node, deep=True)
    arguments: Any = mapping.get("args") or ([],)
    return arguments[0]


def _construct_binary(loader: Any, node: yaml.Node) -> object:
    """Ruby's `!binary`, a local tag where YAML has `!!binary`."""
    return base64.b64decode(loader.construct_scalar(node))


def _construct_int(loader: Any, node: yaml.Node) -> object:
    return loader.construct_yaml_int(_short(node))


def _construct_float(loader: Any, node: yaml.Node) -> object:
    return loader.construct_yaml_float(_short(node))


def _short(node: yaml.Node) -> yaml.Node:
    if len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(node.value)} characters")
    return node


def _weigh(root: yaml.Node) -> None:
    """Refuse aliases that contain themselves, or unfold to more than anybody can use.

    Raises:
        YamlProblem: They do.
    """
    weights: dict[int, int | None] = {}
    pending = [root]
    while pending:
        node = pending[-1]
        inner = list(_children(node))
        if id(node) not in weights:
            weights[id(node)] = None  # being weighed
            pending += [each for each in inner if id(each) not in weights]
            # One that is being weighed now contains this one.
            if any(weights.get(id(each), 0) is None for each in inner):
                raise YamlProblem(node.start_mark.line + 1, "an alias contains itself")
            continue
        pending.pop()
        if weights[id(node)] is None:
            own = len(node.value) if isinstance(node, yaml.ScalarNode) else 1
            weight = own + sum(weights[id(each)] or 0 for each in inner)
            if weight > _MOST_UNFOLDED:
                raise YamlProblem(
                    node.start_mark.line + 1,
                    f"its aliases unfold to more than {_MOST_UNFOLDED >> 20} MB",
                )
            weights[id(node)] = weight


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_multi_constructor("", _construct_plainly)
_Loader.add_constructor("tag:yaml.org,2002:python/object/new:_io.BytesIO", _construct_buffer)
_Loader.add_constructor("tag:yaml.org,2002:python/object/apply:builtins.iter", _construct_arguments)
_Loader.add_constructor("!binary", _construct_binary)


def _represent_text(dumper: Any, text: str) -> yaml.Node:
    style = None
    if not _LINE_BREAKS.isdisjoint(text):
        # PyYAML's own emitter writes these unescaped inside single quotes, where they fold.
        style = '"'
    elif _is_block(text):
        style = "|"
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


def _is_block(text: str) -> bool:
    # A literal block cannot hold what YAML takes for a line break or for no text at
    # all, and the emitter gives up on blanks before a line's end.
    if "\n" not in text or " \n" in text or not text.strip():
        return False
    return all(c in "\n\t" or c.isprintable() for c in text)


def _represent_date(dumper: Any, at: datetime) -> yaml.Node:
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:timestamp", text)
    return node


def _represent_flow(dumper: Any, mapping: Flow) -> yaml.Node:
    node: yaml.Node = dumper.represent_mapping(
        "tag:yaml.org,2002:map", mapping.items(), flow_style=True
    )
    return node


def _represent_flow_list(dumper: Any, items: FlowList) -> yaml.Node:
    node: yaml.Node = dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
    return node


for _dumper in (_FastDumper, _EmojiDumper):
    _dumper.add_representer(str, _represent_text)
    _dumper.add_representer(datetime, _represent_date)
    _dumper.add_representer(Flow, _represent_flow)
    _dumper.add_representer(FlowList, _represent_flow_list)


def parse_yaml(data: bytes) -> object:
    """The plain data in a YAML document.

    Raises:
        YamlProblem: It is none.
    """
    try:
        return _loaded(data)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(filter(None, (error.context, error.problem)))
        line = _line_at_most(mark.line + 1, data) if mark else None
        raise YamlProblem(line, f"no YAML: {words}") from error
    except yaml.reader.ReaderError as error:
        line = data[: error.position].count(b"\n") + 1 if error.position else 1
        raise YamlProblem(line, f"no YAML: {error.reason}") from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise YamlProblem(None, f"no YAML: {error}") from error
    except _MISTAKEN as error:
        raise _mistake(data) from error


def _line_at_most(line: int, data: bytes) -> int:
    """`line`, or the last one: what is missing at the end is missed on a line after it."""
    return min(line, data.rstrip().count(b"\n" if b"\n" in data else b"\r") + 1)


_MISTAKEN = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What PyYAML raises for a value that claims to be what it is not, such as a 13th month."""


def _loaded(data: bytes) -> object:
    loader = _Loader(data)
    loader.may_alias = bool(_ANCHOR.search(data) and _ALIAS.search(data))
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _mistake(data: bytes) -> YamlProblem:
    """What is to be said of the first value that cannot be what it claims to be."""
    loader = _Loader(data)
    try:
        root = loader.get_single_node()
        pending = [] if root is None else [root]
        while pending:
            node = pending.pop()
            pending.extend(reversed(list(_children(node))))
            if isinstance(node, yaml.ScalarNode) and not _is_sound(loader, node):
                kind = node.tag.rpartition(":")[2]
                return YamlProblem(
                    node.start_mark.line + 1, f"a value looks like a YAML {kind} and is none"
                )
    finally:
        loader.dispose()
    return YamlProblem(None, "a value is not what its tag says")


def _is_sound(loader: Any, node: yaml.Node) -> bool:
    try:
        loader.construct_object(node)
    except _MISTAKEN:
        return False
    return True


def render_yaml(data: object) -> bytes:
    """The document of `data`, as UTF-8 bytes."""
    document = _dump(data, _FastDumper)
    # libyaml writes an emoji as an escape, and the whole text around it as one long
    # quoted line, which nobody can review.
    return _dump(data, _EmojiDumper) if b"\\U000" in document else document


def _dump(data: object, dumper: Any) -> bytes:
    document: bytes = yaml.dump(
        data,
        Dumper=dumper,
        encoding="utf-8",
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )
    return document


def line_of(data: bytes, where: Where) -> int | None:
    """The line, from 1, of the node at the end of the path `where`; the nearest one above it."""
    return line_finder(data)(where)


def line_finder(data: bytes) -> Callable[[Where], int | None]:
    """`line_of` for one document and many places."""
    try:
        root = yaml.compose(data, Loader=_Loader)
    except (yaml.YAMLError, RecursionError):
        # JSON that is no YAML, such as one with tabs: it has been read without this.
        root = None

    def line(where: Where) -> int | None:
        node = root
        for step in where:
            found = _child(node, step)
            if found is None:
                break
            node = found
        return node.start_mark.line + 1 if node is not None else None

    return line


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                found: yaml.Node = value
                return found
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    return None
