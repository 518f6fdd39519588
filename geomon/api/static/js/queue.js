// The review queue: what the picker is least sure of, first, and windows to review whole; a key
// for each answer.

import { analyst, signed } from "./analyst.js";
import { getComponents, getQueue, getWaveforms, getWindows, judgePick, reviewEvent } from "./api.js";
import { clock, day, el, fixed, magnitude, plural } from "./format.js";
import { RecordSection, picksOf } from "./records.js";
import { state, update } from "./state.js";
import { WindowReview } from "./windows.js";

const LIMIT = 60;
const BEFORE_MS = 8000;
const AFTER_MS = 14000;

// What can be reviewed: its name, the keys, and what an empty list means.
const KINDS = {
  events: ["Events", "The least probable first. c confirms, x rejects, o opens the event, j and k move.", "No automatic event of this time is left without a judgement."],
  picks: ["Picks", "The nearest to their threshold first. c: it is right, x: nothing there, u: cannot tell, o opens the event, j and k move.", "No automatic pick of this time is left without a judgement."],
  windows: ["Windows", "Where the picker is least sure comes first. To learn from: mark every onset of a window, or say that there is none.", "No window of this time has a pick that is in doubt and may be learned from."],
  exam: ["Exam", "Drawn at random, in this order, whatever anyone saw there: what every new picker is measured on. Mark every onset of a window, or say that there is none.", "No hour of this time is kept for the exam, or all its windows were reviewed. About one hour in four is; show a longer time."],
};

export class QueueView {
  constructor(box, { onOpen, onChanged }) {
    Object.assign(this, { box, onOpen, onChanged });
    this.done = 0;
  }

  close() {
    this.abort?.abort();
    this.review?.close();
    this.items = this.review = null;
  }

  get kind() {
    return state.queue;
  }

  async open(limits) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.limits = limits;
    this.kinds = el("span", { class: "switch" }, Object.entries(KINDS).map(([kind, [text]]) => el("button", { type: "button", "data-kind": kind, onclick: () => this.choose(kind) }, text)));
    this.about = el("p", { class: "note" });
    this.counter = el("span", { class: "aside", "aria-live": "polite" });
    this.listBox = el("div", { class: "queue-list", role: "listbox", tabindex: "0", "aria-label": "What to review" });
    this.pane = el("div", { class: "queue-pane" });
    this.box.replaceChildren(el("div", { class: "sheet-inner queue" },
      el("div", { class: "queue-head" }, el("h2", {}, "Review"), this.kinds, this.counter, this.about),
      el("div", { class: "queue-body" }, this.listBox, this.pane)));
    try {
      const ask = (purpose) => getWindows(limits, purpose, LIMIT, this.abort.signal);
      const [queue, windows, exam] = await Promise.all([getQueue(limits, LIMIT, this.abort.signal), ask("training"), ask("exam")]);
      this.reviewed = { windows: windows.n_reviewed, exam: exam.n_reviewed };
      this.items = {
        events: queue.events.map((p) => ({ kind: "events", p })),
        picks: queue.picks.map((pick) => ({ kind: "picks", pick, threshold: queue.thresholds[pick.phase] })),
        windows: windows.windows.map((window) => ({ kind: "windows", window })),
        exam: exam.windows.map((window) => ({ kind: "exam", window })),
      };
    } catch (error) {
      if (error.name !== "AbortError") this.pane.replaceChildren(el("p", { class: "problem" }, error.message));
      return;
    }
    this.choose(this.kind);
  }

  choose(kind) {
    update({ queue: kind });
    if (!this.items) return; // still being asked for; the choice is kept
    this.done = 0;
    this.about.textContent = KINDS[kind][1];
    for (const button of this.kinds.children) {
      button.setAttribute("aria-pressed", button.dataset.kind === kind);
      button.replaceChildren(`${KINDS[button.dataset.kind][0]} `, el("small", {}, this.items[button.dataset.kind].length));
    }
    this.listBox.replaceChildren(...this.items[kind].map((item, i) => this.row(item, i)));
    this.show(0);
  }

  row(item, i) {
    const text = item.window
      ? [item.window.stream.split(".")[1], `${day(Date.parse(item.window.start))} ${clock(Date.parse(item.window.start))}`, `${plural(item.window.n_picks, "pick")}${item.window.n_doubtful ? `, ${item.window.n_doubtful} in doubt` : ""}`]
      : item.kind === "events"
      ? [`M ${magnitude(item.p.magnitude)}`, `${day(Date.parse(item.p.time))} ${clock(Date.parse(item.p.time))}`, `p ${fixed(item.p.probability, 3)} · ${plural(item.p.n_phases, "phase")}`]
      : [item.pick.phase, `${item.pick.channel.split(".")[1]} ${clock(Date.parse(item.pick.time), 1)}`, `p ${fixed(item.pick.probability, 2)}${item.pick.event_id ? "" : " · no event"}`];
    item.element = el("div", { class: "queue-row", role: "option", onclick: () => this.show(i) }, el("b", { class: item.kind === "picks" ? `phase-${item.pick.phase}` : null }, text[0]), el("span", {}, text[1]), el("small", {}, text[2]));
    return item.element;
  }

  async show(i) {
    const items = this.items[this.kind];
    this.at = Math.min(Math.max(i, 0), items.length - 1);
    this.tell();
    const item = items[this.at];
    if (!item) {
      this.pane.replaceChildren(el("div", { class: "empty" }, el("b", {}, "Nothing to review"), KINDS[this.kind][2]));
      return;
    }
    for (const one of items) one.element.setAttribute("aria-selected", one === item);
    item.element.scrollIntoView({ block: "nearest" });
    this.shown?.abort();
    this.review?.close();
    this.review = null;
    this.shown = new AbortController();
    await (item.window ? this.showWindow(item) : item.kind === "events" ? this.showEvent(item) : this.showPick(item)).catch((error) => {
      if (error.name !== "AbortError") this.pane.replaceChildren(el("p", { class: "problem" }, error.message));
    });
  }

  tell() {
    const left = this.items[this.kind].filter((item) => !item.verdict).length;
    const done = (this.reviewed[this.kind] ?? 0) + this.done;
    this.counter.textContent = `${left} left${done ? `, ${done} ${this.reviewed[this.kind] === undefined ? "judged" : "reviewed"}` : ""}`;
  }

  buttons(item) {
    if (!analyst.mayWrite) return el("p", { class: "note" }, "Log in to judge.");
    const button = (verdict, text, key, kind = "") => el("button", { type: "button", class: `button ${item.verdict === verdict ? "main" : kind}`, title: key, onclick: () => this.judge(verdict) }, text);
    const parts = item.kind === "events"
      ? [button("correct", "Confirm", "c"), button("wrong", "Reject", "x"), el("button", { type: "button", class: "button", title: "o", onclick: () => this.onOpen(item.p.event_id) }, "Open")]
      : [button("correct", `It is ${item.pick.phase}`, "c"), button("wrong", "Nothing there", "x"), button("unsure", "Cannot tell", "u"), item.pick.event_id ? el("button", { type: "button", class: "button", title: "o", onclick: () => this.onOpen(item.pick.event_id) }, "Open event") : null];
    this.problem = el("p", { class: "problem", role: "alert" });
    return el("div", {}, el("div", { class: "actions" }, parts.filter(Boolean)), this.problem);
  }

  canvas(label) {
    const canvas = el("canvas", { role: "img", "aria-label": label });
    return [new RecordSection(canvas, { lane: this.kind === "picks" ? 110 : 40 }), el("div", { class: "records" }, canvas)];
  }

  showWindow(item) {
    this.review = new WindowReview(this.pane, item, { signal: this.shown.signal, onSaved: () => this.answered(item, "correct") });
    return this.review.open();
  }

  async showEvent(item) {
    const [records, box] = this.canvas("Record section");
    const time = Date.parse(item.p.time);
    this.pane.replaceChildren(el("h3", {}, `M ${magnitude(item.p.magnitude)}, ${day(time)} ${clock(time, 1)}, ${fixed(item.p.depth_km, 1)} km deep`), el("p", { class: "note" }, `Probability ${fixed(item.p.probability, 3)} from ${plural(item.p.n_phases, "phase")} at ${plural(item.p.n_stations, "station")}, rms ${fixed(item.p.rms_s, 2)} s, gap ${fixed(item.p.azimuthal_gap_deg, 0)}°.`), this.buttons(item), box);
    const answer = await getWaveforms(item.p.event_id, "Z", 1200, this.shown.signal);
    records.show(answer, picksOf(answer, item.p.event_id));
  }

  async showPick(item) {
    const { pick } = item;
    const at = Date.parse(pick.time);
    const [records, box] = this.canvas("Three components around the pick");
    this.pane.replaceChildren(el("h3", {}, `${pick.phase} at ${pick.channel}, ${day(at)} ${clock(at, 2)}`), el("p", { class: "note" }, `Probability ${fixed(pick.probability, 3)}, threshold ${fixed(item.threshold, 2)}. ${pick.event_id ? "An event rests on it." : "It belongs to no event."}`), this.buttons(item), box);
    const limits = [at - BEFORE_MS, at + AFTER_MS];
    const answer = await getComponents(pick.channel.slice(0, -1), limits, 2200, this.shown.signal);
    const { free } = picksOf({ ...answer, traces: answer.traces.slice(0, 1) }, null);
    const same = (one) => one.phase === pick.phase && Math.abs(one.at - at) < 1;
    records.show({ ...answer, origin_time: pick.time }, { own: free.filter(same), free: free.filter((one) => !same(one)) });
  }

  key(e) {
    if (!this.items) return false;
    if (this.review?.key(e)) return true;
    const act = { c: () => this.judge("correct"), x: () => this.judge("wrong"), u: () => this.judge("unsure"), j: () => this.show(this.at + 1), k: () => this.show(this.at - 1), ArrowDown: () => this.show(this.at + 1), ArrowUp: () => this.show(this.at - 1), o: () => this.openCurrent() }[e.key];
    if (!act) return false;
    act();
    return true;
  }

  openCurrent() {
    const item = this.items[this.kind][this.at];
    const id = item?.p?.event_id ?? item?.pick.event_id;
    if (id) this.onOpen(id);
  }

  async judge(verdict) {
    const item = this.items[this.kind][this.at];
    if (!item || item.window || !analyst.mayWrite || this.busy || (item.kind === "events" && verdict === "unsure")) return;
    this.busy = true;
    try {
      if (item.kind === "events") await reviewEvent(item.p.event_id, "judgement", { state: verdict === "correct" ? "confirmed" : "rejected", ...signed("review queue") });
      else await judgePick({ channel: item.pick.channel, phase: item.pick.phase, time: item.pick.time, picker: item.pick.picker, verdict, ...signed("review queue") });
      await this.answered(item, verdict);
    } catch (error) {
      this.problem.textContent = error.message;
    } finally {
      this.busy = false;
    }
  }

  answered(item, verdict) {
    if (!item.verdict) this.done += 1;
    item.verdict = verdict;
    item.element.dataset.verdict = verdict;
    return this.show(Math.min(this.at + 1, this.items[this.kind].length - 1));
  }

  redraw() {
    if (this.items) this.show(this.at ?? 0);
  }
}
