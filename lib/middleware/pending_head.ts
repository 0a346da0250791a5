/**
 * A head that a middleware keeps back until it knows what will become of the body (PEP 3333, "The
 * start_response() Callable" allows it: nothing is to be sent before there is a body anyway).
 */
import type { FieldPair, StartResponse, Write } from "../protocol/wsgi.ts";
import type { Fields } from "./fields.ts";

/** What becomes of the fields, by what becomes of the body. */
export interface Changes {
  plain(fields: Fields): Fields;
  changed(fields: Fields): Fields;
}

interface Said {
  readonly status: string;
  readonly fields: Fields;
  readonly excInfo: Error | null | undefined;
}

/** Nothing to send decides nothing. */
const TAKEN = Promise.resolve();

export class PendingHead {
  readonly #outer: StartResponse;
  readonly #changes: Changes;
  #said: Said | undefined;
  #write: Write | undefined;
  #isReplaced = false;

  constructor(outer: StartResponse, changes: Changes) {
    this.#outer = outer;
    this.#changes = changes;
  }

  /** The application has said a head. */
  get isSaid(): boolean {
    return this.#said !== undefined;
  }

  /** It was said, and can still go out either way. */
  get isPending(): boolean {
    return this.#said !== undefined && this.#write === undefined;
  }

  get status(): string {
    return this.#said?.status ?? "";
  }

  get fields(): Fields {
    return this.#said?.fields ?? [];
  }

  /** It was replaced when it had gone out already, hence before any body did: a plain one follows. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /** For the application. What comes too late, or twice without a reason, is for the server to judge. */
  readonly start: StartResponse = (status, fields, excInfo) => {
    const isReplacing = excInfo !== undefined && excInfo !== null;
    if (this.#said !== undefined && !isReplacing) this.plain();
    if (this.#write === undefined) {
      this.#said = { status, fields: [...fields], excInfo };
      return (data) => data.length === 0 && this.isPending ? TAKEN : this.plain()(data);
    }
    const write = this.#outer(status, this.#changes.plain(fields), excInfo);
    this.#isReplaced = true;
    return write;
  };

  /** Lets the head out for a body as it is. */
  plain(): Write {
    return this.#send((fields) => this.#changes.plain(fields));
  }

  /** Lets the head out for a body that is another. */
  changed(more: readonly FieldPair[] = []): Write {
    return this.#send((fields) => [...this.#changes.changed(fields), ...more]);
  }

  #send(change: (fields: Fields) => Fields): Write {
    if (this.#write !== undefined) return this.#write;
    if (this.#said === undefined) return () => Promise.reject(new Error("Nothing was started"));
    const { status, fields, excInfo } = this.#said;
    this.#write = this.#outer(status, change(fields), excInfo);
    return this.#write;
  }
}
