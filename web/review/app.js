// app.js -- reviews a dataset's clips by keyboard: chooses words, types over them, accepts, undoes.
//
// Everything that changes goes to the store at once (store.js), which says when it is on disk.

import {h, note, setState} from "../dom.js";
import {number} from "../format.js";
import {Sound} from "./sound.js";
import {Refused, Store} from "./store.js";
import {bare, fitted, Memory, nextDoubtful, textOf, tokensOf} from "./text.js";

const undo_max = 500;
const labels = ["speaker", "room", "device"];
const at = id => document.getElementById(id);

const sound = new Sound(at("sound"));
const memory = new Memory();
const store = new Store({
  state: (word, problem) => showSaved(word, problem),
  conflict: (clip, members) => {
    note(
      members.text === undefined || members.text === clip.text
        ? "This clip was changed in another window; you see what is stored there."
        : `Another window was first. Stored is “${clip.text}”; what you wrote is kept as an alternative.`,
      {problem: true}
    );
    if (clip.media === current) open(clip.media);
    showList();
  },
});
let below = 0.6; // confidence from which on a word is marked
let order = []; // media, as the list shows them
let current = ""; // media of the clip that is open
let tokens = [];
let chosen = 0;
let editing = null; // {input, inserts: whether the word is new}
let others = []; // alternatives of the chosen word
let undone = []; // {media, before: {text, reviewed}, chosen}

// ---- what is shown ----

function showSaved(word, problem) {
  const [level, text] =
    {saved: ["good", "saved"], saving: ["wait", "saving…"]}[word] ?? ["bad", "not saved"];
  setState(at("saved"), level, text, problem);
  if (word === "problem") note(`Could not save. ${problem}`, {problem: true});
}

function showProgress() {
  const all = store.all;
  const done = all.filter(clip => clip.reviewed).length;
  at("progress").replaceChildren(
    h("span", {}, h("b", {text: number(done)}), ` of ${number(all.length)} reviewed`),
    h("span", {text: `${number(all.length - done)} to go`})
  );
}

function showList() {
  at("clips").replaceChildren(
    ...order.map(media => {
      const clip = store.find(media);
      return h(
        "li",
        {},
        h(
          "button",
          {type: "button", tabIndex: -1, "aria-current": media === current || null, data: {media}, onclick: () => open(media)},
          h("span", {
            class: `doubt ${clip.reviewed ? "done" : ""}`,
            text: clip.reviewed ? "✓" : `${Math.round(100 * clip.doubt)} %`,
          }),
          h("span", {class: "said", text: clip.text || "(nothing)"})
        )
      );
    })
  );
  at("clips").querySelector("[aria-current]")?.scrollIntoView({block: "nearest"});
  showProgress();
}

function showWords() {
  const items = tokens.map((token, index) => {
    const doubtful = token.confidence < below;
    return h(
      "li",
      {
        class: `${doubtful ? "doubtful" : ""} ${index === chosen ? "chosen" : ""} ${bare(token.text) !== bare(token.heard) ? "written" : ""}`,
        title: token.heard && bare(token.heard) !== bare(token.text) ? `heard: ${token.heard}` : "",
        "aria-current": index === chosen || null,
        onclick: () => choose(index),
      },
      token.text,
      doubtful && h("span", {class: "percent", text: `${Math.round(100 * token.confidence)} %`})
    );
  });
  if (!items.length) items.push(h("li", {class: "none", text: "Nothing was said. Type to write what was."}));
  at("words").replaceChildren(...items);
}

function showOthers() {
  const clip = store.find(current);
  others = tokens.length ? memory.suggest(tokens, chosen, clip.alternatives ?? []) : [];
  at("others").replaceChildren(
    ...others.map((word, index) =>
      h(
        "li",
        {},
        h(
          "button",
          {type: "button", tabIndex: -1, onclick: () => replace(word)},
          h("kbd", {text: index + 1}),
          word
        )
      )
    )
  );
}

function showLabels() {
  const clip = store.find(current);
  for (const label of labels) {
    at(label).value = clip[label] ?? "";
    const known = [...new Set(store.all.map(other => other[label]).filter(Boolean))].sort();
    at(`${label}s`).replaceChildren(...known.map(value => h("option", {value})));
  }
}

function choose(index) {
  chosen = Math.max(0, Math.min(tokens.length - 1, index));
  showWords();
  showOthers();
  sound.mark(tokens[chosen]);
}

function open(media) {
  endEditing(false);
  current = media;
  const clip = store.find(media);
  tokens = tokensOf(clip);
  at("title").textContent = `${clip.source ?? clip.media.replace(/^media\//, "")} · ${number(clip.duration_s, 1)} s`;
  at("mark").replaceChildren(clip.reviewed ? h("span", {class: "state good", text: "✓ reviewed"}) : "");
  sound.show(clip);
  showLabels();
  // Straight to where the doubt is: no key is needed to get there.
  choose(Math.max(0, nextDoubtful(tokens, -1, 1, below)));
  showList();
}

// ---- what changes ----

function remember() {
  const {text, reviewed} = store.find(current);
  undone.push({media: current, before: {text, reviewed}, chosen});
  if (undone.length > undo_max) undone.shift();
}

function save(members) {
  store.change(current, members);
}

/** Takes over what the tokens say. */
function saveTokens() {
  remember();
  save({text: textOf(tokens)});
  showWords();
  showOthers();
  showList();
}

function replace(typed) {
  const old = tokens[chosen];
  const text = fitted(typed, old?.text ?? "");
  if (!old) tokens = [{text, heard: "", confidence: 1, begin_s: 0, end_s: sound.duration_s}];
  else if (text && text !== old.text) tokens[chosen] = {...old, text, confidence: 1};
  else return;
  saveTokens();
}

function insert(typed) {
  const text = typed.trim();
  if (!text) return;
  const before = tokens[chosen];
  tokens.splice(chosen + 1, 0, {text, heard: "", confidence: 1, begin_s: before?.end_s ?? 0, end_s: before?.end_s ?? 0});
  chosen = Math.min(tokens.length - 1, chosen + 1);
  saveTokens();
}

function remove() {
  if (!tokens.length) return;
  tokens.splice(chosen, 1);
  chosen = Math.max(0, Math.min(chosen, tokens.length - 1));
  saveTokens();
}

function accept(nothing = false) {
  remember();
  if (nothing) tokens = [];
  save({text: textOf(tokens), reviewed: true});
  memory.add(store.find(current));
  const here = order.indexOf(current);
  const next = [...order.slice(here + 1), ...order.slice(0, here)].find(media => !store.find(media).reviewed);
  if (next) open(next);
  else {
    open(current);
    note("Every clip of the list is reviewed.");
  }
}

function undo() {
  const last = undone.pop();
  if (!last) return;
  store.change(last.media, last.before);
  open(last.media);
  choose(last.chosen);
}

// ---- typing ----

function beginEditing(text, inserts = false) {
  const input = h("input", {spellcheck: false, autocomplete: "off", "aria-label": "The word"});
  input.value = text;
  const fit = () => input.style.setProperty("--letters", Math.max(4, input.value.length));
  input.addEventListener("input", fit);
  fit();
  const place = at("words").children[chosen];
  if (inserts && tokens.length) place.after(h("li", {class: "chosen"}, input));
  else place.replaceChildren(input);
  editing = {input, inserts: inserts && tokens.length > 0};
  input.focus();
  input.setSelectionRange(text.length, text.length);
  input.addEventListener("blur", () => endEditing(true));
}

function endEditing(keep) {
  if (!editing) return;
  const {input, inserts} = editing;
  editing = null;
  if (!keep || !input.value.trim()) return choose(chosen);
  if (inserts) insert(input.value);
  else replace(input.value);
  if (input.isConnected) choose(chosen);
}

function move(step) {
  const next = nextDoubtful(tokens, chosen, step, below);
  // No further doubt: the ends, so that a second Tab says that there is nothing more.
  choose(next < 0 ? (step > 0 ? tokens.length - 1 : 0) : next);
}

function otherClip(step) {
  const next = order[order.indexOf(current) + step];
  if (next) open(next);
}

/** Keys while a word is typed; true when the key was used. */
function editingKey(event) {
  if (event.key === "Escape") endEditing(false);
  else if (event.key === "Tab") (endEditing(true), move(event.shiftKey ? -1 : 1));
  else if (event.key === "Enter") (endEditing(true), accept());
  else if (event.key === " " && event.ctrlKey) sound.toggle();
  else return false;
  return true;
}

const commands = {
  Tab: event => move(event.shiftKey ? -1 : 1),
  ArrowLeft: () => choose(chosen - 1),
  ArrowRight: () => choose(chosen + 1),
  Home: () => choose(0),
  End: () => choose(tokens.length - 1),
  ArrowUp: () => otherClip(-1),
  ArrowDown: () => otherClip(1),
  Enter: () => accept(),
  " ": event => (event.shiftKey ? sound.playWord() : sound.toggle()),
  Delete: event => (event.ctrlKey ? accept(true) : remove()),
  Backspace: () => remove(),
  Insert: () => beginEditing("", true),
  F2: () => beginEditing(tokens[chosen]?.text ?? ""),
};

function key(event) {
  if (!current || event.isComposing) return;
  if (labels.includes(event.target.id)) return labelKey(event);
  if (editing) {
    if (editingKey(event)) event.preventDefault();
    return;
  }
  if (event.target.closest?.("summary") && [" ", "Enter"].includes(event.key)) return;
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) undo();
  else if (event.altKey && event.key.toLowerCase() === "s") at("speaker").select();
  else if (event.altKey && event.key.toLowerCase() === "r") at("room").select();
  else if (event.metaKey || event.altKey) return;
  else if (/^[1-5]$/.test(event.key) && others[event.key - 1] !== undefined) replace(others[event.key - 1]);
  else if (commands[event.key]) commands[event.key](event);
  else if ([...event.key].length === 1 && !event.ctrlKey) beginEditing(event.key);
  else return;
  event.preventDefault();
}

function labelKey(event) {
  if (event.key !== "Escape" && event.key !== "Enter") return;
  event.target.blur();
  event.preventDefault();
}

for (const label of labels) at(label).addEventListener("change", () => save({[label]: at(label).value.trim()}));
document.addEventListener("keydown", key);
addEventListener("beforeunload", event => store.isSaved || event.preventDefault());
addEventListener("online", () => store.retry());

try {
  const list = await store.load();
  below = list.doubtful_below;
  at("name").textContent = list.name;
  document.title = `${list.name} · Review · Verge`;
  store.all.forEach(clip => memory.add(clip));
  order = store.all.map(clip => clip.media);
  if (list.all > order.length) note(`The list has the ${number(order.length)} most doubtful of ${number(list.all)} clips.`);
  if (order.length) open(order[0]);
  else at("main").replaceChildren(h("div", {class: "empty"}, h("h2", {text: "The dataset has no clips."})));
  showSaved("saved", "");
} catch (error) {
  at("main").replaceChildren(
    h("div", {class: "problem-box", role: "alert"}, h("p", {text: error instanceof Refused ? error.message : String(error)}))
  );
}
