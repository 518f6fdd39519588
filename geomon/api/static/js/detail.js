// The panel of one event: what is known, the records, the arrivals, the history.

import { analyst, onAnalyst, signed } from "./analyst.js";
import { getEvent, getHistory, getPredicted, getWaveforms, reviewEvent, solve } from "./api.js";
import { beachball } from "./beachball.js";
import { comparison } from "./editor.js";
import { clock, day, degrees, el, fixed, magnitude, plural } from "./format.js";
import { RecordSection, picksOf, stationOf } from "./records.js";
import { update } from "./state.js";
import { arrivalsTable, magnitudesTable, originsTable, versionsTable } from "./tables.js";

const QUALITY = {
  A: "well surrounded and well constrained",
  B: "good",
  C: "fair: few stations or a wide gap",
  D: "poor, or outside the network",
};

function fact(name, value, more = "") {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, ` ${more}`) : null));
}

function facts(p) {
  const [major, minor] = [p.ellipse_major_km, p.ellipse_minor_km];
  return el(
    "dl",
    { class: "facts" },
    fact("Epicentre", `${degrees(p.latitude, "N", "S")}, ${degrees(p.longitude, "E", "W")}`),
    fact("Uncertainty, 68 %", `${fixed(major, 1)} × ${fixed(minor, 1)} km`, `longer to ${fixed(p.ellipse_azimuth_deg, 0)}°`),
    fact("Depth", `${fixed(p.depth_km, 1)} km`, `${fixed(p.depth_low_km, 1)} to ${fixed(p.depth_high_km, 1)}`),
    fact("Origin time", `± ${fixed(p.time_uncertainty_s, 2)} s`, `rms ${fixed(p.rms_s, 2)} s`),
    fact("Stations", `${p.n_stations}`, plural(p.n_phases, "phase")),
    fact("Nearest, gap", `${fixed(p.nearest_station_km, 0)} km`, `${fixed(p.azimuthal_gap_deg, 0)}° gap`),
    fact("Quality", p.quality, QUALITY[p.quality]),
    fact("Probability", p.probability === null ? "–" : p.probability.toFixed(3), "that it is real, as the automatic run saw it"),
  );
}


// Asks once more before what cannot be seen at a glance; resolves to the reason, or null.
function ask(question, yes) {
  return new Promise((resolve) => {
    const input = el("input", { type: "text", class: "field wide", maxlength: 500, placeholder: "Why (kept with the change)" });
    const box = el("dialog", { class: "ask" }, el("form", { method: "dialog" }, el("p", {}, question), input,
      el("div", { class: "actions" }, el("button", { type: "submit", class: "button", value: "" }, "Cancel"), el("button", { type: "submit", class: "button main", value: "yes" }, yes))));
    box.addEventListener("close", () => {
      resolve(box.returnValue === "yes" ? input.value : null);
      box.remove();
    });
    input.addEventListener("keydown", (e) => {
      if (e.key !== "Enter") return;
      e.preventDefault();
      box.close("yes");
    });
    document.body.append(box);
    box.showModal();
  });
}

export class DetailPanel {
  constructor(box, { onClose, onStep, onEdit, onChanged, nearby }) {
    Object.assign(this, { box, onClose, onStep, onEdit, onChanged, nearby });
    this.id = null;
    onAnalyst(() => this.event && Boolean(this.box.querySelector(".review-bar")) !== analyst.mayWrite && !this.box.querySelector(".editor-head") && this.redraw());
  }

  close() {
    this.abort?.abort();
    this.id = null;
    this.event = null;
    this.box.hidden = true;
    this.box.replaceChildren();
  }

  async open(id, component, again = false) {
    const same = this.id === id && !again;
    this.abort?.abort();
    this.abort = new AbortController();
    this.id = id;
    this.box.hidden = false;
    const { signal } = this.abort;
    try {
      if (!same) {
        const [event, history] = await Promise.all([getEvent(id, signal), getHistory(id, signal)]);
        Object.assign(this, { event, history, component });
        const top = again ? this.box.scrollTop : 0;
        this.box.replaceChildren(...this.content(event));
        this.box.scrollTop = top;
        this.box.focus({ preventScroll: true });
      }
      await this.loadRecords(id, component, signal);
    } catch (error) {
      if (error.name !== "AbortError") this.box.replaceChildren(this.head(), el("div", { class: "empty" }, el("b", {}, "This event cannot be shown"), error.message));
    }
  }

  redraw() {
    return this.open(this.id, this.component ?? "Z", true);
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

  // What an analyst can do, one key each.
  review(p) {
    if (!analyst.mayWrite) return null;
    const button = (text, title, onclick, kind = "") => el("button", { type: "button", class: `button ${kind}`, title, onclick }, text);
    const types = el("select", { class: "field", "aria-label": "Event type" }, analyst.types.map((type) => el("option", { value: type }, type)));
    types.value = p.event_type;
    types.addEventListener("change", () => this.change("judgement", { event_type: types.value, ...signed() }));
    const canUndo = this.history[0]?.run_kind === "review";
    this.problem = el("p", { class: "problem", role: "alert" });
    return el("div", { class: "review-bar" },
      el("div", { class: "actions" },
        button("Confirm", "c", () => this.judge("confirmed"), p.review_state === "confirmed" ? "is-good" : ""),
        button("Reject", "x", () => this.judge("rejected"), p.review_state === "rejected" ? "is-bad" : ""),
        button("Edit picks", "e", () => this.onEdit(this.event), "main"),
        types,
        button("Merge…", "Join with another event", () => this.merge()),
        button("Comment…", "m", () => this.comment()),
        canUndo ? button("Undo", "Take back the last change, as a new revision", () => this.undo()) : null),
      this.problem);
  }

  judge(state) {
    const next = this.event.properties.review_state === state ? "reviewed" : state;
    return this.change("judgement", { state: next, ...signed() });
  }

  async comment() {
    const reason = await ask("A remark on this event", "Keep");
    if (reason) await this.change("comment", signed(reason));
  }

  async undo() {
    const reason = await ask(`Take back “${this.history[0].reason}” by ${this.history[0].actor}?`, "Undo");
    if (reason !== null) await this.change("undo", signed(reason));
  }

  async restore(to) {
    const reason = await ask(`Say again what revision ${to} said?`, "Restore");
    if (reason !== null) await this.change("restore", { revision: this.event.properties.revision, to, ...signed(reason) });
  }

  // Offers the events close in time; shows the joint solution before anything is saved.
  async merge() {
    const p = this.event.properties;
    const others = this.nearby(this.id);
    const boxes = others.map((one) => el("label", { class: "choice" }, el("input", { type: "checkbox", value: one.id }), ` M ${magnitude(one.mag)}  ${day(one.time)} ${clock(one.time, 1)}  ${fixed(one.depth, 1)} km`));
    const shown = el("div", { class: "result" });
    const reason = el("input", { type: "text", class: "field wide", maxlength: 500, placeholder: "Why (kept with the change)" });
    const save = el("button", { type: "button", class: "button main", disabled: "" }, "Merge");
    const dialog = el("dialog", { class: "ask wide" }, el("p", {}, el("b", {}, "Which events are the same earthquake?"), " Their ids will lead to this one."), ...(boxes.length ? boxes : [el("p", { class: "note" }, "No other event within two minutes.")]), shown, reason,
      el("div", { class: "actions" }, el("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel"), save));
    const chosen = () => [...dialog.querySelectorAll("input[type=checkbox]:checked")].map((input) => input.value);
    dialog.addEventListener("change", async () => {
      save.disabled = true;
      if (!chosen().length) return shown.replaceChildren();
      const answer = await solve({ event_id: this.id, with_events: chosen() }).catch((error) => ({ after: null, reason: error.message }));
      shown.replaceChildren(answer.after ? comparison(answer.before, answer.after.properties) : el("p", { class: "problem" }, answer.reason));
      save.disabled = !answer.after;
      return undefined;
    });
    save.addEventListener("click", async () => {
      const revisions = await Promise.all(chosen().map((id) => getEvent(id)));
      dialog.close();
      await this.change("merge", { revision: p.revision, others: revisions.map((one) => ({ event_id: one.id, revision: one.properties.revision })), ...signed(reason.value) });
    });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  async change(what, asked) {
    this.problem.textContent = "";
    try {
      const answer = await reviewEvent(this.event.id, what, asked);
      const gone = what === "undo" && !(await getEvent(this.id).catch(() => null));
      if (gone) this.onClose();
      else await this.redraw();
      this.onChanged();
      return answer;
    } catch (error) {
      if (error.status === 409) await this.redraw();
      this.problem.textContent = error.message;
      return null;
    }
  }

  key(e) {
    const act = { c: () => this.judge("confirmed"), x: () => this.judge("rejected"), e: () => this.onEdit(this.event), m: () => this.comment() }[e.key];
    if (!act || !analyst.mayWrite || !this.event) return false;
    act();
    return true;
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
    const origins = originsTable(event);
    const fdsn = (format) => `fdsnws/event/1/query?eventid=${encodeURIComponent(event.id)}&format=${format}`;
    const uncertainty = p.magnitude_uncertainty === null ? "" : ` ± ${fixed(p.magnitude_uncertainty, 2)}`;
    return [
      this.head(),
      el("h2", {}, p.magnitude === null ? "No magnitude" : `${p.magnitude_type} ${magnitude(p.magnitude)}`, el("small", {}, `${uncertainty}${p.magnitude === null ? "" : ` from ${plural(p.magnitude_n_stations, "station")}`}`),
        el("span", { class: `state state-${p.review_state}` }, p.event_type === "earthquake" ? p.review_state : `${p.event_type}, ${p.review_state}`)),
      el("p", { class: "moment" }, `${day(time)} ${clock(time, 2)} `, el("span", {}, "UTC"), event.id === this.id ? null : el("span", {}, ` — ${this.id} was merged into this event`)),
      this.review(p),
      el("div", { class: "with-ball" }, facts(p), event.mechanism ? mechanism(event.mechanism) : null),
      el("h3", {}, "Records", this.components),
      this.recordBox,
      el("p", { class: "key" }, key("p", "P pick"), key("s", "S pick"), el("span", {}, el("i", { class: "open" }), "predicted"), el("span", {}, "faint: picks of other events, or of none"), (this.filterNote = el("span", {}))),
      el("h3", {}, "Arrivals"),
      arrivalsTable(event, light),
      ...(event.station_magnitudes.length || event.other_magnitudes.length ? [el("h3", {}, "Magnitudes"), otherMagnitudes(event), magnitudesTable(event)] : []),
      el("h3", {}, "Versions"),
      versionsTable(event, this.history, { mayRestore: analyst.mayWrite, onRestore: (to) => this.restore(to) }),
      ...(origins ? [el("h3", {}, "Origins"), origins] : []),
      el("p", { class: "note" }, `Located with ${p.method} in ${p.velocity_model}. Run ${p.run || "unknown"}. Id ${event.id}.`),
      el("p", { class: "links" },
        el("a", { href: `${fdsn("xml")}&includearrivals=true` }, "QuakeML"), el("a", { href: fdsn("text") }, "Text"),
        el("a", { href: fdsn("csv") }, "CSV"), el("a", { href: fdsn("geojson") }, "GeoJSON")),
    ].filter(Boolean);
  }

  light(station) {
    this.records?.light(station);
    for (const row of this.box.querySelectorAll("tr[data-station]")) row.classList.toggle("lit", row.dataset.station === station);
  }

  async loadRecords(id, component, signal) {
    const bins = Math.round(Math.max(this.recordBox.clientWidth - 104, 300) * Math.min(devicePixelRatio || 1, 2));
    this.component = component;
    const answer = await getWaveforms(id, component, bins, signal);
    this.components.replaceChildren(...answer.components.map((name) => el("button", {
      type: "button", "aria-pressed": name === answer.component, onclick: () => update({ component: name }),
    }, name)));
    this.filterNote.textContent = answer.highpass_hz ? `above ${answer.highpass_hz} Hz, each trace to its own scale` : "";
    if (!answer.traces.some((trace) => trace.pieces.length)) {
      this.recordBox.replaceChildren(el("p", { class: "empty" }, el("b", {}, "No waveforms archived"), "The archive holds nothing of this event's stations around its time."));
      return;
    }
    const { own, free } = picksOf(answer, this.event.id);
    this.records.show(answer, { own, free });
    const times = await getPredicted(id, signal).catch((error) => {
      if (error.name === "AbortError") throw error;
      return [];
    });
    this.records.setPredicted(new Map(times.map((t) => [`${stationOf(t)} ${t.phase}`, Date.parse(t.time)])));
  }
}

function mechanism(m) {
  const plane = (strike, dip, rake) => `${fixed(strike, 0)}° / ${fixed(dip, 0)}° / ${fixed(rake, 0)}°`;
  return el("figure", { class: "mechanism" }, beachball(m), el("figcaption", {}, "Strike / dip / rake", el("b", {}, plane(m.strike_deg, m.dip_deg, m.rake_deg)), el("span", {}, plane(...m.auxiliary)),
    el("small", {}, `class ${m.quality}, ± ${fixed(m.uncertainty_deg, 0)}°, ${m.n_polarities} polarities`)));
}

function otherMagnitudes(event) {
  if (!event.other_magnitudes.length) return null;
  return el("p", { class: "note" }, "Also ", event.other_magnitudes.map((m) => `${m.magnitude_type} ${fixed(m.value, 2)} ± ${fixed(m.uncertainty, 2)} from ${plural(m.n_stations, "station")}`).join("; "), ".");
}
