"""The one way to the picture's rows: what a principal may see of a collection, filtered, paged, at an edition or now.

Every channel asks here: HTTP, streams, TAK, exports. Nothing that is not this reader's to see leaves this module, and
whether it is there at all cannot be told from what does.
"""

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline import casework, coarse
from truceline.errors import NotFoundError, StoreError
from truceline.intake import JOURNAL
from truceline.pieces import Rows
from truceline.pipeline import BOOK, KEYS, LARGE, gazetteer
from truceline.release import COARSE, MISSION_ONLY, Principal, horizon, label_of
from truceline.serve.access import may
from truceline.serve.filters import Question
from truceline.serve.service import Service, Snapshot
from truceline.serve.sifting import Sifter
from truceline.serve.views import COLLECTIONS, MORE, Collection, Released, Setting, mission_view, views_below
from truceline.store import Book, Edition, Journal

#: Bytes of old editions' tables that are kept unpacked: a dozen editions of a mission of some hundred thousand rows.
_KEPT_BYTES = 256 << 20
#: Views that are kept: three labels now, one before, with room for an hour that turns.
_KEPT_VIEWS = 8

OPAQUE_KEY = "opaque.key"
#: The mission's own, but no evidence.
CASEWORK = frozenset({"cases", "lineage"})


class Page(NamedTuple):
    """Rows of a collection, and how many there are in all pages."""

    table: pa.Table
    matched: int


class Query:
    """What there is to see of a running mission."""

    def __init__(self, service: Service) -> None:
        self.service = service
        mission, folder = service.mission, service.folder
        self._book = Book(folder / BOOK)
        self._ground: coarse.Ground | None = None
        self._key: bytes | None = None
        self._lock = threading.RLock()
        self._views: OrderedDict[Any, tuple[Any, dict[str, pa.Table]]] = OrderedDict()
        self._tables: OrderedDict[tuple[int, str], Rows] = OrderedDict()
        #: Finds rows, also where there are too many to hold.
        self.sifter = Sifter()
        self._actions = Journal(folder / JOURNAL)
        self._released: tuple[int, dict[bytes, Released]] = (-1, {})
        self.setting = Setting(folder, mission.load_agreement(folder), self._coarse_ground, self._opaque_key)
        #: What duty officers have let out, by case or finding: from the journal's actions.
        self.released: Callable[[], Mapping[bytes, Released]] = self._released_by_actions

    # What there is

    def label(self, principal: Principal) -> str | None:
        """How far a principal sees; None: it sees nothing, because it has not signed in and nothing is public."""
        if principal.via == "anonymous" and not self.service.mission.serve.public:
            return None
        return label_of(principal)

    def collections(self, principal: Principal) -> list[str]:
        """The collections that there are for a principal; their being empty says nothing."""
        label = self.label(principal)
        if label is None:
            return []
        there = COLLECTIONS if label == "mission" else self._below(label)
        return [name for name in COLLECTIONS if name in there and self._may(name, label, principal)]

    def about(self, collection: str) -> Collection:
        """What identifies the rows of a collection, and when they were."""
        return (COLLECTIONS | MORE)[collection]

    def edition(
        self, principal: Principal, edition: int | None = None, as_of: datetime | None = None
    ) -> Edition | None:
        """The edition that is asked for; None: the picture as it is now.

        Raises
        ------
        NotFoundError
            When there is none, or the principal is not the mission's: how many editions there are and when they were
            made tells of what is not released.
        """
        if edition is None and as_of is None:
            return None
        asked = f"edition {edition}" if edition is not None else f"edition of {as_of:%Y-%m-%dT%H:%M:%SZ} or before"
        found = [
            one
            for one in (self._book.editions() if self.label(principal) == "mission" else [])
            if (edition is None or one.number == edition) and (as_of is None or one.made_at.astimezone(UTC) <= as_of)
        ]
        if not found:
            raise NotFoundError(f"there is no {asked}")
        return found[-1]

    def editions(self, principal: Principal) -> list[Edition]:
        """All editions, the oldest first; none for who is not the mission's."""
        return self._book.editions() if self.label(principal) == "mission" else []

    # Rows

    def view(
        self, collection: str, principal: Principal, edition: int | None = None, as_of: datetime | None = None
    ) -> Any:
        """All rows of a collection that a principal may see, as it may see them: `Pieces` of `LARGE`, else a table.

        Parameters
        ----------
        edition, as_of
            Of this edition, of the newest that there was then; None: as it is now.

        Raises
        ------
        NotFoundError
            When there is no such collection or edition for this principal.
        """
        label = self.label(principal)
        known = collection in COLLECTIONS or (collection in MORE and label == "mission")
        if not known or label is None or not self._may(collection, label, principal):
            raise NotFoundError(f"there is no collection {collection!r}")
        of = self.edition(principal, edition, as_of)
        if label == "mission":
            return mission_view(collection, self._tables_of(of), self.setting)
        rows = self._below(label).get(collection)
        if rows is None:
            raise NotFoundError(f"there is no collection {collection!r}")
        return rows

    def rows(
        self,
        collection: str,
        principal: Principal,
        question: Question = Question(),  # noqa: B008, it cannot change
        *,
        offset: int = 0,
        limit: int | None = None,
        edition: int | None = None,
        as_of: datetime | None = None,
    ) -> Page:
        """The rows that are asked for, in an order that stays, from `offset` at most `limit`.

        Raises
        ------
        NotFoundError
            As `view`.
        QueryError
            When a filter names no property of the collection, or a value that it cannot have.
        """
        rows = self.view(collection, principal, edition, as_of)
        return Page(*self.sifter.page(rows, self.about(collection), question, offset, limit))

    def every(
        self,
        collection: str,
        principal: Principal,
        question: Question,
        edition: int | None = None,
        as_of: datetime | None = None,
    ) -> Rows:
        """All rows that are asked for; of `LARGE` in pieces. Raises as `rows`."""
        return self.sifter.every(self.view(collection, principal, edition, as_of), self.about(collection), question)

    def one(
        self,
        collection: str,
        principal: Principal,
        identifier: str,
        edition: int | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """The row of an id, as it is in a feature: a table of one row.

        Raises
        ------
        NotFoundError
            When there is none, or none that the principal may see: the same words for both.
        """
        rows = self.view(collection, principal, edition, as_of)
        key = self.about(collection).key
        wanted = identifier if pa.types.is_string(rows.schema.field(key).type) else _hex(identifier)
        found = None if wanted is None else next(self.sifter.where(rows, key, [wanted]), None)
        if found is None:
            raise NotFoundError(f"{collection} has no {identifier!r}")
        return found.slice(0, 1)

    def plain_id(self, collection: str, principal: Principal, identifier: str) -> bytes:
        """The id that the mission has for what a principal knows under `identifier`.

        Raises
        ------
        NotFoundError
            As `one`.
        """
        shown = self.one(collection, principal, identifier)
        label = self.label(principal)
        key = self.about(collection).key
        wanted: bytes = shown[key][0].as_py()
        if label is None or label == "mission":
            return wanted
        plain = self.service.live.snapshot.tables[collection][key]
        at = pc.index(coarse.opaque(plain, self._opaque_key(), label), pa.scalar(wanted, plain.type)).as_py()
        return bytes(plain[at].as_py())

    def shown_id(self, plain: bytes, principal: Principal) -> str:
        """The id under which a principal knows what the mission has under `plain`, hexadecimal."""
        label = self.label(principal) or "public"
        if label == "mission":
            return plain.hex()
        column = pa.array([plain], pa.binary(16))
        return str(coarse.opaque(column, self._opaque_key(), label)[0].as_py().hex())

    def _may(self, collection: str, label: str, principal: Principal) -> bool:
        """Whether a collection is there at all: tracks and what leads back to observations are evidence."""
        if collection not in MISSION_ONLY:
            return True
        return label == "mission" and (collection in CASEWORK or may(principal, "evidence"))

    # Made once

    def _below(self, label: str) -> dict[str, pa.Table]:
        """The views of a label below the mission's: made when picture, releases or the hour have changed."""
        snapshot: Snapshot = self.service.live.snapshot
        until = horizon(self.service.clock()) if label in COARSE else None
        released = self.released()
        made_of = (snapshot, released)
        with self._lock:
            key = (label, until)
            found = self._views.get(key)
            if found is not None and found[0][0] is snapshot and found[0][1] == released:
                self._views.move_to_end(key)
                return found[1]
        views = views_below(label, snapshot.tables, self.setting, released, until)
        with self._lock:
            self._views[key] = (made_of, views)
            while len(self._views) > _KEPT_VIEWS:
                self._views.popitem(last=False)
        return views

    def _tables_of(self, edition: Edition | None) -> Mapping[str, pa.Table]:
        if edition is None:
            return self.service.live.snapshot.tables
        return _OfEdition(self, edition.number)

    def table_of(self, number: int, name: str) -> Rows | None:
        """A table of an edition, unpacked once, `LARGE` in pieces; None where it has none of that name."""
        with self._lock:
            if (number, name) in self._tables:
                self._tables.move_to_end((number, name))
                return self._tables[number, name]
        try:
            rows: Any = self._book.pieces(name, number)
        except NotFoundError:
            return None
        if name not in LARGE:
            rows = rows.table()
        if name in ("tracks", "events", "incidents", "findings"):
            rows = rows.append_column("provisional", pa.array(np.zeros(rows.num_rows, np.bool_)))
        with self._lock:
            self._tables[number, name] = rows
            while sum(one.nbytes for one in self._tables.values() if isinstance(one, pa.Table)) > _KEPT_BYTES:
                self._tables.popitem(last=False)
        return rows

    def _coarse_ground(self) -> coarse.Ground:
        if self._ground is None:
            mission = self.service.mission
            self._ground = coarse.Ground(mission.frame(), gazetteer(self.service.folder, mission))
        return self._ground

    def _opaque_key(self) -> bytes:
        if self._key is None:
            self._key = opaque_key(self.service.folder)
        return self._key

    def _released_by_actions(self) -> dict[bytes, Released]:
        """What the journal's actions let out, read again when there are more of them."""
        with self._lock:
            count = self._actions.rows("action")
            if count != self._released[0]:
                found = casework.releases(self._actions.table("action"))
                out = {case: Released(one.label, one.text) for case, one in found.items() if one.in_force}
                self._released = (count, out)
            return self._released[1]


class _OfEdition(Mapping[str, Any]):
    """An edition's tables by name, each unpacked when it is first asked for."""

    def __init__(self, query: Query, number: int) -> None:
        self._query, self._number = query, number

    def __getitem__(self, name: str) -> Rows:
        rows = self._query.table_of(self._number, name)
        if rows is None:
            raise KeyError(name)
        return rows

    def __iter__(self) -> Any:
        return iter(self._query._book.names(self._number))

    def __len__(self) -> int:
        return len(self._query._book.names(self._number))


def query_of(service: Service) -> Query:
    """The query layer of a running mission: one, kept with it."""
    found = service.kept.get("query")
    if found is None:
        found = service.kept.setdefault("query", Query(service))  # threads may ask at once: one stays
    assert isinstance(found, Query)
    return found


def opaque_key(folder: Path) -> bytes:
    """The key of opaque ids, in the mission's `keys/`, readable by its owner alone; made when absent.

    Raises
    ------
    StoreError
        When it cannot be read or is no such key.
    """
    path = folder / KEYS / OPAQUE_KEY
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = secrets.token_bytes(32)
            with os.fdopen(file, "wb") as out:
                out.write(key)
                out.flush()
                os.fsync(out.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be used: {error.strerror}") from error
    if len(key) != 32:
        raise StoreError(f"{path}: it has {len(key)} bytes, not 32; restore it: with another key all ids change")
    return key


def _hex(text: str) -> bytes | None:
    try:
        plain = bytes.fromhex(text)
    except ValueError:
        return None
    return plain if len(plain) == 16 and text == plain.hex() else None
