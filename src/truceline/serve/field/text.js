// Every word of the form, in two languages: [English, Ukrainian].

export const LANGUAGES = { en: "English", uk: "Українська" };

const TEXT = {
  title: ["Sighting", "Спостереження"],
  online: ["Connected", "Є зв'язок"],
  offline: ["No connection: entries stay on this device", "Немає зв'язку: записи лишаються на пристрої"],
  signin: ["Sign in", "Увійти"],
  signin_why: ["Entries wait on this device until you have signed in.", "Записи чекають на пристрої, доки ви не ввійдете."],
  signin_wrong: ["Name or password is wrong.", "Ім'я або пароль неправильні."],
  name: ["Name", "Ім'я"],
  password: ["Password", "Пароль"],

  what: ["What", "Що"],
  explosion: ["Explosion", "Вибух"],
  impact: ["Explosion: impact", "Вибух: влучання"],
  outgoing: ["Explosion: outgoing", "Вибух: постріл гармати"],
  burst: ["Burst", "Черга"],
  shot: ["Single shot", "Одиночний постріл"],
  uav: ["UAV", "БпЛА"],
  aircraft: ["Aircraft", "Літак або гелікоптер"],
  weapon_seen: ["Weapon seen", "Помічено озброєння"],
  build_up: ["Forces gathering", "Скупчення сил"],
  fire: ["Something burning", "Пожежа"],
  mines: ["Mines", "Міни"],
  access: ["Access denied", "Відмовлено в доступі"],
  other: ["Something else", "Інше"],

  means: ["How", "Як"],
  heard: ["Heard", "Чули"],
  saw: ["Saw", "Бачили"],

  when: ["When", "Коли"],
  time: ["Time on this device", "Час на цьому пристрої"],
  now: ["Now", "Зараз"],
  offset: ["This device: UTC{offset}. Sent as {utc} UTC.", "Цей пристрій: UTC{offset}. Буде надіслано як {utc} UTC."],

  where: ["Where", "Де"],
  here: ["From where I am", "Звідси, де я є"],
  there: ["At that very place", "Саме в тому місці"],
  locate: ["Take this device's position", "Взяти положення пристрою"],
  locating: ["Waiting for a position …", "Очікування положення …"],
  located: ["Position taken, ±{error} m", "Положення взято, ±{error} м"],
  not_located: ["No position from this device: enter it.", "Пристрій не дав положення: введіть його."],
  lat: ["Latitude °", "Широта °"],
  lon: ["Longitude °", "Довгота °"],
  error: ["Error, metres", "Похибка, метри"],
  bearing: ["Direction, ° from north", "Напрямок, ° від півночі"],
  distance: ["Distance, metres", "Відстань, метри"],

  more: ["More, if known", "Більше, якщо відомо"],
  count: ["How many", "Скільки"],
  weapon: ["Weapon", "Озброєння"],
  unknown: ["not known", "невідомо"],
  small_arms: ["small arms", "стрілецька зброя"],
  machine_gun: ["machine gun", "кулемет"],
  grenade_launcher: ["grenade launcher", "гранатомет"],
  mortar: ["mortar", "міномет"],
  artillery: ["artillery", "артилерія"],
  mlrs: ["rocket launcher (MLRS)", "РСЗВ"],
  tank: ["tank", "танк"],
  armour: ["armoured vehicle", "бронемашина"],
  anti_tank: ["anti-tank weapon", "протитанкова зброя"],
  anti_aircraft: ["anti-aircraft weapon", "зенітна зброя"],
  missile: ["missile", "ракета"],
  words: ["In your words", "Своїми словами"],
  post: ["Post or patrol", "Пост або патруль"],

  save: ["Save", "Зберегти"],
  saved: ["Saved on this device.", "Збережено на пристрої."],
  not_saved: ["This device cannot keep it: {why}. Write it down.", "Пристрій не може зберегти: {why}. Запишіть на папері."],
  wrong_what: ["Say what it was.", "Скажіть, що це було."],
  wrong_means: ["Say whether it was heard or seen.", "Скажіть, чули чи бачили."],
  wrong_at: ["The time is no time.", "Час введено неправильно."],
  wrong_lat: ["Latitude is a number from -90 to 90.", "Широта: число від -90 до 90."],
  wrong_lon: ["Longitude is a number from -180 to 180.", "Довгота: число від -180 до 180."],
  wrong_error: ["The error is a number of metres above 0.", "Похибка: число метрів, більше за 0."],
  wrong_bearing: ["The direction is a number from 0 to 360.", "Напрямок: число від 0 до 360."],
  wrong_distance: ["The distance is a number of metres above 0.", "Відстань: число метрів, більше за 0."],
  wrong_count: ["How many is a whole number above 0.", "Скільки: ціле число, більше за 0."],

  entries: ["Entries", "Записи"],
  waiting: ["On this device", "На цьому пристрої"],
  sent: ["Sent, no answer yet", "Надіслано, відповіді ще немає"],
  accepted: ["Accepted", "Прийнято"],
  refused: ["Refused", "Відхилено"],
  send: ["Send now", "Надіслати зараз"],
  kept: [
    "Accepted entries leave this device after a day. It can be read by whoever has the device unlocked.",
    "Прийняті записи зникають з пристрою через добу. Їх може прочитати кожен, хто має розблокований пристрій.",
  ],
  clear: ["Remove accepted entries now", "Прибрати прийняті записи зараз"],
};

const CODES = Object.keys(LANGUAGES);
const KEPT = "truceline.language"; // shared with the page

let language = CODES.find((code) => code === localStorage.getItem(KEPT)) ?? wished();

function wished() {
  return (navigator.languages ?? []).map((one) => one.slice(0, 2)).find((one) => CODES.includes(one)) ?? "en";
}

export const lang = () => language;
export const other = () => CODES[(CODES.indexOf(language) + 1) % CODES.length];

export function speak(code) {
  language = code;
  localStorage.setItem(KEPT, code);
}

/** The words of that name, with `{gaps}` filled. */
export function t(name, gaps = {}) {
  const words = TEXT[name]?.[CODES.indexOf(language)] ?? name;
  return words.replace(/\{(\w+)\}/g, (_, gap) => String(gaps[gap] ?? ""));
}
