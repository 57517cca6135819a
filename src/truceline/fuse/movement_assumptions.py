"""What reading movements assumes: every number nobody measured, with where it comes from.

By taxonomy term, the longest prefix first; `""` is what is not named. Lengths in metres, times in seconds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from truceline.agreement import Assumption

Floats = npt.NDArray[np.float64]


def _low(value: float, source: str) -> Assumption:
    return Assumption(value=value, source=source, confidence="low")


#: Faster than this, nothing of the class moves: m/s.
FASTEST_MPS: Mapping[str, Assumption] = {
    "vessel": Assumption(25.7, "50 knots: what monitors take for impossible at sea", "medium"),
    "aircraft": Assumption(350.0, "airliners with a jet stream behind them; fighters faster are missed", "medium"),
    "aircraft.rotary": Assumption(110.0, "the fastest helicopters in service, and some wind", "medium"),
    "uav": _low(220.0, "jet one-way drones; piston ones fly at 50"),
    "ground": _low(45.0, "160 km/h on a road"),
    "weapon": _low(35.0, "a lorry or a tracked vehicle on a road"),
    "": Assumption(350.0, "as aircraft: nothing is called impossible of what is not known", "medium"),
}

#: How much its velocity wanders while it holds it, m^2/s^3: the spread in the middle of a short gap T is
#: sqrt(value T^3 / 192) (both velocities known, integrated Wiener process).
WANDERING: Mapping[str, Assumption] = {
    "vessel": _low(0.01, "50 m half-way through 6 minutes: ships turn slowly"),
    "aircraft": _low(5.0, "75 m half-way through a minute"),
    "uav": _low(5.0, "as aircraft"),
    "ground": _low(2.0, "50 m half-way through a minute: roads bend"),
    "weapon": _low(2.0, "as vehicles"),
    "": _low(5.0, "as aircraft"),
}

#: How far it strays from the straight way in a long gap, m^2/s: the spread in the middle is sqrt(value T / 4).
STRAYING: Mapping[str, Assumption] = {
    "vessel": _low(2_000.0, "1.3 km half-way through an hour: traffic lanes, headlands, tacks"),
    "aircraft": _low(100_000.0, "4 km half-way through ten minutes"),
    "uav": _low(20_000.0, "1.7 km half-way through ten minutes"),
    "ground": _low(5_000.0, "0.9 km half-way through ten minutes: the road, not the crow's way"),
    "weapon": _low(5_000.0, "as vehicles"),
    "": _low(100_000.0, "as aircraft"),
}

#: For how long a velocity says where an object goes: it fades with this time, seconds.
STEADY_S: Mapping[str, Assumption] = {
    "vessel": _low(1_800.0, "ships hold their course for half an hour and longer"),
    "aircraft": _low(300.0, "legs of some minutes"),
    "uav": _low(120.0, "legs of some minutes at most"),
    "ground": _low(60.0, "the next bend"),
    "weapon": _low(60.0, "as vehicles"),
    "": _low(120.0, "between the others"),
}

#: A path or a fix that is likelier than this to be in a zone makes a visit: the floor of findings.
FLOOR = 0.05
#: Within how many standard deviations of path and zone paths are drawn at all; beyond, exp(-4^2 / 2) = 3e-4.
REACH_SIGMA = 4.0
#: Paths drawn of each segment near a border: their share is known to about 0.02 (quasi-random, fixed).
DRAWN_PATHS = 256

# ---- silence -------------------------------------------------------------------------------------------------------

#: Silences shorter than this are nobody's business, nor those shorter than so many of the object's usual intervals.
SILENT_S = Assumption(900.0, "10 to 15 minutes inside shore coverage is what monitors look at", "medium")
SILENT_INTERVALS = _low(8.0, "AIS loses messages in bunches; four in a row are common, eight are not")
#: How often, an hour, an object stops sending inside coverage, for whatever reason: switched off, jammed, failed.
STOPPING = _low(1 / 500, "once in three weeks of sailing")
#: How often, an hour, an object falls silent because it leaves what a sensor hears.
LEAVING = _low(1 / 10, "passages in and out of a shore station's reach take some hours")
#: Ordinary losses inside coverage: intervals of k times the usual one, of all intervals, are k to the minus this.
LOSSES = _low(3.0, "receivers miss in bunches: heavier than chance, which would make ten in a row a miracle")
#: That guess counts like so many hours of watching others; what is seen of their silences soon outweighs it.
LOSSES_HOURS = _low(100.0, "a day of four ships")
#: Reports of a sensor from a place speak for its hearing this far round, in cells of this edge, and slots this long.
CELL_M, SLOT_S = 10_000.0, 300.0
#: That a sensor covers a place it has heard from in n slots: n / (n + 5), at most this. Between 3 x 3 cells.
COVERED_HALF = _low(5.0, "after five slots of reports from a place, its coverage is as likely as not")
COVERED_MOST = _low(0.9, "shadows, weather and congestion")
HEARD_NEAR = _low(0.95, "where others within 15 km are heard, so is nearly everything: shadows are small")
#: While others nearby are heard, an object that sends is heard with this probability per usual interval.
HEARD_TOO = _low(0.8, "an object heard until now, as near as those that are heard")
#: However long a silence, it says no more than this, natural log of odds: what hides one slot hides the next.
SILENCE_MOST = _low(5.0, "slots are not independent: a mast in the way stays in the way")
#: A silence of aircraft and vehicles is told only if they moved on meanwhile, at this share of their speed.
MOVED_ON = _low(0.3, "aircraft land, vehicles park, and switch off")
#: A sensor is silent when it usually has this many reports in a slot, and has none.
USUAL_REPORTS = _low(3.0, "a slot without any is then a chance of exp(-3)")
#: A silence at the end of all is followed for so long: after it nobody knows where the object would be.
FOLLOWED_S = _low(3_600.0, "an hour's way is still near where it was heard")

# ---- positions that cannot be -------------------------------------------------------------------------------------

#: The error of a fix's time where its source states none, 1 sigma, seconds, and of its place, metres.
AT_SIGMA_S = _low(1.0, "receivers stamp what they hear")
PLACE_SIGMA_M = Assumption(30.0, "satellite navigation with a stale or rounded fix", "medium")
#: That something is wrong with a fix, before looking: one in a hundred.
FALSE_PRIOR = _low(0.01, "positions far off are rare in undisturbed AIS and ADS-B")
#: So many identities that stay in one spot of this size, in one slot of time, cannot be ships side by side.
ONE_POINT = _low(5.0, "rafts of more than four vessels within 50 m are rare; one false point gathers dozens")
ONE_POINT_M, ONE_POINT_SLOT_S = 50.0, 600.0
#: An identity stays in a spot if its fixes there span this; in a slot no more than five can do so one after another.
ONE_POINT_S = _low(120.0, "aircraft over a runway and ships in a lock's approach pass within seconds to a minute")
#: A vessel farther than this from water by the map is on land.
ON_LAND_M = Assumption(
    2_000.0, "coasts of the built-in map are good to about 1:1,000,000; ports are filled in", "medium"
)
#: A river is this wide, on the map, to each side.
RIVER_M = _low(3_000.0, "navigable rivers, their arms and basins, as the map draws them")
#: One and the same circle, so often round, with the fixes within this share of the radius.
CIRCLE_TURNS = _low(2.0, "ships do not sail twice round one circle; false positions do")
CIRCLE_ROUND = _low(0.05, "a circle sailed by hand in wind and current is rounder than a fifth, not a twentieth")
#: So many fixes at least; at most, which is two hours and more of a ship that sends every six seconds.
CIRCLE_FIXES = 12, 1_500
#: Anomalies of several objects within this distance and time are one disturbance.
TOGETHER_M, TOGETHER_S = 50_000.0, 1_800.0
#: Each further object with an anomaly there and then: natural log of odds for interference. Before any: prior.
INTERFERED = _low(1.5, "false positions of single objects are independent; a jammer moves all it reaches")
INTERFERENCE_PRIOR = _low(0.2, "of a single object's false positions most are its own set's or a second sender's")
#: Fewer objects than this are not called a disturbance.
INTERFERED_LEAST = 3

# ---- staying -------------------------------------------------------------------------------------------------------

#: Within this circle, for so long at least, an object stays. Vehicles park: they have no stays.
STAY_M: Mapping[str, Assumption] = {
    "vessel": _low(2_000.0, "a ship at anchor swings over some hundred metres; one that waits drifts farther"),
    "aircraft": _low(15_000.0, "holding and survey patterns"),
    "uav": _low(5_000.0, "a drone that watches a place"),
}
STAY_S: Mapping[str, Assumption] = {
    "vessel": _low(10_800.0, "three hours: longer than pilots, tides and traffic make ships wait on most days"),
    "aircraft": _low(1_200.0, "four rounds of a holding pattern"),
    "uav": _low(900.0, "a drone that passes is gone by then"),
}
#: Longest silence within a stay.
STAY_GAP_S: Mapping[str, Assumption] = {
    "vessel": _low(7_200.0, "slow reporters; longer, and it may have been elsewhere"),
    "aircraft": _low(300.0, "longer, and it may have landed"),
    "uav": _low(300.0, "as aircraft"),
}
#: Slower than this on average it stands on the ground, m/s.
STAY_MPS: Mapping[str, Assumption] = {
    "aircraft": _low(20.0, "aeroplanes stall; what taxies and parks does not stay in the air"),
    "aircraft.rotary": _low(0.0, "helicopters hover"),
    "": _low(0.0, "ships and drones can stand still"),
}
#: That a stay of the shortest kind is more than an ordinary wait, before anything else is known.
STAY_PRIOR = _low(0.3, "most ships that wait wait for a berth")
#: Each other that stays nearby at the time, up to three: natural log of odds against. It is an anchorage then.
WAITING_TOO = _low(-1.0, "where several wait, waiting is ordinary")
NEARBY_M = 10_000.0
#: Slower than this it is stopped, m/s; it counts from so long on.
STOPPED_MPS = _low(0.5, "one knot: current and error of the set")
STOPPED_S = _low(1_800.0, "half an hour in a lane blocks it")
#: Two together: nearer than this, both slower than that, for so long.
TOGETHER_NEAR_M = _low(500.0, "alongside, or within a boat's trip")
TOGETHER_SLOW_MPS = _low(1.5, "three knots: transfers under way are slower")
TOGETHER_LONG_S = _low(1_800.0, "ships that pass are apart within minutes; a transfer takes hours")
#: Between two instants at which both are looked at.
TOGETHER_STEP_S = 300.0
MEETING_PRIOR = _low(0.5, "two that lie together slowly for half an hour, alone, away from ports")
#: Each other within 2 km at the time, up to four: natural log of odds against.
CROWD = _low(-1.0, "in a crowd nearness says nothing")
CROWD_M = 2_000.0
#: In a zone of kind port or anchorage: natural log of odds against.
HARBOUR = _low(-3.0, "ships stay in ports and at anchorages")


def longest(table: Mapping[str, Assumption], terms: Sequence[str]) -> Floats:
    """The value for each term: of its longest prefix in `table`, then of `""`; NaN where there is none."""
    out = []
    for term in terms:
        while term and term not in table:
            term = term.rpartition(".")[0]
        out.append(table[term].value if term in table else np.nan)
    return np.array(out, np.float64)
