// The picks of one event under an analyst's hands: what was changed, what the server makes of it,
// and what stands now beside it. Nothing is kept until it is saved.

import { createEvent, getEvent, getPredicted, getSection, getWaveforms, reviewEvent, solve } from "./api.js";
import { signed } from "./analyst.js";
import { clock, day, el, fixed, iso, magnitude, parseTime, plural, signed as plus } from "./format.js";
import { RecordSection, picksOf, stationOf } from "./records.js";

const BINS = 4000;
const WAIT_MS = 350;
const NUDGE_MS = 10;

const asked = (pick) => ({ channel: pick.channel, phase: pick.phase, time: pick.time ?? new Date(pick.at).toISOString(), uncertainty_s: pick.uncertainty ?? undefined, polarity: pick.polarity ?? undefined });

export class Editor {
  // `event` is the answer of /api/events/…, or null with `limits` to make a new one.
  constructor(box, { event, limits, component, onDone, onProposal }) {
    Object.assign(this, { box, event, limits, component: component ?? "Z", onDone, onProposal });
    this.depth = null;
    this.undone = [];
    this.splitting = new Set();
    this.abort = new AbortController();
  }

  async open() {
    const canvas = el("canvas", { class: "edited", tabindex: "0", role: "application", "aria-label": "Waveforms with picks. P and S set a pick under the pointer, Delete removes the one selected, arrows move it." });
    this.records = new RecordSection(canvas, { onEdit: (edit) => this.edit(edit), lane: 62 });
    this.frame = el("div", { class: "records" }, canvas);
    this.parts = { result: el("div", { class: "result", "aria-live": "polite" }), components: el("span", { class: "switch" }), problem: el("p", { class: "problem", role: "alert" }), picks: el("div", {}) };
    this.reason = el("input", { type: "text", class: "field wide", maxlength: 500, placeholder: "Why (kept with the change)", "aria-label": "Reason" });
    this.saveButton = el("button", { type: "button", class: "button main", onclick: () => this.save(), title: "Ctrl + Enter" }, this.event ? "Save" : "Create event");
    this.box.replaceChildren(this.head(), this.parts.result, this.toolbar(), this.frame, this.hint(), this.parts.picks, this.parts.problem);
    this.keys = (e) => this.key(e);
    addEventListener("keydown", this.keys, true);
    await this.load();
    this.solve();
    canvas.focus({ preventScroll: true });
  }

  close() {
    this.abort.abort();
    clearTimeout(this.waiting);
    removeEventListener("keydown", this.keys, true);
    this.onProposal(null);
  }

  head() {
    const title = this.event ? `Edit ${this.event.properties.magnitude_type ?? "M"} ${magnitude(this.event.properties.magnitude)}, ${day(Date.parse(this.event.properties.time))} ${clock(Date.parse(this.event.properties.time))}` : "New event";
    return el("div", { class: "editor-head" },
      el("h2", {}, title),
      el("div", { class: "actions" }, this.reason,
        el("button", { type: "button", class: "button", onclick: () => this.cancel(), title: "Escape" }, "Cancel"), this.saveButton));
  }

  toolbar() {
    const tool = (name, text, title) => el("button", { type: "button", "aria-pressed": "false", "data-tool": name ?? "", title, onclick: () => this.choose(name) }, text);
    this.tools = el("span", { class: "switch", role: "group", "aria-label": "What a click does" }, tool(null, "Move", "Drag picks, or the waveforms"), tool("P", "P", "A click sets a P pick; key p sets one under the pointer"), tool("S", "S", "A click sets an S pick; key s sets one under the pointer"));
    const depth = el("input", { type: "number", class: "field", step: "0.1", placeholder: "free", "aria-label": "Fixed depth, km", id: "fixed-depth" });
    depth.addEventListener("input", () => {
      this.depth = Number.isFinite(parseFloat(depth.value)) ? parseFloat(depth.value) : null;
      this.later();
    });
    const zoom = el("span", { class: "switch" },
      el("button", { type: "button", title: "Ctrl + wheel, +", onclick: () => this.records.zoom(1.6) }, "+"),
      el("button", { type: "button", title: "Ctrl + wheel, −", onclick: () => this.records.zoom(1 / 1.6) }, "−"));
    const parts = [this.tools, zoom, this.parts.components, el("label", { class: "inline" }, "Depth ", depth, " km"),
      el("button", { type: "button", class: "button", id: "undo-edit", title: "Ctrl + Z", onclick: () => this.takeBack() }, "Undo")];
    if (this.event) parts.push(el("button", { type: "button", class: "button", id: "split", hidden: "", onclick: () => this.split() }, "Split"));
    else parts.push(this.window());
    this.choose(null);
    return el("div", { class: "toolbar" }, parts);
  }

  // The time window in which a missed event is looked for.
  window() {
    const field = el("input", { type: "text", class: "field time", value: iso(this.limits[0]).slice(0, 19).replace("T", " "), "aria-label": "Start of the window, UTC" });
    const move = (from) => {
      const width = this.limits[1] - this.limits[0];
      this.limits = [from, from + width];
      field.value = iso(from).slice(0, 19).replace("T", " ");
      this.load();
    };
    field.addEventListener("change", () => {
      const from = parseTime(field.value);
      if (!Number.isNaN(from)) move(from);
    });
    const step = (share) => move(this.limits[0] + share * (this.limits[1] - this.limits[0]));
    return el("span", { class: "inline" }, el("button", { type: "button", class: "button", onclick: () => step(-0.5), "aria-label": "Earlier" }, "←"), field, el("button", { type: "button", class: "button", onclick: () => step(0.5), "aria-label": "Later" }, "→"));
  }

  hint() {
    return el("p", { class: "key" }, "Drag a pick to move it. p or s sets one under the pointer; a click on a faint one takes it in; Delete removes; ← → nudge by 10 ms. Ctrl + wheel zooms.");
  }

  choose(name) {
    this.records.tool = name;
    for (const button of this.tools.children) button.setAttribute("aria-pressed", (button.dataset.tool || null) === name);
  }

  async load() {
    const { signal } = this.abort;
    try {
      const answer = this.event ? await getWaveforms(this.event.id, this.component, BINS, signal) : await getSection(this.limits, this.component, BINS, signal);
      const keepView = this.answer !== undefined && Boolean(this.event);
      this.answer = answer;
      const found = picksOf(answer, this.event?.id);
      if (!this.own) {
        this.own = found.own;
        this.first = JSON.stringify(found.own.map(asked));
      }
      const held = new Set(this.own.map((pick) => `${pick.channel} ${pick.phase} ${pick.at}`));
      this.free = [...found.own, ...found.free].filter((pick) => !held.has(`${pick.channel} ${pick.phase} ${pick.at}`));
      this.records.show(answer, { own: this.own, free: this.free, keepView });
      this.parts.components.replaceChildren(...answer.components.map((name) => el("button", { type: "button", "aria-pressed": name === this.component, onclick: () => {
        this.component = name;
        this.load();
      } }, name)));
      if (this.event && !this.proposal) this.expect(await getPredicted(this.event.id, signal));
      this.list();
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    }
  }

  expect(times) {
    this.records.setPredicted(new Map(times.map((t) => [`${stationOf(t)} ${t.phase}`, Date.parse(t.time)])));
  }

  edit({ kind, pick, trace, phase, at }) {
    this.undone.push(this.own.map((one) => (one === pick && kind === "move" ? { ...one, at: this.records.held } : { ...one })));
    if (kind === "move") Object.assign(pick, { at, time: null, manual: true, residual: null });
    else if (kind === "remove") this.drop(pick);
    else if (kind === "adopt") {
      this.drop(this.own.find((one) => one.station === pick.station && one.phase === pick.phase));
      this.free = this.free.filter((one) => one !== pick);
      this.own.push(pick);
    } else if (kind === "set") {
      const station = stationOf(trace);
      const old = this.own.find((one) => one.station === station && one.phase === phase);
      const fresh = { station, channel: channelFor(trace, phase, this.answer.components), phase, at, time: null, manual: true, residual: null };
      this.drop(old, true);
      this.own.push(fresh);
      this.records.selected = fresh;
    }
    this.records.setPicks(this.own, this.free);
    this.list();
    this.later();
  }

  drop(pick, forGood = false) {
    if (!pick) return;
    this.own = this.own.filter((one) => one !== pick);
    if (!forGood && !pick.manual) this.free.push({ ...pick, residual: null });
    if (this.records.selected === pick) this.records.selected = null;
    this.splitting.delete(pick);
  }

  takeBack() {
    const before = this.undone.pop();
    if (!before) return;
    this.own = before;
    this.records.selected = null;
    this.records.setPicks(this.own, this.free.filter((pick) => !before.some((one) => one.channel === pick.channel && one.phase === pick.phase && one.at === pick.at)));
    this.list();
    this.later();
  }

  key(e) {
    if (e.target.matches?.("input, select, textarea")) {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) this.save();
      return;
    }
    const chosen = this.records.selected;
    const act = {
      p: () => this.records.set("P"), s: () => this.records.set("S"), Escape: () => this.cancel(),
      "+": () => this.records.zoom(1.6), "-": () => this.records.zoom(1 / 1.6),
      Delete: () => chosen && this.edit({ kind: "remove", pick: chosen }), Backspace: () => chosen && this.edit({ kind: "remove", pick: chosen }),
      ArrowLeft: () => this.nudge(chosen, e.shiftKey ? -10 : -1), ArrowRight: () => this.nudge(chosen, e.shiftKey ? 10 : 1),
    };
    if ((e.ctrlKey || e.metaKey) && e.key === "z") this.takeBack();
    else if ((e.ctrlKey || e.metaKey) && e.key === "Enter") this.save();
    else if (!e.ctrlKey && !e.metaKey && act[e.key]) act[e.key]();
    else return;
    e.preventDefault();
    e.stopImmediatePropagation();
  }

  nudge(pick, steps) {
    if (!pick) return;
    this.records.held = pick.at;
    this.edit({ kind: "move", pick, at: pick.at + steps * NUDGE_MS });
  }

  later() {
    clearTimeout(this.waiting);
    this.parts.result.classList.add("stale");
    this.waiting = setTimeout(() => this.solve(), WAIT_MS);
  }

  // Asks what the picks as they are now would give; the newest question counts.
  async solve() {
    const number = (this.asking = (this.asking ?? 0) + 1);
    if (!this.own?.length) {
      this.result({ after: null, reason: this.event ? "no picks" : "set picks at three stations or more", before: this.event?.properties ?? null });
      return;
    }
    try {
      const answer = await solve({ event_id: this.event?.id, picks: this.own.map(asked), depth_km: this.depth });
      if (number === this.asking) this.result(answer);
    } catch (error) {
      if (number === this.asking) this.result({ after: null, reason: error.message, before: this.event?.properties ?? null });
    }
  }

  result(answer) {
    this.proposal = answer;
    const { before, after } = answer;
    this.parts.result.classList.remove("stale");
    this.parts.result.replaceChildren(after ? comparison(before, after.properties) : el("p", { class: this.own?.length ? "problem" : "note" }, this.own?.length ? `Not located: ${answer.reason}` : `Nothing to locate: ${answer.reason}. Faint picks can be taken in with a click.`));
    this.saveButton.disabled = !after;
    if (after) {
      const residuals = new Map(after.arrivals.map((a) => [`${stationOf(a)} ${a.phase}`, a]));
      for (const pick of this.own) Object.assign(pick, { residual: residuals.get(`${pick.station} ${pick.phase}`)?.residual_s ?? null, weight: residuals.get(`${pick.station} ${pick.phase}`)?.weight ?? null });
      const expected = new Map(this.records.predicted);
      for (const pick of this.own) if (pick.residual !== null) expected.set(`${pick.station} ${pick.phase}`, pick.at - pick.residual * 1000);
      this.records.setPredicted(expected);
      this.onProposal(after.properties);
    } else this.onProposal(null);
    this.list();
  }

  list() {
    const ordered = [...(this.own ?? [])].sort((a, b) => a.at - b.at);
    const row = (pick) => {
      const tick = el("input", { type: "checkbox", "aria-label": `Split off ${pick.station} ${pick.phase}` });
      tick.checked = this.splitting.has(pick);
      tick.addEventListener("change", () => {
        if (tick.checked) this.splitting.add(pick);
        else this.splitting.delete(pick);
        this.offerSplit();
      });
      return el("tr", { class: pick === this.records.selected ? "lit" : null },
        this.event ? el("td", {}, tick) : null,
        el("td", {}, pick.station.split(".")[1]),
        el("td", {}, el("span", { class: `phase phase-${pick.phase}` }, pick.phase)),
        el("td", {}, clock(pick.at, 3)),
        el("td", {}, pick.manual ? "manual" : fixed(pick.probability, 2)),
        el("td", { class: Math.abs(pick.residual ?? 0) > 0.3 ? "bad" : null }, plus(pick.residual ?? null)),
        el("td", {}, fixed(pick.weight ?? null, 2)),
        el("td", {}, el("button", { type: "button", class: "quiet", "aria-label": `Remove ${pick.station} ${pick.phase}`, onclick: () => this.edit({ kind: "remove", pick }) }, "✕")));
    };
    const head = [...(this.event ? [""] : []), "Station", "Phase", "Time", "Prob.", "Residual, s", "Weight", ""];
    this.parts.picks.replaceChildren(el("h3", {}, plural(ordered.length, "pick")), el("div", { class: "scroll" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, ordered.map(row)))));
    this.offerSplit();
  }

  offerSplit() {
    const button = this.box.querySelector("#split");
    if (!button) return;
    button.hidden = this.splitting.size === 0;
    button.textContent = `Split off ${plural(this.splitting.size, "pick")}`;
  }

  say(text) {
    this.parts.problem.textContent = text;
  }

  isChanged() {
    return this.depth !== null || (this.own && JSON.stringify(this.own.map(asked)) !== this.first);
  }

  cancel() {
    this.onDone(this.event?.id ?? null);
  }

  async save() {
    if (this.saveButton.disabled) return;
    const picks = this.own.map(asked);
    const sign = signed(this.reason.value);
    await this.keep(async () => {
      if (!this.event) return (await createEvent({ picks, depth_km: this.depth, ...sign })).id;
      return (await reviewEvent(this.event.id, "solution", { revision: this.event.properties.revision, picks, depth_km: this.depth, ...sign })).id;
    });
  }

  async split() {
    const picks = [...this.splitting].map(asked);
    await this.keep(async () => {
      const [stays] = await reviewEvent(this.event.id, "split", { revision: this.event.properties.revision, picks, ...signed(this.reason.value) });
      return stays.id;
    });
  }

  async keep(work) {
    this.say("");
    this.saveButton.disabled = true;
    this.saveButton.textContent = "Saving…";
    try {
      this.onDone(await work(), true);
    } catch (error) {
      this.saveButton.disabled = false;
      this.saveButton.textContent = this.event ? "Save" : "Create event";
      if (error.status === 409 && this.event) {
        this.event = await getEvent(this.event.id).catch(() => this.event);
        this.say(`${error.message}. It is now at revision ${this.event.properties.revision}; saving again replaces that.`);
      } else this.say(error.message);
    }
  }
}

// The component a phase is read on: vertical for P, the horizontal shown for S.
function channelFor(trace, phase, components) {
  const sensor = trace.channel.slice(0, 2);
  const shown = trace.channel.slice(2);
  const horizontal = shown !== "Z" ? shown : ["N", "1", "E", "2"].find((name) => components.includes(name)) ?? shown;
  return `${stationOf(trace)}.${trace.location}.${sensor}${phase === "P" ? "Z" : horizontal}`;
}

export function kilometres(a, b) {
  const shrink = Math.cos(((a.latitude + b.latitude) / 2) * (Math.PI / 180));
  let east = b.longitude - a.longitude;
  if (Math.abs(east) > 180) east -= Math.sign(east) * 360;
  return 111.195 * Math.hypot(b.latitude - a.latitude, east * shrink);
}

// What is held beside what would be.
export function comparison(before, after) {
  const rows = [
    ["Origin time", (p) => clock(Date.parse(p.time), 2), (a, b) => `${plus((Date.parse(b.time) - Date.parse(a.time)) / 1000)} s`],
    ["Epicentre", (p) => `${p.latitude.toFixed(4)}, ${p.longitude.toFixed(4)}`, (a, b) => `${kilometres(a, b).toFixed(2)} km`],
    ["Depth", (p) => `${fixed(p.depth_km, 1)} km`, (a, b) => (a.depth_km === null || b.depth_km === null ? "" : `${plus(b.depth_km - a.depth_km, 1)} km`)],
    ["Ellipse, 68 %", (p) => `${fixed(p.ellipse_major_km, 2)} × ${fixed(p.ellipse_minor_km, 2)} km`, () => ""],
    ["Residuals, rms", (p) => `${fixed(p.rms_s, 3)} s`, (a, b) => (a.rms_s === null || b.rms_s === null ? "" : `${plus(b.rms_s - a.rms_s, 3)} s`)],
    ["Gap", (p) => `${fixed(p.azimuthal_gap_deg, 0)}°`, (a, b) => (a.azimuthal_gap_deg === null || b.azimuthal_gap_deg === null ? "" : `${plus(b.azimuthal_gap_deg - a.azimuthal_gap_deg, 0)}°`)],
    ["Phases, quality", (p) => `${p.n_phases}, ${p.quality}`, (a, b) => plus(b.n_phases - a.n_phases, 0)],
  ];
  const cells = rows.map(([name, say, change]) => el("tr", {}, el("th", { scope: "row" }, name), before ? el("td", {}, say(before)) : null, el("td", { class: "new" }, say(after)), before ? el("td", { class: "change" }, change(before, after)) : null));
  return el("table", { class: "data compare" }, el("thead", {}, el("tr", {}, el("th", {}, ""), before ? el("th", { scope: "col" }, "Held") : null, el("th", { scope: "col" }, "Proposed"), before ? el("th", { scope: "col" }, "Change") : null)), el("tbody", {}, cells));
}
