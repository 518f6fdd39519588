// Station by step by stage: what was archived, picked and searched, so that "no earthquake" can be
// told from "no data". One picture of a pixel a cell, stretched: 100,000 cells draw in no time.

import { getBackfill, getGrid } from "./api.js";
import { clock, day, el, percent, plural } from "./format.js";
import { prepare, timeMarks } from "./plots.js";
import { css } from "./theme.js";

const LEFT = 118;
const RIGHT = 16;
const TOP = 74;
const ROW = 20;
const STAGES = ["archived", "picked", "located"];
const COLOURS = { archived: "stage-archived", picked: "stage-picked", located: "stage-located" };

const STATES = { done: "stage-located", nodata: "no-data", missing: "hatch-2", stale: "partial", failed: "bad" };

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

// One pixel a step and stage, a fourth row of pixels between stations. A cell is a percentage, or
// in the operator's grid the name of a state.
export function picture(grid) {
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.max(grid.n_steps, 1), height: Math.max(grid.rows.length * 4, 1) });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  const nothing = rgb(css("no-data"));
  const full = Object.fromEntries(STAGES.map((stage) => [stage, rgb(css(COLOURS[stage]))]));
  const states = Object.fromEntries(Object.entries(STATES).map(([state, name]) => [state, rgb(css(name))]));
  const shade = (stage, value) => {
    if (typeof value === "string") return states[value] ?? nothing;
    const share = value === 0 ? 0 : 0.25 + (0.75 * value) / 100; // a little is seen too
    return nothing.map((base, c) => base + (full[stage][c] - base) * share);
  };
  const known = new Map();
  grid.rows.forEach((row, r) => {
    STAGES.forEach((stage, k) => {
      const values = row[stage];
      let at = (r * 4 + k) * canvas.width * 4;
      for (let i = 0; i < values.length; i += 1, at += 4) {
        const key = `${stage}${values[i]}`;
        if (!known.has(key)) known.set(key, shade(stage, values[i]));
        const colour = known.get(key);
        for (let c = 0; c < 3; c += 1) image.data[at + c] = colour[c];
        image.data[at + 3] = 255;
      }
    });
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}

// The operator's grid in the same form: signs become states, one row a stream.
function operators(answer) {
  const rows = new Map();
  const names = { fetch: "archived", pick: "picked", locate: "located" };
  for (const { key, stage, states } of answer.rows) {
    if (!rows.has(key)) rows.set(key, { id: key, archived: [], picked: [], located: [] });
    rows.get(key)[names[stage]] = [...states].map((sign) => answer.signs[sign] ?? "");
  }
  return { start: `${answer.days[0] ?? "1970-01-01"}T00:00:00Z`, step_s: 86400, n_steps: answer.days.length, rows: [...rows.values()] };
}

export class CoverageView {
  constructor(box, { onStation }) {
    Object.assign(this, { box, onStation });
    this.kind = "stages"; // or "backfill"
  }

  close() {
    this.abort?.abort();
    this.grid = null;
  }

  async open(limits, { events = [], coverage = null } = {}) {
    this.abort?.abort();
    this.abort = new AbortController();
    Object.assign(this, { limits, events, coverage });
    this.canvas = el("canvas", { class: "grid-canvas", role: "img", tabindex: "0", "aria-label": "Coverage of every station in time" });
    this.tip = el("p", { class: "note grid-tip", "aria-live": "polite" }, "Point at a cell to read it; click to open the station.");
    this.title = el("h2", {}, "Coverage");
    this.said = el("p", { class: "said" });
    const key = (colour, text) => {
      const mark = el("i", { class: "swatch" });
      mark.style.background = `var(--${colour})`;
      return el("span", {}, mark, text);
    };
    const kinds = el("span", { class: "switch" }, [["stages", "How much"], ["backfill", "Backfill"]].map(([kind, text]) => el("button", { type: "button", "data-kind": kind, "aria-pressed": kind === this.kind, onclick: () => this.choose(kind) }, text)));
    const legend = this.kind === "stages"
      ? [key("stage-archived", "archived"), key("stage-picked", "picked"), key("stage-located", "searched for events"), key("no-data", "no data, or not done")]
      : [key("stage-located", "done"), key("hatch-2", "missing"), key("partial", "stale"), key("bad", "failed"), key("no-data", "no data"), el("span", {}, "in each row: fetched, picked, searched")];
    this.failed = el("ul", { class: "failed" });
    this.box.replaceChildren(el("div", { class: "sheet-inner" }, el("div", { class: "queue-head" }, this.title, kinds), this.said,
      el("p", { class: "key" }, legend, el("span", {}, "bars above: events")), this.tip, el("div", { class: "grid-scroll" }, this.canvas), this.failed));
    this.canvas.addEventListener("pointermove", (e) => this.hover(e));
    this.canvas.addEventListener("pointerleave", () => this.draw());
    this.canvas.addEventListener("click", (e) => {
      const cell = this.cell(e);
      if (cell?.row.id.includes(".")) this.onStation(cell.row.id.split(".").slice(0, 2).join("."), day(cell.at));
    });
    this.watcher?.disconnect();
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.canvas);
    try {
      if (this.kind === "stages") this.grid = await getGrid(limits, "auto", this.abort.signal);
      else {
        const answer = await getBackfill(limits, this.abort.signal);
        this.grid = operators(answer);
        this.failed.replaceChildren(...answer.failures.map((f) => el("li", {}, el("b", {}, `${f.count} × ${f.stage}`), ` ${f.message}`)), ...answer.at_work.map((a) => el("li", {}, el("b", {}, "at work "), `${a.key} from ${a.start.slice(0, 10)}`)));
      }
    } catch (error) {
      if (error.name !== "AbortError") this.said.textContent = error.message;
      return;
    }
    this.canvas.style.height = `${TOP + this.grid.rows.length * ROW + 30}px`;
    this.summarise();
    this.redraw();
  }

  choose(kind) {
    this.kind = kind;
    return this.open(this.limits, this);
  }

  summarise() {
    if (this.kind === "backfill") {
      const counts = new Map();
      for (const row of this.grid.rows) for (const stage of STAGES) for (const state of row[stage]) counts.set(state, (counts.get(state) ?? 0) + 1);
      this.said.textContent = `${plural(this.grid.n_steps, "day")}: ${["done", "missing", "stale", "failed", "nodata"].filter((state) => counts.get(state)).map((state) => `${counts.get(state)} ${state === "nodata" ? "without data" : state}`).join(", ")}, counted by stream, day and stage.`;
      return;
    }
    const { rows, n_steps: n, step_s: step } = this.grid;
    const mean = (stage) => rows.reduce((sum, row) => sum + row[stage].reduce((a, b) => a + b, 0), 0) / Math.max(rows.length * n * 100, 1);
    const silent = rows.filter((row) => row.archived.every((value) => value === 0)).map((row) => row.id);
    const parts = [`${plural(rows.length, "station")}, ${plural(n, { 300: "five-minute step", 3600: "hour", 86400: "day" }[step] ?? "step")}`,
      `${percent(mean("archived"))} archived, ${percent(mean("picked"))} picked, ${percent(mean("located"))} searched for events`];
    if (silent.length) parts.push(`without any data: ${silent.slice(0, 8).join(", ")}${silent.length > 8 ? ` and ${silent.length - 8} more` : ""}`);
    this.said.textContent = `${parts.join(". ")}.`;
    if (this.coverage) this.said.append(` Enough stations watched for ${percent(this.coverage.watched)} of this time; events need ${this.coverage.min_stations}.`);
  }

  redraw() {
    if (!this.grid) return;
    this.image = picture(this.grid);
    this.counts = new Array(this.grid.n_steps).fill(0);
    const from = Date.parse(this.grid.start);
    for (const event of this.events) {
      const i = Math.floor((event.time - from) / (this.grid.step_s * 1000));
      if (i >= 0 && i < this.counts.length) this.counts[i] += 1;
    }
    this.draw();
  }

  draw(lit = null) {
    if (!this.grid || !this.image) return;
    const { pen, width } = prepare(this.canvas);
    const right = width - RIGHT;
    if (right <= LEFT) return;
    const { rows, n_steps: n } = this.grid;
    const bottom = TOP + rows.length * ROW;
    pen.imageSmoothingEnabled = this.grid.n_steps > (right - LEFT) * (devicePixelRatio || 1);
    for (let r = 0; r < rows.length; r += 1) pen.drawImage(this.image, 0, r * 4, n, 3, LEFT, TOP + r * ROW + 2, right - LEFT, ROW - 5);
    pen.textAlign = "right";
    rows.forEach((row, r) => {
      pen.fillStyle = css(lit?.r === r ? "ink" : "muted");
      pen.fillText(row.id, LEFT - 10, TOP + (r + 0.5) * ROW);
    });
    this.bars(pen, right);
    this.axis(pen, right, bottom);
    if (lit?.row) {
      pen.strokeStyle = css("accent");
      pen.lineWidth = 1.5;
      const wide = (right - LEFT) / n;
      pen.strokeRect(LEFT + lit.i * wide, TOP + lit.r * ROW + 1, Math.max(wide, 2), ROW - 3);
    }
  }

  bars(pen, right) {
    const most = Math.max(1, ...this.counts);
    const wide = (right - LEFT) / this.counts.length;
    pen.fillStyle = css("accent");
    this.counts.forEach((count, i) => {
      const tall = count ? Math.max(2, (count / most) * 34) : 0;
      pen.fillRect(LEFT + i * wide, TOP - 8 - tall, Math.max(wide - (wide > 4 ? 1 : 0), 0.8), tall);
    });
    pen.fillStyle = css("muted");
    pen.textAlign = "right";
    pen.fillText(`${most} ${most === 1 ? "event" : "events"}`, LEFT - 10, TOP - 8 - 34);
  }

  axis(pen, right, bottom) {
    const from = Date.parse(this.grid.start);
    const to = from + this.grid.n_steps * this.grid.step_s * 1000;
    pen.textAlign = "center";
    for (const [t, text] of timeMarks(from, to, (right - LEFT) / 92)) {
      const x = LEFT + ((t - from) / (to - from)) * (right - LEFT);
      pen.fillStyle = css("line");
      pen.fillRect(Math.round(x), TOP - 6, 1, bottom - TOP + 10);
      pen.fillStyle = css("muted");
      const half = pen.measureText(text).width / 2;
      const at = Math.min(Math.max(x, LEFT + half - 20), right + RIGHT - half);
      pen.fillText(text, at, bottom + 16);
      pen.fillText(text, at, 12);
    }
  }

  cell(e) {
    if (!this.grid) return null;
    const box = this.canvas.getBoundingClientRect();
    const i = Math.floor(((e.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * this.grid.n_steps);
    const r = Math.floor((e.clientY - box.top - TOP) / ROW);
    if (r < 0 || r >= this.grid.rows.length) return null;
    const within = Math.min(Math.max(i, 0), this.grid.n_steps - 1);
    return { r, i: within, row: this.grid.rows[r], at: Date.parse(this.grid.start) + within * this.grid.step_s * 1000 };
  }

  hover(e) {
    const cell = this.cell(e);
    this.canvas.style.cursor = cell ? "pointer" : "default";
    this.draw(cell);
    if (!cell) return;
    const [archived, picked, located] = STAGES.map((stage) => cell.row[stage][cell.i]).map((value) => (typeof value === "number" ? `${value} %` : value || "–"));
    const when = this.grid.step_s >= 86400 ? day(cell.at) : `${day(cell.at)} ${clock(cell.at).slice(0, 5)}`;
    this.tip.textContent = `${cell.row.id}, ${when}: ${archived} archived, ${picked} picked, ${located} searched; ${plural(this.counts[cell.i], "event")} in the network`;
  }
}
