// Colours of the map by what they mean, in light and in the dark.

/** @typedef {typeof LIGHT} Palette */

const LIGHT = {
  sea: "#d7e2e8",
  land: "#f6f5f1",
  water: "#d7e2e8",
  river: "#c3d4de",
  region: "#dcd8cd",
  border: "#a39b8b",
  name: "#5d6468",
  halo: "#f6f5f1",
  contact: "#2a3138",
  zone: "#7d8b96",
  site: "#1f5f8b",
  incident: "#5c6b76",
  grave: "#b3261e",
  serious: "#c06a00",
  minor: "#5c6b76",
  ring: "#2f3a42",
  event: "#7a5230",
  silent: "#7a4d9c",
  selected: "#0a5ad1",
  sea_track: "#0f766e",
  air_track: "#6d4bb8",
  land_track: "#8a5a1f",
  other_track: "#5c6b76",
};

/** @type {Palette} */
const DARK = {
  sea: "#0c1318",
  land: "#171e24",
  water: "#0c1318",
  river: "#1d2b35",
  region: "#26303a",
  border: "#4c5661",
  name: "#8b98a3",
  halo: "#171e24",
  contact: "#d6dde2",
  zone: "#5f6f7b",
  site: "#7db7e0",
  incident: "#93a3af",
  grave: "#ef6f66",
  serious: "#e79a45",
  minor: "#93a3af",
  ring: "#c5cfd6",
  event: "#c99a6e",
  silent: "#b98bdb",
  selected: "#6fb1ff",
  sea_track: "#4fc3b5",
  air_track: "#ab90ee",
  land_track: "#d3a35f",
  other_track: "#93a3af",
};

/** @returns {Palette} */
export const palette = (dark) => (dark ? DARK : LIGHT);

/** A colour as numbers of 0 to 1. */
export const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
