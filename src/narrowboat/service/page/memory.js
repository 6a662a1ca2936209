// The memory line: what there is, what is promised to whom, what is used of it.

import { fill, h, say } from "./dom.js";
import { size } from "./words.js";

const lives = new Map(); // of running jobs, by id

function part(kind, bytes, limit, title, used = 0) {
  const bar = h("div", { class: `part ${kind}`, title });
  bar.style.width = `${(100 * bytes) / limit}%`;
  if (used) {
    const fillIn = h("div", { class: "filled" });
    fillIn.style.width = `${Math.min(100, (100 * used) / Math.max(1, bytes))}%`;
    bar.append(fillIn);
  }
  return bar;
}

function parts(memory) {
  const limit = memory.limit_bytes;
  const jobs = [...lives.values()].filter((live) => live.reserved_bytes > 0);
  const held = jobs.reduce((sum, live) => sum + live.reserved_bytes, 0);
  const rest = Math.max(0, memory.reserved_bytes - held);
  const free = Math.max(0, memory.budget_bytes - memory.reserved_bytes);
  const kept = Math.max(0, limit - memory.own_bytes - memory.reserved_bytes - free);
  return [
    part("own", memory.own_bytes, limit, `The service itself: ${size(memory.own_bytes)}`),
    ...jobs.map((live, place) => part(`job tone-${place % 4}`, live.reserved_bytes, limit,
      `${live.id} reserved ${size(live.reserved_bytes)}, uses ${size(live.used_bytes)}`, live.used_bytes)),
    rest > 0 ? part("idle", rest, limit, `Ready workers: ${size(rest)}, given back when needed`) : null,
    part("free", free, limit, `Free for jobs: ${size(free)}`),
    part("kept", kept, limit, `Kept free or used by others: ${size(kept)}`),
  ];
}

/** Draw the line into `element`; gives what takes events. */
export function memoryLine(element) {
  const line = h("div", { class: "line", role: "img" });
  const words = h("p", { class: "figures" });
  const pressure = h("p", { class: "pressure", hidden: true });
  fill(element, words, line, pressure);
  let memory = null;

  function draw() {
    if (!memory) return;
    fill(line, parts(memory));
    const told = `Using ${size(memory.used_bytes)} of ${size(memory.limit_bytes)} · ${size(memory.reserved_bytes)} of `
      + `${size(Math.max(0, memory.budget_bytes))} reserved · ${memory.cores_reserved} of ${memory.cores} cores busy`
      + ` · ${memory.jobs.running} running, ${memory.jobs.queued} waiting`;
    say(words, told);
    line.setAttribute("aria-label", told);
    pressure.hidden = !memory.pressure;
    say(pressure, memory.pressure ?? "");
  }

  return (name, data) => {
    if (name === "memory") memory = data;
    else if (name === "progress") lives.set(data.id, data);
    else if (name === "gone" || (name === "job" && data.state !== "running")) lives.delete(data.id);
    else return;
    draw();
  };
}
