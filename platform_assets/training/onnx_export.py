"""A torch module as one ONNX graph that takes raw features: preprocessing inside, no trace of where it was exported.

The graph has the inputs `numeric` float32 [N, F] (NaN: missing) and `categorical` text [N, C], and the task's output:
`probability` or `value` float32 [N], or `probabilities` [N, K]. A value that is not in its column's vocabulary has index 0.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from formats.errors import DeclarationError
from formats.task import BINARY, Task, output_of
from platform_assets.training.objectives import objective_of

if TYPE_CHECKING:
    import onnx
    import torch

OPSET: Final = 20
IR: Final = 10
ML_DOMAIN: Final = "ai.onnx.ml"
ML_OPSET: Final = 3
NUMERIC: Final = "numeric"
CATEGORICAL: Final = "categorical"
INDICES: Final = "category_indices"


def export_onnx(
    module: "torch.nn.Module", numeric: int, vocabularies: Sequence[Sequence[str]], task: Task = BINARY
) -> bytes:
    """Export `module` (numeric [N, `numeric`], indices [N, C] -> logits [N] or [N, K], or values [N]).

    `vocabularies` are those of the text columns, one a column. Equal weights give equal bytes: names of files, lines
    and modules are taken out.
    """
    return finished(trace(_answering(module, task), numeric, len(vocabularies), output_of(task)), vocabularies)


def finished(model: "onnx.ModelProto", vocabularies: Sequence[Sequence[str]]) -> bytes:
    """The bytes of a traced graph that takes texts instead of indices, and says nothing of where it was made."""
    _take_texts(model.graph, vocabularies)
    model.opset_import.append(_ml_opset())
    _strip(model)
    return _checked(model)


def trace(module: "torch.nn.Module", numeric: int, categorical: int, output: str) -> "onnx.ModelProto":
    """The graph of `module`, from `numeric` float32 [N, F] and `category_indices` int64 [N, C] to `output`."""
    import torch

    _require_numbers(numeric)
    inputs = (torch.zeros(3, numeric), torch.zeros(3, categorical, dtype=torch.int64))
    rows = torch.export.Dim("rows")
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            input_names=[NUMERIC, INDICES],
            output_names=[output],
            dynamic_shapes=({0: rows}, {0: rows}),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise DeclarationError(
            "declaration-invalid", f"{type(module).__name__} has no ONNX form", "use exportable layers"
        )
    model: onnx.ModelProto = program.model_proto
    return model


def untraced(numeric: int, categorical: int) -> "onnx.ModelProto":
    """A graph with the inputs of a traced one that does nothing yet."""
    from onnx import TensorProto, helper

    _require_numbers(numeric)
    kinds = ((NUMERIC, TensorProto.FLOAT, numeric), (INDICES, TensorProto.INT64, categorical))
    inputs = [helper.make_tensor_value_info(name, kind, ["rows", width]) for name, kind, width in kinds]
    graph = helper.make_graph([], "model", inputs, [])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return model


def _require_numbers(numeric: int) -> None:
    if numeric == 0:
        raise DeclarationError("declaration-invalid", "a model needs at least one numeric feature", "declare one")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about packages that are not needed, and about shared axis names, out of a run's log."""
    remarks = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = remarks.level
    remarks.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        remarks.setLevel(level)


def _answering(module: "torch.nn.Module", task: Task) -> "torch.nn.Module":
    import torch

    answer = objective_of(task).answer

    class Answering(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = module

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            return answer(self.logits(numeric, indices))

    return Answering()


def _take_texts(graph: "onnx.GraphProto", vocabularies: Sequence[Sequence[str]]) -> None:
    """Replace the input of indices by one of texts, and look the indices up inside the graph."""
    from onnx import TensorProto, helper

    rows = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    texts = helper.make_tensor_value_info(CATEGORICAL, TensorProto.STRING, [rows, len(vocabularies)])
    del graph.input[1]
    graph.input.append(texts)
    for node in reversed(list(_lookups(graph, vocabularies))):
        graph.node.insert(0, node)


def _lookups(graph: "onnx.GraphProto", vocabularies: Sequence[Sequence[str]]) -> "Iterable[onnx.NodeProto]":
    """Make the nodes that turn texts [N, C] into indices [N, C], column by column."""
    from onnx import TensorProto, helper

    for column, values in enumerate(vocabularies):
        graph.initializer.append(helper.make_tensor(f"categorical_column_{column}", TensorProto.INT64, [1], [column]))
        yield helper.make_node(
            "Gather", [CATEGORICAL, f"categorical_column_{column}"], [f"categorical_text_{column}"], axis=1
        )
        yield _encoder(f"categorical_text_{column}", f"categorical_index_{column}", values)
    if vocabularies:
        yield helper.make_node(
            "Concat", [f"categorical_index_{i}" for i in range(len(vocabularies))], [INDICES], axis=1
        )


def _encoder(text: str, index: str, values: Sequence[str]) -> "onnx.NodeProto":
    from onnx import helper

    # An encoder without keys is not valid ONNX; the empty text is how a missing value arrives, and is unknown anyway.
    numbered = {"": 0, **{value: number for number, value in enumerate(values, start=1)}}
    return helper.make_node(
        "LabelEncoder",
        [text],
        [index],
        domain=ML_DOMAIN,
        keys_strings=list(numbered),
        values_int64s=list(numbered.values()),
        default_int64=0,
    )


def _ml_opset() -> "onnx.OperatorSetIdProto":
    from onnx import helper

    return helper.make_opsetid(ML_DOMAIN, ML_OPSET)


def _strip(model: "onnx.ModelProto") -> None:
    """Take out doc strings and metadata, where the exporter writes stack traces with the checkout's path."""
    graph = model.graph
    parts: list[Any] = [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for part in [*parts, *(node for function in model.functions for node in function.node)]:
        part.doc_string = ""
        del part.metadata_props[:]
    graph.name = "model"


def _checked(model: "onnx.ModelProto") -> bytes:
    import onnx

    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
