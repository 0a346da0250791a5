/**
 * What the validator asks of a call of start_response (PEP 3333, "The start_response() Callable"): the
 * checks of wsgiref.validate, and those of Rack::Lint on top.
 *
 * The server checks on its own what would harm the client. Here is also what would merely not work
 * elsewhere, and each fault is told at the border where it first shows, between two middlewares as well.
 */
import { isHopByHop } from "./http_fields.ts";
import { breach } from "./wsgi.ts";
import type { Warn } from "./wsgi_validator_environ.ts";

const START = "The start_response() Callable";
const LENGTH = "Handling the Content-Length Header";

/** What a head promises of the body. */
export interface Promised {
  readonly status: number;
  /** Undefined: nothing was promised. */
  readonly contentLength: number | undefined;
}

/**
 * Checks the arguments of a call.
 * @throws {GatewayError} 500 `wsgi-start-...`, `wsgi-status-...`, `wsgi-field-...`.
 */
export function checkStart(args: readonly unknown[], isFirst: boolean, warn: Warn): Promised {
  if (args.length < 2 || args.length > 3) {
    throw fault("start-arguments", `start_response takes 2 or 3 arguments, not ${args.length}`);
  }
  const [status, headers, excInfo] = args;
  if (excInfo !== undefined && excInfo !== null && !(excInfo instanceof Error)) {
    throw fault("start-exc-info", "the third argument is neither an Error nor null");
  }
  if (!isFirst && !(excInfo instanceof Error)) {
    throw fault("start-twice", "a second call needs the error that it reports");
  }
  const code = checkStatus(status, warn);
  const fields = checkFields(headers);
  checkType(code, fields, warn);
  return { status: code, contentLength: checkLength(code, fields) };
}

function checkStatus(status: unknown, warn: Warn): number {
  if (typeof status !== "string") throw fault("status-type", "the status is no string");
  const shown = quote(status);
  if (/[^\x20-\x7e\x80-\xff]/.test(status)) {
    throw fault("status-characters", `the status ${shown} has a character that it must not have`);
  }
  const [digits = ""] = status.split(" ", 1);
  if (digits.length !== 3) {
    throw fault("status-digits", `the status ${shown} does not begin with three digits`);
  }
  if (!/^\d+$/.test(digits)) {
    throw fault("status-number", `the status ${shown} does not begin with a number`);
  }
  const code = Number(digits);
  if (code < 200 || code > 599) {
    throw fault("status-range", `the status ${shown} is not from 200 to 599`);
  }
  if (!/^\d{3} \S/.test(status)) {
    warn(`The status ${shown} should have a reason after one space (PEP 3333, "${START}")`);
  }
  return code;
}

type Field = readonly [name: string, value: string];

function checkFields(headers: unknown): readonly Field[] {
  if (!Array.isArray(headers)) throw fault("fields-type", "the headers are no array");
  return headers.map((pair: unknown) => {
    if (!Array.isArray(pair)) throw fault("field-type", "a header is no array");
    if (pair.length !== 2) throw fault("field-pair", "a header is no pair of name and value");
    const name: unknown = pair[0];
    const value: unknown = pair[1];
    if (typeof name !== "string") throw fault("field-name-type", "a header's name is no string");
    if (typeof value !== "string") {
      throw fault("field-value-type", `the value of ${quote(name)} is no string`);
    }
    checkName(name);
    checkValue(name, value);
    return [name, value];
  });
}

function checkName(name: string): void {
  const shown = quote(name);
  if (name.toLowerCase() === "status") {
    throw fault("field-status", "the status is an argument, and no header");
  }
  if (/[:\r\n]/.test(name)) {
    throw fault("field-name-mark", `the name ${shown} has a colon or line break`);
  }
  if (!/^[A-Za-z][A-Za-z0-9_-]*$/.test(name)) {
    throw fault("field-name", `the name ${shown} has more than letters, digits, - and _`);
  }
  if (/[-_]$/.test(name)) throw fault("field-name-end", `the name ${shown} ends in - or _`);
  if (isHopByHop(name.toLowerCase())) {
    const what = `${name} is the server's to send`;
    throw fault("field-hop-by-hop", what, "Other HTTP Features");
  }
}

function checkValue(name: string, value: string): void {
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f]/.test(value)) {
    throw fault("field-value-control", `the value of ${name} has a control character`);
  }
  if (/[^\0-\xff]/.test(value)) {
    const what = `the value of ${name} has a character past U+00FF`;
    throw fault("field-value-latin1", what, "A Note On String Types");
  }
}

function valuesOf(fields: readonly Field[], lowerName: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
}

/** Whether an answer of this status has no body. */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}

function checkType(code: number, fields: readonly Field[], warn: Warn): void {
  const types = valuesOf(fields, "content-type").length;
  if (isBodyless(code) && types > 0) {
    throw fault("field-content-type", `a ${code} has no content, hence no Content-Type`);
  }
  // wsgiref asserts it. RFC 9110 §8.3 only recommends it, and redirects do well without.
  if (!isBodyless(code) && types === 0) {
    warn(`The answer should have a Content-Type (RFC 9110 §8.3; PEP 3333, "${START}")`);
  }
}

function checkLength(code: number, fields: readonly Field[]): number | undefined {
  const [length, ...more] = valuesOf(fields, "content-length");
  if (length === undefined) return undefined;
  if (more.length > 0) throw fault("length-twice", "Content-Length is there twice", LENGTH);
  if (!/^\d+$/.test(length)) {
    throw fault("length-number", `Content-Length ${quote(length)} is no number of bytes`, LENGTH);
  }
  if (code === 204) throw fault("length-none", "a 204 has no Content-Length", LENGTH);
  return Number(length);
}

function fault(rule: string, what: string, section: string = START): Error {
  return breach(rule, `Cannot start this response: ${what}`, section);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
