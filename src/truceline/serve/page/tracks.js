// The tracks as they move: columns by serial, filled from binary frames. No object a track, as there may be 50,000.

import { socket } from "./stream.js";

const RECORD = 24;
const HEAD = 16; // "TLT1", uint32 count, float64 time; little-endian, as every machine with a browser is
export const GONE = 1;
export const COASTING = 2;

/** Moving objects, column-wise. Rows are places in the columns; `row` finds one by serial. */
export class Tracks {
  constructor() {
    /** @type {Set<(whole: boolean) => void>} */
    this.listeners = new Set();
    /** @type {string[]} */
    this.kinds = [];
    this.size = 0;
    this.at = NaN; // of the last frame, unix seconds
    this.live = 0; // rows that are not gone
    /** @type {Map<number, number>} */
    this.row = new Map();
    /** @type {Map<number, {id: string, what: string, identity: string | null}>} */
    this.about = new Map();
    /** @type {Map<string, number>} */
    this.serial = new Map();
    this.allot(1024);
  }

  clear(tell = true) {
    this.empty();
    this.at = NaN;
    this.about.clear();
    this.serial.clear();
    this.allot(1024);
    if (tell) this.tell(true);
  }

  /** @param {number} capacity */
  allot(capacity) {
    const grown = (old, Kind) => {
      const made = new Kind(capacity);
      if (old && this.size) made.set(old.subarray(0, this.size));
      return made;
    };
    this.serials = /** @type {Uint32Array} */ (grown(this.serials, Uint32Array));
    this.lon = /** @type {Float32Array} */ (grown(this.lon, Float32Array));
    this.lat = /** @type {Float32Array} */ (grown(this.lat, Float32Array));
    this.speed = /** @type {Float32Array} */ (grown(this.speed, Float32Array)); // NaN unknown
    this.course = /** @type {Float32Array} */ (grown(this.course, Float32Array)); // degrees, NaN unknown
    this.kind = /** @type {Uint8Array} */ (grown(this.kind, Uint8Array));
    this.flags = /** @type {Uint8Array} */ (grown(this.flags, Uint8Array));
    this.seen = /** @type {Float64Array} */ (grown(this.seen, Float64Array)); // of the last observation, unix seconds
  }

  /** @param {(whole: boolean) => void} fn  @returns {() => void} */
  on(fn) {
    this.listeners.add(fn);
    return () => void this.listeners.delete(fn);
  }

  tell(whole) {
    for (const fn of this.listeners) fn(whole);
  }

  /** What is known of the track in a row. */
  of(row) {
    const serial = this.serials[row];
    const about = this.about.get(serial) ?? { id: "", what: this.kinds[this.kind[row]] ?? "", identity: null };
    return {
      ...about,
      lon: this.lon[row],
      lat: this.lat[row],
      speed_mps: this.speed[row],
      course_deg: this.course[row],
      seen: new Date(this.seen[row] * 1000),
      coasting: Boolean(this.flags[row] & COASTING),
    };
  }

  /** The row of a track's id (hex), or -1 when it is not in the picture. */
  find(id) {
    const row = this.row.get(this.serial.get(id) ?? -1);
    return row === undefined || this.flags[row] & GONE ? -1 : row;
  }

  /** @param {any} said */
  text(said) {
    if (said.kinds) this.kinds = said.kinds;
    for (const one of said.tracks ?? []) {
      this.about.set(one.serial, { id: one.id, what: one.what, identity: one.identity ?? null });
      this.serial.set(one.id, one.serial);
    }
  }

  /**
   * Take a frame in.
   * @param {ArrayBuffer} frame
   */
  binary(frame) {
    const view = new DataView(frame);
    if (frame.byteLength < HEAD || view.getUint32(0, false) !== 0x544c5431) throw new Error("not a frame of tracks");
    const began = performance.now();
    const count = view.getUint32(4, true);
    this.at = view.getFloat64(8, true);
    if (frame.byteLength < HEAD + count * RECORD) throw new Error("a frame of tracks is cut short");
    const before = this.size;
    if (this.size + count > this.serials.length) this.allot(Math.max(this.serials.length * 2, this.size + count));
    // a record is six words, and begins where words begin: read as columns of the frame, not field by field
    const words = new Uint32Array(frame, HEAD, count * 6);
    const reals = new Float32Array(frame, HEAD, count * 6);
    let guess = 0; // frames tell tracks in much the same order each time
    for (let i = 0, at = 0; i < count; i++, at += 6) {
      const serial = words[at];
      let row = guess < this.size && this.serials[guess] === serial ? guess : this.row.get(serial);
      if (row === undefined) {
        row = this.size++;
        this.row.set(serial, row);
        this.serials[row] = serial;
        this.flags[row] = GONE;
      }
      guess = row + 1;
      const packed = words[at + 4];
      const flags = packed >>> 24;
      this.live += (this.flags[row] & GONE) - (flags & GONE);
      this.lon[row] = reals[at + 1];
      this.lat[row] = reals[at + 2];
      this.speed[row] = reals[at + 3];
      const course = packed & 65535;
      this.course[row] = course === 65535 ? NaN : course / 100;
      this.kind[row] = (packed >>> 16) & 255;
      this.flags[row] = flags;
      this.seen[row] = this.at - words[at + 5] / 1000;
    }
    if (this.size > 4096 && this.live < this.size / 2) this.compact();
    this.tell(this.size !== before);
    performance.measure("tracks taken", { start: began });
    performance.clearMeasures("tracks taken"); // whoever observes has it; a day of them is not kept
  }

  /** Leave out the rows of tracks that are gone: days of them would fill the memory. */
  compact() {
    let to = 0;
    for (let row = 0; row < this.size; row++) {
      const serial = this.serials[row];
      if (this.flags[row] & GONE) {
        this.row.delete(serial);
        this.serial.delete(this.about.get(serial)?.id ?? "");
        this.about.delete(serial);
        continue;
      }
      for (const column of [this.serials, this.lon, this.lat, this.speed, this.course, this.kind, this.flags, this.seen])
        column[to] = column[row];
      this.row.set(serial, to++);
    }
    this.size = to;
  }

  /**
   * Show tracks of another time instead.
   * @param {number} at  unix seconds
   * @param {any[]} list  id, what, identity, lon, lat, speed_mps, course_deg, seen
   */
  show(at, list) {
    this.clear(false);
    this.at = at;
    this.allot(Math.max(1024, list.length));
    this.kinds = [...new Set(list.map((one) => one.what))];
    list.forEach((one, row) => {
      const { id, what, identity } = one;
      this.about.set(row, { id, what, identity });
      this.serial.set(id, row);
      this.row.set(row, row);
      this.serials[row] = row;
      this.lon[row] = one.lon;
      this.lat[row] = one.lat;
      this.speed[row] = one.speed_mps ?? NaN;
      this.course[row] = one.course_deg ?? NaN;
      this.kind[row] = this.kinds.indexOf(what);
      this.flags[row] = 0;
      this.seen[row] = one.seen;
    });
    this.size = this.live = list.length;
    this.tell(true);
  }

  /** Listen to the service's stream; gives what stops that. */
  listen(path) {
    let fresh = false;
    return socket(path, {
      // the first frame of a connection is the whole: what is not in it is gone
      begin: () => {
        fresh = true;
        this.about.clear();
        this.serial.clear();
      },
      text: (said) => this.text(said),
      binary: (frame) => {
        if (fresh) this.empty();
        fresh = false;
        this.binary(frame);
      },
    });
  }

  empty() {
    this.size = 0;
    this.live = 0;
    this.row = new Map();
  }
}
