"""Satellite fires: what each column of the FIRMS files becomes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import firms
from truceline.mission import Source, files
from truceline.observation import to_numpy

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
SPHERE = pyproj.Geod(ellps="sphere")

VIIRS = (
    "latitude,longitude,bright_ti4,scan,track,acq_date,acq_time,satellite,instrument,confidence,version,"
    "bright_ti5,frp,daynight"
)
MODIS = VIIRS.replace("bright_ti4", "brightness").replace("bright_ti5", "bright_t31")
ARCHIVE = VIIRS + ",type"


CELLS = "48.1,37.5,331.2,0.45,0.39,2031-03-14,1034,N,VIIRS,n,2.0NRT,285.1,4.2,D,0"


def record(**changes: Any) -> str:
    """A VIIRS record in the order of `ARCHIVE`."""
    cells = dict(zip(ARCHIVE.split(","), CELLS.split(","), strict=True))
    return ",".join(str(value) for value in (cells | changes).values())


@pytest.fixture
def read(tmp_path: Path):
    def read(*lines: str, header: str = ARCHIVE, **source: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        path = tmp_path / "fires.csv"
        path.write_text("\n".join([header, *lines]))
        given = Source(id="s", feed="firms", paths=[], **source)
        batches = list(feeds.read(given, tmp_path, str(path), RECEIVED_AT))
        tables = [pa.concat_tables(part).to_pylist() for part in zip(*batches, strict=True)]
        return tables[0], tables[1]

    return read


def one(found: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    """The only row, which must have been accepted."""
    (row,), rejected = found
    assert rejected == []
    return row


def test_a_viirs_pixel_is_a_hotspot_of_fire_recorded_by_a_satellite(read):
    row = one(read(record()))
    said = {"kind": "hotspot", "what": "fire", "sensor": "S-NPP", "means": "recorded", "lon": 37.5, "lat": 48.1}
    assert said.items() <= row.items()
    assert row["at"] == datetime(2031, 3, 14, 10, 34, tzinfo=UTC)
    assert row["until"] is None
    own = {name: value for name, value in row.items() if name.startswith("firms_")}
    assert own == {
        "firms_frp": 4.2,
        "firms_bright": 331.2,
        "firms_bright2": 285.1,
        "firms_confidence": "n",
        "firms_daynight": "D",
        "firms_scan_km": 0.45,
        "firms_track_km": 0.39,
        "firms_version": "2.0NRT",
        "firms_instrument": "VIIRS",
        "firms_type": 0,
    }


def test_a_modis_pixel_has_its_own_channels_and_a_percentage(read):
    line = "48.1,37.5,320.5,1.2,1.1,2031-03-14,0830,Terra,MODIS,78,6.1NRT,290.5,21.5,D"
    row = one(read(line, header=MODIS))
    assert (row["sensor"], row["firms_bright"], row["firms_bright2"]) == ("Terra", 320.5, 290.5)
    assert (row["firms_confidence"], row["firms_instrument"]) == ("78", "MODIS")
    assert row["confidence"] == pytest.approx(0.95)


def test_columns_come_in_any_order_and_case_and_unknown_ones_are_left_out(read):
    row = one(read("UKR,2031-03-14,37.5,56,48.1,new", header="country_id,ACQ_DATE,Longitude,Acq_Time,LATITUDE,extra"))
    assert (row["lon"], row["lat"], row["at"].minute) == (37.5, 48.1, 56)


def test_the_short_form_gives_days_without_a_satellite_and_round_pixels(read):
    """As distributed for whole years of a country: LATITUDE, LONGITUDE, ACQ_DATE."""
    row = one(read("47.8781,35.158,2012-01-02", header="LATITUDE,LONGITUDE,ACQ_DATE"))
    assert row["at"] == datetime(2012, 1, 2, tzinfo=UTC)
    assert row["until"] == datetime(2012, 1, 3, tzinfo=UTC)
    assert (row["sensor"], row["confidence"], row["tilt_deg"]) == (None, None, 0.0)
    assert row["major_m"] == row["minor_m"] == pytest.approx(np.hypot(1600 / 12**0.5, 100))


def test_the_source_may_say_what_a_short_file_does_not(read):
    options = {"instrument": "VIIRS", "satellite": "N"}
    row = one(read("47.8781,35.158,2012-01-02", header="LATITUDE,LONGITUDE,ACQ_DATE", options=options))
    assert (row["sensor"], row["firms_instrument"]) == ("S-NPP", "VIIRS")
    assert row["major_m"] == pytest.approx(np.hypot(470 / 12**0.5, 75))


@pytest.mark.parametrize(
    ("written", "clock"),
    [
        *[("56", "00:56"), ("0056", "00:56"), ("5", "00:05"), ("0", "00:00"), ("905", "09:05"), ("2359", "23:59")],
        *[("09:05", "09:05"), ("9:05", "09:05"), ("09:05:30", "09:05")],
    ],
)
def test_the_time_is_hhmm_without_leading_zeros(read, written, clock):
    assert f"{one(read(record(acq_time=written)))['at']:%H:%M}" == clock


@pytest.mark.parametrize("written", ["2460", "-5", "99", "2400", "12345", "1e3", "noon", "12:60", "٠٥"])
def test_an_impossible_time_rejects_its_record(read, written):
    accepted, (row,) = read(record(acq_time=written))
    assert accepted == []
    assert (row["field"], row["value"]) == ("acq_time", written)
    assert row["reason"] == f"acq_time = {written} is not a time of day, HHMM"


@pytest.mark.parametrize("written", ["2031-02-30", "14.03.2031", "2031-3-14", "20310314", "1998-01-01", ""])
def test_an_impossible_date_rejects_its_record(read, written):
    accepted, (row,) = read(record(acq_date=written))
    assert accepted == []
    assert row["field"] == "acq_date"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *[("N", "S-NPP"), ("Suomi NPP", "S-NPP"), ("1", "NOAA-20"), ("20", "NOAA-20"), ("N20", "NOAA-20")],
        *[("21", "NOAA-21"), ("N21", "NOAA-21"), ("T", "Terra"), ("Aqua", "Aqua"), ("Landsat 8", "Landsat 8")],
    ],
)
def test_satellites_have_one_name_each_whatever_the_files_call_them(read, written, name):
    assert one(read(record(satellite=written)))["sensor"] == name


@pytest.mark.parametrize(
    ("written", "named"),
    [
        *[("l", "low"), ("low", "low"), ("n", "nominal"), ("H", "high"), ("0", "low"), ("29", "low")],
        *[("30", "nominal"), ("79", "nominal"), ("80", "high"), ("100", "high")],
    ],
)
def test_confidence_is_a_probability_by_class_and_the_text_is_kept(read, written, named):
    row = one(read(record(confidence=written)))
    assert row["confidence"] == pytest.approx(firms.CONFIDENCE[named].value)
    assert row["firms_confidence"] == written


def test_what_is_missing_is_null_and_no_reason_to_reject(read):
    row = one(read(record(frp="", bright_ti4="NaN", confidence="", type="", daynight="")))
    names = ("firms_frp", "firms_bright", "confidence", "firms_type", "firms_daynight")
    assert [row[name] for name in names] == [None] * 5


def test_volcanoes_and_static_sources_are_kept_and_say_so(read):
    assert one(read(record(type=2)))["firms_type"] == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latitude": "95.2"}, "latitude = 95.2 is outside -90..90"),
        ({"longitude": "-180.1"}, "longitude = -180.1 is outside -180..180"),
        ({"latitude": ""}, "latitude is missing"),
        ({"latitude": "inf"}, "latitude = inf is not a number"),
        ({"scan": "0"}, "scan = 0 is outside 0.1..20"),
        ({"frp": "4,2"}, None),
        ({"type": "1.5"}, "type = 1.5 is not a whole number"),
        ({"confidence": "101"}, "confidence = 101 is neither low, nominal, high (l, n, h) nor 0..100"),
    ],
)
def test_a_value_that_cannot_be_meant_rejects_its_record_with_the_reason(read, changes, reason):
    accepted, (row,) = read(record(**changes))
    assert accepted == []
    assert row["reason"] == (reason or "has 16 fields where the header names 15")


def test_swapped_coordinates_are_told_where_the_source_gives_bounds(read):
    """Without bounds nothing is known of the theatre: 37.5, 48.1 may be meant."""
    swapped, outside = record(latitude=37.5, longitude=48.1), record(latitude=10, longitude=10)
    accepted, rejected = read(record(), swapped, outside, options={"bounds": [22, 44, 41, 53]})
    assert len(accepted) == 1
    box = "is outside the source's bounds 22, 44, 41, 53"
    assert [row["reason"] for row in rejected] == [
        f"lon, lat = 48.1, 37.5 {box}; longitude and latitude look swapped",
        f"lon, lat = 10, 10 {box}",
    ]
    assert len(read(swapped)[0]) == 1


def test_missing_columns_are_named_with_what_was_found(read):
    with pytest.raises(SourceError) as caught:
        read("1,2,3", header="lat,lon,acq_date")
    assert str(caught.value) == "fires.csv: no column latitude, longitude; the header has lat, lon, acq_date"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"preset": "viina"}, "preset: belongs to the feed 'table'"),
        ({"columns": {"at": "x"}}, "columns: belongs to the feed 'table'"),
        ({"options": {"bound": 1}}, "options.bound: the feed 'firms' has no such option; did you mean 'bounds'?"),
        ({"options": {"bounds": [53, 22, 41, 44]}}, "is not [west, south, east, north] in degrees"),
        ({"options": {"bounds": "Ukraine"}}, "'Ukraine' is not [west, south, east, north]"),
        ({"options": {"satellite": "Sputnik"}}, "options.satellite = 'Sputnik'; there are Aqua, NOAA-20"),
        ({"options": {"instrument": "viirs"}}, "options.instrument: 'viirs' is not one of VIIRS, MODIS"),
    ],
)
def test_what_the_mission_file_cannot_mean_is_told_before_any_file_is_read(source, message):
    with pytest.raises(MissionError, match=r"^source 's': ") as caught:
        feeds.check(Source(id="s", feed="firms", paths=[], **source))
    assert message in str(caught.value)


class TestPixel:
    """The fire is somewhere in its pixel: the ellipse has the pixel's second moments, and lies as it lies."""

    def test_its_sigmas_are_those_of_a_uniform_pixel_and_of_the_middles_error(self, read):
        row = one(read(record(scan=0.8, track=0.4)))
        assert row["major_m"] == pytest.approx(np.hypot(800 / 12**0.5, 75))
        assert row["minor_m"] == pytest.approx(np.hypot(400 / 12**0.5, 75))

    def test_a_pixel_that_is_longer_along_the_track_is_turned_by_a_right_angle(self, read):
        wide, tall = one(read(record(scan=0.8, track=0.4))), one(read(record(scan=0.4, track=0.8)))
        assert abs(wide["tilt_deg"] - tall["tilt_deg"]) == pytest.approx(90, abs=1e-3)
        assert tall["major_m"] == wide["major_m"]

    def test_without_a_known_orbit_it_is_round_and_of_the_same_area(self, read):
        row = one(read(record(scan=0.8, track=0.4, satellite="Sputnik")))
        known = one(read(record(scan=0.8, track=0.4)))
        assert row["major_m"] == row["minor_m"]
        assert row["major_m"] ** 2 == pytest.approx(known["major_m"] * known["minor_m"], rel=1e-5)

    @settings(deadline=None)
    @given(lat=st.floats(-70, 70), ascending=st.booleans(), off_km=st.floats(-1500, 1500))
    def test_it_lies_along_the_scan_which_leaves_the_track_at_a_right_angle(self, lat, ascending, off_km):
        """Below the satellite the scan is square to the heading; further out it follows its great circle."""
        inclination, node_h = firms.ORBITS["S-NPP"]
        heading = np.degrees(np.arcsin(np.cos(np.radians(inclination)) / np.cos(np.radians(lat))))
        east_of_node = np.degrees(np.arcsin(np.tan(np.radians(lat)) / np.tan(np.radians(inclination))))
        if not ascending:
            heading, east_of_node = 180 - heading, 180 - east_of_node
        lon, there, back = SPHERE.fwd(0.0, lat, heading + 90, off_km * 1000)
        solar_h = node_h + (east_of_node + lon) / 15
        axis = firms.scan_axis_deg(*(np.array([value]) for value in (there, solar_h, inclination, node_h)))[0]
        assert (axis - back + 90) % 180 - 90 == pytest.approx(0, abs=0.01)

    def test_over_ukraine_it_leans_east_by_day_and_west_by_night(self):
        inclination, node_h = (np.array([value]) for value in firms.ORBITS["S-NPP"])
        day, night = (
            firms.scan_axis_deg(np.array([48.0]), np.array([h]), inclination, node_h)[0] for h in (12.8, 2.06)
        )
        assert (day, night) == (pytest.approx(77, abs=1), pytest.approx(103, abs=1))


@pytest.fixture(scope="module")
def year(realdata: Path) -> pa.Table:
    (path,) = files(realdata, ["firms/*.csv"])
    source = Source(id="viirs-snpp", feed="firms", paths=[])
    batches = list(feeds.read(source, realdata, path, RECEIVED_AT))
    assert sum(batch.rejections.num_rows for batch in batches) == 0
    return pa.concat_tables([batch.observations for batch in batches])


@pytest.mark.realdata
class TestRealFires:
    """A year of S-NPP over Ukraine, and eight years of the short form."""

    def test_all_42_415_records_are_accepted_and_each_is_another(self, year):
        assert year.num_rows == 42_415
        assert len(set(year["leaf"].to_pylist())) == 42_415
        assert set(year["sensor"].to_pylist()) == {"S-NPP"}
        first, last = min(year["at"].to_pylist()), max(year["at"].to_pylist())
        assert (first.date().isoformat(), last.date().isoformat()) == ("2023-02-24", "2023-11-11")

    def test_the_satellite_passes_at_its_local_solar_times(self, year):
        """By day about 12:48, by night about 02:04, at the latitude of Ukraine."""
        solar_h = to_numpy(year["at"]) / 3600 + to_numpy(year["lon"]) / 15
        by_day = np.array(year["firms_daynight"].to_pylist()) == "D"
        assert np.median(solar_h[by_day] % 24) == pytest.approx(12.8, abs=0.1)
        assert np.median(solar_h[~by_day] % 24) == pytest.approx(2.06, abs=0.1)

    @pytest.mark.parametrize("side", ["west", "middle", "east"])
    def test_neighbouring_pixels_of_an_overpass_lie_along_the_axis_that_is_given(self, year, side):
        """Of pixels one scan step apart, most lie within some degrees of it, wherever they are in the swath."""
        rows = {name: to_numpy(year[name]) for name in ("at", "lon", "lat", "tilt_deg", "firms_scan_km")}
        wide = to_numpy(year["firms_scan_km"]) >= to_numpy(year["firms_track_km"])
        axis = np.where(wide, rows["tilt_deg"], (rows["tilt_deg"] + 90) % 180)
        solar_h = (rows["at"] / 3600 + rows["lon"] / 15) % 24
        from_middle_h = np.where(solar_h > 6, solar_h - 12.8, solar_h - 2.06)
        low, high = {"west": (-2.0, -0.6), "middle": (-0.3, 0.3), "east": (0.6, 2.0)}[side]
        turned = []
        for at in np.unique(rows["at"]):
            pick = np.flatnonzero((rows["at"] == at) & (from_middle_h > low) & (from_middle_h < high))
            a, b = np.triu_indices(len(pick), 1)
            a, b = pick[a], pick[b]
            north_km = (rows["lat"][b] - rows["lat"][a]) * 111.2
            east_km = (
                (rows["lon"][b] - rows["lon"][a]) * 111.3 * np.cos(np.radians(rows["lat"][a] + rows["lat"][b]) / 2)
            )
            step = np.abs(np.hypot(east_km, north_km) / rows["firms_scan_km"][a] - 1) < 0.07
            bearing = np.degrees(np.arctan2(east_km, north_km))[step]
            turned.append((bearing - axis[a][step] + 90) % 180 - 90)
        turned_deg = np.concatenate(turned)
        along = turned_deg[np.abs(turned_deg) < 20]
        assert len(along) > 100
        assert abs(np.median(along)) < 3
        assert np.mean(np.abs(along) < 6) > 0.7

    def test_every_record_of_the_short_form_is_accepted(self, realdata):
        """790,631 records of eight years; each is a day."""
        read = 0
        for path in files(realdata, ["firms_baseline/*.csv.gz"]):
            for batch in feeds.read(Source(id="baseline", feed="firms", paths=[]), realdata, path, RECEIVED_AT):
                assert batch.rejections.num_rows == 0
                read += batch.observations.num_rows
                days = to_numpy(batch.observations["until"]) - to_numpy(batch.observations["at"])
                assert set(days) == {timedelta(days=1).total_seconds()}
        assert read == 790_631
