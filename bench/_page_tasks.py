"""What the main thread of a page did, task by task: out of a trace of the browser."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

#: What to trace: tasks of threads, and the calls of scripts in them.
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata"]


@dataclass
class Task:
    """One task: when it began, its processor time, and that of the calls in it by whose script they begin in."""

    at_s: float
    ms: float
    of: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def tasks(trace: bytes) -> list[Task]:
    """Tasks of the busiest main thread of a trace, in order; processor time, not the clock's."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    by_thread: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X" and (event["pid"], event["tid"]) in mains and "tdur" in event:
            by_thread[event["pid"], event["tid"]].append(event)
    busiest = max(by_thread.values(), key=lambda some: sum(e["tdur"] for e in some if e["name"] == "RunTask"))
    made: list[Task] = []
    until = call_until = 0.0
    for event in sorted(busiest, key=lambda one: (one["ts"], -one["dur"])):
        if event["name"] == "RunTask" and event["ts"] >= until:
            made.append(Task(event["ts"] / 1e6, event["tdur"] / 1e3))
            until = event["ts"] + event["dur"]
        elif event["name"] == "FunctionCall" and call_until <= event["ts"] < until:
            call_until = event["ts"] + event["dur"]
            whose = "maplibre" if "maplibre" in event["args"]["data"].get("url", "") else "page"
            made[-1].of[whose] += event["tdur"] / 1e3
    return made


def longest(found: list[Task], every_s: float = 1.0) -> list[Task]:
    """The longest task of each update, the worst update first."""
    windows: dict[int, Task] = {}
    for task in found:
        window = int((task.at_s - found[0].at_s) / every_s)
        if window not in windows or task.ms > windows[window].ms:
            windows[window] = task
    return sorted(windows.values(), key=lambda task: -task.ms)
