// views.js -- what a tile shows inside: a picture with its objects, a sound with its transcript, or sensor points.
//
// Each view has: element, accepts(event), event(event), frame(header, bytes), facts() -> [[name, value]…],
// alarm() -> true while the module reports one, close(); and catchUp() where it keeps more than the last frame.

import {api} from "./api.js";
import {Chart} from "./chart.js";
import {h, memory} from "./dom.js";
import {blurWords} from "./evidence.js";
import {clockTime, clockTimeMs, number, reading, steady} from "./format.js";
import {heatOf, paintHeat} from "./heat.js";
import {sourceKey} from "./link.js";
import {Spectrogram} from "./spectrogram.js";

/** Sizes a canvas to its box at device pixels; returns its size in CSS pixels, or null while it has none. */
function fit(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth,
    height = canvas.clientHeight;
  if (!width || !height) return null;
  const wide = Math.round(width * ratio),
    high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, {width: wide, height: high});
  canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  return {width, height};
}

const cssColour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// On the picture the colours do not follow the scheme: they are chosen for contrast with dark label grounds.
const picture_colours = {
  object: "#7cc4ff",
  inside: "#ffc857",
  shape: "#ffc857",
  ground: "rgba(8, 12, 18, .78)",
  point: "#8bf0b5",
  text: "#ffffff",
};
const keypoint_score_min = 0.3;
// COCO's order: nose, eyes, ears, then left and right shoulder, elbow, wrist, hip, knee, ankle.
const body_points = 17;
const body_bones = [
  [5, 6], [5, 7], [7, 9], [6, 8], [8, 10], [5, 11], [6, 12], [11, 12], [11, 13], [13, 15], [12, 14], [14, 16],
];
const labels_px_min = 900; // a smaller picture has no room for whole labels
const said_zones_max = 6; // of those that a classifier looks at, among the facts
const trail_us = 4_000_000;
const trail_points_max = 64;
const trails_max = 200;

/** What is made unrecognisable, as the device says. */
function privacyWords({blur, whole, mask}) {
  const words = whole ? "all blurred: nothing here looks for people" : blurWords(blur);
  return mask ? `${words}, masked` : words;
}

/** Pictures with boxes, tracks, zones and lines. Only the newest picture is decoded; older ones are dropped. */
export class PictureView {
  #canvas = h("canvas", {class: "picture", role: "img", "aria-label": "Picture with what was found in it"});
  #waiting = null;
  #busy = false;
  #shown = null; // {header, bitmap, heat}
  #wants_heat = null; // whether the heat map is painted; null: while something in it is strange
  #heat_switch = h("button", {
    type: "button",
    class: "heat-switch",
    text: "Heat map",
    hidden: true,
    onclick: () => {
      this.#wants_heat = !this.#showsHeat();
      this.#draw();
    },
  });
  #editing = null; // {changed()} while somebody draws zones over the picture
  frozen = false;
  #trails = new Map();
  #observer = new ResizeObserver(() => {
    this.#draw();
    this.#editing?.changed();
  });
  frames = 0;

  constructor() {
    this.element = h("div", {class: "view dark"}, this.#canvas, this.#heat_switch);
    this.#observer.observe(this.#canvas);
  }

  close() {
    this.#observer.disconnect();
    this.#waiting = null;
    this.#shown?.bitmap.close();
    this.#shown = null;
  }

  accepts() {
    return false;
  }
  event() {}
  alarm() {
    return false;
  }

  /** The zones and lines of the newest picture, as in the live header. */
  get shapes() {
    return this.#shown?.header.shapes ?? [];
  }
  /** Where the picture is in this view, CSS pixels: {left, top, width, height}; null before the first one. */
  get area() {
    const bitmap = this.#shown?.bitmap;
    const {clientWidth: wide, clientHeight: high} = this.#canvas;
    if (!bitmap || !wide || !high) return null;
    const scale = Math.min(wide / bitmap.width, high / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    return {left: (wide - width) / 2, top: (high - height) / 2, width, height};
  }
  /** While `editing` is given its owner draws the shapes; its changed() is called when the picture's area is another. */
  edit(editing) {
    this.#editing = editing;
    this.frozen = false;
    this.#draw();
  }

  frame(header, bytes) {
    this.#remember(header);
    if (this.frozen) return;
    this.#waiting = {header, bytes};
    if (!this.#busy) this.#decode();
  }

  async #decode() {
    this.#busy = true;
    while (this.#waiting) {
      const {header, bytes} = this.#waiting;
      this.#waiting = null;
      try {
        const bitmap = await createImageBitmap(new Blob([bytes], {type: "image/jpeg"}));
        this.#shown?.bitmap.close();
        this.#shown = {header, bitmap, heat: heatOf(header)};
        await new Promise(done => requestAnimationFrame(done));
        this.#draw();
        this.frames++;
      } catch {
        /* a broken picture is skipped; the next one replaces it */
      }
    }
    this.#busy = false;
  }

  /** Keeps where each tracked object stood in the last seconds. */
  #remember(header) {
    for (const object of header.objects ?? []) {
      if (!object.track) continue;
      const [left, , right, bottom] = object.box;
      const trail = this.#trails.get(object.track) ?? [];
      trail.push({us: header.captured_us, x: (left + right) / 2, y: bottom});
      if (trail.length > trail_points_max) trail.shift();
      this.#trails.set(object.track, trail);
    }
    for (const [track, trail] of this.#trails) {
      while (trail.length && header.captured_us - trail[0].us > trail_us) trail.shift();
      // A source that starts again has earlier times.
      if (!trail.length || trail[0].us > header.captured_us || this.#trails.size > trails_max)
        this.#trails.delete(track);
    }
  }

  facts() {
    const header = this.#shown?.header;
    if (!header) return [];
    const facts = [["objects", number(header.objects?.length ?? 0)]];
    const heat = this.#shown.heat;
    if (heat) facts.push(["strangest place", `${heat.is_more ? "over " : ""}${steady(heat.largest, 1)} × threshold`]);
    for (const {name, score} of (header.attributes ?? []).slice(0, 2)) facts.push([name, steady(score, 2)]);
    const shapes = header.shapes ?? [];
    const said = shapes.filter(shape => shape.attributes?.length);
    for (const shape of said.slice(0, said_zones_max)) {
      for (const {name, score} of shape.attributes.slice(0, 2)) facts.push([`${shape.name} ${name}`, steady(score, 2)]);
    }
    // Where a classifier looks at zones, nobody may ever walk through them.
    const hasCounted = shape => Object.values(shape.counts ?? {}).some(value => value > 0);
    const counted = said.length ? shapes.filter(hasCounted) : shapes;
    for (const shape of counted.slice(0, 3)) {
      for (const [name, value] of Object.entries(shape.counts ?? {}).slice(0, 3))
        facts.push([`${shape.name} ${name}`, number(value)]);
    }
    if (header.privacy) facts.push(["privacy", privacyWords(header.privacy)]);
    return facts;
  }

  #showsHeat() {
    const heat = this.#shown?.heat;
    return Boolean(heat && !this.#editing && (this.#wants_heat ?? heat.largest >= 1));
  }

  #draw() {
    const size = this.#shown && fit(this.#canvas);
    if (!size) return;
    const {header, bitmap, heat} = this.#shown;
    this.#heat_switch.hidden = !heat || this.#editing !== null;
    this.#heat_switch.setAttribute("aria-pressed", this.#showsHeat());
    const context = this.#canvas.getContext("2d");
    const area = this.area;
    const shapes = this.#editing ? [] : (header.shapes ?? []);
    const at = (x, y) => [area.left + x * area.width, area.top + y * area.height];
    context.clearRect(0, 0, size.width, size.height);
    context.drawImage(bitmap, area.left, area.top, area.width, area.height);
    if (this.#showsHeat()) paintHeat(context, heat, area);
    context.font = `600 13px ${getComputedStyle(this.#canvas).fontFamily}`;
    context.lineJoin = "round";
    for (const shape of shapes) this.#drawShape(context, shape, at);
    for (const object of header.objects ?? []) this.#drawTrail(context, object, at);
    // Objects last: a zone's name must not hide who is in it.
    for (const shape of shapes) this.#drawShapeName(context, shape, at, area);
    for (const object of header.objects ?? []) {
      this.#drawPoints(context, object, at);
      this.#drawBox(context, object, at);
    }
    context.font = `13px ${cssColour("mono") || "monospace"}`;
    this.#label(
      context,
      clockTimeMs(header.captured_us),
      area.left + 6,
      area.top + area.height - 6,
      picture_colours.text
    );
  }

  #drawShape(context, shape, at) {
    if (!shape.points?.length) return;
    context.beginPath();
    shape.points.forEach(([x, y], index) => (index ? context.lineTo(...at(x, y)) : context.moveTo(...at(x, y))));
    if (shape.closed) {
      context.closePath();
      context.fillStyle = "rgba(255, 200, 87, .12)";
      context.fill();
    }
    context.setLineDash(shape.closed ? [7, 5] : []);
    context.strokeStyle = "rgba(0, 0, 0, .55)";
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = picture_colours.shape;
    context.lineWidth = 2;
    context.stroke();
    context.setLineDash([]);
  }

  #drawShapeName(context, shape, at, area) {
    if (!shape.points?.length) return;
    const said = (shape.attributes ?? []).map(({name, score}) => `${name} ${steady(score, 2)}`);
    const counts = Object.entries(shape.counts ?? {}).map(([name, value]) => `${name} ${number(value)}`);
    // In a small picture numbers stand below it, among the facts; and where a classifier looks at the zone, who has walked
    // through it is not what it is about.
    const told = (said.length ? said : counts).join(" · ");
    const short = shape.attributes?.length ? `${shape.name} · ${shape.attributes[0].name}` : shape.name;
    const text = told && this.#canvas.clientWidth > labels_px_min ? `${shape.name}  ${told}` : short;
    const [x, y] = shape.points
      .map(point => at(...point))
      .reduce((best, point) => ((shape.closed ? point[1] < best[1] : point[1] > best[1]) ? point : best));
    const wide = context.measureText(text).width;
    const left = Math.min(Math.max(x, area.left + 6), area.left + area.width - wide - 6);
    const base = shape.closed ? Math.max(y - 5, area.top + 14) : y + 18;
    this.#label(context, text, left, base, picture_colours.shape);
  }

  #drawTrail(context, object, at) {
    const trail = this.#trails.get(object.track);
    if (!trail || trail.length < 2) return;
    context.beginPath();
    trail.forEach((point, index) =>
      index ? context.lineTo(...at(point.x, point.y)) : context.moveTo(...at(point.x, point.y))
    );
    context.strokeStyle = picture_colours.object;
    context.globalAlpha = 0.75;
    context.lineWidth = 2;
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The points that a pose or face model is sure of; a body's are joined. */
  #drawPoints(context, object, at) {
    const points = (object.keypoints ?? []).map(([x, y, score]) => (score >= keypoint_score_min ? at(x, y) : null));
    const bones = points.length === body_points ? body_bones : [];
    for (const [colour, wide] of [["rgba(0, 0, 0, .5)", 4], [picture_colours.point, 2]]) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      for (const [from, to] of bones) {
        if (!points[from] || !points[to]) continue;
        context.moveTo(...points[from]);
        context.lineTo(...points[to]);
      }
      context.stroke();
      for (const point of points) {
        if (!point) continue;
        context.beginPath();
        context.arc(...point, wide, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }

  #drawBox(context, object, at) {
    const [left, top] = at(object.box[0], object.box[1]);
    const [right, bottom] = at(object.box[2], object.box[3]);
    const colour = object.zones?.length ? picture_colours.inside : picture_colours.object;
    context.strokeStyle = "rgba(0, 0, 0, .5)";
    context.lineWidth = 4;
    context.strokeRect(left, top, right - left, bottom - top);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(left, top, right - left, bottom - top);
    // A small picture has no room for whole labels; the track's number is what tells people apart.
    const said = (object.attributes ?? []).map(({name, score}) => ` · ${name} ${steady(score, 2)}`).join("");
    const whole = `${object.label}${object.track ? ` ${object.track}` : ""} · ${steady(object.score, 2)}${said}`;
    const text = this.#canvas.clientWidth > labels_px_min ? whole : object.track || object.label;
    this.#label(context, text, left + 3, Math.max(14, top - 5), colour);
  }

  #label(context, text, left, base, colour) {
    const wide = context.measureText(text).width;
    context.fillStyle = picture_colours.ground;
    context.fillRect(left - 4, base - 13, wide + 8, 18);
    context.fillStyle = colour;
    context.fillText(text, left, base);
  }
}

const peaks_max = 512; // as many as the spectrogram has columns: both show the same time
const silence_db = -90;
const lines_max = 60;

const isSpoken = event => event.type.startsWith("speech.");

/** Level, spectrogram and shape of a sound, what was said, and how strange it is where something scores it. */
export class SoundView {
  #canvas = h("canvas", {class: "wave", "aria-hidden": "true"});
  #picture = h("canvas", {class: "spectrum", "aria-hidden": "true"});
  #spectrogram = new Spectrogram(this.#picture, cssColour);
  #said;
  #meter = h("div", {class: "fill"});
  #list = h("ol", {class: "transcript", "aria-label": "Transcript", tabIndex: 0});
  #empty = h("p", {class: "quiet hint", text: "Nothing has been said yet."});
  #peaks = [];
  #header = null;
  #partial = null;
  #heard_us = 0; // when the last line was said
  #frame = 0;
  #source;
  #observer = new ResizeObserver(() => {
    this.#draw();
    this.#spectrogram.draw();
  });
  frames = 0;

  constructor(source) {
    this.#said = h("div", {class: "said"}, this.#empty, this.#list);
    this.element = h(
      "div",
      {class: "view sound"},
      this.#said,
      this.#picture,
      this.#canvas,
      h("div", {class: "meter", "aria-hidden": "true"}, this.#meter)
    );
    this.#observer.observe(this.#canvas);
    this.#source = source;
    this.catchUp();
  }

  /** Adds what was said while nobody listened. */
  catchUp() {
    const {device, module, stream} = this.#source;
    api.events({device, module, stream, family: "audio", limit: 20}).then(
      page => page.events.reverse().forEach(event => event.captured_us > this.#heard_us && this.event(event)),
      () => {}
    );
  }

  close() {
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#spectrogram.close();
  }

  accepts(event) {
    return event.family === "audio" && isSpoken(event);
  }
  alarm() {
    return this.#header?.alarm === true;
  }

  event(event) {
    if (!event.label) return;
    this.#empty.hidden = true;
    this.#said.hidden = false;
    this.#heard_us = Math.max(this.#heard_us, event.captured_us);
    const partial = event.type.endsWith(".partial");
    const follow = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#partial?.remove();
    const line = h(
      "li",
      {class: partial ? "partial" : ""},
      h("time", {text: clockTime(event.captured_us)}),
      h("span", {text: event.label})
    );
    this.#partial = partial ? line : null;
    this.#list.append(line);
    while (this.#list.children.length > lines_max) this.#list.firstChild.remove();
    if (follow) this.#list.scrollTop = this.#list.scrollHeight;
  }

  frame(header, bytes) {
    this.#header = header;
    this.frames++;
    this.#picture.hidden = !this.#spectrogram.add(header, bytes);
    // A machine that is only listened to says nothing: its picture gets the room of the transcript.
    this.#said.hidden = typeof header.score === "number" && !this.#list.children.length;
    this.element.classList.toggle("quiet-one", this.#said.hidden);
    for (const peak of header.peaks ?? []) this.#peaks.push({peak, speaking: header.speaking});
    if (this.#peaks.length > peaks_max) this.#peaks.splice(0, this.#peaks.length - peaks_max);
    // −60 dBFS and below is an empty meter.
    const part = Math.min(1, Math.max(0, 1 + (header.level_db ?? -60) / 60));
    this.#meter.style.transform = `scaleX(${part})`;
    if (!this.#frame)
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#draw();
      });
  }

  facts() {
    if (!this.#header) return [];
    const {level_db, probability, speaking, score, threshold} = this.#header;
    const level = ["level", level_db > silence_db ? `${number(level_db, 0)} dBFS` : "silence"];
    if (typeof score === "number") {
      const limit = typeof threshold === "number" ? ` of ${reading(threshold)}` : "";
      return [level, ["score", `${reading(score)}${limit}`]];
    }
    return [level, ["speech", speaking ? "yes" : "no"], ["probability", steady(probability, 2)]];
  }

  #draw() {
    const size = fit(this.#canvas);
    if (!size) return;
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, size.width, size.height);
    const step = Math.max(1.5, size.width / peaks_max);
    const count = Math.floor(size.width / step);
    const shown = this.#peaks.slice(-count);
    const speaking = cssColour("audio"),
      silent = cssColour("quiet");
    shown.forEach(({peak, speaking: speech}, index) => {
      const high = Math.max(2, peak * size.height);
      context.fillStyle = speech ? speaking : silent;
      context.fillRect(size.width - (shown.length - index) * step, (size.height - high) / 2, step * 0.7, high);
    });
  }
}

const alarm_us_max = 86_400_000_000; // an alarm that began earlier is not looked for

/**
 * The times of a source's alarms, oldest first: each from its event to the one that says it was cleared. An alarm that was
 * not cleared ends with the next one, the last with `to_us`.
 */
export async function alarmBands(source, from_us, to_us) {
  const {device, module, stream} = source;
  const asked = {device, module, stream, from_us: from_us - alarm_us_max, to_us, limit: 500};
  const [raised, cleared] = await Promise.all([
    api.events({...asked, severity: "alarm"}),
    api.events({...asked, type: "anomaly.cleared"}),
  ]);
  const begins = raised.events.map(event => event.captured_us).sort((a, b) => a - b);
  const ends = cleared.events.map(event => event.captured_us).sort((a, b) => a - b);
  return begins.map((begin_us, index) => {
    const next_us = begins[index + 1] ?? to_us;
    return {from_us: begin_us, to_us: Math.min(ends.find(end_us => end_us >= begin_us) ?? next_us, next_us)};
  });
}

const window_us = 120_000_000;
const clock_back_us = 5_000_000; // rows this much earlier than the last come from a clock that was set back
const windows_us = [15_000_000, 30_000_000, 60_000_000, window_us];
const points_max = 12_000;
const lane_px_min = 46;

/** Sensor channels and the score in the last two minutes. */
export class PointsView {
  #chart = new Chart("Sensor values and score");
  #times = [];
  #columns = new Map(); // channel -> values
  #scores = {times: [], values: []};
  #alarms = [];
  #alarm_since_us = 0;
  #header = null;
  #described_ms = 0;
  #source;
  frames = 0;

  constructor(source, {channelsChanged}) {
    this.#source = source;
    this.channelsChanged = channelsChanged;
    this.element = h("div", {class: "view paper"}, this.#chart.element);
    this.#loadHistory();
  }

  close() {
    this.#chart.close();
  }

  async #loadHistory() {
    const {device, module, stream} = this.#source;
    const to_us = Date.now() * 1000;
    const from_us = to_us - window_us;
    try {
      const [series, bands] = await Promise.all([
        api.series({device, module, stream, from_us, to_us}),
        alarmBands(this.#source, from_us, to_us),
      ]);
      const first_us = this.#scores.times[0] ?? Infinity;
      const earlier = series.points.filter(([us]) => us < first_us);
      this.#scores.times.unshift(...earlier.map(point => point[0]));
      this.#scores.values.unshift(...earlier.map(point => point[1]));
      // The alarm that stands now is followed by the frames.
      const live_us = this.#alarm_since_us || Infinity;
      this.#alarms.unshift(...bands.filter(band => band.from_us < live_us));
      this.#show();
    } catch {
      /* the live part fills the chart anyway */
    }
  }

  accepts(event) {
    return event.severity === "alarm";
  }

  event(event) {
    if (event.severity !== "alarm" || event.captured_us >= (this.#alarm_since_us || Infinity)) return;
    this.#alarms.push({from_us: event.captured_us, to_us: event.captured_us + (event.duration_us || 0)});
    if (this.#alarms.length > 100) this.#alarms.shift();
    this.#show();
  }

  alarm() {
    return Boolean(this.#header?.alarm);
  }

  get channels() {
    return [...this.#columns.keys()];
  }

  /** The channels that are drawn: the chosen ones, or as many of the first as fit. */
  get chosen() {
    const kept = memory.get(`channels.${sourceKey(this.#source)}`, null)?.filter(name => this.#columns.has(name));
    if (kept) return kept;
    const fitting = Math.floor((this.element.clientHeight || 240) / lane_px_min) - (this.#isScored ? 2 : 1);
    return this.channels.slice(0, Math.max(1, Math.min(6, fitting)));
  }

  choose(names) {
    memory.set(`channels.${sourceKey(this.#source)}`, names);
    this.#show();
  }

  frame(header) {
    this.#header = header;
    this.frames++;
    const last_us = Math.max(this.#times.at(-1) ?? 0, this.#scores.times.at(-1) ?? 0);
    if (header.captured_us < last_us - clock_back_us) this.#forget();
    this.#addRows(header.channels ?? [], header.rows ?? []);
    for (const [us, score] of header.scores ?? []) {
      if (us <= (this.#scores.times.at(-1) ?? 0)) continue;
      this.#scores.times.push(us);
      this.#scores.values.push(score);
    }
    this.#trim(this.#scores.times, [this.#scores.values]);
    this.#followAlarm(header);
    this.#show();
  }

  /** Starts anew: a restarted recording or a simulation that ended its fast motion has earlier times. */
  #forget() {
    this.#times = [];
    for (const name of this.#columns.keys()) this.#columns.set(name, []);
    this.#scores = {times: [], values: []};
    this.#alarms = [];
    this.#alarm_since_us = 0;
  }

  #addRows(channels, rows) {
    const known = this.channels;
    if (channels.length !== known.length || channels.some((name, index) => name !== known[index])) {
      this.#times = [];
      this.#columns = new Map(channels.map(name => [name, []]));
      this.channelsChanged();
    }
    const columns = [...this.#columns.values()];
    for (const row of rows) {
      // Frames may overlap; a time that was seen is not added twice.
      if (row[0] <= (this.#times.at(-1) ?? 0)) continue;
      this.#times.push(row[0]);
      columns.forEach((values, index) => values.push(row[index + 1]));
    }
    this.#trim(this.#times, columns);
  }

  /** Removes what left the window, in steps, so that it is cheap. */
  #trim(times, columns) {
    const old = times.findIndex(us => us >= times.at(-1) - window_us);
    const excess = Math.max(old > 256 ? old : 0, times.length - points_max);
    if (excess <= 0) return;
    times.splice(0, excess);
    for (const values of columns) values.splice(0, excess);
  }

  #followAlarm(header) {
    if (header.alarm && !this.#alarm_since_us) {
      this.#alarm_since_us = header.captured_us;
      // An alarm that already stands when the tile opens began with its event, if the history still has it.
      const begun = this.frames === 1 ? this.#alarms.reduce((newest, alarm) => Math.max(newest, alarm.from_us), 0) : 0;
      this.#alarms.push({from_us: begun || header.captured_us, to_us: header.captured_us});
      if (this.#alarms.length > 100) this.#alarms.shift();
    }
    if (header.alarm) this.#alarms.at(-1).to_us = header.captured_us;
    else this.#alarm_since_us = 0;
  }

  #show() {
    const to_us = Math.max(this.#times.at(-1) ?? 0, this.#scores.times.at(-1) ?? 0) || Date.now() * 1000;
    const lanes = this.chosen.map(name => ({name, times: this.#times, values: this.#columns.get(name)}));
    // A source without a model has no score.
    if (this.#isScored)
      lanes.push({name: "score", ...this.#scores, limit: this.#header?.threshold ?? undefined, from_zero: true});
    // A young tile shows a shorter time, so that its few points are not squeezed into a corner.
    const age_us = this.#times.length ? to_us - this.#times[0] : window_us;
    const shown_us = windows_us.find(candidate => candidate >= age_us) ?? window_us;
    this.#chart.show({lanes, alarms: this.#alarms, from_us: to_us - shown_us, to_us});
    if (Date.now() - this.#described_ms > 5000) {
      this.#described_ms = Date.now();
      this.#chart.describe(
        `${lanes.map(lane => `${lane.name} ${reading(lane.values.at(-1))}`).join(", ")}; arrow keys read earlier values`
      );
    }
  }

  get #isScored() {
    return this.#scores.times.length > 0 || this.#header?.threshold !== undefined;
  }

  facts() {
    if (!this.#header) return [];
    const facts = this.#isScored ? [["score", reading(this.#scores.values.at(-1))]] : [];
    if (this.#header.threshold !== undefined) facts.push(["limit", reading(this.#header.threshold)]);
    facts.push(["channels", `${this.chosen.length} of ${this.#columns.size}`]);
    return facts;
  }
}

/** A stream of a kind this page does not know: says so, and still shows its events. */
export class OtherView {
  frames = 0;
  #kind;
  constructor(source) {
    this.#kind = source.kind;
    this.element = h(
      "div",
      {class: "view paper"},
      h("p", {
        class: "hint quiet",
        text: `This page has no picture for the kind “${this.#kind}”; its events are below.`,
      })
    );
  }
  close() {}
  accepts() {
    return false;
  }
  event() {}
  alarm() {
    return false;
  }
  frame() {
    this.frames++;
  }
  facts() {
    return [];
  }
}
