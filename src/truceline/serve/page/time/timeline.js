// The time line under the map.
export function timeline(element, state, api) {
  return () => {};
}
