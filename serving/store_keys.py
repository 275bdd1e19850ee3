"""The online store's keys of a request's rows, for one view."""

from typing import Final

from formats.contract import ServingContract, View
from formats.packed_features import MAX_KEY, entity_key, key_text
from serving.refusals import FieldError, invalid_request
from serving.requests import Batch, Row, RowForm

NO_ROW: Final = b"\x00"  # a key that no row has: keys begin with the view's name


class StoreKeys:
    """Makes them: all at once where a text has the form of its key as it is, else value by value."""

    __slots__ = ("_count", "_plain", "_prefix", "_read", "_values", "_view")

    def __init__(self, view: View, contract: ServingContract, form: RowForm) -> None:
        columns = {column.name: column for column in contract.columns}
        asked = [columns[name] for name in view.keys if name in columns]
        self._plain = not any(column.nullable or column.type == "bool" for column in asked)
        self._view = view.name
        self._prefix = entity_key(view.name, [""]).decode()
        self._count = len(view.keys)
        self._values = form.getter(view.keys)
        self._read = form.reader(view.keys)

    def of(self, batch: Batch) -> list[bytes]:
        """The key of each row; NO_ROW where no row can have it.

        Raises:
            Refusal: a value holds a character that would make its key the key of another entity.
        """
        if self._plain:
            prefix, read = self._prefix, self._read
            if self._count == 1:
                keys = [f"{prefix}{read(row)}".encode() for row in batch.rows]
            else:
                keys = [(prefix + "\x00".join(map(str, read(row)))).encode() for row in batch.rows]
            joined = b"".join(keys)
            short = len(joined) <= MAX_KEY or max(map(len, keys)) <= MAX_KEY
            if short and joined.count(0) == self._count * len(keys):
                return keys
        return [self._checked(row, index, batch) for index, row in enumerate(batch.rows)]

    def _checked(self, row: Row, index: int, batch: Batch) -> bytes:
        values = self._values(row)
        if None in values:
            return NO_ROW
        key = entity_key(self._view, map(key_text, values))
        if key.count(0) != self._count:
            # A NUL inside of a key would address the row of another entity.
            path = "$" if batch.single else f"$.rows[{index}]"
            raise invalid_request([FieldError(path, f"the keys of {self._view} must not contain the character NUL")])
        return key if len(key) <= MAX_KEY else NO_ROW
