// Talking with the service: requests, uploads with progress, events.

import { sentence } from "./words.js";

/** What a request met, as a sentence. */
export class Refused extends Error {
  constructor(problem) {
    super(sentence(problem));
    this.status = problem.status;
    this.code = problem.code;
  }
}

let signIn = () => {};

/** Called when a key is needed. */
export function onSignIn(listener) { signIn = listener; }

function refused(status, body) {
  if (status === 401) signIn();
  const problem = body && body.detail ? body : { detail: `the service answered ${status}`, status };
  return new Refused({ status, ...problem });
}

/** The JSON of an answer; null for an empty one. */
export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused({ detail: "the service can't be reached", status: 0 });
  }
  if (answer.status === 204) return null;
  const found = await answer.json().catch(() => null);
  if (!answer.ok) throw refused(answer.status, found);
  return found;
}

export const get = (path) => ask("GET", path);

/** The text of an output. */
export async function text(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw refused(answer.status, await answer.json().catch(() => null));
  return answer.text();
}

/** Send a file; `progress` is told 0 to 1. Gives a promise and a way to stop. */
export function upload(file, fields, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file, file.name);
    request.open("POST", "/v1/jobs");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => (request.status < 300 ? resolve(request.response) : reject(refused(request.status, request.response)));
    request.onerror = () => reject(new Refused({ detail: "the connection broke while the file was sent", status: 0 }));
    request.onabort = () => reject(new Refused({ detail: "the upload was stopped", status: 0 }));
    request.send(form);
  });
  return { done, stop: () => request.abort() };
}

const followers = new Set();
let source = null;

/** Be told of every event: `listener(name, data)`. Gives a way to stop. */
export function follow(listener) {
  followers.add(listener);
  return () => followers.delete(listener);
}

/** Keep one stream of events open, for as long as the page is there. */
export function listen(connected) {
  if (source) source.close();
  source = new EventSource("/v1/events");
  source.onopen = () => connected(true);
  source.onerror = () => connected(false);
  for (const name of ["job", "progress", "memory", "gone"]) {
    source.addEventListener(name, (event) => {
      const data = JSON.parse(event.data);
      for (const listener of [...followers]) listener(name, data);
    });
  }
}
