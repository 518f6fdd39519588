// What the page shows. The URL hash holds all of it, so that a view can be shared.

import { iso, parseTime } from "./format.js";

export const PRESETS = { "1h": 3600e3, "24h": 86400e3, "7d": 7 * 86400e3, "30d": 30 * 86400e3, all: Infinity };

export const state = {
  span: "24h", // a preset, or [from, to] in ms
  minMagnitude: null,
  sort: "time",
  colour: "depth", // or "age"
  axis: "longitude",
  event: null,
  station: null, // NET.STA
  day: null, // of the station's drum, YYYY-MM-DD
  component: "Z",
  map: null, // [zoom, latitude, longitude]
  queue: "events", // of what is reviewed: or "picks", "windows", "exam"
  view: "map", // or "coverage" or "review": the last part of the address
};
const VIEWS = ["coverage", "review"];
const QUEUES = ["events", "picks", "windows", "exam"];

const listeners = new Set();
export const onChange = (listener) => listeners.add(listener);

// `fromAddress` tells listeners that a person followed a link or went back.
export function update(changes, fromAddress = false) {
  const changed = Object.keys(changes).filter((key) => JSON.stringify(state[key]) !== JSON.stringify(changes[key]));
  if (!changed.length) return;
  Object.assign(state, changes);
  writeHash();
  for (const listener of listeners) listener(new Set(changed), fromAddress);
}

function fromHash() {
  const values = new URLSearchParams(location.hash.slice(1));
  const found = { span: "24h", minMagnitude: null, sort: "time", colour: "depth", axis: "longitude", event: null, station: null, day: null, component: "Z", map: null, queue: "events" };
  const last = location.pathname.split("/").pop();
  found.view = VIEWS.includes(last) ? last : "map";
  if (values.get("span") in PRESETS) found.span = values.get("span");
  const limits = [parseTime(values.get("from") ?? ""), parseTime(values.get("to") ?? "")];
  if (limits[0] < limits[1]) found.span = limits;
  const magnitude = parseFloat(values.get("m"));
  if (Number.isFinite(magnitude)) found.minMagnitude = magnitude;
  if (values.get("sort") === "magnitude") found.sort = "magnitude";
  if (values.get("colour") === "age") found.colour = "age";
  if (values.get("section") === "latitude") found.axis = "latitude";
  if (QUEUES.includes(values.get("queue"))) found.queue = values.get("queue");
  if (/^[A-Z0-9]$/.test(values.get("component") ?? "")) found.component = values.get("component");
  found.event = values.get("event") || null;
  if (/^[A-Z0-9-]{1,8}\.[A-Z0-9-]{1,8}$/.test(values.get("station") ?? "") && !found.event) found.station = values.get("station");
  if (/^\d{4}-\d\d-\d\d$/.test(values.get("day") ?? "")) found.day = values.get("day");
  const map = (values.get("map") ?? "").split("/").map(Number);
  if (map.length === 3 && map.every(Number.isFinite) && Math.abs(map[1]) <= 90) found.map = map;
  return found;
}

function writeHash() {
  const parts = [];
  if (Array.isArray(state.span)) parts.push(`from=${iso(state.span[0])}`, `to=${iso(state.span[1])}`);
  else if (state.span !== "24h") parts.push(`span=${state.span}`);
  if (state.minMagnitude !== null) parts.push(`m=${state.minMagnitude}`);
  if (state.sort !== "time") parts.push(`sort=${state.sort}`);
  if (state.colour !== "depth") parts.push(`colour=${state.colour}`);
  if (state.axis !== "longitude") parts.push(`section=${state.axis}`);
  if (state.component !== "Z") parts.push(`component=${state.component}`);
  if (state.map) parts.push(`map=${state.map[0].toFixed(2)}/${state.map[1].toFixed(4)}/${state.map[2].toFixed(4)}`);
  if (state.event) parts.push(`event=${encodeURIComponent(state.event)}`);
  if (state.station) parts.push(`station=${state.station}`);
  if (state.view === "review" && state.queue !== "events") parts.push(`queue=${state.queue}`);
  if (state.station && state.day) parts.push(`day=${state.day}`);
  const path = `${location.pathname.replace(/[^/]*$/, "")}${state.view === "map" ? "" : state.view}`;
  const address = `${path}${location.search}${parts.length ? `#${parts.join("&")}` : ""}`;
  if (address === location.pathname + location.search + location.hash) return;
  // Another view is another page to go back from; all else is the same page seen differently.
  if (path === location.pathname) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

Object.assign(state, fromHash());
for (const went of ["hashchange", "popstate"]) addEventListener(went, () => update(fromHash(), true));
