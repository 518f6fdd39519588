// The events on the map: a layer of its own that draws them all in one call, so that 100,000 move
// with the pointer. Places are Mercator's, from 0 to 1, as two floats each (the second holds what
// the first cannot) and drawn relative to the middle of the map: nothing trembles, however near.

import { MercatorCoordinate } from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { css, radius, rgb } from "./theme.js";

const FIELDS = 6; // x, y, rest of x, rest of y, radius in pixels, place on the ramp of colours
const UNKNOWN = -1; // the place of an event without a depth
const OPACITY = 0.78;
const OUTLINE = 0.7;

const VERTEX = `#version 300 es
uniform mat4 matrix;
uniform vec4 middle;
uniform float ratio;
uniform vec3 ramp[5];
uniform vec3 unknown;
in vec4 position;
in vec2 look;
out vec3 colour;
out float size;
void main() {
  gl_Position = matrix * vec4(position.xy - middle.xy + (position.zw - middle.zw), 0.0, 1.0);
  size = (look.x + ${OUTLINE}) * ratio;
  gl_PointSize = 2.0 * size + 1.0;
  float at = max(look.y, 0.0) * 4.0;
  int stop = min(int(at), 3);
  colour = look.y < 0.0 ? unknown : mix(ramp[stop], ramp[stop + 1], at - float(stop));
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform float ratio;
uniform vec3 outline;
in vec3 colour;
in float size;
out vec4 drawn;
void main() {
  float away = length(gl_PointCoord - 0.5) * (2.0 * size + 1.0);
  float edge = clamp(size + 0.5 - away, 0.0, 1.0);
  if (edge == 0.0) discard;
  float rim = clamp(away - size + ${OUTLINE} * ratio + 0.5, 0.0, 1.0);
  drawn = mix(vec4(colour, 1.0) * ${OPACITY}, vec4(outline, 1.0), rim) * edge;
}`;

function compile(gl) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

// The matrix for places that are relative to (x, y), reckoned in double precision.
function movedTo(matrix, x, y) {
  const moved = Float64Array.from(matrix);
  for (let row = 0; row < 4; row += 1) moved[12 + row] += matrix[row] * x + matrix[4 + row] * y;
  return new Float32Array(moved);
}

export class EventLayer {
  constructor() {
    this.id = "events";
    this.type = "custom";
    this.renderingMode = "2d";
    this.events = [];
    this.points = new Float32Array(0);
    this.colours = [];
  }

  // `events` the largest first, so that the small ones lie on top.
  show(events, scale, smallest) {
    const points = new Float32Array(events.length * FIELDS);
    events.forEach((event, i) => {
      const { x, y } = MercatorCoordinate.fromLngLat([event.longitude, event.latitude]);
      const at = i * FIELDS;
      points[at] = x;
      points[at + 1] = y;
      points[at + 2] = x - points[at];
      points[at + 3] = y - points[at + 1];
      points[at + 4] = radius(event.mag, smallest);
      points[at + 5] = scale.place(event) ?? UNKNOWN;
    });
    const colours = { ramp: scale.stops.flatMap(rgb), unknown: rgb(css("faint")), outline: rgb(css("land")) };
    Object.assign(this, { events, points, colours: Object.entries(colours).map(([name, values]) => [name, values.map((value) => value / 255)]), isStale: true });
    this.map?.triggerRepaint();
  }

  // The topmost event under the pointer, or else the nearest no more than `slack` pixels away.
  nearest({ lng, lat }, slack) {
    const { x, y } = MercatorCoordinate.fromLngLat([lng, lat]);
    const { points } = this;
    const scale = 512 * 2 ** this.map.getZoom(); // pixels around the world
    let best = null;
    let least = slack;
    for (let i = 0, at = 0; i < this.events.length; i += 1, at += FIELDS) {
      const down = Math.abs(points[at + 1] + points[at + 3] - y) * scale;
      if (down > 60) continue;
      const across = points[at] + points[at + 2] - x;
      const away = Math.hypot((across - Math.round(across)) * scale, down);
      const gap = Math.max(away - points[at + 4] - OUTLINE, 0);
      if (gap <= least) [best, least] = [this.events[i], gap];
    }
    return best;
  }

  onAdd(map, gl) {
    this.map = map;
    this.program = compile(gl);
    this.buffer = gl.createBuffer();
    this.array = gl.createVertexArray();
    this.isStale = true;
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    for (const [name, size, offset] of [["position", 4, 0], ["look", 2, 16]]) {
      const index = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(index);
      gl.vertexAttribPointer(index, size, gl.FLOAT, false, FIELDS * 4, offset);
    }
    gl.bindVertexArray(null);
  }

  onRemove(map, gl) {
    gl.deleteProgram(this.program);
    gl.deleteBuffer(this.buffer);
    gl.deleteVertexArray(this.array);
  }

  render(gl, { defaultProjectionData: { mainMatrix } }) {
    if (!this.events.length) return;
    gl.useProgram(this.program);
    gl.bindVertexArray(this.array);
    if (this.isStale) this.upload(gl);
    const at = (name) => gl.getUniformLocation(this.program, name);
    const { x, y } = MercatorCoordinate.fromLngLat(this.map.getCenter());
    gl.uniformMatrix4fv(at("matrix"), false, movedTo(mainMatrix, x, y));
    gl.uniform1f(at("ratio"), this.map.getPixelRatio());
    const bounds = this.map.getBounds();
    const copy = (longitude) => Math.floor((longitude + 180) / 360);
    for (let turn = copy(bounds.getWest()); turn <= copy(bounds.getEast()); turn += 1) {
      const middle = [x - turn, y];
      const high = middle.map(Math.fround);
      gl.uniform4f(at("middle"), ...high, ...middle.map((value, i) => value - high[i]));
      gl.drawArrays(gl.POINTS, 0, this.events.length);
    }
    gl.bindVertexArray(null);
  }

  upload(gl) {
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.points, gl.DYNAMIC_DRAW);
    for (const [name, values] of this.colours) gl.uniform3fv(gl.getUniformLocation(this.program, name), values);
    this.isStale = false;
  }
}
