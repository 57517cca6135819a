// The picture on the map.
export function picture(element, state, api, basemap) {
  return () => {};
}
