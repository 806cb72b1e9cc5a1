// page.mjs -- drives the page of a running hub in Chromium; see README.md for the checks.

import {mkdir, readFile, writeFile} from "node:fs/promises";
import path from "node:path";
import {chromium} from "playwright-core";

const usage = "usage: node page.mjs BASE_URL USER PASSWORD_FILE [--screenshots DIR] [--chromium PATH] [--wait SECONDS]";
const sizes = [
  {width: 390, height: 844},
  {width: 1280, height: 800},
  {width: 1920, height: 1080},
];
const schemes = ["light", "dark"];
const browser_flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const families = ["vision", "audio", "telemetry"];
const poll_ms = 250;

function readArguments(words) {
  const options = {chromium: "/usr/bin/chromium", wait: "180", screenshots: ""};
  const rest = [];
  for (let index = 0; index < words.length; index++) {
    const name = words[index].replace(/^--/, "");
    if (!words[index].startsWith("--")) rest.push(words[index]);
    else if (name in options && words[index + 1] !== undefined) options[name] = words[++index];
    else return null;
  }
  if (rest.length !== 3 || !(Number(options.wait) > 0)) return null;
  const [base, user, password_file] = rest;
  return {...options, base: base.replace(/\/+$/, ""), user, password_file, wait_ms: Number(options.wait) * 1000};
}

const options = readArguments(process.argv.slice(2));
if (!options) {
  console.error(usage);
  process.exit(2);
}
const password = (await readFile(options.password_file, "utf8")).trim();
const counts = {passed: 0, failed: 0};

/** Runs one check; what it returns is printed beside its name. */
async function check(name, run) {
  try {
    const said = await run();
    counts.passed++;
    console.log(`pass  ${name}${said ? `: ${said}` : ""}`);
    return true;
  } catch (error) {
    counts.failed++;
    console.log(`FAIL  ${name}: ${String(error.message).split("\n")[0]}`);
    return false;
  }
}

function demand(condition, message) {
  if (!condition) throw new Error(message);
}

/** Asks until the answer is true-ish; gives the answer. */
async function until(what, ask, wait_ms = options.wait_ms) {
  const end_ms = Date.now() + wait_ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() >= end_ms) throw new Error(`${what}: not within ${wait_ms / 1000} s`);
    await new Promise(done => setTimeout(done, poll_ms));
  }
}

const browser = await chromium.launch({executablePath: options.chromium, args: browser_flags});
const faults = [];

async function newPage(size, scheme) {
  const context = await browser.newContext({
    viewport: size,
    colorScheme: scheme,
    reducedMotion: "reduce",
    ignoreHTTPSErrors: true,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(options.wait_ms);
  page.on("pageerror", error => faults.push(`script: ${error.message}`));
  // On purpose: who is logged in is asked, a wrong password tried (401), and a twin saved that has moved on (412).
  page.on(
    "console",
    message =>
      message.type() === "error" && !/status of (401|412)/.test(message.text()) && faults.push(`console: ${message.text()}`)
  );
  page.on("request", request => {
    const url = request.url();
    if (/^(https?|wss?):/.test(url) && new URL(url).host !== new URL(options.base).host)
      faults.push(`request to another host: ${url}`);
  });
  return {context, page};
}

async function logIn(page) {
  await page.fill("#login [name=user]", options.user);
  await page.fill("#login [name=password]", password);
  await page.click("#login button");
  await page.waitForSelector("body[data-session=in]", {timeout: options.wait_ms});
}

const get = async (context, address) => (await context.request.get(options.base + address)).json();
const framesOf = tile => tile.evaluate(element => Number(element.dataset.frames));
/** What a tile says: its state word, its last event, its frames. */
const shownOf = tile =>
  tile.evaluate(element => ({
    state: element.dataset.state,
    frames: Number(element.dataset.frames),
    event: element.querySelector(".last").dataset.event ?? "",
    text: element.querySelector(".last").textContent,
  }));
const pixelsOf = tile =>
  tile
    .locator("canvas")
    .first()
    .evaluate(canvas => canvas.toDataURL("image/jpeg", 0.5));

async function movingTile(page, family) {
  const tile = page
    .locator(`.tile[data-family="${family}"][data-state="live"], .tile[data-family="${family}"][data-state="alarm"]`)
    .first();
  await until(`a live ${family} tile`, () => tile.count());
  await tile.scrollIntoViewIfNeeded();
  const before = await framesOf(tile);
  const picture = family === "vision" ? await pixelsOf(tile) : "";
  const after = await until(`more ${family} frames`, async () => {
    const now = await framesOf(tile);
    return now >= before + 3 && now;
  });
  if (picture) await until("another picture", async () => (await pixelsOf(tile)) !== picture);
  return `${await tile.getAttribute("data-source")}, frames ${before} to ${after}`;
}

/** Opens Controls of telemetry tiles until one has a form with a choice. */
async function findSwitch(page) {
  const tiles = page.locator('.tile[data-family="telemetry"]');
  for (let index = 0; index < (await tiles.count()); index++) {
    const panel = tiles.nth(index).locator("details.controls");
    if (!(await panel.evaluate(element => element.open))) await panel.locator("summary").click();
    const form = panel.locator("form.method:has(.choices)").first();
    const found = await form.waitFor({timeout: 30_000}).then(
      () => true,
      () => false
    );
    if (found) return form;
  }
  throw new Error("no module describes a method with a choice");
}

async function apply(form, index) {
  await form.locator(".segments label").nth(index).click();
  await form.locator("button.primary").click();
  await form.locator(".method-answer .state.good").waitFor({timeout: options.wait_ms});
  return form.locator(".segments input").nth(index).getAttribute("value");
}

async function liveStreams(context) {
  const text = await (await context.request.get(`${options.base}/metrics`)).text();
  const line = text.split("\n").find(candidate => /^verge_hub_live_streams(\{[^}]*\})?\s/.test(candidate));
  demand(line, "/metrics has no verge_hub_live_streams");
  return Number(line.split(/\s+/).at(-1));
}

async function drive() {
  const {context, page} = await newPage({width: 1280, height: 800}, "light");
  await page.goto(options.base);
  await page.waitForSelector("body[data-session=out]");

  await check("a wrong password is refused", async () => {
    await page.fill("#login [name=user]", options.user);
    await page.fill("#login [name=password]", `${password}-wrong`);
    await page.click("#login button");
    await page.waitForSelector("#login .problem:not([hidden])");
    demand(await page.locator("nav.rail").isHidden(), "the page is shown");
    return page.locator("#login .problem").innerText();
  });
  if (
    !(await check("the right password opens Live", async () => {
      await logIn(page);
      await page.waitForSelector(".tile");
    }))
  )
    return;

  for (const family of families) await check(`the ${family} tile moves`, () => movingTile(page, family));

  await check("the camera's tile says who is blurred", () =>
    until("its privacy", async () => {
      const facts = await page.locator(".tile[data-family=vision] .facts").first().innerText();
      return facts.includes("people blurred") && facts.replaceAll("\n", " ");
    })
  );
  await check("the fault switch raises an alarm", async () => {
    const form = await findSwitch(page);
    const begin_us = await page.evaluate(() => Date.now() * 1000);
    const kind = await apply(form, 1);
    const alarm = await until("an alarm in /api/v1/events", async () => {
      const {events} = await get(
        context,
        `/api/v1/events?family=telemetry&severity=alarm&from_us=${begin_us}&limit=10`
      );
      return events[0];
    }, 2 * options.wait_ms); // right after its start the model's window has to fill first
    const {device, module, stream} = alarm;
    const tile = page.locator(`.tile[data-source="${device}/${module}/${stream}"]`);
    await until("the alarm in the tile", async () => (await shownOf(tile)).event === alarm.id).catch(async error => {
      throw new Error(`${error.message}; event ${alarm.id}, the tile shows ${JSON.stringify(await shownOf(tile))}`);
    });
    return `${kind}: "${alarm.explanation || alarm.type}" after ${((alarm.captured_us - begin_us) / 1e6).toFixed(1)} s`;
  });
  if (options.screenshots) await check("screenshots", () => takeScreenshots());
  await check("the fault can be taken back", async () => apply(await findSwitch(page), 0));

  await check("Events lists, filters and shows a detail", async () => {
    await page.goto(`${options.base}/#events`);
    await page.waitForSelector(".event-row");
    await page.selectOption("select[name=severity]", "alarm");
    await page.waitForURL(/severity=alarm/);
    await until(
      "only alarms",
      async () => {
        const words = await page.locator(".event-row .state").allInnerTexts();
        return words.length > 0 && words.every(word => word.includes("alarm"));
      }
    );
    await page.locator(".event-row").first().click();
    const event = JSON.parse(await page.locator(".drawer pre.json").innerText());
    demand(event.severity === "alarm" && new URL(page.url()).hash.includes(event.id), "the detail is of another event");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".drawer", {state: "hidden"});
    return `${await page.locator(".event-row").count()} alarms`;
  });
  await check("Devices shows modules, twin and methods", async () => {
    await page.goto(`${options.base}/#devices`);
    await page.locator("table.devices th a").first().click();
    await page.waitForSelector("table.modules tbody tr");
    const running = await page.locator("table.modules .state.good").count();
    demand(running > 0, "no module runs");
    await page.locator("table.modules th[scope=row] a").last().click();
    await page.waitForSelector(".twin-view");
    await page.waitForSelector("form.method");
    return `${running} modules run`;
  });
  await drawZones(context, page);
  await check("live stops when the page is left", async () => {
    await page.goto(`${options.base}/#live`);
    await until("a watched stream", async () => (await liveStreams(context)) > 0);
    const watched = await liveStreams(context);
    await page.goto(`${options.base}/#devices`);
    await until("no watched stream after going to Devices", async () => (await liveStreams(context)) === 0);
    await page.goto(`${options.base}/#live`);
    await until("a watched stream again", async () => (await liveStreams(context)) > 0);
    await page.close();
    await until("no watched stream after closing the page", async () => (await liveStreams(context)) === 0);
    return `${watched} streams, then 0`;
  });
  await context.close();
}

/** The live header's shapes of the editor's tile, as they are drawn: {name: [[x, y]…]} in parts of the picture. */
const drawnShapes = page =>
  page.locator("svg.zones").evaluate(svg => {
    const {width, height} = svg.viewBox.baseVal;
    const names = [...svg.querySelectorAll("text.name")].map(text => text.textContent).filter(text => text !== "in");
    const shapes = [...svg.querySelectorAll("[data-shape]:is(polygon, polyline:not(.reach))")];
    return Object.fromEntries(
      shapes.map((shape, index) => [names[index], [...shape.points].map(({x, y}) => [x / width, y / height])])
    );
  });

/** Draws in the first camera's picture, as an operator and as a viewer; leaves the twin as it was. */
async function drawZones(context, page) {
  const source = (await get(context, "/api/v1/sources")).find(candidate => candidate.family === "vision");
  const names = [source.device, source.module, source.stream].map(encodeURIComponent);
  const address = `${options.base}/#live/${names.join("/")}`;
  const twin_path = `/twins/${names[0]}/modules/${names[1]}?api-version=2021-04-12`;
  const twin = () => get(context, twin_path);
  const patchTwin = pipeline =>
    context.request.patch(options.base + twin_path, {
      headers: {"X-Verge": "1"},
      data: {properties: {desired: {pipeline}}},
    });
  const pipelineOf = document => document.properties.reported.verge.pipeline;
  const before = (await twin()).properties.desired.pipeline ?? null;
  const openEditor = async () => {
    await page.goto(`${options.base}/#devices`);
    await page.goto(address);
    const tile = page.locator(".tile.large");
    await tile.locator("button.edit-zones:not([disabled])").click({timeout: options.wait_ms});
    await page.locator(".zone-panel[data-busy=no] .zone-list .chip").first().waitFor({timeout: options.wait_ms});
    await page.locator("svg.zones").scrollIntoViewIfNeeded();
  };
  const save = async () => {
    await page.locator(".zone-panel [data-do=save]").click();
    await page.locator(".zone-panel").waitFor({state: "detached", timeout: options.wait_ms}).catch(async () => {
      throw new Error(`not applied: ${await page.locator(".zone-panel").innerText()}`);
    });
  };
  const at = async (x, y) => {
    const box = await page.locator("svg.zones").boundingBox();
    return [box.x + x * box.width, box.y + y * box.height];
  };

  await check("a dragged corner is saved and the module runs with it", async () => {
    await openEditor();
    const {hash} = pipelineOf(await twin());
    const chip = page.locator('.zone-list .chip[aria-label^="zone "]').first();
    const zone = (await chip.getAttribute("aria-label")).slice("zone ".length);
    await chip.click();
    const handle = await page.locator("svg.zones g.corner").first().boundingBox();
    const [left, top] = [handle.x + handle.width / 2, handle.y + handle.height / 2];
    await page.mouse.move(left, top);
    await page.mouse.down();
    await page.mouse.move(left + 20, top + 15, {steps: 4});
    await page.mouse.move(left + 40, top + 30);
    await page.mouse.up();
    // The corner has the focus now; the keyboard moves it on.
    await page.keyboard.press("ArrowLeft");
    const [x, y] = (await drawnShapes(page))[zone][0];
    await save();
    const document = await twin();
    const [saved] = document.properties.desired.pipeline.stages[zone].polygon;
    demand(Math.hypot(saved[0] - x, saved[1] - y) < 0.002, `the twin holds ${saved}, the page shows ${[x, y]}`);
    demand(pipelineOf(document).hash !== hash, "the module reports the same hash");
    await openEditor();
    await until("the moved corner in the live picture", async () => {
      const shown = (await drawnShapes(page))[zone]?.[0];
      return shown && Math.hypot(shown[0] - saved[0], shown[1] - saved[1]) < 0.002;
    });
    await page.locator(".zone-panel [data-do=cancel]").click();
    return `${zone}, first corner at ${saved}`;
  });
  await check("a new zone is drawn, saved, and runs", async () => {
    await openEditor();
    await page.locator(".zone-panel [data-do=zone]").click();
    for (const [x, y] of [[0.7, 0.7], [0.9, 0.7], [0.9, 0.9], [0.7, 0.7]]) await page.mouse.click(...(await at(x, y)));
    const field = page.locator(".zone-panel [name=zone-name]");
    await field.fill(source.stream);
    demand(await page.locator(".zone-panel [data-do=save]").isDisabled(), "a name that is taken can be saved");
    await field.fill("loading bay");
    await save();
    const document = await twin();
    const stage = document.properties.desired.pipeline.stages.loading_bay;
    demand(stage?.kind === "zone" && stage.polygon.length === 3, `the twin holds ${JSON.stringify(stage)}`);
    demand(
      pipelineOf(document).stages.some(({name}) => name === "loading bay"),
      `the module runs ${JSON.stringify(pipelineOf(document).stages)}`
    );
    await openEditor();
    await until("the new zone in the live picture", async () => "loading bay" in (await drawnShapes(page)));
    await page.locator(".zone-panel [data-do=cancel]").click();
    return `after ${stage.after}, ${JSON.stringify(stage.polygon)}`;
  });
  await check("two editors do not overwrite each other", async () => {
    await openEditor();
    await page.locator("svg.zones g.corner").first().focus();
    await page.keyboard.press("Shift+ArrowDown");
    const other = await patchTwin({stages: {loading_bay: null}});
    demand(other.ok(), `the other editor's change is answered ${other.status()}`);
    await page.locator(".zone-panel [data-do=save]").click();
    await page.locator(".zone-panel[data-busy=no] .problem", {hasText: "Somebody else"}).waitFor({timeout: options.wait_ms});
    demand(!("loading bay" in (await drawnShapes(page))), "the zone that the other one removed is still there");
    await page.locator(".zone-panel [data-do=cancel]").click();
  });
  const restored = await patchTwin(before === null ? null : {...before, stages: before.stages ?? null});
  demand(restored.ok(), `the twin cannot be restored: ${restored.status()}`);
  await check("a viewer sees no button to edit zones", async () => {
    const {context: other, page: viewers} = await newPage({width: 1280, height: 800}, "light");
    // The hub has no viewer yet; the page learns the role from these two answers.
    for (const call of ["login", "me"]) {
      await viewers.route(`**/api/v1/${call}`, async route => {
        const response = await route.fetch();
        const json = response.ok() ? {...(await response.json()), role: "viewer"} : await response.json();
        await route.fulfill({response, json});
      });
    }
    await viewers.goto(options.base);
    await logIn(viewers);
    await viewers.goto(address);
    const tile = viewers.locator(".tile.large");
    await until("pictures", async () => (await tile.count()) && (await framesOf(tile)) >= 3);
    demand((await tile.locator("button.edit-zones").count()) === 0, "the button is there");
    await other.close();
  });
}

/** Writes PLACE-WIDTHxHEIGHT-SCHEME.webp of every place. */
async function takeScreenshots() {
  await mkdir(options.screenshots, {recursive: true});
  let files = 0,
    bytes = 0;
  for (const scheme of schemes) {
    for (const size of sizes) {
      const {context, page} = await newPage(size, scheme);
      const devtools = await context.newCDPSession(page);
      const shoot = async name => {
        const {data} = await devtools.send("Page.captureScreenshot", {format: "webp", quality: 78});
        const picture = Buffer.from(data, "base64");
        await writeFile(path.join(options.screenshots, `${name}-${size.width}x${size.height}-${scheme}.webp`), picture);
        files++;
        bytes += picture.length;
        const over_px = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth
        );
        demand(over_px <= 0, `${name} at ${size.width} px is ${over_px} px too wide`);
      };
      const settle = () => page.waitForTimeout(600);
      await page.goto(options.base);
      await page.waitForSelector("body[data-session=out]");
      await shoot("login");
      await logIn(page);
      await page.waitForSelector(".tile");
      // A small window shows only some tiles, and only those are live.
      await until(
        "a moving tile",
        async () =>
          (await page
            .locator(".tile")
            .first()
            .evaluate(element => Number(element.dataset.frames))) >= 10
      );
      // A chart begins when somebody looks; where one is on the screen it gets some seconds to draw.
      await page.waitForTimeout(size.width >= 1000 ? 12_000 : 2000);
      await shoot("live");
      const telemetry = page.locator('.tile[data-family="telemetry"]').first();
      const [source, device] = [
        await telemetry.getAttribute("data-source"),
        (await telemetry.getAttribute("data-source")).split("/")[0],
      ];
      await page.goto(`${options.base}/#live/${source.split("/").map(encodeURIComponent).join("/")}`);
      await until(
        "the full view",
        async () => (await page.locator(".tile.large").count()) && (await framesOf(page.locator(".tile.large"))) >= 5
      );
      await shoot("source");
      await page.goto(`${options.base}/#events`);
      await page.waitForSelector(".event-row");
      await settle();
      await shoot("events");
      await page.locator(".event-row").first().click();
      await page.waitForSelector(".drawer pre.json");
      await shoot("event");
      await page.goto(`${options.base}/#devices`);
      await page.waitForSelector("table.devices tbody tr");
      await settle();
      await shoot("devices");
      await page.goto(`${options.base}/#devices/${encodeURIComponent(device)}`);
      await page.waitForSelector(".twin-view");
      await settle();
      await shoot("device");
      await context.close();
    }
  }
  return `${files} files, ${Math.round(bytes / 1024)} KiB, in ${options.screenshots}`;
}

try {
  await drive();
  await check("no script error, no foreign request", async () =>
    demand(faults.length === 0, faults.slice(0, 3).join("; "))
  );
} catch (error) {
  counts.failed++;
  console.log(`FAIL  driving the page: ${error.message}`);
} finally {
  await browser.close();
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed ? 1 : 0);
