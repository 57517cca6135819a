"""What happens in the two days, and who reports what of it: all of it invented.

Times are "day hour:minute" of March 2031, Kyiv time. Places are (`chain`, `off`): kilometres along the line
from its northern end, and kilometres off it, positive into the area of Party B (east), negative into that of
Party A (west).
"""
# ruff: noqa: E501 (a table reads best with one row a line)
# fmt: off

from typing import NamedTuple

#: The invented line, north to south; its border with the outside follows `BORDER`, traced coarsely.
LINE = [
    (38.60, 49.957), (38.635, 49.83), (38.70, 49.72), (38.775, 49.62), (38.84, 49.52), (38.925, 49.41),
    (39.005, 49.30), (39.115, 49.215), (39.25, 49.135), (39.41, 49.06), (39.56, 49.00), (39.677, 48.985),
]
BORDER = [
    (39.675, 49.0), (39.69, 49.025), (39.75, 49.026), (39.83, 49.045), (39.91, 49.043), (39.925, 49.09),
    (39.95, 49.125), (40.04, 49.17), (40.09, 49.217), (40.14, 49.24), (40.14, 49.28), (40.16, 49.33), (40.15, 49.35),
    (40.1, 49.385), (40.04, 49.455), (40.035, 49.487), (40.05, 49.518), (40.11, 49.545), (40.13, 49.575), (40.12, 49.588),
    (40.02, 49.608), (39.97, 49.602), (39.92, 49.565), (39.86, 49.546), (39.79, 49.545), (39.73, 49.58), (39.69, 49.593),
    (39.62, 49.613), (39.6, 49.645), (39.56, 49.72), (39.5, 49.728), (39.44, 49.75), (39.33, 49.726), (39.29, 49.73),
    (39.24, 49.765), (39.18, 49.859), (39.16, 49.874), (39.12, 49.864), (39.05, 49.811), (38.94, 49.803), (38.89, 49.845),
    (38.85, 49.866), (38.75, 49.885), (38.69, 49.91), (38.66, 49.96),
]

#: Where the line is on the second day: (chain of the middle, half width, shift) in km, east positive.
SHIFTS = [(82.0, 10.0, -2.0), (118.0, 6.0, 0.6)]
LINE_DAYS = ("2031-03-03", "2031-03-15")

#: Settlements reports are placed at, as a gazetteer has them.
PLACES = {
    "Chmyrivka": (38.94061, 49.28976),
    "Starobilsk": (38.9075, 49.27881),
    "Bilokurakyne": (38.72836, 49.53306),
    "Pavlivka": (38.70107, 49.60978),
    "Yevsuh": (39.31354, 49.2056),
    "Bilovodsk": (39.58975, 49.20846),
    "Horodyshche": (39.64946, 49.05537),
    "Velyka Chernihivka": (39.41999, 48.96169),
    "Shulhynka": (38.92253, 49.14295),
    "Markivka": (39.56999, 49.52503),
    "Bilolutsk": (39.02365, 49.69515),
    "Milove": (40.13647, 49.37615),
    "Nyzhnia Duvanka": (38.17233, 49.58558),
    "Lozno-Oleksandrivka": (38.74114, 49.83976),
}

#: Sites of sites.csv: name, kind, chain, off.
SITES = [
    ("Chmyrivka-North power station (invented)", "power", 69.9, -3.6),
    ("Yevsuh pumping station (invented)", "water", 103.9, 5.1),
]


class Occurrence(NamedTuple):
    """One thing that truly happened, in the invented world."""

    id: str
    what: str  # taxonomy term
    starts: str
    ends: str
    chain: float
    off: float
    count: int  # discharges, or things present
    weapon: str
    by: str  # party that did it; "" when nobody did
    title: str
    conflict: bool = True


OCCURRENCES = [
    Occurrence("shelling-before", "explosion.impact", "13 20:40", "13 20:55", 81.0, -1.5, 8, "mortar 120", "party-b",
               "mortar fire hours before the cessation takes effect in any reading"),
    Occurrence("shelling-night", "explosion.impact", "14 02:40", "14 03:05", 84.5, 1.2, 12, "mortar 82", "party-a",
               "mortar fire between the two effective times: a breach in Party A's reading only"),
    Occurrence("shelling-chmyrivka", "explosion.impact", "14 09:10", "14 09:52", 77.6, -3.3, 24, "artillery 152", "party-b",
               "the shelling of the eastern edge of Chmyrivka that five sources report"),
    Occurrence("fire-chmyrivka", "fire", "14 09:40", "15 02:00", 77.7, -3.2, 1, "", "party-b",
               "farm buildings burning after the shelling"),
    Occurrence("howitzers-b", "weapon.artillery", "14 11:40", "14 11:40", 90.0, 9.0, 2, "artillery 122", "party-b",
               "two towed howitzers inside the 15 km band, in both readings"),
    Occurrence("jamming", "jamming", "14 10:30", "14 10:50", 85.0, -1.0, 1, "", "", "a patrol's UAV loses satellite navigation"),
    Occurrence("exercise-a", "ground.exercise", "14 12:30", "14 14:40", 52.0, -22.0, 62, "artillery 122", "party-a",
               "a live-fire exercise, notified beforehand: exempt"),
    Occurrence("fire-exercise", "fire", "14 13:00", "14 15:00", 52.1, -22.3, 1, "", "party-a", "dry grass burning on the training ground"),
    Occurrence("power-station", "explosion.impact", "14 13:20", "14 13:28", 67.55, -3.6, 3, "mortar 120", "party-b",
               "three explosions at the border of the power station's protected circle"),
    Occurrence("uav-a", "uav.reconnaissance", "14 15:05", "14 15:20", 99.0, 6.0, 1, "", "party-a",
               "a reconnaissance UAV over the no-fly band"),
    Occurrence("mlrs-b", "weapon.mlrs", "14 16:10", "14 16:10", 100.0, 29.0, 4, "mlrs 122", "party-b",
               "four rocket launchers inside the strip of 70 km in all"),
    Occurrence("shelling-evening", "explosion.impact", "14 17:00", "14 17:10", 96.0, 2.0, 6, "mortar 120", "party-a",
               "an answer in kind, in both readings"),
    Occurrence("assault", "ground.assault", "14 23:30", "15 01:10", 82.0, -0.4, 70, "small arms", "party-b",
               "an attempt to change positions; by morning the line has moved"),
    Occurrence("fire-assault", "fire", "15 00:20", "15 03:00", 82.1, -0.6, 1, "", "party-b", "a tree line burning after the assault"),
    Occurrence("mine", "ground.mine", "15 07:30", "15 07:30", 52.0, -1.4, 1, "mine", "", "a farmer is killed by a mine"),
    Occurrence("howitzers-a", "weapon.artillery", "15 10:15", "15 10:15", 82.0, -16.0, 3, "artillery 122", "party-a",
               "three howitzers beyond 15 km of the line as signed, within 15 km of the line as it is"),
    Occurrence("mortars-a", "weapon.mortar", "15 10:40", "15 10:40", 71.0, -5.0, 2, "mortar 120", "party-a",
               "two mortars inside the 7 km band"),
    Occurrence("pumping-station", "explosion.impact", "15 10:50", "15 10:55", 103.3, 5.5, 2, "mortar 120", "party-a",
               "two explosions inside the pumping station's circle, during the repair window"),
    Occurrence("helicopter-b", "aircraft.rotary", "15 11:10", "15 11:30", 108.0, 6.0, 1, "", "party-b",
               "a medical flight, notified beforehand: exempt"),
    Occurrence("exercise-b", "ground.exercise", "15 11:00", "15 12:30", 118.0, 19.0, 24, "tank 125", "party-b",
               "a live-fire exercise that nobody notified"),
    Occurrence("access", "access", "15 12:15", "15 12:15", 96.0, 24.0, 1, "", "party-b",
               "a patrol is refused entry to the storage site it was to be shown by noon"),
    Occurrence("fpv", "uav.fpv", "15 14:05", "15 14:05", 98.0, 5.0, 1, "uav", "party-a", "a small drone hits a van; the driver is hurt"),
    Occurrence("build-up", "ground.build_up", "15 16:30", "15 16:30", 88.0, 16.0, 12, "armour", "party-b",
               "twelve armoured vehicles gathering behind the hot sector"),
    # heat that is not the conflict's
    Occurrence("grass-west", "fire", "14 11:00", "14 14:30", 30.0, -48.0, 1, "", "", "farmers burning last year's grass", False),
    Occurrence("grass-east", "fire", "15 11:00", "15 14:30", 60.0, 47.0, 1, "", "", "farmers burning last year's grass", False),
    Occurrence("grass-south", "fire", "14 11:00", "14 14:30", 128.0, -41.0, 1, "", "", "farmers burning last year's grass", False),
    Occurrence("grass-quiet-sector", "fire", "15 11:00", "15 14:00", 22.0, 11.0, 1, "", "",
               "a stubble fire in the quiet sector, near enough to the line to be mistaken", False),
    Occurrence("brickworks", "fire", "13 00:00", "15 24:00", 125.0, 27.0, 1, "", "", "kilns: heat on every pass, for years", False),
]


class Report(NamedTuple):
    """One row of the patrols' or the cameras' log."""

    about: str  # an occurrence, or "" for none
    post: str
    position: str
    starts: str
    ends: str
    means: str
    count: int
    count_max: int
    observation: str
    description: str
    weapon: str
    error_m: int
    remarks: str = ""
    killed: str = ""
    injured: str = ""


NEAR_CHMYRIVKA, STATION = "3 km W of Chmyrivka", "Chmyrivka-North power station"

PATROLS = [
    Report("shelling-before", "Patrol 1", NEAR_CHMYRIVKA, "13 20:41", "13 20:56", "heard", 6, 8, "explosion", "impact", "mortar", 1200),
    Report("shelling-night", "Patrol 1", NEAR_CHMYRIVKA, "14 02:40", "14 03:05", "heard", 10, 15, "explosion", "undetermined", "undetermined", 2000,
           "assessed as 8-10 km ENE"),
    Report("shelling-chmyrivka", "Patrol 1", NEAR_CHMYRIVKA, "14 09:11", "14 09:52", "heard", 15, 20, "explosion", "impact", "artillery 152", 600),
    Report("shelling-chmyrivka", "Patrol 2", STATION, "14 09:12", "14 09:50", "heard", 12, 15, "explosion", "impact", "artillery", 1500),
    Report("shelling-chmyrivka", "Patrol 1", "E edge of Chmyrivka", "14 06:00", "14 11:15", "saw", 9, 9, "explosion", "impact", "artillery 152", 50,
           "followed up: nine fresh craters, direction of fire not determinable; one house and a barn destroyed", "", "1"),
    Report("jamming", "Patrol 3", "6 km N of Shulhynka", "14 10:30", "14 10:50", "recorded", 1, 1, "interference", "", "", 3000,
           "mini-UAV lost satellite navigation for 20 minutes, returned"),
    Report("howitzers-b", "Patrol 4 UAV", "2 km W of Yevsuh", "14 11:40", "14 11:40", "recorded", 2, 2, "weapon", "stationary, towed", "artillery 122", 60,
           "D-30, in the open"),
    Report("exercise-a", "Patrol 5", "4 km S of Bilokurakyne", "14 12:30", "14 14:40", "heard", 60, 65, "live-fire exercise", "outgoing", "artillery 122", 1500,
           "assessed as the notified exercise"),
    Report("power-station", "Patrol 2", STATION, "14 13:20", "14 13:28", "heard", 3, 3, "explosion", "impact", "undetermined", 700,
           "assessed as about 2 km N of the station"),
    Report("uav-a", "Patrol 4", "2 km W of Yevsuh", "14 15:05", "14 15:20", "saw", 1, 1, "UAV", "in flight (W to E)", "", 900, "fixed wing, loitering"),
    Report("mlrs-b", "Patrol 4 UAV", "2 km W of Yevsuh", "14 16:10", "14 16:10", "recorded", 4, 4, "weapon", "stationary", "MLRS 122", 60, "BM-21"),
    Report("shelling-evening", "Patrol 3", "6 km N of Shulhynka", "14 17:01", "14 17:10", "heard", 4, 6, "explosion", "undetermined", "mortar", 2500),
    Report("shelling-evening", "Patrol 4", "2 km W of Yevsuh", "14 17:00", "14 17:09", "heard", 6, 6, "explosion", "impact", "mortar 120", 1200),
    Report("assault", "Patrol 1", NEAR_CHMYRIVKA, "14 23:34", "15 01:08", "heard", 45, 60, "burst", "crossfire", "small arms", 1800),
    Report("assault", "Patrol 1", NEAR_CHMYRIVKA, "14 23:50", "15 00:40", "heard", 8, 10, "explosion", "undetermined", "undetermined", 1800),
    Report("howitzers-a", "Patrol 1 UAV", "Starobilsk", "15 10:15", "15 10:15", "recorded", 3, 3, "weapon", "stationary, self-propelled", "artillery 122", 60,
           "2S1, barrels covered"),
    Report("mortars-a", "Patrol 2", STATION, "15 10:40", "15 10:40", "saw", 2, 2, "weapon", "stationary", "mortar 120", 100),
    Report("pumping-station", "Patrol 4", "Yevsuh pumping station", "15 10:50", "15 10:55", "saw", 2, 2, "explosion", "impact", "mortar 120", 250,
           "repair crew and patrol took shelter; the repair was broken off"),
    Report("exercise-b", "Patrol 6", "8 km W of Bilovodsk", "15 11:00", "15 12:30", "heard", 20, 25, "live-fire exercise", "outgoing", "tank 125", 1500,
           "no notification received"),
    Report("helicopter-b", "Patrol 4", "Yevsuh pumping station", "15 11:10", "15 11:30", "saw", 1, 1, "helicopter", "in flight (E to W)", "", 800,
           "white, red crosses"),
    Report("access", "Patrol 6", "storage site NW of Bilovodsk", "15 12:15", "15 12:15", "", 1, 1, "access", "denied", "", 100,
           "guard referred to orders; no reason given"),
    Report("fpv", "Patrol 6", "Yevsuh", "15 13:30", "15 15:20", "saw", 1, 1, "UAV strike", "impact", "uav", 300,
           "followed up: van burnt out, driver in hospital with burns (confirmed by the hospital)", "", "1"),
    Report("build-up", "Patrol 6 UAV", "8 km W of Bilovodsk", "15 16:30", "15 16:30", "recorded", 12, 12, "build-up", "stationary", "armour", 100,
           "BMP-2, in a tree line; not there on 10 March"),
]

CAMERAS = [
    Report("shelling-before", "Camera Chmyrivka", "Chmyrivka", "13 20:40", "13 20:54", "recorded", 8, 8, "explosion", "impact", "undetermined", 700),
    Report("shelling-night", "Camera Chmyrivka", "Chmyrivka", "14 02:41", "14 03:04", "recorded", 12, 12, "explosion", "impact", "undetermined", 900),
    Report("shelling-chmyrivka", "Camera Chmyrivka", "Chmyrivka", "14 09:10", "14 09:24", "recorded", 11, 11, "explosion", "impact", "undetermined", 300),
    Report("shelling-chmyrivka", "Camera Chmyrivka", "Chmyrivka", "14 09:27", "14 09:41", "recorded", 9, 9, "explosion", "impact", "undetermined", 300),
    Report("shelling-chmyrivka", "Camera Chmyrivka", "Chmyrivka", "14 09:46", "14 09:52", "recorded", 4, 4, "explosion", "impact", "undetermined", 300),
    Report("power-station", "Camera power station", STATION, "14 13:20", "14 13:28", "recorded", 3, 3, "explosion", "impact", "undetermined", 400),
    Report("shelling-evening", "Camera Yevsuh", "Yevsuh", "14 17:00", "14 17:10", "recorded", 6, 6, "explosion", "impact", "undetermined", 900),
]

#: Cameras, and where they stand; each says that it works every three hours, until the evening of the 14th.
CAMERA_POSTS = {
    "Camera Lozno": (15.0, -1.0),
    "Camera power station": (69.9, -3.4),
    "Camera Chmyrivka": (77.6, -4.4),
    "Camera Yevsuh": (103.9, 4.9),
}
CAMERAS_END = "14 19:10"


class Claim(NamedTuple):
    """What a party tells the joint coordination centre."""

    about: str
    received: str
    party: str
    when: str
    act: str
    count: str
    weapon: str
    killed: str
    injured: str
    statement: str
    stray_km: float = 0.0  # how far the stated place is from the true one


LIAISON = [
    Claim("shelling-before", "13 21:30", "party-a", "13 20:40", "shelling", "10", "mortar 120", "", "", "Ten mortar bombs fell on our positions."),
    Claim("shelling-night", "14 04:10", "party-b", "14 02:40", "shelling", "30", "mortar 82", "", "", "Thirty mortar bombs, from the west.", 0.8),
    Claim("shelling-chmyrivka", "14 10:30", "party-a", "14 09:10", "shelling", "40", "artillery 152", "", "3", "Forty shells on Chmyrivka; three civilians hurt.", 0.6),
    Claim("", "14 12:05", "party-b", "14 09:10", "statement", "", "", "", "", "No unit of ours fired this morning."),
    Claim("power-station", "14 14:20", "party-a", "14 13:20", "shelling", "5", "mortar 120", "", "", "Five mortar bombs on the power station itself.", 1.3),
    Claim("", "14 15:40", "party-b", "14 13:20", "statement", "", "", "", "", "We did not fire at the power station."),
    Claim("uav-a", "14 15:30", "party-b", "14 15:05", "uav", "1", "", "", "", "A UAV of the other side over Yevsuh.", 2.0),
    Claim("shelling-evening", "14 18:00", "party-b", "14 17:00", "shelling", "15", "mortar 120", "", "", "Fifteen mortar bombs on our observation post.", 0.5),
    Claim("assault", "15 02:30", "party-a", "14 23:30", "assault", "", "small arms", "2", "5", "An assault group of about forty; two of ours killed, five hurt.", 0.4),
    Claim("assault", "15 04:15", "party-b", "14 23:40", "assault", "", "small arms", "1", "3", "The other side attacked; one of ours killed, three hurt.", 0.9),
    Claim("pumping-station", "15 11:20", "party-b", "15 10:50", "shelling", "6", "mortar 120", "", "", "Six mortar bombs on the pumping station under repair.", 0.4),
    Claim("", "15 12:10", "party-a", "15 10:50", "statement", "", "", "", "", "We keep to the repair window."),
    Claim("helicopter-b", "15 11:45", "party-a", "15 11:12", "helicopter", "1", "", "", "", "A helicopter near the line, which we had been told of.", 1.5),
    Claim("fpv", "15 14:50", "party-b", "15 14:05", "drone strike", "1", "uav", "1", "1", "A drone killed one civilian and hurt another.", 0.3),
]


class Damage(NamedTuple):
    """One feature of the civil protection service's list."""

    about: str
    when: str
    kind: str
    killed: int | None
    injured: int | None
    error_m: int
    text: str


CIVIL = [
    Damage("shelling-chmyrivka", "14 09:35", "shelling", 0, 1, 150, "House and barn destroyed, Skhidna street; one woman treated for a shrapnel wound"),
    Damage("fire-chmyrivka", "14 09:58", "fire", None, None, 150, "Barns burning at the farm E of Chmyrivka; crew withdrew twice"),
    Damage("power-station", "14 13:40", "shelling", None, None, 1000, "Power station staff report blasts outside the northern fence"),
    Damage("grass-west", "14 12:20", "field fire", None, None, 3000, "Dry grass, about 40 ha, burning near Nyzhnia Duvanka"),
    Damage("fire-exercise", "14 14:30", "field fire", None, None, 2000, "Dry grass on the training ground; left to burn out"),
    Damage("mine", "15 07:30", "mine", 1, 0, 200, "Tractor ran onto a mine; driver, 54, killed"),
    Damage("pumping-station", "15 11:00", "shelling", 0, 0, 300, "Repair broken off; crew of six unhurt"),
    Damage("grass-east", "15 12:40", "field fire", None, None, 3000, "Stubble burning NW of Markivka, no danger to houses"),
    Damage("fpv", "15 14:10", "drone strike", 0, 1, 200, "Van burnt out on the road W of Yevsuh; driver, 37, burns"),
]
