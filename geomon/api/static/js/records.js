// The record section: waveforms by distance with their picks, to look at or to edit.
// Times inside are milliseconds since 1970; a pick keeps the server's own text for its time, which
// is more exact, until it is moved.

import { css } from "./theme.js";
import { niceTicks, prepare, timeTicks } from "./plots.js";
import { clock } from "./format.js";

const LEFT = 92;
const RIGHT = 12;
const TOP = 14;
const AXIS = 26;
const GRAB = 7; // how near a pick, in pixels, the pointer takes it

export const stationOf = (item) => `${item.network}.${item.station}`;
export const pickKey = (pick) => `${pick.station} ${pick.phase}`;

// The picks of a section: those of the event shown, and others that could be its.
export function picksOf(answer, eventId) {
  const [own, free] = [[], []];
  for (const trace of answer.traces) {
    for (const p of trace.picks) {
      const pick = {
        station: stationOf(trace), channel: p.channel, phase: p.phase, at: Date.parse(p.time), time: p.time, residual: p.residual_s,
        probability: p.probability, uncertainty: p.uncertainty_s, polarity: p.polarity, manual: p.evaluation_mode === "manual", picker: p.picker, event: p.event_id,
      };
      (eventId && p.event_id === eventId && p.residual_s !== null ? own : free).push(pick);
    }
  }
  return { own, free };
}

export class RecordSection {
  constructor(canvas, { onHover = () => {}, onEdit = null, lane = 38 }) {
    Object.assign(this, { canvas, onHover, onEdit, lane });
    this.answer = null;
    this.own = [];
    this.free = [];
    this.predicted = new Map();
    this.lit = null;
    this.selected = null;
    this.tool = null; // "P" or "S": a click sets that pick
    this.pointer = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (e) => this.move(e));
    canvas.addEventListener("pointerdown", (e) => this.down(e));
    canvas.addEventListener("pointerup", (e) => this.up(e));
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.onHover(null);
      if (this.onEdit) this.draw();
    });
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
  }

  // `zero` is what seconds are counted from; without one the axis shows the time of day.
  show(answer, { own, free = [], keepView = false }) {
    Object.assign(this, { answer, own, free });
    this.whole = [Date.parse(answer.start), Date.parse(answer.end)];
    this.zero = answer.origin_time ? Date.parse(answer.origin_time) : null;
    if (!keepView || !this.view) this.view = [...this.whole];
    this.canvas.style.height = `${TOP + AXIS + this.lane * Math.max(answer.traces.length, 1)}px`;
    this.draw();
  }

  setPicks(own, free) {
    Object.assign(this, { own, free });
    this.draw();
  }

  setPredicted(times) {
    this.predicted = times;
    this.draw();
  }

  light(station) {
    if (station === this.lit) return;
    this.lit = station;
    this.draw();
  }

  select(pick) {
    this.selected = pick;
    this.draw();
  }

  zoom(factor, at = (this.view[0] + this.view[1]) / 2) {
    const [a, b] = this.view;
    const width = Math.min(Math.max((b - a) / factor, 400), this.whole[1] - this.whole[0]);
    const share = (at - a) / (b - a);
    this.pan(at - share * width, width);
  }

  pan(from, width = this.view[1] - this.view[0]) {
    const start = Math.min(Math.max(from, this.whole[0]), this.whole[1] - width);
    this.view = [start, start + width];
    this.draw();
  }

  // Where the pointer is: lane, trace and time.
  place(e) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [e.clientX - box.left, e.clientY - box.top];
    const lane = Math.floor((y - TOP) / this.lane);
    const right = box.width - RIGHT;
    const at = this.view[0] + ((x - LEFT) / (right - LEFT)) * (this.view[1] - this.view[0]);
    return { x, y, lane, trace: this.answer?.traces[lane] ?? null, at, inside: x >= LEFT - 4 && x <= right };
  }

  x(at, width) {
    return LEFT + ((at - this.view[0]) / (this.view[1] - this.view[0])) * (width - RIGHT - LEFT);
  }

  near(place, picks) {
    if (!place.trace) return null;
    const width = this.canvas.clientWidth;
    const station = stationOf(place.trace);
    let best = null;
    let least = GRAB;
    for (const pick of picks) {
      const away = pick.station === station ? Math.abs(this.x(pick.at, width) - place.x) : Infinity;
      if (away < least) [best, least] = [pick, away];
    }
    return best;
  }

  move(e) {
    const place = this.place(e);
    this.onHover(place.trace ? stationOf(place.trace) : null);
    if (!this.onEdit) return;
    this.pointer = place;
    if (this.dragging) {
      this.dragging.at = Math.min(Math.max(place.at, this.view[0]), this.view[1]);
      this.dragged = true;
    } else if (this.panning) {
      const perPixel = (this.view[1] - this.view[0]) / (this.canvas.clientWidth - LEFT - RIGHT);
      this.pan(this.panning.from - (place.x - this.panning.x) * perPixel);
    }
    const over = this.near(place, this.own) ? "ew-resize" : this.near(place, this.free) ? "copy" : this.tool && place.inside ? "crosshair" : "default";
    this.canvas.style.cursor = this.dragging ? "ew-resize" : over;
    this.draw();
  }

  down(e) {
    if (!this.onEdit || e.button !== 0) return;
    const place = this.place(e);
    const pick = this.near(place, this.own);
    this.dragged = false;
    if (pick) {
      this.dragging = pick;
      this.held = pick.at;
      this.select(pick);
    } else if (place.inside && !this.tool) this.panning = { x: place.x, from: this.view[0] };
    this.canvas.setPointerCapture(e.pointerId);
  }

  up(e) {
    if (!this.onEdit) return;
    const place = this.place(e);
    const [pick, panned] = [this.dragging, this.panning];
    this.dragging = this.panning = null;
    if (pick) {
      if (this.dragged && Math.abs(pick.at - this.held) >= 1) this.onEdit({ kind: "move", pick, at: pick.at });
      return;
    }
    if (panned && Math.abs(panned.x - place.x) > 4) return;
    const free = this.near(place, this.free);
    if (free) this.onEdit({ kind: "adopt", pick: free });
    else if (this.tool && place.trace && place.inside) this.set(this.tool, place);
    else this.select(null);
  }

  // Sets a phase at a place, or where the pointer is.
  set(phase, place = this.pointer) {
    if (!place?.trace || !place.inside) return;
    this.onEdit({ kind: "set", trace: place.trace, phase, at: place.at });
  }

  wheel(e) {
    if (!this.onEdit || !this.answer) return;
    const sideways = e.shiftKey ? e.deltaY : e.deltaX;
    if (e.ctrlKey || e.metaKey) this.zoom(Math.exp(-e.deltaY / 250), this.place(e).at);
    else if (Math.abs(sideways) > Math.abs(e.shiftKey ? 0 : e.deltaY)) this.pan(this.view[0] + (sideways / 800) * (this.view[1] - this.view[0]));
    else return;
    e.preventDefault();
  }

  draw() {
    if (!this.answer) return;
    const { pen, width, height } = prepare(this.canvas);
    if (width < LEFT + RIGHT + 10) return;
    const bottom = height - AXIS;
    this.axis(pen, width, bottom);
    const [from, to] = this.view;
    this.answer.traces.forEach((trace, lane) => this.trace(pen, trace, TOP + (lane + 0.5) * this.lane, width));
    if (this.answer.event_id && this.zero >= from && this.zero <= to) {
      pen.strokeStyle = css("accent");
      pen.setLineDash([2, 3]);
      line(pen, this.x(this.zero, width), TOP - 6, this.x(this.zero, width), bottom);
      pen.setLineDash([]);
    }
    if (this.onEdit && this.pointer?.inside && this.pointer.trace) this.crosshair(pen, width, bottom);
  }

  axis(pen, width, bottom) {
    const [from, to] = this.view;
    pen.fillStyle = css("muted");
    pen.strokeStyle = css("line");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    const wanted = Math.max(3, (width - LEFT - RIGHT) / 70);
    const marks = this.zero === null
      ? timeTicks(from, to, wanted).ticks.map((t) => [t, clock(t)])
      : niceTicks((from - this.zero) / 1000, (to - this.zero) / 1000, wanted).ticks.map((s) => [this.zero + s * 1000, `${Number(s.toFixed(2))}${Math.abs(s) < 1e-9 ? " s" : ""}`.replace("-", "−")]);
    for (const [at, text] of marks) {
      const x = Math.round(this.x(at, width)) + 0.5;
      line(pen, x, TOP - 4, x, bottom);
      pen.fillText(text, x, bottom + 14);
    }
  }

  crosshair(pen, width, bottom) {
    const { x, at, lane } = this.pointer;
    pen.strokeStyle = css("faint");
    line(pen, x, TOP - 6, x, bottom);
    const moving = this.dragging?.at ?? at;
    const text = this.zero === null ? clock(moving, 2) : `${((moving - this.zero) / 1000).toFixed(2)} s`;
    pen.textAlign = x > width - 80 ? "right" : "left";
    pen.fillStyle = css("ink");
    pen.fillText(text, x + (x > width - 80 ? -6 : 6), TOP + lane * this.lane + 7);
  }

  trace(pen, trace, middle, width) {
    const station = stationOf(trace);
    const half = this.lane / 2;
    if (station === this.lit) {
      pen.fillStyle = css("hover");
      pen.fillRect(0, middle - half, width, this.lane);
    }
    pen.textAlign = "left";
    pen.fillStyle = css("ink");
    pen.fillText(trace.station, 10, middle - 7);
    pen.fillStyle = css("muted");
    pen.fillText(`${trace.channel}  ${trace.distance_km === null ? "" : `${trace.distance_km.toFixed(0)} km`}`, 10, middle + 7);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT - 2, middle - half, width - LEFT - RIGHT + 4, this.lane);
    pen.clip();
    this.wiggle(pen, trace, middle, width);
    for (const phase of ["P", "S"]) this.expected(pen, station, phase, middle, width);
    for (const pick of this.free) if (pick.station === station) this.pick(pen, pick, middle, width, true);
    for (const pick of this.own) if (pick.station === station) this.pick(pen, pick, middle, width, false);
    pen.restore();
  }

  wiggle(pen, trace, middle, width) {
    // Zoomed in, a trace is scaled to what is seen of it.
    let peak = 0;
    const [from, to] = this.view;
    for (const piece of trace.pieces) {
      const start = Date.parse(piece.start);
      const [a, b] = span(piece, start, from, to);
      for (let i = a; i < b; i += 1) peak = Math.max(peak, piece.maximum[i], -piece.minimum[i]);
    }
    const scale = (this.lane * 0.46) / (peak || 1);
    pen.strokeStyle = css("trace");
    pen.lineWidth = 1;
    pen.lineJoin = "round";
    for (const piece of trace.pieces) {
      const start = Date.parse(piece.start);
      const [a, b] = span(piece, start, from, to);
      pen.beginPath();
      for (let i = a; i < b; i += 1) {
        const at = this.x(start + (i + 0.5) * piece.step_s * 1000, width);
        const [high, low] = [middle - piece.maximum[i] * scale, middle - piece.minimum[i] * scale];
        if (i === a) pen.moveTo(at, high);
        else pen.lineTo(at, high);
        pen.lineTo(at, Math.max(low, high + 0.4));
      }
      pen.stroke();
    }
    if (trace.pieces.length) return;
    pen.fillStyle = css("muted");
    pen.fillText("no data", LEFT + 6, middle);
  }

  // Where the origin says the phase should be.
  expected(pen, station, phase, middle, width) {
    const at = this.predicted.get(`${station} ${phase}`);
    if (at === undefined) return;
    const x = this.x(at, width);
    pen.strokeStyle = css(phase === "P" ? "p" : "s");
    pen.lineWidth = 1.3;
    pen.setLineDash([2, 2]);
    line(pen, x, middle - this.lane * 0.3, x, middle + this.lane * 0.3);
    pen.setLineDash([]);
  }

  pick(pen, pick, middle, width, isFree) {
    const x = this.x(pick.at, width);
    const colour = css(pick.phase === "P" ? "p" : "s");
    const tall = this.lane * (isFree ? 0.3 : 0.44);
    pen.globalAlpha = isFree ? 0.45 : 1;
    pen.fillStyle = colour;
    if (pick === this.selected) {
      pen.globalAlpha = 0.2;
      pen.fillRect(x - 5, middle - tall, 10, 2 * tall);
      pen.globalAlpha = 1;
    }
    pen.fillRect(x - (isFree ? 0.5 : 0.9), middle - tall, isFree ? 1 : 1.8, 2 * tall);
    pen.textAlign = "right";
    pen.font = `${isFree ? 400 : 650} 10px ${css("font")}`;
    pen.fillText(`${pick.phase}${pick.manual ? "•" : ""}`, x - 3, middle - this.lane * 0.34);
    pen.font = `11px ${css("font")}`;
    pen.globalAlpha = 1;
  }
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

// The steps of a piece that lie in view, one more at each end.
function span(piece, start, from, to) {
  const step = piece.step_s * 1000;
  const a = Math.max(0, Math.floor((from - start) / step) - 1);
  return [a, Math.max(a, Math.min(piece.minimum.length, Math.ceil((to - start) / step) + 1))];
}
