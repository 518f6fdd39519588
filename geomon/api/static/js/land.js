// Land, coasts and borders out of Natural Earth's files: fine where the map looks, coarse elsewhere,
// so that little of the world has to be cut into tiles and drawn.

const VENDOR = new URL("../vendor/", import.meta.url).href;
const FINE_ZOOM = 5; // from here on the 1:10 million coastline is worth its size
const COARSE_DEG = 1; // points outside the view are thinned to one in a cell of this size
const topologies = new Map();

function topology(scale) {
  if (!topologies.has(scale)) topologies.set(scale, fetch(`${VENDOR}world-atlas/countries-${scale}.json`).then((response) => response.json()));
  return topologies.get(scale);
}

// The box that is drawn in detail for a view, one view wider on each side.
function boxAround({ west, east, south, north }) {
  const [wide, high] = [Math.max(east - west, 3 * COARSE_DEG), Math.max(north - south, 3 * COARSE_DEG)];
  return { west: west - wide, east: east + wide, south: south - high, north: north + high };
}

const holds = (box, view) => box.west <= view.west && box.east >= view.east && box.south <= view.south && box.north >= view.north;

// The arcs of a topology as places. Their ends stay, so that they still join.
function thinned({ transform: { scale: [kx, ky], translate: [x0, y0] }, arcs }, box) {
  const wide = box.east - box.west;
  const isInside = (x, y) => y > box.south && y < box.north && (((x - box.west) % 360) + 360) % 360 < wide;
  return arcs.map((arc) => {
    const kept = [];
    let [x, y, cell] = [0, 0, NaN];
    for (let i = 0; i < arc.length; i += 1) {
      x += arc[i][0];
      y += arc[i][1];
      const [longitude, latitude, before] = [x * kx + x0, y * ky + y0, cell];
      cell = Math.floor(longitude / COARSE_DEG) * 1000 + Math.floor(latitude / COARSE_DEG);
      if (i === 0 || i === arc.length - 1 || cell !== before || isInside(longitude, latitude)) kept.push([longitude, latitude]);
    }
    return kept;
  });
}

// Rings in the files jump from 180° to −180°. Here they run on past 180°; one that goes around a
// pole is closed over it.
function unwrapRing(ring) {
  let turn = 0;
  const unwrapped = ring.map(([x, y], i) => {
    const jump = i ? x - ring[i - 1][0] : 0;
    if (Math.abs(jump) > 180) turn -= Math.sign(jump) * 360;
    return [x + turn, y];
  });
  const [first, last] = [unwrapped[0], unwrapped[unwrapped.length - 1]];
  if (Math.abs(last[0] - first[0]) < 180) return unwrapped;
  const pole = Math.sign(first[1]) * 90;
  return [...unwrapped, [last[0], pole], [first[0], pole], first];
}

function cutLine(line) {
  const parts = [[line[0]]];
  for (let i = 1; i < line.length; i += 1) {
    if (Math.abs(line[i][0] - line[i - 1][0]) > 180) parts.push([]);
    parts[parts.length - 1].push(line[i]);
  }
  return parts.filter((part) => part.length > 1);
}

const hasArea = (ring) => ring.length > 4; // an island thinned away is its first place four times

export class Land {
  constructor() {
    this.box = null;
    this.scale = null;
  }

  // The shapes to draw for a view, or null where those given before still do.
  async shapes(view, zoom) {
    const scale = zoom >= FINE_ZOOM ? "10m" : "50m";
    if (this.box && holds(this.box, view) && (this.scale === scale || this.scale === "10m")) return null;
    Object.assign(this, { box: boxAround(view), scale });
    const whole = await topology(scale);
    const near = { type: "Topology", objects: whole.objects, arcs: thinned(whole, this.box) };
    const { countries, land } = near.objects;
    const polygons = topojson.feature(near, land).features.flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates));
    const lines = (object, filter) => topojson.mesh(near, object, filter).coordinates;
    return {
      land: { type: "MultiPolygon", coordinates: polygons.filter(([outer]) => hasArea(outer)).map((rings) => rings.filter(hasArea).map(unwrapRing)) },
      coast: { type: "MultiLineString", coordinates: lines(land).filter(hasArea).flatMap(cutLine) },
      borders: { type: "MultiLineString", coordinates: lines(countries, (a, b) => a !== b).flatMap(cutLine) },
    };
  }
}
