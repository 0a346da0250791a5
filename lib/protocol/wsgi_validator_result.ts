/**
 * What an application returned, under the validator's eye (PEP 3333, "Specification Details"): its type,
 * its values, and that it is iterated once and closed once.
 *
 * An array is checked at once and stays one, so that a server answers it as it would without the
 * validator. Of everything else each value is checked as it passes.
 */
import { type AppResult, breach } from "./wsgi.ts";
import { iterateStream } from "./wsgi_result.ts";
import type { Account, Closable } from "./wsgi_validator_call.ts";

const DETAILS = "Specification Details";
const NOT_CLOSED = "The result of the application was not closed: whoever calls an application " +
  `has to call close() in the end (PEP 3333, "${DETAILS}")`;

/** Tells of results that went out of reach without being closed. */
const lost = new FinalizationRegistry<() => void>((tell) => tell());

/** @throws {GatewayError} 500 `wsgi-result-...`. */
export function checkedResult(result: unknown, account: Account): AppResult {
  if (result === undefined || result === null || result === false) {
    throw fault("missing", `${result} is no result: return [] if there is nothing to send`);
  }
  if (typeof result === "string") throw fault("string", "a string is none: return [bytes]");
  if (ArrayBuffer.isView(result) || result instanceof ArrayBuffer) {
    throw fault("bytes", "bare bytes are none: return [bytes]");
  }
  if (Array.isArray(result)) return checkedArray(result, account);
  if (result instanceof ReadableStream) {
    return new CheckedAsync(result, () => iterateStream(result), account);
  }
  if (isAsyncIterable(result)) {
    return new CheckedAsync(result, () => result[Symbol.asyncIterator](), account);
  }
  if (isIterable(result)) return new CheckedSync(result, () => result[Symbol.iterator](), account);
  throw fault("iterable", `a ${typeof result} that cannot be iterated is none`);
}

function checkedArray(result: readonly unknown[], account: Account): AppResult {
  const pieces = result.map((value) => {
    account.give(value, false);
    return value;
  });
  account.end();
  if (!("close" in result)) return pieces;
  const checked = new Checked(result, account);
  return Object.assign(pieces, { close: () => checked.close() });
}

/** The end of a result, which comes once. */
class Checked {
  readonly #result: object;
  readonly #account: Account;
  readonly #entry: Closable = { what: NOT_CLOSED };
  #iterated = false;
  #closed = false;
  /** What an iterator does to end its work. */
  #returning: unknown;

  constructor(result: object, account: Account) {
    this.#result = result;
    this.#account = account;
    account.opened(this.#entry);
    const { warn } = account;
    lost.register(this, () => warn(NOT_CLOSED), this.#entry);
  }

  close(): unknown {
    if (this.#closed) throw fault("closed-twice", "its close() was called twice");
    this.#closed = true;
    lost.unregister(this.#entry);
    this.#account.closed(this.#entry);
    const closing = this.#closeInner();
    if (!this.#account.isOutermost) return closing;
    const over = Promise.allSettled([closing, this.#returning]);
    return over.then(() => this.#account.tellOpen()).then(() => closing);
  }

  protected begin(): void {
    if (this.#closed) throw fault("after-close", "it was iterated after its close()");
    if (this.#iterated) throw fault("iterated-twice", "it was iterated twice");
    this.#iterated = true;
  }

  protected step<Step extends IteratorResult<unknown>>(step: Step): Step {
    if (step.done === true) this.#account.end();
    else this.#account.give(step.value);
    return step;
  }

  protected checkOpen(): void {
    if (this.#closed) throw fault("after-close", "it was iterated after its close()");
  }

  protected returned<T>(returning: T): T {
    this.#returning = returning;
    return returning;
  }

  #closeInner(): unknown {
    const result = this.#result;
    if ("close" in result && typeof result.close === "function") return result.close();
    // The platform's own streams have no close().
    if (result instanceof ReadableStream && !result.locked) return result.cancel();
    return undefined;
  }
}

class CheckedSync extends Checked implements Iterable<Uint8Array> {
  readonly #open: () => Iterator<unknown>;

  constructor(result: object, open: () => Iterator<unknown>, account: Account) {
    super(result, account);
    this.#open = open;
  }

  [Symbol.iterator](): Iterator<Uint8Array> {
    this.begin();
    const inner = this.#open();
    return {
      next: () => {
        this.checkOpen();
        return bytesOf(this.step(inner.next()));
      },
      return: () => {
        this.returned(inner.return?.());
        return { done: true, value: undefined };
      },
    };
  }
}

class CheckedAsync extends Checked implements AsyncIterable<Uint8Array> {
  readonly #open: () => AsyncIterator<unknown>;
  #busy = false;

  constructor(result: object, open: () => AsyncIterator<unknown>, account: Account) {
    super(result, account);
    this.#open = open;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    this.begin();
    const inner = this.#open();
    return {
      next: () => this.#next(inner),
      return: async () => {
        await this.returned(inner.return?.());
        return { done: true, value: undefined };
      },
    };
  }

  async #next(inner: AsyncIterator<unknown>): Promise<IteratorResult<Uint8Array>> {
    this.checkOpen();
    if (this.#busy) throw fault("overlap", "a value was asked for before the last had come");
    this.#busy = true;
    try {
      return bytesOf(this.step(await inner.next()));
    } finally {
      this.#busy = false;
    }
  }
}

/** A step that was checked. */
function bytesOf({ done, value }: IteratorResult<unknown>): IteratorResult<Uint8Array> {
  if (done !== true && value instanceof Uint8Array) return { done: false, value };
  return { done: true, value: undefined };
}

function isIterable(value: unknown): value is object & Iterable<unknown> {
  return typeof value === "object" && value !== null &&
    typeof Reflect.get(value, Symbol.iterator) === "function";
}

function isAsyncIterable(value: unknown): value is object & AsyncIterable<unknown> {
  return typeof value === "object" && value !== null &&
    typeof Reflect.get(value, Symbol.asyncIterator) === "function";
}

function fault(rule: string, what: string): Error {
  return breach(`result-${rule}`, `Cannot use the application's result: ${what}`, DETAILS);
}
