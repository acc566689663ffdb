// Files and folders in: sent two at a time, then watched while the server reads them, with the time that is left.
import { announce, link, nodes, problem, request, t } from "./shared.js";
import { draw, watch } from "./jobs.js";

const AT_ONCE = 2; // files that are sent, and jobs that are watched
const SHOWN = 200; // rows
const form = document.getElementById("add");
const section = document.getElementById("jobs");
const rows = section.querySelector("ul");
const list = document.getElementById("list");
const waiting = []; // files to send
const queued = []; // jobs to watch, in the order in which the server reads them
const tally = { all: 0, ended: 0, failed: 0, cancelled: 0, began: 0, sending: 0, watching: 0 };

// --- what comes in --------------------------------------------------------------------------------------

form.querySelector(".folder").hidden = false;
form.querySelector(".over").hidden = false;
form.querySelector(".send").hidden = true;
for (const input of form.querySelectorAll("[type=file]")) {
  input.required = false;
  input.addEventListener("change", () => {
    take([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    input.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());

let depth = 0; // of elements that what is dragged has entered and not left
const carries = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragenter", (event) => { if (carries(event)) form.classList.toggle("over", ++depth > 0); });
document.addEventListener("dragleave", (event) => { if (carries(event)) form.classList.toggle("over", --depth > 0); });
document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
document.addEventListener("drop", async (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  form.classList.remove("over");
  depth = 0;
  const entries = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry()).filter(Boolean);
  const plain = [...event.dataTransfer.files].map((file) => ({ file, path: file.name }));
  take(entries.length ? (await Promise.all(entries.map(inside))).flat() : plain);
});

/** The files of an entry, a folder's with their path in it. */
async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, path: entry.fullPath.slice(1) }] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a folder is given a hundred entries at a time
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return (await Promise.all(found.map(inside))).flat();
    found.push(...some);
  }
}

/** Queue files; hidden ones are left out, as the command line does. */
function take(found) {
  const given = found.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  if (!given.length) announce(t("nothing"));
  for (const one of given) waiting.push({ ...one, row: row(one.path) });
  begin(given.length);
  send();
}

function begin(count) {
  if (tally.ended === tally.all) Object.assign(tally, { all: 0, ended: 0, failed: 0, cancelled: 0, began: Date.now() });
  tally.all += count;
  count && (section.hidden = false);
  told();
}

// --- sending --------------------------------------------------------------------------------------------

async function send() {
  while (tally.sending < AT_ONCE && waiting.length) {
    tally.sending += 1;
    const one = waiting.shift();
    post(one).then((job) => {
      one.row.dataset.job = job.id;
      show(one.row, job);
      queued.push({ id: job.id, row: one.row });
      follow();
    }, (failure) => ended(one.row, failure)).finally(() => {
      tally.sending -= 1;
      send();
    });
  }
}

/** Send a file; a server that is busy is asked again. */
async function post({ file, path, row }) {
  const body = new FormData();
  body.append("file", file, file.name);
  body.append("source", path);
  for (const name of ["readers", "tags"]) body.append(name, form.elements[name].value);
  for (;;) {
    const answer = await sent(body, (share) => {
      row.querySelector("progress").value = share;
      say(row, t("sending", { n: Math.floor(share * 100) }));
    });
    const told = answer.response?.error;
    if (answer.status < 300) return answer.response;
    if (!told?.retryable) throw told ? problem(told) : new Error(t("failed", { status: answer.status }));
    say(row, t("busy"));
    await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.getResponseHeader("Retry-After") || 1)));
  }
}

/** fetch does not say how much has been sent. */
function sent(body, heard) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", link("/api/documents", { wait: "false" }));
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => heard(total ? loaded / total : 0);
    request.onload = () => resolve(request);
    request.onerror = () => reject(Object.assign(new Error(t("gone")), { hint: t("gone_hint") }));
    request.send(body);
  });
}

// --- reading --------------------------------------------------------------------------------------------

function follow() {
  while (tally.watching < AT_ONCE && queued.length) {
    tally.watching += 1;
    const { id, row } = queued.shift();
    watch(id, (job) => show(row, job)).then((job) => {
      tally.watching -= 1;
      if (job?.state === "cancelled") tally.cancelled += 1;
      ended(row, job?.state === "failed" ? problem(job.error) : null);
      follow();
    });
  }
}

function show(row, job) {
  draw(row.querySelector("progress"), job);
  const cancel = row.querySelector(".cancel");
  cancel.hidden = false;
  if (job.state === "queued") say(row, t("waiting"));
  if (job.state === "cancelled") say(row, t("cancelled"));
  if (job.state !== "running") return;
  const pages = job.total ? t("reading", { done: job.pages, all: job.total }) : t("begun");
  say(row, job.left ? `${pages} · ${left(job.left)}` : pages);
}

function ended(row, failure) {
  tally.ended += 1;
  tally.failed += failure ? 1 : 0;
  if (failure) {
    say(row, `${failure.message} ${failure.hint ?? ""}`);
    row.querySelector(".told").classList.add("bad");
    row.querySelector("progress").value = 0;
    row.querySelector(".cancel").hidden = true;
  } else {
    row.remove();
  }
  told();
  if (tally.ended === tally.all) finish();
}

async function finish() {
  const n = tally.all - tally.failed - tally.cancelled;
  announce(tally.failed ? t("finished_some", { n, failed: tally.failed }) : t("finished", { n }));
  try {
    const html = await (await request(list.dataset.again)).text();
    if (!list.contains(document.activeElement)) {
      list.replaceChildren(nodes(html));
      for (const one of rows.querySelectorAll("[data-job]:not([data-job=''])")) one.remove(); // the list says why
    }
  } catch (failure) {
    announce(`${failure.message} ${failure.hint ?? ""}`);
  }
  section.hidden = !rows.children.length;
}

rows.addEventListener("click", async (event) => {
  const button = event.target.closest(".cancel");
  if (!button) return;
  button.disabled = true;
  try {
    await request(link(`/api/jobs/${button.closest("[data-job]").dataset.job}`), { method: "DELETE" });
  } catch (failure) {
    announce(`${failure.message} ${failure.hint ?? ""}`);
  }
});

// --- what is said ---------------------------------------------------------------------------------------

function row(path) {
  const made = document.getElementById("row").content.cloneNode(true).firstElementChild;
  made.querySelector(".name").textContent = path;
  made.querySelector("progress").setAttribute("aria-label", path);
  say(made, t("waiting"));
  if (rows.children.length < SHOWN) rows.append(made);
  return made;
}

function say(row, text) {
  const place = row.querySelector(".told");
  if (place.textContent !== text) place.textContent = text;
}

/** How far all are; the time left is that of those that have ended, for as many as are to come. */
function told() {
  const { all, ended, began } = tally;
  const bar = section.querySelector(".whole");
  bar.max = all;
  bar.value = ended;
  const seconds = ended > 2 ? ((Date.now() - began) / 1000 / ended) * (all - ended) : 0;
  const far = t("far", { done: ended, all });
  section.querySelector(".sum").textContent = seconds >= 1 ? `${far} · ${left(seconds)}` : far;
}

function left(seconds) {
  return seconds < 60 ? t("left_s", { n: Math.ceil(seconds) }) : t("left_min", { n: Math.ceil(seconds / 60) });
}

// What was being read when the page was opened.
for (const one of rows.querySelectorAll("[data-job]")) queued.push({ id: one.dataset.job, row: one });
begin(queued.length);
follow();
