// The page that asks: the answer as it comes, its sources beside it, all by keyboard too.
import { announce, events, link, nodes, problem, Problem, request, t } from "./shared.js";

const form = document.getElementById("ask");
const input = document.getElementById("q");
const turns = document.getElementById("turns");
const source = document.getElementById("source");
const recent = document.getElementById("recent");
const said = []; // the turns of this conversation, as the server takes them
const TURNS = 20; // of them that go along with a question
let opened = null; // the citation whose source is shown

// --- asking ---------------------------------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = input.value.trim();
  if (!question || document.querySelector(".turn[aria-busy]")) return;
  input.value = "";
  grow();
  ask(question);
});

async function ask(question) {
  document.getElementById("first")?.remove();
  const turn = document.getElementById("turn").content.cloneNode(true).firstElementChild;
  turn.querySelector(".question").textContent = question;
  turns.append(turn);
  turn.scrollIntoView({ block: "start" });
  remember(question);
  const cut = new AbortController();
  turn.querySelector(".stop").addEventListener("click", () => cut.abort());
  try {
    const body = JSON.stringify({ question, history: said.slice(-TURNS) });
    const headers = { "Content-Type": "application/json" };
    await answered(turn, await request(link("/ask"), { method: "POST", headers, body, signal: cut.signal }));
  } catch (failure) {
    failed(turn, question, failure);
  }
}

/** Show an answer while it comes; throws when the stream ends before it is whole. */
async function answered(turn, response) {
  const coming = turn.querySelector(".coming");
  try {
    for await (const { event, data } of events(response)) {
      if (event === "piece") coming.append(data);
      if (event === "failed") throw problem(data);
      if (event === "answer") {
        const whole = nodes(data.html).firstElementChild;
        const question = turn.querySelector(".question").textContent;
        turn.replaceWith(whole);
        ready(whole);
        said.push({ role: "user", content: question }, { role: "assistant", content: data.text });
        history.replaceState(null, "", link("/", { q: question }));
        announce(t("answered"), true);
        input.focus({ preventScroll: true });
        return;
      }
    }
  } catch (failure) {
    if (failure instanceof Problem || failure.name === "AbortError") throw failure;
  }
  throw new Problem(t("broken"), coming.textContent ? t("broken_hint") : t("gone_hint"));
}

function failed(turn, question, failure) {
  turn.removeAttribute("aria-busy");
  const state = turn.querySelector(".state");
  const note = document.createElement("div");
  note.className = "note bad";
  note.setAttribute("role", "alert");
  const stopped = failure.name === "AbortError";
  for (const text of stopped ? [t("stopped")] : [failure.message, failure.hint]) {
    if (text) note.append(Object.assign(document.createElement("p"), { textContent: text }));
  }
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: t("retry") });
  again.addEventListener("click", () => {
    turn.remove();
    ask(question);
  });
  note.append(again);
  state.replaceWith(note);
  again.focus({ preventScroll: true });
}

/** What a rendered answer can do where scripts run. */
function ready(turn) {
  const print = turn.querySelector(".print");
  if (print) print.hidden = false;
  print?.addEventListener("click", () => window.print());
  turn.querySelector("form.doing")?.addEventListener("submit", judge);
}

async function judge(event) {
  const button = event.submitter;
  if (button?.name !== "thumb") return; // the export is a download
  event.preventDefault();
  const form = event.currentTarget;
  try {
    const headers = { Accept: "application/json" };
    await request(form.action, { method: "POST", headers, body: new URLSearchParams(new FormData(form, button)) });
  } catch (failure) {
    announce(`${failure.message} ${failure.hint ?? ""}`);
    return;
  }
  for (const one of form.querySelectorAll("[aria-pressed]")) {
    one.setAttribute("aria-pressed", String(one.value === button.value));
  }
  const more = button.classList.contains("more");
  form.querySelector(".why").open = button.value === "bad" && !more;
  if (button.value === "bad" && !more) form.querySelector("[name=reason]").focus();
  announce(t(button.value === "bad" && !more ? "kept_bad" : "kept"));
}

// --- sources --------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const cite = event.target.closest("a[data-cite]");
  const suggested = event.target.closest("a[data-ask]");
  if (cite) {
    event.preventDefault();
    show(cite);
  } else if (suggested) {
    event.preventDefault();
    ask(suggested.textContent);
  }
});

async function show(cite) {
  opened?.removeAttribute("aria-current");
  opened = cite;
  cite.setAttribute("aria-current", "true");
  try {
    const url = new URL(cite.href);
    url.searchParams.set("part", "1");
    const html = await (await request(url)).text();
    if (opened !== cite) return; // another one was asked for meanwhile
    source.replaceChildren(nodes(html));
  } catch (failure) {
    const note = Object.assign(document.createElement("p"), { className: "note bad" });
    note.textContent = `${failure.message} ${failure.hint ?? ""}`;
    source.replaceChildren(note);
  }
  source.hidden = false;
  document.body.classList.add("beside");
  const close = source.querySelector(".close");
  if (close) close.hidden = false;
  close?.addEventListener("click", hide);
  bring();
  source.focus({ preventScroll: true });
}

/** Scroll the sheet to the words that are marked. */
function bring() {
  const sheet = source.querySelector(".sheet");
  const first = source.querySelector(".boxes rect, tr.marked, .passage mark");
  if (!sheet) {
    first?.scrollIntoView({ block: "center" });
    return;
  }
  source.scrollTop = 0;
  if (!first) return;
  const [inside, outside] = [first.getBoundingClientRect(), sheet.getBoundingClientRect()];
  sheet.scrollBy(inside.left - outside.left - 24, inside.top - outside.top - sheet.clientHeight / 3);
}

function hide() {
  if (source.hidden) return;
  source.hidden = true;
  document.body.classList.remove("beside");
  opened?.removeAttribute("aria-current");
  opened?.focus();
  opened = null;
}

// --- keyboard -------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (!source.hidden) hide();
    else if (writing) writing.blur();
  } else if ((writing && (writing !== input || input.value || !event.key.startsWith("Arrow"))) || event.target.closest?.("meter, [role=slider]")) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    input.focus();
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    step(event, event.key === "ArrowRight" ? 1 : -1);
  }
});

/** Go to the next citation of all answers; where a source is shown, show that one's. */
function step(event, by) {
  const all = [...document.querySelectorAll(".sources a[data-cite]")];
  if (!all.length) return;
  event.preventDefault();
  const now = all.findIndex((one) => one === document.activeElement || one.href === opened?.href);
  const next = all[now < 0 ? (by > 0 ? 0 : all.length - 1) : (now + by + all.length) % all.length];
  if (source.hidden) next.focus();
  else show(next);
}

input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight + 2, 240)}px`;
}
input.addEventListener("input", grow);

// --- earlier questions: in this browser alone, and nothing of their answers, for rights may have changed -----

const PLACE = `lyceum questions ${document.documentElement.dataset.as}`;
const MOST = 50;

function earlier() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

function remember(question) {
  const kept = [question, ...earlier().filter((one) => one !== question)].slice(0, MOST);
  try {
    localStorage.setItem(PLACE, JSON.stringify(kept));
  } catch {
    return; // a browser that keeps nothing
  }
  list();
}

function list() {
  const kept = earlier();
  recent.hidden = !kept.length;
  recent.querySelector("ul").replaceChildren(
    ...kept.map((question) => {
      const row = document.createElement("li");
      const way = Object.assign(document.createElement("a"), { href: link("/", { q: question }), textContent: question });
      way.dataset.ask = "";
      way.dir = "auto";
      row.append(way);
      return row;
    }),
  );
}

recent.querySelector("button").addEventListener("click", () => {
  localStorage.removeItem(PLACE);
  list();
});

// --- the first steps ------------------------------------------------------------------------------------

async function watch() {
  const first = document.getElementById("first");
  if (!first) return;
  let wait = 1000;
  try {
    const html = await (await request(link("/welcome/progress"))).text();
    if (!first.contains(document.activeElement)) first.replaceChildren(nodes(html));
  } catch (failure) {
    wait = 3000;
    announce(`${failure.message} ${failure.hint ?? ""}`);
  }
  if (first.querySelector("progress")) setTimeout(watch, wait);
}

list();
for (const turn of document.querySelectorAll(".turn")) ready(turn);
if (Number(document.getElementById("first")?.dataset.open)) setTimeout(watch, 1000);
