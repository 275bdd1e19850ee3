"""The file in which optuna keeps a study: a line an operation, written at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from platform_assets.tuning.proposals import pruner, sampler
from platform_assets.tuning.spec import Search

if TYPE_CHECKING:
    import optuna

_NAME: Final = "search"


def loaded(file: Path, search: Search) -> "optuna.Study":
    """The study in `file`, which nobody else has open."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Who has the study is alone with it: a lock that is there was left by a killed process, and would be waited for.
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file))))
    if not optuna.get_all_study_names(storage):  # to create it again would be another line in the file
        optuna.create_study(storage=storage, study_name=_NAME, direction=search.goal)
    return optuna.load_study(study_name=_NAME, storage=storage, pruner=pruner(search), sampler=sampler(search, 0))


def mend(file: Path) -> None:
    """Drop the end of a line that was being written when the power went."""
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with file.open("rb+") as torn:
            torn.truncate(whole)
