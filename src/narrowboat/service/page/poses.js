// Poses: the video with its skeleton, and how a joint bends under the play head.

import { fill, h, note } from "./dom.js";
import { text } from "./api.js";
import { clock } from "./words.js";

// Each joint: the landmark where it bends and its two neighbours, left and right, as BlazePose numbers them.
const JOINTS = {
  "Left knee": [23, 25, 27], "Right knee": [24, 26, 28], "Left hip": [11, 23, 25], "Right hip": [12, 24, 26],
  "Left elbow": [11, 13, 15], "Right elbow": [12, 14, 16], "Left shoulder": [13, 11, 23], "Right shoulder": [14, 12, 24],
};
const MOST_BYTES = 12 << 20; // of the CSV: about three minutes at 30 pictures a second
const SEEN = 0.5; // visibility below which a joint is not drawn
const WIDEST = 720, HEIGHT = 220, LEFT = 38, TOP = 26, BOTTOM = 22;

/** The beginning of a CSV, whole lines. */
async function beginning(output) {
  const answer = await fetch(output.href, { headers: { range: `bytes=0-${MOST_BYTES - 1}` } });
  const all = await answer.text();
  return { lines: all.slice(0, all.lastIndexOf("\n")).split("\n"), cut: output.bytes > MOST_BYTES };
}

/** Frames by number: for each landmark that is needed its x, y and visibility, of the first person. */
function frames(lines) {
  const names = lines[0].split(","), at = (name) => names.indexOf(name);
  const [frame, mark, x, y, seen, person] = ["frame_id", "landmark_id", "x", "y", "visibility", "person_id"].map(at);
  const needed = new Set(Object.values(JOINTS).flat());
  const found = new Map();
  for (const line of lines.slice(1)) {
    const cells = line.split(",");
    const number = Number(cells[mark]);
    if (!needed.has(number) || (person >= 0 && Number(cells[person]) > 0)) continue;
    const key = Number(cells[frame]);
    if (!found.has(key)) found.set(key, {});
    found.get(key)[number] ??= [Number(cells[x]), Number(cells[y]), Number(cells[seen])];
  }
  return found;
}

function angle(points, joint, aspect) {
  const [a, b, c] = joint.map((number) => points[number]);
  if (!a || !b || !c || Math.min(a[2], b[2], c[2]) < SEEN) return null;
  const one = [(a[0] - b[0]) * aspect, a[1] - b[1]], other = [(c[0] - b[0]) * aspect, c[1] - b[1]];
  const dot = one[0] * other[0] + one[1] * other[1];
  return (Math.acos(Math.max(-1, Math.min(1, dot / (Math.hypot(...one) * Math.hypot(...other) || 1)))) * 180) / Math.PI;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Plot {
  constructor(series, length, width, seek) {
    this.width = Math.min(WIDEST, width); // drawn as wide as it is on a phone, so that words keep their size
    this.length = Math.max(length, 0.001);
    this.series = series;
    this.curve = svg("path", { class: "curve" });
    this.head = svg("line", { class: "head", y1: TOP, y2: HEIGHT - BOTTOM, x1: LEFT, x2: LEFT });
    this.value = svg("text", { x: this.width - 4, y: 16, "text-anchor": "end" });
    const axes = [0, 45, 90, 135, 180].map((degrees) => svg("g", {}, svg("line", { class: "axis", x1: LEFT, x2: this.width, y1: this.y(degrees), y2: this.y(degrees) }),
      svg("text", { x: LEFT - 6, y: this.y(degrees) + 4, "text-anchor": "end" }, `${degrees}°`)));
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => svg("text", { x: this.x(part * this.length), y: HEIGHT - 5, "text-anchor": part === 1 ? "end" : part ? "middle" : "start" }, clock(part * this.length)));
    this.element = svg("svg", { class: "plot", viewBox: `0 0 ${this.width} ${HEIGHT}`, role: "img", "aria-label": "The angle of the joint over time" }, ...axes, ...ticks, this.curve, this.head, this.value);
    const move = (event) => {
      const box = this.element.getBoundingClientRect();
      seek(Math.max(0, Math.min(1, ((event.clientX - box.left) / box.width * this.width - LEFT) / (this.width - LEFT))) * this.length);
    };
    this.element.addEventListener("pointerdown", move);
    this.element.addEventListener("pointermove", (event) => event.buttons && move(event));
  }

  x(time) { return LEFT + ((this.width - LEFT) * time) / this.length; }
  y(degrees) { return TOP + (HEIGHT - BOTTOM - TOP) * (1 - degrees / 180); }

  draw(joint) {
    this.points = this.series(joint);
    let path = "", pen = false;
    for (const [time, degrees] of this.points) {
      if (degrees === null) { pen = false; continue; }
      path += `${pen ? "L" : "M"}${this.x(time).toFixed(1)} ${this.y(degrees).toFixed(1)}`;
      pen = true;
    }
    this.curve.setAttribute("d", path);
  }

  at(time) {
    for (const end of ["x1", "x2"]) this.head.setAttribute(end, this.x(Math.min(time, this.length)));
    const here = this.points.findLast(([when]) => when <= time + 1e-6);
    this.value.textContent = here && here[1] !== null ? `${Math.round(here[1])}° at ${clock(time)}` : `not seen at ${clock(time)}`;
  }
}

/** Show the poses of `job` in `view`. */
export async function poses(job, view) {
  const by = (format) => job.outputs.find((one) => one.format === format);
  const overlay = by("overlay"), csv = by("csv"), summary = by("json"), poster = by("thumbnail");
  const video = overlay ? h("video", { controls: true, src: overlay.href, preload: "metadata", playsInline: true, "aria-label": "The video with its skeleton", ...(poster ? { poster: poster.href } : {}) }) : null;
  const card = h("section", { class: "card" }, h("h2", {}, overlay ? "Skeleton" : "Poses"), video);
  fill(view, card);
  if (!csv || !summary) return;
  const told = JSON.parse(await text(summary.href));
  const { width, height, rate } = told.video;
  const { lines, cut } = await beginning(csv);
  const found = [...frames(lines)].sort((one, other) => one[0] - other[0]);
  if (!found.length) { card.append(h("p", { class: "hint" }, "Nobody was seen in it.")); return; }
  const start = told.start_s ?? 0, first = found[0][0];
  const time = (frame) => (overlay ? (frame - first) / rate : start + (frame - first) / rate);
  const series = (joint) => found.map(([frame, points]) => [time(frame), angle(points, JOINTS[joint], width / height)]);
  const plot = new Plot(series, time(found.at(-1)[0]), view.clientWidth, (when) => { if (video) video.currentTime = when; plot.at(when); });
  const joint = h("select", { "aria-label": "Joint", on: { change: () => { plot.draw(joint.value); plot.at(video ? video.currentTime : 0); } } },
    Object.keys(JOINTS).map((name) => h("option", { value: name }, name)));
  card.append(h("div", { class: "choices" }, joint), plot.element,
    ...(cut ? [h("p", { class: "hint" }, "The beginning is drawn; the whole of it is in the CSV.")] : []));
  plot.draw(joint.value);
  plot.at(0);
  if (!video) return;
  let going = true;
  const tick = () => { if (!going) return; plot.at(video.currentTime); requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  video.addEventListener("error", () => note("This browser can't play the video; download it instead.", "error"));
  return () => { going = false; video.pause(); };
}
