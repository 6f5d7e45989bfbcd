"""The models that a scripted Claude says it has; it answers for any other as well."""

from __future__ import annotations

from urllib.parse import parse_qs

from pytest_mnemosyne.wire import JsonObject

_MODELS = {
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-sonnet-5-5": "Claude Sonnet 5.5",
    "claude-haiku-5-5": "Claude Haiku 5.5",
}


def model_info(model: str) -> JsonObject | None:
    """What the API tells about a model; `None` for one that it does not list."""
    from anthropic.types import ModelInfo

    if model not in _MODELS:
        return None
    about = {
        "type": "model",
        "id": model,
        "display_name": _MODELS[model],
        # The API's own way to say that it does not know.
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
    return ModelInfo.model_validate(about).model_dump(mode="json", exclude_unset=True)


def models_in(query: str) -> list[JsonObject]:
    """The models that a query asks for, by the stages of their lives."""
    asked = parse_qs(query)
    stages = {*asked.get("lifecycle", ()), *asked.get("lifecycle[]", ())}
    found = [info for name in _MODELS if (info := model_info(name)) is not None]
    return [info for info in found if not stages or info["lifecycle"] in stages]
