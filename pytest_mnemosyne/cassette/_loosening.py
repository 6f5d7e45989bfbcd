r"""What a test leaves out of matching, beyond the default, because it says so.

By default every character of a prompt counts. A test may loosen that by the looks of a
text (`dates`, `uuids`, `durations`, `hashes`, and what a project declares), or by the
place of a value (`$.metadata.user_id`). It is written into the cassette, so that whoever
reads it sees what was not compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._meant import meant

_NAME: Final = r"[A-Za-z0-9][\w.-]*"
_STEP: Final = (
    r"\.(?P<name>[^.\[\]'\"*\s]+)|\.\*|\[\*\]|\[(?P<index>\d+)\]"
    r"|\[(?P<quote>['\"])(?P<quoted>[^'\"]+)(?P=quote)\]"
)

_ANY: Final = None
"""The step that every name and every index takes."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A kind of text that may differ between a request and its recording."""

    name: str
    """As tests name it, and as the cassette does."""

    pattern: str | re.Pattern[str] | Callable[[str], str]
    """What is left out of each text of a request; or a function, from a text to what of it
    is compared."""

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise UsageError(
                f"a matcher's name is letters, digits, '.', '_' and '-', got {self.name!r}"
            )
        if isinstance(self.pattern, str):
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise UsageError(
                    f"the matcher {self.name} has no regular expression: {error}"
                ) from error

    def __call__(self, text: str) -> str:
        """`text` as it is compared."""
        if callable(self.pattern):
            return self.pattern(text)
        return re.sub(self.pattern, f"<{self.name}>", text)


@dataclass(frozen=True, slots=True)
class JsonPath:
    """The places of a request's JSON that are left out: `$.metadata.user_id`, `$.a[*].b`."""

    text: str
    steps: tuple[str | int | None, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path of names, indexes and stars.

        Raises:
            UsageError: It is something else.
        """
        rest = text.strip()
        dotted = rest[1:] if rest.startswith("$") else f".{rest}"
        steps: list[str | int | None] = []
        at = 0
        for step in re.finditer(_STEP, dotted):
            if step.start() != at:
                break
            steps.append(_step(step))
            at = step.end()
        if not steps or at < len(dotted):
            raise UsageError(
                f"{text!r} is no JSON path that can be left out; write names, indexes and stars, "
                "such as $.metadata.user_id or $.messages[*].content[0].id"
            )
        return cls(_spelled(steps), tuple(steps))

    def cut(self, value: object) -> object:
        """`value` without what stands at the path."""
        return _cut(value, self.steps)


def _step(found: re.Match[str]) -> str | int | None:
    if found["index"] is not None:
        return int(found["index"])
    return found["name"] or found["quoted"] or _ANY


def _spelled(steps: Iterable[str | int | None]) -> str:
    return "$" + "".join(map(_spelled_step, steps))


def _spelled_step(step: str | int | None) -> str:
    if step is _ANY:
        return "[*]"
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[\w-]+", step) else f"[{step!r}]"


def _cut(value: object, steps: tuple[str | int | None, ...]) -> object:
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        hit = [name for name in value if step is _ANY or name == step]
        if not rest:
            return {name: each for name, each in value.items() if name not in hit}
        return value | {name: _cut(value[name], rest) for name in hit}
    if isinstance(value, list) and not isinstance(step, str):
        indexes = [at for at in range(len(value)) if step is _ANY or at == step]
        if not rest:
            # The others keep their places: a list that is shorter is another question.
            return [None if at in indexes else each for at, each in enumerate(value)]
        return [_cut(each, rest) if at in indexes else each for at, each in enumerate(value)]
    return value


@dataclass(frozen=True)
class Loosening:
    """All that one test leaves out; false where that is nothing."""

    matchers: tuple[Matcher, ...] = ()
    paths: tuple[JsonPath, ...] = ()

    @classmethod
    def of(cls, asked: Iterable[str | Matcher], known: Mapping[str, Matcher]) -> Loosening:
        """Read what a test asks for: names of `known` matchers, JSON paths, or matchers.

        Each matcher gets what those before it have left of a text.

        Raises:
            UsageError: Some of it is neither; all that is not is named.
        """
        matchers: dict[str, Matcher] = {}
        paths: dict[str, JsonPath] = {}
        unknown: list[str] = []
        for each in asked:
            if isinstance(each, Matcher):
                matchers[each.name] = each
            elif each.startswith("$"):
                path = JsonPath.parse(each)
                paths[path.text] = path
            elif each in known:
                matchers[each] = known[each]
            else:
                unknown.append(each)
        if unknown:
            named = ", ".join(repr(each) + meant(each, known) for each in unknown)
            raise UsageError(
                f"matching cannot leave out {named}; it knows {', '.join(sorted(known))}, "
                "JSON paths such as $.metadata.user_id, and what the hook "
                "pytest_mnemosyne_matchers declares"
            )
        return cls(tuple(matchers.values()), tuple(paths.values()))

    def __bool__(self) -> bool:
        return bool(self.matchers or self.paths)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What a cassette says of it."""
        return (
            *sorted(each.name for each in self.matchers),
            *sorted(each.text for each in self.paths),
        )

    @cached_property
    def fingerprint(self) -> str | None:
        """What keys depend on; `None` where they cannot be kept, because a function makes them."""
        patterns = []
        for each in self.matchers:
            if callable(each.pattern):
                return None
            found = re.compile(each.pattern)
            patterns.append(f"{each.name}={found.pattern!r}/{found.flags}")
        return " ".join((*patterns, *(each.text for each in self.paths)))

    def text(self, text: str) -> str:
        """A text as it is compared."""
        for each in self.matchers:
            text = each(text)
        return text

    def raw(self, data: bytes) -> bytes:
        """A body that is no JSON, as it is compared."""
        if not self.matchers:
            return data
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def value(self, value: object) -> object:
        """A JSON body as it is compared."""
        for path in self.paths:
            value = path.cut(value)
        return self._texts(value) if self.matchers else value

    def _texts(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._texts(each) for each in value]
        if isinstance(value, dict):
            return {name: self._texts(each) for name, each in value.items()}
        return value


EXACTLY: Final = Loosening()
"""Nothing is left out."""


def differently(recorded: Iterable[str], now: Iterable[str]) -> Iterator[str]:
    """What a cassette and a test leave out otherwise than the other, in words."""
    then, today = set(recorded), set(now)
    if today - then:
        yield f"leaves out {', '.join(sorted(today - then))}, which its cassette compares"
    if then - today:
        yield f"compares {', '.join(sorted(then - today))}, which its cassette leaves out"
