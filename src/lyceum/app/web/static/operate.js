// The page that operates: the measured part anew every few seconds, while it is looked at.
import { announce, link, nodes, request } from "./shared.js";

const place = document.getElementById("numbers");
let gone = false;

async function watch() {
  if (!document.hidden && !place.contains(document.activeElement)) {
    try {
      place.replaceChildren(nodes(await (await request(link("/operate/numbers"))).text()));
      gone = false;
    } catch (failure) {
      if (!gone) announce(`${failure.message} ${failure.hint ?? ""}`);
      gone = true;
    }
  }
  setTimeout(watch, 5000);
}

setTimeout(watch, 5000);
