"""A bundle's predictions for a table: columns in contract order, ONNX in cache-sized tiles. A bundle is data: no team code runs."""

import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.bundle import Manifest
from formats.canonical import sha256_hex
from formats.contract import ServingContract, decode_contract
from formats.errors import DataError, IntegrityError
from formats.profile import ReferenceProfile, decode_profile
from formats.task import Regression, Task, width_of
from platform_assets.answers import encoded, sound_answers
from platform_assets.training.spec import TrainingData

if TYPE_CHECKING:
    import onnx
    import onnxruntime

_TILE = 4096

Floats = NDArray[np.float64]
Feed = dict[str, NDArray[Any]]


class Tensor(NamedTuple):
    """An input or output of the graph: name, ONNX type (`tensor(float)`) and shape; a free dimension is None."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Model:
    """An ONNX graph in memory, from the very bytes that the manifest names; `size` is the payload's, in bytes.

    Raises:
        IntegrityError: at once if the bytes are not the manifest's; at first use if the graph cannot be loaded or reads files
            outside of the bundle.
    """

    def __init__(self, folder: Path, manifest: Manifest, digest: str) -> None:
        # Read once: what is checked is what runs, even if someone swaps the file meanwhile.
        if manifest.digest != digest:
            raise _unusable(digest, "its manifest changed while it was read")
        self.contract: ServingContract = _contract(_payload(folder, manifest, "contract.json"), digest)
        self.onnx = _payload(folder, manifest, "model.onnx")
        self.size = sum((folder / "payload" / name).stat().st_size for name in manifest.files)
        self._profile = _payload(folder, manifest, "profile.json")
        self._digest = digest

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        return _session(self.onnx, self._digest)

    @cached_property
    def profile(self) -> ReferenceProfile:
        """How the training rows were distributed. Raises IntegrityError if it cannot be read."""
        try:
            return decode_profile(self._profile)
        except msgspec.DecodeError as error:
            raise _unusable(self._digest, f"its reference profile cannot be read ({error})") from error

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The graph's inputs."""
        return tuple(_tensor(node) for node in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The graph's outputs."""
        return tuple(_tensor(node) for node in self._session.get_outputs())

    def predict(self, frame: pl.DataFrame) -> Floats:
        """The answer to each row, [N], or [N, K] of several classes. Raises DataError if columns are missing or one is none."""
        tiles = [self.answer(self.feed(tile)) for tile in frame.iter_slices(_TILE)]
        width = width_of(self.contract.task)
        return np.concatenate(tiles) if tiles else np.empty(0 if width is None else (0, width))

    def feed(self, frame: pl.DataFrame) -> Feed:
        """The rows as the graph's inputs. Raises DataError if a column is missing."""
        rows = examples(frame, self.contract)
        matrices: Feed = {"numeric": rows.numbers(), "categorical": rows.texts()}
        return {tensor.name: matrices[tensor.name] for tensor in self.inputs}

    def answer(self, feed: Feed) -> Floats:
        """The answer to each row of `feed`. Raises DataError if one is none of the task's."""
        answer = self._session.run([self.contract.output], feed)[0]
        rows = len(next(iter(feed.values())))
        return _sound(np.asarray(answer, dtype=np.float64), rows, self.contract.task)

    def seconds(self, frame: pl.DataFrame) -> float:
        """CPU seconds of this thread that the graph itself takes for the rows of `frame`."""
        feed = self.feed(frame)
        began = time.thread_time()
        self._session.run([self.contract.output], feed)
        return time.thread_time() - began


def load_model(folder: Path, digest: str | None = None) -> Model:
    """The model of the (verified) bundle in `folder`. Raises IntegrityError if it is not `digest` after all, or altered."""
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    return Model(folder, manifest, digest or manifest.digest)


def examples(frame: pl.DataFrame, contract: ServingContract, label: str | None = None) -> TrainingData:
    """The rows of `frame` as the model takes them; extra columns stay. Raises DataError if a column is missing."""
    missing = [column.name for column in contract.columns if column.name not in frame.columns]
    if missing:
        raise DataError(
            "feature-missing",
            f"the table has no columns {missing[:5]}, which the contract of {contract.model} names",
            "build the table from the same feature views as the model",
        )
    return TrainingData(
        features=frame,
        label=np.empty(0, np.float32) if label is None else encoded(frame[label], contract.task).astype(np.float32),
        numeric=tuple(column.name for column in contract.numeric),
        categorical={column.name: column.allowed or () for column in contract.categorical},
        task=contract.task,
        shapes=contract.shapes,
    )


def _sound(answer: Floats, rows: int, task: Task) -> Floats:
    width = width_of(task)
    shaped = answer.reshape(-1) if width is None else answer
    wanted = (rows,) if width is None else (rows, width)
    if shaped.shape != wanted:
        raise DataError(
            "contract-breach", f"the graph gave {list(answer.shape)} for {rows} rows", f"output {list(wanted)}"
        )
    wrong = int((~sound_answers(shaped, task)).sum())
    if wrong:
        kind = "finite numbers" if isinstance(task, Regression) else "probabilities between 0 and 1"
        raise DataError(
            "contract-breach",
            f"{wrong} of {rows} answers are not {kind}",
            "end the graph with a sigmoid, of several classes a softmax, and let it take missing values",
        )
    return shaped


def _contract(data: bytes, bundle: str) -> ServingContract:
    try:
        return decode_contract(data)
    except msgspec.DecodeError as error:
        raise _unusable(bundle, f"its contract cannot be read ({error})") from error


def _payload(folder: Path, manifest: Manifest, name: str) -> bytes:
    data = (folder / "payload" / name).read_bytes()
    if sha256_hex(data) != manifest.files[name].sha256:
        raise IntegrityError(
            "digest-mismatch", f"{name} of bundle {folder.name} changed while it was read", "read it again"
        )
    return data


def _session(onnx_bytes: bytes, bundle: str) -> "onnxruntime.InferenceSession":
    import onnxruntime

    _refuse_external_data(onnx_bytes, bundle)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other base; whichever it is, the graph is unusable
        raise _unusable(bundle, f"its graph cannot be loaded ({error})") from error


def _refuse_external_data(onnx_bytes: bytes, bundle: str) -> None:
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:  # an error of protobuf, whose package is onnx's and not ours to import
        raise _unusable(bundle, f"its graph cannot be read ({error})") from error
    tensors = chain(_tensors(model.graph), *(_node_tensors(function.node) for function in model.functions))
    external = [tensor.name for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if external:
        raise _unusable(bundle, f"its weights {external[:3]} lie in other files, which its digest does not cover")


def _tensors(graph: "onnx.GraphProto") -> Iterator["onnx.TensorProto"]:
    yield from graph.initializer
    yield from (part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices))
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable["onnx.NodeProto"]) -> Iterator["onnx.TensorProto"]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors(graph)


def _unusable(bundle: str, why: str) -> IntegrityError:
    return IntegrityError("bundle-invalid", f"bundle {bundle} cannot be used: {why}", "materialize the model again")


def _tensor(node: "onnxruntime.NodeArg") -> Tensor:
    return Tensor(node.name, node.type, tuple(size if isinstance(size, int) else None for size in node.shape))
