// evidence.js -- what a device kept for an event: its snapshot, fetched when somebody opens the event, and its clip.
//
// Nothing is fetched before: every look goes to the device as a method call, and into the hub's audit log.

import {api} from "./api.js";
import {copyButton, h} from "./dom.js";
import {length, shortDigest, size} from "./format.js";

const bytes_max = 16 << 20;
const blurs = {people: "people blurred", faces: "faces blurred", none: "not blurred"};

export const blurWords = blur => blurs[blur] ?? blur;

/** Resolves to {blob, blur}; throws the device's words. */
async function fetchFile(event, digest, progress) {
  const parts = [];
  let done = 0;
  for (;;) {
    const reply = await api.method(event.device, event.module, "evidence", {digest, offset: done}, 20);
    if (reply.status !== 200) throw new Error(reply.payload?.message ?? `The device answered ${reply.status}.`);
    const {bytes, data, type, blur} = reply.payload;
    if (bytes > bytes_max) throw new Error(`It is ${size(bytes)}; fetch it with the command line.`);
    const part = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    parts.push(part);
    done += part.length;
    progress(done / bytes);
    if (done >= bytes || !part.length) return {blob: new Blob(parts, {type}), blur, bytes};
  }
}

/** The event that says that the clip is stored, or that it could not be; null while neither came. */
async function clipEvent(event) {
  const id = event.extension?.clip;
  const page = await api.events({
    device: event.device,
    module: event.module,
    from_us: event.captured_us,
    to_us: event.captured_us + 1,
    limit: 200,
  });
  return page.events.find(other => other.type.startsWith("evidence.") && other.extension?.clip === id) ?? null;
}

/** Where the event is, and where its picture was strangest, as boxes over the snapshot. */
function marksOn(event) {
  const {region, extension} = event;
  const boxes = [
    ["where", region && [region.left, region.top, region.right, region.bottom]],
    ["strangest", extension?.strangest],
  ];
  const part = value => `${100 * Math.min(1, Math.max(0, value))}%`;
  return boxes
    .filter(([, box]) => Array.isArray(box) && box.length === 4 && box.every(Number.isFinite))
    .map(([name, [left, top, right, bottom]]) => {
      const mark = h("span", {class: `mark-box ${name}`, "aria-hidden": "true"});
      Object.assign(mark.style, {left: part(left), top: part(top), width: part(right - left), height: part(bottom - top)});
      return mark;
    });
}

/** A snapshot, or of a sound event what was heard. */
function picture(event, digest) {
  const what = event.family === "audio" ? "sound" : "snapshot";
  const bar = h("progress", {max: 1, value: 0, "aria-label": `Fetching the ${what}`});
  const caption = h("figcaption", {class: "quiet"}, "Fetching from the device… ", bar);
  const figure = h("figure", {class: "evidence"}, caption);
  fetchFile(event, digest, part => (bar.value = part)).then(
    ({blob, blur, bytes}) => {
      const url = URL.createObjectURL(blob);
      if (blob.type.startsWith("audio/")) {
        caption.replaceChildren(`Sound · ${size(bytes)} · ${shortDigest(digest)}`);
        figure.prepend(h("audio", {src: url, controls: true, preload: "auto"}));
        return;
      }
      const image = h("img", {src: url, alt: `Snapshot of ${event.stream} when the event was raised`});
      image.addEventListener("load", () => setTimeout(() => URL.revokeObjectURL(url), 60_000), {once: true});
      caption.replaceChildren(`Snapshot · ${blurWords(blur)} · ${size(bytes)} · ${shortDigest(digest)}`);
      figure.prepend(h("div", {class: "marked"}, image, marksOn(event)));
    },
    error => caption.replaceChildren(h("b", {text: `No ${what} to ${what === "sound" ? "play" : "show"}.`}), ` ${error.message}`)
  );
  return figure;
}

function clip(event, digest) {
  const {blur, bytes} = event.extension ?? {};
  const command = `verge evidence get ${event.device} ${event.module} ${digest} --out clip.mp4`;
  const leaves = blur === "people" || event.extension?.privacy === "none";
  return h(
    "p",
    {class: "clip"},
    `Clip of ${length(event.duration_us ?? 0)}${bytes ? `, ${size(bytes)}` : ""}. `,
    leaves
      ? copyButton(command, "Copy the command that fetches it")
      : h("span", {
          class: "quiet",
          text: "It shows people as they are and stays on the device, as its privacy setting says.",
        })
  );
}

function clipPlace(event) {
  const place = h("div", {}, h("p", {class: "quiet", text: "A clip was ordered."}));
  clipEvent(event).then(
    found => {
      if (!found) return;
      const digest = found.evidence?.[0];
      place.replaceChildren(digest ? clip(found, digest) : h("p", {text: `No clip: ${found.explanation ?? ""}`}));
    },
    () => {}
  );
  return place;
}

/** What stands below an event's title; null when it has no evidence. */
export function evidenceOf(event) {
  const digests = event.evidence ?? [];
  const {clip: clip_id, evidence_error} = event.extension ?? {};
  if (!digests.length && !clip_id && !evidence_error) return null;
  const isClip = event.type === "evidence.stored";
  return h(
    "section",
    {class: "evidences", "aria-label": "Evidence"},
    digests.map(digest => (isClip ? clip(event, digest) : picture(event, digest))),
    clip_id && !event.type.startsWith("evidence.") && clipPlace(event),
    evidence_error && h("p", {}, h("b", {text: "Not everything was kept."}), ` ${evidence_error}`)
  );
}
