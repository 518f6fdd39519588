// What the network saw, in words: how many events, how large, how well it watched, how fresh.

import { clock, count, day, duration, el, fixed, magnitude, moment, percent, plural } from "./format.js";

const FRESH_MS = 60_000;
const MOST_NAMED = 6;

// The head of the list: the answer to "what happened?" and "can it be trusted?".
export function overview(data, { onEvent, onStation }) {
  const box = document.createDocumentFragment();
  const { inView: events, shown } = data;
  const outside = shown.length - events.length;
  box.append(el("div", { class: "big" }, count(events.length), el("small", {}, `${events.length === 1 ? "event" : "events"} ${when(data)}${outside ? `, ${count(outside)} outside this map` : ""}`)));
  const largest = events.reduce((best, event) => ((event.mag ?? -9) > (best?.mag ?? -9) ? event : best), null);
  if (largest) {
    const depths = Float64Array.from(events.map((event) => event.depth).filter((depth) => depth !== null)).sort();
    const middle = depths.length > 1 ? ` Median depth ${fixed(depths[Math.floor(depths.length / 2)], 1)} km.` : "";
    const open = el("button", { type: "button", class: "largest", onclick: () => onEvent(largest.id) }, `M ${magnitude(largest.mag)}`);
    box.append(el("p", {}, "Largest ", open, ` at ${clock(largest.time)} on ${day(largest.time)}.${middle}`));
  }
  if (events.length) box.append(sizes(events));
  box.append(watched(data, onStation));
  return box;
}

// How many there are of each size: whole magnitudes, the largest first.
function sizes(events) {
  const found = new Map();
  for (const { mag } of events) {
    const step = mag === null ? null : Math.floor(mag);
    found.set(step, (found.get(step) ?? 0) + 1);
  }
  const steps = [...found.keys()].filter((step) => step !== null).sort((a, b) => b - a);
  const chips = steps.slice(0, 5).map((step) => el("span", { class: "chip" }, el("b", {}, count(found.get(step))), ` M ${fixed(step, 0)} to ${fixed(step + 1, 0)}`));
  if (found.has(null)) chips.push(el("span", { class: "chip" }, el("b", {}, count(found.get(null))), " without magnitude"));
  const seen = events.filter((event) => event.review !== "automatic").length;
  chips.push(el("span", { class: "chip" }, seen ? el("b", {}, count(seen)) : "none", " reviewed"));
  return el("div", { class: "chips" }, chips);
}

// The span in words: "in the last 24 h", or "in 60 min to 00:30" where data end earlier.
function when({ limits: [from, to], status }) {
  if (Date.parse(status.now) - to < FRESH_MS) return `in the last ${duration(to - from)}`;
  return `in ${duration(to - from)} to ${day(to)} ${clock(to).slice(0, 5)}`;
}

// Whether the answer can be trusted: how much was watched, and which stations are in trouble.
function watched({ coverage, stations, limits }, onStation) {
  const troubled = stations.filter((s) => s.health !== "good").sort((a, b) => a.coverage - b.coverage);
  const silent = troubled.filter((s) => s.health === "silent").length;
  const isWatched = coverage !== null && coverage.watched > 0;
  const level = !isWatched ? "" : coverage.watched > 0.95 && !silent ? "good" : "partial";
  const parts = [];
  if (!isWatched) parts.push(coverage?.archived > 0 ? "Archived, not processed yet" : "Not watched: no data");
  else parts.push(`Watched ${percent(coverage.watched)} of ${duration(limits[1] - limits[0])}`);
  if (stations.length) parts.push(`${stations.length - silent} of ${plural(stations.length, "station")} with data`);
  const link = (s) => el("button", { type: "button", class: "quiet", onclick: () => onStation(s.id) }, `${s.station} ${s.health === "silent" ? "silent" : percent(s.coverage)}`);
  const more = troubled.length > MOST_NAMED ? ` and ${troubled.length - MOST_NAMED} more` : "";
  const named = troubled.length && troubled.length < stations.length
    ? el("p", { class: "troubled" }, "Gaps: ", troubled.slice(0, MOST_NAMED).flatMap((s, i) => (i ? [", ", link(s)] : [link(s)])), more)
    : null;
  return el("div", {}, el("div", { class: "watch" }, el("span", { class: `dot ${level}` }), parts.join(" · ")), named);
}

// How old the newest data are.
export function freshness({ now, last_data: last }) {
  if (!last) return "no data archived";
  const [at, ago] = [Date.parse(last), Math.max(Date.parse(now) - Date.parse(last), 0)];
  return ago < 86400e3 ? `last data ${clock(at)} UTC, ${duration(ago)} ago` : `data until ${moment(at)} UTC, ${duration(ago)} ago`;
}

// Why the list is empty: "no events" and "no data" are different answers, and coverage tells
// which one it is.
export function nothing({ shown, events, coverage }, minMagnitude, onFit) {
  const say = (title, ...why) => el("div", { class: "empty" }, el("b", {}, title), ...why);
  if (shown.length) return say("No events in this part of the map", `${plural(shown.length, "event")} outside it in this time. `, el("button", { type: "button", class: "quiet", onclick: onFit }, "Show them"));
  if (events.length) return say("No events this large", `${plural(events.length, "event")} in this time are smaller than M ${magnitude(minMagnitude)} or have no magnitude.`);
  if (!coverage || coverage.watched === 0) {
    return say("No data", coverage?.archived > 0 ? "Data are archived for this time but have not been processed yet." : "No station data are archived for this time, so nothing can be said about earthquakes.");
  }
  return say("No events", `The network watched ${percent(coverage.watched)} of this time and found none.`);
}
