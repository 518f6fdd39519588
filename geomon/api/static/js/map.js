// The map: land, events, stations. Everything is drawn from the server's own files.

import * as maplibregl from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { EventLayer } from "./eventlayer.js";
import { Land } from "./land.js";
import { css, radius } from "./theme.js";

const FONT = ["sans-serif"]; // without a glyph server MapLibre draws text with local fonts
const EMPTY = { type: "FeatureCollection", features: [] };
const PROPOSAL = ["proposal", "proposal-place"];
const WORLD = [[-170, -60], [170, 75]];

const collection = (features) => ({ type: "FeatureCollection", features });

// A station is a triangle; one picture, coloured by its health through a distance field.
function triangle() {
  const size = 48;
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const pen = canvas.getContext("2d");
  pen.beginPath();
  pen.moveTo(24, 9);
  pen.lineTo(40, 38);
  pen.lineTo(8, 38);
  pen.closePath();
  pen.fill();
  return pen.getImageData(0, 0, size, size);
}

// 68 % ellipse around an epicentre, in km, as a ring of degrees.
export function ellipseRing(event) {
  const [major, minor, azimuth] = event.ellipse;
  const kmPerDegree = 111.195;
  const turn = (azimuth * Math.PI) / 180;
  const shrink = Math.max(Math.cos((event.latitude * Math.PI) / 180), 0.01);
  const ring = [];
  for (let i = 0; i <= 48; i += 1) {
    const a = (i / 48) * 2 * Math.PI;
    const along = major * Math.cos(a);
    const across = minor * Math.sin(a);
    const north = along * Math.cos(turn) - across * Math.sin(turn);
    const east = along * Math.sin(turn) + across * Math.cos(turn);
    ring.push([event.longitude + east / (kmPerDegree * shrink), event.latitude + north / kmPerDegree]);
  }
  return ring;
}

function outline({ west, east: end, south, north }) {
  const east = end < west ? end + 360 : end;
  return { type: "LineString", coordinates: [[west, south], [east, south], [east, north], [west, north], [west, south]] };
}

export class EventMap {
  constructor(container, { view, onMove, onSelect, onHover, onStation, onStationSelect }) {
    Object.assign(this, { onMove, onSelect, onHover, onStation, onStationSelect });
    this.map = new maplibregl.Map({
      container,
      style: { version: 8, transition: { duration: 0, delay: 0 }, sources: {}, layers: [{ id: "water", type: "background", paint: { "background-color": css("water") } }] },
      ...(view ? { zoom: view[0], center: [view[2], view[1]] } : { bounds: WORLD }),
      fadeDuration: 0,
      validateStyle: false,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      renderWorldCopies: true,
      maxZoom: 17,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), "bottom-right");
    this.map.addControl(new maplibregl.AttributionControl({ compact: false, customAttribution: "Natural Earth" }), "bottom-right");
    this.shown = { events: [], scale: null, smallest: 0, stations: [], region: null, selected: null };
    this.hovered = null;
    this.land = new Land();
    this.events = new EventLayer();
    this.ready = new Promise((resolve) => this.map.once("style.load", resolve)).then(() => this.dress());
  }

  dress() {
    const map = this.map;
    for (const id of ["land", "frame", "ellipses", "stations", "lit", "selected", "proposal"]) {
      map.addSource(id, { type: "geojson", data: EMPTY });
    }
    map.addImage("station", triangle(), { sdf: true, pixelRatio: 3 });
    const add = (id, type, source, paint, extra = {}) => map.addLayer({ id, type, source, paint, ...extra });
    const kind = (name) => ({ filter: ["==", ["get", "kind"], name] });
    add("land", "fill", "land", {}, kind("land"));
    add("coast", "line", "land", { "line-width": 0.8 }, kind("coast"));
    add("borders", "line", "land", { "line-width": 0.7, "line-dasharray": [4, 3] }, kind("borders"));
    add("graticule", "line", "frame", { "line-width": 0.6 }, kind("line"));
    add("graticule-labels", "symbol", "frame", {}, {
      ...kind("label"),
      layout: { "text-field": ["get", "label"], "text-font": FONT, "text-size": 10, "text-anchor": ["get", "anchor"], "text-offset": ["get", "offset"], "text-allow-overlap": true },
    });
    add("region", "line", "frame", { "line-width": 1, "line-dasharray": [2, 3] }, kind("region"));
    const own = (name) => ["get", name];
    add("ellipses", "fill", "ellipses", { "fill-opacity": 0.07, "fill-color": own("colour") }, { minzoom: 7.5 });
    add("ellipse-lines", "line", "ellipses", { "line-opacity": 0.45, "line-width": 0.8, "line-color": own("colour") }, { minzoom: 7.5 });
    add("stations", "symbol", "stations", { "icon-halo-width": 1.2 }, {
      layout: { "icon-image": "station", "icon-size": ["interpolate", ["linear"], ["zoom"], 3, 0.55, 9, 0.95], "icon-allow-overlap": true, "icon-ignore-placement": true },
    });
    add("station-labels", "symbol", "stations", { "text-halo-width": 1.4 }, {
      minzoom: 7,
      layout: { "text-field": ["get", "station"], "text-font": FONT, "text-size": 10.5, "text-offset": [0, 0.85], "text-anchor": "top", "text-optional": true },
    });
    map.addLayer(this.events);
    add("lit", "circle", "lit", { "circle-stroke-width": 2, "circle-radius": own("radius"), "circle-color": own("colour") });
    add("selected", "circle", "selected", { "circle-opacity": 0, "circle-stroke-width": 2, "circle-radius": ["+", 4.5, own("radius")] });
    add("proposal", "line", "proposal", { "line-width": 1.6, "line-dasharray": [2, 1.5] });
    add("proposal-place", "circle", "proposal", { "circle-radius": 5, "circle-stroke-width": 2 }, { filter: ["==", ["geometry-type"], "Point"] });
    this.colour();
    this.listen();
    this.draw();
  }

  draw() {
    this.dressed = true;
    this.setEvents(this.shown.events, this.shown.scale, this.shown.smallest);
    this.setStations(this.shown.stations);
    this.select(this.shown.selected);
    this.graticule();
  }

  // Resolves when all there is to see here is drawn.
  async drawn() {
    await this.ready;
    await this.loadLand();
    this.map.triggerRepaint();
    await this.map.once("idle");
  }

  // Colours again, for instance after the system went dark.
  colour() {
    const paint = (layer, name, value) => this.map.setPaintProperty(layer, name, value);
    paint("water", "background-color", css("water"));
    paint("land", "fill-color", css("land"));
    paint("coast", "line-color", css("coast"));
    paint("borders", "line-color", css("border"));
    paint("graticule", "line-color", css("grid"));
    paint("graticule-labels", "text-color", css("muted"));
    paint("region", "line-color", css("faint"));
    const health = ["match", ["get", "health"], "good", css("good"), "partial", css("partial"), css("silent")];
    paint("stations", "icon-color", health);
    paint("stations", "icon-halo-color", css("land"));
    paint("station-labels", "text-color", css("muted"));
    paint("station-labels", "text-halo-color", css("land"));
    paint("lit", "circle-stroke-color", css("ink"));
    paint("selected", "circle-stroke-color", css("accent"));
    paint("proposal", "line-color", css("accent"));
    paint("proposal-place", "circle-color", css("accent"));
    paint("proposal-place", "circle-stroke-color", css("land"));
  }

  listen() {
    const { map } = this;
    // The map brings its own layers back after the graphics were lost, but no custom one.
    map.on("webglcontextlost", () => {
      this.dressed = false;
    });
    map.on("webglcontextrestored", () => map.once("style.load", () => {
      map.addLayer(this.events, "lit");
      this.draw();
    }));
    map.on("moveend", () => {
      if (!this.dressed) return;
      this.graticule();
      this.loadLand();
      this.ellipses();
      this.onMove(this);
    });
    const stationNear = ({ x, y }, slack) => map.queryRenderedFeatures([[x - slack, y - slack], [x + slack, y + slack]], { layers: ["stations"] })[0];
    const hover = (e) => {
      const event = this.events.nearest(e.lngLat, 2);
      const station = event ? null : stationNear(e.point, 2);
      map.getCanvas().style.cursor = event || station ? "pointer" : "";
      this.onHover(event ? event.id : null, e.originalEvent);
      this.onStation(station ? station.properties.id : null, e.originalEvent);
    };
    let latest = null; // a pointer moves more often than the screen changes
    map.on("mousemove", (e) => {
      if (!latest) requestAnimationFrame(() => {
        if (latest) hover(latest);
        latest = null;
      });
      latest = e;
    });
    map.on("mouseout", () => {
      latest = null;
      this.onHover(null);
      this.onStation(null);
    });
    map.on("click", (e) => {
      const event = this.events.nearest(e.lngLat, 6);
      const station = event ? null : stationNear(e.point, 6);
      if (event) this.onSelect(event.id);
      else if (station) this.onStationSelect(station.properties.id);
    });
  }

  // One after the other, so that what is drawn belongs to the latest view.
  loadLand() {
    this.landed = (this.landed ?? Promise.resolve()).then(() => this.drawLand());
    return this.landed;
  }

  async drawLand() {
    const shapes = await this.land.shapes(this.bounds(), this.map.getZoom());
    if (shapes) this.map.getSource("land").setData(collection(Object.entries(shapes).map(([kind, geometry]) => ({ type: "Feature", geometry, properties: { kind } }))));
  }

  graticule() {
    const bounds = this.map.getBounds();
    const width = this.map.getContainer().clientWidth;
    const perPixel = (bounds.getEast() - bounds.getWest()) / width;
    const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30];
    const step = steps.find((s) => s / perPixel > 110) ?? 45;
    const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const west = bounds.getWest();
    const east = bounds.getEast();
    const south = Math.max(bounds.getSouth(), -85);
    const north = Math.min(bounds.getNorth(), 85);
    const features = [];
    const line = (coordinates) => features.push({ type: "Feature", geometry: { type: "LineString", coordinates }, properties: { kind: "line" } });
    const label = (coordinates, text, anchor, offset) => features.push({ type: "Feature", geometry: { type: "Point", coordinates }, properties: { kind: "label", label: text, anchor, offset } });
    for (let i = Math.ceil(west / step); i * step <= east; i += 1) {
      const x = i * step;
      const shown = ((((x + 180) % 360) + 360) % 360) - 180;
      line([[x, south], [x, north]]);
      label([x, north], `${Math.abs(shown).toFixed(decimals)}°${Math.abs(shown) < 1e-9 || Math.abs(shown) === 180 ? "" : shown < 0 ? "W" : "E"}`, "top-left", [0.3, 0.35]);
    }
    for (let i = Math.ceil(south / step); i * step <= north; i += 1) {
      const y = i * step;
      line([[west, y], [east, y]]);
      if (this.map.project([west, y]).y < 34) continue; // the corner belongs to the meridians
      label([west, y], `${Math.abs(y).toFixed(decimals)}°${Math.abs(y) < 1e-9 ? "" : y < 0 ? "S" : "N"}`, "bottom-left", [0.4, -0.2]);
    }
    if (this.shown.region) features.push({ type: "Feature", geometry: outline(this.shown.region), properties: { kind: "region" } });
    this.map.getSource("frame").setData(collection(features));
  }

  // `events` the largest first.
  setEvents(events, scale, smallest) {
    Object.assign(this.shown, { events, scale, smallest });
    if (!this.dressed || !scale) return;
    this.events.show(events, scale, smallest);
    this.ellipses();
    this.select(this.shown.selected);
    this.mark("lit", this.hovered);
  }

  // Ellipses are only worth drawing where they are larger than a few pixels and not too many.
  ellipses() {
    const near = this.map.getZoom() >= 7 ? this.inView(this.shown.events) : [];
    const drawn = near.length <= 1500 ? near.filter((event) => event.ellipse[0] > 0 && event.ellipse[1] !== null) : [];
    this.map.getSource("ellipses").setData(collection(drawn.map((event) => ({
      type: "Feature",
      geometry: { type: "Polygon", coordinates: [ellipseRing(event)] },
      properties: { colour: this.shown.scale.of(event) },
    }))));
  }

  setStations(stations) {
    this.shown.stations = stations;
    if (!this.dressed) return;
    this.map.getSource("stations").setData(collection(stations.map((s) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: [s.longitude, s.latitude] },
      properties: { id: s.id, station: s.station, health: s.health },
    }))));
  }

  setRegion(region) {
    this.shown.region = region;
    if (this.dressed) this.graticule();
  }

  select(id) {
    this.shown.selected = id;
    if (!this.dressed) return;
    this.mark("selected", id);
  }

  // The one event a layer of its own is for.
  mark(layer, id) {
    const event = id && this.shown.events.find((e) => e.id === id);
    this.map.getSource(layer).setData(event ? this.feature(event) : EMPTY);
  }

  feature(event) {
    return {
      type: "Feature",
      geometry: { type: "Point", coordinates: [event.longitude, event.latitude] },
      properties: { radius: radius(event.mag, this.shown.smallest), colour: this.shown.scale.of(event) },
    };
  }

  // A solution that is not saved yet, with its ellipse, and how far it is from the one held.
  propose(held, proposed) {
    if (!this.dressed) return;
    for (const layer of PROPOSAL) this.map.setLayoutProperty(layer, "visibility", proposed ? "visible" : "none");
    const features = [];
    const add = (type, coordinates) => features.push({ type: "Feature", geometry: { type, coordinates }, properties: {} });
    if (proposed) {
      const place = [proposed.longitude, proposed.latitude];
      add("Point", place);
      if (proposed.ellipse_major_km && proposed.ellipse_minor_km !== null) add("LineString", ellipseRing({ ...proposed, ellipse: [proposed.ellipse_major_km, proposed.ellipse_minor_km, proposed.ellipse_azimuth_deg] }));
      if (held) add("LineString", [[held.longitude, held.latitude], place]);
    }
    this.map.getSource("proposal").setData(collection(features));
    if (proposed && !this.inView([proposed]).length) this.reveal(proposed);
  }

  light(id) {
    if (!this.dressed || id === this.hovered) return;
    this.mark("lit", id);
    this.hovered = id;
  }

  reveal(event) {
    if (!this.inView([event]).length) this.map.easeTo({ center: [event.longitude, event.latitude] });
  }

  bounds() {
    const b = this.map.getBounds();
    return { west: b.getWest(), east: b.getEast(), south: b.getSouth(), north: b.getNorth() };
  }

  inView(events) {
    const { west, east, south, north } = this.bounds();
    if (east - west >= 360) return events.filter((e) => e.latitude >= south && e.latitude <= north);
    return events.filter((e) => {
      if (e.latitude < south || e.latitude > north) return false;
      return (((e.longitude - west) % 360) + 360) % 360 <= east - west;
    });
  }

  // After the page around it changed; a move is told only where there was one.
  resize() {
    const { clientWidth, clientHeight } = this.map.getContainer();
    const canvas = this.map.getCanvas();
    if (canvas.clientWidth !== clientWidth || canvas.clientHeight !== clientHeight) this.map.resize();
  }

  view() {
    const { lat, lng } = this.map.getCenter().wrap();
    return [this.map.getZoom(), lat, lng];
  }

  show([zoom, latitude, longitude]) {
    this.map.jumpTo({ zoom, center: [longitude, latitude] });
  }

  fit(bounds) {
    if (bounds) this.map.fitBounds(bounds, { padding: 48, maxZoom: 12, duration: 0 });
  }
}
