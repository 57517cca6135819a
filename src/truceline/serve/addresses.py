"""Where live input comes from: what the mission file's `live` says, read and checked; nothing is opened here."""

import errno
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from truceline import feeds
from truceline.errors import MissionError
from truceline.feeds import framing, streams
from truceline.mission import Mission, Source

#: How each way may be written, and the port where one is usual.
SCHEMES: Mapping[str, Mapping[str, int | None]] = {
    "listen": {"tcp": None, "tls": None, "udp": None},
    "connect": {"tcp": None, "tls": None},
    "subscribe": {"mqtt": 1883, "mqtts": 8883},
}
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WEB = re.compile(r"https?://", re.IGNORECASE)


class Address(NamedTuple):
    """One end of a connection."""

    scheme: str
    host: str
    port: int
    topic: str = ""
    user: str | None = None
    password: str | None = None

    @property
    def shown(self) -> str:
        """As people may see it: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + (f"/{self.topic}" if self.topic else "")


class Way(NamedTuple):
    """How records of one source come in."""

    source: Source
    kind: str  # listen, connect, subscribe, watch
    address: Address | None  # None: watch
    make: framing.Make | None  # how what comes is cut; None: watch, where files say it


def ways(mission: Mission, environ: Mapping[str, str]) -> list[Way]:
    """The ways of all sources that have one.

    Raises
    ------
    MissionError
        Naming the source, the key and the value that cannot be meant, or the variable that is not set.
    """
    found = []
    for source in mission.source:
        feeds.check(source)
        if source.live is None:
            continue
        given = {key: value for key in SCHEMES if (value := getattr(source.live, key)) is not None}
        if source.live.watch:
            given["watch"] = "true"
        if len(given) > 1:
            raise _fail(source, " and ".join(given), "records of a source come in one way; give each way a source")
        for key, value in given.items():
            found.append(_watched(source, environ) if key == "watch" else _way(source, key, value, environ))
    return found


def _way(source: Source, key: str, value: str, environ: Mapping[str, str]) -> Way:
    address = read(source, key, value, environ)
    cut = streams.of_messages if address.scheme in ("udp", "mqtt", "mqtts") else streams.of_stream
    make = cut(source, f"live.{key} = {value.partition('@')[2] or value!r}")
    return Way(source, key, address, make)


def read(source: Source, key: str, value: str, environ: Mapping[str, str]) -> Address:
    """An address of the mission file, with what it takes from the environment.

    Raises
    ------
    MissionError
        When it is none, or holds a password in plain.
    """
    schemes = SCHEMES[key]
    shown = re.sub(r"//[^/@]*@", "//...@", value)
    scheme, mark, rest = value.partition("://")
    example = f"{next(iter(schemes))}://host:port" + ("/topic/#" if key == "subscribe" else "")
    if not mark or scheme not in schemes:
        raise _fail(source, key, f"{shown!r} is not an address like {example!r}; it may begin with {_list(schemes)}")
    try:
        parts = urlsplit("//" + rest.replace("#", "%23"))
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _fail(source, key, f"{shown!r} is not an address like {example!r}: {error}") from error
    port = schemes[scheme] if port is None else port
    if not host or port is None or (port == 0 and key != "listen") or parts.query:
        raise _fail(source, key, f"{shown!r} is not an address like {example!r}")
    topic = parts.path.removeprefix("/").replace("%23", "#")
    if key != "subscribe" and (topic or parts.username is not None):
        raise _fail(source, key, f"{shown!r} has more than host and port")
    if key == "subscribe" and not _is_filter(topic):
        raise _fail(source, key, f"{shown!r} names no topics to subscribe to, like {example!r}")
    user, password = parts.username, parts.password
    if password is not None and not _NAME.fullmatch(password):
        hint = "the mission file is evidence and is copied: name a variable of the environment, {MQTT_PASSWORD}"
        raise _fail(source, key, f"{shown!r} holds a password; {hint}")
    user, password = (None if one is None else filled(source, key, one, environ) for one in (user, password))
    return Address(scheme, host, port, topic, user, password)


def filled(source: Source, key: str, text: str, environ: Mapping[str, str]) -> str:
    """A text with the variables of the environment that it names as {NAME}.

    Raises
    ------
    MissionError
        When one is not set.
    """
    for name in _NAME.findall(text):
        if not environ.get(name):
            raise _fail(source, key, f"the environment has no {name}, which it names")
    return _NAME.sub(lambda match: environ[match[1]], text)


def hidden(text: str, template: str, environ: Mapping[str, str]) -> str:
    """A text without the values that the template took from the environment."""
    for name in _NAME.findall(template):
        text = text.replace(environ.get(name) or "\0", "{" + name + "}")
    return text


def _watched(source: Source, environ: Mapping[str, str]) -> Way:
    if not source.paths:
        raise _fail(source, "watch", "there is nothing to watch: the source has no paths")
    for path in source.paths:
        if _WEB.match(path):
            filled(source, "watch", path, environ)
    return Way(source, "watch", None, None)


def _is_filter(topic: str) -> bool:
    levels = topic.split("/")
    return bool(topic) and all(
        level in ("+", "#") or not set(level) & set("+#\0") for level in levels
    ) and "#" not in levels[:-1]  # fmt: skip


def _list(names: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name}://" for name in names)


def _fail(source: Source, key: str, message: str) -> MissionError:
    return MissionError(f"source {source.id!r}: live.{key}: {message}")


def unheard(error: OSError) -> str:
    """Why a port cannot be listened on, and what to do where somebody else has it."""
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; does the service run already? Else give another one"
    return error.strerror or str(error)
