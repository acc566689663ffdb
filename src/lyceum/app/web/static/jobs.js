// Jobs that are watched: their whole state at every change, by the server's own events.
import { link } from "./shared.js";

const FINAL = ["done", "failed", "cancelled"];

/** Call `heard` with a job's state whenever it changes; resolves with its last state, null when it cannot be seen. */
export function watch(id, heard) {
  return new Promise((resolve) => {
    const stream = new EventSource(link(`/api/jobs/${id}/events`)); // comes back by itself when the connection breaks
    stream.onmessage = ({ data }) => {
      const job = JSON.parse(data);
      heard(job);
      if (FINAL.includes(job.state)) {
        stream.close();
        resolve(job);
      }
    };
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) resolve(null);
    };
  });
}

/** How far a job is, on its progress bar. */
export function draw(bar, job) {
  bar.max = job.total || 1;
  bar.value = job.total ? job.pages : 0;
  if (job.state === "running" && !job.total) bar.removeAttribute("value");
}
