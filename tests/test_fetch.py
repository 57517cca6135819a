"""Files from the web: asked for once, checked for news, resumed after a break, never half."""

import hashlib
import io
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from truceline import feeds
from truceline.errors import SourceError
from truceline.feeds.fetch import Patience, WebOnly, fetch, shown
from truceline.mission import Source

BODY = bytes(range(256)) * 4000  # 1 MB
HEADER = b"latitude,longitude,acq_date\n"


@dataclass
class Web:
    """A server that does as it is told, and remembers what it was asked."""

    url: str = ""
    body: bytes = BODY
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    length: bool = True
    #: Answers to come before the ordinary one: a status, ("redirect", address), ("cut", bytes), ("range", header)
    plan: list[object] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, int):
            self._status(request, step)
            return
        kind, value = step if isinstance(step, tuple) else ("", None)
        if kind == "redirect":
            request.send_response(302)
            request.send_header("Location", str(value))
            request.end_headers()
            return
        asked = self.asked[-1]
        if self.etag and asked.get("if-none-match") == self.etag:
            self._status(request, 304)
            return
        if self.modified and asked.get("if-modified-since") == self.modified:
            self._status(request, 304)
            return
        begin = 0
        same = asked.get("if-range") in (None, self.etag, self.modified)
        if self.ranges and same and "range" in asked:
            begin = int(asked["range"].removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            given = f"bytes {begin}-{len(self.body) - 1}/{len(self.body)}"
            request.send_header("Content-Range", str(value) if kind == "range" else given)
        else:
            request.send_response(200)
        if self.length:
            request.send_header("Content-Length", str(len(self.body) - begin))
        for name, said in (("ETag", self.etag), ("Last-Modified", self.modified)):
            if said:
                request.send_header(name, said)
        request.end_headers()
        part = self.body[begin:]
        request.wfile.write(part[:value] if kind == "cut" and isinstance(value, int) else part)

    @staticmethod
    def _status(request: BaseHTTPRequestHandler, status: int) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    told = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}/data/fires.csv"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@dataclass
class Slept:
    """Pauses that are written down, not slept; a clock that only they move."""

    pauses: list[float] = field(default_factory=list)

    def patience(self, **limits: float) -> Patience:
        return Patience(sleep=self.pauses.append, monotonic=lambda: sum(self.pauses), **limits)


@pytest.fixture
def slept() -> Slept:
    return Slept()


def test_a_file_is_kept_under_its_address_with_its_ending(web, slept, tmp_path):
    path = fetch(web.url, tmp_path / "cache", patience=slept.patience())
    assert path.read_bytes() == BODY
    assert path == tmp_path / "cache" / f"{hashlib.sha256(web.url.encode()).hexdigest()[:16]}-fires.csv"
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".csv", ".json"]


def test_it_is_not_sent_again_while_the_server_says_it_is_the_same(web, slept, tmp_path):
    for _ in range(2):
        assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY
    assert web.asked[1]["if-none-match"] == '"v1"'


def test_a_date_does_where_there_is_no_etag(web, slept, tmp_path):
    web.etag, web.modified = None, "Sat, 14 Mar 2031 09:00:00 GMT"
    for _ in range(2):
        fetch(web.url, tmp_path, patience=slept.patience())
    assert web.asked[1]["if-modified-since"] == web.modified


def test_a_changed_file_replaces_the_copy_whole(web, slept, tmp_path):
    fetch(web.url, tmp_path, patience=slept.patience())
    web.body, web.etag = b"news", '"v2"'
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == b"news"


def test_a_break_is_resumed_where_it_broke(web, slept, tmp_path):
    web.plan = [("cut", 300_000), ("cut", 200_000)]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY
    assert [asked.get("range") for asked in web.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert web.asked[1]["if-range"] == '"v1"'
    assert slept.pauses == [1.0, 4.0]


def test_a_break_is_resumed_by_the_next_run_too(web, slept, tmp_path):
    web.plan = [("cut", 300_000)]
    with pytest.raises(SourceError, match="the connection broke after 300000 of 1024000 bytes"):
        fetch(web.url, tmp_path, patience=slept.patience(pauses_s=()))
    assert not (tmp_path / f"{hashlib.sha256(web.url.encode()).hexdigest()[:16]}-fires.csv").exists()
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY
    assert web.asked[1]["range"] == "bytes=300000-"


def test_halves_of_two_versions_are_never_joined(web, slept, tmp_path):
    web.plan = [("cut", 300_000)]
    with pytest.raises(SourceError):
        fetch(web.url, tmp_path, patience=slept.patience(pauses_s=()))
    web.body, web.etag = BODY[::-1], '"v2"'
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY[::-1]


@pytest.mark.parametrize(
    ("etag", "ranges"), [(None, True), ('W/"weak"', True), ('"v1"', False)], ids=["none", "weak", "no ranges"]
)
def test_without_a_way_to_be_sure_it_begins_again(web, slept, tmp_path, etag, ranges):
    web.etag, web.ranges, web.plan = etag, ranges, [("cut", 300_000)]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY


def test_a_server_that_sends_another_range_is_not_believed(web, slept, tmp_path):
    web.plan = [("cut", 300_000), ("range", "bytes 0-1023999/1024000")]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY


def test_a_range_behind_the_end_begins_again(web, slept, tmp_path):
    web.plan = [("cut", 300_000), 416]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again_after_growing_pauses(web, slept, tmp_path, status):
    web.plan = [status, status]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY
    assert slept.pauses == [1.0, 4.0]


def test_what_will_not_pass_is_told_at_once_with_address_and_status(web, slept, tmp_path):
    web.plan = [404]
    with pytest.raises(SourceError) as caught:
        fetch(web.url, tmp_path, patience=slept.patience())
    assert str(caught.value) == f"{web.url}: the server answers 404 Not Found"
    assert slept.pauses == []


def test_a_server_that_keeps_failing_is_given_up(web, slept, tmp_path):
    web.plan = [503] * 9
    with pytest.raises(SourceError, match="the server answers 503 Service Unavailable"):
        fetch(web.url, tmp_path, patience=slept.patience())
    assert slept.pauses == [1.0, 4.0, 15.0]


def test_no_pause_goes_beyond_the_time_for_the_whole(web, slept, tmp_path):
    web.plan = [503] * 9
    with pytest.raises(SourceError):
        fetch(web.url, tmp_path, patience=slept.patience(whole_s=10.0))
    assert slept.pauses == [1.0, 4.0]


def test_offline_the_copy_is_used_and_that_is_said(web, slept, tmp_path):
    told: list[str] = []
    fetch(web.url, tmp_path, patience=slept.patience())
    web.plan = [503] * 9
    assert fetch(web.url, tmp_path, patience=slept.patience(), tell=told.append).read_bytes() == BODY
    assert told == [f"{web.url}: the server answers 503 Service Unavailable; the copy fetched before is used"]


def test_nobody_there_and_no_copy_is_an_error(slept, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    with pytest.raises(SourceError, match=rf"^http://127\.0\.0\.1:{port}/x: cannot be reached: .*refused"):
        fetch(f"http://127.0.0.1:{port}/x", tmp_path, patience=slept.patience())


def test_redirects_are_followed_on_the_web(web, slept, tmp_path):
    web.plan = [("redirect", web.url + "?moved")]
    assert fetch(web.url, tmp_path, patience=slept.patience()).read_bytes() == BODY


@pytest.mark.parametrize("elsewhere", ["file:///etc/hosts", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_redirects_off_the_web_are_refused(web, slept, tmp_path, elsewhere):
    web.plan = [("redirect", elsewhere)]
    with pytest.raises(SourceError, match=r"not followed|not allowed"):
        fetch(web.url, tmp_path, patience=slept.patience())


def test_what_was_asked_for_encrypted_stays_encrypted():
    asked = urllib.request.Request("https://host.org/a")
    with pytest.raises(SourceError, match=r"redirects to http://host.org/b, which is not followed"):
        WebOnly().redirect_request(asked, io.BytesIO(), 302, "Found", HTTPMessage(), "http://host.org/b")


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://127.0.0.1/x", "http://127.0.0.1:port/x", "http:///x"])
def test_other_addresses_are_refused(slept, tmp_path, url):
    with pytest.raises(SourceError):
        fetch(url, tmp_path, patience=slept.patience(pauses_s=()))


@pytest.mark.parametrize("length", [True, False], ids=["announced", "not announced"])
def test_a_file_that_is_too_large_is_refused(web, slept, tmp_path, length):
    web.length = length
    with pytest.raises(SourceError, match=r"has (more than )?\d+ bytes"):
        fetch(web.url, tmp_path, patience=slept.patience(most_bytes=500_000))


def test_progress_is_told_as_bytes_come(web, slept, tmp_path):
    told: list[tuple[str, int, int | None]] = []
    fetch(web.url, tmp_path, patience=slept.patience(), progress=lambda *step: told.append(step))
    assert told[-1] == (web.url, len(BODY), len(BODY))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://me:secret@host.org/a/b.csv?key=1#x", "https://host.org/a/b.csv"),
        (
            "https://firms.modaps.eosdis.nasa.gov/api/area/csv/0123456789abcdef0123456789abcdef/VIIRS_SNPP_NRT/1",
            "https://firms.modaps.eosdis.nasa.gov/api/area/csv/KEY/VIIRS_SNPP_NRT/1",
        ),
    ],
)
def test_what_may_be_secret_in_an_address_is_not_shown(url, public):
    assert shown(url) == public


def test_a_source_on_the_web_is_read_like_a_file(web, tmp_path):
    web.body = HEADER + b"48.1,37.5,2031-03-14\n"
    source = Source(id="s", feed="firms", paths=[web.url])
    (batch,) = feeds.read(source, tmp_path, web.url, datetime(2031, 3, 16, tzinfo=UTC))
    assert batch.observations["file"].to_pylist() == [web.url]
    assert batch.observations["raw"].to_pylist() == [b"48.1,37.5,2031-03-14"]
    assert [path.suffix for path in sorted(Path(tmp_path / "cache").iterdir())] == [".csv", ".json"]
