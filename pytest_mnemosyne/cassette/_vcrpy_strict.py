"""What a vcrpy cassette holds for Claude, played by this project's rules.

One file serves two players: vcrpy reads it, with its own serializers and hooks, and keeps
playing it for every other host. Claude's exchanges are taken out of what it has loaded:
they are matched by what the model is asked, each answer is given once, a miss cannot hide
and what nobody asked for is told. The file stays vcrpy's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._door_vcrpy import body_bytes
from pytest_mnemosyne.cassette._errors import CorruptCassetteError
from pytest_mnemosyne.cassette._foreign import read_foreign
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._turn import Source
from pytest_mnemosyne.cassette._yaml import ShapeProblem

if TYPE_CHECKING:
    from vcr.request import Request as VcrRequest

    from pytest_mnemosyne.cassette._interaction import Interaction
    from pytest_mnemosyne.cassette._miss import Miss
    from pytest_mnemosyne.cassette._origins import Folders
    from pytest_mnemosyne.cassette._redaction import Redactor
    from pytest_mnemosyne.cassette._vcrpy_beside import BesideCassette


class StrictCassette(Cassette):
    """Claude's part of a vcrpy cassette that records nothing."""

    def __init__(
        self,
        vcrpys: BesideCassette,
        *,
        own: int,
        command: Callable[[bool], str] = lambda _: "",
        on_miss: Callable[[Miss], None] | None = None,
        redactor: Callable[[], Redactor] | None = None,
        loosening: Loosening = EXACTLY,
        folders: Folders = tuple,
    ) -> None:
        """Play what `vcrpys` has loaded.

        Args:
            vcrpys: Is told what is played.
            own: How many of its exchanges, the first ones, the test has to use up. The rest
                come from files that are played besides, and that others share.
            command: As for any cassette, and so the rest.
            on_miss: Is told of each miss.
            redactor: Makes what takes secrets out.
            loosening: What is not compared.
            folders: Says which folders of this run stand-ins are for.
        """
        super().__init__(
            Path(vcrpys.path),
            mode=RecordMode.REPLAY,
            loader=self._taken_out,
            command=command,
            redact=vcrpys.as_kept,
            on_miss=on_miss,
            redactor=redactor,
            loosening=loosening,
            folders=folders,
        )
        self._vcrpys = vcrpys
        self._own = own
        self._places: list[int] = []
        """Where each interaction stands among all that vcrpy has loaded."""
        self._interactions: tuple[Interaction, ...] = ()
        vcrpys.follow(self._played_places)

    def unplayed(self) -> list[Interaction]:
        """What the test's own file holds for Claude and nobody asked for."""
        own = {
            id(each)
            for place, each in zip(self._places, self._interactions, strict=True)
            if place < self._own
        }
        return [each for each in super().unplayed() if id(each) in own]

    def _taken_out(self, path: Path) -> CassetteFile:
        held = self._vcrpys.holds_for_door()
        try:
            file = read_foreign({"interactions": [_plain(*each) for each in held.values()]})
        except ShapeProblem as problem:
            raise CorruptCassetteError(path=path, line=None, problem=problem.problem) from problem
        self._places = list(held)
        self._interactions = tuple(file.interactions)
        return file

    def _played_places(self) -> list[int]:
        return [
            self._places[turn.index]
            for turn in self.wire_turns
            if turn.source is Source.PLAYED and turn.index is not None
        ]


def _plain(request: VcrRequest, response: dict[str, Any]) -> dict[str, Any]:
    """An exchange as a file of vcrpy's spells it."""
    asked = {
        "method": request.method,
        "uri": request.uri,
        "headers": dict(request.headers),
        "body": body_bytes(request),
    }
    return {"request": asked, "response": response}
