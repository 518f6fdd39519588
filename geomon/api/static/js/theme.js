// Colours come from the style sheet, so that light and dark are defined in one place.

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const within = (x) => Math.min(Math.max(x, 0), 1);

// How events are coloured, by depth or by age: where on the ramp each one lies, from 0 to 1, and
// the colour there. An event without a depth has no place on it.
export function colouring(kind, deepest, [from, to]) {
  const stops = [0, 1, 2, 3, 4].map((i) => css(`${kind}-${i}`));
  const mixed = stops.map(rgb);
  const unknown = css("faint");
  const colour = (x) => {
    if (x === null) return unknown;
    const i = Math.min(Math.floor(x * 4), 3);
    return `rgb(${mixed[i].map((low, k) => Math.round(low + (mixed[i + 1][k] - low) * (x * 4 - i))).join(" ")})`;
  };
  const place = kind === "age" ? (event) => within((to - event.time) / (to - from)) : (event) => (event.depth === null ? null : within(event.depth / deepest));
  return {
    kind, place, colour, stops,
    of: (event) => colour(place(event)),
  };
}

// Radius in pixels of the circle of an event, `base` being the magnitude that gets a small one.
export const radius = (m, base) => 2.4 + 1.5 * 1.8 ** Math.min((m ?? base - 0.5) - base, 4.5);

// Local networks start at magnitude 0; where larger events are shown the scale moves up with them.
export function baseMagnitude(events) {
  const largest = events.reduce((high, event) => Math.max(high, event.mag ?? -9), -9);
  return Math.max(0, Math.ceil(largest - 3.6));
}

const NICE = [1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800];

// The depth at which the colours end: a round number that holds 98 % of the events.
export function deepest(events) {
  const sorted = Float64Array.from(events.map((event) => event.depth).filter((depth) => depth !== null)).sort();
  if (!sorted.length) return 20;
  const high = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.98))];
  return NICE.find((value) => value >= Math.max(high, 5)) ?? 800;
}

export function whenThemeChanges(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(callback));
}
