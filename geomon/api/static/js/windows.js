// One window that is reviewed whole: every onset in it is marked, and nothing else is one. It is
// longer than a screen shows in detail, so it is gone through in parts.

import { analyst, signed } from "./analyst.js";
import { getChannel, getComponents, getVerdicts, judgeWindow } from "./api.js";
import { clock, day, el, plural } from "./format.js";
import { prepare } from "./plots.js";
import { RecordSection, picksOf, stationOf } from "./records.js";
import { css } from "./theme.js";

const PART_MS = 82_000;
const MARGIN_MS = 4_000;
const BINS = 6000;
const STRIP_BINS = 1600;
const NUDGE_MS = 10;

export class WindowReview {
  constructor(box, item, { signal, onSaved }) {
    Object.assign(this, { box, item, signal, onSaved });
    this.span = [Date.parse(item.window.start), Date.parse(item.window.end)];
    this.n = Math.ceil((this.span[1] - this.span[0]) / PART_MS);
    this.seen = new Set();
    this.undone = [];
    this.onsets = []; // what stays; picks that are none are in `wrong`
    this.wrong = [];
  }

  async open() {
    const { stream } = this.item.window;
    const canvas = el("canvas", { class: "edited", tabindex: "0", role: "application", "aria-label": "Waveforms of the window. P and S set an onset under the pointer, Delete says that the one selected is none, arrows move it." });
    this.records = new RecordSection(canvas, { onEdit: (edit) => this.edit(edit), lane: 104 });
    this.strip = el("canvas", { class: "strip", role: "img", "aria-label": "The whole window" });
    this.strip.addEventListener("click", (e) => {
      const box = this.strip.getBoundingClientRect();
      this.show(Math.floor(((e.clientX - box.left) / box.width) * this.n));
    });
    this.watcher = new ResizeObserver(() => this.drawStrip());
    this.watcher.observe(this.strip);
    this.said = el("p", { class: "note", "aria-live": "polite" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.box.replaceChildren(
      el("h3", {}, `${stream}, ${day(this.span[0])} ${clock(this.span[0])} to ${clock(this.span[1])}`), this.said, this.buttons(), this.problem, this.strip, el("div", { class: "records" }, canvas),
      el("p", { class: "key" }, "p or s sets an onset under the pointer, a drag moves one, Delete says it is none, a click on a faint one takes it back. Space: next part; Shift + Space: the one before. Enter: save."));
    canvas.focus({ preventScroll: true }); // keys are for the window now, not for what opened it
    const [whole, verdicts] = await Promise.all([getChannel(`${stream}Z`, this.span, STRIP_BINS, this.signal), getVerdicts(this.span, this.signal)]);
    this.whole = whole.traces[0];
    const wrong = new Set(verdicts.filter((one) => one.verdict === "wrong").map((one) => `${one.channel} ${one.phase} ${Date.parse(one.time)}`));
    for (const pick of picksOf(whole, null).free) (wrong.has(`${pick.channel} ${pick.phase} ${pick.at}`) ? this.wrong : this.onsets).push(pick);
    await this.show(0);
  }

  close() {
    this.watcher?.disconnect();
  }

  buttons() {
    if (!analyst.mayWrite) return el("p", { class: "note" }, "Log in to judge.");
    // After a click the keys are for the waveforms again, where Enter saves.
    const act = (work) => () => {
      work();
      this.records.canvas.focus({ preventScroll: true });
    };
    const button = (text, title, work, kind = "") => el("button", { type: "button", class: `button ${kind}`, title, onclick: act(work) }, text);
    this.tools = el("span", { class: "switch", role: "group", "aria-label": "What a click does" }, [[null, "Move"], ["P", "P"], ["S", "S"]].map(([name, text]) => el("button", { type: "button", "data-tool": name ?? "", "aria-pressed": String(name === null), onclick: act(() => this.choose(name)) }, text)));
    this.saveButton = button("Save", "Enter", () => this.save(), "main");
    this.saveButton.id = "save-window";
    return el("div", { class: "actions" }, button("←", "Shift + Space: the part before", () => this.show(this.part - 1)), button("→", "Space: the next part", () => this.show(this.part + 1)), this.tools,
      button("Nothing here", "No pick of this window is an onset", () => this.clear()), button("Undo", "z", () => this.takeBack()), this.saveButton);
  }

  choose(name) {
    this.records.tool = name;
    for (const button of this.tools.children) button.setAttribute("aria-pressed", String((button.dataset.tool || null) === name));
  }

  async show(part) {
    if (!(part >= 0 && part < this.n) || part === this.part) return;
    this.part = part;
    const from = this.span[0] + part * PART_MS;
    const limits = [Math.max(from - MARGIN_MS, this.span[0]), Math.min(from + PART_MS + MARGIN_MS, this.span[1])];
    this.tell();
    const answer = await getComponents(this.item.window.stream, limits, BINS, this.signal).catch((error) => {
      if (error.name !== "AbortError") this.problem.textContent = error.message;
      return null;
    });
    if (!answer || this.part !== part) return;
    this.seen.add(part);
    this.records.show(answer, { own: this.onsets, free: this.wrong });
    this.tell();
  }

  tell() {
    const counts = ["P", "S"].map((phase) => `${this.onsets.filter((one) => one.phase === phase).length} ${phase}`).join(", ");
    const left = this.n - this.seen.size;
    this.said.textContent = `Part ${this.part + 1} of ${this.n}. ${counts} marked${this.wrong.length ? `, ${plural(this.wrong.length, "pick")} taken off` : ""}. ${left ? `${plural(left, "part")} still to be seen before it can be saved.` : "All of it was seen."}`;
    if (this.saveButton) {
      this.saveButton.disabled = left > 0;
      this.saveButton.textContent = this.onsets.length ? `Save: these ${this.onsets.length} and no others` : "Save: nothing here";
    }
    this.drawStrip();
  }

  // The whole window in small: what is marked, and which part is shown or was not seen yet.
  drawStrip() {
    if (!this.whole || !this.strip.clientWidth) return;
    const { pen, width, height } = prepare(this.strip);
    const x = (at) => ((at - this.span[0]) / (this.span[1] - this.span[0])) * width;
    for (let i = 0; i < this.n; i += 1) {
      const from = x(this.span[0] + i * PART_MS);
      pen.fillStyle = css(i === this.part ? "accent-soft" : this.seen.has(i) ? "panel" : "hatch");
      pen.fillRect(from, 0, Math.min(x(this.span[0] + (i + 1) * PART_MS), width) - from - 1, height);
    }
    const sizes = this.whole.pieces.flatMap((piece) => piece.maximum.map((high, i) => Math.max(high, -piece.minimum[i]))).sort((a, b) => a - b);
    const peak = 2 * (sizes[Math.floor(sizes.length * 0.98)] || 1); // one large event hides no small one
    pen.fillStyle = css("trace");
    for (const piece of this.whole.pieces) {
      piece.maximum.forEach((high, i) => {
        const [top, bottom] = [(1 - Math.min(high / peak, 1)) * (height / 2), (1 - Math.max(piece.minimum[i] / peak, -1)) * (height / 2)];
        pen.fillRect(x(Date.parse(piece.start) + i * piece.step_s * 1000), top, 0.8, Math.max(bottom - top, 0.6));
      });
    }
    for (const [picks, tall] of [[this.wrong, 0.25], [this.onsets, 1]]) {
      pen.globalAlpha = tall === 1 ? 1 : 0.5;
      for (const pick of picks) {
        pen.fillStyle = css(pick.phase.toLowerCase());
        pen.fillRect(x(pick.at) - 0.6, 0, 1.2, height * tall);
      }
    }
    pen.globalAlpha = 1;
  }

  edit({ kind, pick, trace, phase, at }) {
    if (!analyst.mayWrite) return;
    this.undone.push([this.onsets.map((one) => (one === pick && kind === "move" ? { ...one, at: this.records.held } : one)), [...this.wrong]]);
    if (kind === "move") {
      const moved = { ...pick, at, time: null, manual: true };
      if (!pick.manual) this.wrong.push({ ...pick, at: this.records.held });
      this.onsets = this.onsets.map((one) => (one === pick ? moved : one));
      this.records.selected = moved;
    } else if (kind === "remove") this.drop(pick);
    else if (kind === "adopt") {
      this.wrong = this.wrong.filter((one) => one !== pick);
      this.onsets.push(pick);
    } else if (kind === "set") {
      const fresh = { station: stationOf(trace), channel: `${this.item.window.stream}${trace.channel.slice(-1)}`, phase, at, time: null, manual: true, residual: null };
      this.onsets.push(fresh);
      this.records.selected = fresh;
    }
    this.changed();
  }

  drop(pick) {
    this.onsets = this.onsets.filter((one) => one !== pick);
    if (!pick.manual) this.wrong.push(pick);
    if (this.records.selected === pick) this.records.selected = null;
  }

  clear() {
    this.undone.push([[...this.onsets], [...this.wrong]]);
    for (const pick of this.onsets) this.drop(pick);
    this.changed();
  }

  takeBack() {
    const before = this.undone.pop();
    if (!before) return;
    [this.onsets, this.wrong] = before;
    this.records.selected = null;
    this.changed();
  }

  changed() {
    this.records.setPicks(this.onsets, this.wrong);
    this.tell();
  }

  // Returns whether the key meant something here.
  key(e) {
    if (!this.records.answer && e.key !== " ") return false;
    const chosen = this.records.selected;
    const nudge = (steps) => {
      if (!chosen) return;
      this.records.held = chosen.at;
      this.edit({ kind: "move", pick: chosen, at: chosen.at + steps * NUDGE_MS });
    };
    const act = {
      p: () => this.records.set("P"), s: () => this.records.set("S"), " ": () => this.show(this.part + (e.shiftKey ? -1 : 1)), Enter: () => this.save(), z: () => this.takeBack(),
      Delete: () => chosen && this.edit({ kind: "remove", pick: chosen }), Backspace: () => chosen && this.edit({ kind: "remove", pick: chosen }),
      ArrowLeft: () => nudge(e.shiftKey ? -10 : -1), ArrowRight: () => nudge(e.shiftKey ? 10 : 1), "+": () => this.records.zoom(1.6), "-": () => this.records.zoom(1 / 1.6),
    }[e.key];
    if (!act || (e.target.matches("button") && (e.key === " " || e.key === "Enter"))) return false;
    act();
    return true;
  }

  async save() {
    if (!analyst.mayWrite || this.saveButton.disabled) return;
    this.saveButton.disabled = true;
    this.problem.textContent = "";
    try {
      const onsets = this.onsets.map((one) => ({ channel: one.channel, phase: one.phase, time: one.time ?? new Date(one.at).toISOString() }));
      await judgeWindow({ stream: this.item.window.stream, start: this.item.window.start, onsets, ...signed("window review") });
      this.onSaved();
    } catch (error) {
      this.saveButton.disabled = false;
      this.problem.textContent = error.message;
    }
  }
}
