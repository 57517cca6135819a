"""What the invented press writes, in the form of VIINA: a settlement, a list of types cut short, a headline.

Every headline begins with "Exercise" or «Навчання», so that no row can pass for a claim about real people.
"""
# ruff: noqa: E501 (a table reads best with one row a line)
# fmt: off

from typing import NamedTuple


class Item(NamedTuple):
    """One row of the press file; `copies` more rows are the same to the byte."""

    about: str  # an occurrence, or "" for news about something else
    when: str  # "14 09:30"; "14" where the source gives only the day
    place: str
    types: str
    headline: str
    copies: int = 0


ITEMS = [
    Item("shelling-before", "13 21:30", "Chmyrivka", "artillery|loc", "Exercise: mortar fire east of Chmyrivka hours before the cessation"),
    Item("shelling-before", "13", "Starobilsk", "artillery|loc", "Навчання: перед початком тиші під Старобільськом чули міномети."),
    Item("shelling-night", "14 06:10", "Chmyrivka", "artillery|loc", "Навчання: уночі мешканці Чмирівки чули вибухи на сході.", 1),
    Item("shelling-night", "14", "Starobilsk", "artillery|loc", "Exercise: night of mortar fire east of Starobilsk, residents say"),
    Item("shelling-chmyrivka", "14 09:25", "Chmyrivka", "artillery|loc", "Exercise: Chmyrivka under artillery fire since ten past nine", 1),
    Item("shelling-chmyrivka", "14 09:40", "Chmyrivka", "artillery|loc", "Навчання: Чмирівку обстрілюють з ранку, люди в підвалах.", 3),
    Item("shelling-chmyrivka", "14 10:05", "Chmyrivka", "artillery|property|loc", "Exercise: barns on fire at the eastern edge of Chmyrivka after shelling", 1),
    Item("shelling-chmyrivka", "14 10:30", "Chmyrivka", "artillery|civcas|loc", "Навчання: унаслідок обстрілу Чмирівки поранено двох людей.", 2),
    Item("shelling-chmyrivka", "14 11:10", "Starobilsk", "artillery|loc", "Exercise: some forty shells fell near Starobilsk this morning, one side says"),
    Item("shelling-chmyrivka", "14", "Chmyrivka", "artillery|property|civcas|loc", "Навчання: під час обстрілу Чмирівки зруйновано будинок, є поранена.", 1),
    Item("shelling-chmyrivka", "14", "Starobilsk", "artillery|loc", "Exercise: first shelling since the cessation took effect, near Starobilsk"),
    Item("fire-chmyrivka", "14 12:15", "Chmyrivka", "property|loc", "Навчання: рятувальники двічі відступали від пожежі на фермі в Чмирівці."),
    Item("power-station", "14 13:50", "Chmyrivka", "artillery|loc", "Exercise: blasts heard by the power station north of Chmyrivka", 1),
    Item("power-station", "14 14:30", "Chmyrivka", "artillery|loc", "Навчання: біля електростанції пролунали вибухи, станція працює.", 1),
    Item("power-station", "14", "Starobilsk", "artillery|loc", "Exercise: power station 'was not hit', says its operator"),
    Item("exercise-a", "14 13:10", "Bilokurakyne", "artillery|loc", "Навчання: канонада біля Білокуракиного, кажуть, це планові стрільби."),
    Item("exercise-a", "14", "Bilokurakyne", "artillery|loc", "Exercise: guns heard at the training ground, as announced"),
    Item("grass-west", "14 13:00", "Nyzhnia Duvanka", "loc", "Навчання: під Нижньою Дуванкою горить суха трава.", 1),
    Item("uav-a", "14 15:40", "Yevsuh", "uav|loc", "Exercise: drone circled over Yevsuh for a quarter of an hour"),
    Item("shelling-evening", "14 17:30", "Yevsuh", "artillery|loc", "Навчання: увечері під Євсугом знову стріляли.", 1),
    Item("shelling-evening", "14", "Yevsuh", "artillery|loc", "Exercise: evening mortar fire west of Yevsuh"),
    Item("assault", "15 06:30", "Chmyrivka", "firefighb|raid|loc", "Exercise: night attack on positions east of Chmyrivka", 1),
    Item("assault", "15 07:15", "Chmyrivka", "raid|milcas|loc", "Навчання: нічний бій під Чмирівкою, сторони називають різні втрати.", 1),
    Item("assault", "15", "Starobilsk", "control|loc", "Exercise: a trench line has changed hands, both sides claim the other began"),
    Item("mine", "15 09:20", "Bilokurakyne", "ied|civcas|loc", "Exercise: farmer killed by a mine in his field"),
    Item("mine", "15", "Bilokurakyne", "ied|civcas|loc", "Навчання: тракторист загинув, підірвавшись на міні.", 2),
    Item("mine", "15", "Starobilsk", "civcas|loc", "Exercise: 'He had worked that field for thirty years'"),
    Item("pumping-station", "15 11:15", "Yevsuh", "artillery|loc", "Exercise: repair of the pumping station broken off after explosions", 1),
    Item("pumping-station", "15 11:50", "Yevsuh", "artillery|property|loc", "Навчання: вікно тиші для ремонту насосної станції зірвано.", 1),
    Item("pumping-station", "15", "Bilovodsk", "loc", "Навчання: Біловодськ ще щонайменше добу без води."),
    Item("exercise-b", "15 12:20", "Bilovodsk", "artillery|loc", "Exercise: tank guns heard west of Bilovodsk since eleven"),
    Item("grass-east", "15 13:10", "Markivka", "loc", "Exercise: stubble fire north-west of Markivka, no danger to houses"),
    Item("fpv", "15 14:30", "Yevsuh", "uav|civcas|property|loc", "Exercise: drone hits a van near Yevsuh, driver in hospital", 1),
    Item("fpv", "15 15:10", "Yevsuh", "uav|civcas|loc", "Навчання: дрон влучив в автівку, водій з опіками в лікарні.", 1),
    Item("fpv", "15", "Yevsuh", "uav|civcas|loc", "Навчання: один загиблий унаслідок удару дрона, заявляє сторона."),
]

#: Labels that tell of nothing that day: a repair, a memorial, a siren. A label is not an event.
TRAPS = [
    Item("", "14", "Bilovodsk", "property|loc", "Навчання: завершили ремонт даху лікарні, пошкодженого торік."),
    Item("", "14 16:20", "Bilolutsk", "airalerb|loc", "Навчання: вранці лунала сирена, відбій за двадцять хвилин."),
    Item("", "15", "Milove", "aad|loc", "Exercise: Milove remembers the air raid of two years ago"),
    Item("", "15 13:40", "Markivka", "milcas|loc", "Exercise: Markivka says farewell to a soldier who fell in February"),
]

#: News about nothing on the ground: (types, headline); each is placed at random, most with the day only.
NEWS = [
    ("loc", "Exercise: bakery in {place} opens again after winter"),
    ("loc", "Навчання: після ремонту відкрили районну бібліотеку."),
    ("", "Exercise: joint commission meets for the third time, no statement"),
    ("", "Навчання: перемовини про обмін продовжаться наступного тижня."),
    ("loc", "Exercise: school in {place} goes back to lessons in two shifts"),
    ("arresb|loc", "Exercise: man held in {place} over stolen fuel"),
    ("", "Exercise: opinion: what the first month of quiet has taught us"),
    ("loc", "Навчання: весняний ярмарок переносять на квітень."),
    ("loc", "Навчання: автобус до обласної лікарні ходитиме двічі на день."),
    ("", "Навчання: погода на вихідні: сухо, вдень до дванадцяти градусів, вітер."),
    ("san", "Exercise: new list of forbidden goods published"),
]
