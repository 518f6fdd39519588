// A focal mechanism as the field draws it: lower hemisphere, equal area, compression filled.

const RAD = Math.PI / 180;
const SVG = "http://www.w3.org/2000/svg";
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => {
  const size = Math.hypot(...a) || 1;
  return a.map((x) => x / size);
};
const mixed = (a, p, b, q) => a.map((x, i) => x * p + b[i] * q);

// Slip and fault normal of a plane, as (north, east, down); Aki & Richards, equation 4.88.
export function axes(strike, dip, rake) {
  const [s, d, r] = [strike * RAD, dip * RAD, rake * RAD];
  const slip = [
    Math.cos(r) * Math.cos(s) + Math.cos(d) * Math.sin(r) * Math.sin(s),
    Math.cos(r) * Math.sin(s) - Math.cos(d) * Math.sin(r) * Math.cos(s),
    -Math.sin(d) * Math.sin(r),
  ];
  const normal = [-Math.sin(d) * Math.sin(s), Math.sin(d) * Math.cos(s), -Math.cos(d)];
  return { slip, normal };
}

// The quarter of the sphere between two planes, cut off at the horizon: points seen from above.
function quarter(u, v) {
  const b = unit(cross(u, v));
  const edge = [];
  for (let i = 0; i <= 60; i += 1) edge.push(mixed(b, Math.cos((i / 60) * Math.PI), v, Math.sin((i / 60) * Math.PI)));
  for (let i = 1; i < 60; i += 1) edge.push(mixed(b, -Math.cos((i / 60) * Math.PI), u, Math.sin((i / 60) * Math.PI)));
  const below = [];
  let leaves = null; // where the edge rises above the horizon
  const start = edge.findIndex((n, i) => n[2] >= 0 && edge[(i + edge.length - 1) % edge.length][2] < 0);
  const ordered = start < 0 ? edge : [...edge.slice(start), ...edge.slice(0, start)];
  const horizon = (one, two) => {
    const share = one[2] / (one[2] - two[2]);
    return unit([one[0] + (two[0] - one[0]) * share, one[1] + (two[1] - one[1]) * share, 0]);
  };
  ordered.forEach((n, i) => {
    const last = ordered[(i + ordered.length - 1) % ordered.length];
    if (n[2] >= 0) {
      if (last[2] < 0) below.push(horizon(last, n));
      below.push(n);
    } else if (last[2] >= 0) {
      leaves = horizon(last, n);
      below.push(leaves);
    }
  });
  if (leaves && below.length > 2) {
    const enters = below[0];
    for (let i = 1; i < 24; i += 1) below.push(unit(mixed(leaves, 1 - i / 24, enters, i / 24)));
  }
  return below;
}

function seen(n, radius) {
  const size = radius * Math.SQRT2 * Math.sin(Math.acos(Math.min(Math.max(n[2], -1), 1)) / 2);
  const across = Math.hypot(n[0], n[1]) || 1;
  return [(n[1] / across) * size, (-n[0] / across) * size];
}

export function beachball(mechanism, radius = 44) {
  const { slip, normal } = axes(mechanism.strike_deg, mechanism.dip_deg, mechanism.rake_deg);
  const svg = document.createElementNS(SVG, "svg");
  const make = (name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    svg.append(node);
    return node;
  };
  svg.setAttribute("viewBox", `${-radius - 3} ${-radius - 3} ${2 * radius + 6} ${2 * radius + 6}`);
  svg.setAttribute("class", "beachball");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Focal mechanism: strike ${mechanism.strike_deg.toFixed(0)}, dip ${mechanism.dip_deg.toFixed(0)}, rake ${mechanism.rake_deg.toFixed(0)} degrees`);
  make("circle", { r: radius, class: "ball-paper" });
  for (const sign of [1, -1]) {
    const points = quarter(slip.map((x) => sign * x), normal.map((x) => sign * x)).map((n) => seen(n, radius));
    if (points.length > 2) make("path", { class: "ball-ink", d: `M${points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}Z` });
  }
  make("circle", { r: radius, class: "ball-rim" });
  const letter = (text, n) => {
    const [x, y] = seen(n[2] < 0 ? n.map((k) => -k) : n, radius).map((k) => k * 0.84);
    make("text", { x: x.toFixed(1), y: (y + 3.5).toFixed(1), class: `ball-axis ball-${text}` }).textContent = text;
  };
  letter("T", unit(mixed(slip, 1, normal, 1)));
  letter("P", unit(mixed(slip, 1, normal, -1)));
  return svg;
}
