"""A bundle in memory: verified, warmed, and known to give the answer that it gave when it was built."""

import math
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from formats.bundle import Manifest, verify_bundle
from formats.canonical import sha256_hex
from formats.contract import ServingContract, decode_contract
from formats.errors import ContractError, IntegrityError
from formats.task import width_of
from serving.answers import answer_form
from serving.batching import Answer
from serving.records import LogPlan
from serving.refusals import Refusal
from serving.requests import Batch, Categorical, Numeric, RequestDecoder, RowForm
from serving.view_plans import plan_views

_TOLERANCE = 1e-5
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Example(msgspec.Struct, frozen=True):
    """A full row and the answer of the model when it was built."""

    request: dict[str, Any]
    answer: float | list[float]


class Model:
    """One loaded bundle: its contract, its decoder and its session."""

    def __init__(self, digest: str, contract: ServingContract, onnx: bytes) -> None:
        self.digest = digest
        self.contract = contract
        self.decoder = RequestDecoder(contract)
        self.views = plan_views(contract, self.decoder.keyed)
        forms = (self.decoder.keyed, self.decoder.full, None)
        self._log_plans = {form and form.name: LogPlan(contract, form) for form in forms}
        self._session = _session(onnx, digest)
        self._takes = {tensor.name for tensor in self._session.get_inputs()}
        self._gives = [contract.output]
        self.answers = answer_form(contract.task)
        self._width = width_of(contract.task)

    def run(self, numeric: Numeric, categorical: Categorical) -> Answer:
        """The answer to each row, [N], or [N, K] of several classes. Raises ContractError when it is not as many finite numbers."""
        inputs = {"numeric": numeric, "categorical": categorical}
        output = self._session.run(self._gives, {name: inputs[name] for name in self._takes})[0]
        answer: Answer = output.reshape(-1) if self._width is None else output
        shaped = len(answer) == len(numeric) and (self._width is None or answer.shape[1:] == (self._width,))
        # Summing a list is several times cheaper than two ufuncs on the few rows of a request.
        if not shaped or not math.isfinite(sum(answer.ravel().tolist())):
            raise ContractError(
                "contract-breach",
                f"bundle {self.digest} answered {len(numeric)} rows with {len(answer)} values, not all of them finite",
                "go back with `roadbed rollback`; then look at the columns that are missing in the prediction log",
            )
        return answer

    def log_plan(self, form: RowForm | None) -> LogPlan:
        """How to record rows of `form`."""
        return self._log_plans[form and form.name]

    def check_example(self, example: bytes) -> None:
        """Warm the model up, alone and in company, with the bundle's example. Raises IntegrityError if it now answers otherwise."""
        recorded = msgspec.json.decode(example, type=Example)
        try:
            batch: Batch = self.decoder.decode(msgspec.json.encode(recorded.request))
        except Refusal as error:
            raise _unfit(self.digest, f"its contract refuses its own example: {error.body.decode()}") from error
        for rows in (1, 8):
            answers = self.run(np.repeat(batch.numeric, rows, axis=0), np.repeat(batch.categorical, rows, axis=0))
            expected = np.asarray(recorded.answer, np.float64)
            worst = float(np.abs(answers - expected).max())
            # Values may be of any size, and float32 keeps seven digits of them; of probabilities this is 1.
            if not worst <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
                raise _unfit(
                    self.digest, f"it answers its example {worst:.3g} away from the recorded {recorded.answer}"
                )


def bundle_folder(bundles: Path, digest: str) -> Path:
    """The folder of the bundle `digest` below `bundles`. Raises IntegrityError if that is no digest."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise _unfit(digest, "its name is not a SHA-256 digest")
    return bundles / match[1]


def load_model(bundles: Path, digest: str) -> Model:
    """The model of the bundle `digest`, ready to answer.

    Raises:
        IntegrityError: the bundle is absent, damaged, not loadable, or does not reproduce its example.
        ContractError: its contract contradicts itself.
    """
    folder = bundle_folder(bundles, digest)
    try:
        manifest = verify_bundle(folder, digest)
        payload = {name: (folder / "payload" / name).read_bytes() for name in manifest.files}
    except OSError as error:
        raise _unfit(digest, f"it cannot be read ({error})") from error
    _check_bytes(manifest, payload, digest)
    model = Model(digest, _contract(payload["contract.json"], digest), payload["model.onnx"])
    model.check_example(payload["example.json"])
    return model


def _check_bytes(manifest: Manifest, payload: dict[str, bytes], digest: str) -> None:
    """What is used is what was verified, even if someone writes to the folder meanwhile."""
    for name, data in payload.items():
        if sha256_hex(data) != manifest.files[name].sha256:
            raise _unfit(digest, f"{name} changed while it was read")


def _contract(data: bytes, digest: str) -> ServingContract:
    try:
        contract = decode_contract(data)
    except msgspec.DecodeError as error:
        raise ContractError(
            "contract-invalid", f"the contract of bundle {digest} cannot be read: {error}", "build the model again"
        ) from error
    names = [column.name for column in contract.columns]
    if len(set(names)) != len(names) or "rows" in names:
        raise ContractError(
            "contract-invalid",
            f"the contract of bundle {digest} has the columns {names}; each must be there once, none may be `rows`",
            "rename the columns in the feature views",
        )
    return contract


def _session(onnx: bytes, digest: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other base; whichever it is, the graph is unusable
        raise _unfit(digest, f"its graph cannot be loaded ({error})") from error
    foreign = {tensor.name for tensor in session.get_inputs()} - {"numeric", "categorical"}
    if foreign:
        raise _unfit(digest, f"its graph asks for the inputs {sorted(foreign)}; the format has numeric and categorical")
    return session


def _unfit(digest: str, why: str) -> IntegrityError:
    return IntegrityError("bundle-invalid", f"bundle {digest} cannot serve: {why}", "materialize the model again")
