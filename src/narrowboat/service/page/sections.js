// Sections of a document: answers with their pages, or files.

import { fill, h, say } from "./dom.js";
import { text } from "./api.js";
import { size } from "./words.js";

function pagesOf(section) {
  return `${/^\d+$/.test(section.pages) ? "page" : "pages"} ${section.pages}`;
}

function answer(section) {
  if (section.status === "failed") return h("p", { class: "error" }, `${section.error.message}.`);
  if (section.status === "nothing_found") return h("p", { class: "hint" }, "Nothing in this section answers that.");
  if (section.quotes) {
    return h("div", {}, section.quotes.map((quote) => h("blockquote", {}, h("p", {}, quote.text), h("footer", {}, `page ${quote.page}`))));
  }
  const value = section.answer;
  return typeof value === "string" ? h("p", { class: "plain" }, value) : h("pre", {}, JSON.stringify(value, null, 2));
}

/** Answers to a question, section by section. */
export async function answers(job, view) {
  const output = job.outputs.find((one) => one.format === "json");
  if (!output) return;
  const found = JSON.parse(await text(output.href));
  const items = found.sections.map((section) => ({ section, text: JSON.stringify(section).toLowerCase(),
    element: h("li", { class: `section ${section.status}` }, h("h3", {}, section.name, h("small", {}, ` ${pagesOf(section)}`)), answer(section),
      section.note ? h("p", { class: "hint" }, section.note) : null) }));
  const count = h("span", { class: "count", role: "status" });
  const search = h("input", { type: "search", placeholder: "Search the answers", "aria-label": "Search the answers", on: { input: () => {
    const wanted = search.value.trim().toLowerCase();
    for (const item of items) item.element.hidden = Boolean(wanted) && !item.text.includes(wanted);
    const hits = items.filter((item) => !item.element.hidden).length;
    say(count, wanted ? `${hits} of ${items.length} sections` : "");
  } } });
  fill(view, h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", {}, "Answers"), h("div", { class: "search" }, search, count)),
    h("p", { class: "asked" }, found.prompt), h("p", { class: "hint" }, `By ${found.engine.name}${found.engine.kind === "quotes" ? ": quotes from the text, nothing is made up" : ""}.`),
    found.warnings.map((warning) => h("p", { class: "warning" }, `${warning}.`)),
    h("ol", { class: "sections" }, items.map((item) => item.element))));
}

/** Sections with their files, where they have some. */
export async function parts(job, view) {
  const output = job.outputs.find((one) => one.format === "sections" || one.format === "outline");
  if (!output) return;
  const found = JSON.parse(await text(output.href));
  const files = new Map(job.outputs.filter((one) => one.format === "part").map((one) => [one.name, one]));
  const row = (section) => {
    const file = section.file ? files.get(section.file.split("/").pop()) : null;
    return h("tr", {}, h("td", {}, file ? h("a", { href: file.href, download: file.name }, section.name) : section.name),
      h("td", {}, section.pages), h("td", {}, file ? size(file.bytes) : section.error ? h("span", { class: "error" }, section.error.message) : ""));
  };
  fill(view, h("section", { class: "card" }, h("h2", {}, `${found.sections.length} sections of ${found.pages} pages`),
    h("p", { class: "hint" }, `Found by ${found.sections_by}.`), found.warnings.map((warning) => h("p", { class: "warning" }, `${warning}.`)),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Section", "Pages", "Size"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, found.sections.map(row))))));
}
