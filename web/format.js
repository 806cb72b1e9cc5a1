// format.js -- numbers, times and the words for events, in the reader's locale.
//
// Times are microseconds since the Unix epoch, as the hub sends them.

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const clockMinutes = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
const full = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "long"});
const relative = new Intl.RelativeTimeFormat(undefined, {numeric: "always", style: "short"});
const numbers = new Map();

/** At most `digits` digits after the point; "–" for what is not a number. */
export function number(value, digits = 2) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (!numbers.has(digits)) numbers.set(digits, new Intl.NumberFormat(undefined, {maximumFractionDigits: digits}));
  return numbers.get(digits).format(value);
}

/** Always `digits` digits after the point, so that a changing value does not jump. */
export function steady(value, digits) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return value.toLocaleString(undefined, {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

/** As many digits as a reading of this size needs. */
export function reading(value) {
  const size = Math.abs(value);
  return steady(value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3);
}

export const clockTime = us => clock.format(us / 1000);
export const clockHourMinute = us => clockMinutes.format(us / 1000);
export const fullTime = us => full.format(us / 1000);

/** 14:02:31.480 */
export function clockTimeMs(us) {
  return `${clock.format(us / 1000)}.${String(Math.floor(us / 1000) % 1000).padStart(3, "0")}`;
}

/** "12 sec. ago"; "now" within two seconds (clocks differ a little). */
export function ago(us, now_ms = Date.now()) {
  const seconds = (us / 1000 - now_ms) / 1000;
  const size = Math.abs(seconds);
  if (size < 2) return "now";
  if (size < 60) return relative.format(Math.round(seconds), "second");
  if (size < 3600) return relative.format(Math.round(seconds / 60), "minute");
  if (size < 86400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86400), "day");
}

/** "4 s", "2 min", "1.5 h" for a length of time. */
export function length(us) {
  const seconds = us / 1e6;
  if (seconds < 90) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${number(seconds / 60, 0)} min`;
  return `${number(seconds / 3600, 1)} h`;
}

/** "sha256:9f31c0aa51de…" */
/** Bytes in decimal units: "1.2 MB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) {
    bytes /= 1000;
    step++;
  }
  return `${number(bytes, bytes < 10 && step ? 1 : 0)} ${units[step]}`;
}

export function shortDigest(digest) {
  return digest && digest.length > 20 ? `${digest.slice(0, 19)}…` : digest;
}

/** "zone.entered" -> "Zone entered" */
export function typeWords(type) {
  const words = String(type).replace(/[._-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** One line that says what happened. */
export function eventTitle(event) {
  if (event.family === "audio" && event.label) return `“${event.label}”`;
  if (event.explanation) return event.explanation;
  const subject = [event.label, event.track && `${event.track}`].filter(Boolean).join(" ");
  const words = typeWords(event.type);
  if (subject && event.rule) return `${words}: ${subject}, ${event.rule}`;
  if (subject) return `${words}: ${subject}`;
  if (event.rule) return `${words}: ${event.rule}`;
  return typeof event.score === "number" ? `${words}: ${number(event.score)}` : words;
}

const ahead_us_max = 60_000_000;

/**
 * When an event was captured, for lists and "… ago". A clock that runs ahead, as that of a simulation in fast motion,
 * would put it into the future; then the time counts at which the hub received it.
 */
export function eventTime(event) {
  return clockAhead(event) ? event.received_us : event.captured_us;
}

/** By how much the clock that stamped the event is ahead of the hub's; 0 for the usual difference of two clocks. */
export function clockAhead(event) {
  const ahead_us = event.received_us ? event.captured_us - event.received_us : 0;
  return ahead_us > ahead_us_max ? ahead_us : 0;
}

/** A measurement among the events: regular, and too many to read one by one. */
export const isMeasurement = event => event.type.endsWith(".score");
