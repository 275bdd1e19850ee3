"""What optuna is told of a search: what may vary, how a trial is chosen, and when one is behind."""

from typing import TYPE_CHECKING, Final
from zlib import crc32

from platform_assets.tuning.spec import Domain, OneOf, Search, Whole

if TYPE_CHECKING:
    import optuna

# Proposed by lot before a sampler learns from what was good.
_BY_LOT: Final = 5


def pruner(search: Search) -> "optuna.pruners.BasePruner":
    """The median of those before, or nothing."""
    from optuna.pruners import MedianPruner, NopPruner

    if not search.pruning:
        return NopPruner()
    return MedianPruner(n_startup_trials=search.warm_up_trials, n_warmup_steps=search.warm_up_steps)


def sampler(search: Search, turn: int) -> "optuna.samplers.BaseSampler":
    """One for a single turn: its draws do not depend on which process made those before."""
    from optuna.samplers import RandomSampler, TPESampler

    seed = crc32(f"{search.seed}/{turn}".encode())
    return TPESampler(n_startup_trials=_BY_LOT, seed=seed) if search.sampler == "tpe" else RandomSampler(seed=seed)


def distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    """A domain in optuna's words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, OneOf):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Whole):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    return FloatDistribution(float(domain.low), float(domain.high), log=domain.log, step=domain.step)
