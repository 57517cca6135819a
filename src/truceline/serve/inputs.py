"""Live inputs: everything that comes in otherwise than by HTTP POST. One task for each source, so that one that floods,
stalls or lies harms no other; all end at the gate.

    inputs = await start(service)     opens what the mission's sources say under `live`
    inputs.board()                    what each input is doing
    await inputs.stop()

See `streaming` (TCP, TLS, UDP), `mqtt`, `watching` (files and addresses), `delivery` (to the gate).
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from truceline.errors import MissionError
from truceline.mission import Mission
from truceline.serve import mqtt, streaming, watching
from truceline.serve.addresses import Way, unheard, ways
from truceline.serve.delivery import Board, Delivery, Limits
from truceline.serve.service import Service


@dataclass
class Inputs:
    """The inputs of a running mission."""

    deliveries: list[Delivery]
    tasks: list[asyncio.Task[None]]
    closing: list[Callable[[], Awaitable[None]]]
    #: Where each listening source is bound, by its id: port 0 in the mission file is any.
    ports: dict[str, int]

    def board(self) -> dict[str, dict[str, Any]]:
        """By source id: way, state, since, connections, refused_connections, received_bytes, payloads, dropped,
        dropped_bytes, unreadable, last_received_at, problem. JSON-ready."""
        return {one.board.source: one.board.to_dict() for one in self.deliveries}

    async def stop(self) -> None:
        """Close everything; what was whole has been given to the gate or is told as broken."""
        for close in self.closing:
            await close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for one in self.deliveries:
            one.state("stopped")


def check(mission: Mission, environ: Mapping[str, str] | None = None) -> list[Way]:
    """Whether what the mission file says under `live` can be meant; what that is.

    Raises
    ------
    MissionError
        Naming source, key and value.
    """
    return ways(mission, os.environ if environ is None else environ)


async def start(
    service: Service,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    environ: Mapping[str, str] | None = None,
) -> Inputs:
    """Open the live inputs of a mission.

    Parameters
    ----------
    tls
        The service's own certificate, and whose certificates it asks of clients: for sources that listen on tls://.
    environ
        Where {NAME} in addresses is looked up.

    Raises
    ------
    MissionError
        When the mission file says what cannot be meant, or a port cannot be listened on; then nothing is open.
    """
    limits, environ = limits or Limits(), os.environ if environ is None else environ
    found = check(service.mission, environ)
    await asyncio.to_thread(_warmed, found)
    inputs = Inputs([], [], [], {})
    try:
        for way in found:
            await _open(inputs, way, service, limits, tls, environ)
    except BaseException:
        await inputs.stop()
        raise
    return inputs


def _warmed(found: list[Way]) -> None:
    """Have what cuts lines compiled before the first comes."""
    for make in {way.make for way in found if way.make is not None}:
        one = make()
        if not one.single:
            one.push(b"!\n", 0.0)
            one.take(0.0, ended=True)


async def _open(
    inputs: Inputs,
    way: Way,
    service: Service,
    limits: Limits,
    tls: ssl.SSLContext | None,
    environ: Mapping[str, str],
) -> None:
    said = "watch" if way.address is None else f"{way.kind} {way.address.shown}"
    delivery = Delivery(way.source, service.gate, Board(way.source.id, said), service.clock)
    inputs.deliveries.append(delivery)
    if way.address is None:
        watcher = watching.Watcher(service, delivery, environ, limits.pauses_s[0])
        inputs.tasks.append(asyncio.create_task(_kept(watcher.run, delivery, limits)))
        inputs.closing.append(watcher.close)
        return
    assert way.make is not None
    if way.kind == "connect":
        run = streaming.connector(way.address, way.make, delivery, limits)
        inputs.tasks.append(asyncio.create_task(_kept(run, delivery, limits)))
    elif way.kind == "subscribe":
        run = mqtt.subscriber(way.address, way.make, delivery, limits, service.folder)
        inputs.tasks.append(asyncio.create_task(_kept(run, delivery, limits)))
    else:
        if way.address.scheme == "tls" and tls is None:
            key = f"source {way.source.id!r}: live.listen = {way.address.shown!r}"
            raise MissionError(f"{key}: the service has no certificate to listen with; start it with one")
        try:
            if way.address.scheme == "udp":
                port, run = await streaming.datagrams(way.address, way.make, delivery, limits)
                inputs.tasks.append(asyncio.create_task(_kept(run, delivery, limits)))
            else:
                context = tls if way.address.scheme == "tls" else None
                listener = streaming.Listener(way.make, delivery, limits, way.address.scheme)
                port = await listener.start(way.address, context)
                inputs.closing.append(listener.close)
        except OSError as error:
            key = f"source {way.source.id!r}: live.listen = {way.address.shown!r}"
            raise MissionError(f"{key}: cannot be listened on: {unheard(error)}") from error
        inputs.ports[way.source.id] = port


async def _kept(run: Callable[[], Awaitable[None]], delivery: Delivery, limits: Limits) -> None:
    """Run an input again whenever it fails, with growing pauses from one that has brought nothing to the next."""
    tries, before = 0, -1
    while True:
        try:
            await run()
            problem = "the connection was closed by the other end"
        except asyncio.CancelledError:
            raise
        except (TimeoutError, OSError) as error:
            problem = f"{getattr(error, 'strerror', None) or error or type(error).__name__}"
        except Exception as error:  # noqa: BLE001 one source's fault, whatever it is, is no other's
            problem = f"{type(error).__name__}: {error}"
        tries = 0 if delivery.board.received_bytes != before else tries + 1
        before = delivery.board.received_bytes
        delivery.state("failing", problem)
        await asyncio.sleep(limits.pauses_s[min(tries, len(limits.pauses_s) - 1)])


__all__ = ["Inputs", "Limits", "check", "start"]
