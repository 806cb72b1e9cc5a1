// live.js -- the Live place: a wall of tiles, one per source, or one source in full with its history beside it.

import {api, mayOperate} from "./api.js";
import {Chart} from "./chart.js";
import {h, memory, problemBox} from "./dom.js";
import {eventRow, insertRow, notableEvents} from "./events.js";
import {isMeasurement} from "./format.js";
import {sourceKey} from "./link.js";
import {Tile, sourceAddress, tileMenu} from "./tile.js";
import {alarmBands} from "./views.js";

const families = [
  ["", "All"],
  ["vision", "Vision"],
  ["audio", "Audio"],
  ["telemetry", "Telemetry"],
];
const reload_ms = 15_000;
const history_rows_max = 100;

/** Shows the place in `main`; returns {leave()}. address: {segments, query}. */
export function showLive(main, link, address) {
  return address.segments.length === 3 ? new Single(main, link, address.segments, address.query) : new Wall(main, link, address.query);
}

class Wall {
  #link;
  #family;
  #tiles = new Map();
  #sources = [];
  #silent = new Set(); // sources that had no event when their tile was made
  #wall = h("div", {class: "wall"});
  #summary = h("span", {class: "quiet", role: "status"});
  #message = h("div");
  #left = false;
  #timer;
  #onEvent = event => {
    for (const tile of this.#tiles.values()) tile.event(event.detail);
  };
  #onDevices = () => this.#load();
  // What happened while the link was away is read from the hub's history.
  #onLink = () => {
    if (this.#link.state !== "open") return;
    for (const tile of this.#tiles.values()) tile.catchUp();
  };

  constructor(main, link, query) {
    this.#link = link;
    this.#family = query.get("family") ?? "";
    main.replaceChildren(
      h(
        "header",
        {class: "place-head"},
        h("h1", {text: "Live"}),
        this.#summary,
        h(
          "div",
          {class: "chips", role: "group", "aria-label": "Family"},
          families.map(([family, name]) =>
            h("a", {
              class: "chip",
              href: family ? `#live?family=${family}` : "#live",
              "aria-current": family === this.#family ? "true" : null,
              text: name,
            })
          )
        )
      ),
      this.#message,
      this.#wall
    );
    link.addEventListener("event", this.#onEvent);
    link.addEventListener("devices", this.#onDevices);
    link.addEventListener("state", this.#onLink);
    this.#timer = setInterval(() => this.#load(), reload_ms);
    this.#load();
  }

  leave() {
    this.#left = true;
    clearInterval(this.#timer);
    this.#link.removeEventListener("event", this.#onEvent);
    this.#link.removeEventListener("devices", this.#onDevices);
    this.#link.removeEventListener("state", this.#onLink);
    for (const tile of this.#tiles.values()) tile.close();
  }

  async #load() {
    if (document.hidden) return;
    try {
      const sources = await api.sources();
      if (this.#left) return;
      this.#sources = sources;
      this.#message.replaceChildren();
      this.#show();
    } catch (error) {
      if (!this.#left && !this.#tiles.size) this.#message.replaceChildren(problemBox(error, "list the sources", () => this.#load()));
    }
  }

  /** As the reader put them; the others by family, and those first that have something to tell. */
  #ordered() {
    const order = memory.get("order", []);
    const place = source => {
      const index = order.indexOf(sourceKey(source));
      return index < 0 ? order.length : index;
    };
    const family = source => families.findIndex(([name]) => name === source.family);
    const silent = source => (this.#silent.has(sourceKey(source)) ? 1 : 0);
    return [...this.#sources].sort((a, b) => place(a) - place(b) || family(a) - family(b) || silent(a) - silent(b));
  }

  #show() {
    const sources = this.#ordered().filter(source => !this.#family || source.family === this.#family);
    const keys = new Set(sources.map(sourceKey));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      tile.close();
      tile.element.remove();
      this.#tiles.delete(key);
    }
    sources.forEach((source, index) => {
      const key = sourceKey(source);
      const tile = this.#tiles.get(key);
      if (tile) tile.update(source);
      else this.#tiles.set(key, this.#make(source));
      const element = this.#tiles.get(key).element;
      if (this.#wall.children[index] !== element) this.#wall.insertBefore(element, this.#wall.children[index] ?? null);
    });
    const connected = sources.filter(source => source.connected).length;
    this.#summary.textContent = sources.length ? `${connected} of ${sources.length} sources connected` : "";
    if (!sources.length) this.#message.replaceChildren(this.#emptyState());
  }

  #make(source) {
    const menu = tileMenu(source.stream, [
      [
        "Open in full",
        () => {
          location.hash = sourceAddress(source);
        },
      ],
      ...(source.family === "vision" && mayOperate()
        ? [
            [
              "Edit zones",
              () => {
                location.hash = `${sourceAddress(source)}?edit`;
              },
            ],
          ]
        : []),
      [
        "Show its events",
        () => {
          location.hash = `#events?${new URLSearchParams({device: source.device, module: source.module, stream: source.stream})}`;
        },
      ],
      [
        "Show the device",
        () => {
          location.hash = `#devices/${encodeURIComponent(source.device)}`;
        },
      ],
      ["Move earlier", () => this.#move(source, -1)],
      ["Move later", () => this.#move(source, 1)],
    ]);
    const tile = new Tile(this.#link, source, {menu});
    tile.ready.then(has_event => {
      if (has_event || this.#tiles.get(tile.key) !== tile) return;
      this.#silent.add(tile.key);
      this.#show();
    });
    return tile;
  }

  #move(source, step) {
    const keys = this.#ordered().map(sourceKey);
    const from = keys.indexOf(sourceKey(source)),
      to = from + step;
    if (to < 0 || to >= keys.length) return;
    [keys[from], keys[to]] = [keys[to], keys[from]];
    memory.set("order", keys);
    this.#show();
    this.#tiles.get(sourceKey(source))?.element.querySelector("summary").focus();
  }

  #emptyState() {
    return h(
      "div",
      {class: "empty"},
      h("h2", {text: this.#family ? `No ${this.#family} source yet` : "No source yet"}),
      h("p", {text: "A source appears when a device runs a module that reads a camera, a microphone or sensors."}),
      h("p", {}, h("a", {class: "button", href: "#devices?join", text: "Join a device"}))
    );
  }
}

class Single {
  #link;
  #tile = null;
  #key;
  #list = h("ul", {class: "event-list"});
  #chart = null;
  #left = false;
  #edits;
  #onEvent = event => {
    if (sourceKey(event.detail) !== this.#key) return;
    this.#tile?.event(event.detail);
    if (!isMeasurement(event.detail)) this.#prepend(event.detail);
  };

  constructor(main, link, [device, module, stream], query) {
    this.#link = link;
    this.#edits = query.has("edit");
    this.#key = `${device}/${module}/${stream}`;
    const place = h("div", {class: "single-main"});
    const side = h(
      "section",
      {class: "panel-box"},
      h(
        "div",
        {class: "box-head"},
        h("h2", {text: "History"}),
        h("a", {href: `#events?${new URLSearchParams({device, module, stream})}`, text: "All events"})
      ),
      this.#list
    );
    main.replaceChildren(
      h(
        "header",
        {class: "place-head"},
        h("a", {class: "back", href: "#live", text: "Live"}),
        h("h1", {text: stream}),
        h("a", {
          class: "quiet",
          href: `#devices/${encodeURIComponent(device)}/${encodeURIComponent(module)}`,
          text: `${device} · ${module}`,
        })
      ),
      h("div", {class: "single"}, place, side)
    );
    link.addEventListener("event", this.#onEvent);
    this.#load(place, {device, module, stream});
  }

  leave() {
    this.#left = true;
    this.#link.removeEventListener("event", this.#onEvent);
    this.#tile?.close();
    this.#chart?.close();
  }

  async #load(place, wanted) {
    try {
      const source = (await api.sources()).find(candidate => sourceKey(candidate) === this.#key);
      if (this.#left) return;
      if (!source) {
        place.replaceChildren(
          h(
            "div",
            {class: "empty"},
            h("h2", {text: "This source is not there"}),
            h("p", {text: "Its module may have been removed or renamed. Its events are kept."})
          )
        );
      } else {
        this.#tile = new Tile(this.#link, source, {large: true, edits: this.#edits});
        place.replaceChildren(this.#tile.element);
        if (source.family === "telemetry") place.append(this.#history(wanted));
      }
      const events = await notableEvents(wanted, history_rows_max);
      if (this.#left) return;
      this.#list.append(...events.map(event => this.#row(event)));
      if (!this.#list.children.length) this.#list.append(h("li", {class: "quiet none", text: "No event yet."}));
    } catch (error) {
      if (!this.#left) place.replaceChildren(problemBox(error, "show this source", () => this.#load(place, wanted)));
    }
  }

  #row(event) {
    const {device, module, stream} = event;
    return eventRow(
      event,
      `#events?${new URLSearchParams({device, module, stream, event: event.id, at: event.captured_us})}`,
      {brief: true}
    );
  }

  #prepend(event) {
    this.#list.querySelector(".none")?.remove();
    insertRow(this.#list, this.#row(event), "first");
    while (this.#list.children.length > history_rows_max) this.#list.lastChild.remove();
  }

  /** The score over a longer time, from the hub's history. */
  #history(source) {
    this.#chart = new Chart("Score over time");
    const ranges = [
      ["900", "15 min"],
      ["3600", "1 h"],
      ["21600", "6 h"],
      ["86400", "24 h"],
    ];
    const load = async seconds => {
      const to_us = Date.now() * 1000,
        from_us = to_us - seconds * 1e6;
      try {
        const [series, alarms, newest] = await Promise.all([
          api.series({...source, from_us, to_us, points_max: 1500}),
          alarmBands(source, from_us, to_us),
          api.events({...source, type: "anomaly.score", limit: 1}),
        ]);
        section.hidden = newest.events.length === 0; // a source without a model has no score
        const limit = newest.events[0]?.extension?.threshold;
        this.#chart.show({
          from_us,
          to_us,
          alarms,
          lanes: [
            {
              name: "score",
              times: series.points.map(point => point[0]),
              values: series.points.map(point => point[1]),
              from_zero: true,
              limit: typeof limit === "number" ? limit : undefined,
            },
          ],
        });
      } catch {
        /* the chart stays as it was */
      }
    };
    const select = h(
      "select",
      {onchange: () => load(Number(select.value))},
      ranges.map(([value, text]) => h("option", {value, text}))
    );
    const section = h(
      "section",
      {class: "panel-box", hidden: true},
      h("div", {class: "box-head"}, h("h2", {text: "Score history"}), h("label", {class: "inline"}, "Last", select)),
      h("div", {class: "history-chart"}, this.#chart.element)
    );
    load(900);
    return section;
  }
}
