// The list of events beside the map. Only the rows on screen exist, so 100,000 events scroll well.

import { clock, count, day, el, fixed, magnitude, plural } from "./format.js";

const ROW = 52;
const MOST_PRINTED = 2000;

export class EventList {
  constructor(box, inner, { onSelect, onHover }) {
    Object.assign(this, { box, inner, onSelect, onHover });
    this.events = [];
    this.selected = null;
    this.isPrinting = false;
    this.scale = null;
    this.rows = new Map();
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("keydown", (e) => {
      const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[e.key];
      if (step) this.move(step);
      if (step) e.preventDefault();
    });
  }

  show(events, scale, empty) {
    this.events = events;
    this.scale = scale;
    this.rows.clear();
    this.inner.replaceChildren();
    this.inner.style.height = events.length ? `${events.length * ROW}px` : "auto";
    if (!events.length && empty) this.inner.append(empty);
    this.draw();
  }

  select(id, reveal = true) {
    this.selected = id;
    const i = this.index(id);
    if (reveal && i >= 0 && this.box.scrollHeight > this.box.clientHeight) {
      const top = i * ROW;
      if (top < this.box.scrollTop || top + ROW > this.box.scrollTop + this.box.clientHeight) {
        this.box.scrollTop = top - this.box.clientHeight / 2 + ROW / 2;
      }
    }
    for (const [key, row] of this.rows) row.setAttribute("aria-selected", key === id);
    if (i >= 0) this.box.setAttribute("aria-activedescendant", `row-${id}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  // On paper every row is there.
  print(isPrinting) {
    this.isPrinting = isPrinting;
    this.draw();
  }

  light(id) {
    for (const [key, row] of this.rows) row.classList.toggle("lit", key === id);
  }

  index(id) {
    return id ? this.events.findIndex((event) => event.id === id) : -1;
  }

  // The event `step` places further down, or null at the ends.
  neighbour(id, step) {
    const i = this.index(id);
    return i < 0 ? (this.events[0] ?? null) : (this.events[i + step] ?? null);
  }

  move(step) {
    const next = this.neighbour(this.selected, step);
    if (next) this.onSelect(next.id);
  }

  draw() {
    if (!this.events.length) return;
    const frame = this.inner.getBoundingClientRect();
    const view = this.box.getBoundingClientRect();
    const top = Math.max(view.top, 0) - frame.top;
    const bottom = Math.min(view.bottom, innerHeight) - frame.top;
    const first = this.isPrinting ? 0 : Math.max(0, Math.floor(top / ROW) - 6);
    // A list still below the screen has its first rows, so that a finger or reader finds them.
    const seen = Math.max(Math.ceil(bottom / ROW), 0) + 6;
    const last = Math.min(this.events.length, this.isPrinting ? MOST_PRINTED : seen);
    const wanted = new Set();
    if (this.isPrinting) { // in their order, also in the document
      this.rows.clear();
      this.inner.replaceChildren();
    }
    for (let i = first; i < last; i += 1) {
      const event = this.events[i];
      wanted.add(event.id);
      if (!this.rows.has(event.id)) this.rows.set(event.id, this.inner.appendChild(this.row(event, i)));
    }
    for (const [id, row] of this.rows) {
      if (!wanted.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
  }

  row(event, i) {
    const mark = el("i");
    mark.style.background = this.scale.of(event);
    const row = el(
      "div",
      {
        class: "row", role: "option", id: `row-${event.id}`, "aria-selected": event.id === this.selected,
        "aria-label": `Magnitude ${magnitude(event.mag)}, ${day(event.time)} ${clock(event.time)}, depth ${fixed(event.depth, 1)} km`,
        onclick: () => this.onSelect(event.id),
        onmouseenter: () => this.onHover(event.id),
        onmouseleave: () => this.onHover(null),
      },
      el("span", { class: "mag" }, mark, magnitude(event.mag)),
      el("span", { class: "when" }, el("b", {}, clock(event.time)), el("span", {}, day(event.time))),
      el("span", { class: "much" }, el("b", {}, `${fixed(event.depth, 1)} km`), `${plural(event.nStations, "station")} `, el("span", { class: "quality", title: "Quality class" }, event.quality)),
    );
    row.style.top = `${i * ROW}px`;
    return row;
  }
}
