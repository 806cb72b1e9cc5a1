// app.js -- starts the page: session, rail, addresses.
//
// An address is #place/segment/…?name=value. Whatever is shown can be reloaded and shared.

import {api, onSignedOut} from "./api.js";
import {h, note, setState} from "./dom.js";
import {showDevices} from "./devices.js";
import {showEvents} from "./events.js";
import {clockTime, number} from "./format.js";
import {Link} from "./link.js";
import {showLive} from "./live.js";

const places = {
  live: {title: "Live", show: showLive},
  events: {title: "Events", show: showEvents},
  devices: {title: "Devices", show: showDevices},
};
const overview_ms = 30_000;

const main = document.getElementById("main");
const login = document.getElementById("login");
let session = null;
let place = null;
let place_name = "";
const link = new Link(async () => {
  // A refused WebSocket does not tell why; the session's own call does.
  try {
    await api.me();
  } catch (error) {
    if (error.status === 401) showLogin("Your session has ended; log in again.");
  }
});

function readAddress() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  let segments;
  try {
    segments = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    segments = [];
  }
  const name = segments.shift();
  return {place: name in places ? name : "live", segments, query: new URLSearchParams(query)};
}

function showPlace() {
  if (!session) return;
  const address = readAddress();
  document.title = `${[...address.segments].reverse().concat(places[address.place].title).join(" · ")} · Verge`;
  for (const anchor of document.querySelectorAll("nav .place")) {
    if (anchor.dataset.place === address.place) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (place_name === address.place && place?.update?.(address)) return;
  const another = place_name !== address.place;
  place?.leave();
  place_name = address.place;
  place = places[address.place].show(main, link, address);
  if (another) scrollTo({top: 0});
}

function showLogin(reason = "") {
  session = null;
  link.close();
  place?.leave();
  place = null;
  place_name = "";
  main.replaceChildren();
  document.body.dataset.session = "out";
  document.title = "Log in · Verge";
  document.getElementById("login-host").textContent = location.host;
  const problem = login.querySelector(".problem");
  problem.textContent = reason;
  problem.hidden = !reason;
  login.elements.password.value = "";
  (login.elements.user.value ? login.elements.password : login.elements.user).focus();
}

function enter(who) {
  session = who;
  document.body.dataset.session = "in";
  document.querySelector("#account span").textContent = who.user;
  link.open();
  showLink();
  showOverview();
  showPlace();
}

login.addEventListener("submit", async event => {
  event.preventDefault();
  const button = login.querySelector("button");
  const problem = login.querySelector(".problem");
  button.disabled = true;
  problem.hidden = true;
  try {
    enter(await api.login(login.elements.user.value.trim(), login.elements.password.value));
  } catch (error) {
    problem.textContent =
      error.status === 401
        ? "The user or the password is wrong. Check both and try again."
        : error.status === 429
          ? "Too many failed attempts. Wait five minutes, then try again."
          : error.message;
    problem.hidden = false;
    login.elements.password.select();
  }
  button.disabled = false;
});

function showLink() {
  const words = {
    open: ["good", "linked"],
    connecting: ["wait", "connecting"],
    waiting: ["warn", "no link to the hub"],
    closed: ["off", "closed"],
  };
  const [level, word] = words[link.state];
  const outage = link.state !== "open" && Date.now() - link.since_ms > 2000;
  const seconds = Math.max(0, Math.ceil((link.retry_at_ms - Date.now()) / 1000));
  setState(
    document.getElementById("link"),
    level,
    link.state === "waiting" ? `no link, retry ${number(seconds)} s` : word,
    link.state === "open" ? "" : `since ${clockTime(link.since_ms * 1000)}`
  );
  document.body.classList.toggle("outage", outage && session !== null);
}
link.addEventListener("state", showLink);
setInterval(() => link.state !== "open" && showLink(), 1000);

let overview_ms_last = 0;
async function showOverview() {
  if (!session || document.hidden) return;
  overview_ms_last = Date.now();
  try {
    const {hub, devices, events} = await api.overview();
    document
      .getElementById("hub")
      .replaceChildren(
        h("div", {text: hub.host}),
        h("div", {
          text: `${number(devices.connected)} of ${number(devices.total)} devices · ${number(events.today)} events today`,
        }),
        h("div", {text: `version ${hub.version}`})
      );
    const badge = document.getElementById("alarms");
    badge.hidden = !events.alarms_today;
    badge.textContent = number(events.alarms_today);
    badge.title = events.alarms_today === 1 ? "1 alarm today" : `${number(events.alarms_today)} alarms today`;
  } catch {
    /* the link's state already says that the hub is away */
  }
}
setInterval(showOverview, overview_ms);
link.addEventListener("event", event => {
  if (event.detail.severity === "alarm" && Date.now() - overview_ms_last > 1000) showOverview();
});

/** The signed-in person: change the password, log out. */
document.getElementById("account").addEventListener("click", () => {
  const old = h("input", {type: "password", autocomplete: "current-password", required: true});
  const fresh = h("input", {type: "password", autocomplete: "new-password", required: true, minLength: 10});
  const problem = h("p", {class: "problem", role: "alert", hidden: true});
  const form = h(
    "form",
    {
      onsubmit: async event => {
        event.preventDefault();
        problem.hidden = true;
        try {
          await api.changePassword(old.value, fresh.value);
          dialog.close();
          note("The password is changed.");
        } catch (error) {
          problem.textContent = error.message;
          problem.hidden = false;
        }
      },
    },
    h("h3", {text: "Change the password"}),
    h("label", {}, "Old password", old),
    h("label", {}, "New password, 10 characters or more", fresh),
    problem,
    h("button", {text: "Change password"})
  );
  const dialog = h(
    "dialog",
    {class: "account-dialog", "aria-label": "Account", onclose: () => dialog.remove()},
    h(
      "div",
      {class: "drawer-head"},
      h("h2", {text: `${session.user} (${session.role})`}),
      h("button", {type: "button", class: "plain", text: "Close", onclick: () => dialog.close()})
    ),
    form,
    h("button", {
      type: "button",
      class: "wide",
      text: "Log out",
      onclick: async () => {
        dialog.close();
        try {
          await api.logout();
          showLogin();
        } catch (error) {
          note(`Could not log out. ${error.message}`, {problem: true, details: error.details});
        }
      },
    })
  );
  document.body.append(dialog);
  dialog.showModal();
});

// The hash belongs to the places, so the skip link moves the focus itself.
document.querySelector(".skip").addEventListener("click", event => {
  event.preventDefault();
  main.focus();
});

onSignedOut(() => session && showLogin("Your session has ended; log in again."));
addEventListener("hashchange", showPlace);

/** Asks who is logged in; while the hub is away, asks again. */
async function start() {
  try {
    enter(await api.me());
  } catch (error) {
    if (error.status === 401) return showLogin();
    document.body.dataset.session = "away";
    main.replaceChildren(
      h(
        "div",
        {class: "empty"},
        h("h2", {text: "The hub does not answer"}),
        h("p", {text: error.message}),
        h("p", {class: "quiet", text: "This page tries again every few seconds."})
      )
    );
    setTimeout(start, 4000);
  }
}
start();
