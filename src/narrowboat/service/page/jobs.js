// The list of jobs, as they come and go.

import { fill, h, note, say } from "./dom.js";
import { ask, follow, get } from "./api.js";
import { ago, duration, sentence, size, stage } from "./words.js";

const STATES = { "": "All", "queued,running": "Under way", done: "Done", failed: "Failed", cancelled: "Cancelled" };

/** What may be done with a job in its state. */
export function actions(job, after) {
  const button = (text, work, kind = "quiet") => h("button", { type: "button", class: kind, "aria-label": `${text} ${job.source}`,
    on: { click: async (event) => {
      event.target.disabled = true;
      try { after(await work()); } catch (problem) { note(problem.message, "error"); event.target.disabled = false; }
    } } }, text);
  const path = `/v1/jobs/${job.id}`;
  if (["queued", "running"].includes(job.state)) return [button("Cancel", () => ask("POST", `${path}/cancel`))];
  const found = [button("Delete", () => ask("DELETE", path))];
  if (job.state !== "done") found.unshift(button("Retry", () => ask("POST", `${path}/retry`)));
  return found;
}

/** The state of a job as a word that does not rest on colour alone. */
export function chip(state) {
  const marks = { queued: "◌", running: "▸", done: "✓", failed: "✕", cancelled: "–" };
  return h("span", { class: `chip ${state}` }, h("span", { "aria-hidden": "true" }, marks[state]), ` ${state}`);
}

function told(job) {
  if (job.state === "failed") return sentence(job.reason, job.source);
  if (job.state === "cancelled") return `Cancelled ${ago(job.ended)}.`;
  if (job.state === "queued") return "Waits for its turn.";
  if (job.state === "done") return `${ago(job.ended)} · took ${duration(Math.max(0, job.ended - job.started))}`;
  const live = job.live;
  if (!live) return "Starts.";
  const memory = live.reserved_bytes ? ` · ${size(live.used_bytes)} of ${size(live.reserved_bytes)}` : "";
  const percent = live.fraction === null ? "" : `${Math.round(100 * live.fraction)} % · `;
  return `${percent}${stage(live)}${memory}`;
}

class Row {
  constructor(job, changed) {
    this.changed = changed;
    this.name = h("a", { class: "name", href: `#/jobs/${job.id}` });
    this.chip = h("span", {});
    this.told = h("p", { class: "told" });
    this.bar = h("progress", { max: 1, "aria-label": "How far it is" });
    this.actions = h("div", { class: "actions" });
    this.meta = h("span", { class: "meta" });
    this.element = h("li", { class: "job", data: { id: job.id } },
      h("div", { class: "top" }, this.name, this.chip), h("div", { class: "under" }, this.told, this.actions), this.bar, this.meta);
    this.set(job);
  }

  set(job) {
    const turned = !this.job || this.job.state !== job.state;
    this.job = job;
    say(this.name, job.source);
    say(this.meta, [job.id, job.pipeline, job.label].filter(Boolean).join(" · "));
    this.element.className = `job ${job.state}`;
    if (turned) {
      fill(this.chip, chip(job.state));
      fill(this.actions, actions(job, (answer) => this.changed(answer ?? { id: job.id, gone: true })));
    }
    this.progress(job.live);
  }

  progress(live) {
    this.job.live = live;
    say(this.told, told(this.job));
    this.bar.hidden = this.job.state !== "running";
    if (live && live.fraction !== null) this.bar.value = live.fraction;
    else this.bar.removeAttribute("value");
  }
}

/** The list with its filters. */
export function jobList() {
  const rows = new Map();
  const list = h("ol", { class: "jobs" });
  const empty = h("p", { class: "hint" }, "No jobs yet. Drop a file to begin.");
  const more = h("button", { type: "button", class: "quiet", hidden: true, on: { click: () => load(true) } }, "Show more");
  const count = h("p", { class: "count", role: "status" });
  let state = "", next = null, total = 0;

  function counted(now) {
    total = now;
    say(count, total ? `${total} ${total === 1 ? "job" : "jobs"}` : "");
  }

  function drop(id) {
    if (!rows.has(id)) return;
    rows.get(id).element.remove();
    rows.delete(id);
    counted(total - 1);
  }

  function changed(job) {
    if (job.gone || (state && !state.split(",").includes(job.state))) drop(job.id);
    else if (rows.has(job.id)) rows.get(job.id).set(job);
    else {
      const row = new Row(job, changed);
      rows.set(job.id, row);
      list.prepend(row.element);
      counted(total + 1);
    }
    empty.hidden = rows.size > 0;
  }

  async function load(further = false) {
    const path = further && next ? next : `/v1/jobs?limit=30${state ? `&state=${state}` : ""}`;
    let page;
    try { page = await get(path); } catch (problem) { note(problem.message, "error"); return; }
    if (!further) { rows.clear(); fill(list); }
    for (const job of page.jobs) {
      if (rows.has(job.id)) continue;
      const row = new Row(job, changed);
      rows.set(job.id, row);
      list.append(row.element);
    }
    next = page.next;
    counted(page.total);
    more.hidden = !next;
    empty.hidden = rows.size > 0;
    say(empty, state ? "None of these." : "No jobs yet. Drop a file to begin.");
  }

  const filters = h("div", { class: "filters", role: "group", "aria-label": "Which jobs" },
    Object.entries(STATES).map(([value, text]) => h("button", { type: "button", "aria-pressed": String(value === state), on: { click: (event) => {
      state = value;
      for (const other of filters.children) other.setAttribute("aria-pressed", String(other === event.target));
      load();
    } } }, text)));
  const stop = follow((name, data) => {
    if (name === "job") changed(data);
    else if (name === "gone") changed({ id: data.id, gone: true });
    else if (name === "progress") {
      const row = rows.get(data.id);
      if (row && row.job.state === "running") row.progress(data);
    }
  });
  load();
  const element = h("section", { class: "list", "aria-label": "Jobs" }, h("div", { class: "head" }, h("h2", {}, "Jobs"), count, filters), empty, list, more);
  return { element, stop, taken: changed };
}
