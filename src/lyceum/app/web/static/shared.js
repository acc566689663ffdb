// What the scripts of all pages share: words in the page's language, addresses, requests, errors in words.

const words = JSON.parse(document.body.dataset.words);

/** The words for a key; values fill the braces. */
export function t(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** An address of this server that keeps whose rights are used. */
export function link(path, asked = {}) {
  const query = new URLSearchParams({ as: document.documentElement.dataset.as, ...asked });
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  return `${path}${query.size ? `?${query}` : ""}`;
}

/** Nodes of a part of a page that this server has rendered; a script in it would not run. */
export function nodes(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** A request that throws a Problem with what to say when it fails; returns the response. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Problem(t("gone"), t("gone_hint"));
  }
  if (response.ok) return response;
  if (response.status === 401) location.assign(link("/login", { next: location.pathname + location.search }));
  const told = (await response.json().catch(() => ({}))).error;
  throw told ? problem(told) : new Problem(t("failed", { status: response.status }), "");
}

/** An error of the server, in the page's language where its code is known there. */
export function problem(told) {
  const known = words[`errors.${told.code}`];
  return new Problem(known ?? told.message, known ? words[`hints.${told.code}`] ?? "" : told.hint);
}

export class Problem extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/** Server-sent events of a response, one object {event, data} after the other. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const found = { event: "message", data: "" };
      for (const line of part.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 2);
      }
      if (found.data) yield { event: found.event, data: JSON.parse(found.data) };
    }
  }
}

/** What is said aloud by a screen reader, and shown for a moment unless it can be seen anyway. */
export function announce(text, seen = false) {
  let place = document.getElementById("said");
  if (!place) {
    place = document.createElement("div");
    place.id = "said";
    place.setAttribute("role", "status");
    document.body.append(place);
  }
  place.classList.toggle("aside", seen);
  place.textContent = text;
  setTimeout(() => { if (place.textContent === text) place.textContent = ""; }, 4000);
}

// The menu closes as menus do.
const menu = document.querySelector("details.menu");
document.addEventListener("click", (event) => { if (menu && !menu.contains(event.target)) menu.open = false; });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menu?.open) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
