// Two plots beside the map, on canvas: magnitude in time, and a section through depth.

import { clock, day } from "./format.js";
import { css, radius } from "./theme.js";

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];
const STEPS_MONTHS = [1, 3, 6, 12, 24, 60, 120, 240, 600, 1200];
const MONTH_MS = 30.44 * 86400e3;

// Round times to mark between two: every so many seconds or, further apart, first days of months.
export function timeTicks(from, to, wanted) {
  const seconds = STEPS_S.find((s) => (to - from) / (s * 1000) <= wanted);
  const ticks = [];
  if (!seconds) {
    const months = STEPS_MONTHS.find((m) => (to - from) / (m * MONTH_MS) <= wanted) ?? STEPS_MONTHS.at(-1);
    const firstDay = (month) => Date.UTC(Math.floor(month / 12), month % 12);
    let month = new Date(from).getUTCFullYear() * 12;
    month -= month % months;
    for (; firstDay(month) <= to; month += months) if (firstDay(month) >= from) ticks.push(firstDay(month));
    return { ticks, step: months * MONTH_MS };
  }
  const step = seconds * 1000;
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) ticks.push(t);
  return { ticks, step };
}

// The same times with what to write at them: the date where it changes, else the hour.
export function timeMarks(from, to, wanted) {
  const { ticks, step } = timeTicks(from, to, wanted);
  const text = (t, i) => {
    if (step >= MONTH_MS) return day(t).slice(0, step >= 12 * MONTH_MS ? 4 : 7);
    if (step >= 86400e3) return day(t).slice(i ? 5 : 0);
    if (i === 0 || t % 86400e3 === 0) return `${day(t).slice(5)} ${clock(t).slice(0, 5)}`;
    return clock(t).slice(0, step < 60e3 ? 8 : 5);
  };
  return ticks.map((t, i) => [t, text(t, i)]);
}

export function niceTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i += 1) ticks.push(i * step);
  return { ticks, step };
}

export function prepare(canvas) {
  const ratio = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = `11px ${css("font")}`;
  pen.textBaseline = "middle";
  return { pen, width, height };
}

const MANY = 4000; // from here on circles are drawn colour by colour, without an outline
const SHADES = 32;

// A plot of events as circles: hovering lights the nearest, a click selects it. What does not
// change with the pointer is drawn once, on a canvas of its own.
class EventPlot {
  constructor(canvas, { onSelect, onHover }) {
    Object.assign(this, { canvas, onSelect, onHover });
    this.events = [];
    this.points = [];
    this.scale = null;
    this.due = null;
    this.lit = null;
    this.selected = null;
    this.base = document.createElement("canvas");
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (e) => this.hover(e));
    canvas.addEventListener("pointerleave", () => this.onHover(null));
    canvas.addEventListener("click", (e) => {
      const found = this.nearest(e);
      if (found && !this.dragged) this.onSelect(found.event.id);
    });
  }

  position(e) {
    const box = this.canvas.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  }

  nearest(e) {
    const [x, y] = this.position(e);
    let best = null;
    let least = 14;
    for (const point of this.points) {
      if (Math.abs(point.x - x) > 40 || Math.abs(point.y - y) > 40) continue;
      const distance = Math.hypot(point.x - x, point.y - y) - Math.min(point.r, 8);
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  hover(e) {
    const found = this.nearest(e);
    this.canvas.style.cursor = found ? "pointer" : this.cursor;
    this.onHover(found ? found.event.id : null, e);
  }

  light(id) {
    if (id === this.lit) return;
    this.lit = id;
    this.overlay();
  }

  select(id) {
    this.selected = id;
    this.overlay();
  }

  // Draws everything again in the next frame: after new events, a new size or new colours.
  draw() {
    if (this.scale) this.due ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.due = null;
    const { pen, width, height } = prepare(this.canvas);
    this.static(pen, width, height);
    this.base.width = this.canvas.width;
    this.base.height = this.canvas.height;
    if (this.base.width && this.base.height) this.base.getContext("2d").drawImage(this.canvas, 0, 0);
    this.overlay();
  }

  // Draws only what follows the pointer.
  overlay() {
    if (!this.base.width || !this.base.height) return;
    const pen = this.canvas.getContext("2d");
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.base, 0, 0);
    pen.restore();
    for (const [id, stroke, extra] of [[this.selected, css("accent"), 3.5], [this.lit, css("ink"), 1.5]]) {
      const point = id && this.points.find(({ event }) => event.id === id);
      if (!point) continue;
      pen.strokeStyle = stroke;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(point.x, point.y, point.r + extra, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  circles(pen) {
    pen.globalAlpha = 0.82;
    if (this.points.length > MANY) this.manyCircles(pen);
    else {
      pen.lineWidth = 0.7;
      pen.strokeStyle = css("panel");
      for (const point of this.points) {
        pen.fillStyle = this.scale.of(point.event);
        pen.beginPath();
        pen.arc(point.x, point.y, point.r, 0, 2 * Math.PI);
        pen.fill();
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }

  manyCircles(pen) {
    const shades = Array.from({ length: SHADES + 2 }, () => []); // the last one for an unknown depth
    for (const point of this.points) {
      const place = this.scale.place(point.event);
      shades[place === null ? SHADES + 1 : Math.round(place * SHADES)].push(point);
    }
    shades.forEach((points, i) => {
      pen.fillStyle = this.scale.colour(i > SHADES ? null : i / SHADES);
      pen.beginPath();
      for (const { x, y, r } of points) {
        if (r < 3.5) pen.fillRect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6); // sooner drawn than a path of them all
        else {
          pen.moveTo(x + r, y);
          pen.arc(x, y, r, 0, 2 * Math.PI);
        }
      }
      pen.fill();
    });
  }
}

function hatch(pen) {
  const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  const brush = tile.getContext("2d");
  brush.strokeStyle = css("hatch");
  brush.lineWidth = 2;
  brush.beginPath();
  brush.moveTo(-2, 10);
  brush.lineTo(10, -2);
  brush.moveTo(-2, 2);
  brush.lineTo(2, -2);
  brush.moveTo(6, 10);
  brush.lineTo(10, 6);
  brush.stroke();
  return pen.createPattern(tile, "repeat");
}

export class TimePlot extends EventPlot {
  constructor(canvas, handlers) {
    super(canvas, handlers);
    this.cursor = "crosshair";
    this.span = [0, 1];
    this.coverage = null;
    this.brush = null;
    canvas.addEventListener("pointerdown", (e) => {
      const [x] = this.position(e);
      this.dragged = false;
      if (e.pointerType === "mouse" && e.button === 0 && x >= this.left) this.brush = [x, x];
    });
    addEventListener("pointermove", (e) => {
      if (!this.brush) return;
      this.brush[1] = Math.min(Math.max(this.position(e)[0], this.left), this.right);
      this.dragged = Math.abs(this.brush[1] - this.brush[0]) > 5;
      this.overlay();
    });
    addEventListener("pointerup", () => {
      if (!this.brush) return;
      const [a, b] = [...this.brush].sort((p, q) => p - q).map((x) => this.time(x));
      const zoomed = this.dragged;
      this.brush = null;
      this.overlay();
      if (zoomed) handlers.onZoom([a, b]);
    });
  }

  show({ events, span, scale, smallest, coverage }) {
    Object.assign(this, { events, span, scale, smallest, coverage });
    this.draw();
  }

  x(time) {
    return this.left + ((time - this.span[0]) / (this.span[1] - this.span[0])) * (this.right - this.left);
  }

  time(x) {
    return this.span[0] + ((x - this.left) / (this.right - this.left)) * (this.span[1] - this.span[0]);
  }

  overlay() {
    super.overlay();
    if (!this.brush || !this.dragged) return;
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = css("accent");
    pen.globalAlpha = 0.14;
    pen.fillRect(Math.min(...this.brush), 10, Math.abs(this.brush[1] - this.brush[0]), this.bottom - 10);
    pen.globalAlpha = 1;
  }

  static(pen, width, height) {
    const top = 10;
    const bottom = height - 30;
    Object.assign(this, { left: 42, right: width - 16, bottom });
    if (bottom <= top || this.right <= this.left) return;
    const magnitudes = this.events.filter((e) => e.mag !== null).map((e) => e.mag);
    const low = magnitudes.length ? Math.floor(magnitudes.reduce((a, b) => Math.min(a, b)) * 2 - 0.4) / 2 : 0;
    const high = Math.max(magnitudes.length ? Math.ceil(magnitudes.reduce((a, b) => Math.max(a, b)) * 2 + 0.4) / 2 : 3, low + 1.5);
    const y = (m) => bottom - ((Math.max(m, low) - low) / (high - low)) * (bottom - top);
    this.background(pen, top, bottom);
    pen.strokeStyle = css("line");
    pen.lineWidth = 1;
    pen.fillStyle = css("muted");
    pen.textAlign = "right";
    for (const m of niceTicks(low, high, Math.max(2, (bottom - top) / 38)).ticks) {
      pen.beginPath();
      pen.moveTo(this.left, Math.round(y(m)) + 0.5);
      pen.lineTo(this.right, Math.round(y(m)) + 0.5);
      pen.stroke();
      pen.fillText(m.toFixed(1).replace("-", "−"), this.left - 9, y(m));
    }
    this.timeAxis(pen, bottom);
    this.points = this.events.map((event) => ({ event, x: this.x(event.time), y: y(event.mag ?? low), r: radius(event.mag, this.smallest) * 0.8 }));
    if (this.points.length <= 400) {
      pen.globalAlpha = 0.35;
      pen.strokeStyle = css("faint");
      pen.beginPath();
      for (const point of this.points) {
        pen.moveTo(point.x, bottom);
        pen.lineTo(point.x, point.y + point.r);
      }
      pen.stroke();
      pen.globalAlpha = 1;
    }
    pen.save();
    pen.beginPath();
    pen.rect(this.left - 8, 0, this.right - this.left + 16, bottom + 6);
    pen.clip();
    this.circles(pen);
    pen.restore();
  }

  // Hatched where too few stations watched to find an event; along the axis a bar as high as the share of stations watching.
  background(pen, top, bottom) {
    if (!this.coverage) return;
    const n = Math.max(this.coverage.n_stations, 1);
    pen.fillStyle = hatch(pen);
    pen.fillRect(this.left, top, this.right - this.left, bottom - top + 8);
    for (const { start, end, located } of this.coverage.timeline) {
      if (located < Math.min(this.coverage.min_stations, n)) continue;
      const a = Math.max(this.x(Date.parse(start)), this.left);
      const b = Math.min(this.x(Date.parse(end)), this.right);
      if (b <= a) continue;
      const wide = Math.max(b - a, 0.75);
      pen.fillStyle = css("panel");
      pen.fillRect(a, top - 1, wide, bottom - top + 10);
      pen.fillStyle = css("good");
      pen.globalAlpha = 0.65;
      const tall = Math.max(1, (5 * located) / n);
      pen.fillRect(a, bottom + 7 - tall, wide, tall);
      pen.globalAlpha = 1;
    }
  }

  timeAxis(pen, bottom) {
    const [from, to] = this.span;
    pen.textAlign = "center";
    pen.fillStyle = css("muted");
    for (const [t, text] of timeMarks(from, to, (this.right - this.left) / 84)) {
      const x = this.x(t);
      pen.fillRect(Math.round(x), bottom, 1, 3);
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x, this.left - 30 + half), this.right + 12 - half), bottom + 19);
    }
  }
}

export class DepthPlot extends EventPlot {
  constructor(canvas, handlers) {
    super(canvas, handlers);
    this.cursor = "";
    this.axis = "longitude";
    this.bounds = { west: -180, east: 180, south: -90, north: 90 };
    this.stations = [];
  }

  show({ events, stations, scale, deepest, smallest, bounds, axis }) {
    Object.assign(this, { events, stations, scale, deepest, smallest, bounds, axis });
    this.draw();
  }

  static(pen, width, height) {
    const left = 42;
    const right = width - 16;
    const top = 18;
    const bottom = height - 30;
    if (bottom <= top || right <= left || !this.deepest) return;
    const along = this.axis === "longitude";
    const [low, high] = along ? [this.bounds.west, this.bounds.east] : [this.bounds.south, this.bounds.north];
    const across = (item) => {
      let value = along ? item.longitude : item.latitude;
      if (along) while (value < low) value += 360;
      return left + ((value - low) / (high - low)) * (right - left);
    };
    const floor = this.deepest * 1.08;
    const y = (depth) => top + (Math.min(Math.max(depth, -2), floor) / floor) * (bottom - top);
    pen.strokeStyle = css("line");
    pen.fillStyle = css("muted");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    for (const depth of niceTicks(0, this.deepest, Math.max(2, (bottom - top) / 38)).ticks) {
      pen.beginPath();
      pen.moveTo(left, Math.round(y(depth)) + 0.5);
      pen.lineTo(right, Math.round(y(depth)) + 0.5);
      pen.stroke();
      pen.fillText(depth ? String(Number(depth.toFixed(1))) : "0 km", left - 9, y(depth));
    }
    pen.textAlign = "center";
    const { ticks, step } = niceTicks(low, high, Math.max(2, (right - left) / 76));
    const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    for (const value of ticks) {
      const x = left + ((value - low) / (high - low)) * (right - left);
      pen.fillRect(Math.round(x), bottom, 1, 3);
      const shown = along ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
      const side = along ? (shown < 0 ? "W" : "E") : shown < 0 ? "S" : "N";
      pen.fillText(`${Math.abs(shown).toFixed(decimals)}°${Math.abs(shown) < 1e-9 || Math.abs(shown) === 180 ? "" : side}`, x, bottom + 19);
    }
    pen.save();
    pen.beginPath();
    pen.rect(left - 6, 0, right - left + 12, bottom + 6);
    pen.clip();
    for (const station of this.stations) {
      const x = across(station);
      if (x < left || x > right) continue;
      pen.fillStyle = css(station.health === "good" ? "good" : station.health === "partial" ? "partial" : "silent");
      pen.beginPath();
      pen.moveTo(x, top - 9);
      pen.lineTo(x + 4, top - 2);
      pen.lineTo(x - 4, top - 2);
      pen.fill();
    }
    this.points = this.events.map((event) => ({ event, x: across(event), y: y(event.depth ?? 0), r: radius(event.mag, this.smallest) * 0.8 }));
    if (this.points.length <= 300) {
      pen.strokeStyle = css("faint");
      pen.globalAlpha = 0.55;
      pen.beginPath();
      for (const { event, x } of this.points) {
        if (!event.depthRange) continue;
        pen.moveTo(x, y(event.depthRange[0]));
        pen.lineTo(x, y(event.depthRange[1]));
      }
      pen.stroke();
      pen.globalAlpha = 1;
    }
    this.circles(pen);
    pen.restore();
  }
}
