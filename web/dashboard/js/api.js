/**
 * REST calls. Answers are parsed JSON; errors become an ApiError with the server's own words (problem+json). A 401 is
 * also announced through `whenSignedOut`. Used by the pages and by live.js; relies on fetch alone.
 */

class ApiError extends Error {
  constructor(status, problem) {
    const plain = status ? `The server responded with ${status}` : "The server cannot be reached";
    super(problem.detail || problem.title || plain);
    this.status = status;
    this.problem = problem;
  }
}

const signedOut = new EventTarget();

/** Call `listener` whenever the server says that we are not signed in, or no longer. */
export function whenSignedOut(listener) {
  signedOut.addEventListener("out", listener);
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body = {}, options) => call("POST", path, body, options);
export const put = (path, body = {}, options) => call("PUT", path, body, options);
export const del = (path, options) => call("DELETE", path, undefined, options);

/** A path from parts that may hold any character, with a query string of the values that are set. */
export function url(parts, query = {}) {
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  const set = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(set).toString();
  return `/${path}${text ? `?${text}` : ""}`;
}

/** The path under which a person's label for an email is set and removed. */
export function labelPath({ email_id: id, source }) {
  return url(["emails", id, "label"], { source });
}

async function call(method, path, body, { signal, timeout = 15_000 } = {}) {
  const limit = AbortSignal.timeout(timeout);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  const init = { method, headers: { Accept: "application/json" }, signal: either };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { title: limit.aborted ? "The server did not respond in time" : undefined });
  }
  return read(response);
}

async function read(response) {
  const data = parse(await response.text());
  if (response.status === 401) signedOut.dispatchEvent(new Event("out"));
  // An unhealthy /health answers 503, and its body is the answer we want.
  if (response.ok || (response.status === 503 && data?.components)) return data;
  throw new ApiError(response.status, data ?? {});
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return { detail: text.slice(0, 200) };
  }
}
