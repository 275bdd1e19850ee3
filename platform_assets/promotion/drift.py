"""Was the candidate trained on other data than the model that it would replace?"""

from platform_assets.monitoring.profiles import psi
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.results import bounded, result
from platform_assets.promotion.spec import DriftAgainstServed, GateResult


def drift_against_served(case: PromotionCase, gate: DriftAgainstServed) -> GateResult:
    """PSI of each column of the training rows in the bins of the live model's reference profile.

    The rows themselves are compared, not the candidate's own profile: its bins have other edges.
    """
    if case.champion is None:
        return result(gate, "incomparable", "nothing is live at this endpoint, so there is nothing to drift from")
    found = psi(case.champion_model.profile, case.training)
    if not found:
        return result(gate, "incomparable", f"release {case.champion.release[:19]} has no profile of these columns")
    names = sorted(found, key=lambda name: -found[name])
    worst, table = names[0], [{"column": name, "psi": found[name]} for name in names]
    fresh = [column.name for column in case.contract.columns if column.name not in found]
    message = (
        f"{worst} is furthest from what the live model was trained on: PSI {found[worst]:.3f} over {len(found)} columns, "
        f"{gate.maximum_psi} is allowed{f'; new: {fresh[:5]}' if fresh else ''}"
    )
    return bounded(gate, found[worst], gate.maximum_psi, message, most=True, table=table)
