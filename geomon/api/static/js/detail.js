// The panel of one event: what is known, the records, the arrivals, the history.

import { getEvent, getWaveforms } from "./api.js";
import { clock, day, degrees, el, fixed, magnitude, moment, plural, signed } from "./format.js";
import { RecordSection } from "./records.js";
import { update } from "./state.js";

const QUALITY = {
  A: "well surrounded and well constrained",
  B: "good",
  C: "fair: few stations or a wide gap",
  D: "poor, or outside the network",
};
const REVIEW = { automatic: "automatic", reviewed: "reviewed", confirmed: "confirmed", rejected: "rejected" };

function fact(name, value, more = "") {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, ` ${more}`) : null));
}

function facts(p) {
  const [major, minor] = [p.ellipse_major_km, p.ellipse_minor_km];
  return el(
    "dl",
    { class: "facts" },
    fact("Epicentre", `${degrees(p.latitude, "N", "S")}, ${degrees(p.longitude, "E", "W")}`),
    fact("Uncertainty, 68 %", `${fixed(major, 1)} × ${fixed(minor, 1)} km`, `to ${fixed(p.ellipse_azimuth_deg, 0)}°`),
    fact("Depth", `${fixed(p.depth_km, 1)} km`, `${fixed(p.depth_low_km, 1)} to ${fixed(p.depth_high_km, 1)}`),
    fact("Origin time", `± ${fixed(p.time_uncertainty_s, 2)} s`, `rms ${fixed(p.rms_s, 2)} s`),
    fact("Stations", `${p.n_stations}`, plural(p.n_phases, "phase")),
    fact("Nearest, gap", `${fixed(p.nearest_station_km, 0)} km`, `${fixed(p.azimuthal_gap_deg, 0)}° gap`),
    fact("Quality", p.quality, QUALITY[p.quality]),
    fact("Review", REVIEW[p.review_state] ?? p.review_state, p.revision > 1 ? `revision ${p.revision}` : ""),
  );
}

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

function arrivalsTable(event, onHover) {
  const origin = Date.parse(event.properties.time);
  const largest = Math.max(0.2, ...event.arrivals.map((a) => Math.abs(a.residual_s ?? 0)));
  const head = ["Station", "Phase", "Distance", "Azimuth", "Time", "Residual, s", "Prob.", "Weight"];
  const rows = event.arrivals.map((a) => {
    const station = `${a.network}.${a.station}`;
    return el(
      "tr",
      { "data-station": station, onmouseenter: () => onHover(station), onmouseleave: () => onHover(null) },
      el("td", { title: `${station}.${a.location}.${a.channel}` }, a.station),
      el("td", {}, el("span", { class: `phase phase-${a.phase}` }, a.phase)),
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

function magnitudesTable(event) {
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

function history(event) {
  const rows = event.revisions.map((r) => el(
    "tr",
    {},
    el("td", {}, `${r.revision}`),
    el("td", {}, r.valid_from ? moment(Date.parse(r.valid_from)) : "–"),
    el("td", {}, `M ${magnitude(r.magnitude)}`),
    el("td", {}, `${fixed(r.latitude, 3)}, ${fixed(r.longitude, 3)}`),
    el("td", {}, `${fixed(r.depth_km, 1)} km`),
    el("td", {}, plural(r.n_phases, "phase")),
  ));
  return el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["Revision", "Since", "Magnitude", "Place", "Depth", "Picks"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows)));
}

export class DetailPanel {
  constructor(box, { onClose, onStep }) {
    Object.assign(this, { box, onClose, onStep });
    this.id = null;
  }

  close() {
    this.abort?.abort();
    this.id = null;
    this.box.hidden = true;
    this.box.replaceChildren();
  }

  async open(id, component) {
    const same = this.id === id;
    this.abort?.abort();
    this.abort = new AbortController();
    this.id = id;
    this.box.hidden = false;
    const { signal } = this.abort;
    try {
      if (!same) {
        const event = await getEvent(id, signal);
        this.box.replaceChildren(...this.content(event));
        this.box.scrollTop = 0;
        this.box.focus({ preventScroll: true });
        this.event = event;
      }
      await this.loadRecords(id, component, signal);
    } catch (error) {
      if (error.name !== "AbortError") this.box.replaceChildren(this.head(), el("div", { class: "empty" }, el("b", {}, "This event cannot be shown"), error.message));
    }
  }

  head() {
    return el(
      "div",
      { class: "head" },
      el("button", { type: "button", onclick: this.onClose, title: "Escape" }, "← All events"),
      el("span", { class: "steps" },
        el("button", { type: "button", onclick: () => this.onStep(-1), title: "k" }, "Previous"),
        el("button", { type: "button", onclick: () => this.onStep(1), title: "j" }, "Next")),
    );
  }

  content(event) {
    const p = event.properties;
    const time = Date.parse(p.time);
    const light = (station) => this.light(station);
    const canvas = el("canvas", { role: "img", "aria-label": "Record section with picks" });
    this.records = new RecordSection(canvas, { onHover: light });
    this.recordBox = el("div", { class: "records" }, canvas);
    this.components = el("span", { class: "switch" });
    const key = (colour, text) => {
      const mark = el("i");
      mark.style.background = `var(--${colour})`;
      return el("span", {}, mark, text);
    };
    const fdsn = (format) => `fdsnws/event/1/query?eventid=${encodeURIComponent(event.id)}&format=${format}`;
    const uncertainty = p.magnitude_uncertainty === null ? "" : ` ± ${fixed(p.magnitude_uncertainty, 2)}`;
    return [
      this.head(),
      el("h2", {}, p.magnitude === null ? "No magnitude" : `${p.magnitude_type} ${magnitude(p.magnitude)}`, el("small", {}, `${uncertainty}${p.magnitude === null ? "" : ` from ${plural(p.magnitude_n_stations, "station")}`}`)),
      el("p", { class: "moment" }, `${day(time)} ${clock(time, 2)} `, el("span", {}, "UTC")),
      facts(p),
      el("h3", {}, "Records", this.components),
      this.recordBox,
      el("p", { class: "key" }, key("p", "P pick"), key("s", "S pick"), el("span", {}, el("i", { class: "open" }), "predicted"), (this.filterNote = el("span", {}))),
      el("h3", {}, "Arrivals"),
      arrivalsTable(event, light),
      ...(event.station_magnitudes.length ? [el("h3", {}, "Station magnitudes"), magnitudesTable(event)] : []),
      ...(event.revisions.length > 1 ? [el("h3", {}, "History"), history(event)] : []),
      el("p", { class: "note" }, `Located with ${p.method} in ${p.velocity_model}. Run ${p.run || "unknown"}.`),
      el("p", { class: "links" },
        el("a", { href: `${fdsn("xml")}&includearrivals=true` }, "QuakeML"), el("a", { href: fdsn("text") }, "Text"),
        el("a", { href: fdsn("csv") }, "CSV"), el("a", { href: fdsn("geojson") }, "GeoJSON")),
    ];
  }

  light(station) {
    this.records?.light(station);
    for (const row of this.box.querySelectorAll("tr[data-station]")) row.classList.toggle("lit", row.dataset.station === station);
  }

  async loadRecords(id, component, signal) {
    const bins = Math.round(Math.max(this.recordBox.clientWidth - 104, 300) * Math.min(devicePixelRatio || 1, 2));
    const answer = await getWaveforms(id, component, bins, signal);
    this.components.replaceChildren(...answer.components.map((name) => el("button", {
      type: "button", "aria-pressed": name === answer.component, onclick: () => update({ component: name }),
    }, name)));
    this.filterNote.textContent = answer.highpass_hz ? `above ${answer.highpass_hz} Hz, each trace to its own scale` : "";
    if (answer.traces.some((trace) => trace.pieces.length)) this.records.show(answer);
    else this.recordBox.replaceChildren(el("p", { class: "empty" }, el("b", {}, "No waveforms archived"), "The archive holds nothing of this event's stations around its time."));
  }
}
