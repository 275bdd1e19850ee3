"""What the numbers of a declaration may be; a breach names field, value and rule."""

from collections.abc import Mapping, Sequence

from formats.errors import DeclarationError

_NOTHING: Mapping[str, int] = {}


def require_ranges(
    declared: object,
    *,
    positive: Sequence[str] = (),
    notnegative: Sequence[str] = (),
    shares: Sequence[str] = (),
    atleast: Mapping[str, int] = _NOTHING,
) -> None:
    """The fields `positive` are above 0, `notnegative` not below it, `shares` above 0 and at most 1, others at least their bound.

    Raises:
        DeclarationError: with every field that is not.
    """

    def value(name: str) -> float:
        found: float = getattr(declared, name)
        return found

    faults = [f"{name} is {value(name)} and must be above 0" for name in positive if not value(name) > 0]
    faults += [f"{name} is {value(name)} and must not be below 0" for name in notnegative if not value(name) >= 0]
    faults += [
        f"{name} is {value(name)} and must be a share, above 0 and at most 1"
        for name in shares
        if not 0 < value(name) <= 1
    ]
    faults += [
        f"{name} is {value(name)} and must be at least {low}" for name, low in atleast.items() if not value(name) >= low
    ]
    if faults:
        raise DeclarationError(
            "declaration-invalid",
            f"{type(declared).__name__}: {'; '.join(faults)}",
            "change the declaration, or the run's config",
        )
