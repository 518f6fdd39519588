// The panel of one station: availability, the day as a drum, noise, pick rate and residuals.

import { getActivity, getDrum, getGrid, getNoise, getStation } from "./api.js";
import { drawAvailability, drawDrum, drawNoise, drawRate, drawResiduals } from "./charts.js";
import { picture } from "./coverage.js";
import { day, degrees, duration, el, moment, percent, plural, signed } from "./format.js";

const DAY_MS = 86400e3;
const AROUND_DAYS = 30;

export class StationPanel {
  constructor(box, { onClose, onDay, onSelect, context }) {
    Object.assign(this, { box, onClose, onDay, onSelect, context });
    this.id = null;
    this.draws = [];
    this.watcher = new ResizeObserver(() => this.redraw());
    this.watcher.observe(box);
  }

  close() {
    this.abort?.abort();
    this.id = null;
    this.draws = [];
    this.box.hidden = true;
    this.box.replaceChildren();
  }

  redraw() {
    for (const draw of this.draws) draw();
  }

  async open(id, shownDay) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const same = this.id === id;
    this.id = id;
    this.box.hidden = false;
    this.shownDay = shownDay;
    try {
      if (!same) {
        this.station = await getStation(id, signal);
        this.component = "Z";
        this.box.replaceChildren(...this.content(this.station));
        this.box.scrollTop = 0;
        this.box.focus({ preventScroll: true });
        this.draws = [];
        await Promise.all([this.loadDrum(signal), this.loadActivity(signal), this.loadAvailability(signal), this.loadNoise(signal)]);
      } else await this.loadDrum(signal);
    } catch (error) {
      if (error.name !== "AbortError") this.box.replaceChildren(this.head(), el("div", { class: "empty" }, el("b", {}, "This station cannot be shown"), error.message));
    }
  }

  head() {
    return el("div", { class: "head" }, el("button", { type: "button", onclick: this.onClose, title: "Escape" }, "← All events"));
  }

  plot(name, label, tall) {
    const canvas = el("canvas", { class: `chart chart-${tall}`, role: "img", "aria-label": label });
    this[name] = canvas;
    return el("div", { class: "records" }, canvas);
  }

  content(s) {
    const sensor = s.sensors[0];
    const fact = (name, value, more = "") => el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, ` ${more}`) : null));
    const last = s.last_data ? Date.parse(s.last_data) : null;
    this.dayTitle = el("span", {}, "Day");
    this.notes = { rate: el("span", { class: "aside" }), residuals: el("span", { class: "aside" }), noise: el("span", { class: "aside" }), availability: el("span", { class: "aside" }) };
    this.components = el("span", { class: "switch" });
    const go = (by) => this.onDay(day(Date.parse(`${this.drum?.day ?? day(Date.now())}T00:00:00Z`) + by * DAY_MS));
    return [
      this.head(),
      el("h2", {}, s.id, el("small", {}, sensor ? `${sensor.stream.split(".").slice(2).join(".").replace(/^\./, "")} · ${sensor.sampling_rate_hz ?? "?"} Hz` : "")),
      el("dl", { class: "facts" },
        fact("Place", `${degrees(s.latitude, "N", "S", 4)}, ${degrees(s.longitude, "E", "W", 4)}`), fact("Elevation", `${Math.round(s.elevation_m)} m`),
        fact("Last data", last ? moment(last) : "none", last ? `${duration(Math.max(Date.now() - last, 0))} ago` : ""),
        fact("Archived", sensor?.first_day ? `${sensor.first_day} to ${sensor.last_day}` : "nothing"),
        fact("Sensors", s.sensors.map((one) => one.stream.split(".").slice(2).filter(Boolean).join(".")).join(", "), sensor?.restricted ? "restricted" : "")),
      el("h3", {}, "Availability", this.notes.availability), this.plot("availabilityPlot", "Archived, picked and searched in time", "low"),
      el("h3", {}, this.dayTitle, el("span", { class: "steps" }, this.components, el("button", { type: "button", class: "button", onclick: () => go(-1), "aria-label": "Day before" }, "←"), el("button", { type: "button", class: "button", onclick: () => go(1), "aria-label": "Day after" }, "→"))),
      this.plot("drumPlot", "A day of waveforms, a line an hour", "drum"),
      el("h3", {}, "Picks", this.notes.rate), this.plot("ratePlot", "Picks in time", "middle"),
      el("h3", {}, "Residuals", this.notes.residuals), this.plot("residualPlot", "Residuals of picks in time", "middle"),
      el("h3", {}, "Noise", this.notes.noise), this.plot("noisePlot", "Power spectral density", "high"),
    ];
  }

  keep(name, draw) {
    this.draws = this.draws.filter((one) => one.plot !== name);
    this.draws.push(Object.assign(draw, { plot: name }));
    draw();
  }

  async loadDrum(signal) {
    const bins = Math.max(200, Math.min(1600, this.drumPlot.clientWidth - 56));
    const drum = await getDrum(this.id, { day: this.shownDay ?? undefined, component: this.component, bins }, signal);
    this.drum = drum;
    this.dayTitle.textContent = `${drum.day}  ${drum.channel.split(".")[3]}`;
    this.components.replaceChildren(...drum.components.map((name) => el("button", { type: "button", "aria-pressed": drum.channel.endsWith(name), onclick: () => {
      this.component = name;
      this.loadDrum(this.abort.signal);
    } }, name)));
    const { events } = this.context();
    this.keep("drum", () => drawDrum(this.drumPlot, drum, { picks: this.picks ?? [], events }));
  }

  async loadActivity(signal) {
    const { limits } = this.context();
    const found = await getActivity(this.id, limits, signal);
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    this.notes.rate.textContent = `${plural(sum(found.rate.p), "P pick")}, ${plural(sum(found.rate.s), "S pick")} in ${duration(limits[1] - limits[0])}`;
    this.keep("rate", () => drawRate(this.ratePlot, found.rate));
    this.picks = found.residuals.map((row) => ({ at: Date.parse(row.time), phase: row.phase }));
    const middle = (phase) => {
      const own = found.residuals.filter((row) => row.phase === phase).map((row) => row.residual_s).sort((a, b) => a - b);
      return own.length ? `${phase} ${signed(own[Math.floor(own.length / 2)])} s` : null;
    };
    this.notes.residuals.textContent = found.residuals.length ? `median ${[middle("P"), middle("S")].filter(Boolean).join(", ")}; positive is late` : "no arrivals in this time";
    this.keep("residuals", () => drawResiduals(this.residualPlot, found.residuals, limits));
    this.draws.find((one) => one.plot === "drum")?.();
  }

  async loadAvailability(signal) {
    const { limits } = this.context();
    const from = Math.min(limits[0], limits[1] - (limits[1] - limits[0] > 6 * 3600e3 ? AROUND_DAYS * DAY_MS : 0));
    const grid = await getGrid([from, limits[1]], "auto", signal);
    const row = grid.rows.find((one) => one.id === this.id);
    if (!row) return;
    const own = { ...grid, rows: [row] };
    const share = (stage) => percent(row[stage].reduce((a, b) => a + b, 0) / (100 * grid.n_steps));
    this.notes.availability.textContent = `${share("archived")} archived, ${share("picked")} picked, ${share("located")} searched`;
    this.keep("availability", () => drawAvailability(this.availabilityPlot, picture(own), own));
  }

  async loadNoise(signal) {
    const sensor = this.station.sensors[0];
    const until = sensor?.last_day ? Date.parse(`${sensor.last_day}T00:00:00Z`) + DAY_MS : null;
    const noise = until === null ? { days: [] } : await getNoise(sensor.stream, this.component, [until - 14 * DAY_MS, until], signal).catch((error) => {
      if (error.name === "AbortError") throw error;
      return { days: [] };
    });
    if (!noise.days.length) {
      this.noisePlot.parentElement.replaceChildren(el("p", { class: "empty" }, "No noise was measured yet; ", el("code", {}, "geomon quality"), " does it."));
      return;
    }
    const last = noise.days[noise.days.length - 1];
    this.notes.noise.textContent = `${noise.channel}, ${plural(noise.days.length, "day")}, ${last.unit === "counts" ? "dB of counts²/Hz" : "dB of (m/s²)²/Hz; dashed: Peterson's models"}`;
    this.keep("noise", () => drawNoise(this.noisePlot, noise));
  }
}
