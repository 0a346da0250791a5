/**
 * Lets pages of other origins use the application (WHATWG Fetch, "CORS protocol"): answers preflight
 * requests itself, and adds what browsers look for to every other answer.
 */
import type { AppResult, Environ, FieldPair, Middleware, StartResponse } from "../protocol/wsgi.ts";
import { type Fields, varyingBy, without } from "./fields.ts";

export interface CorsOptions {
  /** Origins as browsers write them (`https://example.org`), or `*`, the default, for every one. */
  readonly origins?: "*" | readonly string[];
  /** Methods beside GET, HEAD and POST; default PUT, PATCH and DELETE. */
  readonly methods?: readonly string[];
  /** Request fields; default: those that the client asks for. */
  readonly headers?: readonly string[];
  /** Response fields that scripts may read beside the safe ones. */
  readonly expose?: readonly string[];
  /** Cookies and other credentials may come along; never with `*`. */
  readonly credentials?: boolean;
  /** Seconds that a client keeps the answer to a preflight; default 600. */
  readonly maxAge?: number;
}

/** Answers preflight requests, and tells browsers which origins may read the answers. */
export function cors(options: CorsOptions = {}): Middleware {
  if (options.credentials === true && (options.origins ?? "*") === "*") {
    throw new TypeError("Cannot let every origin send credentials: list the origins");
  }
  return (application) => (environ, startResponse) => {
    const allowance = allow(options, environ);
    if (isPreflight(environ)) return answerPreflight(options, allowance, environ, startResponse);
    return application(environ, (status, headers, excInfo) => {
      const fields = [...withoutCors(headers), ...allowance.fields];
      return startResponse(status, allowance.vary(fields), excInfo);
    });
  };
}

/** What one request's origin gets to hear. */
interface Allowance {
  readonly allowed: boolean;
  readonly fields: readonly FieldPair[];
  /** Answers differ by origin, unless every one may ask. */
  vary(fields: Fields): readonly FieldPair[];
}

function allow(options: CorsOptions, environ: Environ): Allowance {
  const { origins = "*", expose = [], credentials = false } = options;
  const origin = environ.HTTP_ORIGIN;
  const vary = (fields: Fields) => origins === "*" ? fields : varyingBy(fields, "Origin");
  const known = typeof origin === "string" && (origins === "*" || origins.includes(origin));
  if (!known) return { allowed: false, fields: [], vary };
  const fields: FieldPair[] = [["Access-Control-Allow-Origin", origins === "*" ? "*" : origin]];
  if (credentials) fields.push(["Access-Control-Allow-Credentials", "true"]);
  if (expose.length > 0) fields.push(["Access-Control-Expose-Headers", expose.join(", ")]);
  return { allowed: true, fields, vary };
}

function isPreflight(environ: Environ): boolean {
  return environ.REQUEST_METHOD === "OPTIONS" && environ.HTTP_ORIGIN !== undefined &&
    environ.HTTP_ACCESS_CONTROL_REQUEST_METHOD !== undefined;
}

function answerPreflight(
  options: CorsOptions,
  { allowed, fields, vary }: Allowance,
  environ: Environ,
  startResponse: StartResponse,
): AppResult {
  const { methods = ["PUT", "PATCH", "DELETE"], maxAge = 600 } = options;
  const answer: FieldPair[] = without(fields, "access-control-expose-headers");
  if (allowed) {
    const headers = options.headers?.join(", ") ?? environ.HTTP_ACCESS_CONTROL_REQUEST_HEADERS;
    answer.push(["Access-Control-Allow-Methods", methods.join(", ")]);
    if (typeof headers === "string" && headers !== "") {
      answer.push(["Access-Control-Allow-Headers", headers]);
    }
    answer.push(["Access-Control-Max-Age", String(maxAge)]);
  }
  const varied = vary(answer);
  startResponse(
    "204 No Content",
    options.headers === undefined ? varyingBy(varied, "Access-Control-Request-Headers") : varied,
  );
  return [];
}

/** One voice: what the application says of it by itself would be there twice. */
function withoutCors(fields: Fields): FieldPair[] {
  return without(
    fields,
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
  );
}
