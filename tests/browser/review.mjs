// review.mjs -- corrects a dataset on the page of `verge data review` by keyboard alone, and counts the keys.
//
//   node review.mjs ADDRESS TRUTH.json [--screenshots DIR] [--chromium PATH]
//
// TRUTH.json: {media: what was said}. Prints a line per check and "N passed, M failed"; exits 0 when none failed.

import {mkdir, readFile} from "node:fs/promises";
import path from "node:path";
import {chromium} from "playwright-core";

const keys_per_word_max = 3; // beside its letters
const wait_ms = 20_000;

const words = process.argv.slice(2);
const option = (name, fallback) => (words.includes(name) ? words[words.indexOf(name) + 1] : fallback);
const [address, truth_file] = words;
if (!truth_file) {
  console.error("usage: node review.mjs ADDRESS TRUTH.json [--screenshots DIR] [--chromium PATH]");
  process.exit(2);
}
const truth = JSON.parse(await readFile(truth_file, "utf8"));
const folder = option("--screenshots", "");
const counts = {passed: 0, failed: 0};

async function check(name, run) {
  try {
    const said = await run();
    counts.passed++;
    console.log(`pass  ${name}${said ? `: ${said}` : ""}`);
  } catch (error) {
    counts.failed++;
    console.log(`FAIL  ${name}: ${String(error.message).split("\n")[0]}`);
  }
}

function demand(condition, message) {
  if (!condition) throw new Error(message);
}

const bare = word => word.toLowerCase().replace(/[^a-z0-9']/g, "");
const bareWords = text => text.split(/\s+/).map(bare).filter(Boolean);

const browser = await chromium.launch({
  executablePath: option("--chromium", "/usr/bin/chromium"),
  args: ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
});
const faults = [];
const context = await browser.newContext({viewport: {width: 1280, height: 800}, reducedMotion: "reduce"});
const newPage = async () => {
  const page = await context.newPage();
  page.setDefaultTimeout(wait_ms);
  page.on("pageerror", error => faults.push(`script: ${error.message}`));
  page.on("console", message => message.type() === "error" && !/status of 409/.test(message.text()) && faults.push(message.text()));
  page.on("request", request => new URL(request.url()).origin !== new URL(address).origin && faults.push(`another host: ${request.url()}`));
  return page;
};

/** The keyboard, and how often it was used. */
class Keys {
  pressed = 0;
  letters = 0;
  constructor(page) {
    this.page = page;
  }
  async press(key) {
    this.pressed++;
    await this.page.keyboard.press(key);
  }
  async type(word) {
    for (const letter of word) {
      this.letters++;
      await this.press(letter);
    }
  }
}

const state = page =>
  page.evaluate(() => ({
    words: [...document.querySelectorAll("#words li:not(.none)")].map(item => item.firstChild.textContent),
    doubtful: [...document.querySelectorAll("#words li")].map(item => item.classList.contains("doubtful")),
    chosen: [...document.querySelectorAll("#words li")].findIndex(item => item.classList.contains("chosen")),
    others: [...document.querySelectorAll("#others button")].map(item => item.lastChild.textContent),
    title: document.getElementById("title").textContent,
    saved: document.getElementById("saved").textContent,
  }));
const saved = page => page.waitForFunction(() => document.getElementById("saved").textContent.includes("saved") && !document.getElementById("saved").textContent.includes("not"));
const clips = async page => (await (await page.request.get(new URL("/api/clips", address).href)).json()).clips;
const openMedia = async page => {
  const media = await page.evaluate(() => document.querySelector("#clips button[aria-current]")?.dataset.media);
  demand(media, "no clip is open");
  return media;
};

/** Goes to word `index` by the fewest keys: Tab while it leads there, else arrows. */
async function goTo(page, keys, index) {
  const now = await state(page);
  if (now.chosen === index) return;
  const next = now.doubtful.findIndex((is, at) => is && at > now.chosen);
  if (next >= 0 && next <= index) {
    await keys.press("Tab");
    return goTo(page, keys, index);
  }
  await keys.press(index > now.chosen ? "ArrowRight" : "ArrowLeft");
  return goTo(page, keys, index);
}

/** Makes the open clip say `said`; returns how many words were corrected. */
async function correct(page, keys, said) {
  const wanted = said.split(" ");
  let corrected = 0;
  for (let index = 0; index < wanted.length; index++) {
    const now = await state(page);
    if (index < now.words.length && bare(now.words[index]) === bare(wanted[index])) continue;
    corrected++;
    if (index < now.words.length) {
      await goTo(page, keys, index);
      await keys.type(wanted[index]);
      await keys.press("Tab");
    } else {
      await goTo(page, keys, now.words.length - 1);
      await keys.press("Insert");
      await keys.type(wanted[index]);
      await keys.press("Tab");
    }
  }
  for (let now = await state(page); now.words.length > wanted.length; now = await state(page)) {
    corrected++;
    await goTo(page, keys, now.words.length - 1);
    await keys.press("Delete");
  }
  return corrected;
}

const page = await newPage();
await check("the address works once", async () => {
  const stranger = await browser.newContext();
  demand((await stranger.request.get(new URL("/api/clips", address).href)).status() === 401, "clips without logging in");
  await page.goto(address);
  await page.waitForSelector("#words .chosen");
  demand((await stranger.request.get(address)).status() === 401, "the token worked twice");
  await stranger.close();
});

await check("the most doubtful clip is open, its most doubtful word chosen", async () => {
  const [first] = await clips(page);
  const now = await state(page);
  demand((await openMedia(page)) === first.media, "another clip is open");
  demand(now.doubtful[now.chosen], `word ${now.chosen} of ${now.words} is chosen, and no doubtful one`);
  return `${now.words.join(" ")}, doubt ${first.doubt.toFixed(2)}`;
});

await check("space plays the clip, and it is drawn", async () => {
  await page.waitForFunction(() => {
    const canvas = document.getElementById("sound");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(pixels).size > 60;
  });
  const drawn = () => page.evaluate(() => document.getElementById("sound").toDataURL());
  const before = await drawn();
  await page.keyboard.press("Space");
  await page.waitForFunction(was => document.getElementById("sound").toDataURL() !== was, before);
});

async function screenshots(name) {
  if (!folder) return;
  await mkdir(folder, {recursive: true});
  for (const [width, height] of [[390, 844], [1280, 800], [1920, 1080]])
    for (const scheme of ["light", "dark"]) {
      await page.setViewportSize({width, height});
      await page.emulateMedia({colorScheme: scheme});
      await page.waitForTimeout(400);
      await page.screenshot({path: path.join(folder, `${name}-${width}x${height}-${scheme}.png`)});
    }
  await page.setViewportSize({width: 1280, height: 800});
  await page.emulateMedia({colorScheme: "light"});
}
await screenshots("review");

await check("a second window that was slower keeps nothing of the first one's", async () => {
  const other = await newPage();
  await other.goto(new URL("/", address).href);
  await other.waitForSelector("#words .chosen");
  await other.keyboard.type("first");
  await other.keyboard.press("Tab");
  await saved(other);
  const index = (await state(page)).chosen;
  const stored = (await clips(page))[0].text;
  demand(/first/i.test(stored), `stored is "${stored}"`);
  await page.keyboard.type("second");
  await page.keyboard.press("Tab");
  await page.waitForSelector("#notes .note");
  const now = await state(page);
  demand(/first/i.test(now.words[index]), `the page shows ${now.words}`);
  demand(/first/i.test((await clips(page))[0].text), "the first window's change is gone");
  // What was lost is one key away.
  await goTo(page, new Keys(page), index);
  demand((await state(page)).others.some(word => /second/i.test(word)), `alternatives are ${(await state(page)).others}`);
  await other.bringToFront();
  await other.keyboard.press("Control+z");
  await saved(other);
  await other.close();
  await page.bringToFront();
  await page.reload();
  await page.waitForSelector("#words .chosen");
});

await check(`every clip is corrected by keyboard alone, at most ${keys_per_word_max} keys and its letters a word`, async () => {
  let corrected = 0,
    extra = 0,
    accepted = 0;
  const total = (await clips(page)).length;
  for (; accepted < total; accepted++) {
    const media = await openMedia(page);
    demand(truth[media] !== undefined, `what was said in ${media} is not known`);
    const keys = new Keys(page);
    const here = await correct(page, keys, truth[media]);
    await keys.press("Enter");
    corrected += here;
    if (here) extra += keys.pressed - keys.letters;
  }
  await saved(page);
  for (const clip of await clips(page)) {
    demand(clip.reviewed, `${clip.media} is not reviewed`);
    demand(bareWords(clip.text).join(" ") === truth[clip.media], `"${clip.text}" for "${truth[clip.media]}"`);
  }
  demand(corrected > 0, "nothing was to be corrected: the check checks nothing");
  demand(extra / corrected <= keys_per_word_max, `${(extra / corrected).toFixed(2)} keys a word beside its letters`);
  return `${accepted} clips, ${corrected} words, ${(extra / corrected).toFixed(2)} keys a word beside its letters`;
});

await check("what was accepted can be undone, and a correction made before is one key away", async () => {
  const list = (await clips(page)).filter(clip => bareWords(clip.heard).join(" ") !== truth[clip.media] && bareWords(clip.heard).length === truth[clip.media].split(" ").length);
  demand(list.length > 0, "no clip had a replaced word");
  const clip = list[0];
  const at = bareWords(clip.heard).findIndex((word, index) => word !== truth[clip.media].split(" ")[index]);
  // By the mouse to the clip; the heard word again, then its alternative.
  await page.locator(`#clips button[data-media="${clip.media}"]`).click();
  const keys = new Keys(page);
  await goTo(page, keys, at);
  await keys.type(bareWords(clip.heard)[at]);
  await keys.press("Tab");
  await goTo(page, keys, at);
  const now = await state(page);
  demand(bare(now.others[0] ?? "") === truth[clip.media].split(" ")[at], `the first alternative of ${now.words[at]} is ${now.others[0]}`);
  await keys.press("1");
  await saved(page);
  demand(bareWords((await clips(page)).find(other => other.media === clip.media).text).join(" ") === truth[clip.media], "the alternative was not taken");
  await keys.press("Control+z");
  await keys.press("Control+z");
  await saved(page);
  demand(bareWords((await clips(page)).find(other => other.media === clip.media).text).join(" ") === truth[clip.media], "two undos did not lead back");
});

await check("the room is written by keyboard and kept", async () => {
  await page.keyboard.press("Alt+r");
  await page.keyboard.type("yard");
  await page.keyboard.press("Enter");
  await saved(page);
  const media = await openMedia(page);
  demand((await clips(page)).find(clip => clip.media === media).room === "yard", "no room is stored");
});
await screenshots("reviewed");

await check("nothing is refused by the page's own policy", () => demand(!faults.length, faults.join("; ")));

await browser.close();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed ? 1 : 0);
