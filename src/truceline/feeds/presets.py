"""Column maps for tables that many people use; a preset is nothing a mission file could not say itself.

Made from the public codebooks of VIINA 2.0, ACLED and UCDP GED. Where a codebook gives a word for precision,
the metres and hours here are assumptions of ours, each with its reason.
"""

from typing import Any, Final

#: 1-sigma error of a place, metres. A place known to lie evenly in a disc of radius R has R / 2.
SETTLEMENT_M = 2_000.0  # a village and the fields round it; a large city is wider: assumption, low confidence
STREET_M = 500.0  # a street or address: assumption, medium confidence
NEAR_M = 12_500.0  # "within 25 km", and "near", in words of the codebooks
DISTRICT_M = 15_000.0  # a district of Ukraine is a disc of 20 km (before 2020) to 38 km (since): medium confidence
OBLAST_M = 42_000.0  # 603,600 km2 in 27 parts: a disc of 84 km: high confidence
REGION_M = 50_000.0  # a river, a border, a front: assumption, low confidence
COUNTRY_M = 220_000.0  # a disc of 438 km: high confidence

#: News come later than what they tell of. Of 95 headlines of 2023 about explosions in Kyiv half came within 14 hours
#: of the end of the last air alert, and announcements of the alerts themselves within 15 minutes (median). A day
#: holds most first reports; what comes later tells of it again. Assumption, low confidence.
REPORTED_WITHIN_H = 24.0

#: Where VIINA's geocoder puts an oblast (and Crimea) as a whole, "lon lat" as the files write them. Of the distinct
#: reports of 2023 at each of these points 80 to 100 % name the oblast, not the village that stands there.
_OBLASTS = (
    "33.481729 46.55783",
    "34.123755 51.106236",
    "36.505117 49.61494",
    "37.675289 47.955082",
    "35.767196 47.178945",
    "30.405789 46.908223",
    "30.476622 50.023928",
    "38.902523 49.158739",
    "26.92966 49.507388",
    "31.767249 47.394622",
    "32.004063 51.355426",
    "23.413124 48.220758",
    "23.916737 49.717495",
    "28.475831 50.639633",
    "31.352326 49.26",
    "24.173188 50.723817",
    "25.648303 49.401972",
    "24.5856 48.60187",
    "33.778487 49.732386",
    "34.0994127132379 44.9536335",
)

#: VIINA's labels to what they say happened. A label is a language model's reading of a headline; the rest to 1 is
#: that it was something else. Assumptions, low confidence. Empty: the label says nothing of an occurrence.
_VIINA_WHAT: dict[str, Any] = {
    "artillery": {"explosion.impact": 0.85, "explosion.outgoing": 0.05},
    "airstrike": {"explosion.impact": 0.85, "aircraft.fixed_wing": 0.05},
    "uav": {"uav": 0.55, "explosion.impact": 0.3},
    "aad": {"explosion.airburst": 0.7, "uav": 0.1},
    "ied": {"explosion": 0.7, "ground.mine": 0.2},
    "armor": {"ground.assault": 0.5, "weapon.tank": 0.2, "explosion.impact": 0.2},
    "control": {"ground.control": 0.8},
    "occupy": {"ground.control": 0.6},
    "retreat": {"ground.control": 0.6},
    "raid": {"ground.assault": 0.6, "ground.raid": 0.3},
    "firefight": {"burst": 0.6, "ground.assault": 0.3},
    "arrest": {"detention": 0.8},
    "airalert": {"air_alert": 0.9},
    "property": {"explosion.impact": 0.4, "fire": 0.1},
    "hospital": {"explosion.impact": 0.3},
    **dict.fromkeys(("mil", "loc", "san", "cyber", "milcas", "civcas"), ""),
}
_VIINA_WEAPON = {
    "artillery": "artillery, mortar or MLRS",
    "airstrike": "air-delivered munition",
    "uav": "UAV",
    "aad": "air defence",
    "ied": "mine or improvised device",
    "armor": "tank",
    "firefight": "small arms",
}
#: Some copies of VIINA cut the ending "t_b" of the labels' names wrongly.
_CUT = {"arresb": "arrest", "retreab": "retreat", "airalerb": "airalert", "firefighb": "firefight"}


def _with_cut(words: dict[str, Any]) -> dict[str, Any]:
    return words | {cut: words[whole] for cut, whole in _CUT.items() if whole in words}


_VIINA_TRIMMED: Final[dict[str, Any]] = {
    "at": {"column": "datetime", "midnight_is_day": True},
    "lon": "lon",
    "lat": "lat",
    "where": {
        "column": ["lon", "lat"],
        "map": dict.fromkeys(_OBLASTS, OBLAST_M),
        "default": SETTLEMENT_M,
    },
    "what": {"column": "event_type", "separator": "|", "map": _with_cut(_VIINA_WHAT), "default": ""},
    "weapon": {"column": "event_type", "separator": "|", "map": _with_cut(_VIINA_WEAPON), "default": ""},
    "means": {"value": "reported"},
    "place": {"column": "place_name", "optional": True},
    "text": {"column": "headline", "optional": True},
}
_VIINA_FLAGS = {f"t_{word}_b": word for word in _VIINA_WHAT}

_VIINA_FULL: Final[dict[str, Any]] = {
    "at": {"column": ["date", "time"], "midnight_is_day": True},
    "lon": "longitude",
    "lat": "latitude",
    "where": {
        "column": "GEO_PRECISION",
        "map": {
            "STREET": STREET_M,
            **dict.fromkeys(("PPL", "ADM4", "ADM3"), SETTLEMENT_M),
            "ADM2": DISTRICT_M,
            "ADM1": OBLAST_M,
            "ADM0": COUNTRY_M,
        },
        "default": SETTLEMENT_M,
        "optional": True,
    },
    "what": {"flags": _VIINA_FLAGS, "map": _VIINA_WHAT, "default": "", "optional": True},
    "weapon": {"flags": _VIINA_FLAGS, "map": _VIINA_WEAPON, "default": "", "optional": True},
    "means": {"value": "reported"},
    "place": {"column": "asciiname", "optional": True},
    "text": {"column": "text", "optional": True},
    "id": {"column": "event_id", "optional": True},
    "outlet": {"column": "source", "optional": True},
}

#: ACLED's kinds of event; assumptions, low confidence.
_ACLED_WHAT: dict[str, Any] = {
    "Armed clash": {"burst": 0.5, "ground.assault": 0.3, "explosion.impact": 0.1},
    "Government regains territory": {"ground.control": 0.7, "ground.assault": 0.2},
    "Non-state actor overtakes territory": {"ground.control": 0.7, "ground.assault": 0.2},
    "Shelling/artillery/missile attack": {"explosion.impact": 0.95},
    "Air/drone strike": {"explosion.impact": 0.75, "uav": 0.15, "aircraft": 0.05},
    "Remote explosive/landmine/IED": {"explosion": 0.6, "ground.mine": 0.35},
    "Grenade": {"explosion": 0.9},
    "Suicide bomb": {"explosion": 0.9},
    "Chemical weapon": {"explosion.impact": 0.5},
    "Attack": {"shot": 0.4, "explosion.impact": 0.2},
    "Abduction/forced disappearance": {"detention": 0.9},
    "Arrests": {"detention": 0.9},
    "Disrupted weapons use": {"explosion.airburst": 0.6, "uav": 0.2},
    "Non-violent transfer of territory": {"ground.control": 0.9},
    "Headquarters or base established": {"ground.build_up": 0.8},
    "Looting/property destruction": {"fire": 0.1},
}
_ACLED_WEAPON = {
    "Armed clash": "small arms",
    "Shelling/artillery/missile attack": "artillery, mortar, MLRS or missile",
    "Air/drone strike": "air-delivered munition or UAV",
    "Remote explosive/landmine/IED": "mine or improvised device",
    "Grenade": "grenade",
    "Suicide bomb": "improvised device",
}

_ACLED: Final[dict[str, Any]] = {
    "at": {"column": "event_date", "format": ["iso", "%d %B %Y", "%d-%B-%Y"]},
    # 1 the day; 2 the week, given by its middle; 3 the month
    "when": {"column": "time_precision", "map": {"1": "day", "2": "week", "3": "month"}},
    "lon": "longitude",
    "lat": "latitude",
    # 1 the town; 2 near it, or a part of a region; 3 a region, given by its capital
    "where": {"column": "geo_precision", "map": {"1": SETTLEMENT_M, "2": NEAR_M, "3": OBLAST_M}},
    "what": {"column": "sub_event_type", "map": _ACLED_WHAT, "default": ""},
    "weapon": {"column": "sub_event_type", "map": _ACLED_WEAPON, "default": "", "optional": True},
    "means": {"value": "reported"},
    # ACLED writes 0 both for nobody and for not known
    "killed": {"column": "fatalities", "zero_is_missing": True, "optional": True},
    "place": {"column": "location", "optional": True},
    "text": {"column": "notes", "optional": True},
    "id": {"column": "event_id_cnty", "optional": True},
    "outlet": {"column": "source", "optional": True},
}

_UCDP: Final[dict[str, Any]] = {
    "at": {"column": "date_start", "midnight_is_day": True, "format": ["iso", "%m/%d/%Y %I:%M:%S %p"]},
    "until": {"column": "date_end", "midnight_is_day": True, "format": ["iso", "%m/%d/%Y %I:%M:%S %p"]},
    "lon": "longitude",
    "lat": "latitude",
    # 1 the place; 2 within 25 km of it; 3 district; 4 province; 5 a line or vague region; 6 country; 7 sea or air
    "where": {
        "column": "where_prec",
        "map": {
            "1": SETTLEMENT_M,
            "2": NEAR_M,
            "3": DISTRICT_M,
            "4": OBLAST_M,
            "5": REGION_M,
            "6": COUNTRY_M,
            "7": COUNTRY_M,
        },
    },
    # 1 between states or with one, 2 without a state, 3 against civilians; how is not coded: low confidence
    "what": {
        "column": "type_of_violence",
        "map": {
            "1": {"explosion.impact": 0.5, "ground.assault": 0.3},
            "2": {"burst": 0.4, "ground.assault": 0.3},
            "3": {"explosion.impact": 0.4, "shot": 0.3},
        },
        "default": "",
    },
    "means": {"value": "reported"},
    "killed": {"column": "best", "optional": True},
    "killed_low": {"column": "low", "optional": True},
    "killed_high": {"column": "high", "optional": True},
    "place": {"column": "where_coordinates", "optional": True},
    "text": {"column": "source_headline", "optional": True},
    "id": {"column": "id", "optional": True},
    "outlet": {"column": "source_office", "optional": True},
}

#: By name: the forms of the table, each with the columns that tell it (the first that fits is taken; the last is for
#: all others), the time zone of its times and within how many hours of the event it reports, and what is owed to whom.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "viina": {
        "forms": [(("datetime",), _VIINA_TRIMMED), ((), _VIINA_FULL)],
        "zone": "Europe/Kyiv",  # announcements of air alerts in Kyiv fit the alerts' own times so, and not as UTC
        "reported_within_h": REPORTED_WITHIN_H,
        "licence": "ODbL, VIINA 2.0 (Zhukov and Ayers)",
    },
    "acled": {
        "forms": [((), _ACLED)],
        "zone": "Europe/Kyiv",  # dates are local days
        "licence": "ACLED, acleddata.com; terms of use apply",
    },
    "ucdp": {
        "forms": [((), _UCDP)],
        "zone": "Europe/Kyiv",  # dates are local days
        "licence": "CC BY 4.0, UCDP Georeferenced Event Dataset",
    },
}
