// Numbers and times as text. All times are UTC, as milliseconds since 1970 inside the page.

const two = (n) => String(n).padStart(2, "0");

export function day(ms) {
  const d = new Date(ms);
  return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

export function clock(ms, decimals = 0) {
  const shift = 10 ** (3 - decimals);
  const d = new Date(decimals < 3 ? Math.round(ms / shift) * shift : ms);
  const text = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return decimals ? `${text}.${String(d.getUTCMilliseconds()).padStart(3, "0").slice(0, decimals)}` : text;
}

export const moment = (ms) => `${day(ms)} ${clock(ms)}`;
export const iso = (ms) => new Date(ms).toISOString().replace(/\.?0*Z$/, "");

// Reads "2024-01-02", "2024-01-02 03:04" and ISO 8601; NaN for anything else.
export function parseTime(text) {
  const m = /^\s*(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d+))?)?)?)?\s*Z?\s*$/i.exec(text);
  if (!m) return NaN;
  const [, y, mo, d, h = 0, mi = 0, s = 0, f = "0"] = m;
  const ms = Date.UTC(+y, +mo - 1, +d, +h, +mi, +s) + Number(`0.${f}`) * 1000;
  return new Date(ms).getUTCDate() === +d || +h >= 24 ? ms : NaN;
}

export function degrees(value, positive, negative, decimals = 3) {
  return `${Math.abs(value).toFixed(decimals)}° ${value < 0 ? negative : positive}`;
}

export function duration(ms) {
  const minutes = Math.round(ms / 60000);
  if (minutes < 100) return `${minutes} min`;
  const hours = ms / 3600000;
  if (hours < 36) return `${Number(hours.toFixed(1))} h`;
  const days = hours / 24;
  if (days > 730) return `${Number((days / 365.25).toFixed(1))} years`;
  return `${Number(days.toFixed(days < 20 ? 1 : 0))} days`;
}

export function percent(fraction) {
  if (fraction > 0.995) return "100 %";
  if (fraction > 0 && fraction < 0.005) return "< 1 %";
  return `${Math.min(99, Math.round(fraction * 100))} %`;
}

export const count = (n) => n.toLocaleString("en").replace(/,/g, " ");
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const fixed = (x, decimals) => (x === null || x === undefined ? "–" : x.toFixed(decimals).replace("-", "−"));
export const magnitude = (m) => fixed(m, 1);
export const signed = (x, decimals = 2) => (x === null ? "–" : `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(decimals)}`);

// Builds an element; strings become text nodes, so nothing from the catalogue is ever read as HTML.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
