// One job: how it stands, what came of it, what to do with it.

import { fill, h, note, say } from "./dom.js";
import { follow, get } from "./api.js";
import { actions, chip } from "./jobs.js";
import { ago, duration, sentence, size, stage } from "./words.js";
import { transcript } from "./transcript.js";
import { answers, parts } from "./sections.js";
import { poses } from "./poses.js";

const VIEWS = { transcribe: transcript, extract: answers, split: parts, outline: parts, pose: poses };

function fact(name, value) {
  return value === null || value === undefined || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function facts(job) {
  const began = job.started ?? job.created;
  return h("dl", { class: "facts" },
    fact("Work", job.pipeline), fact("Job", job.id), fact("Label", job.label), fact("Submitted", ago(job.created)),
    fact("Took", job.ended && job.started ? duration(job.ended - began) : null),
    fact("Overruns", job.overruns ? String(job.overruns) : null),
    fact("Not done again", job.items_resumed ? `${job.items_resumed} items` : null));
}

function downloads(job) {
  if (!job.outputs.length) return null;
  const files = job.outputs.filter((output) => output.format !== "part");
  return h("section", { class: "card" }, h("h2", {}, "Downloads"),
    h("ul", { class: "downloads" }, files.map((output) => h("li", {},
      h("a", { href: output.href, download: output.type.startsWith("text/html") ? null : output.name }, output.name), h("small", {}, size(output.bytes))))));
}

/** The page of a job. */
export function jobPage(id) {
  const element = h("article", { class: "one" }, h("p", { class: "hint" }, "Loading…"));
  const progress = h("progress", { max: 1, "aria-label": "How far it is" });
  const told = h("p", { class: "told", role: "status" });
  const view = h("div", { class: "view" });
  let job = null, shown = null, closeView = () => {};

  function live(data) {
    job.live = data;
    progress.hidden = job.state !== "running";
    if (data && data.fraction !== null) progress.value = data.fraction;
    else progress.removeAttribute("value");
    const memory = data && data.reserved_bytes ? ` · uses ${size(data.used_bytes)} of ${size(data.reserved_bytes)} reserved` : "";
    const percent = data && data.fraction !== null ? `${Math.round(100 * data.fraction)} % · ` : "";
    told.hidden = !["queued", "running"].includes(job.state);
    say(told, job.state === "running" ? `${percent}${stage(data)}${memory}` : job.state === "queued" ? "Waits for its turn." : "");
  }

  function draw() {
    const wrong = job.state === "failed" ? h("p", { class: "error" }, sentence(job.reason, job.source)) : null;
    fill(element,
      h("p", {}, h("a", { href: "#/" }, "← All jobs")),
      h("div", { class: "head" }, h("h1", {}, job.source), chip(job.state),
        h("div", { class: "actions" }, actions(job, (answer) => (answer ? set(answer) : (location.hash = "#/"))))),
      wrong, progress, told, facts(job), view, downloads(job));
    live(job.live);
    const key = `${job.state} ${job.outputs.length}`;
    if (key === shown) return;
    shown = key;
    closeView();
    closeView = () => {};
    fill(view);
    if (job.outputs.length && VIEWS[job.pipeline]) {
      VIEWS[job.pipeline](job, view).then((close) => { closeView = close ?? closeView; }).catch((problem) => note(problem.message, "error"));
    }
  }

  function set(found) {
    job = found;
    document.title = `${job.source} · Narrowboat`;
    draw();
  }

  const stop = follow((name, data) => {
    if (!job || data.id !== id) return;
    if (name === "job") set(data);
    else if (name === "progress" && job.state === "running") live(data);
    else if (name === "gone") location.hash = "#/";
  });
  get(`/v1/jobs/${encodeURIComponent(id)}`).then(set).catch((problem) => fill(element, h("p", {}, h("a", { href: "#/" }, "← All jobs")), h("p", { class: "error" }, problem.message)));
  return { element, stop: () => { stop(); closeView(); } };
}
