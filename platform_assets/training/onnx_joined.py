"""A framework's own graph behind the preparation of its matrix: one graph with the inputs and the output of the format."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from formats.task import Multiclass, Task, TaskKind, kind_of, output_of, width_of
from platform_assets.training.onnx_export import INDICES, NUMERIC, finished, trace, untraced
from platform_assets.training.prepared import Preparation

if TYPE_CHECKING:
    import onnx

PREPARED: Final = "prepared"
_FLOATS: Final = "category_floats"
_LEARNT: Final = "learnt_"
# Of both classes' probabilities the second is told, of a column of values the only one.
_TOLD: Final[Mapping[TaskKind, tuple[str, int]]] = {"binary": ("positive_class", 1), "regression": ("only_value", 0)}


def export_learnt(preparation: Preparation, learnt: "onnx.ModelProto") -> bytes:
    """Put `learnt` (one input [N, D]; as its last output what `Learnt` says) behind `preparation`.

    Equal models give equal bytes.
    """
    vocabularies = list(preparation.data.categorical.values())
    numeric = preparation.data.width
    if preparation.numbers is None:
        model, numbers = untraced(numeric, len(vocabularies)), NUMERIC
    else:
        model, numbers = trace(preparation.numbers, numeric, len(vocabularies), PREPARED), PREPARED
    _join(model, numbers, learnt, preparation)
    return finished(model, vocabularies)


def _join(model: "onnx.ModelProto", numbers: str, learnt: "onnx.ModelProto", preparation: Preparation) -> None:
    from onnx import TensorProto, compose, helper

    graph, behind = model.graph, compose.add_prefix_graph(learnt.graph, _LEARNT)
    matrix = behind.input[0].name
    if preparation.data.categorical:
        graph.node.append(helper.make_node("Cast", [INDICES], [_FLOATS], to=TensorProto.FLOAT))
        graph.node.append(helper.make_node("Concat", [numbers, _FLOATS], [matrix], axis=1))
    else:
        graph.node.append(helper.make_node("Identity", [numbers], [matrix]))
    for own, other in ((graph.node, behind.node), (graph.initializer, behind.initializer)):
        own.extend(other)
    _answer(graph, behind.output[-1].name, preparation.data.task)
    _prune(graph)


def _answer(graph: "onnx.GraphProto", learnt: str, task: Task) -> None:
    """The one output of the format, out of what was learnt."""
    from onnx import TensorProto, helper

    output, rows = output_of(task), graph.input[0].type.tensor_type.shape.dim[0].dim_param
    del graph.output[:]
    if isinstance(task, Multiclass):
        graph.node.append(helper.make_node("Identity", [learnt], [output]))
        shape = [rows, width_of(task)]
    else:
        name, place = _TOLD[kind_of(task)]
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [], [place]))
        graph.node.append(helper.make_node("Gather", [learnt, name], [output], axis=1))
        shape = [rows]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))


def _prune(graph: "onnx.GraphProto") -> None:
    """Take out what leads to no output: converters also give the label, which nothing asks for."""
    wanted = {tensor.name for tensor in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    needed = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(needed)
