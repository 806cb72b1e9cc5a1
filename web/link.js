// link.js -- the one WebSocket to the hub: events, device states and live frames.
//
// Reconnects with growing pauses (0.5 s … 15 s) and asks again for everything that is watched. A binary message is a
// frame: u32 length (big-endian), that many bytes of JSON header, then the picture's bytes.

const pause_ms_min = 500;
const pause_ms_max = 15_000;
const header_bytes_max = 1 << 20;

export const sourceKey = source => `${source.device}/${source.module}/${source.stream}`;

/** Returns {header, bytes}, or null for what is not a frame. */
export function decodeFrame(buffer) {
  if (buffer.byteLength < 4) return null;
  const length = new DataView(buffer).getUint32(0);
  if (length > header_bytes_max || length + 4 > buffer.byteLength) return null;
  try {
    return {
      header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))),
      bytes: new Uint8Array(buffer, 4 + length),
    };
  } catch {
    return null;
  }
}

export class Link extends EventTarget {
  #socket = null;
  #pause_ms = pause_ms_min;
  #timer = 0;
  #live = new Map(); // key -> {source, viewers: Set}
  state = "closed"; // "closed", "connecting", "open" or "waiting"
  since_ms = Date.now();
  retry_at_ms = 0;

  /** `refused` is called when a connection fails before it opened: the session may have ended. */
  constructor(refused) {
    super();
    this.refused = refused;
    addEventListener("online", () => this.state === "waiting" && this.#connect());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", event => event.persisted && this.open());
  }

  open() {
    if (this.state === "closed") this.#connect();
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#become("closed");
  }

  /** viewer: {frame(header, bytes), state(state, reason)}. Returns the function that ends it. */
  watch(source, viewer) {
    const key = sourceKey(source);
    let entry = this.#live.get(key);
    if (!entry) {
      entry = {
        source: {device: source.device, module: source.module, stream: source.stream},
        viewers: new Set(),
        told: null,
      };
      this.#live.set(key, entry);
      this.#send({live: entry.source});
    }
    entry.viewers.add(viewer);
    if (entry.told) viewer.state(entry.told.state, entry.told.reason);
    return () => {
      entry.viewers.delete(viewer);
      if (entry.viewers.size === 0 && this.#live.get(key) === entry) {
        this.#live.delete(key);
        this.#send({unlive: entry.source});
      }
    };
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/stream`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    let opened = false;
    this.#become("connecting");
    socket.onopen = () => {
      opened = true;
      this.#pause_ms = pause_ms_min;
      this.#become("open");
      this.#send({watch: ["events", "devices"]});
      for (const entry of this.#live.values()) this.#send({live: entry.source});
    };
    socket.onmessage = message => this.#receive(message.data);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      for (const entry of this.#live.values()) entry.told = null;
      const pause_ms = this.#pause_ms * (0.75 + Math.random() / 2);
      this.#pause_ms = Math.min(this.#pause_ms * 2, pause_ms_max);
      this.retry_at_ms = Date.now() + pause_ms;
      this.#timer = setTimeout(() => this.#connect(), pause_ms);
      this.#become("waiting");
      if (!opened) this.refused();
    };
  }

  #become(state) {
    if (this.state === state) return;
    // A try in between does not restart the clock of an outage.
    if (state === "open" || this.state === "open" || state === "closed") this.since_ms = Date.now();
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #receive(data) {
    if (typeof data !== "string") {
      const frame = decodeFrame(data);
      const entry = frame && this.#live.get(sourceKey(frame.header));
      for (const viewer of entry?.viewers ?? []) viewer.frame(frame.header, frame.bytes);
      return;
    }
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.event) this.dispatchEvent(new CustomEvent("event", {detail: message.event}));
    if (message.devices) this.dispatchEvent(new CustomEvent("devices", {detail: message.devices}));
    if (message.live) {
      const entry = this.#live.get(sourceKey(message.live));
      if (!entry) return;
      entry.told = message.live;
      for (const viewer of entry.viewers) viewer.state(message.live.state, message.live.reason);
    }
  }
}
