"""The report's model: every number and word of a daily report, as data; what is written is drawn from it alone."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

SCHEMA_VERSION = 1

Probability = Annotated[float, Meta(ge=0, le=1)]


class Provenance(Struct, frozen=True):
    """Which edition the report is drawn from."""

    edition: int
    digest: str  # of the picture
    journal_head: str
    code_version: str
    agreement_sha256: str
    as_of: datetime | None = None  # what had been received by then; None: the end of the day


class SourceCount(Struct, frozen=True):
    """What became of a source's records, in the journal's three ways."""

    source: str
    read: int
    accepted: int
    duplicates: int
    rejected: int


class Held(Struct, frozen=True):
    """An incident, or another subject, held against one clause in one party's reading."""

    finding_id: str
    clause: str
    rule: str
    reading: str
    p_breach: Probability | None  # None: nothing can be said
    in_force: bool | None
    illustrative: bool
    exemption: str | None
    severity: str | None
    state: str  # of its case
    calibrated: bool

    def p(self) -> float | None:
        """The probability, where it is to be told: the clause in force then, or the whole report illustrative."""
        return self.p_breach if self.in_force is not False or self.illustrative else None


class Incident(Struct, frozen=True):
    """An incident's part in the day: what its events of the day say.

    Where `coarse`, the place is where fire came from or a weapon stood: coordinates are to 1 km and the place is
    the nearest settlement, whoever reads.
    """

    number: int  # in the report's table
    incident_id: str
    what: str
    observation: str  # in the words of the violations table: explosion, burst, shot ...
    place: str
    region: str
    lon: float | None
    lat: float | None
    coarse: bool
    major_m: float | None
    minor_m: float | None
    tilt_deg: float | None
    line_date: str | None
    line_distance_m: float | None
    p_inside: float | None
    first_at: datetime | None  # the interval that holds its events of the day
    last_at: datetime | None
    sources: list[str]
    observations: int
    events: int
    means: str | None
    description: str | None
    weapon: str | None
    count: int | None
    count_max: int | None
    killed: int | None
    injured: int | None
    frp_mw: float | None
    p_conflict: Probability | None
    p_conflict_model: str | None
    p_breach: Probability | None  # the greatest over clauses in force and readings
    held: list[Held]
    # As the table says it, of the events that name it: best times where they are known well, else the interval.
    told_from: datetime | None = None
    told_until: datetime | None = None
    about: bool = False  # one of these best times is good to several minutes only
    follows: str | None = None  # of a fire, what of its incident went before this day: "explosion of 14 March"


class Account(Struct, frozen=True):
    """Access that was given, delayed or denied, or interference with signals, as sources tell of it."""

    incident_id: str
    what: str  # access, jamming, with what follows the dot
    kind: str  # in the sources' words: "denied"
    place: str
    region: str
    means: str | None
    told_from: datetime | None
    told_until: datetime | None
    about: bool
    sources: list[str]


class Tally(Struct, frozen=True):
    """What the counting rule makes of a region's events, in the period and in the one before."""

    region: str
    counted: int  # at least so many
    most: int | None  # at most; None where a source sets no upper bound
    unnumbered: int  # events that count though no source gives their number
    explosions: int
    incidents: int
    not_countable: int  # events of kinds the rule does not count
    previous: int  # at least
    previous_incidents: int


class Counting(Struct, frozen=True):
    """The rule behind every count."""

    rule: str
    sentence: str


class Stated(Struct, frozen=True):
    """What one source states of an incident's casualties, least and most; None: nothing."""

    source: str
    killed: tuple[int, int] | None
    injured: tuple[int, int] | None


class Casualty(Struct, frozen=True):
    """People killed or injured as a source stated; confirmed only where a person has signed."""

    incident_id: str
    place: str
    killed: int
    injured: int
    sources: list[str]
    confirmed: bool
    stated: list[Stated] = []  # by source, where what each states is at hand

    def disputed(self) -> bool:
        """Whether what is stated differs."""
        of_both = [one.killed for one in self.stated], [one.injured for one in self.stated]
        return any(len({n for pair in pairs if pair for n in pair}) > 1 for pairs in of_both)


class Duty(Struct, frozen=True):
    """What a party had to do, or a track or site, held against a clause."""

    finding_id: str  # of the first reading
    clause: str
    title: str
    reading: str  # whose: "Party A", "in both readings" where they agree
    p_breach: Probability | None
    owed_by: str | None = None  # whose duty it is; of a track or a site nobody's
    due_at: datetime | None = None
    why: list[str] = []  # the factors, as words


class Exempt(Struct, frozen=True):
    """What would be a breach but for a notice or an exemption that covers it."""

    finding_id: str  # of the first reading
    incident_id: str
    clause: str
    title: str
    observation: str  # what was done: "a live-fire exercise"
    place: str
    region: str
    told_from: datetime | None
    told_until: datetime | None
    about: bool
    exemption: str  # the notice or the exemption, in its words
    reading: str
    p_breach: Probability | None


class ClauseTally(Struct, frozen=True):
    """A clause's findings of the day."""

    clause: str
    rule: str
    title: str
    incidents: int
    previous: int
    likely: int  # incidents whose greatest probability is above 0.5
    greatest: Probability | None
    in_force: str  # in words: in which readings


class Fires(Struct, frozen=True):
    """What satellites saw burning; a fire says nothing of why it burns."""

    events: int
    previous: int
    incidents: int
    frp_mw: float
    near_line: int  # incidents within `near_km` of the line
    near_km: float
    expected_conflict: float | None  # sum of p_conflict
    models: list[str]
    rows: list[Incident]  # the strongest and the nearest to the line


class Source(Struct, frozen=True):
    """How a source spoke in the period."""

    source: str
    records: int
    median_per_day: float | None  # over the days from its first record to its last
    last_at: datetime | None  # of its last record before the period's end
    silent: bool
    never: bool  # no record of it in the mission at all
    licence: str | None


class Erratum(Struct, frozen=True):
    """What an earlier report of the same day said otherwise."""

    replaces_edition: int
    changes: list[str]


class Map(Struct, frozen=True):
    """An SVG and what stands under it."""

    svg: str
    caption: str
    incidents: int
    labelled: int


class Report(Struct, frozen=True):
    """A daily report."""

    schema: int
    number: str
    mission: str
    day: date
    begins: datetime
    ends: datetime
    zone: str
    release: str
    exercise: bool
    illustrative: bool
    agreement: str
    provenance: Provenance
    counting: Counting
    totals: Tally
    regions: list[Tally]
    incidents: list[Incident]  # not fires
    fires: Fires
    notices: int  # warnings and accounts of nothing physical
    wide_intervals: int  # incidents whose time is only known to half a day or worse
    beyond_period: int  # incidents whose interval reaches out of the period
    casualties: list[Casualty]
    duties: list[Duty]
    clauses: list[ClauseTally]
    sources: list[Source]
    journal: list[SourceCount]
    line_date: str | None
    line_length_km: float | None
    line_tolerance_m: float | None
    erratum: Erratum | None
    attributions: list[str]
    map: Map
    summary: list[str] = []
    movement: list[Account] = []
    objects: list[str] = []  # what moved, in sentences
    exempt: list[Exempt] = []
    readers: dict[str, str] = {}  # who reads the clauses: names by id
