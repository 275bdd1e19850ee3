import json
from typing import Any

import msgspec

from serving.model import Model
from serving.openapi import openapi
from tests.support.bundles import CONTRACT, ENDPOINT, model_onnx


def document() -> dict[str, Any]:
    encoded = msgspec.json.encode(openapi(Model("sha256:" + "0" * 64, CONTRACT, model_onnx()), ENDPOINT))
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded


def test_the_contract_is_in_the_schema() -> None:
    full = document()["components"]["schemas"]["FullRow"]
    assert full["properties"]["distance"] == {
        "type": "number",
        "minimum": 0.0,
        "maximum": 6000.0,
        "description": "Great circle",
        "x-unit": "miles",
    }
    assert full["properties"]["carrier"] == {"enum": ["AA", "DL", "UA"]}
    assert sorted(full["required"]) == ["carrier", "distance", "hour", "wind"]
    assert full["additionalProperties"] is False


def test_rows_by_key_bring_keys_and_request_columns() -> None:
    keyed = document()["components"]["schemas"]["RowByKey"]
    assert sorted(keyed["required"]) == ["airport", "carrier", "distance", "hour"]
    assert "wind" not in keyed["properties"]


def test_references_resolve() -> None:
    text = json.dumps(document())
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document()["components"]["schemas"])


def test_the_deadline_and_the_headers_of_answers_are_told_of_both_routes() -> None:
    paths = document()["paths"]
    for path in ("/predict", f"/v2/models/{CONTRACT.model}/infer"):
        (deadline,) = paths[path]["post"]["parameters"]
        assert (deadline["name"], deadline["in"], deadline["required"]) == ("x-roadbed-deadline-ms", "header", False)
        assert deadline["schema"] == {"type": "integer", "minimum": 0, "maximum": 3_600_000}
        responses = paths[path]["post"]["responses"]
        assert {"x-roadbed-prediction", "x-roadbed-stale", "x-roadbed-model"} <= responses["200"]["headers"].keys()
        assert {"400", "503", "504"} <= responses.keys()
