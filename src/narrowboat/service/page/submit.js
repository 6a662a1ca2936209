// Handing in work: files that are dropped or chosen, and addresses, with the options of their kind.

import { fill, h, note } from "./dom.js";
import { ask, upload } from "./api.js";

/** Files of this visit by job, so that a recording can be heard beside its transcript. */
export const ours = new Map();

const LANGUAGES = { "": "Find out", en: "English", de: "German", fr: "French", es: "Spanish", it: "Italian", pt: "Portuguese",
  nl: "Dutch", pl: "Polish", sv: "Swedish", ru: "Russian", uk: "Ukrainian", tr: "Turkish", ar: "Arabic", hi: "Hindi",
  zh: "Chinese", ja: "Japanese", ko: "Korean" };

function field(label, control, hint) {
  const id = `field-${label.toLowerCase().replace(/\W+/g, "-")}`;
  control.id = id;
  return h("div", { class: "field" }, h("label", { htmlFor: id }, label), control, hint ? h("small", {}, hint) : null);
}

function select(choices, value) {
  const control = h("select", {});
  for (const [key, text] of Object.entries(choices)) control.append(h("option", { value: key, selected: key === value }, text));
  return control;
}

function check(label, checked) {
  const control = h("input", { type: "checkbox", checked });
  return { control, row: h("label", { class: "check" }, control, h("span", {}, label)) };
}

function models(kind) {
  const known = kind.options.properties.model?.examples ?? [];
  const usual = kind.options.properties.model?.default;
  return Object.fromEntries([...new Set([usual, ...known])].filter(Boolean).map((name) => [name, name.replace("local:", "")]));
}

// Each kind: its controls, and what they say as options.
const FORMS = {
  transcribe(kind) {
    const model = select(models(kind), kind.options.properties.model.default), language = select(LANGUAGES, "");
    const summary = check("Sum it up with quotes", false);
    return {
      rows: [field("Model", model), field("Language", language), summary.row],
      options: () => ({ model: model.value, ...(language.value ? { language: language.value } : {}), ...(summary.control.checked ? { summary: true } : {}) }),
      formats: () => ["txt", "srt", "vtt", "json"],
    };
  },
  extract(kind) {
    const prompt = h("textarea", { rows: 3, required: true, placeholder: "What is each section asked for?" });
    const model = h("input", { type: "text", value: kind.options.properties.model.default, spellcheck: false });
    const sections = sectionsField();
    return {
      rows: [field("Question", prompt), field("Engine", model, "extractive quotes and needs no model; gemini:MODEL, openai:MODEL"), sections.row],
      options: () => ({ prompt: prompt.value, model: model.value, ...sections.options() }),
      formats: () => ["json", "md", "csv"],
      missing: () => (prompt.value.trim() ? null : [prompt, "Say what each section is asked for."]),
    };
  },
  split() {
    const sections = sectionsField();
    return { rows: [sections.row], options: sections.options };
  },
  outline() {
    const sections = sectionsField();
    return { rows: [sections.row], options: sections.options };
  },
  pose(kind) {
    const smooth = select({ light: "Light", off: "Off", strong: "Strong" }, "light");
    const people = h("input", { type: "number", min: 1, max: 8, value: 1 });
    const overlay = check("Draw the skeleton into the video", true);
    return {
      rows: [field("Smoothing", smooth), field("People", people), overlay.row],
      options: () => ({ smooth: smooth.value, people: Number(people.value) || 1 }),
      formats: () => ["csv", "json", ...(overlay.control.checked ? kind.formats.filter((name) => ["overlay", "thumbnail"].includes(name)) : [])],
    };
  },
};

function sectionsField() {
  const way = select({ auto: "As the document says", outline: "By its bookmarks", headings: "By its headings",
    labels: "By its page labels", "pages:1": "Each page", "pages:10": "Every 10 pages" }, "auto");
  return { row: field("Sections", way), options: () => ({ sections: way.value }) };
}

function kindFor(file, kinds) {
  const pdf = file.type === "application/pdf" || /\.pdf$/i.test(file.name);
  const names = pdf ? ["extract", "split"] : file.type.startsWith("video/") ? ["pose", "transcribe"] : ["transcribe"];
  return names.find((name) => kinds.some((kind) => kind.name === name && kind.installed));
}

/** The form; `taken` is told of every job that was taken in. */
export function submitForm(kinds, taken) {
  const usable = kinds.filter((kind) => kind.installed && FORMS[kind.name]);
  if (!usable.length) return h("p", { class: "hint" }, "No kind of work is installed on this service.");
  let kind = usable[0], form = null, files = [];
  const chosen = select(Object.fromEntries(usable.map((one) => [one.name, one.title])), kind.name);
  const rows = h("div", { class: "options" });
  const picked = h("ul", { class: "picked" });
  const input = h("input", { type: "file", multiple: true, class: "unseen", id: "file" });
  const drop = h("label", { class: "drop", htmlFor: "file" }, h("strong", {}, "Drop files here"), h("span", {}, "or choose them"));
  const address = h("input", { type: "url", placeholder: "https://…", autocomplete: "off", spellcheck: false });
  const label = h("input", { type: "text", maxLength: 200, autocomplete: "off" });
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const send = h("button", { type: "submit", class: "main" }, "Start");

  function use(name) {
    kind = usable.find((one) => one.name === name) ?? usable[0];
    chosen.value = kind.name;
    input.accept = kind.takes;
    form = FORMS[kind.name](kind);
    fill(rows, form.rows);
  }

  function show(text, control) {
    error.hidden = !text;
    error.textContent = text ?? "";
    if (control) control.focus();
  }

  function take(list) {
    files = [...list];
    const fitting = files.length ? kindFor(files[0], kinds) : null;
    const current = files.length && kind.takes.split(",").some((type) => files[0].type.startsWith(type.replace("*", "")));
    if (fitting && !current) use(fitting);
    fill(picked, files.map((file) => h("li", {}, file.name)));
    show(null);
  }

  async function sendFile(file) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    const stop = h("button", { type: "button", class: "quiet" }, "Stop");
    const row = h("li", { class: "sending" }, h("span", {}, file.name), bar, stop);
    picked.append(row);
    const fields = { pipeline: kind.name, options: JSON.stringify(form.options()), formats: (form.formats?.() ?? []).join(",") };
    if (!fields.formats) delete fields.formats;
    if (label.value.trim()) fields.label = label.value.trim();
    const sending = upload(file, fields, (part) => { bar.value = part; });
    stop.addEventListener("click", sending.stop);
    try {
      const job = await sending.done;
      ours.set(job.id, file);
      taken(job);
    } finally {
      row.remove();
    }
  }

  async function sendAddress() {
    const body = { pipeline: kind.name, source: address.value.trim(), options: form.options() };
    if (form.formats) body.formats = form.formats();
    if (label.value.trim()) body.label = label.value.trim();
    taken(await ask("POST", "/v1/jobs", body));
    address.value = "";
  }

  async function submit(event) {
    event.preventDefault();
    show(null);
    const missing = form.missing?.();
    if (missing) return show(missing[1], missing[0]);
    if (!files.length && !address.value.trim()) return show("Choose a file, or give an address.", input);
    send.disabled = true;
    const failed = [];
    try {
      const sent = files;
      files = [];
      fill(picked);
      for (const file of sent) {
        try { await sendFile(file); } catch (problem) { failed.push(`${file.name}: ${problem.message}`); }
      }
      if (address.value.trim()) {
        try { await sendAddress(); } catch (problem) { failed.push(problem.message); }
      }
    } finally {
      send.disabled = false;
      input.value = "";
    }
    if (failed.length) show(failed.join(" "));
  }

  input.addEventListener("change", () => take(input.files));
  chosen.addEventListener("change", () => use(chosen.value));
  for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  use(kind.name);
  return h("form", { class: "submit card", noValidate: true, on: { submit }, "aria-label": "New job" },
    field("Work", chosen), h("div", { class: "dropper" }, input, drop), picked,
    field("Or an address", address), rows, field("Label", label, "Jobs of one label are a batch"), error, send);
}

/** A word to a person who dropped something beside the zone. */
export function refuseStrayDrops() {
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => { event.preventDefault(); if (name === "drop" && !event.target.closest(".drop")) note("Drop files on the marked zone."); });
  }
}
