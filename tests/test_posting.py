"""Records by HTTP: what is answered is on disk; what cannot be is a 4xx with a sentence, never a 5xx."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a_gate import NOW, Clock, a_mission, journal, line
from a_service import ANALYST, ANYBODY, OFFICER, PARTY_A, PATROL, STATE
from truceline.errors import StoreError
from truceline.mission import Live, Source
from truceline.release import Principal
from truceline.serve import posting
from truceline.serve.app import application
from truceline.serve.gate import Gate
from truceline.serve.guard import Limits
from truceline.serve.service import Service

JSON_LINES = {"Content-Type": "application/x-ndjson"}
CSV = b"kind,what,at,lon,lat\nfix,vessel,2031-03-14T11:59:00Z,30.7,46.4\n"


class Door:
    """Who asks next."""

    principal: Principal = PATROL


def a_client(folder: Path, door: Door, mission: Any = None) -> TestClient:
    gate = Gate(folder, mission or a_mission(), Clock())
    nothing = cast(Any, None)
    service = Service(folder, gate_mission(mission), Clock(), gate, nothing, nothing, lambda _: door.principal, nothing)
    app = application(service, Limits(requests_per_s=1e6, burst=1e6))

    @asynccontextmanager
    async def running(_: Any) -> Any:
        await gate.start()
        yield
        await gate.stop()

    app.router.lifespan_context = running
    return TestClient(app, raise_server_exceptions=False)


def gate_mission(mission: Any) -> Any:
    return mission or a_mission()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def client(tmp_path: Path, door: Door) -> Iterator[TestClient]:
    with a_client(tmp_path, door) as asking:
        yield asking


def post(client: TestClient, body: Any, source: str = "field", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/api/sources/{source}/records", content=body, headers=JSON_LINES | named)


def arrow() -> bytes:
    table = pa.table({"kind": ["fix"], "what": ["vessel"], "at": pa.array([NOW]), "lon": [30.7], "lat": [46.4]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_what_is_posted_is_in_the_journal_when_it_is_answered(client: TestClient, tmp_path: Path) -> None:
    """The same again is duplicates: whoever got no answer sends the same bytes again, and nothing is doubled."""
    body = line(1) + b"\n" + line(2, lat=91) + b"\n"
    told = {"source": "field", "read": 2, "rejected": 1, "reasons": ["record 2: lat = 91 is outside -90..90"]}
    assert post(client, body).json() == told | {"accepted": 1, "duplicates": 0}
    assert journal(tmp_path).table("observation")["file"].to_pylist() == ["POST by patrol-3"]
    assert post(client, body).json() == told | {"accepted": 0, "duplicates": 1}


@pytest.mark.parametrize(
    ("kind", "body", "source"),
    [
        ("application/x-ndjson", line(1), "field"),
        ("application/x-ndjson; charset=utf-8", line(1), "viirs"),
        ("text/csv", CSV, "cameras"),
        ("TEXT/CSV; header=present", CSV, "press"),
        ("application/vnd.apache.arrow.stream", arrow(), "viirs"),
        ("application/octet-stream", line(1), "field"),
        ("application/octet-stream", b"latitude,longitude,acq_date\n48,37,2031-03-14\n", "viirs"),
    ],
)
def test_the_content_type_says_the_form(kind: str, body: bytes, source: str, client: TestClient) -> None:
    answer = post(client, body, source, Content_Type=kind)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


def test_a_packed_body_is_unpacked(client: TestClient) -> None:
    """Also one of several members, as rotated logs joined are."""
    body = gzip.compress(line(1) + b"\n") + gzip.compress(line(2) + b"\n")
    assert post(client, body, Content_Encoding="gzip").json()["accepted"] == 2
    many = b"\n".join(line(n) for n in range(3000))
    assert post(client, gzip.compress(many, 0), Content_Encoding="gzip").json()["read"] == 3000


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (line(1), {"Content_Type": "application/json"}, 415, "Content-Type is 'application/json'; it may be"),
        (line(1), {"Content_Type": ""}, 415, "Content-Type is ''"),
        (line(1), {"Content_Encoding": "br"}, 415, "Content-Encoding is 'br'; it may be gzip"),
        (line(1), {"Content_Encoding": "gzip"}, 400, "the body is no gzip data"),
        (gzip.compress(line(1))[:-9], {"Content_Encoding": "gzip"}, 400, "the gzip body breaks off"),
        (gzip.compress(line(1)) + b"more", {"Content_Encoding": "gzip"}, 400, "the body is no gzip data"),
        (b"", {}, 422, "is empty"),
        (b"", {"Content_Encoding": "gzip"}, 422, "is empty"),
        (b"a,b\n1,2\n", {"Content_Type": "text/csv"}, 422, "an observation has no column 'a'"),
        (b"rubbish", {"Content_Type": "application/vnd.apache.arrow.stream"}, 422, "is not a readable Arrow stream"),
    ],
)
def test_a_body_that_is_none_is_refused_in_words(
    body: bytes, headers: dict[str, str], status: int, told: str, client: TestClient
) -> None:
    answer = post(client, body, **headers)
    assert answer.status_code == status
    assert told in answer.json()["detail"]


def test_a_small_body_that_unpacks_to_a_large_one_is_unpacked_no_further(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 MiB of blanks are 64 KiB packed. The limit holds for what comes out, member by member."""
    unpacked: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int) -> None:
            self._real = real(bits)

        def decompress(self, content: bytes, most: int) -> bytes:
            part = self._real.decompress(content, most)
            unpacked.append(len(part))
            return part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(posting.zlib, "decompressobj", Counting)
    monkeypatch.setattr(posting, "MOST_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(600_000))
    answer = post(client, bomb * 50, Content_Encoding="gzip")
    assert (answer.status_code, "a body may have 1048576 bytes" in answer.json()["detail"]) == (413, True)
    assert sum(unpacked) <= (1 << 20) + 1


def test_a_body_that_is_too_large_is_read_no_further(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not say how long it is."""
    monkeypatch.setattr(posting, "MOST_BYTES", 1 << 16)
    given: list[int] = []

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            given.append(1)
            yield bytes(1 << 14)

    assert post(client, endless()).status_code == 413


def test_there_is_no_such_source_says_the_same_to_everybody_who_may_post(client: TestClient) -> None:
    answer = post(client, line(1), "nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "the mission has no source 'nobody'"})


@pytest.mark.parametrize(
    ("who", "status"), [(PATROL, 200), (OFFICER, 200), (ANALYST, 403), (PARTY_A, 403), (ANYBODY, 401)]
)
def test_who_may_post(who: Principal, status: int, client: TestClient, door: Door) -> None:
    door.principal = who
    assert post(client, line(1)).status_code == status


@pytest.mark.parametrize(("who", "whole"), [(OFFICER, True), (ANALYST, True), (STATE, False), (PARTY_A, False)])
def test_the_board_is_the_missions_alone(who: Principal, whole: bool, client: TestClient, door: Door) -> None:
    """Which sensors there are, and when they were silent, is told to no party."""
    post(client, line(1))
    door.principal = who
    rows = client.get("/api/sources").json()
    assert [row["id"] for row in rows] == (["field", "cameras", "viirs", "press"] if whole else [])
    if whole:
        assert (rows[0]["state"], rows[0]["accepted"], rows[0]["lag_s"]) == ("live", 1, 0.0)


def test_who_sends_more_than_may_wait_is_told_when_to_come_again(tmp_path: Path, door: Door) -> None:
    slow = Source(id="slow", feed="observations", live=Live(rows_per_s=1))
    with a_client(tmp_path, door, a_mission(slow)) as client:
        assert post(client, b"\n".join(line(n) for n in range(30)), "slow").status_code == 200
        answer = post(client, line(99), "slow")
        assert answer.status_code == 429
        assert 20 < int(answer.headers["Retry-After"]) < 31
        assert "sends faster than it may" in answer.json()["detail"]
        assert post(client, line(1)).status_code == 200


def test_a_disk_that_refuses_is_a_503_and_nothing_is_taken(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from truceline.store import tail

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tail.Tail, "append", lambda *_: full(0))
        answer = post(client, line(1))
    assert answer.status_code == 503
    assert "No space left on device" in answer.json()["detail"]
    assert post(client, line(1)).json()["accepted"] == 1
    assert issubclass(StoreError, ValueError)


def test_the_openapi_has_examples_that_are_true(client: TestClient) -> None:
    told = client.get("/openapi.json").json()["paths"]["/api/sources/{id}/records"]["post"]
    for kind in ("application/x-ndjson", "text/csv"):
        example = told["requestBody"]["content"][kind]["example"]
        assert post(client, example.encode(), Content_Type=kind).json()["accepted"] == 1
    answer = client.get("/api/sources").json()[0]
    board = client.get("/openapi.json").json()["paths"]["/api/sources"]["get"]["responses"]["200"]
    example = board["content"]["application/json"]["example"][0]
    assert set(answer) - set(example) <= {"silent_since", "licence"}  # null in the example, which is left out
    assert set(example) <= set(answer)


def packed(body: bytes) -> bytes:
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb") as file:
        file.write(body)
    return sink.getvalue()


DAMAGED = st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4), st.integers(0, 300))


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(
        ["application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream", "application/octet-stream"]
    ),
    where=DAMAGED,
    zipped=st.booleans(),
    damaged_first=st.booleans(),
    junk=st.none() | st.binary(max_size=300),
)
def test_damaged_bodies_are_answered_with_4xx_or_counted(
    form: str, where: Any, zipped: bool, damaged_first: bool, junk: Any, client: TestClient, tmp_path: Path
) -> None:
    """Flipped, cut or any bytes, in every form, packed or not: never a 5xx; what is taken adds up."""
    good = {"text/csv": CSV * 2, "application/vnd.apache.arrow.stream": arrow()}.get(
        form, line(1) + b"\n" + line(2) + b"\n"
    )
    at, flips, cut = where

    def damaged(body: bytes) -> bytes:
        begin = at % (len(body) or 1)
        body = body[:begin] + flips + body[begin + len(flips) :]
        return body[: len(body) - cut] if cut % 4 == 0 else body

    body = junk if junk is not None else good
    if zipped and not damaged_first:
        body = packed(body)
    body = damaged(body)
    if zipped and damaged_first:
        body = packed(body)
    before = [journal(tmp_path).rows(kind) for kind in ("observation", "duplicate", "rejection")]
    answer = post(client, body, Content_Type=form, **({"Content_Encoding": "gzip"} if zipped else {}))
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    after = [journal(tmp_path).rows(kind) for kind in ("observation", "duplicate", "rejection")]
    told = answer.json()
    counts = [told.get(name, 0) for name in ("accepted", "duplicates", "rejected")]
    assert [b - a for a, b in zip(before, after, strict=True)] == counts
    assert told.get("read", 0) == sum(counts)
