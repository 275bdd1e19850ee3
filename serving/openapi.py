"""The endpoint's OpenAPI 3.1 document, from the same structs that decode its requests."""

from typing import Any

import msgspec

from serving.answer_headers import MAX_IDS
from serving.deadline import HEADER, MAX_MILLISECONDS
from serving.model import Model
from serving.refusals import Fault, FieldError


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


class StoreStatus(msgspec.Struct, frozen=True):
    """How the online store is doing, and what rows by key get while it is not asked."""

    circuit: str
    failures: int
    fault: Fault | None
    without_store: str


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
            f"/v2/models/{model.contract.model}/infer": {"post": _infer()},
            "/readyz": {"get": _get("Ready to answer", "Readiness")},
            **{path: {"get": _get(about)} for path, about in _PLAIN.items()},
        },
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        # Either without a key or with one: only the endpoint's answers say whether it takes one.
        "security": [{}, {"key": []}],
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


_REFUSALS = {
    "400": "Not JSON, or a deadline that is none",
    "401": "The endpoint takes a key, and this is none of its keys",
    "403": "The key does not open this",
    "413": "Too large",
    "415": "Not declared as JSON",
    "422": "Breaks the contract",
    "429": "The key asked too often; retry-after says in how many seconds to try again",
    "503": "No valid release, no online store, or too many requests; retry-after says in how many seconds to try again",
    "504": "The deadline was over before the model ran; nothing was inferred",
}

_ANSWER_HEADERS = {
    "x-roadbed-model": "The model's name",
    "x-roadbed-release": "The release that answered",
    "x-roadbed-bundle": "The digest of the bundle that answered: the model's version",
    "x-roadbed-prediction": f"The ids (UUIDv7) of the rows in the prediction log, in their order, of up to {MAX_IDS} rows",
    "x-roadbed-stale": "The columns that are stale in any row; absent when none is",
    "x-roadbed-missing": "The columns that are missing in any row; absent when none is",
    "x-roadbed-degraded": "The columns whose value was replaced in any row; absent when none was",
}

_DEADLINE = {
    "name": HEADER.decode(),
    "in": "header",
    "required": False,
    "description": "How many milliseconds the caller waits from now on; a request that is late is refused and not inferred",
    "schema": {"type": "integer", "minimum": 0, "maximum": MAX_MILLISECONDS},
}


def _predict(request: dict[str, Any], names: list[str]) -> dict[str, Any]:
    summary = "Predict one row or many, by key or in full"
    return _asking(summary, request, {"anyOf": [_reference(name) for name in names]})


def _infer() -> dict[str, Any]:
    return _asking("Open Inference Protocol: predict full rows as tensors", {"type": "object"}, {"type": "object"})


def _asking(summary: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    headers = {name: {"description": about, "schema": {"type": "string"}} for name, about in _ANSWER_HEADERS.items()}
    refused = {
        code: {"description": text, "content": _json(_reference("RefusalBody"))} for code, text in _REFUSALS.items()
    }
    return {
        "summary": summary,
        "parameters": [_DEADLINE],
        "requestBody": {"required": True, "content": _json(request)},
        "responses": {"200": {"description": "Answered", "headers": headers, "content": _json(answer)}, **refused},
    }


def _get(summary: str, schema: str | None = None) -> dict[str, Any]:
    content = {} if schema is None else {"content": _json(_reference(schema))}
    return {"summary": summary, "responses": {"200": {"description": summary, **content}}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
