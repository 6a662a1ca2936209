// Making and filling elements. Text is always text: nothing that comes from outside is read as HTML.

/** An element; `properties` may have `class`, `on` ({event: listener}), `data`, aria-* and role. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "class") element.className = value;
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  fill(element, ...children);
  return element;
}

/** Put children in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** Change text only when it differs, so that screen readers and selections are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const notes = () => document.getElementById("notes");

/** A sentence that is shown for a while, or until it is dismissed. */
export function note(text, kind = "info") {
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: () => box.remove() } }, "✕");
  const box = h("div", { class: `note ${kind}` }, h("span", {}, text), close);
  notes().append(box);
  if (kind !== "error") setTimeout(() => box.remove(), 6000);
  while (notes().children.length > 4) notes().firstChild.remove();
}
