// The page: memory on top, jobs below, one job when its link is followed.

import { fill, h, note, say } from "./dom.js";
import { ask, follow, get, listen, onSignIn } from "./api.js";
import { jobList } from "./jobs.js";
import { jobPage } from "./job.js";
import { memoryLine } from "./memory.js";
import { refuseStrayDrops, submitForm } from "./submit.js";

const main = document.getElementById("main"), link = document.getElementById("link"), signOut = document.getElementById("sign-out");
let shown = null, kinds = null, asking = false;

function connected(yes) {
  say(link, yes ? "" : "Not connected; trying again…");
  link.className = yes ? "link" : "link broken";
}

async function home() {
  const list = jobList();
  const form = submitForm(kinds, (job) => { list.taken(job); note(`${job.source} is job ${job.id}.`); });
  fill(main, h("div", { class: "columns" }, form, list.element));
  document.title = "Narrowboat";
  return list;
}

async function show() {
  if (asking) return;
  shown?.stop();
  shown = null;
  const match = location.hash.match(/^#\/jobs\/([^/]+)$/);
  try {
    kinds ??= (await get("/v1/pipelines")).pipelines;
    if (match) {
      shown = jobPage(decodeURIComponent(match[1]));
      fill(main, shown.element);
    } else shown = await home();
    if (document.activeElement === document.body) return;
    main.focus({ preventScroll: true });
  } catch (problem) {
    if (!asking) fill(main, h("p", { class: "error" }, problem.message));
  }
}

function askKey() {
  if (asking) return;
  asking = true;
  shown?.stop();
  const key = h("input", { type: "password", autocomplete: "current-password", required: true, id: "key" });
  const error = h("p", { class: "error", role: "alert", hidden: true });
  fill(main, h("form", { class: "card narrow", on: { submit: async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/session", { key: key.value.trim() });
      asking = false;
      begin();
    } catch (problem) {
      error.hidden = false;
      error.textContent = problem.message;
      key.select();
    }
  } } }, h("h1", {}, "A key, please"), h("div", { class: "field" }, h("label", { htmlFor: "key" }, "Key"), key,
    h("small", {}, "narrowboat keys --add NAME makes one.")), error, h("button", { type: "submit", class: "main" }, "Enter")));
  key.focus();
}

async function begin() {
  try {
    const session = await get("/session");
    signOut.hidden = session.open;
    line("memory", await get("/health/memory"));
    listen(connected);
    show();
  } catch (problem) {
    if (!asking) { fill(main, h("p", { class: "error" }, problem.message)); connected(false); }
  }
}

onSignIn(askKey);
signOut.addEventListener("click", async () => { await ask("DELETE", "/session").catch(() => {}); location.reload(); });
const line = memoryLine(document.getElementById("memory"));
follow(line);
window.addEventListener("hashchange", show);
refuseStrayDrops();
begin();
