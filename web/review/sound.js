// sound.js -- a clip to hear and to see: player, wave form, spectrogram, and where its words are.

import {soundAddress} from "./store.js";

const fft_size = 512;
const frequency_max = 8000;
const floor_db = -75; // of the loudest; below it the spectrogram is empty

/** In place, of complex numbers; the length is a power of two. Source: Cooley and Tukey 1965. */
function fft(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let length = 2; length <= n; length <<= 1) {
    const angle = (-2 * Math.PI) / length;
    for (let start = 0; start < n; start += length)
      for (let k = 0; k < length / 2; k++) {
        const c = Math.cos(angle * k),
          s = Math.sin(angle * k);
        const a = start + k,
          b = a + length / 2;
        const r = real[b] * c - imaginary[b] * s,
          i = real[b] * s + imaginary[b] * c;
        real[b] = real[a] - r;
        imaginary[b] = imaginary[a] - i;
        real[a] += r;
        imaginary[a] += i;
      }
  }
}

/** Loudness in 0..1 per column and band, from low to high: Float32Array [columns, bands]. */
function spectrogram(samples, rate_hz, columns) {
  const bands = Math.min(fft_size / 2, Math.floor((frequency_max / rate_hz) * fft_size));
  const loud = new Float32Array(columns * bands);
  const window = Float32Array.from({length: fft_size}, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / fft_size));
  const real = new Float32Array(fft_size),
    imaginary = new Float32Array(fft_size);
  let most = -200;
  for (let column = 0; column < columns; column++) {
    const middle = ((column + 0.5) / columns) * samples.length;
    const begin = Math.round(middle - fft_size / 2);
    for (let i = 0; i < fft_size; i++) real[i] = (samples[begin + i] ?? 0) * window[i];
    imaginary.fill(0);
    fft(real, imaginary);
    for (let band = 0; band < bands; band++) {
      const db = 10 * Math.log10(real[band] ** 2 + imaginary[band] ** 2 + 1e-12);
      loud[column * bands + band] = db;
      most = Math.max(most, db);
    }
  }
  for (let at = 0; at < loud.length; at++) loud[at] = Math.max(0, Math.min(1, 1 - (loud[at] - most) / floor_db));
  return {loud, bands};
}

const columns_max = 900;

export class Sound {
  #canvas;
  #player = new Audio();
  #samples = null;
  #rate_hz = 16000;
  #picture = null; // canvas of the spectrogram
  #clip = null;
  #span = null; // [begin_s, end_s] of the chosen word
  #stop_s = Infinity;
  #context = null;
  #frame = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#player.addEventListener("play", () => this.#follow());
    this.#player.addEventListener("pause", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    canvas.addEventListener("click", event => {
      this.#player.currentTime = (event.offsetX / canvas.clientWidth) * this.duration_s;
      this.#draw();
    });
  }

  get duration_s() {
    return this.#samples ? this.#samples.length / this.#rate_hz : (this.#clip?.duration_s ?? 0);
  }

  async show(clip) {
    if (this.#clip?.media === clip.media) return;
    this.#player.pause();
    this.#clip = clip;
    this.#samples = this.#picture = null;
    this.#player.src = soundAddress(clip);
    this.#draw();
    try {
      const bytes = await (await fetch(soundAddress(clip))).arrayBuffer();
      this.#context ??= new OfflineAudioContext(1, 1, 16000);
      const decoded = await this.#context.decodeAudioData(bytes);
      if (this.#clip !== clip) return;
      this.#samples = decoded.getChannelData(0);
      this.#rate_hz = decoded.sampleRate;
      this.#paint();
    } catch {
      /* what cannot be drawn can perhaps still be played */
    }
  }

  mark(token) {
    this.#span = token ? [token.begin_s, token.end_s] : null;
    this.#draw();
  }

  toggle() {
    if (!this.#player.paused) return this.#player.pause();
    this.#stop_s = Infinity;
    if (this.#player.ended || this.#player.currentTime >= this.duration_s - 0.05) this.#player.currentTime = 0;
    this.#player.play().catch(() => {});
  }

  /** A word's times are about right: a little before and after belongs to it. */
  playWord() {
    if (!this.#span) return this.toggle();
    this.#player.currentTime = Math.max(0, this.#span[0] - 0.35);
    this.#stop_s = this.#span[1] + 0.35;
    this.#player.play().catch(() => {});
  }

  get isPlaying() {
    return !this.#player.paused;
  }

  #follow() {
    cancelAnimationFrame(this.#frame);
    const step = () => {
      if (this.#player.currentTime >= this.#stop_s) this.#player.pause();
      this.#draw();
      if (!this.#player.paused) this.#frame = requestAnimationFrame(step);
    };
    step();
  }

  #colour(name) {
    return getComputedStyle(this.#canvas).getPropertyValue(`--${name}`).trim();
  }

  #rgb(name) {
    const context = document.createElement("canvas").getContext("2d");
    context.fillStyle = this.#colour(name);
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  }

  #paint() {
    if (!this.#samples) return;
    const columns = Math.min(columns_max, Math.max(60, Math.round(this.duration_s * 100)));
    const {loud, bands} = spectrogram(this.#samples, this.#rate_hz, columns);
    const ground = this.#rgb("sunken"),
      ink = this.#rgb("audio");
    const picture = Object.assign(document.createElement("canvas"), {width: columns, height: bands});
    const context = picture.getContext("2d");
    const pixels = context.createImageData(columns, bands);
    for (let column = 0; column < columns; column++)
      for (let band = 0; band < bands; band++) {
        const share = loud[column * bands + band] ** 1.6;
        const at = 4 * ((bands - 1 - band) * columns + column);
        for (let part = 0; part < 3; part++) pixels.data[at + part] = ground[part] + (ink[part] - ground[part]) * share;
        pixels.data[at + 3] = 255;
      }
    context.putImageData(pixels, 0, 0);
    this.#picture = picture;
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas,
      ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth,
      height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio))
      Object.assign(canvas, {width: Math.round(width * ratio), height: Math.round(height * ratio)});
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const wave = Math.round(height * 0.38);
    const x = seconds => (seconds / Math.max(0.01, this.duration_s)) * width;
    if (this.#picture) context.drawImage(this.#picture, 0, wave, width, height - wave);
    if (this.#span) {
      context.fillStyle = this.#colour("accent-soft");
      context.fillRect(x(this.#span[0]), 0, Math.max(2, x(this.#span[1]) - x(this.#span[0])), wave);
      context.fillStyle = this.#colour("accent");
      context.fillRect(x(this.#span[0]), wave - 2, Math.max(2, x(this.#span[1]) - x(this.#span[0])), 2);
    }
    if (this.#samples) this.#drawWave(context, width, wave);
    context.fillStyle = this.#colour("bad");
    context.fillRect(Math.min(width - 2, x(this.#player.currentTime)), 0, 2, height);
  }

  #drawWave(context, width, height) {
    context.fillStyle = this.#colour("quiet");
    const per = this.#samples.length / width;
    let most = 0.02;
    for (const sample of this.#samples) most = Math.max(most, Math.abs(sample));
    for (let at = 0; at < width; at++) {
      let peak = 0;
      for (let i = Math.floor(at * per); i < (at + 1) * per && i < this.#samples.length; i++)
        peak = Math.max(peak, Math.abs(this.#samples[i]));
      const high = Math.max(1, (peak / most) * (height - 6));
      context.fillRect(at, (height - high) / 2, 1, high);
    }
  }
}
