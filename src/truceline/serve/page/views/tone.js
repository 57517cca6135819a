// Alerts as sound: off until somebody wishes it, and then remembered. No file: two short notes, made here.

const KEPT = "truceline.sound";
let on = false;
try {
  on = localStorage.getItem(KEPT) === "on";
} catch {
  // storage may be forbidden: no sound
}
let context = null;

/** Whether alerts are heard. */
export const sound = () => on;

/** Hear alerts, or not; must be called from a click, as browsers want for sound. */
export function hear(wished) {
  on = wished;
  try {
    localStorage.setItem(KEPT, wished ? "on" : "off");
  } catch {
    // for this visit only
  }
  if (wished) tone("alert");
}

// Notes in Hz: rising for what is raised, three of them for what is grave, falling for what is taken back.
const NOTES = { alert: [587, 784], grave: [587, 784, 988], withdrawn: [784, 587] };
const NOTE_S = 0.16;
const LOUD = 0.12; // of full scale: audible beside a conversation

/** Sound a few notes. */
export function tone(kind) {
  context ??= new AudioContext();
  context.resume?.();
  NOTES[kind].forEach((hertz, n) => {
    const at = context.currentTime + n * NOTE_S;
    const note = new OscillatorNode(context, { frequency: hertz, type: "triangle" });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setTargetAtTime(LOUD, at, 0.01);
    gain.gain.setTargetAtTime(0, at + NOTE_S * 0.7, 0.03);
    note.connect(gain).connect(context.destination);
    note.start(at);
    note.stop(at + NOTE_S * 2);
  });
}
