"""The ASTERIX standard as tables: what libasterix, generated from EUROCONTROL's specifications, says of each category.

libasterix makes an object of every bit field; here only its description of the categories is used, once, to make
the tables by which `kernels.asterix` cuts millions of records, and the places and units of the fields that are
wanted. Its own parser is the twin that the tests compare with.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from truceline.kernels import asterix as cut
from truceline.kernels import bits

#: Target reports and tracks.
TARGETS = (21, 48, 62)
#: The state of a sensor or a service, by the item that holds the time of day.
STATUS = {2: "030", 19: "140", 23: "070", 25: "070", 34: "030", 63: "030", 65: "030"}

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """Where a number stands: the slot of its item, bits of it, and its unit of the last bit."""

    slot: int
    bit: int
    size: int
    signed: bool
    unit: float

    def whole(self, data: cut.Bytes, starts: cut.Ints, ends: cut.Ints) -> cut.Ints:
        """(n,) the bits as they are; `ABSENT` where a record has none."""
        begin, end = (np.ascontiguousarray(of[:, self.slot]) for of in (starts, ends))
        return np.asarray(bits.read_bits(data, begin, end, self.bit, self.size, self.signed))

    def values(self, data: cut.Bytes, starts: cut.Ints, ends: cut.Ints) -> Values:
        """(n,) in the standard's unit; NaN where a record has none."""
        whole = self.whole(data, starts, ends)
        return np.where(whole == bits.ABSENT, np.nan, whole * self.unit)


@dataclass(frozen=True)
class Layout:
    """The tables, the items by node (for messages), and fields by category and path."""

    standard: cut.Standard
    known: npt.NDArray[np.bool_]  # the categories that there are, read or not
    items: dict[int, str]
    fields: dict[tuple[int, str], Field]


#: The fields that become columns: item, or item/subitem, or item/subitem/field.
WANTED = {
    21: (
        "010/SAC 010/SIC 040/ATP 040/RAB 040/SIM 040/TST 161/TRNUM 071 073 077 130/LAT 130/LON 131/LAT "
        "131/LON 080 140 145 090/NACP 070/MODE3A 160/GS 160/TA 170 020"
    ),
    48: (
        "010/SAC 010/SIC 140 020/TYP 020/SIM 020/RAB 020/TST 040/RHO 040/THETA 070/V 070/G 070/MODE3A 090/V 090/G "
        "090/FL 220 240 161/TRN 170/GHO 200/GSP 200/HDG 110/3DH"
    ),
    62: (
        "010/SAC 010/SIC 070 105/LAT 105/LON 185/VX 185/VY 060/V 060/G 060/MODE3A 245/CHR 380/ADR 380/ID 380/EMC 040 "
        "080/SIM 080/CST 136 130 500/APC/X 500/APC/Y 500/COV 500/APW/LAT 500/APW/LON"
    ),
    **{category: f"010/SAC 010/SIC {clock}" for category, clock in STATUS.items()},
}


@cache
def layout() -> Layout:
    """The tables of the newest editions that libasterix has. Its import takes a second, so it is made when needed."""
    from asterix import generated

    manifest: dict[str, dict[int, list[Any]]] = generated.manifest  # type: ignore[assignment]
    editions = {category: of[-1] for category, of in manifest["CATS"].items()}
    tables = _Tables()
    for category, wanted in WANTED.items():
        tables.add(category, editions[category].cv_uap.cv_record, wanted.split())
    known = np.zeros(256, np.bool_)
    known[list(editions)] = True
    return Layout(tables.standard(), known, tables.items, tables.fields)


class _Tables:
    """Tables in the making."""

    def __init__(self) -> None:
        self.categories = np.full((256, 3), -1, np.int64)
        self.nodes: list[list[int]] = []
        self.parts: list[int] = []
        self.items: dict[int, str] = {}
        self.fields: dict[tuple[int, str], Field] = {}
        self.slots = 0

    def standard(self) -> cut.Standard:
        return cut.Standard(self.categories, np.array(self.nodes, np.int64), np.array(self.parts, np.int64), self.slots)

    def add(self, category: int, record: Any, wanted: list[str]) -> None:
        """One category's user application profile."""
        slots: dict[str, int] = {}
        entries = [_entry(item) for item in record.cv_items_list]
        first = len(self.nodes)
        self.categories[category] = first, len(entries), record.cv_fspec_max_bytes
        self.nodes += [[cut.SPARE, 0, 0, 0, -1] for _ in entries]
        for place, (name, item) in enumerate(entries):
            if item is None:
                self.nodes[first + place][0] = cut.RANDOM if name == "RFS" else cut.SPARE
            else:
                self._node(first + place, category, name, item, wanted, slots)
        self.slots = max(self.slots, len(slots))

    def _node(self, node: int, category: int, name: str, item: Any, wanted: list[str], slots: dict[str, int]) -> None:
        shape = _shape(item)
        self.items[node] = name
        mine = [path for path in wanted if path == name or path.startswith(name + "/")]
        if _is(shape, "Compound"):
            first = len(self.nodes)
            self.nodes += [[cut.SPARE, 0, 0, 0, -1] for _ in shape.cv_items_list]
            self.nodes[node] = [cut.COMPOUND, first, len(shape.cv_items_list), shape.cv_fspec_max_bytes, -1]
            for place, inner in enumerate(shape.cv_items_list):
                if inner is not None:
                    self._node(first + place, category, f"{name}/{inner.cv_name}", inner, mine, slots)
            return
        slot = slots.setdefault(name, len(slots)) if mine else -1
        self.nodes[node] = [*self._form(shape), slot]
        for path in mine:
            inside = path[len(name) + 1 :].split("/") if path != name else []
            bit, element = _find(shape, inside)
            signed, unit = _number(element)
            self.fields[category, path] = Field(slot, bit, element.cv_bit_size, signed, unit)

    def _form(self, shape: Any) -> list[int]:
        if _is(shape, "Extended"):
            sizes = [_bits(part) // 8 for part in shape.cv_items_list]
            self.parts += sizes
            return [cut.EXTENDED, len(self.parts) - len(sizes), len(sizes), int(shape.cv_items_list[-1][-1] is None)]
        if _is(shape, "Repetitive"):
            size = shape.cv_variation.cv_bit_size
            if shape.cv_rep_bytes is None:
                return [cut.CHAINED, (size + 1) // 8, 0, 0]
            return [cut.REPEATED, size // 8, shape.cv_rep_bytes, 0]
        if _is(shape, "Explicit"):
            return [cut.EXPLICIT, 0, 0, 0]
        return [cut.FIXED, shape.cv_bit_size // 8, 0, 0]


def _is(shape: Any, name: str) -> bool:
    return any(cls.__name__ == name for cls in shape.__mro__)


def _entry(item: Any) -> tuple[str, Any]:
    """An entry of a profile: name and item; no item for a spare one and for fields in any order."""
    if hasattr(item, "cv_non_spare"):
        return item.cv_non_spare.cv_name, item.cv_non_spare
    return ("RFS" if _is(item, "UapItemRFS") else ""), None


def _shape(item: Any) -> Any:
    """The structure of an item; where it depends on other items, the one it has by default (of the same size)."""
    rule = item.cv_rule
    return rule.cv_variation if hasattr(rule, "cv_variation") else rule.cv_default_variation


def _bits(part: list[Any]) -> int:
    return sum(1 if entry is None else entry[1] for entry in part)


def _find(shape: Any, path: list[str]) -> tuple[int, Any]:
    """The bit at which a field begins in an item, and its element."""
    if not path:
        return 0, shape
    parts = shape.cv_items_list if _is(shape, "Extended") else [shape.cv_items_list]
    bit = 0
    for entry in (entry for part in parts for entry in part):
        if entry is None:
            bit += 1
            continue
        item, size = entry
        if hasattr(item, "cv_non_spare") and item.cv_non_spare.cv_name == path[0]:
            inner, element = _find(_shape(item.cv_non_spare), path[1:])
            return bit + inner, element
        bit += size
    raise LookupError(f"the standard has no field {'/'.join(path)}")


def _number(element: Any) -> tuple[bool, float]:
    """Whether an element is signed, and its unit of the last bit."""
    content = getattr(element.cv_rule, "cv_content", None)
    signedness = getattr(content, "cv_signedness", None)
    return getattr(signedness, "__name__", "") == "Signed", float(getattr(content, "cv_lsb", 1.0))
