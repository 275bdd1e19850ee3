"""Keys that were erased from a view have no rows in the online store: looked for by pseudonym, whoever put them there."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from formats.canonical import digest_of
from formats.packed_features import key_values, view_beginning
from platform_assets.features.spec import FeatureView
from resources.lake import Lake
from resources.online_store import OnlineStore

Pseudonyms = Mapping[str, Collection[str]]  # by entity


def published_names(team: str, view: FeatureView) -> tuple[str, ...]:
    """What the store calls the view, in every version that it had."""
    return tuple(f"{team}/{view.published_as}@{version}" for version in range(1, view.contract.version + 1))


def guards_of(team: str, views: Sequence[FeatureView], lake: Lake) -> dict[str, dict[str, list[str]]]:
    """The pseudonyms that may not come back into each view, by its name and by entity."""
    guarded = {view.name: lake.guarded(f"{team}/{view.name}") for view in views}
    return {name: {entity: sorted(them) for entity, them in sorted(found.items())} for name, found in guarded.items()}


def digest_of_guards(guards: Mapping[str, Pseudonyms]) -> str:
    """By which two states of all those lists are told apart."""
    return digest_of(guards)


def erased_rows(team: str, view: FeatureView, wanted: Pseudonyms, lake: Lake, store: OnlineStore) -> Iterator[bytes]:
    """The store's keys of the view's rows, in every version, that are about one of `wanted`."""
    if not wanted:
        return
    stored = [key for name in published_names(team, view) for key in store.keys(view_beginning(name))]
    for entity, pseudonyms in wanted.items():
        known = lake.pseudonyms(entity, [key_values(key) for key in stored])
        yield from (key for key, pseudonym in zip(stored, known, strict=True) if pseudonym in pseudonyms)


def sweep(
    team: str, views: Sequence[FeatureView], guards: Mapping[str, Pseudonyms], lake: Lake, store: OnlineStore
) -> int:
    """Take the rows away of whoever is on the list of a view; how many there were."""
    gone = {key for view in views for key in erased_rows(team, view, guards[view.name], lake, store)}
    return store.remove(sorted(gone))
