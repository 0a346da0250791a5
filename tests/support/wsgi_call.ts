/** Calls WSGI applications as the handler does, with nothing around them but what a test looks at. */
import type { ByteSource, Exchange, Mount, SizedBody } from "../../lib/exchange.ts";
import { planEnviron } from "../../lib/protocol/cgi_environ.ts";
import type { Application, Environ, ErrorStream, FieldPair } from "../../lib/protocol/wsgi.ts";
import { Call, type Held } from "../../lib/protocol/wsgi_call.ts";
import type { Answer } from "../../lib/protocol/wsgi_draw.ts";
import { buildEnviron } from "../../lib/protocol/wsgi_environ.ts";
import { BodyInput } from "../../lib/protocol/wsgi_input.ts";
import { exchangeOf } from "./exchange.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

const UTF8 = new TextEncoder();

export function bytes(text: string): Bytes {
  return UTF8.encode(text);
}

/** Pieces of a result, from text. */
export function pieces(...texts: string[]): Bytes[] {
  return texts.map(bytes);
}

export const PLAIN: readonly FieldPair[] = [["Content-Type", "text/plain"]];

export interface Setting {
  readonly exchange?: Partial<Exchange>;
  readonly mount?: Partial<Mount>;
  readonly env?: Readonly<Record<string, string>>;
  readonly body?: SizedBody | null;
}

/** One call, seen from the server's side. */
export class Stage implements Held, ErrorStream {
  readonly exchange: Exchange;
  readonly environ: Environ;
  readonly notices: string[] = [];
  released = 0;
  readonly #call: Call;

  constructor({ exchange = {}, mount = {}, env = {}, body = null }: Setting = {}) {
    this.exchange = exchangeOf(exchange);
    this.#call = new Call(this.exchange, this);
    const frame = { plan: planEnviron(env, undefined), routes: Object.freeze([]) };
    this.environ = buildEnviron(frame, this.exchange, {
      mount: { scriptName: "", pathInfo: this.exchange.path, params: {}, ...mount },
      contentLength: body?.length,
      input: new BodyInput(body),
      errors: this,
      signal: this.#call.signal,
    });
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }

  /** Calls the application as the handler does. */
  run(application: Application): Answer | Promise<Answer> {
    return this.#call.run(application, this.environ);
  }

  release(): void {
    this.released++;
  }
  notice(message: string): void {
    this.notices.push(message);
  }
  write(): void {}
  writelines(): void {}
  flush(): void {}
}

/** Calls an application and waits for its head. */
export async function answerOf(application: Application, setting?: Setting): Promise<Answer> {
  return await new Stage(setting).run(application);
}

/** All of a body. */
export async function textOf({ body }: Answer): Promise<string> {
  return (await listOf(body)).join("");
}

/** A body piece by piece. */
export async function listOf(body: Bytes | ByteSource): Promise<string[]> {
  const decoder = new TextDecoder();
  if (body instanceof Uint8Array) return body.length === 0 ? [] : [decoder.decode(body)];
  const list: string[] = [];
  for (let piece = await body.read(); piece !== undefined; piece = await body.read()) {
    list.push(decoder.decode(piece));
  }
  return list;
}

/** A streamed body; fails the test if it is whole already. */
export function sourceOf({ body }: Answer): ByteSource {
  if (body instanceof Uint8Array) throw new Error("The body is no source");
  return body;
}

/** A request body that comes in these pieces. */
export function bodyOf(chunks: readonly Uint8Array[], length?: number): SizedBody {
  const left = [...chunks];
  return {
    length,
    bytes: undefined,
    read: () => Promise.resolve(left.shift()),
    close: () => {},
  };
}

/** Lets everything that is ready to happen happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}
