/**
 * What the validator knows of one call: how it was started, how much was sent, what is still open.
 *
 * Strategy: each validator around an application leaves its account in the environ, where the next one
 * further in finds it. So the middleware between two of them can be held to what it does with the values
 * of the application inside (PEP 3333, "Middleware Handling of Block Boundaries") and to closing it.
 */
import { breach, type Environ, type StartResponse } from "./wsgi.ts";
import type { Warn } from "./wsgi_validator_environ.ts";
import { checkStart, isBodyless, type Promised } from "./wsgi_validator_start.ts";
import { checkedWrite } from "./wsgi_validator_streams.ts";

const KEY = "portico.validator";
const DETAILS = "Specification Details";
const LENGTH = "Handling the Content-Length Header";

/**
 * Streams between application and middleware run ahead by a value at either end. A middleware that
 * collects whole answers soon exceeds that.
 */
const AHEAD = 2;

/** Whatever has to be closed. */
export interface Closable {
  readonly what: string;
}

export class Account {
  readonly warn: Warn;
  /** What was given further out, and what the next validator further in has given. */
  given = 0;
  innerGiven = 0;
  readonly #owner: object;
  readonly #parent: Account | undefined;
  readonly #isHead: boolean;
  readonly #open = new Set<Closable>();
  #starts = 0;
  #promised: Promised | undefined;
  #bytes = 0;

  /** `owner` tells validators apart: one that is called again has the same neighbours. */
  constructor(owner: object, environ: Environ, warn: Warn) {
    this.#owner = owner;
    this.#isHead = environ.REQUEST_METHOD === "HEAD";
    const found = environ[KEY];
    this.#parent = found instanceof Account ? Account.around(found, owner) : undefined;
    // Several validators would tell of the same finding.
    this.warn = this.#parent?.warn ?? warn;
    environ[KEY] = this;
  }

  /** No other validator stands further out. */
  get isOutermost(): boolean {
    return this.#parent === undefined;
  }

  /** The start_response that the application gets. */
  startFor(startResponse: StartResponse): StartResponse {
    return (...args: readonly unknown[]) => {
      const isFirst = this.#starts++ === 0;
      const promised = checkStart(args, isFirst, this.warn);
      const write = Reflect.apply(startResponse, undefined, args);
      this.#promised = promised;
      // It stands in the place of whatever was to be sent before.
      this.#bytes = 0;
      return checkedWrite(write, (bytes) => this.#count(bytes));
    };
  }

  /** Takes down a value that is given further out. */
  give(value: unknown, isStep = true): asserts value is Uint8Array {
    if (!(value instanceof Uint8Array)) {
      const message = `Cannot send a value of type ${typeof value}: it must be a Uint8Array`;
      throw breach("piece-type", message, DETAILS);
    }
    this.#checkStarted("piece-unstarted");
    this.#count(value.length);
    if (!isStep) return;
    this.given++;
    if (this.#parent !== undefined) this.#parent.innerGiven++;
    this.#checkPace();
  }

  /** The application has nothing more to give. */
  end(): void {
    this.#checkStarted("start-missing");
    const promised = this.#promised?.contentLength;
    if (promised !== undefined && this.#bytes < promised && this.#hasBody) {
      const message = `Cannot end after ${this.#bytes} of the ${promised} bytes that were promised`;
      throw breach("length-short", message, LENGTH);
    }
    this.#checkPace();
  }

  opened(result: Closable): void {
    this.#root.#open.add(result);
  }

  closed(result: Closable): void {
    this.#root.#open.delete(result);
  }

  /** Tells of what was left open further in. */
  tellOpen(): void {
    for (const { what } of this.#open) this.warn(what);
    this.#open.clear();
  }

  /** The account next to that of a validator, on the way out. */
  static around(found: Account, owner: object): Account | undefined {
    let at: Account | undefined = found;
    while (at !== undefined && at.#owner !== owner) at = at.#parent;
    return at === undefined ? found : at.#parent;
  }

  get #root(): Account {
    return this.#parent === undefined ? this : this.#parent.#root;
  }

  get #hasBody(): boolean {
    return !this.#isHead && !isBodyless(this.#promised?.status ?? 200);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (bytes === 0 || this.#isHead || this.#promised === undefined) return;
    const { status, contentLength } = this.#promised;
    if (isBodyless(status)) {
      throw breach("piece-bodyless", `Cannot send a body with a ${status}`, "Other HTTP Features");
    }
    if (contentLength === undefined || this.#bytes <= contentLength) return;
    const message = `Cannot send ${this.#bytes} bytes where ${contentLength} were promised`;
    throw breach("length-long", message, LENGTH);
  }

  #checkStarted(rule: string): void {
    if (this.#starts > 0) return;
    const message = "Cannot send a response before start_response was called";
    throw breach(rule, message, "The start_response() Callable");
  }

  #checkPace(): void {
    if (this.innerGiven - this.given <= AHEAD || !this.#hasBody) return;
    const message =
      `Cannot wait for more: the middleware took ${this.innerGiven} values and gave ` +
      `${this.given}`;
    throw breach("piece-waits", message, "Middleware Handling of Block Boundaries");
  }
}
