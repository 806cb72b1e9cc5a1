// spectrogram.js -- a live spectrogram that scrolls, and below it a score with its threshold (docs/formats/live.md).
//
// Keeps the last columns as bytes and as a picture of one pixel a value; a frame moves the picture by its columns, and
// between frames the view glides. Nothing is drawn while nothing comes.

const columns_max = 512; // about 16 s
const glide_ms_max = 400;

/** "rgb(1, 2, 3)" or "#123456" as [red, green, blue]. */
function rgbOf(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

export class Spectrogram {
  #canvas;
  #colour;
  #bands = 0;
  #values = null; // Uint8Array [columns_max, bands], a ring
  #picture = document.createElement("canvas"); // [bands, columns_max], the newest column at the right
  #at = 0; // where the next column goes in the ring
  #count = 0;
  #table = null; // Uint8ClampedArray [256, 3]
  #scores = []; // {score, threshold, alarm} a frame, with the columns it had
  #hidden = 0; // columns at the right that the view has not reached yet
  #gap_ms = 100; // between frames
  #frame_ms = 0;
  #frame = 0;
  #scheme = matchMedia("(prefers-color-scheme: dark)");
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #repaint = () => {
    this.#table = null;
    this.#paintAll();
    this.draw();
  };

  /** colour(name): a colour of the style sheet. */
  constructor(canvas, colour) {
    this.#canvas = canvas;
    this.#colour = colour;
    this.#scheme.addEventListener("change", this.#repaint);
  }

  close() {
    this.#scheme.removeEventListener("change", this.#repaint);
    cancelAnimationFrame(this.#frame);
  }

  get hasScores() {
    return this.#scores.length > 0;
  }

  /** The spectrum of a live frame and its bytes; false when it has none, or none that can be read. */
  add(header, bytes) {
    const {bands, columns} = header.spectrum ?? {};
    const isCount = (value, most) => Number.isInteger(value) && value >= 1 && value <= most;
    if (!isCount(bands, 256) || !isCount(columns, columns_max) || bytes?.length !== bands * columns) return false;
    if (bands !== this.#bands) this.#begin(bands);
    for (let column = 0; column < columns; column++) {
      this.#values.set(bytes.subarray(column * bands, (column + 1) * bands), this.#at * bands);
      this.#at = (this.#at + 1) % columns_max;
    }
    this.#count = Math.min(columns_max, this.#count + columns);
    this.#paintNew(columns);
    this.#addScore(header, columns);
    const now_ms = performance.now();
    if (this.#frame_ms) this.#gap_ms += (Math.min(glide_ms_max, now_ms - this.#frame_ms) - this.#gap_ms) * 0.2;
    this.#frame_ms = now_ms;
    this.#hidden = this.#still.matches ? 0 : Math.min(columns * 2, this.#hidden + columns);
    this.#glide();
    return true;
  }

  #begin(bands) {
    this.#bands = bands;
    this.#values = new Uint8Array(columns_max * bands);
    Object.assign(this.#picture, {width: columns_max, height: bands});
    this.#count = this.#at = 0;
  }

  #addScore({score, threshold, alarm}, columns) {
    if (typeof score !== "number") return;
    this.#scores.push({score, threshold, alarm: alarm === true, columns});
    let all = 0;
    for (let index = this.#scores.length - 1; index >= 0; index--) {
      all += this.#scores[index].columns;
      if (all > columns_max) {
        this.#scores.splice(0, index);
        break;
      }
    }
  }

  #colours() {
    if (this.#table) return this.#table;
    const ground = rgbOf(this.#colour("panel")),
      ink = rgbOf(this.#colour("audio")),
      bright = rgbOf(this.#colour("text"));
    this.#table = new Uint8ClampedArray(256 * 3);
    for (let value = 0; value < 256; value++) {
      // Rooms are 60 to 20 dB below full scale: there the colours are.
      const share = Math.min(1, Math.max(0, (value - 55) / 165)) ** 1.2;
      for (let part = 0; part < 3; part++) {
        const middle = ground[part] + (ink[part] - ground[part]) * Math.min(1, share / 0.7);
        this.#table[value * 3 + part] = middle + (bright[part] - middle) * Math.max(0, (share - 0.7) / 0.3) * 0.6;
      }
    }
    return this.#table;
  }

  /** Columns of the ring, from `first` on, into the picture at `left`. */
  #paint(first, count, left) {
    if (!count) return;
    const table = this.#colours(),
      bands = this.#bands;
    const context = this.#picture.getContext("2d", {willReadFrequently: true});
    const pixels = context.createImageData(count, bands);
    for (let column = 0; column < count; column++)
      for (let band = 0; band < bands; band++) {
        const value = this.#values[((first + column + columns_max) % columns_max) * bands + band];
        const at = 4 * ((bands - 1 - band) * count + column);
        for (let part = 0; part < 3; part++) pixels.data[at + part] = table[value * 3 + part];
        pixels.data[at + 3] = 255;
      }
    context.putImageData(pixels, left, 0);
  }

  #paintNew(columns) {
    const context = this.#picture.getContext("2d", {willReadFrequently: true});
    context.drawImage(this.#picture, -columns, 0);
    this.#paint(this.#at - columns, columns, columns_max - columns);
  }

  #paintAll() {
    if (this.#bands) this.#paint(this.#at - this.#count, this.#count, columns_max - this.#count);
  }

  #glide() {
    if (this.#frame) return;
    let last_ms = performance.now();
    const step = now_ms => {
      const rate = Math.max(1, this.#hidden) / Math.max(40, this.#gap_ms);
      this.#hidden = Math.max(0, this.#hidden - rate * Math.max(0, now_ms - last_ms));
      last_ms = now_ms;
      this.draw();
      this.#frame = this.#hidden > 0 ? requestAnimationFrame(step) : 0;
    };
    this.#frame = requestAnimationFrame(step);
  }

  draw() {
    const canvas = this.#canvas,
      ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth,
      height = canvas.clientHeight;
    if (!width || !height) return;
    const wide = Math.round(width * ratio),
      high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, {width: wide, height: high});
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const lane = this.hasScores ? Math.max(34, Math.round(height * 0.34)) : 0;
    const step = Math.max(1.5, width / columns_max); // pixels a column: a narrow tile shows less time, not less detail
    const shown = Math.min(columns_max, Math.ceil(width / step) + Math.ceil(this.#hidden) + 1);
    const left = width - (shown - this.#hidden) * step;
    if (this.#count)
      context.drawImage(this.#picture, columns_max - shown, 0, shown, this.#bands, left, 0, shown * step, height - lane);
    if (lane) this.#drawScores(context, width, height - lane, lane, step);
  }

  #drawScores(context, width, top, high, step) {
    const newest = this.#scores.at(-1);
    const limit = newest.threshold;
    let most = typeof limit === "number" ? limit * 1.4 : 0,
      least = 0;
    for (const {score} of this.#scores) {
      most = Math.max(most, score);
      least = Math.min(least, score);
    }
    const y = value => top + high - 4 - ((value - least) / Math.max(1e-9, most - least)) * (high - 20);
    let x = width + this.#hidden * step;
    context.strokeStyle = this.#colour("audio");
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    for (let index = this.#scores.length - 1; index >= 0 && x > -step; index--) {
      const {score, alarm, columns} = this.#scores[index];
      if (alarm) {
        context.fillStyle = this.#colour("bad-soft");
        context.fillRect(x - columns * step, top, columns * step + 0.5, high);
      }
      context.lineTo(x, y(score));
      x -= columns * step;
    }
    context.stroke();
    const says = (text, base, colour) => {
      context.strokeStyle = this.#colour("panel");
      context.lineWidth = 3;
      context.strokeText(text, 2, base);
      context.fillStyle = this.#colour(colour);
      context.fillText(text, 2, base);
    };
    context.font = `12px ${getComputedStyle(this.#canvas).fontFamily}`;
    if (typeof limit === "number") {
      context.strokeStyle = this.#colour("warn");
      context.lineWidth = 1.5;
      context.setLineDash([6, 4]);
      context.beginPath();
      context.moveTo(0, y(limit));
      context.lineTo(width, y(limit));
      context.stroke();
      context.setLineDash([]);
      says("limit", y(limit) + 13, "warn");
    }
    says("score", top + 11, "quiet");
  }
}
