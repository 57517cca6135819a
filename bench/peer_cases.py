"""The peer's cases, its digest of an edition, and its book: what is kept of a picture."""

import hashlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from bench.peer_factors import identity
from bench.peer_journal import LIKELIHOODS, synced

from truceline.observation import RELEASES
from truceline.rules.cases import OPEN
from truceline.rules.holding import SEVERITIES

#: Rounding of the digest, by what a column's name ends with: far above the noise of floats.
STEPS = (("lon", 1e-7), ("lat", 1e-7), ("_m", 0.1), ("_deg", 0.01), ("_km", 1e-3), ("_mw", 0.01))
TIMES = ("at", "from", "until", "first", "last", "breach_from", "breach_until", "opened_at")
#: By which id a table's rows are put in order, where that is not its own; equal ones stay as they are.
KEYS = {"associations": "observation_id", "factors": "finding_id"}


def cases(findings: pd.DataFrame, events: pd.DataFrame, associations: pd.DataFrame) -> pd.DataFrame:
    """One for each clause and subject that somebody's reading makes as likely as not."""
    p = findings["p_breach"].astype(np.float32)
    worth = p.groupby([findings["clause"], findings["subject_id"]]).transform("max") >= OPEN
    mine = findings[worth].assign(p_breach=p[worth]).sort_values(["clause", "subject_id", "finding_id"])
    mine["begun"] = mine["breach_from"].where(mine["p_breach"] != 0)
    mine["severity"] = mine["severity"].map({name: i for i, name in enumerate(SEVERITIES)})
    mine["release"] = mine["release"].map({name: i for i, name in enumerate(RELEASES)})
    by = mine.groupby(["clause", "subject_id"])
    out = by.agg(
        findings=("finding_id", list),
        opened_at=("begun", "min"),
        p_breach=("p_breach", "max"),
        severity=("severity", "max"),
        release=("release", "max"),
    ).reset_index()
    out["severity"] = np.array(SEVERITIES, object)[out["severity"].to_numpy(int)]
    out["release"] = np.array(RELEASES, object)[out["release"].to_numpy(int)]
    behind = evidence(out["subject_id"], events, associations)
    anchors = behind.drop_duplicates("incident_id").set_index("incident_id")["observation_id"]
    members = behind.sort_values("observation_id").groupby("incident_id")["observation_id"].agg(b"".join)
    digests = members.map(lambda ids: hashlib.sha256(ids).hexdigest())
    out["observations_digest"] = out["subject_id"].map(digests).fillna(hashlib.sha256().hexdigest())
    bound = out["subject_id"].map(anchors)
    bound = bound.where(bound.notna(), out["subject_id"])
    out["case_id"] = [identity("case", *pair) for pair in zip(out["clause"], bound, strict=True)]
    out["state"], out["reopened"] = "alleged", False  # nobody has signed anything
    return out.sort_values("case_id", ignore_index=True)


def evidence(subjects: pd.Series, events: pd.DataFrame, associations: pd.DataFrame) -> pd.DataFrame:
    """The observations behind incidents, the one that an incident's earliest event began with first."""
    some = events.loc[events["incident_id"].isin(subjects.unique()), ["incident_id", "event_id", "from"]]
    ties = associations[associations["event_id"].isin(some["event_id"])]
    tied = ties.merge(some, on="event_id").assign(later=lambda rows: rows["log_ratio"].notna())
    return tied.sort_values(["incident_id", "from", "event_id", "later", "observation_id"])


def digest(tables: dict[str, pd.DataFrame]) -> str:
    """SHA-256 over the tables' columns, rounded, in the order of their ids: the same for any order of rows."""
    whole = hashlib.sha256()
    for name in sorted(tables):
        rows = tables[name]
        rows = rows.iloc[in_order(rows[KEYS.get(name, f"{name.removesuffix('s')}_id")])]
        whole.update(f"{name} {len(rows)} {sorted(rows.columns)}\n".encode())
        for column in sorted(rows.columns):
            hash_column(whole, column, rows[column])
    return whole.hexdigest()


def in_order(ids: pd.Series) -> np.ndarray:
    """The order of ids of 16 bytes."""
    pairs = np.frombuffer(b"".join(ids.to_numpy()), ">u8").reshape(-1, 2)
    return np.lexsort((pairs[:, 1], pairs[:, 0]))


def hash_column(whole, name: str, values: pd.Series) -> None:
    """A column's nulls, then its values."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, words = values.cat.codes.to_numpy(), values.cat.categories.to_numpy(object)
        order = np.argsort(words)
        whole.update("\0".join(words[order]).encode() + np.argsort(order)[codes].tobytes())
        return
    whole.update(np.packbits(values.isna()).tobytes())
    if pd.api.types.is_float_dtype(values.dtype):
        step = 1e-6 if name in TIMES else next((step for end, step in STEPS if name.endswith(end)), 1e-4)
        whole.update(np.rint(np.nan_to_num(values.to_numpy(np.float64, na_value=np.nan)) / step + 0.0).tobytes())
    elif pd.api.types.is_numeric_dtype(values.dtype):
        whole.update(values.to_numpy(np.int64).tobytes())
    elif name in ("alternatives", "findings", "sources", "sensors", "problems"):
        whole.update("\0".join(repr(row) if isinstance(row, list) else "" for row in values).encode())
    else:
        known = values.dropna().to_numpy(object).tolist()
        whole.update(b"".join(known) if known and isinstance(known[0], bytes) else "\0".join(known).encode())


class Book:
    """The editions of a picture: each table a Parquet file in the edition's folder, synced, then a row in SQLite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._connect() as book:
            book.execute(
                "CREATE TABLE IF NOT EXISTS edition (number INTEGER PRIMARY KEY, inputs TEXT, digest TEXT, "
                "journal_head TEXT, journal_rows INTEGER, made_at TEXT, tables TEXT)"
            )
            book.execute("CREATE TABLE IF NOT EXISTS report (day TEXT, edition INTEGER, path TEXT, sha256 TEXT)")

    def _connect(self) -> sqlite3.Connection:
        book = sqlite3.connect(self.folder / "book.sqlite")
        book.execute("PRAGMA journal_mode = WAL")
        book.execute("PRAGMA synchronous = FULL")
        return book

    def latest(self) -> dict | None:
        with self._connect() as book:
            book.row_factory = sqlite3.Row
            row = book.execute("SELECT * FROM edition ORDER BY number DESC LIMIT 1").fetchone()
        return dict(row) if row else None

    def put(self, edition: dict, tables: dict[str, pd.DataFrame]) -> None:
        folder = self.folder / f"edition-{edition['number']}"
        folder.mkdir(exist_ok=True)
        kept = {}
        for name, table in tables.items():
            path = folder / f"{name}.parquet"
            if "geometry" in table:
                table.to_parquet(path, compression="zstd")
            else:
                pa.parquet.write_table(arrow(table), path, compression="zstd")
            synced(path)
            kept[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        with self._connect() as book:
            row = edition | {"tables": json.dumps(kept)}
            book.execute(f"INSERT INTO edition VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def publish(self, day: str, edition: int, paths: list[Path]) -> None:
        rows = [(day, edition, path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
        with self._connect() as book:
            book.executemany("INSERT INTO report VALUES (?, ?, ?, ?)", rows)


def arrow(table: pd.DataFrame) -> pa.Table:
    """A table in types that Parquet has; likelihoods as maps."""
    nested = [name for name in ("alternatives",) if name in table]
    out = pa.Table.from_pandas(table.drop(columns=nested), preserve_index=False)
    for name in nested:
        said = [row if isinstance(row, list) else None for row in table[name]]
        out = out.append_column(name, pa.array(said, LIKELIHOODS))
    return out


def lineage(book: Book, before: dict | None, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What became of the ids of the edition before: the pairs of old and new events that share an observation."""
    if before is None:
        return pd.DataFrame({"kind": [], "from_id": [], "to_id": [], "relation": []}, dtype=str)
    old = pd.read_parquet(book.folder / f"edition-{before['number']}" / "associations.parquet")
    both = old.merge(tables["associations"], on="observation_id", suffixes=("_from", "_to"))
    pairs = both[["event_id_from", "event_id_to"]].drop_duplicates()
    pairs.columns = ["from_id", "to_id"]
    parts, wholes = pairs.groupby("from_id").transform("size"), pairs.groupby("to_id").transform("size")
    relation = np.select([(parts > 1).to_numpy(), (wholes > 1).to_numpy()], ["split", "merged"], "same")
    return pairs.assign(kind="event", relation=relation)
