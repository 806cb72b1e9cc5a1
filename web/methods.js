// methods.js -- direct methods: forms for those a module describes, and a free form for any other.
//
// A module describes its methods in its reported twin: {"verge": {"methods": [{name, title, parameters: [
// {name, title?, type: "choice" | "number" | "integer" | "text" | "boolean", choices?, default?, min?, max?}]}]}}.

import {api} from "./api.js";
import {h, problemBox, state} from "./dom.js";
import {number, typeWords} from "./format.js";

const methods_max = 20;

/** The described methods of a module, from its twin; what has no name is left out. */
export function describedMethods(twin) {
  const list = twin?.properties?.reported?.verge?.methods;
  return (Array.isArray(list) ? list : []).filter(method => typeof method?.name === "string").slice(0, methods_max);
}

/** [{module, method}…] of all modules of a device. Modules that cannot be read are left out. */
export async function methodsOfDevice(device, modules) {
  const twins = await Promise.all(modules.map(module => api.twin(device, module).catch(() => null)));
  return twins.flatMap((twin, index) => describedMethods(twin).map(method => ({module: modules[index], method})));
}

let fields = 0;

/** One input for one parameter; `read` gives its value, or undefined when it is left empty. */
function field(parameter) {
  const name = `field-${++fields}`;
  const title = parameter.title ?? typeWords(parameter.name);
  const fallback = parameter.default;
  if (parameter.type === "choice") {
    const group = h(
      "fieldset",
      {class: "choices"},
      h("legend", {text: title}),
      h(
        "div",
        {class: "segments"},
        (parameter.choices ?? []).map(choice =>
          h(
            "label",
            {},
            h("input", {type: "radio", name, value: String(choice), checked: choice === fallback}),
            h("span", {text: String(choice)})
          )
        )
      )
    );
    return {
      element: group,
      read: () => {
        const index = [...group.querySelectorAll("input")].findIndex(input => input.checked);
        return index < 0 ? undefined : parameter.choices[index];
      },
    };
  }
  if (parameter.type === "boolean") {
    const input = h("input", {type: "checkbox", checked: fallback === true});
    return {element: h("label", {class: "check"}, input, title), read: () => input.checked};
  }
  const numeric = parameter.type === "number" || parameter.type === "integer";
  const input = h("input", {
    type: numeric ? "number" : "text",
    step: parameter.type === "integer" ? "1" : "any",
    min: parameter.min?.toString(),
    max: parameter.max?.toString(),
    value: fallback === undefined ? null : String(fallback),
    placeholder: fallback === undefined ? "any" : null,
    title:
      parameter.min !== undefined && parameter.max !== undefined
        ? `${number(parameter.min)} to ${number(parameter.max)}`
        : null,
  });
  return {
    element: h("label", {}, title, input),
    read: () => (input.value === "" ? undefined : numeric ? Number(input.value) : input.value),
  };
}

/** Calls and shows the answer in `place`. */
async function callAndShow(place, button, device, module, name, payload, seconds) {
  button.disabled = true;
  place.replaceChildren(h("span", {class: "quiet", text: "Calling…"}));
  try {
    const answer = await api.method(device, module, name, payload, seconds);
    const good = answer.status >= 200 && answer.status < 300;
    place.replaceChildren(
      state(good ? "good" : "bad", good ? "done" : `answered ${answer.status}`),
      h("code", {class: "answer", text: JSON.stringify(answer.payload ?? null)})
    );
  } catch (error) {
    place.replaceChildren(problemBox(error, `call “${name}” on ${module || device}`));
  }
  button.disabled = false;
}

/** A form for one described method. */
export function methodForm(device, module, method) {
  const parameters = (Array.isArray(method.parameters) ? method.parameters : []).map(parameter => ({
    parameter,
    ...field(parameter),
  }));
  const answer = h("div", {class: "method-answer", role: "status"});
  const button = h("button", {class: "primary", text: parameters.length ? "Apply" : "Call"});
  return h(
    "form",
    {
      class: "method",
      data: {method: method.name},
      onsubmit: event => {
        event.preventDefault();
        const payload = {};
        for (const {parameter, read} of parameters) {
          const value = read();
          if (value !== undefined) payload[parameter.name] = value;
        }
        callAndShow(answer, button, device, module, method.name, payload, 30);
      },
    },
    h(
      "div",
      {class: "method-head"},
      h("b", {text: method.title ?? method.name}),
      h("span", {class: "quiet", text: module})
    ),
    h(
      "div",
      {class: "fields"},
      parameters.map(({element}) => element),
      button
    ),
    answer
  );
}

/** A form for any method; module is empty for the device itself. */
export function freeMethodForm(device, module, connected) {
  const name = h("input", {
    name: "method",
    required: true,
    maxLength: 100,
    spellcheck: "false",
    autocapitalize: "none",
  });
  const seconds = h("input", {type: "number", min: "5", max: "300", step: "1", value: "30"});
  const payload = h("textarea", {name: "payload", rows: 3, spellcheck: "false"});
  payload.value = "{}";
  const answer = h("div", {class: "method-answer", role: "status"});
  const button = h("button", {class: "primary", text: "Call method"});
  const check = () => {
    let problem = "";
    try {
      JSON.parse(payload.value || "null");
    } catch (error) {
      problem = `Not JSON: ${error.message}`;
    }
    payload.setCustomValidity(problem);
  };
  payload.addEventListener("input", check);
  return h(
    "form",
    {
      class: "method",
      onsubmit: event => {
        event.preventDefault();
        callAndShow(
          answer,
          button,
          device,
          module,
          name.value,
          JSON.parse(payload.value || "null"),
          Number(seconds.value)
        );
      },
    },
    h("div", {class: "fields"}, h("label", {}, "Method", name), h("label", {class: "short"}, "Timeout, s", seconds)),
    h("label", {}, "Payload (JSON)", payload),
    h(
      "div",
      {class: "actions"},
      button,
      !connected && h("span", {class: "quiet", text: "Not connected: the call will be refused."})
    ),
    answer
  );
}
