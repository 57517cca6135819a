// All tracks as dots, drawn by one call: 50,000 of them in a buffer of 12 bytes each.

import { GONE, COASTING } from "../tracks.js";
import { mercatorX, mercatorY, quickY } from "./geometry.js";
import { rgb } from "./palette.js";

const VERTEX = `#version 300 es
uniform mat4 matrix; uniform float size; uniform vec3 colours[4];
in vec2 place; in float style; out vec3 colour; flat out float coasting;
void main() {
  int family = int(mod(style, 4.0));
  coasting = step(4.0, style);
  colour = colours[family];
  gl_Position = matrix * vec4(place, 0.0, 1.0);
  gl_PointSize = style < 0.0 ? 0.0 : size;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec3 colour; flat in float coasting; out vec4 seen;
void main() {
  float away = length(gl_PointCoord - 0.5) * 2.0;
  if (away > 1.0 || (coasting > 0.5 && away < 0.5)) discard;
  seen = vec4(colour, 1.0) * (coasting > 0.5 ? 0.75 : 0.95);
}`;

/** Sea, air, land, other: what a family of terms is drawn as. */
export function family(what) {
  if (/^vessel/.test(what)) return 0;
  if (/^(air|aircraft|uav|projectile)/.test(what)) return 1;
  return /^(ground|weapon)/.test(what) ? 2 : 3;
}

/** A custom layer of MapLibre over `tracks`. */
export class Dots {
  /**
   * @param {import("../tracks.js").Tracks} tracks
   * @param {[number, number]} centre  positions are kept relative to it, for what 32 bits can hold
   * @param {import("./palette.js").Palette} colours
   */
  constructor(tracks, centre, colours) {
    this.id = "tracks";
    this.type = /** @type {const} */ ("custom");
    this.renderingMode = /** @type {const} */ ("2d");
    this.tracks = tracks;
    /** @type {[number, number]} */
    this.origin = [mercatorX(centre[0]), mercatorY(centre[1])];
    this.data = new Float32Array(0);
    /** @type {Record<string, any>} */
    this.at = {};
    /** @type {any} */
    this.map = null;
    this.count = 0;
    this.hidden = false;
    this.paint(colours);
  }

  paint(c) {
    this.colours = new Float32Array([c.sea_track, c.air_track, c.land_track, c.other_track].flatMap(rgb));
  }

  /** Take over what the tracks are now. */
  update() {
    const { size, lon, lat, kind, flags, kinds } = this.tracks;
    const families = kinds.map(family);
    if (this.data.length < size * 3) this.data = new Float32Array(Math.max(3072, size * 4));
    for (let row = 0, at = 0; row < size; row++, at += 3) {
      this.data[at] = mercatorX(lon[row]) - this.origin[0];
      this.data[at + 1] = quickY(lat[row]) - this.origin[1];
      const of = families[kind[row]] ?? 3;
      this.data[at + 2] = flags[row] & GONE ? -1 : of + (flags[row] & COASTING ? 4 : 0);
    }
    this.count = size;
    this.changed = true;
  }

  onAdd(map, gl) {
    this.map = map;
    const compiled = (type, source) => {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      return shader;
    };
    this.program = gl.createProgram();
    gl.attachShader(this.program, compiled(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(this.program, compiled(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(this.program);
    this.at = Object.fromEntries(["matrix", "size", "colours"].map((name) => [name, gl.getUniformLocation(this.program, name)]));
    this.shape = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.shape);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    for (const [name, parts, offset] of /** @type {[string, number, number][]} */ ([["place", 2, 0], ["style", 1, 8]])) {
      const place = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, parts, gl.FLOAT, false, 12, offset);
    }
    gl.bindVertexArray(null);
    this.changed = true;
  }

  render(gl, args) {
    if (!this.count || this.hidden) return;
    gl.useProgram(this.program);
    gl.bindVertexArray(this.shape);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    if (this.changed) gl.bufferData(gl.ARRAY_BUFFER, this.data.subarray(0, this.count * 3), gl.DYNAMIC_DRAW);
    this.changed = false;
    gl.uniformMatrix4fv(this.at.matrix, false, moved(args.defaultProjectionData.mainMatrix, this.origin));
    const zoom = this.map.getZoom();
    gl.uniform1f(this.at.size, Math.min(8, Math.max(3.2, zoom - 2.5)) * devicePixelRatio);
    gl.uniform3fv(this.at.colours, this.colours);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.disable(gl.DEPTH_TEST);
    gl.drawArrays(gl.POINTS, 0, this.count);
    gl.bindVertexArray(null);
  }

  onRemove(_, gl) {
    gl.deleteProgram(this.program);
    gl.deleteBuffer(this.buffer);
    gl.deleteVertexArray(this.shape);
  }

  /** The row nearest to a point of the map, within some pixels; -1 when there is none. */
  near({ lng, lat }, pixels, zoom) {
    if (this.hidden) return -1;
    const reach = pixels / (512 * 2 ** zoom);
    const [x, y] = [mercatorX(lng) - this.origin[0], mercatorY(lat) - this.origin[1]];
    let [best, least] = [-1, reach * reach];
    for (let row = 0, at = 0; row < this.count; row++, at += 3) {
      const [dx, dy] = [this.data[at] - x, this.data[at + 1] - y];
      const away = dx * dx + dy * dy;
      if (away < least && this.data[at + 2] >= 0) [best, least] = [row, away];
    }
    return best;
  }
}

/** A column-major matrix, its input moved; in double precision. */
function moved(m, [x, y]) {
  const out = new Float32Array(m);
  for (let i = 0; i < 4; i++) out[12 + i] = m[i] * x + m[4 + i] * y + m[12 + i];
  return out;
}
