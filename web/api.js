// api.js -- the hub's HTTP API: its own calls under /api/v1 and Azure's for twins and methods.
//
// Every call resolves to the body's JSON or throws ApiError. An answer 401 calls `signedOut`, except from login itself.

const azure = "api-version=2021-04-12";
const timeout_ms = 20_000;

export class ApiError extends Error {
  constructor(call, status, code, message) {
    super(message);
    this.call = call;
    this.status = status;
    this.code = code;
  }
  get details() {
    return JSON.stringify(
      {
        call: this.call,
        status: this.status,
        code: this.code,
        message: this.message,
        at: new Date().toISOString(),
        page: location.hash,
      },
      null,
      2
    );
  }
}

let signedOut = () => {};
export function onSignedOut(callback) {
  signedOut = callback;
}

/** Azure's form is {"Message": "ErrorCode:Name;text"}, ours {"code", "message"}. */
function errorOf(call, status, body) {
  if (body?.message) return new ApiError(call, status, body.code ?? "", body.message);
  if (typeof body?.Message === "string") {
    const [head, ...rest] = body.Message.split(";");
    return new ApiError(call, status, head.replace(/^ErrorCode:/, ""), rest.join(";").trim() || body.Message);
  }
  return new ApiError(call, status, "", `The hub answered ${status}.`);
}

let role = "";
/** Whether the person who is logged in may change something; the hub refuses it otherwise. */
export const mayOperate = () => role === "operator" || role === "admin";
function known(person) {
  role = person?.role ?? "";
  return person;
}

async function call(method, path, body, {wait_ms = timeout_ms, quiet401 = false, headers = {}} = {}) {
  const name = `${method} ${path}`;
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: method === "GET" ? headers : {"Content-Type": "application/json", "X-Verge": "1", ...headers},
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(wait_ms),
    });
  } catch (error) {
    throw new ApiError(
      name,
      0,
      "unavailable",
      error.name === "TimeoutError"
        ? `The hub did not answer within ${wait_ms / 1000} s.`
        : "The hub cannot be reached; check that it runs."
    );
  }
  const text = await response.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    /* an error page in between is told by its status */
  }
  if (response.ok) return json;
  if (response.status === 401 && !quiet401) signedOut();
  throw errorOf(name, response.status, json);
}

function query(parameters) {
  const kept = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

const identity = (device, module) =>
  `/twins/${encodeURIComponent(device)}${module ? `/modules/${encodeURIComponent(module)}` : ""}`;

export const api = {
  login: (user, password) => call("POST", "/api/v1/login", {user, password}, {quiet401: true}).then(known),
  logout: () => call("POST", "/api/v1/logout"),
  me: () => call("GET", "/api/v1/me", undefined, {quiet401: true}).then(known),
  changePassword: (old, fresh) => call("POST", "/api/v1/password", {old, new: fresh}, {quiet401: true}),
  overview: () => call("GET", "/api/v1/overview"),
  devices: () => call("GET", "/api/v1/devices"),
  sources: () => call("GET", "/api/v1/sources"),
  events: filters => call("GET", `/api/v1/events${query(filters)}`),
  series: filters => call("GET", `/api/v1/series${query(filters)}`),
  joinToken: (device, minutes) => call("POST", "/api/v1/join-tokens", device ? {device, minutes} : {minutes}),
  twin: (device, module) => call("GET", `${identity(device, module)}?${azure}`),
  /** Merges into the desired properties, if the twin is still the one with this etag; else the error has status 412. */
  patchTwin: (device, module, desired, etag) =>
    call(
      "PATCH",
      `${identity(device, module)}?${azure}`,
      {properties: {desired}},
      {headers: {"If-Match": `"${etag}"`}}
    ),
  /** Resolves to {"status", "payload"} of the module's answer. */
  method: (device, module, name, payload, seconds = 30) =>
    call(
      "POST",
      `${identity(device, module)}/methods?${azure}`,
      {methodName: name, payload, responseTimeoutInSeconds: seconds, connectTimeoutInSeconds: 0},
      {wait_ms: (seconds + 5) * 1000}
    ),
};
