// Puts the parts together: what is asked of the server, and who hears of which change.

import { analystForm, findAnalyst, mayEdit, onAnalyst } from "./analyst.js";
import { getCoverage, getEvents, getStations, getStatus } from "./api.js";
import { CoverageView } from "./coverage.js";
import { DetailPanel } from "./detail.js";
import { Editor } from "./editor.js";
import { el, fixed, magnitude, moment, parseTime, percent } from "./format.js";
import { legend } from "./legend.js";
import { EventList } from "./list.js";
import { listen } from "./live.js";
import { EventMap } from "./map.js";
import { freshness, nothing, overview } from "./overview.js";
import { QueueView } from "./queue.js";
import { StationPanel } from "./station.js";
import { DepthPlot, TimePlot } from "./plots.js";
import { PRESETS, onChange, state, update } from "./state.js";
import { baseMagnitude, colouring, deepest, whenThemeChanges } from "./theme.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 30_000;
const MIN_SPAN_MS = 600_000;
const data = { status: null, limits: null, events: [], bySize: [], shown: null, stations: [], coverage: null, scale: null, deepest: 20, inView: [], byId: new Map() };
let map;
let list;
let timePlot;
let depthPlot;
let detail;
let stationPanel;
let editor = null;
let loading;
const views = {};

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

// Tells whether all could be read. A load that a newer one overtakes ends as the newer one does:
// news that arrive while a link is followed must not leave the link half followed.
function load() {
  loading?.overtaken.abort();
  const mine = { overtaken: new AbortController() };
  loading = mine;
  mine.done = read(mine.overtaken.signal).then((all) => (loading === mine ? all : loading.done));
  return mine.done;
}

async function read(signal) {
  try {
    data.status = await getStatus();
    const limits = limitsOf(state.span, data.status);
    const [events, stations, coverage] = await Promise.all([getEvents(limits, signal), getStations(limits, signal), getCoverage(limits, signal).catch(unlessAborted)]);
    Object.assign(data, { limits, events, stations, coverage });
    data.bySize = [...events].sort((a, b) => (b.mag ?? -9) - (a.mag ?? -9) || b.time - a.time);
    data.byId = new Map(events.map((event) => [event.id, event]));
    notice("");
  } catch (error) {
    if (error.name !== "AbortError") notice(`The catalogue cannot be read: ${error.message}`);
    return false;
  }
  return true;
}

const bigEnough = (event) => state.minMagnitude === null || (event.mag !== null && event.mag >= state.minMagnitude);

function show() {
  const shown = data.bySize.filter(bigEnough); // the largest first
  data.deepest = deepest(shown);
  data.smallest = baseMagnitude(shown);
  data.scale = colouring(state.colour, data.deepest, data.limits);
  data.shown = shown;
  map.setEvents(shown, data.scale, data.smallest);
  map.setStations(data.stations);
  showBar();
  showLegend();
  showView();
}

function showLegend() {
  const held = $("legend").contains(document.activeElement);
  $("legend").replaceChildren(...legend(data, (colour) => update({ colour })));
  if (held) $("legend").querySelector("[aria-pressed=true]").focus();
}

// Everything that follows the map's view.
function showView() {
  if (!data.shown) return;
  data.inView = map.inView(data.shown);
  showList();
  $("summary").replaceChildren(overview(data, { onEvent: selectEvent, onStation: selectStation }));
  timePlot.show({ events: data.inView, span: data.limits, scale: data.scale, smallest: data.smallest, coverage: data.coverage });
  showSection();
}

function showList() {
  const ordered = state.sort === "time" ? map.inView(data.events).filter(bigEnough) : data.inView;
  list.show(ordered, data.scale, nothing(data, state.minMagnitude, fitEvents));
  list.select(state.event, false);
}

function showSection() {
  depthPlot.show({ events: data.inView, stations: data.stations, scale: data.scale, deepest: data.deepest, smallest: data.smallest, bounds: map.bounds(), axis: state.axis });
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
  $("clock").textContent = freshness(data.status);
  for (const [box, key] of [["sorting", "sort"], ["section-axis", "axis"]]) {
    for (const button of $(box).children) button.setAttribute("aria-pressed", button.dataset[key] === state[key]);
  }
}

const selectEvent = (id) => update({ event: id, station: null, day: null });
const selectStation = (id, day = null) => update({ view: "map", event: null, station: id, day });

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

// The panel beside the map: one event, one station, or the list.
async function showPanel() {
  stopEditing();
  const open = state.event ?? state.station;
  document.querySelector(".stage").classList.toggle("has-detail", Boolean(open));
  document.querySelector(".stage").classList.toggle("has-station", state.event === null && state.station !== null);
  $("overview").hidden = Boolean(open);
  map.select(state.event);
  timePlot.select(state.event);
  depthPlot.select(state.event);
  list.select(state.event, !open);
  map.resize();
  if (state.event === null) detail.close();
  if (state.station === null || state.event !== null) stationPanel.close();
  if (!open) {
    $("list").focus({ preventScroll: true });
    return;
  }
  if (innerWidth <= 860) scrollTo({ top: 0 });
  if (state.event !== null) {
    const known = data.byId.get(state.event);
    if (known) map.reveal(known);
    await detail.open(state.event, state.component);
  } else await stationPanel.open(state.station, state.day);
}

// The event's picks, or without an event those of one that was missed, under the analyst's hands.
async function edit(event) {
  if (!mayEdit() || editor) return;
  document.querySelector(".stage").classList.add("has-detail", "has-editor");
  $("overview").hidden = true;
  map.resize();
  const box = $("detail");
  box.hidden = false;
  const [from, to] = data.limits;
  const middle = timePlot.brushed ?? [(from + to) / 2, (from + to) / 2];
  editor = new Editor(box, {
    event,
    limits: [middle[0], middle[0] + 90_000],
    component: state.component,
    onProposal: (p) => map.propose(event?.properties ?? null, p),
    onDone: async (id, changed) => {
      stopEditing();
      if (changed) await reload();
      if (id && id !== state.event) update({ event: id, station: null });
      else if (id) await detail.open(id, state.component, true);
      else await showPanel();
    },
  });
  await editor.open();
}

function stopEditing() {
  editor?.close();
  editor = null;
  map.propose(null, null);
  document.querySelector(".stage").classList.remove("has-editor");
  map.resize();
}

async function reload() {
  if (await load()) show();
}

function nearby(id) {
  const one = data.byId.get(id);
  if (!one) return [];
  return data.events.filter((event) => event.id !== id && Math.abs(event.time - one.time) < 120_000).sort((a, b) => Math.abs(a.time - one.time) - Math.abs(b.time - one.time)).slice(0, 12);
}

// Coverage and the review queue lie over the map; the bar stays.
async function showSheet() {
  for (const link of $("views").querySelectorAll("a")) link.setAttribute("aria-current", link.dataset.view === state.view ? "page" : "false");
  document.body.dataset.view = state.view;
  $("sheet").hidden = state.view === "map";
  for (const [name, view] of Object.entries(views)) if (name !== state.view) view.close();
  if (state.view !== "map") await views[state.view].open(data.limits, data);
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
    if (e.target.matches("input, select, textarea") || e.ctrlKey || e.metaKey || e.altKey || editor || document.querySelector("dialog[open]")) return;
    if (state.view !== "map") {
      if (e.key === "Escape") update({ view: "map" });
      else if (views[state.view].key?.(e)) e.preventDefault();
    } else if (e.key === "Escape") update({ event: null, station: null, day: null });
    else if (state.event && (e.key === "j" || e.key === "k")) step(e.key === "j" ? 1 : -1);
    else if (e.key === "n" && mayEdit()) edit(null);
    else if (e.key === "?") $("help").showModal();
    else if (state.event && detail.key(e)) e.preventDefault();
  });
  $("views").addEventListener("click", (e) => {
    const view = e.target.closest("a")?.dataset.view;
    if (!view || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    update({ view });
  });
  $("help-button").addEventListener("click", () => $("help").showModal());
  onAnalyst(() => {
    $("analyst-box").replaceChildren(...[mayEdit() ? el("button", { type: "button", class: "button", id: "new-event", title: "n", onclick: () => edit(null) }, "New event") : null, analystForm()].filter(Boolean));
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
  if (["span", "minMagnitude", "colour"].some((key) => changed.has(key))) show();
  else showBar();
  if (changed.has("sort")) showList();
  if (changed.has("axis")) showSection();
  if (changed.has("event") || changed.has("station") || changed.has("day") || (changed.has("component") && state.event)) await showPanel();
  if (changed.has("view") || (state.view !== "map" && (changed.has("span") || (changed.has("queue") && fromAddress)))) await showSheet();
  document.documentElement.dataset.ready = "true";
}

async function refresh() {
  if (document.hidden || !data.status) return;
  const before = data.status.catalog_version;
  const status = await getStatus().catch(() => null);
  if (!status || (status.catalog_version === before && status.last_data === data.status.last_data)) return;
  if (await load()) show();
}

function makeParts() {
  list = new EventList($("list"), $("list-inner"), { onSelect: selectEvent, onHover: light });
  timePlot = new TimePlot($("time-plot"), { onSelect: selectEvent, onHover: light, onZoom: (limits) => update({ span: limits }) });
  depthPlot = new DepthPlot($("depth-plot"), { onSelect: selectEvent, onHover: light });
  detail = new DetailPanel($("detail"), { onClose: () => update({ event: null }), onStep: step, onEdit: edit, onChanged: reload, nearby });
  stationPanel = new StationPanel($("station"), { onClose: () => update({ station: null, day: null }), onDay: (day) => update({ day }), onSelect: selectEvent, context: () => ({ limits: data.limits, events: data.events }) });
  views.coverage = new CoverageView($("sheet"), { onStation: selectStation });
  views.review = new QueueView($("sheet"), { onOpen: (id) => update({ view: "map", event: id, station: null }), onChanged: reload });
  map = new EventMap("map", {
    view: state.map,
    onMove: (self) => {
      if (self.moved) update({ map: self.view() });
      showView();
    },
    onSelect: selectEvent,
    onHover: light,
    onStation: lightStation,
    onStationSelect: selectStation,
  });
  map.map.on("movestart", (e) => {
    if (e.originalEvent) map.moved = true;
  });
}

async function start() {
  const loaded = load(); // while the map gets ready
  makeParts();
  if (!(await loaded)) {
    setTimeout(() => location.reload(), REFRESH_MS);
    return;
  }
  if (!state.map) map.fit(home());
  map.setRegion(data.status.region);
  connect();
  findAnalyst();
  show();
  if (state.event || state.station) await showPanel();
  await showSheet();
  onChange(follow);
  whenThemeChanges(() => {
    map.colour();
    show();
    detail.records?.draw();
    editor?.records.draw();
    stationPanel.redraw();
    views[state.view]?.redraw?.();
  });
  addEventListener("beforeprint", () => list.print(true));
  addEventListener("afterprint", () => list.print(false));
  listen(data.status.catalog_version, refresh);
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
  await map.drawn();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  notice(`The page could not start: ${error.message}`);
  throw error;
});
