"""Files from the web into a folder, each kept under its address: checked for news, resumed after a break.

    DIR/<first 16 hex digits of SHA-256 of the address>-<file name>        the whole file
    DIR/....part                                                           what has come of the next one
    DIR/....json, DIR/....part.json                                        address and validators of either

A whole file is asked for again only if the server says it has changed (ETag, Last-Modified). When the server
cannot be reached or fails, the copy is used and that is said. A break is resumed with Range and If-Range, so
that halves of two versions are never joined.
"""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from truceline.errors import SourceError

#: Told the address as it may be shown, the bytes that have come, and of how many (None: not known).
Progress = Callable[[str, int, int | None], None]

_BLOCK = 1 << 18
#: Answers that may be different a moment later.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
#: An access key in a path (FIRMS has them there), or a user, a password, a query: none of it is evidence.
_KEY = re.compile(r"(?<=/)[0-9a-fA-F]{32}(?=/|$)")


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, and the clock to wait by."""

    pauses_s: Sequence[float] = (1.0, 4.0, 15.0)  # before each further try
    answer_s: float = 30.0  # for the next bytes
    whole_s: float = 3600.0  # for the whole file
    most_bytes: int = 8 << 30
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


class _Meta(msgspec.Struct):
    """What the server said of a version of a file; the address without what may be secret in it."""

    url: str
    etag: str | None = None
    modified: str | None = None

    @property
    def strong(self) -> str | None:
        """The validator that a range may be asked with: a weak ETag is none."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Broken(Exception):
    """A try failed in a way that may pass; its text says how."""


class WebOnly(urllib.request.HTTPRedirectHandler):
    """Redirects stay on the web, and what was asked for with encryption stays encrypted."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise SourceError(f"{shown(req.full_url)}: redirects to {shown(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def shown(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, _KEY.sub("KEY", parts.path), "", ""))


def fetch(
    url: str,
    cache: Path,
    *,
    patience: Patience | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The file at `url`, as a file in the folder `cache`.

    Parameters
    ----------
    patience
        Limits of size and time, pauses between tries.
    progress
        Told how much has come.
    tell
        Told when the server could not be asked and the copy of an earlier time is used.

    Raises
    ------
    SourceError
        Naming the address and what the server said, when there is neither the file nor a copy.
    """
    patience = patience or Patience()
    if urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https"):
        raise SourceError(f"{shown(url)}: only http and https addresses are fetched")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        whole = cache / _file_name(url)
        return _fetched(url, whole, patience, progress or (lambda *_: None), tell or (lambda _: None))
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(f"{shown(url)}: cannot be fetched: {error}") from error


def _file_name(url: str) -> str:
    """Unique by the address, and with its ending, by which feeds tell formats."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    tail = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".")[-80:] or "file"
    return f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{tail}"


def _fetched(url: str, whole: Path, patience: Patience, progress: Progress, tell: Callable[[str], None]) -> Path:
    deadline = patience.monotonic() + patience.whole_s
    problem = ""
    for pause in (*patience.pauses_s, None):
        try:
            _try(url, whole, patience, deadline, progress)
            return whole
        except _Broken as error:
            problem = str(error)
        if pause is None or patience.monotonic() + pause > deadline:
            break
        patience.sleep(pause)
    if whole.exists():
        tell(f"{shown(url)}: {problem}; the copy fetched before is used")
        return whole
    raise SourceError(f"{shown(url)}: {problem}")


def _try(url: str, whole: Path, patience: Patience, deadline: float, progress: Progress) -> None:
    """Bring `whole` up to date, or raise `_Broken`."""
    part = whole.with_name(whole.name + ".part")
    headers = {"User-Agent": "truceline", "Accept-Encoding": "identity"}
    have, begun = _meta(whole), _meta(part)
    done = part.stat().st_size if begun is not None and begun.strong else 0
    if done and begun is not None and begun.strong:
        headers |= {"Range": f"bytes={done}-", "If-Range": begun.strong}
    elif have is not None:
        headers |= {"If-None-Match": have.etag} if have.etag else {}
        headers |= {"If-Modified-Since": have.modified} if have.modified else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 the scheme is checked
    opener = urllib.request.build_opener(WebOnly)
    try:
        with opener.open(request, timeout=patience.answer_s) as answer:
            _receive(url, answer, part, done, patience, deadline, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304 and whole.exists():
            return
        if error.code == 416:  # the part is longer than the file now is
            _forget(part)
            raise _Broken("the file changed while it was fetched") from error
        if error.code in _PASSING:
            raise _Broken(f"the server answers {error.code} {error.reason}") from error
        raise SourceError(f"{shown(url)}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Broken(f"cannot be reached: {error.reason}") from error
    except http.client.InvalidURL as error:
        raise SourceError(f"{shown(url)}: is not an address: {error}") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _Broken(f"the connection broke: {error or type(error).__name__}") from error
    meta = _meta(part)
    os.replace(part, whole)
    _write_meta(whole, meta or _Meta(shown(url)))
    _forget(part)


def _receive(
    url: str,
    answer: http.client.HTTPResponse,
    part: Path,
    done: int,
    patience: Patience,
    deadline: float,
    progress: Progress,
) -> None:
    """The answer's bytes into `part`, behind those it has when the server goes on there."""
    goes_on = answer.status == 206 and re.match(rf"bytes {done}-", answer.headers.get("Content-Range", ""))
    if answer.status == 206 and not goes_on:
        _forget(part)
        raise _Broken(f"the server sends another range than asked: {answer.headers.get('Content-Range')}")
    if not goes_on:
        done = 0
        _forget(part)
        _write_meta(part, _Meta(shown(url), answer.headers.get("ETag"), answer.headers.get("Last-Modified")))
    length = answer.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() else None
    if total is not None and total > patience.most_bytes:
        raise SourceError(f"{shown(url)}: has {total} bytes; {patience.most_bytes} is the most")
    with part.open("ab" if goes_on else "wb") as file:
        while block := answer.read1(_BLOCK):
            file.write(block)
            done += len(block)
            progress(shown(url), done, total)
            if done > patience.most_bytes:
                raise SourceError(f"{shown(url)}: has more than {patience.most_bytes} bytes, the most")
            if patience.monotonic() > deadline:
                raise _Broken(f"has not come within {patience.whole_s:g} s")
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Broken(f"the connection broke after {done} of {total} bytes")


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _meta(file: Path) -> _Meta | None:
    """What was kept of a file's version; None when the file or that is absent or unreadable."""
    try:
        return msgspec.json.decode(_beside(file).read_bytes(), type=_Meta) if file.exists() else None
    except (OSError, msgspec.DecodeError):
        return None


def _write_meta(file: Path, meta: _Meta) -> None:
    fresh = file.with_name(file.name + ".json.new")
    fresh.write_bytes(msgspec.json.encode(meta))
    os.replace(fresh, _beside(file))


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)
