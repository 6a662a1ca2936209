// Figures and states in words.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes, as the command line says them. */
export function size(bytes) {
  let value = Math.max(0, bytes), unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds as a clock: 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(":")}` : parts.join(":").replace(/^0/, "");
}

/** A length of time. */
export function duration(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

/** How long ago, in a few letters. */
export function ago(at) {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(at * 1000).toLocaleDateString();
}

const STAGES = {
  queued: "waiting for its turn", validate: "asking for the source", fetch: "fetching", probe: "looking at the file",
  prepare: "getting the model ready", recognise: "listening", captions: "writing", summary: "summing up",
  count: "opening the document", survey: "reading the document", find: "finding sections", cut: "cutting sections",
  ask: "asking", place: "writing files", list: "writing", write: "writing", follow: "watching", join: "joining the video",
};

/** What a running job does. */
export function stage(live) {
  if (!live) return "";
  const words = STAGES[live.stage] ?? live.stage;
  return live.waiting && live.stage !== "queued" ? `${words}, waits for memory` : words;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An error as a sentence; a name that it begins with stays as it is. */
export function sentence(problem, name = "") {
  if (!problem) return "";
  const detail = name && problem.detail.startsWith(name) ? problem.detail : capital(problem.detail);
  return problem.hint ? `${detail}. ${capital(problem.hint)}.` : `${detail}.`;
}
