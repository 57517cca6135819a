"""What people write of it: patrols, cameras, the parties, civil protection, the press."""

import random
from datetime import datetime, timedelta

from press import ITEMS, NEWS, TRAPS
from sky import SWAPPED
from story import CAMERA_POSTS, CAMERAS_END, CIVIL, LIAISON, PLACES, Occurrence, Report
from world import TRUTH, Row, dice, line_of, time, where

LOG = (
    "no,post,position,from,to,lon,lat,error_m,means,count,count_max,"
    "observation,description,weapon,killed,injured,remarks"
)
CLAIMS = "no,received,claimed_by,blames,when,act,count,weapon,lon,lat,killed,injured,statement"
PRESS = line_of("datetime", "lon", "lat", "place_name", "event_type", "headline", quote=True)


def background(rng: random.Random) -> list[Occurrence]:
    """The small fire of two nights along the hot sector and, thinner, south of it."""
    out: list[Occurrence] = []
    spans = [
        ("13 20:00", 190, 5),
        ("14 18:10", 330, 6),
        ("15 01:30", 240, 3),
        ("15 16:00", 180, 3),
        ("14 05:30", 150, 3),
    ]
    kinds = [("burst", "small arms", 12), ("burst", "HMG", 8), ("shot", "small arms", 5), ("explosion", "", 3)]
    for begin, minutes, how_many in spans:
        for _ in range(how_many):
            at = f"{time(begin) + timedelta(minutes=rng.randrange(minutes)):%d %H:%M}"
            chain = round(rng.gauss(80.0, 5.0) if rng.random() < 0.7 else rng.uniform(96.0, 132.0), 1)
            what, weapon, most = rng.choice(kinds)
            off, count = round(rng.gauss(0.0, 0.8), 1), rng.randint(1, most)
            out.append(
                Occurrence(f"small-{len(out) + 1:02d}", what, at, at, chain, off, count, weapon, "", "small fire")
            )
    return out


def background_reports(small: list[Occurrence], rng: random.Random) -> tuple[list[Report], list[Report]]:
    """Who notes the small fire: the nearest patrol, sometimes a second one; a camera while it works."""
    patrols, cameras = [], []
    for one in small:
        near, far, camera = ("Patrol 1", "Patrol 2", "Camera Chmyrivka")
        if one.chain > 92:
            near, far, camera = ("Patrol 4", "Patrol 3", "Camera Yevsuh")
        most = one.count + rng.randint(0, 2)
        heard = ("at its post", one.starts, one.ends, "heard", one.count, most, one.what, "undetermined", one.weapon)
        if rng.random() < 0.85:
            patrols.append(Report(one.id, near, *heard, 1500))
            if rng.random() < 0.35:
                patrols.append(Report(one.id, far, *heard, 3000))
        if time(one.starts) < time(CAMERAS_END) and rng.random() < 0.6:
            seen = ("", one.starts, one.ends, "recorded", one.count, one.count, one.what, "undetermined", one.weapon)
            cameras.append(Report(one.id, camera, *seen, 800))
    return patrols, cameras


def logs(patrols: list[Report], cameras: list[Report]) -> tuple[list[Row], list[Row]]:
    """patrols.csv and cameras.csv: the same columns, their own bad rows and exact repeats."""
    written = _numbered("P", [_log_row(report) for report in sorted(patrols, key=_logged)])
    working, at = [], time("13 19:30")
    while at < time(CAMERAS_END):
        moment = f"{at:%d %H:%M}"
        working += [Report("", post, "", moment, moment, "", 0, 0, "status", "working", "", 5) for post in CAMERA_POSTS]
        at += timedelta(hours=3)
    recorded = _numbered("C", [_log_row(report) for report in sorted(cameras + working, key=_logged)])

    spoil = written[6].text.split(",")
    slipped, late = [*spoil[:6], "492.7088", *spoil[7:]], [*spoil[:3], "2031-03-14 27:40", *spoil[4:]]
    written.append(written[4])  # entered twice
    written.insert(9, Row(",".join(slipped), wrong="no such latitude: the decimal point has slipped"))
    written.insert(20, Row(",".join(late), wrong="no such time"))
    recorded[8:8] = [recorded[7]] * 3  # the uplink sent the same row four times
    return written, recorded


def _logged(report: Report) -> tuple[datetime, str]:
    return time(report.ends), report.post


def _log_row(report: Report) -> Row:
    """A log's line; the place is the occurrence's, off by the error the post states for itself."""
    chain, off = (TRUTH[report.about].chain, TRUTH[report.about].off) if report.about else CAMERA_POSTS[report.post]
    lon, lat = where(chain, off, report.error_m / 1000 if report.about else 0.0, f"{report.post} {report.starts}")
    begin, end = (f"{time(moment):%Y-%m-%d %H:%M}" for moment in (report.starts, report.ends))
    count = (report.count, report.count_max) if report.about else ("", "")
    said = (report.observation, report.description, report.weapon or ("undetermined" if report.about else ""))
    place = (lon, lat, report.error_m, report.means)
    rest = (report.killed, report.injured, report.remarks)
    return Row(line_of("{no}", report.post, report.position, begin, end, *place, *count, *said, *rest), report.about)


def _numbered(letter: str, rows: list[Row]) -> list[Row]:
    return [row._replace(text=row.text.replace("{no}", f"{letter}-{n:03d}", 1)) for n, row in enumerate(rows, 1)]


def liaison() -> list[Row]:
    """The parties' claims, as the joint coordination centre logs them."""
    rows = []
    for claim in LIAISON:
        truth = TRUTH.get(claim.about)
        lon, lat = (
            where(truth.chain, truth.off, 0.3 + claim.stray_km, f"{claim.party} {claim.when}") if truth else ("", "")
        )
        received, when = (f"{time(moment):%d.%m.%Y %H:%M}" for moment in (claim.received, claim.when))
        act = (claim.act, claim.count, claim.weapon, lon, lat, claim.killed, claim.injured, claim.statement)
        blames = {"party-a": "party-b", "party-b": "party-a"}[claim.party] if claim.about else ""
        rows.append(Row(line_of("{no}", received, claim.party, blames, when, *act), claim.about))
    rows = _numbered("J", rows)
    spoil = rows[2].text.split(",")
    rows.insert(4, Row(",".join([*spoil[:4], "14.13.2031 09:10", *spoil[5:]]), wrong="no thirteenth month"))
    return rows


def civil() -> list[dict[str, object]]:
    """The civil protection service's list as GeoJSON features."""
    features: list[dict[str, object]] = []
    for damage in CIVIL:
        truth = TRUTH[damage.about]
        lon, lat = where(truth.chain, truth.off, damage.error_m / 1000, f"civil {damage.when}")
        told = {name: getattr(damage, name) for name in ("kind", "killed", "injured", "error_m", "text")}
        point = {"type": "Point", "coordinates": [float(lon), float(lat)]}
        properties = {"when": time(damage.when).isoformat(), **told}
        features.append({"type": "Feature", "geometry": point, "properties": properties})
    return features


def press() -> list[list[Row]]:
    """Two days of headlines in VIINA's form, each at a settlement; repeats and other news among them."""
    rng = dice(358)
    rows: list[tuple[datetime, Row]] = []

    def add(when: str, place: str, types: str, headline: str, about: str, copies: int = 0) -> None:
        at, (lon, lat) = time(when), PLACES[place]
        text = line_of(f"{at:%Y-%m-%d %H:%M:%S}", lon, lat, place, types, headline, quote=True)
        rows.extend([(at, Row(text, about))] * (1 + copies))

    for item in ITEMS + TRAPS:
        add(item.when, item.place, item.types, item.headline, item.about, item.copies)
    for day in (14, 15):
        for _ in range(48):
            types, headline = rng.choice(NEWS)
            town = rng.choice(list(PLACES))
            when = f"{day}" if rng.random() < 0.7 else f"{day} {rng.randrange(6, 21)}:{rng.randrange(60):02d}"
            add(when, town, types, headline.format(place=town), "")
    rows.sort(key=lambda row: row[0])  # stable: what has the same time stays in the order above
    days = [[row for at, row in rows if at.day < 15], [row for at, row in rows if at.day == 15]]
    (lon, lat), town = PLACES["Starobilsk"], "Starobilsk"
    wrong = ("2031-03-14 25:10:00", lon, lat, town, "artillery|loc", "Exercise: a row with an hour that no day has")
    days[0].insert(30, Row(line_of(*wrong, quote=True), wrong="no such hour"))
    wrong = ("2031-03-15 10:00:00", "", lat, town, "loc", "Exercise: a row that lost its longitude")
    days[1].insert(12, Row(line_of(*wrong, quote=True), wrong="no longitude"))
    wrong = ("2031-03-15 11:30:00", lat, lon, town, "loc", "Exercise: a row with longitude and latitude swapped")
    days[1].insert(20, Row(line_of(*wrong, quote=True), wrong=SWAPPED))
    return days
