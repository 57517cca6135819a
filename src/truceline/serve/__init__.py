"""The live service: sources in, picture out, each reader sees what is theirs. Reads the clock, as `cli` does."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truceline.serve.running import Listening


def wall() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def serve(folder: Path, listening: "Listening", tell: Callable[[str], None]) -> None:
    """Run the service of the mission in `folder` until it is told to stop.

    Parameters
    ----------
    tell
        Is told where it listens, and how one gets in.

    Raises
    ------
    MissionError, StoreError, DeniedError
        When it cannot be started.
    """
    from truceline.serve.running import entrance, listen, run, running

    async def play() -> None:
        async with running(folder, wall, wall, listening=listening) as service:
            await listen(service, listening, lambda address: tell(entrance(service, address)))

    run(play())


def replay(folder: Path, source: Path, speed: float, listening: "Listening", tell: Callable[[str, str], None]) -> None:
    """Run a mission's service on another folder's records, as they came in time, `speed` times as fast.

    Parameters
    ----------
    folder
        The mission that is served; it takes in every record of `source`, the same mission's folder.
    tell
        Is told the address, and a link that signs in once.

    Raises
    ------
    MissionError, StoreError
        When it cannot be started.
    """
    import asyncio

    from truceline.serve import replaying
    from truceline.serve.running import entrance, listen, run, running

    async def play() -> None:
        records = await asyncio.to_thread(replaying.records, source, wall())
        clock = replaying.Clock(records, speed)
        async with running(folder, clock.now, wall, listening=listening, settle_every_s=replaying.SETTLE_S) as service:
            playing = asyncio.create_task(replaying.play(service, records, clock))
            try:
                await listen(service, listening, lambda address: tell(address, entrance(service, address)))
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)

    run(play())
