"""Pictures of a search: how it went, and which settings made the difference."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from platform_assets.training.plots import picture
from platform_assets.tuning.spec import Direction
from platform_assets.tuning.study import Tried

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def history_plot(trials: Sequence[Tried], measure: str, goal: Direction) -> str:
    """The value of each trial that came to its end, the best so far, and the declared settings' value."""
    done = [(each.turn + 1, each.value) for each in trials if each.value is not None]
    turns, values = [turn for turn, _ in done], [value for _, value in done]

    def draw(axes: "Axes") -> None:
        axes.scatter(turns, values, s=14, label="trial")
        axes.step(turns, best_so_far(values, goal), where="post", color="#0a0", label="best so far")
        if turns[:1] == [1]:
            axes.axhline(values[0], linestyle=":", color="grey", label="as declared")
        axes.set_xlabel("trial")
        axes.set_ylabel(measure)
        axes.legend()

    return picture(draw)


def importance_plot(importances: Mapping[str, float]) -> str:
    """A bar a setting, the most important on top."""
    ranked = sorted(importances.items(), key=lambda each: each[1])

    def draw(axes: "Axes") -> None:
        axes.barh([name for name, _ in ranked], [share for _, share in ranked])
        axes.set_xlabel("share of what makes trials differ")

    return picture(draw)


def best_so_far(values: Sequence[float], goal: Direction) -> list[float]:
    """The best of the first, of the first two, and so on."""
    chosen = min if goal == "minimize" else max
    return [chosen(values[: number + 1]) for number in range(len(values))]
