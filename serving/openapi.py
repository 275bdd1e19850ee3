"""The endpoint's OpenAPI 3.1 document, from the same structs that decode its requests."""

from typing import Any

import msgspec

from serving.model import Model
from serving.refusals import FieldError


class RefusalBody(msgspec.Struct, frozen=True):
    """Why there is no answer: a stable code, what happened, what to do, and what is wrong where."""

    code: str
    message: str
    hint: str = ""
    errors: tuple[FieldError, ...] = ()


class Readiness(msgspec.Struct, frozen=True):
    """What is being served."""

    release: str
    bundle: str
    sequence: int
    state: str


def openapi(model: Model, endpoint: str) -> dict[str, Any]:
    """The document of `endpoint` while it serves `model`."""
    keyed, full = model.decoder.keyed.struct, model.decoder.full.struct
    requests = (keyed, full) if model.views.views or model.views.unfetched else (keyed,)
    answers = model.answers.types
    types = [*requests, *answers, RefusalBody, Readiness]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    rows = [{"$ref": f"#/components/schemas/{request.__name__}"} for request in requests]
    many = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": {"anyOf": rows}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": endpoint, "version": model.digest, "description": f"Predictions of {model.contract.model}."},
        "paths": {
            "/predict": {"post": _predict({"anyOf": [*rows, many]}, [answer.__name__ for answer in answers])},
            "/readyz": {"get": _get("Ready to answer", "Readiness")},
            **{path: {"get": _get(about)} for path, about in _PLAIN.items()},
        },
        "components": {"schemas": components},
    }


_PLAIN = {
    "/livez": "The process runs",
    "/status": "What is served and what went wrong last",
    "/metrics": "Prometheus metrics",
    "/contract": "The contract that requests are held against",
    "/openapi.json": "This document",
    "/v2/health/live": "Open Inference Protocol: live",
    "/v2/health/ready": "Open Inference Protocol: ready",
}


def _predict(request: dict[str, Any], names: list[str]) -> dict[str, Any]:
    answers = {"anyOf": [_reference(name) for name in names]}
    refusals = {
        "400": "Not JSON",
        "413": "Too large",
        "415": "Not declared as JSON",
        "422": "Breaks the contract",
        "503": "No valid release, no online store, or too many requests",
    }
    return {
        "summary": "Predict one row or many, by key or in full",
        "requestBody": {"required": True, "content": _json(request)},
        "responses": {
            "200": {"description": "Answered", "content": _json(answers)},
            **{
                code: {"description": text, "content": _json(_reference("RefusalBody"))}
                for code, text in refusals.items()
            },
        },
    }


def _get(summary: str, schema: str | None = None) -> dict[str, Any]:
    content = {} if schema is None else {"content": _json(_reference(schema))}
    return {"summary": summary, "responses": {"200": {"description": summary, **content}}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
