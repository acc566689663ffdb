// One document: the page is loaded again when its job has ended; passages and their boxes light up together.
import { draw, watch } from "./jobs.js";

for (const row of document.querySelectorAll("[data-job]")) {
  watch(row.dataset.job, (job) => draw(row.querySelector("progress"), job)).then(() => location.reload());
}

for (const one of document.querySelectorAll(".twin [data-chunk]")) {
  const box = document.querySelector(`[data-box="${one.dataset.chunk}"]`);
  const light = (on) => {
    one.classList.toggle("lit", on);
    box?.classList.toggle("lit", on);
  };
  for (const name of ["mouseenter", "focusin"]) one.addEventListener(name, () => light(true));
  for (const name of ["mouseleave", "focusout"]) one.addEventListener(name, () => light(false));
}
