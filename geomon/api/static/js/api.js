// Asks the server. Every answer is JSON; an error has one sentence in `detail`.

import { iso } from "./format.js";

async function ask(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) query.set(name, value);
  }
  const text = query.toString();
  const response = await fetch(`api/${path}${text ? `?${text}` : ""}`, { signal, headers: { Accept: "application/json" } });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error(typeof problem.detail === "string" ? problem.detail : `The server answered ${response.status}`);
  }
  return response.json();
}

// An error carries the server's sentence, and the status: 409 means "changed by someone else".
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function post(path, body) {
  const response = await fetch(`api/${path}`, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(typeof answer.detail === "string" ? answer.detail : `The server answered ${response.status}`, response.status);
  return answer;
}

const span = ([from, to]) => ({ start: iso(from), end: iso(to) });

export const getStatus = () => ask("status");
export const getCoverage = (limits, signal) => ask("coverage", span(limits), signal);
export const getEvent = (id, signal) => ask(`events/${encodeURIComponent(id)}`, {}, signal);
export const getWaveforms = (id, component, n, signal) => ask("waveforms", { event_id: id, component, bins: n }, signal);

export const getSection = (limits, component, n, signal) => ask("waveforms", { ...span(limits), component, bins: n }, signal);
export const getPredicted = (id, signal) => ask(`review/events/${encodeURIComponent(id)}/predicted`, {}, signal);
export const getHistory = (id, signal) => ask(`review/events/${encodeURIComponent(id)}/history`, {}, signal);
export const getActions = () => ask("review/actions");
export const getVisitor = () => ask("visitor");
export const getEventTypes = () => ask("review/event_types");
export const logIn = (user, password) => post("login", { user, password });
export const logOut = () => post("logout", {});
export const solve = (asked) => post("review/solve", asked);
export const createEvent = (asked) => post("review/events", asked);
// `what`: solution, judgement, comment, merge, split, undo or restore.
export const reviewEvent = (id, what, asked) => post(`review/events/${encodeURIComponent(id)}/${what}`, asked);

const named = (id) => `stations/${encodeURIComponent(id)}`;
export const getStation = (id, signal) => ask(named(id), {}, signal);
export const getActivity = (id, limits, signal) => ask(`${named(id)}/activity`, span(limits), signal);
export const getDrum = (id, asked, signal) => ask(`${named(id)}/drum`, asked, signal);
export const getNoise = (stream, component, limits, signal) => ask("quality/psd", { stream, component, ...span(limits) }, signal);
export const getGrid = (limits, step, signal) => ask("coverage/grid", { ...span(limits), step }, signal);
export const getBackfill = (limits, signal) => ask("backfill/grid", span(limits), signal);
export const getQueue = (limits, limit, signal) => ask("review/queue", { ...span(limits), limit }, signal);
export const getChannel = (channel, limits, n, signal) => ask("waveforms", { channel, ...span(limits), bins: n }, signal);
export const getVerdicts = (limits, signal) => ask("review/verdicts", span(limits), signal);
export const getWindows = (limits, purpose, limit, signal) => ask("review/windows", { ...span(limits), purpose, limit }, signal);
export const judgeWindow = (asked) => post("review/windows", asked);
export const judgePick = (asked) => post("review/verdicts", asked);

// All components of a stream, vertical first, with the picks of one of them.
export async function getComponents(stream, limits, n, signal) {
  const first = await getChannel(`${stream}Z`, limits, n, signal);
  const others = await Promise.all(first.components.filter((name) => name !== "Z").map((name) => getChannel(`${stream}${name}`, limits, n, signal)));
  const traces = [first, ...others].flatMap((one) => one.traces).filter((trace, i) => i > 0 || !first.components.length || first.components.includes("Z"));
  return { ...first, traces };
}

export async function getStations(limits, signal) {
  const answer = await ask("stations", span(limits), signal);
  return answer.features.map(({ properties, geometry }) => ({
    ...properties,
    longitude: geometry.coordinates[0],
    latitude: geometry.coordinates[1],
    lastData: properties.last_data ? Date.parse(properties.last_data) : null,
  }));
}

// All events of a span, newest first. Columns, not rows: 100,000 events are a few megabytes.
export async function getEvents(limits, signal) {
  const { n_events: n, time_ms: times, columns: c, names } = await ask("eventcolumns", span(limits), signal);
  const events = new Array(n);
  for (let i = 0; i < n; i += 1) {
    events[i] = {
      id: c.event_id[i],
      time: times[i],
      longitude: c.longitude[i],
      latitude: c.latitude[i],
      depth: c.depth_km[i],
      depthRange: c.depth_low_km[i] === null ? null : [c.depth_low_km[i], c.depth_high_km[i]],
      mag: c.magnitude[i],
      magType: names.magnitude_type[c.magnitude_type[i]],
      quality: names.quality[c.quality[i]],
      nStations: c.n_stations[i],
      ellipse: [c.ellipse_major_km[i], c.ellipse_minor_km[i], c.ellipse_azimuth_deg[i]],
      review: names.review_state[c.review_state[i]],
      type: names.event_type[c.event_type[i]],
    };
  }
  return events;
}
