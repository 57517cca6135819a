"""How the streams and messages of a source are cut into records, by its feed."""

import re

from truceline.errors import MissionError
from truceline.feeds import options
from truceline.feeds.features import format_of
from truceline.feeds.framing import Blocks, Events, Frames, Make
from truceline.feeds.framing_nmea import Sentences
from truceline.feeds.framing_rows import Features, Objects, Rows, Whole
from truceline.mission import Source


def of_stream(source: Source, key: str) -> Make:
    """How a stream of bytes (TCP) of this source is cut.

    Raises
    ------
    MissionError
        When its feed's format cannot be: naming the source, the key and what to do instead.
    """
    if source.feed == "table" and _format(source) == "parquet":
        raise options.fail(source, key, "Parquet files have no beginning in a stream: watch a folder of them instead")
    if source.feed == "adsb":
        _needs_reference(source, key)
    ways: dict[str, Make] = {"ais": Sentences, "adsb": Frames, "cot": Events, "asterix": Blocks, "firms": Rows}
    ways["observations"] = Objects
    ways["table"] = Features if _format(source) == "geojson" else Rows
    return ways[source.feed]


def of_messages(source: Source, key: str) -> Make:
    """How datagrams and messages of this source are cut.

    Raises
    ------
    MissionError
        As `of_stream`.
    """
    if source.feed == "firms" or (source.feed == "table" and _format(source) != "geojson"):
        return Whole
    return of_stream(source, key)


def _format(source: Source) -> str:
    given = source.options.get("format")
    return given if isinstance(given, str) else format_of("")


def _needs_reference(source: Source, key: str) -> None:
    if "reference" not in source.options:
        raise MissionError(
            f"source {source.id!r}: {key}: frames that come one by one need the receiver's place, to tell where "
            "aircraft are: give options.reference = [lon, lat]"
        )


def is_sentences(head: bytes) -> bool:
    """Whether a file that begins so holds AIS sentences, not a table."""
    return re.search(rb"![A-Za-z0-9]{2}VD[MO],", head) is not None
