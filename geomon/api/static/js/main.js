// Puts the parts together: what is asked of the server, and who hears of which change.

import { getCoverage, getEvents, getStations, getStatus } from "./api.js";
import { DetailPanel } from "./detail.js";
import { clock, day, duration, el, fixed, magnitude, moment, parseTime, percent, plural } from "./format.js";
import { EventList, summarise } from "./list.js";
import { EventMap } from "./map.js";
import { DepthPlot, TimePlot } from "./plots.js";
import { PRESETS, onChange, state, update } from "./state.js";
import { baseMagnitude, deepest, depthScale, radius, whenThemeChanges } from "./theme.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 30_000;
const MIN_SPAN_MS = 600_000;
const data = { status: null, limits: null, events: [], stations: [], coverage: null, deepest: 20, inView: [], byId: new Map() };
let map;
let list;
let timePlot;
let depthPlot;
let detail;
let loading;

// The limits in time of what is shown. Presets end with the newest data, or now while data flow.
function limitsOf(span, status) {
  if (Array.isArray(span)) return span;
  const now = Date.parse(status.now);
  const known = [status.last_data, status.last_event].filter(Boolean).map(Date.parse);
  const newest = known.length ? Math.max(...known) : now;
  const end = now - newest < 3600e3 ? now : Math.min(newest + 1, now);
  const first = Math.min(...[status.first_data, status.first_event].filter(Boolean).map(Date.parse), end - MIN_SPAN_MS);
  return [Math.max(end - PRESETS[span], first), end];
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// The page goes on without coverage, for instance while no picker is installed.
function unlessAborted(error) {
  if (error.name === "AbortError") throw error;
  return null;
}

async function load() {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  try {
    data.status = await getStatus();
    const limits = limitsOf(state.span, data.status);
    const [events, stations, coverage] = await Promise.all([getEvents(limits, signal), getStations(limits, signal), getCoverage(limits, signal).catch(unlessAborted)]);
    Object.assign(data, { limits, events, stations, coverage });
    data.byId = new Map(events.map((event) => [event.id, event]));
    notice("");
  } catch (error) {
    if (error.name === "AbortError") return false;
    notice(`The catalogue cannot be read: ${error.message}`);
    return false;
  }
  return true;
}

const bigEnough = (event) => state.minMagnitude === null || (event.mag !== null && event.mag >= state.minMagnitude);

function show() {
  const shown = data.events.filter(bigEnough);
  data.deepest = deepest(shown);
  data.smallest = baseMagnitude(shown);
  data.colour = depthScale(data.deepest);
  data.shown = shown;
  map.setEvents(shown, data.deepest, data.smallest);
  map.setStations(data.stations);
  showBar();
  showLegend();
  showView();
}

// Everything that follows the map's view.
function showView() {
  if (!data.limits) return;
  data.inView = map.inView(data.shown);
  showList();
  $("summary").replaceChildren(summarise(data.inView, data.shown.length), watchLine());
  timePlot.show({ events: data.inView, span: data.limits, deepest: data.deepest, smallest: data.smallest, coverage: data.coverage });
  showSection();
}

function showList() {
  const ordered = state.sort === "time" ? data.inView : [...data.inView].sort((a, b) => (b.mag ?? -9) - (a.mag ?? -9) || b.time - a.time);
  list.show(ordered, data.colour, nothing());
  list.select(state.event, false);
}

function showSection() {
  depthPlot.show({ events: data.inView, stations: data.stations, deepest: data.deepest, smallest: data.smallest, bounds: map.bounds(), axis: state.axis });
}

// "No events" and "no data" are different answers; coverage tells which one it is.
function nothing() {
  const { coverage } = data;
  if (data.shown.length) return el("div", { class: "empty" }, el("b", {}, "No events in this part of the map"), `${plural(data.shown.length, "event")} outside it in this time. `, el("button", { type: "button", class: "quiet", onclick: fitEvents }, "Show them"));
  if (data.events.length) return el("div", { class: "empty" }, el("b", {}, "No events this large"), `${plural(data.events.length, "event")} in this time are smaller than M ${magnitude(state.minMagnitude)} or have no magnitude.`);
  if (!coverage || coverage.watched === 0) {
    const why = coverage && coverage.archived > 0 ? "Data are archived for this time but have not been processed yet." : "No station data are archived for this time, so nothing can be said about earthquakes.";
    return el("div", { class: "empty" }, el("b", {}, "No data"), why);
  }
  return el("div", { class: "empty" }, el("b", {}, "No events"), `The network watched ${percent(coverage.watched)} of this time and found none.`);
}

function watchLine() {
  const { coverage, stations } = data;
  const silent = stations.filter((s) => s.health === "silent").length;
  const level = !coverage || coverage.watched === 0 ? "" : coverage.watched > 0.95 && !silent ? "good" : "partial";
  const parts = [];
  if (!coverage || coverage.watched === 0) parts.push(coverage?.archived > 0 ? "Archived, not processed yet" : "Not watched: no data");
  else parts.push(`Watched ${percent(coverage.watched)} of ${duration(data.limits[1] - data.limits[0])}`);
  if (stations.length) parts.push(`${stations.length - silent} of ${plural(stations.length, "station")} with data`);
  return el("div", { class: "watch" }, el("span", { class: `dot ${level}` }), parts.join(" · "));
}

function showBar() {
  $("network-name").textContent = data.status.name;
  document.title = `${data.status.name} · geomon`;
  for (const button of $("spans").children) button.setAttribute("aria-pressed", button.dataset.span === state.span);
  const [from, to] = data.limits;
  if (document.activeElement !== $("from")) $("from").value = moment(from).slice(0, 16);
  if (document.activeElement !== $("to")) $("to").value = moment(to).slice(0, 16);
  if (document.activeElement !== $("min-magnitude")) $("min-magnitude").value = state.minMagnitude ?? "";
  $("zoom-out").hidden = !Array.isArray(state.span);
  const now = Date.parse(data.status.now);
  const last = data.status.last_data ? Date.parse(data.status.last_data) : null;
  $("clock").textContent = last === null ? "no data archived" : now - last < 86400e3 ? `last data ${clock(last)} UTC, ${duration(Math.max(now - last, 0))} ago` : `data until ${moment(last)} UTC`;
  for (const [box, key] of [["sorting", "sort"], ["section-axis", "axis"]]) {
    for (const button of $(box).children) button.setAttribute("aria-pressed", button.dataset[key] === state[key]);
  }
}

function showLegend() {
  const sizes = [0, 1, 2, 3].map((step) => {
    const circle = el("i");
    circle.style.width = circle.style.height = `${2 * radius(data.smallest + step, data.smallest)}px`;
    return el("span", {}, circle, `${step ? "" : "M "}${data.smallest + step}`);
  });
  const station = (colour, text) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 10 10");
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", "M5 1 9.5 9H.5Z");
    path.style.fill = `var(--${colour})`;
    svg.append(path);
    return el("span", {}, svg, text);
  };
  const ticks = [0, 0.5, 1].map((x) => el("span", {}, x === 0 ? "0 km" : `${x === 1 ? "≥ " : ""}${Number((data.deepest * x).toFixed(1))}`));
  $("legend").replaceChildren(
    el("div", {}, el("div", { class: "ramp" }), el("div", { class: "ticks" }, ticks)),
    el("div", { class: "sizes" }, sizes),
    el("div", { class: "health" }, station("good", "data"), station("partial", "gaps"), station("silent", "silent")),
  );
}

function light(id, e) {
  map.light(id);
  list.light(id);
  timePlot.light(id);
  depthPlot.light(id);
  const event = id && data.byId.get(id);
  tip(event && e ? `M ${magnitude(event.mag)}   ${fixed(event.depth, 1)} km deep\n${moment(event.time)}` : "", e);
}

function lightStation(id, e) {
  const station = id && data.stations.find((s) => s.id === id);
  if (!station) {
    if (!map.hovered) tip("");
    return;
  }
  const last = station.lastData ? `last data ${moment(station.lastData)}` : "no data archived";
  tip(`${station.id}   ${Math.round(station.elevation_m)} m\n${percent(station.coverage)} of this time · ${last}`, e);
}

function tip(text, e) {
  const box = $("tip");
  box.hidden = !text;
  box.textContent = text;
  if (!text || !e) return;
  box.style.left = `${Math.min(Math.max(e.clientX, 110), innerWidth - 110)}px`;
  box.style.top = `${Math.max(e.clientY, 60)}px`;
}

// The box around places, on the side of the globe where it is narrower; null for no places.
function boxAround(places) {
  if (!places.length) return null;
  const box = (turn) => places.reduce(
    ([[w, s], [e, n]], { longitude, latitude }) => {
      const x = turn && longitude < 0 ? longitude + 360 : longitude;
      return [[Math.min(w, x), Math.min(s, latitude)], [Math.max(e, x), Math.max(n, latitude)]];
    },
    [[Infinity, Infinity], [-Infinity, -Infinity]],
  );
  const [plain, turned] = [box(false), box(true)];
  const [[w, s], [e, n]] = plain[1][0] - plain[0][0] <= turned[1][0] - turned[0][0] ? plain : turned;
  const margin = Math.max((e - w) * 0.04, (n - s) * 0.04, 0.02);
  return [[w - margin, Math.max(s - margin, -85)], [e + margin, Math.min(n + margin, 85)]];
}

// Where the map starts: at the stations; without any, at the events, or the region watched.
function home() {
  const { region } = data.status;
  const places = data.stations.length ? data.stations : data.events;
  if (places.length || !region) return boxAround(places);
  return [[region.west, region.south], [region.east < region.west ? region.east + 360 : region.east, region.north]];
}

function fitEvents() {
  map.fit(boxAround(data.shown));
}

async function showEvent() {
  const open = state.event !== null;
  document.querySelector(".stage").classList.toggle("has-detail", open);
  $("overview").hidden = open;
  map.select(state.event);
  timePlot.select(state.event);
  depthPlot.select(state.event);
  list.select(state.event, !open);
  map.map.resize();
  if (!open) {
    detail.close();
    $("list").focus({ preventScroll: true });
    return;
  }
  const known = data.byId.get(state.event);
  if (known) map.reveal(known);
  if (innerWidth <= 860) scrollTo({ top: 0 });
  await detail.open(state.event, state.component);
}

function connect() {
  $("spans").addEventListener("click", (e) => e.target.dataset.span && update({ span: e.target.dataset.span }));
  $("sorting").addEventListener("click", (e) => e.target.dataset.sort && update({ sort: e.target.dataset.sort }));
  $("section-axis").addEventListener("click", (e) => e.target.dataset.axis && update({ axis: e.target.dataset.axis }));
  $("zoom-out").addEventListener("click", () => update({ span: "24h" }));
  $("min-magnitude").addEventListener("input", (e) => {
    const value = parseFloat(e.target.value);
    update({ minMagnitude: Number.isFinite(value) ? value : null });
  });
  const custom = (e) => {
    e.preventDefault();
    const limits = [parseTime($("from").value), parseTime($("to").value)];
    $("from").setAttribute("aria-invalid", Number.isNaN(limits[0]));
    $("to").setAttribute("aria-invalid", Number.isNaN(limits[1]) || limits[1] <= limits[0]);
    if (limits[0] < limits[1]) update({ span: limits });
  };
  $("custom-span").addEventListener("submit", custom);
  addEventListener("keydown", (e) => {
    if (e.target.matches("input")) return;
    if (e.key === "Escape") update({ event: null });
    else if (state.event && (e.key === "j" || e.key === "k")) step(e.key === "j" ? 1 : -1);
  });
}

function step(by) {
  const next = list.neighbour(state.event, by);
  if (next) update({ event: next.id });
}

// Brings the page in line with a changed state.
async function follow(changed, fromAddress) {
  document.documentElement.dataset.ready = "false";
  if (changed.has("span") && !(await load())) return;
  if (changed.has("map") && fromAddress) {
    if (state.map) map.show(state.map);
    else map.fit(home());
  }
  if (changed.has("span") || changed.has("minMagnitude")) show();
  else showBar();
  if (changed.has("sort")) showList();
  if (changed.has("axis")) showSection();
  if (changed.has("event") || (changed.has("component") && state.event)) await showEvent();
  document.documentElement.dataset.ready = "true";
}

async function refresh() {
  if (document.hidden || !data.status) return;
  const before = data.status.catalog_version;
  const status = await getStatus().catch(() => null);
  if (!status || (status.catalog_version === before && status.last_data === data.status.last_data)) return;
  if (await load()) show();
}

async function start() {
  const select = (id) => update({ event: id });
  if (!(await load())) {
    setTimeout(() => location.reload(), REFRESH_MS);
    return;
  }
  list = new EventList($("list"), $("list-inner"), { onSelect: select, onHover: light });
  timePlot = new TimePlot($("time-plot"), { onSelect: select, onHover: light, onZoom: (limits) => update({ span: limits }) });
  depthPlot = new DepthPlot($("depth-plot"), { onSelect: select, onHover: light });
  detail = new DetailPanel($("detail"), { onClose: () => update({ event: null }), onStep: step });
  map = new EventMap("map", {
    view: state.map,
    bounds: home(),
    onMove: (self) => {
      if (self.moved) update({ map: self.view() });
      showView();
    },
    onSelect: select,
    onHover: light,
    onStation: lightStation,
  });
  map.map.on("movestart", (e) => {
    if (e.originalEvent) map.moved = true;
  });
  map.setRegion(data.status.region);
  connect();
  show();
  if (state.event) await showEvent();
  onChange(follow);
  whenThemeChanges(() => {
    map.colour();
    show();
    detail.records?.draw();
  });
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
  await map.ready;
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  notice(`The page could not start: ${error.message}`);
  throw error;
});
