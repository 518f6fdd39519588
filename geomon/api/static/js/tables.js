// The tables of the event panel: arrivals, magnitudes, and what was said before.

import { clock, degrees, el, fixed, magnitude, moment, plural, signed } from "./format.js";
import { kilometres } from "./editor.js";

// A bar to the left for an early pick, to the right for a late one.
function residualBar(residual, full) {
  const length = Math.min(Math.abs(residual) / full, 1) * 27;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-27 0 54 9");
  svg.setAttribute("aria-hidden", "true");
  const bar = document.createElementNS(svg.namespaceURI, "rect");
  for (const [name, value] of Object.entries({ x: residual < 0 ? -length : 0, y: 2, width: length, height: 5, rx: 1, fill: "currentColor", opacity: 0.55 })) bar.setAttribute(name, value);
  const axis = document.createElementNS(svg.namespaceURI, "rect");
  for (const [name, value] of Object.entries({ x: -0.5, y: 0, width: 1, height: 9, fill: "currentColor", opacity: 0.35 })) axis.setAttribute(name, value);
  svg.append(bar, axis);
  return svg;
}

const ARROWS = { positive: " ↑", negative: " ↓" };

// What the pointer is told of a first motion.
function firstMotion(arrival) {
  if (!ARROWS[arrival.polarity]) return {};
  const chance = arrival.polarity_probability;
  return { title: `first motion ${arrival.polarity === "positive" ? "up" : "down"}${chance === null ? "" : `, right with ${fixed(100 * chance, 0)} %`}` };
}

export function arrivalsTable(event, onHover) {
  const origin = Date.parse(event.properties.time);
  const largest = Math.max(0.2, ...event.arrivals.map((a) => Math.abs(a.residual_s ?? 0)));
  const head = ["Station", "Phase", "Distance", "Azimuth", "Time", "Residual, s", "Prob.", "Weight"];
  const rows = event.arrivals.map((a) => {
    const station = `${a.network}.${a.station}`;
    return el(
      "tr",
      { "data-station": station, onmouseenter: () => onHover(station), onmouseleave: () => onHover(null) },
      el("td", { title: `${station}.${a.location}.${a.channel}` }, a.station),
      el("td", firstMotion(a), el("span", { class: `phase phase-${a.phase}` }, a.phase), ARROWS[a.polarity] ?? ""),
      el("td", {}, `${fixed(a.distance_km, 1)} km`),
      el("td", {}, `${fixed(a.azimuth_deg, 0)}°`),
      el("td", { title: `${a.time}, ± ${fixed(a.uncertainty_s, 2)} s` }, `${((Date.parse(a.time) - origin) / 1000).toFixed(2)} s`),
      el("td", {}, el("span", { class: "residual" }, a.residual_s === null ? "" : residualBar(a.residual_s, largest), signed(a.residual_s))),
      el("td", {}, a.evaluation_mode === "manual" ? "manual" : fixed(a.probability, 2)),
      el("td", {}, fixed(a.weight, 2)),
    );
  });
  return el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows)));
}

export function magnitudesTable(event) {
  const rows = event.station_magnitudes.map((m) => el(
    "tr",
    {},
    el("td", {}, `${m.station}.${m.channel}`),
    el("td", {}, `${fixed(m.distance_km, 1)} km`),
    el("td", {}, m.amplitude_mm === null ? "–" : `${m.amplitude_mm.toPrecision(3)} mm`),
    el("td", {}, fixed(m.value, 2)),
    el("td", {}, signed(m.value - event.properties.magnitude)),
  ));
  return el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["Channel", "Distance", "Amplitude", "Magnitude", "Deviation"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows)));
}


// Every revision with who made it and why, and how it differs from the one before.
export function versionsTable(event, history, { mayRestore, onRestore }) {
  const said = new Map(event.revisions.map((r) => [r.revision, r]));
  const rows = history.map((h) => {
    const now = said.get(h.revision);
    const before = said.get(h.revision - 1);
    const who = h.actor || (h.run_kind === "locate" ? "automatic" : h.run_kind);
    return el(
      "tr",
      { title: `run ${h.run}` },
      el("td", {}, `${h.revision}`),
      el("td", {}, moment(Date.parse(h.time)), el("small", {}, who)),
      el("td", { class: "text" }, el("b", {}, h.reason), el("small", {}, now ? differences(before, now).join(", ") : "withdrawn")),
      el("td", {}, mayRestore && now && h.revision !== history[0].revision ? el("button", { type: "button", class: "quiet", onclick: () => onRestore(h.revision) }, "Restore") : null),
    );
  });
  return el("div", { class: "scroll" }, el("table", { class: "data versions" }, el("thead", {}, el("tr", {}, ["", "When, who", "What and why", ""].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows)));
}

// Every origin the event has had, the preferred one first; null while it has had but one.
export function originsTable(event) {
  const distinct = new Map();
  for (const r of event.revisions) {
    const key = [r.time, r.latitude, r.longitude, r.depth_km, r.method, r.velocity_model].join();
    if (!distinct.has(key)) distinct.set(key, r);
  }
  if (distinct.size < 2) return null;
  const rows = [...distinct.values()].map((r, i) => el(
    "tr",
    i ? {} : { class: "preferred" },
    el("td", {}, i ? `revision ${r.revision}` : "preferred"),
    el("td", { title: r.time }, clock(Date.parse(r.time), 2)),
    el("td", {}, `${degrees(r.latitude, "N", "S")}, ${degrees(r.longitude, "E", "W")}`),
    el("td", {}, `${fixed(r.depth_km, 1)} km`),
    el("td", {}, fixed(r.rms_s, 2)),
    el("td", {}, `${fixed(r.azimuthal_gap_deg, 0)}°`),
    el("td", {}, `${r.n_phases}`),
    el("td", {}, `${r.method}, ${r.velocity_model}`),
  ));
  const head = ["", "Time", "Epicentre", "Depth", "rms, s", "Gap", "Phases", "Located with"];
  return el("div", { class: "scroll" }, el("table", { class: "data origins" }, el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows)));
}

export function differences(before, now) {
  if (!before) return [`${now.n_phases} phases, M ${magnitude(now.magnitude)}, ${fixed(now.depth_km, 1)} km deep`];
  const found = [];
  const seconds = (Date.parse(now.time) - Date.parse(before.time)) / 1000;
  if (Math.abs(seconds) >= 0.005) found.push(`time ${signed(seconds)} s`);
  const moved = kilometres(before, now);
  if (moved >= 0.01) found.push(`moved ${moved.toFixed(2)} km`);
  if (before.depth_km !== now.depth_km) found.push(`depth ${fixed(before.depth_km, 1)} → ${fixed(now.depth_km, 1)} km`);
  if (before.magnitude !== now.magnitude) found.push(`M ${magnitude(before.magnitude)} → ${magnitude(now.magnitude)}`);
  if (before.n_phases !== now.n_phases) found.push(`${before.n_phases} → ${plural(now.n_phases, "phase")}`);
  if (before.event_type !== now.event_type) found.push(`${before.event_type} → ${now.event_type}`);
  if (before.review_state !== now.review_state) found.push(`${before.review_state} → ${now.review_state}`);
  return found.length ? found : ["nothing else changed"];
}
