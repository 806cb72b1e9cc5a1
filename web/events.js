// events.js -- the Events place: one stream for all families, with filters in the address and a detail beside it.
//
// Address: #events?family=&type=&device=&module=&stream=&rule=&severity=&since=15m|1h|24h|7d&scores=1&event=ID&at=US.
// Measurements (types that end in ".score") come every few seconds and are left out unless asked for.

import {api} from "./api.js";
import {
  copyButton,
  copy,
  familyMark,
  h,
  icon,
  memory,
  note,
  problemBox,
  severityLevels,
  state,
  timeAgo,
} from "./dom.js";
import {evidenceOf} from "./evidence.js";
import {
  clockAhead,
  clockTimeMs,
  eventTime,
  eventTitle,
  fullTime,
  isMeasurement,
  length,
  number,
  shortDigest,
  typeWords,
} from "./format.js";

const page_rows = 100;
const rows_wanted = 50; // a page of measurements only is followed by the next, until so many rows are there
const pages_per_load_max = 10;
const rows_max = 2000;
const export_rows_max = 20_000;
const disorder_rows_max = 50; // events of several modules arrive a little out of order
const filter_names = ["family", "type", "device", "module", "stream", "rule", "severity"];
const since_s = {"15m": 900, "1h": 3600, "24h": 86400, "7d": 604800};

/** One line of a list, a link to its detail. */
export function eventRow(event, address, {brief = false} = {}) {
  return h(
    "li",
    {data: {event: event.id, us: eventTime(event)}},
    h(
      "a",
      {class: `event-row ${brief ? "brief" : ""}`, href: address},
      timeAgo(eventTime(event), "num quiet"),
      familyMark(event.family),
      h("span", {class: "title", title: eventTitle(event), text: eventTitle(event)}),
      !brief && h("span", {class: "quiet where", text: `${event.device} · ${event.stream}`}),
      !brief && h("span", {class: "quiet kind", text: typeWords(event.type)}),
      (!brief || (event.severity ?? "info") !== "info") &&
        state(severityLevels[event.severity] ?? "off", event.severity ?? "info")
    )
  );
}

/** Puts a row into a list that is newest first, near its `end` ("first" or "last"). */
export function insertRow(list, row, end) {
  let next = end === "first" ? list.firstChild : null;
  for (let steps = 0; steps < disorder_rows_max; steps++) {
    if (end === "first") {
      if (!next || Number(next.dataset.us) <= Number(row.dataset.us)) break;
      next = next.nextSibling;
    } else {
      const before = next ? next.previousSibling : list.lastChild;
      if (!before || Number(before.dataset.us) >= Number(row.dataset.us)) break;
      next = before;
    }
  }
  list.insertBefore(row, next);
}

/**
 * The newest `count` events of one source without its measurements. Where measurements crowd the newest page, the
 * warnings and alarms are asked for by name.
 */
export async function notableEvents(source, count) {
  const newest = await api.events({...source, limit: 200});
  const kept = new Map(newest.events.filter(event => !isMeasurement(event)).map(event => [event.id, event]));
  if (kept.size < count && newest.next) {
    const pages = await Promise.all(
      ["alarm", "warning"].map(severity => api.events({...source, severity, limit: count}))
    );
    for (const event of pages.flatMap(page => page.events)) kept.set(event.id, event);
  }
  return [...kept.values()].sort((a, b) => eventTime(b) - eventTime(a)).slice(0, count);
}

export function showEvents(main, link, address) {
  return new Events(main, link, address);
}

class Events {
  #link;
  #query;
  #filters;
  #rows = new Map(); // id -> event, in the order shown
  #next = null;
  #loading = false;
  #left = false;
  #held = [];
  #types;
  #list = h("ul", {class: "event-list"});
  #message = h("div");
  #more = h("button", {type: "button", class: "wide", text: "Load more", hidden: true, onclick: () => this.#load()});
  #fresh = h("button", {type: "button", class: "fresh", hidden: true, onclick: () => this.#release()});
  #summary = h("span", {class: "quiet", role: "status"});
  #drawer = h("aside", {class: "drawer", hidden: true, tabIndex: -1, "aria-label": "Event"});
  #opener = null;
  #onEvent = message => this.#arrive(message.detail);
  #onKey = event => {
    if (event.key === "Escape" && !this.#drawer.hidden) this.#closeDrawer();
  };

  constructor(main, link, address) {
    this.#link = link;
    this.#query = address.query;
    this.#types = new Set(memory.get("types", []));
    this.#readFilters();
    main.replaceChildren(
      h(
        "header",
        {class: "place-head"},
        h("h1", {text: "Events"}),
        this.#summary,
        h(
          "div",
          {class: "chips"},
          h("button", {
            type: "button",
            class: "chip",
            text: "Export as JSON lines",
            onclick: event => this.#export(event.currentTarget),
          })
        )
      ),
      this.#filterBar(),
      this.#message,
      this.#fresh,
      h("section", {class: "panel-box flush"}, this.#list),
      this.#more,
      this.#drawer
    );
    link.addEventListener("event", this.#onEvent);
    document.addEventListener("keydown", this.#onKey);
    this.#load();
    this.#showDetail();
  }

  leave() {
    this.#left = true;
    this.#link.removeEventListener("event", this.#onEvent);
    document.removeEventListener("keydown", this.#onKey);
  }

  /** A new address within this place: only another event is shown in place; other filters start anew (false). */
  update(address) {
    const same = [...filter_names, "since", "scores"].every(
      name => (address.query.get(name) ?? "") === (this.#query.get(name) ?? "")
    );
    if (!same) return false;
    this.#query = address.query;
    this.#showDetail();
    return true;
  }

  #readFilters() {
    this.#filters = {};
    for (const name of filter_names) if (this.#query.get(name)) this.#filters[name] = this.#query.get(name);
    const seconds = since_s[this.#query.get("since")];
    if (seconds) this.#filters.from_us = (Math.floor(Date.now() / 1000) - seconds) * 1e6;
  }

  get #withScores() {
    return this.#query.get("scores") === "1" || (this.#filters.type ?? "").endsWith(".score");
  }

  #shown(event) {
    if (!this.#withScores && isMeasurement(event)) return false;
    return filter_names.every(name => !this.#filters[name] || event[name] === this.#filters[name]);
  }

  #address(changes) {
    const query = new URLSearchParams();
    const names = [...filter_names, "since", "scores", "event", "at"];
    for (const name of names) {
      const value = name in changes ? changes[name] : this.#query.get(name);
      if (value) query.set(name, value);
    }
    const text = query.toString();
    return text ? `#events?${text}` : "#events";
  }

  #filterBar() {
    const go = changes => {
      location.hash = this.#address({...changes, event: "", at: ""});
    };
    const choice = (label, name, options) => {
      const current = this.#query.get(name) ?? "";
      const known = options.some(([value]) => value === current) ? options : [...options, [current, current]];
      return h(
        "label",
        {},
        label,
        h(
          "select",
          {name, onchange: event => go({[name]: event.target.value})},
          known.map(([value, text]) => h("option", {value, text, selected: value === current}))
        )
      );
    };
    const devices = choice("Device", "device", [["", "Any"]]);
    api.devices().then(
      list => {
        const select = devices.querySelector("select");
        for (const device of list)
          if (![...select.options].some(option => option.value === device.id))
            select.append(h("option", {value: device.id, text: device.id}));
      },
      () => {}
    );
    this.typeSelect = choice("Type", "type", [
      ["", "Any"],
      ...[...this.#types].sort().map(type => [type, typeWords(type)]),
    ]);
    const narrow = ["module", "stream", "rule"].filter(name => this.#query.get(name));
    const active = filter_names.some(name => this.#query.get(name)) || this.#query.get("since");
    return h(
      "form",
      {class: "filters", onsubmit: event => event.preventDefault()},
      choice("Family", "family", [
        ["", "Any"],
        ["vision", "Vision"],
        ["audio", "Audio"],
        ["telemetry", "Telemetry"],
      ]),
      choice("Severity", "severity", [
        ["", "Any"],
        ["info", "Info"],
        ["warning", "Warning"],
        ["alarm", "Alarm"],
      ]),
      this.typeSelect,
      devices,
      choice("Captured", "since", [
        ["", "Any time"],
        ["15m", "Last 15 min"],
        ["1h", "Last hour"],
        ["24h", "Last 24 h"],
        ["7d", "Last 7 days"],
      ]),
      h(
        "label",
        {class: "check"},
        h("input", {
          type: "checkbox",
          name: "scores",
          checked: this.#withScores,
          disabled: (this.#filters.type ?? "").endsWith(".score"),
          onchange: event => go({scores: event.target.checked ? "1" : ""}),
        }),
        "Measurements"
      ),
      narrow.map(name =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-label": `Remove the filter ${name} ${this.#query.get(name)}`,
            onclick: () => go({[name]: ""}),
          },
          `${name} ${this.#query.get(name)}`,
          icon("close")
        )
      ),
      active && h("a", {class: "chip", href: "#events", text: "Clear filters"})
    );
  }

  async #load() {
    if (this.#loading) return;
    this.#loading = true;
    this.#more.disabled = true;
    const wanted = this.#rows.size + rows_wanted;
    try {
      for (let pages = 0; pages < pages_per_load_max && !this.#left; pages++) {
        const limit = this.#withScores ? page_rows : page_rows * 5;
        const page = await api.events({...this.#filters, limit, before: this.#next});
        this.#next = page.next ?? null;
        page.events.forEach(event => this.#add(event));
        if (!this.#next || this.#rows.size >= wanted || this.#rows.size >= rows_max) break;
      }
      this.#message.replaceChildren();
    } catch (error) {
      this.#message.replaceChildren(problemBox(error, "read the events", () => this.#load()));
    }
    this.#loading = false;
    this.#more.disabled = false;
    this.#more.hidden = !this.#next || this.#rows.size >= rows_max;
    this.#tell();
  }

  #add(event, {first = false} = {}) {
    if (!this.#types.has(event.type)) this.#learnType(event.type);
    if (this.#rows.has(event.id) || !this.#shown(event)) return;
    this.#rows.set(event.id, event);
    const row = eventRow(event, this.#address({event: event.id, at: String(event.captured_us)}));
    if (this.#query.get("event") === event.id) row.firstChild.setAttribute("aria-current", "true");
    insertRow(this.#list, row, first ? "first" : "last");
  }

  #learnType(type) {
    this.#types.add(type);
    memory.set("types", [...this.#types].slice(-100));
    const select = this.typeSelect?.querySelector("select");
    if (select && ![...select.options].some(option => option.value === type))
      select.append(h("option", {value: type, text: typeWords(type)}));
  }

  /** A new event is put on top, unless the reader is further down: then a button says how many wait. */
  #arrive(event) {
    if (!this.#shown(event)) return;
    if (scrollY > 160) {
      this.#held.push(event);
      if (this.#held.length > rows_max) this.#held.shift();
      this.#fresh.hidden = false;
      this.#fresh.textContent = this.#held.length === 1 ? "1 new event" : `${number(this.#held.length)} new events`;
      return;
    }
    this.#add(event, {first: true});
    if (this.#rows.size > rows_max) {
      this.#rows.delete(this.#list.lastChild.dataset.event);
      this.#list.lastChild.remove();
    }
    this.#tell();
  }

  #release() {
    for (const event of this.#held) this.#add(event, {first: true});
    this.#held = [];
    this.#fresh.hidden = true;
    scrollTo({top: 0});
    this.#tell();
  }

  #tell() {
    this.#summary.textContent = this.#rows.size ? `${number(this.#rows.size)} shown, newest first` : "";
    if (this.#rows.size || this.#loading || this.#message.querySelector(".problem-box")) {
      this.#message.querySelector(".empty")?.remove();
      return;
    }
    const filtered = Object.keys(this.#filters).length > 0;
    this.#message.replaceChildren(
      h(
        "div",
        {class: "empty"},
        h("h2", {text: filtered ? "No event matches" : "No event yet"}),
        h("p", {
          text: filtered
            ? "Other events may be there; take a filter away."
            : "The first one comes when a device runs a module with a rule: a zone, a spoken word, a learned limit.",
        }),
        h(
          "p",
          {},
          filtered
            ? h("a", {class: "button", href: "#events", text: "Clear filters"})
            : h("a", {class: "button", href: "#devices?join", text: "Join a device"})
        )
      )
    );
  }

  async #showDetail() {
    const id = this.#query.get("event");
    for (const row of this.#list.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
    if (!id) {
      this.#drawer.hidden = true;
      return;
    }
    this.#list.querySelector(`[data-event="${CSS.escape(id)}"] > a`)?.setAttribute("aria-current", "true");
    this.#opener ??= document.activeElement;
    let event = this.#rows.get(id);
    const at = Number(this.#query.get("at"));
    if (!event && at) {
      try {
        // The hub finds events by their time of capture; the id tells those of the same moment apart.
        const page = await api.events({from_us: at, to_us: at + 1, device: this.#filters.device, limit: 1000});
        event = page.events.find(candidate => candidate.id === id);
      } catch (error) {
        this.#openDrawer(problemBox(error, "read this event"));
        return;
      }
    }
    if (this.#query.get("event") !== id || this.#left) return;
    this.#openDrawer(event ? this.#detail(event) : h("p", {text: "This event is not stored any more."}));
  }

  #openDrawer(...content) {
    this.#drawer.replaceChildren(
      h(
        "div",
        {class: "drawer-head"},
        h("b", {text: "Event"}),
        h(
          "button",
          {type: "button", class: "plain", "aria-label": "Close", onclick: () => this.#closeDrawer()},
          icon("close")
        )
      ),
      ...content
    );
    this.#drawer.hidden = false;
    this.#drawer.scrollTop = 0;
    this.#drawer.focus({preventScroll: true});
  }

  #closeDrawer() {
    this.#drawer.hidden = true;
    const row = this.#list.querySelector("[aria-current]");
    location.hash = this.#address({event: "", at: ""});
    (row ?? this.#opener)?.focus({preventScroll: true});
    this.#opener = null;
  }

  #detail(event) {
    const facts = [
      ["Type", event.type],
      ["Label", event.label],
      ["Score", typeof event.score === "number" ? number(event.score, 3) : null],
      ["Rule", event.rule],
      ["Track", event.track],
      ["Channels", event.channels?.join(", ")],
      ["Captured", `${fullTime(event.captured_us)} (${clockTimeMs(event.captured_us)})`],
      ["Its clock", clockAhead(event) ? `${length(clockAhead(event))} ahead of the hub's` : null],
      ["Stored after", !clockAhead(event) && event.received_us ? length(Math.max(0, event.received_us - event.captured_us)) : null],
      ["Duration", event.duration_us ? length(event.duration_us) : null],
      ["Device", h("a", {href: `#devices/${encodeURIComponent(event.device)}`, text: event.device})],
      [
        "Module",
        h("a", {
          href: `#devices/${encodeURIComponent(event.device)}/${encodeURIComponent(event.module)}`,
          text: event.module,
        }),
      ],
      [
        "Stream",
        h("a", {
          href: `#live/${[event.device, event.module, event.stream].map(encodeURIComponent).join("/")}`,
          text: event.stream,
        }),
      ],
      ["Sequence", String(event.sequence)],
      ["Model", event.model && h("span", {class: "mono", title: event.model, text: shortDigest(event.model)})],
      [
        "Pipeline",
        event.pipeline && h("span", {class: "mono", title: event.pipeline, text: shortDigest(event.pipeline)}),
      ],
    ].filter(([, value]) => value);
    const json = JSON.stringify(event, null, 2);
    return h(
      "div",
      {class: "detail"},
      h(
        "div",
        {class: "detail-title"},
        familyMark(event.family),
        state(severityLevels[event.severity] ?? "off", event.severity ?? "info"),
        timeAgo(eventTime(event), "quiet")
      ),
      h("h2", {text: eventTitle(event)}),
      evidenceOf(event),
      h(
        "dl",
        {class: "pairs"},
        facts.map(([name, value]) => [h("dt", {text: name}), h("dd", {}, value)])
      ),
      h(
        "div",
        {class: "actions"},
        copyButton(json, "Copy JSON"),
        h(
          "button",
          {
            type: "button",
            class: "with-icon",
            onclick: () =>
              copy(new URL(this.#address({event: event.id, at: String(event.captured_us)}), location.href).href),
          },
          icon("copy"),
          "Copy link"
        )
      ),
      h("pre", {class: "json", tabIndex: 0, text: json})
    );
  }

  async #export(button) {
    button.disabled = true;
    const lines = [];
    try {
      let before = null;
      do {
        const page = await api.events({...this.#filters, limit: 1000, before});
        for (const event of page.events) if (this.#shown(event)) lines.push(JSON.stringify(event));
        before = page.next ?? null;
      } while (before && lines.length < export_rows_max && !this.#left);
      const url = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], {type: "application/x-ndjson"}));
      const name = `events-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.jsonl`;
      h("a", {href: url, download: name}).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      note(
        before
          ? `Exported the newest ${number(lines.length)} events; narrow the filters for older ones.`
          : `Exported ${number(lines.length)} events.`
      );
    } catch (error) {
      note(`Could not export the events. ${error.message}`, {problem: true, details: error.details});
    }
    button.disabled = false;
  }
}
