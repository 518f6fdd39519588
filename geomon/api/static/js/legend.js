// The legend on the map: what colours, sizes and triangles mean, and the choice between colours.

import { day, clock, duration, el } from "./format.js";
import { radius } from "./theme.js";

const COLOURS = [["depth", "Depth"], ["age", "Age"]];

export function legend({ scale, deepest, smallest, limits }, onColour) {
  const choice = el("span", { class: "switch", role: "group", "aria-label": "Colour of events" }, COLOURS.map(([kind, text]) => el("button", { type: "button", "data-colour": kind, "aria-pressed": kind === scale.kind, onclick: () => onColour(kind) }, text)));
  return [
    el("div", {}, el("div", { class: "legend-head" }, choice, el("span", {}, scale.kind === "age" ? `at ${day(limits[1]).slice(5)} ${clock(limits[1]).slice(0, 5)}` : "km below sea level")),
      el("div", { class: `ramp ramp-${scale.kind}` }), el("div", { class: "ticks" }, (scale.kind === "age" ? ages(limits) : depths(deepest)).map((text) => el("span", {}, text)))),
    el("div", { class: "sizes" }, [0, 1, 2, 3].map((step) => {
      const circle = el("i");
      circle.style.width = circle.style.height = `${2 * radius(smallest + step, smallest)}px`;
      return el("span", {}, circle, `${step ? "" : "M "}${smallest + step}`);
    })),
    el("div", { class: "health" }, triangle("good", "data"), triangle("partial", "gaps"), triangle("silent", "silent")),
  ];
}

const depths = (deepest) => ["0", `${Number((deepest / 2).toFixed(1))}`, `≥ ${deepest}`];
const ages = ([from, to]) => ["newest", duration((to - from) / 2), duration(to - from)];

function triangle(health, text) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", "M5 1 9.5 9H.5Z");
  path.style.fill = `var(--${health})`;
  svg.append(path);
  return el("span", {}, svg, text);
}
