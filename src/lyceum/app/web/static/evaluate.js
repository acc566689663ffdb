// The page that evaluates: how far measuring is, and the new results when it ends.
import { announce, link, nodes, request, t } from "./shared.js";

const place = document.getElementById("measuring");
let open = Number(place.dataset.open);

async function watch() {
  let wait = 1000;
  try {
    const part = nodes(await (await request(link("/evaluate/progress"))).text());
    const left = [...part.querySelectorAll("progress")].length + [...part.querySelectorAll("form")].length;
    if (!left || part.querySelectorAll(".job").length !== place.querySelectorAll(".job").length) {
      location.reload();
      return;
    }
    const focused = document.activeElement?.id;
    place.replaceChildren(part);
    if (focused) document.getElementById(focused)?.focus();
  } catch (failure) {
    wait = 3000;
    announce(`${failure.message} ${failure.hint ?? ""}`);
  }
  if (open) setTimeout(watch, wait);
}

if (open) {
  announce(t("watching"), true);
  setTimeout(watch, 1000);
}
