// chart.js -- a time chart on a canvas: one lane per channel, a lane for the score with its limit, bands for alarms.
//
// Drawn at device pixels, text at 12 px or more. Down-sampling keeps first, lowest, highest and last value of every
// pixel column, so a spike of one sample stays visible. Pointer or arrow keys read values out. Lane:
// {name, times: [us…], values: […], limit?, from_zero?}, times ascending; alarms: [{from_us, to_us}].

import {clockHourMinute, clockTime, reading} from "./format.js";

const axis_px = 20;
const caption_px = 17;
const colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["text", "quiet", "line", "telemetry", "bad", "bad-soft", "warn", "panel", "accent"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
readColours();
const charts = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  for (const chart of charts) chart.redraw();
});

/** The first index whose time is at or after `us`. */
function lowerBound(times, us) {
  let low = 0,
    high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < us) low = middle + 1;
    else high = middle;
  }
  return low;
}

const steps_s = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Round times between from and to, about one per 90 px. */
function ticks(from_us, to_us, width) {
  const wanted_s = (to_us - from_us) / 1e6 / Math.max(1, width / 90);
  const step_us = (steps_s.find(step => step >= wanted_s) ?? 86400) * 1e6;
  // Round in the reader's zone, so that hours and days fall on whole ones.
  const zone_us = new Date(to_us / 1000).getTimezoneOffset() * 60e6;
  const result = [];
  for (let us = Math.ceil((from_us - zone_us) / step_us) * step_us + zone_us; us < to_us; us += step_us)
    result.push(us);
  return {step_us, times: result};
}

export class Chart {
  #canvas;
  #context;
  #observer;
  #frame = 0;
  #cursor = null; // 0..1 of the width
  #data = {lanes: [], alarms: [], from_us: 0, to_us: 1};

  constructor(label) {
    this.#canvas = document.createElement("canvas");
    this.#canvas.className = "chart";
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", label);
    this.#context = this.#canvas.getContext("2d");
    this.#observer = new ResizeObserver(() => this.redraw());
    this.#observer.observe(this.#canvas);
    this.#canvas.addEventListener("pointermove", event => this.#point(event.offsetX / this.#canvas.clientWidth));
    this.#canvas.addEventListener("pointerleave", () => this.#point(null));
    this.#canvas.addEventListener("blur", () => this.#point(null));
    this.#canvas.addEventListener("keydown", event => this.#key(event));
    charts.add(this);
  }

  get element() {
    return this.#canvas;
  }

  close() {
    charts.delete(this);
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  show(data) {
    this.#data = data;
    this.redraw();
  }

  describe(text) {
    if (this.#canvas.getAttribute("aria-label") !== text) this.#canvas.setAttribute("aria-label", text);
  }

  redraw() {
    if (!this.#frame)
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#draw();
      });
  }

  #point(where) {
    this.#cursor = where;
    this.redraw();
  }

  #key(event) {
    const step = {ArrowLeft: -0.01, ArrowRight: 0.01, PageUp: -0.1, PageDown: 0.1}[event.key];
    if (step) this.#point(Math.min(1, Math.max(0, (this.#cursor ?? 1) + step)));
    else if (event.key === "Escape" && this.#cursor !== null) this.#point(null);
    else return;
    event.preventDefault();
  }

  #draw() {
    const ratio = devicePixelRatio || 1;
    const width = this.#canvas.clientWidth,
      height = this.#canvas.clientHeight;
    if (!width || !height) return;
    const wide = Math.round(width * ratio),
      high = Math.round(height * ratio);
    if (this.#canvas.width !== wide || this.#canvas.height !== high)
      Object.assign(this.#canvas, {width: wide, height: high});
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `12px ${getComputedStyle(this.#canvas).fontFamily}`;
    context.textBaseline = "alphabetic";
    const {from_us, to_us, lanes, alarms} = this.#data;
    const x = us => ((us - from_us) / (to_us - from_us)) * width;
    const bottom = height - axis_px;
    this.#drawAlarms(context, alarms, x, width, bottom);
    this.#drawAxis(context, from_us, to_us, x, width, height);
    const weights = lanes.map(lane => (lane.limit === undefined ? 1 : 1.5));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let top = 4;
    const cursor_us = this.#cursor === null ? null : from_us + this.#cursor * (to_us - from_us);
    lanes.forEach((lane, index) => {
      const lane_px = ((bottom - 8) * weights[index]) / total;
      this.#drawLane(context, lane, {top: top + caption_px, bottom: top + lane_px - 5, width, x, cursor_us});
      top += lane_px;
    });
    if (cursor_us !== null) this.#drawCursor(context, cursor_us, x(cursor_us), width, height);
  }

  #drawAlarms(context, alarms, x, width, bottom) {
    for (const alarm of alarms) {
      const left = Math.max(0, x(alarm.from_us)),
        right = Math.min(width, Math.max(x(alarm.to_us), x(alarm.from_us) + 3));
      if (right <= 0 || left >= width) continue;
      context.fillStyle = colours["bad-soft"];
      context.fillRect(left, 0, right - left, bottom);
      context.fillStyle = colours.bad;
      context.fillRect(left, bottom - 3, right - left, 3);
    }
  }

  #drawAxis(context, from_us, to_us, x, width, height) {
    const {step_us, times} = ticks(from_us, to_us, width);
    context.fillStyle = colours.quiet;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const us of times) {
      const at = Math.round(x(us)) + 0.5;
      context.moveTo(at, 0);
      context.lineTo(at, height - axis_px);
    }
    context.stroke();
    if (this.#cursor !== null) return;
    for (const us of times) {
      const text = step_us < 60e6 ? clockTime(us) : clockHourMinute(us);
      const half = context.measureText(text).width / 2;
      const at = x(us);
      if (at - half >= 0 && at + half <= width) context.fillText(text, at - half, height - 5);
    }
  }

  #drawLane(context, lane, box) {
    const {from_us, to_us} = this.#data;
    const begin = Math.max(0, lowerBound(lane.times, from_us) - 1);
    const end = Math.min(lane.times.length, lowerBound(lane.times, to_us) + 1);
    let low = lane.from_zero ? 0 : Infinity,
      high = lane.limit === undefined ? -Infinity : lane.limit * 1.15;
    for (let index = begin; index < end; index++) {
      low = Math.min(low, lane.values[index]);
      high = Math.max(high, lane.values[index]);
    }
    if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
    const y = value => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
    if (lane.limit !== undefined) this.#drawLimit(context, lane.limit, y(lane.limit), box.width);
    this.#drawLine(context, lane, begin, end, box.x, y);
    this.#drawCaption(context, lane, box, y, begin, end);
  }

  #drawLimit(context, limit, at, width) {
    context.strokeStyle = context.fillStyle = colours.warn;
    context.lineWidth = 1.5;
    context.setLineDash([6, 4]);
    context.beginPath();
    context.moveTo(0, at);
    context.lineTo(width, at);
    context.stroke();
    context.setLineDash([]);
    this.#text(context, `limit ${reading(limit)}`, 8, at + 14, colours.warn);
  }

  #drawLine(context, lane, begin, end, x, y) {
    const {times, values} = lane;
    if (end <= begin) return;
    const gap_us = Math.max(3e6, (12 * (times[end - 1] - times[begin])) / Math.max(1, end - begin));
    context.strokeStyle = colours.telemetry;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    for (let index = begin; index < end;) {
      const column = Math.floor(x(times[index]));
      let low = values[index],
        high = low,
        last = index;
      for (let next = index + 1; next < end && Math.floor(x(times[next])) === column; next++) {
        low = Math.min(low, values[next]);
        high = Math.max(high, values[next]);
        last = next;
      }
      const at = x(times[index]);
      if (index === begin || times[index] - times[index - 1] > gap_us) context.moveTo(at, y(values[index]));
      else context.lineTo(at, y(values[index]));
      if (last > index) {
        context.lineTo(at, y(low));
        context.lineTo(at, y(high));
        context.lineTo(at, y(values[last]));
      }
      index = last + 1;
    }
    context.stroke();
  }

  #drawCaption(context, lane, box, y, begin, end) {
    let index = end - 1;
    if (box.cursor_us !== null) {
      index = Math.min(end - 1, lowerBound(lane.times, box.cursor_us));
      if (index > begin && box.cursor_us - lane.times[index - 1] < lane.times[index] - box.cursor_us) index--;
      if (lane.times[index] !== undefined) {
        context.fillStyle = colours.telemetry;
        context.beginPath();
        context.arc(box.x(lane.times[index]), y(lane.values[index]), 3.5, 0, 2 * Math.PI);
        context.fill();
      }
    }
    const value =
      lane.values[index] === undefined ? "–" : `${reading(lane.values[index])}${lane.unit ? ` ${lane.unit}` : ""}`;
    context.font = `600 13px ${context.font.replace(/^.*?px /, "")}`;
    this.#text(context, value, box.width - 8 - context.measureText(value).width, box.top - 5, colours.text);
    context.font = context.font.replace(/^.*?px /, "12px ");
    this.#text(context, lane.name, 8, box.top - 5, colours.quiet);
  }

  /** Text with a rim in the ground's colour, so that a line behind it does not hide it. */
  #text(context, text, left, base, colour) {
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = colours.panel;
    context.strokeText(text, left, base);
    context.fillStyle = colour;
    context.fillText(text, left, base);
  }

  #drawCursor(context, us, at, width, height) {
    context.strokeStyle = colours.quiet;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(at) + 0.5, 0);
    context.lineTo(Math.round(at) + 0.5, height - axis_px);
    context.stroke();
    const text = clockTime(us);
    const wide = context.measureText(text).width;
    this.#text(context, text, Math.min(width - wide - 4, Math.max(4, at - wide / 2)), height - 5, colours.text);
  }
}
