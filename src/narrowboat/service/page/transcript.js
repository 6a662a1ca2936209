// A transcript beside its recording: click to hear a place, search for words.

import { fill, h, say } from "./dom.js";
import { text } from "./api.js";
import { clock } from "./words.js";
import { ours } from "./submit.js";

/** Parts of `line` around each place where `wanted` stands. */
function marked(line, wanted) {
  if (!wanted) return [line];
  const found = [], lower = line.toLowerCase(), needle = wanted.toLowerCase();
  let from = 0, at = lower.indexOf(needle);
  while (at >= 0) {
    found.push(line.slice(from, at), h("mark", {}, line.slice(at, at + needle.length)));
    from = at + needle.length;
    at = lower.indexOf(needle, from);
  }
  return [...found, line.slice(from)];
}

function player(file, loaded) {
  const kind = file.type.startsWith("video/") ? "video" : "audio";
  const address = URL.createObjectURL(file);
  const media = h(kind, { controls: true, preload: "metadata", src: address, "aria-label": `The recording ${file.name}` });
  loaded(media);
  return { media, close: () => URL.revokeObjectURL(address) };
}

/** Show the transcript of `job` in `view`; gives what to do when it is left. */
export async function transcript(job, view) {
  const output = job.outputs.find((one) => one.format === "json");
  const plain = job.outputs.find((one) => one.format === "txt");
  if (!output && !plain) return null;
  if (!output) {
    fill(view, h("section", { class: "card transcript" }, h("h2", {}, "Transcript"), h("p", { class: "plain" }, await text(plain.href))));
    return null;
  }
  const found = JSON.parse(await text(output.href));
  let media = null, current = -1, close = () => {};
  const lines = found.segments.map((segment, place) => {
    const words = h("span", { class: "words" }, segment.text);
    const button = h("button", { type: "button", class: "at", on: { click: () => seek(place) } }, clock(segment.start));
    const who = segment.speaker ? h("b", { class: "who" }, `${segment.speaker}: `) : null;
    return { segment, words, button, element: h("li", { class: "segment" }, button, h("p", {}, who, words)) };
  });
  const list = h("ol", { class: "segments" }, lines.map((line) => line.element));
  const count = h("span", { class: "count", role: "status" });
  const search = h("input", { type: "search", placeholder: "Search the transcript", "aria-label": "Search the transcript", on: { input: look } });
  const hearing = h("div", { class: "hearing" });

  function look() {
    const wanted = search.value.trim();
    let hits = 0;
    for (const line of lines) {
      const here = wanted && line.segment.text.toLowerCase().includes(wanted.toLowerCase());
      hits += here ? 1 : 0;
      line.element.hidden = Boolean(wanted) && !here;
      fill(line.words, marked(line.segment.text, wanted));
    }
    say(count, wanted ? `${hits} ${hits === 1 ? "place" : "places"}` : "");
  }

  function seek(place) {
    highlight(place);
    if (!media) return;
    media.currentTime = lines[place].segment.start;
    media.play().catch(() => {});
  }

  function highlight(place) {
    if (place === current) return;
    lines[current]?.element.classList.remove("now");
    lines[current]?.button.removeAttribute("aria-current");
    current = place;
    const line = lines[place];
    if (!line) return;
    line.element.classList.add("now");
    line.button.setAttribute("aria-current", "true");
    const box = list.getBoundingClientRect(), its = line.element.getBoundingClientRect();
    if (its.top < box.top || its.bottom > box.bottom) list.scrollTop += its.top - box.top - 40;
  }

  function hear(file) {
    close();
    const made = player(file, (element) => {
      media = element;
      media.addEventListener("timeupdate", () => {
        const at = media.currentTime;
        highlight(lines.findLastIndex((line) => line.segment.start <= at + 0.05));
      });
    });
    close = made.close;
    fill(hearing, made.media);
  }

  const file = ours.get(job.id);
  if (file) hear(file);
  else {
    const choose = h("input", { type: "file", accept: "audio/*,video/*", class: "unseen", id: "recording", on: { change: () => choose.files[0] && hear(choose.files[0]) } });
    fill(hearing, choose, h("label", { class: "quiet button", htmlFor: "recording" }, "Choose the recording to hear it"),
      h("small", {}, "It stays in your browser; the service keeps no recordings."));
  }
  const summary = found.summary ? h("section", { class: "card" }, h("h2", {}, "Summary"), h("p", { class: "plain" }, found.summary.text)) : null;
  fill(view, summary, h("section", { class: "card transcript" },
    h("div", { class: "head" }, h("h2", {}, "Transcript"), h("div", { class: "search" }, search, count)), hearing,
    lines.length ? list : h("p", { class: "hint" }, "Nobody speaks in it.")));
  return () => close();
}
