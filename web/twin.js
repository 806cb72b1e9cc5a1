// twin.js -- a twin's desired and reported properties side by side, differences marked.

import {h, state, timeAgo} from "./dom.js";

const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);
const meta = name => name === "$metadata" || name === "$version";
const rows_max = 2000;
const inline_max = 72; // longer values are folded

/** Flattens both trees into rows [{depth, name, desired, reported, branch, mark}]; mark: same, differs, missing, extra. */
export function compareTwin(desired, reported) {
  const rows = [];
  const walk = (left, right, depth) => {
    const names = new Set(
      [...Object.keys(left ?? {}), ...Object.keys(right ?? {})].filter(name => !(depth === 0 && meta(name)))
    );
    for (const name of names) {
      if (rows.length >= rows_max) return;
      const a = left?.[name],
        b = right?.[name];
      if (isObject(a) || isObject(b)) {
        const row = {depth, name, branch: true, mark: b === undefined ? "missing" : a === undefined ? "extra" : "same"};
        if ((a !== undefined && !isObject(a)) || (b !== undefined && !isObject(b))) {
          rows.push({depth, name, desired: a, reported: b, mark: "differs"});
          continue;
        }
        rows.push(row);
        const before = rows.length;
        walk(a, b, depth + 1);
        if (rows.slice(before).some(inner => inner.mark === "differs" || inner.mark === "missing")) row.mark = "inside";
      } else {
        const mark =
          a === undefined
            ? "extra"
            : b === undefined
              ? "missing"
              : JSON.stringify(a) === JSON.stringify(b)
                ? "same"
                : "differs";
        rows.push({depth, name, desired: a, reported: b, mark});
      }
    }
  };
  walk(desired ?? {}, reported ?? {}, 0);
  return rows;
}

const words = {differs: ["warn", "differs"], missing: ["wait", "not reported"]};

function value(side) {
  if (side === undefined) return h("span", {class: "quiet", "aria-label": "nothing", text: "–"});
  const text = JSON.stringify(side);
  if (text.length <= inline_max) return h("code", {text});
  const name = Array.isArray(side)
    ? side.length === 1
      ? "1 item"
      : `${side.length} items`
    : `${text.length} characters`;
  return h(
    "details",
    {class: "long"},
    h("summary", {text: name}),
    h("pre", {class: "json", text: JSON.stringify(side, null, 2)})
  );
}

/** The whole view of one twin. */
export function twinView(twin) {
  const {desired = {}, reported = {}} = twin.properties ?? {};
  const rows = compareTwin(desired, reported);
  const differences = rows.filter(row => row.mark === "differs" || (row.mark === "missing" && !row.branch));
  const side = (name, bag) => {
    const ms = Date.parse(bag.$metadata?.$lastUpdated ?? "");
    const facts = [
      bag.$version === undefined ? null : `version ${bag.$version}`,
      ms > 0 ? timeAgo(ms * 1000) : null,
    ].filter(Boolean);
    return h(
      "th",
      {scope: "col"},
      h("span", {text: name}),
      h(
        "span",
        {class: "version"},
        facts.flatMap((item, index) => (index ? [" · ", item] : [item]))
      )
    );
  };
  const body = h(
    "tbody",
    {},
    rows.map(row => {
      const cell = h("td", {class: "name"}, h("span", {text: row.name}));
      cell.style.paddingLeft = `${12 + row.depth * 16}px`;
      const mark = words[row.mark];
      return h(
        "tr",
        {class: row.mark, data: {mark: row.mark}},
        cell,
        h("td", {"data-label": "desired"}, row.branch ? null : value(row.desired)),
        h(
          "td",
          {"data-label": "reported"},
          row.branch || row.mark === "missing" ? null : value(row.reported),
          mark && !row.branch ? [" ", state(...mark)] : null
        )
      );
    })
  );
  const only = h("input", {type: "checkbox", onchange: () => table.classList.toggle("only", only.checked)});
  const table = h(
    "table",
    {class: "twin"},
    h(
      "thead",
      {},
      h("tr", {}, h("th", {scope: "col", text: "Property"}), side("Desired", desired), side("Reported", reported))
    ),
    body
  );
  const tags = Object.entries(twin.tags ?? {}).filter(([name]) => !meta(name));
  return h(
    "div",
    {class: "twin-view"},
    tags.length
      ? h(
          "p",
          {class: "facts"},
          tags.map(([name, tag]) =>
            h("span", {}, `${name} `, h("b", {text: typeof tag === "string" ? tag : JSON.stringify(tag)}))
          )
        )
      : null,
    h(
      "div",
      {class: "twin-head"},
      differences.length
        ? state("warn", differences.length === 1 ? "1 difference" : `${differences.length} differences`)
        : state("good", "no difference"),
      h("label", {class: "check"}, only, "Only differences")
    ),
    rows.length ? h("div", {class: "scroll-x"}, table) : h("p", {class: "quiet", text: "Both sides are empty."})
  );
}
