// The plots of a station: drum, noise, pick rate and residuals. Each draws a canvas from an answer.

import { niceTicks, prepare, timeMarks } from "./plots.js";
import { css } from "./theme.js";

const LEFT = 44;
const RIGHT = 12;

function frame(pen, { x, y, xTicks, yTicks, left, right, top, bottom }) {
  pen.lineWidth = 1;
  pen.strokeStyle = css("line");
  pen.fillStyle = css("muted");
  pen.textAlign = "right";
  for (const [value, text] of yTicks) {
    pen.beginPath();
    pen.moveTo(left, Math.round(y(value)) + 0.5);
    pen.lineTo(right, Math.round(y(value)) + 0.5);
    pen.stroke();
    pen.fillText(text, left - 7, y(value));
  }
  pen.textAlign = "center";
  for (const [value, text] of xTicks) {
    pen.fillRect(Math.round(x(value)), bottom, 1, 3);
    const half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(Math.max(x(value), left + half - 30), right + RIGHT - half), bottom + 14);
  }
}

const minus = (text) => text.replace("-", "−");

// A day, one line an hour; picks as ticks, events as open circles at their origin time.
export function drawDrum(canvas, drum, { picks = [], events = [] } = {}) {
  const lines = drum.lines.length;
  const tall = canvas.clientWidth < 600 ? 18 : 22;
  canvas.style.height = `${lines * tall + 34}px`;
  const { pen, width } = prepare(canvas);
  const right = width - RIGHT;
  const x = (share) => LEFT + share * (right - LEFT);
  const start = Date.parse(`${drum.day}T00:00:00Z`);
  const colours = [css("trace"), css("drum-2")];
  pen.textAlign = "right";
  drum.lines.forEach((line, i) => {
    const middle = 8 + (i + 0.5) * tall;
    pen.fillStyle = css("muted");
    if (i % 2 === 0) pen.fillText(`${String(i).padStart(2, "0")}:00`, LEFT - 7, middle);
    const n = line.low.length;
    const scale = (tall * 0.8) / 1000;
    pen.strokeStyle = css("line");
    pen.beginPath();
    pen.moveTo(LEFT, middle);
    pen.lineTo(right, middle);
    pen.stroke();
    pen.fillStyle = colours[i % 2];
    for (let k = 0; k < n; k += 1) {
      if (line.low[k] === null) continue;
      const high = Math.min(line.high[k] * scale, tall * 1.6);
      const low = Math.max(line.low[k] * scale, -tall * 1.6);
      pen.fillRect(x(k / n), middle - high, Math.max((right - LEFT) / n, 0.7), Math.max(high - low, 0.7));
    }
  });
  const place = (at) => [x(((at - start) % 3600000) / 3600000), 8 + (Math.floor((at - start) / 3600000) + 0.5) * tall];
  pen.lineWidth = 1.5;
  for (const pick of picks) {
    if (pick.at < start || pick.at >= start + 86400000) continue;
    const [a, b] = place(pick.at);
    pen.fillStyle = css(pick.phase === "P" ? "p" : "s");
    pen.fillRect(a - 0.75, b - tall * 0.45, 1.5, tall * 0.9);
  }
  pen.strokeStyle = css("accent");
  for (const event of events) {
    if (event.time < start || event.time >= start + 86400000) continue;
    const [a, b] = place(event.time);
    pen.beginPath();
    pen.arc(a, b, 3 + Math.max(event.mag ?? 0, 0) * 1.5, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.fillStyle = css("muted");
  pen.textAlign = "center";
  for (const minute of [0, 10, 20, 30, 40, 50, 60]) pen.fillText(minute === 0 ? "0 min" : `${minute}`, x(minute / 60), 8 + lines * tall + 12);
}

// Median noise of each day and the span between the 5th and 95th percentile of the last, between
// Peterson's models.
export function drawNoise(canvas, noise) {
  const { pen, width, height } = prepare(canvas);
  const [left, right, top, bottom] = [LEFT, width - RIGHT, 8, height - 28];
  const days = noise.days;
  const periods = days.flatMap((d) => [d.periods_s[0], d.periods_s[d.periods_s.length - 1]]);
  const [shortest, longest] = [Math.min(...periods), Math.max(...periods)];
  const values = [...days.flatMap((d) => [...d.low_db, ...d.high_db]), ...(noise.models ? [...noise.models.low_db, ...noise.models.high_db] : [])].filter(Number.isFinite);
  const [low, high] = [Math.floor(Math.min(...values) / 10) * 10, Math.ceil(Math.max(...values) / 10) * 10];
  const x = (period) => left + ((Math.log10(period) - Math.log10(shortest)) / (Math.log10(longest) - Math.log10(shortest))) * (right - left);
  const y = (db) => bottom - ((db - low) / (high - low)) * (bottom - top);
  const xTicks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200].filter((p) => p >= shortest && p <= longest).map((p) => [p, `${p} s`]);
  frame(pen, { x, y, xTicks, yTicks: niceTicks(low, high, 5).ticks.map((v) => [v, minus(String(v))]), left, right, top, bottom });
  const path = (ps, dbs) => {
    pen.beginPath();
    ps.forEach((p, i) => (i ? pen.lineTo(x(p), y(dbs[i])) : pen.moveTo(x(p), y(dbs[i]))));
  };
  pen.save();
  pen.beginPath();
  pen.rect(left, top - 2, right - left, bottom - top + 4);
  pen.clip();
  const last = days[days.length - 1];
  path([...last.periods_s, ...[...last.periods_s].reverse()], [...last.low_db, ...[...last.high_db].reverse()]);
  pen.fillStyle = css("p");
  pen.globalAlpha = 0.14;
  pen.fill();
  days.forEach((d, i) => {
    pen.globalAlpha = i === days.length - 1 ? 1 : 0.25;
    pen.strokeStyle = css("p");
    pen.lineWidth = i === days.length - 1 ? 1.8 : 1;
    path(d.periods_s, d.median_db);
    pen.stroke();
  });
  pen.globalAlpha = 1;
  if (noise.models) {
    pen.strokeStyle = css("muted");
    pen.lineWidth = 1;
    pen.setLineDash([4, 3]);
    for (const name of ["low_db", "high_db"]) {
      path(noise.models.periods_s, noise.models[name]);
      pen.stroke();
    }
    pen.setLineDash([]);
  }
  pen.restore();
}

// Picks in each step: P upwards, S downwards.
export function drawRate(canvas, rate) {
  const { pen, width, height } = prepare(canvas);
  const [left, right, top, bottom] = [LEFT, width - RIGHT, 8, height - 26];
  const from = Date.parse(rate.start);
  const to = from + rate.p.length * rate.step_s * 1000;
  const most = Math.max(1, ...rate.p, ...rate.s);
  const x = (t) => left + ((t - from) / (to - from)) * (right - left);
  const y = (n) => (top + bottom) / 2 - (n / most) * ((bottom - top) / 2);
  const whole = [...new Set([Math.ceil(most / 2), most])];
  frame(pen, { x, y, xTicks: timeMarks(from, to, (right - left) / 88), yTicks: [...whole.map((n) => [n, `${n} P`]), [0, "0"], ...whole.map((n) => [-n, `${n} S`])], left, right, top, bottom });
  const wide = Math.max((right - left) / rate.p.length - 1, 1);
  for (const [name, sign] of [["p", 1], ["s", -1]]) {
    pen.fillStyle = css(name);
    pen.globalAlpha = 0.8;
    rate[name].forEach((n, i) => pen.fillRect(x(from + i * rate.step_s * 1000), Math.min(y(0), y(sign * n)), wide, Math.abs(y(n) - y(0))));
  }
  pen.globalAlpha = 1;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Residuals in time with a running median: a clock or a site that drifts shows as a slope.
export function drawResiduals(canvas, rows, [from, to]) {
  const { pen, width, height } = prepare(canvas);
  const [left, right, top, bottom] = [LEFT, width - RIGHT, 8, height - 26];
  const sizes = rows.map((r) => Math.abs(r.residual_s)).sort((a, b) => a - b);
  const largest = Math.max(0.2, (sizes[Math.floor(sizes.length * 0.99)] ?? 0) * 1.15);
  const x = (t) => left + ((t - from) / (to - from)) * (right - left);
  const y = (r) => (top + bottom) / 2 - (Math.min(Math.max(r, -largest), largest) / largest) * ((bottom - top) / 2);
  frame(pen, { x, y, xTicks: timeMarks(from, to, (right - left) / 88), yTicks: niceTicks(-largest, largest, 4).ticks.map((v) => [v, minus(`${Number(v.toFixed(3))} s`)]), left, right, top, bottom });
  for (const phase of ["P", "S"]) {
    const own = rows.filter((r) => r.phase === phase);
    pen.fillStyle = pen.strokeStyle = css(phase.toLowerCase());
    pen.globalAlpha = own.length > 2000 ? 0.25 : 0.6;
    for (const row of own) pen.fillRect(x(Date.parse(row.time)) - 1.5, y(row.residual_s) - 1.5, 3, 3);
    pen.globalAlpha = 1;
    const size = Math.max(5, Math.ceil(own.length / 24));
    if (own.length < 2 * size) continue;
    pen.lineWidth = 2;
    pen.beginPath();
    for (let i = 0; i + size <= own.length; i += Math.max(1, Math.floor(size / 2))) {
      const some = own.slice(i, i + size);
      const at = x(median(some.map((r) => Date.parse(r.time))));
      const value = y(median(some.map((r) => r.residual_s)));
      if (i === 0) pen.moveTo(at, value);
      else pen.lineTo(at, value);
    }
    pen.stroke();
  }
}

// Percent of each step through the three stages, as in the coverage grid.
export function drawAvailability(canvas, image, grid) {
  const { pen, width, height } = prepare(canvas);
  const [left, right, bottom] = [LEFT, width - RIGHT, height - 24];
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, image.width, 3, left, 4, right - left, bottom - 8);
  const from = Date.parse(grid.start);
  const to = from + grid.n_steps * grid.step_s * 1000;
  frame(pen, { x: (t) => left + ((t - from) / (to - from)) * (right - left), y: () => 0, xTicks: timeMarks(from, to, (right - left) / 88), yTicks: [], left, right, top: 4, bottom });
}
