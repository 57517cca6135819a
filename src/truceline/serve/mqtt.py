"""Records as MQTT messages: a subscription that outlives us, acknowledged when the message is on disk.

The session is kept by the broker under a name made of the mission's folder and the source: what is published with
quality of service 1 or 2 while we are away comes when we are back. A broker sends only so many messages ahead of
acknowledgements, so these wait there; with quality of service 0 nothing waits anywhere, and what is beyond the queue
is dropped and counted.
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiomqtt

from truceline.feeds.framing import Framing, Make
from truceline.serve.addresses import Address
from truceline.serve.delivery import Delivery, Limits

#: A message longer than this is no record; the protocol allows 256 MB.
LONGEST_MESSAGE = 1 << 20
#: Messages given to the gate before the next are looked at.
MOST_TOGETHER = 1000
#: Seconds between signs of life on a quiet connection.
_KEEPALIVE_S = 30
#: For the broker's answer to connecting and subscribing.
_ANSWER_S = 15.0

#: The library tells of every dropped message; the board does.
_QUIET = logging.getLogger("truceline.serve.mqtt")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class _Waiting(asyncio.Queue[aiomqtt.Message]):
    """Messages that wait for the gate, bounded by number and by bytes."""

    def __init__(self, delivery: Delivery, limits: Limits, maxsize: int = 0) -> None:
        super().__init__(limits.waiting_units)
        self._delivery, self._most_bytes, self._bytes = delivery, limits.waiting_bytes, 0

    def put_nowait(self, item: aiomqtt.Message) -> None:
        size = len(_bytes(item))
        self._delivery.received(size)
        if self.full() or self._bytes + size > self._most_bytes:
            # Not acknowledged: with quality of service 1 or 2 it comes again with the next connection.
            self._delivery.dropped(1, size)
            return
        self._bytes += size
        super().put_nowait(item)

    def get_nowait(self) -> aiomqtt.Message:
        item = super().get_nowait()
        self._bytes -= len(_bytes(item))
        return item


def subscriber(
    address: Address, make: Make, delivery: Delivery, limits: Limits, folder: Path
) -> Callable[[], Awaitable[None]]:
    """Connect, subscribe, and take messages until the connection ends."""
    session = hashlib.sha256(f"{folder.resolve()}\0{delivery.source.id}".encode()).hexdigest()[:12]
    context = ssl.create_default_context() if address.scheme == "mqtts" else None

    async def run() -> None:
        delivery.state("connecting")
        client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            identifier=f"truceline-{session}",
            clean_session=False,
            keepalive=_KEEPALIVE_S,
            timeout=_ANSWER_S,
            tls_context=context,
            logger=_QUIET,
            queue_type=partial(_Waiting, delivery, limits),  # type: ignore[arg-type]
        )
        # The library acknowledges when it has the message; we do when it is on disk. It has no name for that.
        client._client.manual_ack_set(True)
        try:
            async with client:
                await client.subscribe(address.topic, qos=1)
                delivery.board.connections = 1
                delivery.state("subscribed")
                await _take(client, make, delivery, limits)
        except aiomqtt.MqttError as error:
            raise ConnectionError(f"{address.shown}: {error}") from None
        finally:
            delivery.board.connections = 0

    return run


async def _take(client: aiomqtt.Client, make: Make, delivery: Delivery, limits: Limits) -> None:
    framings: dict[str, Framing] = {}
    messages = client.messages
    while True:
        found = [await anext(messages)]
        await asyncio.sleep(limits.together_s)
        while len(messages) and len(found) < MOST_TOGETHER:
            found.append(await anext(messages))
        by_topic: dict[str, list[bytes]] = {}
        for message in found:
            by_topic.setdefault(message.topic.value, []).append(_bytes(message))
        # Each topic apart: the evidence says which it was.
        await asyncio.gather(
            *(_give(framings.setdefault(topic, make()), said, topic, delivery) for topic, said in by_topic.items())
        )
        for message in found:
            client._client.ack(message.mid, message.qos)
        for topic in [topic for topic, framing in framings.items() if not framing.waiting]:
            del framings[topic]  # a device that names its topics anew each time takes no memory


async def _give(framing: Framing, messages: list[bytes], topic: str, delivery: Delivery) -> None:
    name = f"mqtt {topic}"
    for payload in messages:
        if len(payload) > LONGEST_MESSAGE:
            await delivery.refuse([payload[:LONGEST_MESSAGE]], f"is a message of {len(payload)} bytes", name)
        else:
            framing.unit(payload, delivery.clock().timestamp())
    await delivery.take(framing, name)


def _bytes(message: aiomqtt.Message) -> bytes:
    """The payload; the library gives other types only to senders."""
    payload = message.payload
    return bytes(payload) if isinstance(payload, bytes | bytearray) else str(payload or "").encode()
