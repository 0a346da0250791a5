/**
 * Middleware under test: called as the server does, with a validator around it and one inside, whatever
 * it is asked. What either finds fails the test.
 */
import assert from "node:assert/strict";
import type { Application, FieldPair, Middleware } from "../../lib/protocol/wsgi.ts";
import { validator } from "../../lib/protocol/wsgi_validator.ts";
import { listOf, type Setting, settle, Stage } from "../support/wsgi_call.ts";

/** What came out of a middleware. */
export interface Outcome {
  readonly status: number;
  readonly headers: readonly FieldPair[];
  /** Whole: it was an array, and known at once. */
  readonly whole: boolean;
  readonly pieces: readonly Uint8Array[];
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Keeps what is written to wsgi.errors. */
class Watched extends Stage {
  readonly said: string[] = [];
  override write(text?: string): void {
    this.said.push(String(text));
  }
}

export interface Asked extends Setting {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

/** Asks an application through a middleware between two validators. */
export async function ask(
  middleware: Middleware,
  application: Application,
  { method = "GET", headers = {}, path = "/", ...setting }: Asked = {},
): Promise<Outcome> {
  const exchange = { method, headers: new Headers(headers), path, ...setting.exchange };
  const stage = new Watched({ ...setting, exchange });
  const { head, body } = await stage.run(validator(middleware(validator(application))));
  const pieces: Uint8Array[] = [];
  if (body instanceof Uint8Array) pieces.push(body);
  else for (let piece = await body.read(); piece; piece = await body.read()) pieces.push(piece);
  await settle();
  const findings = [...stage.said, ...stage.notices].filter((text) => !/Content-Type/.test(text));
  assert.deepEqual(findings, [], "the validators found something");
  return {
    status: head.status,
    headers: head.headers,
    whole: body instanceof Uint8Array,
    pieces,
    body: await new Blob(pieces.map((piece) => new Uint8Array(piece))).bytes(),
  };
}

/** The values of a field. */
export function valuesOf({ headers }: Pick<Outcome, "headers">, name: string): string[] {
  return headers.filter(([field]) => field.toLowerCase() === name.toLowerCase())
    .map(([, value]) => value);
}

export function textOf({ body }: Outcome): string {
  return new TextDecoder().decode(body);
}

/** Answers 200 with these fields and this body, in any form that an application may choose. */
export function answering(body: unknown, fields: readonly FieldPair[] = [], status = "200 OK") {
  const application = (_environ: unknown, start: Parameters<Application>[1]) => {
    const typed = fields.some(([name]) => name === "Content-Type") || /^(204|304)/.test(status);
    start(status, typed ? fields : [["Content-Type", "text/plain"], ...fields]);
    return body;
  };
  return application as Application;
}

export { listOf };
