// Poses: the video with its skeleton, and how a joint moves under the play head.

import { fill, h } from "./dom.js";

/** Show the poses of `job` in `view`. */
export async function poses(job, view) {
  const video = job.outputs.find((one) => one.format === "overlay");
  if (!video) return;
  fill(view, h("section", { class: "card" }, h("h2", {}, "Skeleton"), h("video", { controls: true, src: video.href, preload: "metadata" })));
}
