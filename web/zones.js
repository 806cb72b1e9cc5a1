// zones.js -- draws and changes the zones and lines of a camera, over its running picture.
//
// A shape is a stage of the module's pipeline: saving patches only what changed into the twin's desired
// `pipeline.stages` and waits until the module says that it runs, or why not. Points are parts of the picture, 0..1.

import {ApiError, api} from "./api.js";
import {h, note} from "./dom.js";

const step = 0.002; // one press of an arrow key; ten times that with Shift
const near_px = 14; // so near to the first corner a click closes the zone
// Arrows to all four sides.
const grip_mark =
  "M-8 0H8M0-8V8M-8 0l3-3M-8 0l3 3M8 0l-3-3M8 0l-3 3M0-8l-3 3M0-8l3 3M0 8l-3-3M0 8l3-3";
const history_max = 200;
const corners_max = 64;
const applied_ms_max = 45_000;
const poll_ms = 700;
const name_form = /^[\p{L}\p{N}][\p{L}\p{N} _-]{0,47}$/u;

const rounded = value => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;
const exactly = value => Math.min(1, Math.max(0, value));
const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);
/** A name as a key of a twin, which may hold no blank, dot or dollar; the module reads it the same way. */
export const twinKey = name => name.replace(/[ .$]/g, "_");
const pointsOption = kind => (kind === "zone" ? "polygon" : "points");
const wait = ms => new Promise(done => setTimeout(done, ms));

/** The names of the rules whose condition asks for a zone. */
export function rulesThatAsk(stages, zone) {
  const asked = /\b(?:zone|dwell|inside)\.(?:\[\[([^\]]+)\]\]|([\p{L}\p{N}_]+))/gu;
  return stages
    .filter(stage => [...String(stage.when ?? "").matchAll(asked)].some(match => (match[1] ?? match[2]) === zone))
    .map(stage => stage.name);
}

/**
 * After which stage a new shape of this stream comes. It must be one of the file's own: what the twin added may be
 * removed, and then nothing could come after it.
 */
export function anchorFor(stream, shapes, stages, desired) {
  const own = name => {
    const given = desired[twinKey(name)];
    return isObject(given) && "kind" in given ? (given.after ?? null) : name;
  };
  for (const shape of [...shapes].reverse()) {
    const anchor = shape.stage && own(shape.stage);
    if (anchor) return anchor;
  }
  const served = new Set([stream]);
  const of_stream = stages.filter(
    stage => (stage.inputs ?? []).some(input => served.has(input)) && served.add(stage.name)
  );
  const candidates = of_stream.filter(stage => stage.kind !== "rule" && own(stage.name) === stage.name);
  return (candidates.findLast(stage => stage.kind === "track") ?? candidates.at(-1))?.name ?? null;
}

/** What leads from `before` to `after`, as a merge patch of desired `pipeline.stages`. */
export function stagesPatch(before, after, desired, anchor) {
  const patch = {};
  const gone = before.filter(old => !after.some(shape => shape.id === old.id)).map(old => ({...old, removed: true}));
  for (const shape of [...after, ...gone]) {
    const old = before.find(candidate => candidate.id === shape.id);
    const key = twinKey(shape.stage ?? shape.name);
    const given = desired[key];
    if (shape.removed) {
      if (old && !old.removed) patch[key] = isObject(given) && "kind" in given ? null : false;
    } else if (!old || old.removed) {
      patch[key] = {kind: shape.kind, [pointsOption(shape.kind)]: shape.points};
      if (anchor) patch[key].after = anchor;
      if (key !== shape.name) patch[key].name = shape.name;
    } else if (JSON.stringify(old.points) !== JSON.stringify(shape.points)) {
      patch[key] = {[pointsOption(shape.kind)]: shape.points};
    }
  }
  return patch;
}

/** Leads back from what `patch` made of the desired stages to what they were. */
function wayBack(patch, desired) {
  return Object.fromEntries(
    Object.entries(patch).map(([key, change]) => {
      const was = desired[key];
      if (was === undefined) return [key, null];
      if (!isObject(was) || !isObject(change)) return [key, was];
      return [key, {...Object.fromEntries(Object.keys(change).map(name => [name, null])), ...was}];
    })
  );
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export class ZoneEditor {
  #view;
  #source;
  #onClose;
  #twin = null;
  #shapes = []; // {id, name, kind, points, stage (null while new), removed}
  #saved = []; // what the twin holds
  #history = [];
  #now = 0; // place in the history
  #chosen = null; // id
  #corner = -1;
  #draft = null; // {kind, points} while a new shape is being drawn
  #drag = null;
  #asks = null; // id of the shape whose removal is to be confirmed
  #problem = null; // {id or null, text}
  #back = null; // undoes what the module refused
  #busy = false;
  #closed = false;
  #ids = 0;
  #svg = svg("svg", {class: "zones", role: "group", "aria-label": "Corners of the zones and lines"});
  #list = h("div", {class: "chips zone-list", role: "group", "aria-label": "Zones and lines"});
  #form = h("div", {class: "zone-form"});
  #status = h("p", {class: "zone-status quiet", role: "status"});
  #alert = h("div", {class: "zone-problem", role: "alert"});
  #buttons = {};

  /** view: a PictureView; source: device, module, stream; onClose is called after saving or cancelling. */
  constructor(view, source, onClose) {
    this.#view = view;
    this.#source = source;
    this.#onClose = onClose;
    const button = (name, text, run, options = {}) =>
      (this.#buttons[name] = h("button", {type: "button", text, onclick: run, data: {do: name}, ...options}));
    this.panel = h(
      "section",
      {class: "zone-panel", "aria-label": "Edit zones", onkeydown: event => this.#key(event)},
      h(
        "div",
        {class: "zone-tools"},
        button("zone", "Add zone", () => this.#begin("zone")),
        button("line", "Add line", () => this.#begin("line")),
        button("undo", "Undo", () => this.#go(-1), {title: "Ctrl+Z"}),
        button("redo", "Redo", () => this.#go(1), {title: "Ctrl+Shift+Z"}),
        button("freeze", "Freeze picture", () => this.#freeze())
      ),
      h(
        "div",
        {class: "zone-tools"},
        this.#list,
        h(
          "span",
          {class: "zone-end"},
          button("cancel", "Cancel", () => this.#cancel()),
          button("save", "Save", () => this.#save(), {class: "primary"})
        )
      ),
      this.#form,
      this.#alert,
      this.#status
    );
    button("corner", "Add corner", () => this.#addCorner());
    button("drop", "Delete corner", () => this.#dropCorner(), {title: "Delete"});
    button("swap", "Swap in and out", () => this.#change(shape => shape.points.reverse()));
    button("remove", "Remove", () => this.#remove());
    this.#svg.addEventListener("pointerdown", event => this.#press(event));
    this.#svg.addEventListener("pointermove", event => this.#move(event));
    this.#svg.addEventListener("pointerup", event => this.#release(event));
    this.#svg.addEventListener("pointercancel", event => this.#release(event));
    this.#svg.addEventListener("keydown", event => this.#key(event));
    this.#svg.addEventListener("focusin", event => {
      const corner = event.target.dataset?.corner;
      if (corner === undefined || Number(corner) === this.#corner) return;
      this.#corner = Number(corner);
      this.#showForm();
    });
    view.element.append(this.#svg);
    view.edit({changed: () => this.#draw()});
    this.#load();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#svg.remove();
    this.panel.remove();
    this.#view.edit(null);
    this.#onClose();
  }

  // -- what there is ------------------------------------------------------------------------------------------------

  get #desired() {
    const stages = this.#twin?.properties?.desired?.pipeline?.stages;
    return isObject(stages) ? stages : {};
  }
  get #reported() {
    return this.#twin?.properties?.reported?.verge?.pipeline ?? {};
  }
  get #stages() {
    return Array.isArray(this.#reported.stages) ? this.#reported.stages : [];
  }
  get #shape() {
    return this.#shapes.find(shape => shape.id === this.#chosen && !shape.removed) ?? null;
  }

  /** Reads the twin and takes the shapes from the live picture, which shows what really runs. */
  async #load() {
    this.#wait("Reading the module’s twin…");
    try {
      this.#twin = await api.twin(this.#source.device, this.#source.module);
    } catch (error) {
      this.#wait("");
      this.#buttons.save.disabled = true;
      return this.#fail(null, `Could not read the module’s twin. ${error.message}`);
    }
    if (this.#closed) return;
    this.#wait("");
    this.#take();
    if (Array.isArray(this.#twin.properties?.desired?.pipeline?.stages)) {
      this.#busy = true; // a patch by name would replace the list
      this.#fail(null, "The twin gives the whole list of stages. Change the zones in that list.");
    }
    this.#show();
  }

  #take() {
    const by_shown = new Map(
      this.#stages.filter(stage => stage.kind === "zone" || stage.kind === "line").map(stage => [stage.name, stage.name])
    );
    // A module that does not report its stages still shows its shapes; these are called as their stages.
    this.#shapes = this.#view.shapes.map(shape => ({
      id: ++this.#ids,
      name: shape.name,
      kind: shape.closed ? "zone" : "line",
      points: shape.points.map(point => [...point]),
      stage: by_shown.get(shape.name) ?? shape.name,
      removed: false,
    }));
    this.#saved = structuredClone(this.#shapes);
    this.#history = [structuredClone(this.#shapes)];
    this.#now = 0;
    this.#chosen = this.#shapes[0]?.id ?? null;
    this.#corner = -1;
  }

  // -- changing -----------------------------------------------------------------------------------------------------

  #note() {
    this.#history.splice(this.#now + 1);
    this.#history.push(structuredClone(this.#shapes));
    if (this.#history.length > history_max) this.#history.shift();
    this.#now = this.#history.length - 1;
    this.#problem = null;
    this.#asks = null;
    this.#show();
  }

  #change(edit) {
    if (!this.#shape || this.#busy) return;
    edit(this.#shape);
    this.#note();
  }

  #go(by) {
    const next = this.#now + by;
    if (this.#busy || next < 0 || next >= this.#history.length) return;
    this.#now = next;
    this.#draft = null;
    this.#shapes = structuredClone(this.#history[next]);
    if (!this.#shape) this.#chosen = this.#shapes.find(shape => !shape.removed)?.id ?? null;
    this.#corner = Math.min(this.#corner, (this.#shape?.points.length ?? 0) - 1);
    this.#asks = null;
    this.#show();
  }

  #choose(id) {
    this.#chosen = id;
    this.#corner = -1;
    this.#asks = null;
    this.#show();
  }

  #begin(kind) {
    if (this.#busy) return;
    this.#draft = {kind, points: []};
    this.#chosen = null;
    this.#asks = null;
    this.#show();
    this.#svg.setAttribute("tabindex", "0");
    this.#svg.focus({preventScroll: true});
  }

  /** A new shape; without enough points, one in the middle of the picture that can be moved from there. */
  #finish() {
    const {kind, points} = this.#draft;
    const enough = points.length >= (kind === "zone" ? 3 : 2);
    const middle =
      kind === "zone" ? [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]] : [[0.5, 0.3], [0.5, 0.7]];
    this.#draft = null;
    let number = 1;
    while (this.#nameProblem(`${kind}-${number}`, null)) number++;
    const shape = {
      id: ++this.#ids,
      name: `${kind}-${number}`,
      kind,
      points: enough ? points : middle,
      stage: null,
      removed: false,
    };
    this.#shapes.push(shape);
    this.#chosen = shape.id;
    this.#corner = -1;
    this.#note();
    const field = this.#form.querySelector("input");
    field?.focus();
    field?.select();
  }

  #addCorner(after = this.#corner, point = null) {
    const shape = this.#shape;
    if (!shape || shape.kind !== "zone" || shape.points.length >= corners_max || this.#busy) return;
    const index = after < 0 ? shape.points.length - 1 : after;
    const [a, b] = [shape.points[index], shape.points[(index + 1) % shape.points.length]];
    shape.points.splice(index + 1, 0, point ?? [rounded((a[0] + b[0]) / 2), rounded((a[1] + b[1]) / 2)]);
    this.#corner = index + 1;
    if (point) return; // it is still being dragged
    this.#note();
    this.#focusCorner();
  }

  #dropCorner() {
    const shape = this.#shape;
    if (!shape || shape.kind !== "zone" || shape.points.length <= 3 || this.#corner < 0 || this.#busy) return;
    shape.points.splice(this.#corner, 1);
    this.#corner = Math.min(this.#corner, shape.points.length - 1);
    this.#note();
    this.#focusCorner();
  }

  #remove() {
    const shape = this.#shape;
    if (!shape || this.#busy) return;
    const rules = shape.stage && shape.kind === "zone" ? rulesThatAsk(this.#stages, shape.name) : [];
    if (rules.length && this.#asks !== shape.id) {
      this.#asks = shape.id;
      return this.#show();
    }
    shape.removed = true;
    if (!shape.stage) this.#shapes = this.#shapes.filter(other => other !== shape);
    this.#chosen = this.#shapes.find(other => !other.removed)?.id ?? null;
    this.#corner = -1;
    this.#note();
  }

  /** What is wrong with the name, or "". */
  #nameProblem(name, shape) {
    if (!name) return "Give it a name.";
    if (!name_form.test(name)) return "A name has letters, digits, blanks, _ and -, at most 48.";
    const taken = [
      ...this.#shapes.filter(other => other !== shape && !(other.removed && !other.stage)).map(other => other.name),
      ...this.#stages.map(stage => stage.name),
      ...Object.keys(this.#desired),
      this.#source.stream,
    ];
    return taken.some(other => twinKey(other) === twinKey(name)) ? `“${name}” is used already; choose another.` : "";
  }

  // -- pointer and keys ---------------------------------------------------------------------------------------------

  #at(event) {
    const box = this.#svg.getBoundingClientRect();
    return [exactly((event.clientX - box.left) / box.width), exactly((event.clientY - box.top) / box.height)];
  }

  #press(event) {
    if (this.#busy || event.button > 0) return;
    event.preventDefault();
    const [x, y] = this.#at(event);
    if (this.#draft) return this.#place(x, y);
    const {corner, edge, shape: id} = event.target.dataset;
    if (id !== undefined && Number(id) !== this.#chosen) {
      this.#choose(Number(id));
    }
    const shape = this.#shape;
    if (!shape || (corner ?? edge ?? id) === undefined) return;
    if (corner !== undefined) this.#corner = Number(corner);
    else if (edge !== undefined) this.#addCorner(Number(edge), [rounded(x), rounded(y)]);
    else this.#corner = -1;
    const whole = corner === undefined && edge === undefined;
    const from = structuredClone(shape.points);
    const grip = whole ? [x, y] : [x - from[this.#corner][0], y - from[this.#corner][1]];
    this.#drag = {whole, from, grip, begun: JSON.stringify(this.#history[this.#now])};
    this.#svg.setPointerCapture(event.pointerId);
    this.#draw();
  }

  #place(x, y) {
    const {kind, points} = this.#draft;
    const box = this.#svg.getBoundingClientRect();
    const first = points[0];
    const closes =
      points.length >= 3 && Math.hypot((x - first[0]) * box.width, (y - first[1]) * box.height) < near_px;
    if (!closes && points.length < corners_max) points.push([rounded(x), rounded(y)]);
    if (closes || (kind === "line" && points.length === 2)) return this.#finish();
    this.#show();
  }

  #move(event) {
    if (this.#draft?.points.length) {
      this.#draft.hover = this.#at(event);
      this.#draw();
    }
    if (!this.#drag || !this.#shape) return;
    const [x, y] = this.#at(event);
    if (this.#drag.whole) this.#shift(this.#drag.from, x - this.#drag.grip[0], y - this.#drag.grip[1]);
    else this.#shape.points[this.#corner] = [rounded(x - this.#drag.grip[0]), rounded(y - this.#drag.grip[1])];
    this.#draw();
  }

  #release() {
    if (!this.#drag) return;
    const {begun} = this.#drag;
    this.#drag = null;
    if (JSON.stringify(this.#shapes) !== begun) this.#note();
    else this.#show();
    if (this.#corner >= 0) this.#focusCorner();
  }

  /** Moves the whole shape, but no corner out of the picture. */
  #shift(from, across, down) {
    const within = (by, index) => {
      const values = from.map(point => point[index]);
      return Math.min(Math.max(by, -Math.min(...values)), 1 - Math.max(...values));
    };
    const [right, below] = [within(across, 0), within(down, 1)];
    this.#shape.points = from.map(([x, y]) => [rounded(x + right), rounded(y + below)]);
  }

  #key(event) {
    if (this.#busy) return;
    const typing = event.target.tagName === "INPUT";
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
      event.preventDefault();
      return this.#go(event.shiftKey ? 1 : -1);
    }
    if (this.#draft) {
      if (event.key === "Enter" && event.target === this.#svg) {
        event.preventDefault();
        this.#finish();
      } else if (event.key === "Escape") {
        this.#draft = null;
        this.#show();
      }
      return;
    }
    if (!this.#svg.contains(event.target) || !this.#shape) return;
    const size = event.shiftKey ? 10 * step : step;
    const by = {ArrowLeft: [-size, 0], ArrowRight: [size, 0], ArrowUp: [0, -size], ArrowDown: [0, size]}[event.key];
    const whole = event.target.dataset.corner === undefined;
    if (by) {
      event.preventDefault();
      if (whole) this.#shift(this.#shape.points, ...by);
      else {
        const [x, y] = this.#shape.points[this.#corner];
        this.#shape.points[this.#corner] = [rounded(x + by[0]), rounded(y + by[1])];
      }
      this.#note();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      if (whole) this.#remove();
      else this.#dropCorner();
    }
  }

  #freeze() {
    this.#view.frozen = !this.#view.frozen;
    this.#buttons.freeze.textContent = this.#view.frozen ? "Run picture" : "Freeze picture";
    this.#buttons.freeze.setAttribute("aria-pressed", this.#view.frozen);
  }

  // -- showing ------------------------------------------------------------------------------------------------------

  #focusCorner() {
    this.#svg.querySelector(`[data-corner="${this.#corner}"]`)?.focus({preventScroll: true});
  }

  #wait(text) {
    this.#busy = Boolean(text);
    this.#status.textContent = text;
    this.panel.dataset.busy = this.#busy ? "yes" : "no";
    this.#show();
  }

  #fail(id, text) {
    this.#problem = {id, text};
    if (id !== null) this.#chosen = id;
    this.#show();
  }

  #show() {
    this.#draw();
    this.#showForm();
    const present = this.#shapes.filter(shape => !shape.removed);
    this.#list.replaceChildren(
      ...present.map(shape =>
        h("button", {
          type: "button",
          class: "chip",
          "aria-pressed": String(shape.id === this.#chosen),
          text: `${shape.kind === "zone" ? "▱" : "╱"} ${shape.name}`,
          "aria-label": `${shape.kind} ${shape.name}`,
          onclick: () => this.#choose(shape.id),
        })
      )
    );
    this.#list.hidden = !present.length;
    const {zone, line, undo, redo, save, cancel} = this.#buttons;
    undo.disabled = this.#busy || this.#now === 0;
    redo.disabled = this.#busy || this.#now >= this.#history.length - 1;
    zone.disabled = line.disabled = this.#busy;
    cancel.disabled = this.panel.dataset.busy === "yes";
    const names_fit = present.every(shape => shape.stage || !this.#nameProblem(shape.name, shape));
    save.disabled = this.#busy || this.#draft !== null || !names_fit || !this.#changed();
    this.#alert.replaceChildren(...(this.#problem ? [h("p", {class: "problem", text: this.#problem.text})] : []));
    if (!this.#busy) this.#status.textContent = this.#hint();
  }

  #changed() {
    return Object.keys(stagesPatch(this.#saved, this.#shapes, this.#desired, null)).length > 0;
  }

  #hint() {
    if (this.#draft?.kind === "zone")
      return this.#draft.points.length < 3
        ? "Click the zone’s corners in the picture. Finish (Enter) without any puts a zone in the middle."
        : "Click the first corner or Finish (Enter) to close the zone. Escape stops.";
    if (this.#draft) return "Click the line’s two ends in the picture. Finish (Enter) without them puts a line in the middle.";
    if (!this.#shape) return this.#shapes.some(shape => !shape.removed) ? "" : "No zone or line yet.";
    return this.#shape.kind === "zone"
      ? "Drag a corner, an edge (adds a corner) or the whole zone. Arrow keys move what is focused, with Shift further."
      : "Drag an end or the whole line. The arrow points to where “in” is.";
  }

  #showForm() {
    const shape = this.#draft ? null : this.#shape;
    const {corner, drop, swap, remove} = this.#buttons;
    if (this.#draft) {
      const stop = () => {
        this.#draft = null;
        this.#show();
      };
      return this.#form.replaceChildren(
        h("button", {type: "button", text: "Finish", data: {do: "finish"}, onclick: () => this.#finish()}),
        h("button", {type: "button", text: "Stop drawing", onclick: stop})
      );
    }
    if (!shape) return this.#form.replaceChildren();
    if (this.#asks === shape.id) {
      const rules = rulesThatAsk(this.#stages, shape.name);
      const [rule, ask] = rules.length === 1 ? ["Rule", "asks"] : ["Rules", "ask"];
      return this.#form.replaceChildren(
        h(
          "p",
          {class: "zone-ask", role: "alert"},
          `${rule} `,
          h("b", {text: rules.join(", ")}),
          ` ${ask} for ${shape.name}. The module refuses a pipeline without it and goes on as it is; change the rule first.`
        ),
        h("button", {type: "button", text: "Remove anyway", data: {do: "anyway"}, onclick: () => this.#remove()}),
        h("button", {type: "button", text: "Keep it", onclick: () => this.#choose(shape.id)})
      );
    }
    corner.disabled = this.#busy || shape.points.length >= corners_max;
    drop.disabled = this.#busy || shape.points.length <= 3 || this.#corner < 0;
    swap.disabled = remove.disabled = this.#busy;
    const said = h("span", {class: "problem small", role: "status"});
    const field = shape.stage
      ? h("span", {class: "zone-name"}, `${shape.kind === "zone" ? "Zone" : "Line"} `, h("b", {text: shape.name}))
      : h("label", {class: "inline"}, "Name", h("input", {value: shape.name, name: "zone-name", maxLength: 48}), said);
    field.querySelector("input")?.addEventListener("input", event => {
      shape.name = event.target.value.trim();
      said.textContent = this.#nameProblem(shape.name, shape);
      event.target.setAttribute("aria-invalid", Boolean(said.textContent));
      this.#buttons.save.disabled = Boolean(said.textContent);
      this.#draw();
    });
    field.querySelector("input")?.addEventListener("change", () => this.#note());
    const already = this.#form.querySelector("input");
    if (already && already === document.activeElement && already.value.trim() === shape.name) {
      already.parentElement.querySelector(".problem").textContent = this.#nameProblem(shape.name, shape);
      return;
    }
    this.#form.replaceChildren(field, ...(shape.kind === "zone" ? [corner, drop] : [swap]), remove);
    if (!shape.stage) said.textContent = this.#nameProblem(shape.name, shape);
  }

  /** All shapes anew; the chosen one last, so that its corners are on top. Keeps the focus. */
  #draw() {
    const area = this.#view.area;
    if (!area) return;
    Object.assign(this.#svg.style, {
      left: `${area.left}px`,
      top: `${area.top}px`,
      width: `${area.width}px`,
      height: `${area.height}px`,
    });
    this.#svg.setAttribute("viewBox", `0 0 ${area.width} ${area.height}`);
    this.#svg.classList.toggle("drawing", this.#draft !== null);
    const focused = this.#svg.contains(document.activeElement) ? document.activeElement.dataset : null;
    const key = focused && (focused.corner !== undefined ? `[data-corner="${focused.corner}"]` : focused.grip && "[data-grip]");
    const px = ([x, y]) => [x * area.width, y * area.height];
    const present = this.#shapes.filter(shape => !shape.removed);
    const ordered = [...present.filter(shape => shape.id !== this.#chosen), ...present.filter(shape => shape.id === this.#chosen)];
    const parts = ordered.flatMap(shape => this.#drawShape(shape, shape.points.map(px), area));
    if (this.#draft) parts.push(...this.#drawDraft(this.#draft, px));
    this.#svg.replaceChildren(...parts);
    if (key) this.#svg.querySelector(key)?.focus({preventScroll: true});
  }

  #drawShape(shape, points, area) {
    const chosen = shape.id === this.#chosen;
    const bad = this.#problem?.id === shape.id;
    const text = points.map(point => point.join(",")).join(" ");
    const tag = shape.kind === "zone" ? "polygon" : "polyline";
    const state = `${chosen ? "chosen" : ""} ${bad ? "bad" : ""}`;
    const parts = [
      svg(tag, {points: text, class: "under"}),
      svg(tag, {points: text, class: `${shape.kind} ${state}`, "data-shape": shape.id}),
    ];
    if (shape.kind === "line") {
      parts.push(svg(tag, {points: text, class: "reach", "data-shape": shape.id}), ...this.#drawArrow(points));
    }
    const top = points.reduce((best, point) => (point[1] < best[1] ? point : best));
    const label = svg("text", {
      x: Math.min(Math.max(top[0], 6), area.width - 8 * shape.name.length - 6),
      y: top[1] < 30 ? top[1] + 30 : top[1] - 14,
      class: "name",
    });
    label.textContent = bad ? `■ ${shape.name}` : shape.name;
    parts.push(label);
    if (!chosen || this.#draft) return parts;
    if (shape.kind === "zone") {
      points.forEach((point, index) => {
        const next = points[(index + 1) % points.length];
        const place = {x1: point[0], y1: point[1], x2: next[0], y2: next[1]};
        parts.push(svg("line", {...place, class: "edge", "data-edge": index}));
        const [x, y] = [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2];
        if (Math.hypot(next[0] - point[0], next[1] - point[1]) > 44)
          parts.push(svg("path", {d: `M${x - 4} ${y}h8M${x} ${y - 4}v8`, class: "plus"}));
      });
    }
    const middle = [0, 1].map(index => points.reduce((sum, point) => sum + point[index], 0) / points.length);
    if (shape.kind === "zone") parts.push(this.#handle(middle, {"data-grip": "1", "data-shape": shape.id}, `Whole ${shape.name}`, "grip"));
    points.forEach((point, index) => {
      const [x, y] = shape.points[index];
      const said = `${shape.kind === "zone" ? "Corner" : "End"} ${index + 1} of ${shape.name}: ${x.toFixed(3)}, ${y.toFixed(3)}`;
      parts.push(this.#handle(point, {"data-corner": index}, said, index === this.#corner ? "corner current" : "corner"));
    });
    if (shape.kind === "line") {
      // Off the line, so that it does not cover the arrow.
      const across = [points[1][1] - points[0][1], points[0][0] - points[1][0]];
      const long = Math.hypot(...across) || 1;
      const place = [0, 1].map(index => middle[index] + (24 * across[index]) / long);
      parts.push(this.#handle(place, {"data-grip": "1", "data-shape": shape.id}, `Whole ${shape.name}`, "grip"));
    }
    return parts;
  }

  #handle([x, y], data, said, name) {
    const mark =
      name === "grip"
        ? svg("path", {d: grip_mark, transform: `translate(${x} ${y})`, class: "mark-grip"})
        : svg("circle", {cx: x, cy: y, r: 6.5, class: "dot"});
    const reach = svg("circle", {cx: x, cy: y, r: 17, class: "reach", ...data});
    return svg(
      "g",
      {class: `handle ${name}`, tabindex: 0, role: "button", "aria-label": said, ...data},
      svg("circle", {cx: x, cy: y, r: 11, class: "ring"}),
      mark,
      reach
    );
  }

  /** "in" is from the negative to the positive side of the line (vision/logic/line.h): to the right of its way on a screen. */
  #drawArrow([from, to]) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const long = Math.hypot(dx, dy) || 1;
    const [nx, ny] = [-dy / long, dx / long];
    const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    const tip = [x + 30 * nx, y + 30 * ny];
    const wing = sign => [tip[0] - 9 * nx + (sign * 6 * dx) / long, tip[1] - 9 * ny + (sign * 6 * dy) / long];
    const path = `M${x} ${y}L${tip}M${wing(1)}L${tip}L${wing(-1)}`;
    const word = svg("text", {x: tip[0] + 12 * nx, y: tip[1] + 12 * ny + 5, class: "name", "text-anchor": "middle"});
    word.textContent = "in";
    return [svg("path", {d: path, class: "arrow under"}), svg("path", {d: path, class: "arrow"}), word];
  }

  #drawDraft({kind, points, hover}, px) {
    const shown = [...points, ...(hover ? [hover] : [])].map(px);
    const text = shown.map(point => point.join(",")).join(" ");
    const parts = [svg("polyline", {points: text, class: "under"}), svg("polyline", {points: text, class: "line chosen"})];
    points.map(px).forEach(([x, y], index) => {
      parts.push(svg("circle", {cx: x, cy: y, r: index ? 5 : 8, class: index || kind === "line" ? "dot" : "dot first"}));
    });
    return parts;
  }

  // -- saving -------------------------------------------------------------------------------------------------------

  async #save() {
    const anchor = anchorFor(this.#source.stream, this.#saved.filter(shape => !shape.removed), this.#stages, this.#desired);
    const patch = stagesPatch(this.#saved, this.#shapes, this.#desired, anchor);
    if (!Object.keys(patch).length || this.#busy) return;
    const {device, module} = this.#source;
    const back = wayBack(patch, this.#desired);
    this.#problem = null;
    this.#wait("Saving…");
    try {
      this.#twin = await api.patchTwin(device, module, {pipeline: {stages: patch}}, this.#twin.etag);
      this.#back = {...back, ...this.#back};
      for (const shape of this.#shapes) shape.stage ??= shape.name;
      this.#saved = structuredClone(this.#shapes);
      this.#history = [structuredClone(this.#shapes)];
      this.#now = 0;
      this.#wait("Saved. Waiting for the module…");
      await this.#untilApplied();
    } catch (error) {
      this.#wait("");
      if (error.status === 412) return this.#reload();
      return this.#fail(null, `Could not save. ${error.message}`);
    }
    const {error} = this.#reported;
    this.#wait("");
    if (!error) {
      note("Applied: the module runs with the new zones.");
      return this.close();
    }
    const culprit = this.#shapes.find(shape => error.includes(`/stages/${twinKey(shape.stage ?? shape.name)}`));
    // A stage's own refusal does not name its place; with one changed shape it can only be that one.
    const changed = Object.keys(patch);
    const only = changed.length === 1 && this.#shapes.find(shape => twinKey(shape.stage ?? shape.name) === changed[0]);
    this.#fail(
      (culprit ?? (only || null))?.id ?? null,
      `The module refuses it and goes on as before: ${error}. Change the shape and save again, or cancel to take it back.`
    );
  }

  /** Waits until the module has read the desired properties that were written. */
  async #untilApplied() {
    const {device, module} = this.#source;
    const version = this.#twin.properties?.desired?.$version ?? 0;
    const {hash, error} = this.#reported;
    for (const end_ms = Date.now() + applied_ms_max; Date.now() < end_ms && !this.#closed; await wait(poll_ms)) {
      this.#twin = await api.twin(device, module);
      const now = this.#reported;
      // A module that does not say which version it read shows it by another hash or another error.
      if (now.desired === undefined ? now.hash !== hash || now.error !== error : now.desired >= version) return;
    }
    throw new ApiError("", 0, "timeout", `The module has not answered within ${applied_ms_max / 1000} s. The change is in its twin; it is applied when the module reads it.`);
  }

  /** Somebody else was faster: what they made is shown. */
  async #reload() {
    const frames = this.#view.frames;
    this.#wait("Somebody else has changed this module meanwhile. Reading what they made…");
    try {
      this.#twin = await api.twin(this.#source.device, this.#source.module);
      await this.#untilApplied();
      this.#view.frozen = false;
      for (let tries = 0; tries < 20 && this.#view.frames < frames + 3; tries++) await wait(poll_ms / 2);
    } catch {
      /* what is there is shown */
    }
    if (this.#closed) return;
    this.#wait("");
    this.#back = null;
    this.#take();
    this.#fail(null, "Somebody else changed this module meanwhile, so nothing was saved. Their zones are shown; make your change again.");
  }

  /** Leaves; what the module refused is taken back from its twin. */
  async #cancel() {
    if (this.#back && this.#reported.error) {
      this.#wait("Taking it back…");
      try {
        await api.patchTwin(this.#source.device, this.#source.module, {pipeline: {stages: this.#back}}, this.#twin.etag);
      } catch (error) {
        this.#wait("");
        return this.#fail(null, `Could not take it back. ${error.message}`);
      }
    }
    this.close();
  }
}
