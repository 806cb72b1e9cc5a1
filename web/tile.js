// tile.js -- one source on the Live page: the frame around a view, its state, facts, last event and controls.
//
// Subscribes to the live stream only while it is on the screen and the page is visible.

import {api, mayOperate} from "./api.js";
import {familyMark, h, icon, setState, timeAgo} from "./dom.js";
import {notableEvents} from "./events.js";
import {clockTime, eventTime, eventTitle, isMeasurement, number} from "./format.js";
import {sourceKey} from "./link.js";
import {methodForm, methodsOfDevice} from "./methods.js";
import {OtherView, PictureView, PointsView, SoundView} from "./views.js";
import {ZoneEditor} from "./zones.js";

const views = {picture: PictureView, sound: SoundView, points: PointsView};
const stale_ms_min = 3000;

export const sourceAddress = source =>
  `#live/${[source.device, source.module, source.stream].map(encodeURIComponent).join("/")}`;

const view_of_family = {vision: "picture", audio: "sound", telemetry: "points"};

export class Tile {
  #link;
  #source;
  #view;
  #unwatch = null;
  #on_screen = false;
  #is_closed = false;
  #observer;
  #timer;
  #told = {state: "", reason: ""};
  #frame_ms = 0;
  #gap_ms = 1000;
  #state = h("span", {class: "state"});
  #over = h("div", {class: "over", hidden: true});
  #facts = h("div", {class: "facts"});
  #last = h("div", {class: "last"});
  #channels = null;
  #edit = null; // the button that opens the editor of zones, where there is one
  #editor = null;
  #wants_editor;
  #visibility = () => this.#decide();

  /** options: {large, menu: element or null, edits: whether to open the editor of zones with the first picture} */
  constructor(link, source, {large = false, menu = null, edits = false} = {}) {
    this.#link = link;
    this.#wants_editor = edits;
    // What a source is (a camera, a recording) says nothing about how it looks; its family does.
    source = {...source, kind: view_of_family[source.family] ?? source.kind};
    this.#source = source;
    const View = views[source.kind] ?? OtherView;
    this.#view = new View(source, {channelsChanged: () => this.#listChannels()});
    this.#view.element.append(this.#over);
    if (large && this.#view instanceof PictureView && mayOperate()) {
      this.#edit = h("button", {
        type: "button",
        class: "edit-zones",
        text: "Edit zones",
        disabled: true,
        onclick: () => this.#openEditor(),
      });
    }
    const title = h("h2", {}, large ? source.stream : h("a", {href: sourceAddress(source), text: source.stream}));
    this.element = h(
      "article",
      {
        class: `tile ${large ? "large" : ""}`,
        data: {source: sourceKey(source), kind: source.kind, family: source.family, frames: 0, state: ""},
        "aria-label": `${source.stream}, ${source.device}`,
      },
      h(
        "header",
        {},
        familyMark(source.family),
        title,
        this.#state,
        this.#edit,
        menu,
        h("p", {class: "where", text: `${source.device} · ${source.module}`})
      ),
      this.#view.element,
      h("div", {class: "body"}, this.#facts, source.kind === "points" && this.#panels(), this.#last)
    );
    this.#showLast(null);
    this.ready = this.#loadLast();
    this.#observer = new IntersectionObserver(
      entries => {
        this.#on_screen = entries.at(-1).isIntersecting;
        this.#decide();
      },
      {rootMargin: "80px"}
    );
    this.#observer.observe(this.element);
    document.addEventListener("visibilitychange", this.#visibility);
    this.#timer = setInterval(() => this.#showState(), 500);
    this.#showState();
  }

  close() {
    this.#is_closed = true;
    this.#editor?.close();
    clearInterval(this.#timer);
    this.#observer.disconnect();
    document.removeEventListener("visibilitychange", this.#visibility);
    this.#stop();
    this.#view.close();
  }

  get key() {
    return sourceKey(this.#source);
  }

  update(source) {
    this.#source = source;
    this.#decide();
    this.#showState();
  }

  event(event) {
    if (sourceKey(event) !== this.key) return;
    if (this.#view.accepts(event)) this.#view.event(event);
    if (!isMeasurement(event)) this.#showLast(event);
  }

  #decide() {
    // The observer and whoever lists the sources may still have something to tell when the tile is gone.
    if (this.#on_screen && !this.#is_closed && !document.hidden && this.#source.connected) this.#start();
    else this.#stop();
  }

  #start() {
    this.#unwatch ??= this.#link.watch(this.#source, {
      frame: (header, bytes) => this.#frame(header, bytes),
      state: (state, reason) => {
        this.#told = {state, reason: reason ?? ""};
        this.#showState();
      },
    });
  }

  #stop() {
    this.#unwatch?.();
    this.#unwatch = null;
    this.#told = {state: "", reason: ""};
    this.#frame_ms = 0;
  }

  #frame(header, bytes) {
    const now_ms = Date.now();
    // A slow source may pause longer than a fast one before it counts as stale.
    if (this.#frame_ms) this.#gap_ms += (Math.min(20_000, now_ms - this.#frame_ms) - this.#gap_ms) * 0.1;
    const first = !this.#frame_ms;
    this.#frame_ms = now_ms;
    this.#view.frame(header, bytes);
    this.element.dataset.capturedUs = header.captured_us;
    if (header.dropped !== undefined)
      this.#source = {...this.#source, dropped: header.dropped, rate_hz: header.rate_hz ?? this.#source.rate_hz};
    if (first) this.#showState();
  }

  #showState() {
    this.element.dataset.frames = this.#view.frames;
    if (this.#edit) this.#edit.disabled = this.#editor !== null || this.#view.frames === 0;
    if (this.#wants_editor && this.#edit && !this.#edit.disabled) this.#openEditor();
    const [level, word, reason] = this.#judge();
    this.element.dataset.state = word.split(" ")[0];
    setState(this.#state, level, word, reason);
    const blank = this.#view.frames === 0 || level === "warn" || level === "off" || word === "unavailable";
    this.#over.hidden = !blank || !reason;
    this.#over.textContent = reason;
    this.#over.classList.toggle("middle", this.#view.frames === 0);
    this.#showFacts();
  }

  /** [level, word, what to say over the picture] */
  #judge() {
    const source = this.#source;
    if (this.#link.state !== "open")
      return ["warn", "no link", `No link to the hub since ${clockTime(this.#link.since_ms * 1000)}`];
    if (!source.connected) return ["off", "offline", `${source.device} is not connected`];
    if (this.#told.state === "unavailable")
      return ["bad", "unavailable", this.#told.reason || "The device does not send this stream"];
    if (!this.#frame_ms) return ["wait", "starting", this.#view.frames ? "" : "Waiting for the device…"];
    if (Date.now() - this.#frame_ms > Math.max(stale_ms_min, 5 * this.#gap_ms)) {
      return ["warn", "stale", `Nothing new since ${clockTime(this.#frame_ms * 1000)}`];
    }
    if (this.#view.alarm()) return ["bad", "alarm", ""];
    if (source.error) return ["warn", "error", source.error];
    return ["good", "live", ""];
  }

  #showFacts() {
    const facts = this.#view.facts();
    const {rate_hz, dropped} = this.#source;
    if (rate_hz && this.#frame_ms) facts.push(["rate", `${number(rate_hz, 1)}/s`]);
    if (dropped && this.#frame_ms) facts.push(["dropped", number(dropped)]);
    const text = JSON.stringify(facts);
    if (this.#facts.dataset.text === text) return;
    this.#facts.dataset.text = text;
    this.#facts.replaceChildren(...facts.map(([name, value]) => h("span", {}, `${name} `, h("b", {text: value}))));
  }

  /** Reads what was missed. */
  catchUp() {
    this.#loadLast();
    this.#view.catchUp?.();
  }

  /** Resolves to whether the source has an event; true while that cannot be read. */
  async #loadLast() {
    const {device, module, stream} = this.#source;
    try {
      const [event] = await notableEvents({device, module, stream}, 1);
      if (event && eventTime(event) > Number(this.#last.dataset.us ?? 0)) this.#showLast(event);
      return Boolean(event);
    } catch {
      return true; // the events place says what is wrong
    }
  }

  #showLast(event) {
    if (!event) {
      this.#last.replaceChildren(h("span", {class: "quiet", text: "No event yet"}));
      return;
    }
    const {device, module, stream} = this.#source;
    this.#last.dataset.event = event.id;
    this.#last.dataset.type = event.type;
    this.#last.dataset.us = eventTime(event);
    const address = `#events?${new URLSearchParams({device, module, stream, event: event.id, at: event.captured_us})}`;
    this.#last.replaceChildren(
      h("a", {href: address, title: eventTitle(event), text: eventTitle(event)}),
      timeAgo(eventTime(event), "quiet")
    );
  }

  #openEditor() {
    this.#wants_editor = false;
    if (this.#editor) return;
    this.#editor = new ZoneEditor(this.#view, this.#source, () => {
      this.#editor = null;
      this.#edit.hidden = false;
      this.#edit.focus({preventScroll: true});
    });
    this.#edit.hidden = true;
    this.#view.element.after(this.#editor.panel);
    this.#editor.panel.scrollIntoView({block: "nearest"});
  }

  /** Channels and Controls below a chart; both open on demand. */
  #panels() {
    this.#channels = h("div", {class: "channels"});
    const controls = h("div", {class: "controls-list"});
    const open = async event => {
      if (!event.target.open || controls.dataset.loaded) return;
      controls.dataset.loaded = "1";
      controls.replaceChildren(h("p", {class: "quiet", text: "Reading the modules’ twins…"}));
      try {
        const device = (await api.devices()).find(candidate => candidate.id === this.#source.device);
        const found = await methodsOfDevice(
          this.#source.device,
          (device?.modules ?? []).map(module => module.id)
        );
        controls.replaceChildren(...found.map(({module, method}) => methodForm(this.#source.device, module, method)));
        if (!found.length)
          controls.replaceChildren(h("p", {class: "quiet", text: "No module of this device describes a method."}));
      } catch (error) {
        delete controls.dataset.loaded;
        controls.replaceChildren(h("p", {class: "quiet", text: error.message}));
      }
    };
    return h(
      "div",
      {class: "panels"},
      h("details", {name: `panel-${this.key}`, class: "panel"}, h("summary", {text: "Channels"}), this.#channels),
      h(
        "details",
        {name: `panel-${this.key}`, class: "panel controls", ontoggle: open},
        h("summary", {text: "Controls"}),
        controls
      )
    );
  }

  #listChannels() {
    const chosen = new Set(this.#view.chosen);
    this.#channels?.replaceChildren(
      ...this.#view.channels.map(name =>
        h(
          "label",
          {class: "check"},
          h("input", {
            type: "checkbox",
            value: name,
            checked: chosen.has(name),
            onchange: () => {
              const inputs = [...this.#channels.querySelectorAll("input")];
              this.#view.choose(inputs.filter(input => input.checked).map(input => input.value));
            },
          }),
          name
        )
      )
    );
  }
}

/** The “…” menu of a tile. items: [[text, action]…] */
export function tileMenu(name, items) {
  const menu = h(
    "details",
    {class: "menu"},
    h("summary", {"aria-label": `More about ${name}`}, icon("more")),
    h(
      "div",
      {class: "menu-items"},
      items.map(([text, action]) =>
        h("button", {
          type: "button",
          text,
          onclick: () => {
            menu.open = false;
            action();
          },
        })
      )
    )
  );
  menu.addEventListener("focusout", event => {
    if (!menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", event => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.firstChild.focus();
  });
  return menu;
}
