"""Recorded Claude interactions.

Importing this package imports no YAML, no HTTP client and no interception layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy
from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._contents import (
    FORMAT,
    CassetteFile,
    Recorded,
    StandIns,
    asks_claude,
    split_url,
    stored_form,
)
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._door import Door
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteReadError,
    CassetteWriteError,
    CorruptCassetteError,
    SecretLeakError,
    UnknownFormatError,
    UnreadableCassetteError,
)
from pytest_mnemosyne.cassette._file import check_writable, load, put_in_place, write
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Headers,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._loosening import (
    EXACTLY,
    JsonPath,
    Loosening,
    Matcher,
    differently,
)
from pytest_mnemosyne.cassette._miss import (
    CassetteMissError,
    Miss,
    NoCassetteError,
    OtherHostError,
)
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._origins import Folders, Origins
from pytest_mnemosyne.cassette._pace import Pace
from pytest_mnemosyne.cassette._paths import cassette_path
from pytest_mnemosyne.cassette._turn import Source, Tokens, Turn, tokens_of
from pytest_mnemosyne.cassette._upstream import Upstream

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._answers import Answer, read_answer, read_value
    from pytest_mnemosyne.cassette._budget import Budget, OverBudgetError, UnpricedModelError
    from pytest_mnemosyne.cassette._calls import AgentCalls, agent_words, call_words
    from pytest_mnemosyne.cassette._door_probe import UncoveredClientError
    from pytest_mnemosyne.cassette._drift import Drift, DriftKind, compare_answers
    from pytest_mnemosyne.cassette._expiry import CassetteExpiredError, check_expiry
    from pytest_mnemosyne.cassette._file_difference import (
        CallDifference,
        FileDifference,
        compare_files,
    )
    from pytest_mnemosyne.cassette._findings import SUFFIXES, Finding, findings
    from pytest_mnemosyne.cassette._foreign import NO_RECORDING
    from pytest_mnemosyne.cassette._indistinct import Indistinct
    from pytest_mnemosyne.cassette._journal import Journal
    from pytest_mnemosyne.cassette._leaks import Leak, find_leaks
    from pytest_mnemosyne.cassette._leftovers import (
        LEFTOVERS_FILE,
        InteractionId,
        Leftovers,
        interaction_id,
        read_leftovers,
        remove,
        trim,
        write_leftovers,
    )
    from pytest_mnemosyne.cassette._looks import LOOKS
    from pytest_mnemosyne.cassette._meant import meant
    from pytest_mnemosyne.cassette._prices import Prices, usd
    from pytest_mnemosyne.cassette._purse import Contents, Purse
    from pytest_mnemosyne.cassette._recovery import (
        Existing,
        KeptJournal,
        Recovered,
        journals,
        recover,
    )
    from pytest_mnemosyne.cassette._redaction import Redactor
    from pytest_mnemosyne.cassette._renewal import renewed
    from pytest_mnemosyne.cassette._sameness import are_same
    from pytest_mnemosyne.cassette._vcr_serializer import VcrpySerializer
    from pytest_mnemosyne.cassette._vcrpy_beside import beside, same_question
    from pytest_mnemosyne.cassette._vcrpy_data import export_vcrpy
    from pytest_mnemosyne.cassette._vcrpy_strict import StrictCassette

__all__ = [
    "EXACTLY",
    "FORMAT",
    "LEFTOVERS_FILE",
    "LOOKS",
    "NO_RECORDING",
    "SUFFIXES",
    "AgentCalls",
    "Answer",
    "Budget",
    "CallDifference",
    "Cassette",
    "CassetteExpiredError",
    "CassetteFile",
    "CassetteFileError",
    "CassetteMissError",
    "CassetteReadError",
    "CassetteWriteError",
    "Chunk",
    "Contents",
    "CorruptCassetteError",
    "Door",
    "Drift",
    "DriftKind",
    "Existing",
    "FileDifference",
    "Finding",
    "Folders",
    "Headers",
    "Indistinct",
    "Interaction",
    "InteractionId",
    "Journal",
    "JsonPath",
    "KeptJournal",
    "Leak",
    "Leftovers",
    "Loosening",
    "Matcher",
    "Miss",
    "NoCassetteError",
    "Origins",
    "OtherHostError",
    "Outcome",
    "OverBudgetError",
    "Pace",
    "Prices",
    "Purse",
    "RecordMode",
    "Recorded",
    "Recovered",
    "Redactor",
    "Request",
    "Response",
    "SecretLeakError",
    "Source",
    "StandIns",
    "StrictCassette",
    "Tokens",
    "Turn",
    "UncoveredClientError",
    "UnknownFormatError",
    "UnpricedModelError",
    "UnreadableCassetteError",
    "Upstream",
    "VcrpySerializer",
    "agent_words",
    "are_same",
    "asks_claude",
    "beside",
    "call_words",
    "cassette_path",
    "check_expiry",
    "check_writable",
    "compare_answers",
    "compare_files",
    "differently",
    "export_vcrpy",
    "find_leaks",
    "findings",
    "interaction_id",
    "journals",
    "load",
    "meant",
    "put_in_place",
    "read_answer",
    "read_bytes",
    "read_leftovers",
    "read_value",
    "recover",
    "remove",
    "renewed",
    "same_question",
    "split_url",
    "stored_form",
    "tokens_of",
    "trim",
    "usd",
    "write",
    "write_leftovers",
]

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(
        __name__,
        {
            "AgentCalls": "pytest_mnemosyne.cassette._calls",
            "Answer": "pytest_mnemosyne.cassette._answers",
            "CallDifference": "pytest_mnemosyne.cassette._file_difference",
            "Drift": "pytest_mnemosyne.cassette._drift",
            "DriftKind": "pytest_mnemosyne.cassette._drift",
            "FileDifference": "pytest_mnemosyne.cassette._file_difference",
            "InteractionId": "pytest_mnemosyne.cassette._leftovers",
            "LEFTOVERS_FILE": "pytest_mnemosyne.cassette._leftovers",
            "Leftovers": "pytest_mnemosyne.cassette._leftovers",
            "Finding": "pytest_mnemosyne.cassette._findings",
            "Leak": "pytest_mnemosyne.cassette._leaks",
            "NO_RECORDING": "pytest_mnemosyne.cassette._foreign",
            "Budget": "pytest_mnemosyne.cassette._budget",
            "Contents": "pytest_mnemosyne.cassette._purse",
            "Existing": "pytest_mnemosyne.cassette._recovery",
            "Journal": "pytest_mnemosyne.cassette._journal",
            "KeptJournal": "pytest_mnemosyne.cassette._recovery",
            "OverBudgetError": "pytest_mnemosyne.cassette._budget",
            "Indistinct": "pytest_mnemosyne.cassette._indistinct",
            "Prices": "pytest_mnemosyne.cassette._prices",
            "Purse": "pytest_mnemosyne.cassette._purse",
            "Recovered": "pytest_mnemosyne.cassette._recovery",
            "SUFFIXES": "pytest_mnemosyne.cassette._findings",
            "LOOKS": "pytest_mnemosyne.cassette._looks",
            "Redactor": "pytest_mnemosyne.cassette._redaction",
            "UnpricedModelError": "pytest_mnemosyne.cassette._budget",
            "are_same": "pytest_mnemosyne.cassette._sameness",
            "journals": "pytest_mnemosyne.cassette._recovery",
            "meant": "pytest_mnemosyne.cassette._meant",
            "recover": "pytest_mnemosyne.cassette._recovery",
            "usd": "pytest_mnemosyne.cassette._prices",
            "UncoveredClientError": "pytest_mnemosyne.cassette._door_probe",
            "StrictCassette": "pytest_mnemosyne.cassette._vcrpy_strict",
            "VcrpySerializer": "pytest_mnemosyne.cassette._vcr_serializer",
            "beside": "pytest_mnemosyne.cassette._vcrpy_beside",
            "same_question": "pytest_mnemosyne.cassette._vcrpy_beside",
            "CassetteExpiredError": "pytest_mnemosyne.cassette._expiry",
            "agent_words": "pytest_mnemosyne.cassette._calls",
            "check_expiry": "pytest_mnemosyne.cassette._expiry",
            "call_words": "pytest_mnemosyne.cassette._calls",
            "compare_answers": "pytest_mnemosyne.cassette._drift",
            "compare_files": "pytest_mnemosyne.cassette._file_difference",
            "export_vcrpy": "pytest_mnemosyne.cassette._vcrpy_data",
            "interaction_id": "pytest_mnemosyne.cassette._leftovers",
            "find_leaks": "pytest_mnemosyne.cassette._leaks",
            "findings": "pytest_mnemosyne.cassette._findings",
            "read_answer": "pytest_mnemosyne.cassette._answers",
            "read_leftovers": "pytest_mnemosyne.cassette._leftovers",
            "read_value": "pytest_mnemosyne.cassette._answers",
            "remove": "pytest_mnemosyne.cassette._leftovers",
            "renewed": "pytest_mnemosyne.cassette._renewal",
            "trim": "pytest_mnemosyne.cassette._leftovers",
            "write_leftovers": "pytest_mnemosyne.cassette._leftovers",
        },
    )
