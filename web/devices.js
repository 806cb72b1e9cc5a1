// devices.js -- the Devices place: all devices, one device with its modules, twins and methods, and joining a new one.
//
// Addresses: #devices, #devices?join, #devices/DEVICE, #devices/DEVICE/MODULE.

import {api} from "./api.js";
import {copyButton, h, note, problemBox, state, timeAgo} from "./dom.js";
import {number, shortDigest} from "./format.js";
import {describedMethods, freeMethodForm, methodForm} from "./methods.js";
import {twinView} from "./twin.js";

const reload_ms = 15_000;
const token_minutes = 60;

export function showDevices(main, link, address) {
  return address.segments.length ? new Detail(main, link, address) : new List(main, link, address);
}

const deviceAddress = (device, module) =>
  `#devices/${encodeURIComponent(device)}${module ? `/${encodeURIComponent(module)}` : ""}`;

const connection = thing => (thing.connected ? state("good", "connected") : state("off", "offline"));

/** Azure's runtime states as shape + word. */
function moduleState(module) {
  const status = module.runtime_status ?? "unknown";
  const level =
    {running: "good", backoff: "warn", unhealthy: "bad", failed: "bad", stopped: "off", unknown: "off"}[status] ??
    "warn";
  return state(level, status, module.status_description);
}

function agentState(device) {
  const status = device.agent?.status;
  if (!status?.code || status.code === 200) return null;
  return state("warn", `deployment ${status.code}`, status.description);
}

class List {
  #link;
  #body = h("tbody");
  #summary = h("span", {class: "quiet", role: "status"});
  #message = h("div");
  #known = null;
  #join;
  #timer;
  #box;
  #onDevices = message => this.#show(message.detail);

  constructor(main, link, address) {
    this.#link = link;
    this.#join = new Join();
    this.#join.element.hidden = !address.query.has("join");
    const head = ["Device", "State", "Modules", "Agent", "Last seen"];
    this.#box = h(
      "section",
      {class: "panel-box flush", hidden: true},
      h(
        "table",
        {class: "devices cards"},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head.map(text => h("th", {scope: "col", text}))
          )
        ),
        this.#body
      )
    );
    main.replaceChildren(
      h(
        "header",
        {class: "place-head"},
        h("h1", {text: "Devices"}),
        this.#summary,
        h(
          "div",
          {class: "chips"},
          h("a", {
            class: "chip",
            href: address.query.has("join") ? "#devices" : "#devices?join",
            "aria-expanded": String(address.query.has("join")),
            text: "Join a device",
          })
        )
      ),
      this.#join.element,
      this.#message,
      this.#box
    );
    link.addEventListener("devices", this.#onDevices);
    this.#timer = setInterval(() => this.#load(), reload_ms);
    this.#load();
  }

  leave() {
    clearInterval(this.#timer);
    this.#link.removeEventListener("devices", this.#onDevices);
  }

  async #load() {
    if (document.hidden) return;
    try {
      this.#show(await api.devices());
    } catch (error) {
      this.#message.replaceChildren(problemBox(error, "list the devices", () => this.#load()));
    }
  }

  #show(devices) {
    this.#message.replaceChildren();
    this.#join.seen(devices, this.#known);
    this.#known = new Set(devices.map(device => device.id));
    this.#box.hidden = devices.length === 0;
    this.#summary.textContent = devices.length
      ? `${number(devices.filter(device => device.connected).length)} of ${number(devices.length)} connected`
      : "";
    this.#body.replaceChildren(...devices.map(device => this.#row(device)));
    if (!devices.length) {
      this.#message.replaceChildren(
        h(
          "div",
          {class: "empty"},
          h("h2", {text: "No device yet"}),
          h("p", {text: "Get a token here, then run one command on the machine that should become a device."}),
          this.#join.element.hidden &&
            h("p", {}, h("a", {class: "button", href: "#devices?join", text: "Join a device"}))
        )
      );
    }
  }

  #row(device) {
    // An identity that no manifest names any more has no status.
    const modules = (device.modules ?? []).filter(module => module.runtime_status);
    const running = modules.filter(module => module.runtime_status === "running").length;
    const count = modules.length ? `${number(running)} of ${number(modules.length)} running` : "none";
    const cell = (label, ...content) => h("td", {"data-label": label}, h("span", {class: "cell"}, ...content));
    return h(
      "tr",
      {data: {device: device.id}},
      h(
        "th",
        {scope: "row"},
        h("a", {href: deviceAddress(device.id), text: device.id}),
        device.edge ? h("span", {class: "tag", text: "edge"}) : null
      ),
      cell("State", connection(device), agentState(device)),
      cell("Modules", modules.length && running < modules.length && device.connected ? state("warn", count) : count),
      cell("Agent", device.agent?.version ?? "–"),
      cell("Last seen", timeAgo(device.last_seen_us))
    );
  }
}

/** Gets a token and shows the one command to run on the new machine. */
class Join {
  #answer = h("div", {class: "join-answer", role: "status"});
  #waiting = false;

  constructor() {
    const device = h("input", {
      name: "device",
      maxLength: 128,
      pattern: "[A-Za-z0-9\\-:.+%_#*?!\\(\\),=@$']+",
      placeholder: "the machine’s host name",
      spellcheck: "false",
      autocapitalize: "none",
    });
    const button = h("button", {class: "primary", text: "Get a token"});
    this.element = h(
      "section",
      {class: "panel-box join"},
      h("h2", {text: "Join a device"}),
      h("p", {
        class: "quiet",
        text: `The token works once, for ${token_minutes} minutes. The device opens all connections itself; nothing has to be opened on its side.`,
      }),
      h(
        "form",
        {
          class: "fields",
          onsubmit: event => {
            event.preventDefault();
            this.#get(button, device.value.trim());
          },
        },
        h("label", {}, "Device name (optional)", device),
        button
      ),
      this.#answer
    );
  }

  async #get(button, device) {
    button.disabled = true;
    try {
      const [{token, expires_us}, overview] = await Promise.all([api.joinToken(device, token_minutes), api.overview()]);
      const command = `verge join ${overview.hub.host} ${token}`;
      this.#waiting = true;
      this.#answer.replaceChildren(
        h("p", {text: "Run this on the new machine:"}),
        h("div", {class: "command"}, h("code", {tabIndex: 0, text: command}), copyButton(command)),
        h("p", {class: "quiet"}, "Waiting for the device… The token ends ", timeAgo(expires_us))
      );
    } catch (error) {
      this.#answer.replaceChildren(problemBox(error, "get a token"));
    }
    button.disabled = false;
  }

  /** Tells which device is new among `devices`; `known` is null before the first list. */
  seen(devices, known) {
    if (!this.#waiting || !known) return;
    const fresh = devices.find(device => !known.has(device.id));
    if (!fresh) return;
    this.#waiting = false;
    this.#answer.replaceChildren(
      h("p", {}, state("good", "joined"), " ", h("a", {href: deviceAddress(fresh.id), text: fresh.id}))
    );
    note(`${fresh.id} has joined.`);
  }
}

class Detail {
  #link;
  #id;
  #chosen;
  #head = h("div", {class: "facts device-facts"});
  #modules = h("tbody");
  #moduleBox;
  #message = h("div");
  #part = h("div", {class: "part"});
  #timer;
  #left = false;
  #device = null;
  #onDevices = message => this.#show(message.detail);

  constructor(main, link, address) {
    this.#link = link;
    [this.#id, this.#chosen = ""] = address.segments;
    const head = ["Module", "State", "Restarts", "Started", "Version", "Image", "Streams"];
    this.#moduleBox = h(
      "section",
      {class: "panel-box flush"},
      h("div", {class: "box-head"}, h("h2", {text: "Modules"})),
      h(
        "table",
        {class: "modules cards"},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head.map(text => h("th", {scope: "col", text}))
          )
        ),
        this.#modules
      )
    );
    main.replaceChildren(
      h(
        "header",
        {class: "place-head"},
        h("a", {class: "back", href: "#devices", text: "Devices"}),
        h("h1", {text: this.#id}),
        this.#head,
        h(
          "div",
          {class: "chips"},
          h("a", {class: "chip", href: `#events?${new URLSearchParams({device: this.#id})}`, text: "Its events"})
        )
      ),
      this.#message,
      this.#moduleBox,
      this.#part
    );
    link.addEventListener("devices", this.#onDevices);
    this.#timer = setInterval(() => this.#load(), reload_ms);
    this.#load();
    this.#showPart();
  }

  leave() {
    this.#left = true;
    clearInterval(this.#timer);
    this.#link.removeEventListener("devices", this.#onDevices);
  }

  update(address) {
    if (address.segments[0] !== this.#id) return false;
    this.#chosen = address.segments[1] ?? "";
    this.#markChosen();
    this.#showPart();
    return true;
  }

  async #load() {
    if (document.hidden) return;
    try {
      this.#show(await api.devices());
    } catch (error) {
      this.#message.replaceChildren(problemBox(error, "read the device", () => this.#load()));
    }
  }

  #show(devices) {
    const device = devices.find(candidate => candidate.id === this.#id);
    if (!device) {
      this.#message.replaceChildren(
        h(
          "div",
          {class: "empty"},
          h("h2", {text: "This device is not known"}),
          h("p", {text: "It may have been removed."})
        )
      );
      this.#moduleBox.hidden = this.#part.hidden = true;
      return;
    }
    const first = !this.#device;
    this.#device = device;
    this.#message.replaceChildren();
    if (device.agent?.status?.code >= 400) {
      this.#message.replaceChildren(
        h(
          "div",
          {class: "problem-box"},
          h(
            "p",
            {},
            h("b", {text: `The device refuses its deployment (${device.agent.status.code}). `}),
            device.agent.status.description ?? "",
            " The modules before it keep running."
          )
        )
      );
    }
    this.#head.replaceChildren(
      connection(device),
      h("span", {}, "last seen ", timeAgo(device.last_seen_us)),
      ...(device.agent?.version ? [h("span", {}, "agent ", h("b", {text: device.agent.version}))] : [])
    );
    const modules = device.modules ?? [];
    this.#moduleBox.hidden = modules.length === 0;
    // The row that has the focus is replaced; it gets the focus back.
    const focused = document.activeElement?.closest("tr")?.dataset.module;
    this.#modules.replaceChildren(...modules.flatMap(module => this.#row(device, module)).filter(Boolean));
    if (focused !== undefined)
      this.#modules.querySelector(`[data-module="${CSS.escape(focused)}"] a`)?.focus({preventScroll: true});
    this.#markChosen();
    if (first) this.#showPart();
  }

  #row(device, module) {
    const cell = (label, ...content) => h("td", {"data-label": label}, h("span", {class: "cell"}, ...content));
    const problem = module.pipeline?.error || (module.runtime_status !== "running" && module.status_description);
    const exited = module.exit_code ? h("span", {class: "quiet", text: `exit ${module.exit_code}`}) : null;
    const started = Date.parse(module.last_start ?? "");
    return [
      h(
        "tr",
        {data: {module: module.id}, class: problem ? "has-problem" : ""},
        h("th", {scope: "row"}, h("a", {href: deviceAddress(device.id, module.id), text: module.id})),
        cell(
          "State",
          device.connected
            ? moduleState(module)
            : state("off", "unknown", `last known: ${module.runtime_status ?? "nothing"}`)
        ),
        cell("Restarts", number(module.restart_count ?? 0), exited),
        cell("Started", started > 0 ? timeAgo(started * 1000) : "–"),
        cell("Version", module.version ?? "–"),
        cell(
          "Image",
          module.image
            ? h(
                "span",
                {class: "image", title: `${module.image}\n${module.image_hash ?? ""}`},
                h("span", {text: module.image}),
                module.image_hash && h("span", {class: "mono quiet", text: shortDigest(module.image_hash)})
              )
            : "–"
        ),
        cell(
          "Streams",
          ...(module.streams?.length
            ? module.streams.map(stream =>
                h("a", {
                  href: `#live/${[device.id, module.id, stream].map(encodeURIComponent).join("/")}`,
                  text: stream,
                })
              )
            : ["–"])
        )
      ),
      problem
        ? h(
            "tr",
            {class: "problem-row"},
            h("td", {colSpan: 7}, state("warn", module.pipeline?.error ? "pipeline" : "module"), ` ${problem}`)
          )
        : null,
    ];
  }

  #markChosen() {
    for (const row of this.#modules.querySelectorAll("tr[data-module]")) {
      row.classList.toggle("chosen", row.dataset.module === this.#chosen);
    }
  }

  async #showPart() {
    const module = this.#chosen;
    if (!this.#device) return;
    const modules = (this.#device.modules ?? []).map(candidate => candidate.id);
    const select = h(
      "select",
      {
        onchange: () => {
          location.hash = deviceAddress(this.#id, select.value);
        },
      },
      h("option", {value: "", text: "the device itself", selected: module === ""}),
      modules.map(name => h("option", {value: name, text: name, selected: name === module}))
    );
    const twinPlace = h("div", {}, h("p", {class: "quiet", text: "Reading the twin…"}));
    const described = h("div", {class: "described"});
    const connected = module
      ? this.#device.modules.find(candidate => candidate.id === module)?.connected
      : this.#device.connected;
    const reload = h("button", {
      type: "button",
      class: "plain",
      text: "Read again",
      onclick: () => this.#readTwin(twinPlace, described, module),
    });
    this.#part.replaceChildren(
      h(
        "section",
        {class: "panel-box"},
        h("div", {class: "box-head"}, h("h2", {text: "Twin"}), h("label", {class: "inline"}, "of", select), reload),
        twinPlace
      ),
      h(
        "section",
        {class: "panel-box"},
        h(
          "div",
          {class: "box-head"},
          h("h2", {text: "Direct methods"}),
          h("span", {class: "quiet", text: module || "the device itself"})
        ),
        described,
        freeMethodForm(this.#id, module, connected)
      )
    );
    this.#readTwin(twinPlace, described, module);
  }

  async #readTwin(place, described, module) {
    try {
      const twin = await api.twin(this.#id, module);
      if (this.#left || module !== this.#chosen) return;
      place.replaceChildren(twinView(twin));
      if (!described.children.length)
        described.replaceChildren(...describedMethods(twin).map(method => methodForm(this.#id, module, method)));
    } catch (error) {
      place.replaceChildren(problemBox(error, "read the twin", () => this.#readTwin(place, described, module)));
    }
  }
}
