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
export const judgePick = (asked) => post("review/verdicts", asked);

export async function getStations(limits, signal) {
  const answer = await ask("stations", span(limits), signal);
  return answer.features.map(({ properties, geometry }) => ({
    ...properties,
    longitude: geometry.coordinates[0],
    latitude: geometry.coordinates[1],
    lastData: properties.last_data ? Date.parse(properties.last_data) : null,
  }));
}

const PAGE = 20000;

// All events of a span, newest first, however many pages that takes.
export async function getEvents(limits, signal) {
  const events = [];
  for (;;) {
    const answer = await ask("events", { ...span(limits), limit: PAGE, offset: events.length }, signal);
    for (const { properties: p, geometry } of answer.features) {
      events.push({
        id: p.event_id,
        time: Date.parse(p.time),
        longitude: geometry.coordinates[0],
        latitude: geometry.coordinates[1],
        depth: p.depth_km,
        depthRange: p.depth_low_km === null ? null : [p.depth_low_km, p.depth_high_km],
        mag: p.magnitude,
        magType: p.magnitude_type,
        quality: p.quality,
        nStations: p.n_stations,
        ellipse: [p.ellipse_major_km, p.ellipse_minor_km, p.ellipse_azimuth_deg],
        review: p.review_state,
        type: p.event_type,
      });
    }
    if (answer.features.length < PAGE) return events;
  }
}
