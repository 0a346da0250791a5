/**
 * An application in TypeScript that is called where this code runs: in the gateway itself, or in a worker
 * (wsgi_worker.ts). What it writes to `wsgi.errors` goes to the log, line by line.
 */
import type { Exchange, Mount, SizedBody } from "../exchange.ts";
import type { ServiceLog, Stateful } from "../handler.ts";
import { planEnviron } from "../protocol/cgi_environ.ts";
import type { ErrorStream, RouteView } from "../protocol/wsgi.ts";
import { Call, type Held } from "../protocol/wsgi_call.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { buildEnviron, type EnvironFrame } from "../protocol/wsgi_environ.ts";
import { FetchCall, type Fetched } from "../protocol/wsgi_fetch_call.ts";
import { BodyInput } from "../protocol/wsgi_input.ts";
import { ProgramLog } from "./program_log.ts";
import type { Loaded } from "./wsgi_module.ts";

/** Whatever answers a route's requests. Disposed after the last one has ended. */
export interface Callee extends AsyncDisposable, Partial<Stateful> {
  /** Rejects with, or throws, what went wrong before there was a head. */
  call(exchange: Exchange, mount: Mount, body: SizedBody | null): Fetched | Promise<Fetched>;
}

/** What an application is called with. */
export interface Surroundings {
  /** Variables added to the environ. */
  readonly env: Readonly<Record<string, string>>;
  readonly routes: readonly RouteView[];
  readonly multiprocess: boolean;
  /** Whether nothing needs a look at the answers' bodies. */
  readonly passesOn: boolean;
  readonly log: ServiceLog;
}

/** Readies what was loaded to be called. */
export function inlineCallee(loaded: Loaded, surroundings: Surroundings): Callee {
  return loaded.type === "application"
    ? new InlineApplication(loaded.application, surroundings)
    : new InlineFetch(loaded.handler, surroundings.passesOn);
}

type ApplicationOf = Extract<Loaded, { type: "application" }>["application"];
type HandlerOf = Extract<Loaded, { type: "fetch" }>["handler"];

class InlineApplication implements Callee {
  readonly #application: ApplicationOf;
  readonly #frame: EnvironFrame;
  readonly #log: ServiceLog;

  constructor(application: ApplicationOf, { env, routes, multiprocess, log }: Surroundings) {
    this.#application = application;
    this.#frame = { plan: planEnviron(env, undefined), routes, multiprocess };
    this.#log = log;
  }

  call(exchange: Exchange, mount: Mount, body: SizedBody | null): Answer | Promise<Answer> {
    const held = new Belongings(exchange.id, body, this.#log);
    const call = new Call(exchange, held);
    const environ = buildEnviron(this.#frame, exchange, {
      mount,
      contentLength: body?.length,
      input: new BodyInput(body),
      errors: held.errors,
      signal: call.signal,
    });
    return call.run(this.#application, environ);
  }

  /** The last request has ended, and with it the application's last call. */
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A fetch handler with nothing around it, which gets a Request and no environ. */
class InlineFetch implements Callee {
  readonly #handler: HandlerOf;
  readonly #passesOn: boolean;

  constructor(handler: HandlerOf, passesOn: boolean) {
    this.#handler = handler;
    this.#passesOn = passesOn;
  }

  call(exchange: Exchange, mount: Mount, body: SizedBody | null): Fetched | Promise<Fetched> {
    return new FetchCall(exchange, mount, body, this.#passesOn).run(this.#handler);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What a call holds: its request's body, and what it writes to wsgi.errors. */
class Belongings implements Held {
  readonly errors: ErrorText;
  readonly #id: string;
  readonly #body: SizedBody | null;
  readonly #log: ServiceLog;

  constructor(id: string, body: SizedBody | null, log: ServiceLog) {
    this.#id = id;
    this.#body = body;
    this.#log = log;
    this.errors = new ErrorText(id, log);
  }

  release(): void {
    this.#body?.close();
    ErrorText.end(this.errors);
  }

  notice(message: string): void {
    this.#log.notice(message, this.#id);
  }
}

const UTF8 = new TextEncoder();

/** `wsgi.errors`: text becomes log lines, as a program's error stream does, with the same limits. */
class ErrorText implements ErrorStream {
  readonly #id: string;
  readonly #log: ServiceLog;
  /** Made with the first text, which most calls never write. */
  #lines: ProgramLog | undefined;

  constructor(id: string, log: ServiceLog) {
    this.#id = id;
    this.#log = log;
  }

  write(text: string): void {
    this.#lines ??= new ProgramLog(this.#log, this.#id);
    this.#lines.push(UTF8.encode(String(text)));
  }

  writelines(lines: Iterable<string>): void {
    for (const line of lines) this.write(line);
  }

  flush(): void {
    this.#lines?.end();
  }

  /** Not the application's to call, hence no method. */
  static end(errors: ErrorText): void {
    errors.#lines?.end();
  }
}
