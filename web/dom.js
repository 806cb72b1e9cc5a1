// dom.js -- small helpers to build the page: elements, times that keep themselves current, notes, copying.

import {ago, fullTime} from "./format.js";

/** h("a", {href, class, text, onclick, data: {…}}, ...children); children that are null or false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-") && typeof value !== "string") element[name] = value;
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name, className = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon ${className}`);
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

const familyNames = {vision: "Vision", audio: "Audio", telemetry: "Telemetry"};

/** The family's mark; its name is read out and shown on hover. */
export function familyMark(family) {
  const known = family in familyNames;
  return h(
    "span",
    {
      class: `mark ${known ? family : ""}`,
      title: familyNames[family] ?? family,
      role: "img",
      "aria-label": familyNames[family] ?? family,
    },
    known ? icon(family) : "?"
  );
}

const shapes = {good: "●", wait: "○", warn: "▲", bad: "■", off: "○"};

/** A state as shape + word, e.g. state("good", "running"). */
export function state(level, word, title) {
  return h(
    "span",
    {class: `state ${level}`, title},
    h("span", {"aria-hidden": "true", text: shapes[level]}),
    h("span", {text: word})
  );
}

export function setState(element, level, word, title = "") {
  if (element.className === `state ${level}` && element.lastChild?.textContent === word && element.title === title)
    return;
  element.className = `state ${level}`;
  element.title = title;
  element.replaceChildren(...state(level, word).childNodes);
}

export const severityLevels = {info: "off", warning: "warn", alarm: "bad"};

/** A time that says how long ago it was and keeps saying so; the absolute time on hover. */
export function timeAgo(us, className = "") {
  if (!us) return h("span", {class: "quiet", text: "never"});
  return h("time", {
    class: className,
    datetime: new Date(us / 1000).toISOString(),
    title: fullTime(us),
    data: {us},
    text: ago(us),
  });
}

setInterval(() => {
  if (document.hidden) return;
  const now_ms = Date.now();
  for (const element of document.querySelectorAll("time[data-us]")) {
    const text = ago(Number(element.dataset.us), now_ms);
    if (element.textContent !== text) element.textContent = text;
  }
}, 1000);

/** A note that goes by itself; problems stay until they are closed. */
export function note(text, {problem = false, details = ""} = {}) {
  const place = document.getElementById("notes");
  const box = h(
    "div",
    {class: `note ${problem ? "problem" : ""}`},
    h("p", {text}),
    details && h("button", {type: "button", class: "plain", text: "Copy details", onclick: () => copy(details)}),
    h("button", {type: "button", class: "plain", "aria-label": "Close", onclick: () => box.remove()}, icon("close"))
  );
  while (place.children.length >= 4) place.firstChild.remove();
  place.append(box);
  if (!problem) setTimeout(() => box.remove(), 5000);
}

/** Says what failed, why, and what to do next. */
export function problemBox(error, what, retry) {
  return h(
    "div",
    {class: "problem-box", role: "alert"},
    h("p", {}, h("b", {text: `Could not ${what}.`}), ` ${error.message}`),
    h(
      "div",
      {class: "actions"},
      retry && h("button", {type: "button", text: "Try again", onclick: retry}),
      h("button", {
        type: "button",
        class: "plain",
        text: "Copy details",
        onclick: () => copy(error.details ?? String(error)),
      })
    )
  );
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied.");
  } catch {
    // The clipboard needs TLS or this machine; a selected text can still be copied by hand.
    const area = h("textarea", {class: "copy-area", readOnly: true});
    area.value = text;
    document.body.append(area);
    area.select();
    note(
      document.execCommand("copy") ? "Copied." : "The browser refuses to copy; select the text and copy it by hand."
    );
    area.remove();
  }
}

export function copyButton(text, label = "Copy") {
  return h(
    "button",
    {type: "button", class: "with-icon", onclick: () => copy(typeof text === "function" ? text() : text)},
    icon("copy"),
    label
  );
}

/** What this browser remembers between visits; a full or forbidden store is no error. */
export const memory = {
  get(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(`verge.${key}`)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`verge.${key}`, JSON.stringify(value));
    } catch {
      /* the page works without a memory */
    }
  },
};
