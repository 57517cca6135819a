// One thing of the picture in words: incident, event, track, zone, site, line.
export const name = "thing";
export const selects = ["incident", "event", "track", "zone", "site", "line"];
export function mount(element, state, api) {
  return () => {};
}
