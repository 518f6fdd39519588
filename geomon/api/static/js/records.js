// The record section of an event: waveforms by distance, with their picks.

import { css } from "./theme.js";
import { niceTicks, prepare } from "./plots.js";

const LEFT = 92;
const RIGHT = 12;
const TOP = 12;
const AXIS = 26;
const LANE = 38;

export class RecordSection {
  constructor(canvas, { onHover }) {
    Object.assign(this, { canvas, onHover });
    this.answer = null;
    this.lit = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (e) => {
      const lane = Math.floor((e.clientY - canvas.getBoundingClientRect().top - TOP) / LANE);
      const trace = this.answer?.traces[lane];
      this.onHover(trace ? `${trace.network}.${trace.station}` : null);
    });
    canvas.addEventListener("pointerleave", () => this.onHover(null));
  }

  show(answer) {
    this.answer = answer;
    this.canvas.style.height = `${TOP + AXIS + LANE * Math.max(answer.traces.length, 1)}px`;
    this.draw();
  }

  light(station) {
    if (station === this.lit) return;
    this.lit = station;
    this.draw();
  }

  draw() {
    if (!this.answer) return;
    const { pen, width, height } = prepare(this.canvas);
    const { answer } = this;
    const origin = Date.parse(answer.origin_time);
    const from = (Date.parse(answer.start) - origin) / 1000;
    const to = (Date.parse(answer.end) - origin) / 1000;
    const right = width - RIGHT;
    const bottom = height - AXIS;
    const x = (seconds) => LEFT + ((seconds - from) / (to - from)) * (right - LEFT);
    pen.fillStyle = css("muted");
    pen.strokeStyle = css("line");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    for (const t of niceTicks(from, to, Math.max(3, (right - LEFT) / 60)).ticks) {
      pen.beginPath();
      pen.moveTo(Math.round(x(t)) + 0.5, TOP - 4);
      pen.lineTo(Math.round(x(t)) + 0.5, bottom);
      pen.stroke();
      pen.fillText(`${Number(t.toFixed(2))}${t === 0 ? " s" : ""}`.replace("-", "−"), x(t), bottom + 14);
    }
    pen.strokeStyle = css("accent");
    pen.setLineDash([2, 3]);
    pen.beginPath();
    pen.moveTo(x(0), TOP - 4);
    pen.lineTo(x(0), bottom);
    pen.stroke();
    pen.setLineDash([]);
    answer.traces.forEach((trace, lane) => this.trace(pen, trace, TOP + (lane + 0.5) * LANE, x, origin, width));
  }

  trace(pen, trace, middle, x, origin, width) {
    const station = `${trace.network}.${trace.station}`;
    if (station === this.lit) {
      pen.fillStyle = css("hover");
      pen.fillRect(0, middle - LANE / 2, width, LANE);
    }
    pen.textAlign = "left";
    pen.fillStyle = css("ink");
    pen.fillText(trace.station, 10, middle - 7);
    pen.fillStyle = css("muted");
    pen.fillText(`${trace.channel}  ${trace.distance_km === null ? "" : `${trace.distance_km.toFixed(0)} km`}`, 10, middle + 7);
    const scale = (LANE * 0.46) / (trace.peak || 1);
    pen.strokeStyle = css("trace");
    pen.lineWidth = 1;
    pen.lineJoin = "round";
    for (const piece of trace.pieces) {
      const start = (Date.parse(piece.start) - origin) / 1000;
      pen.beginPath();
      piece.minimum.forEach((low, i) => {
        const at = x(start + (i + 0.5) * piece.step_s);
        const [a, b] = [middle - piece.maximum[i] * scale, middle - low * scale];
        if (i === 0) pen.moveTo(at, a);
        else pen.lineTo(at, a);
        pen.lineTo(at, Math.max(b, a + 0.4));
      });
      pen.stroke();
    }
    if (!trace.pieces.length) {
      pen.fillStyle = css("faint");
      pen.fillText("no data", LEFT + 6, middle);
    }
    for (const pick of trace.picks) {
      const at = x((Date.parse(pick.time) - origin) / 1000);
      const colour = css(pick.phase === "P" ? "p" : "s");
      pen.fillStyle = colour;
      pen.fillRect(at - 0.9, middle - LANE * 0.44, 1.8, LANE * 0.88);
      pen.textAlign = "right";
      pen.font = `600 10px ${css("font")}`;
      pen.fillText(pick.phase, at - 3, middle - LANE * 0.34);
      pen.font = `11px ${css("font")}`;
      if (pick.residual_s === null) continue;
      const predicted = x((Date.parse(pick.time) - origin) / 1000 - pick.residual_s);
      pen.strokeStyle = colour;
      pen.lineWidth = 1.4;
      pen.setLineDash([2, 2]);
      pen.beginPath();
      pen.moveTo(predicted, middle - LANE * 0.3);
      pen.lineTo(predicted, middle + LANE * 0.3);
      pen.stroke();
      pen.setLineDash([]);
    }
  }
}
