/**
 * Sends spans to a collector, OTLP over HTTP as JSON (OpenTelemetry Protocol 1.x): gathered, a batch at a
 * time, one request after the other. Nobody waits for it: what a slow or missing collector leaves behind
 * is kept while there is room, and then dropped and counted.
 */
import { type Envelope, SpanBatch } from "./span_batch.ts";

export interface ExporterOptions {
  readonly endpoint: string;
  /** With what lets us in. */
  readonly headers: Headers;
  readonly envelope: Envelope;
  notice(message: string): void;
}

/** How spans fared, by number. */
export interface ExporterCounts {
  exported: number;
  /** There was no room for them, or the server stopped before they could be sent. */
  dropped: number;
  /** The collector would not have them, or not in so many tries. */
  refused: number;
}

/** Of a quarter of a megabyte each, beside the one that is on its way. */
const MAX_WAITING = 8;
const FLUSH_MS = 1000;
const TIMEOUT_MS = 10_000;
const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;
/** How long the end of the server may wait for a collector. */
const FAREWELL_MS = 3000;

/** What the collector made of a batch; `again`: it may be sent once more, after so long at least. */
type Verdict =
  | { readonly type: "taken"; readonly rejected: number }
  | { readonly type: "refused"; readonly why: string }
  | { readonly type: "again"; readonly why: string; readonly afterMs: number };

export class SpanExporter implements AsyncDisposable {
  readonly counts: ExporterCounts = { exported: 0, dropped: 0, refused: 0 };
  readonly #options: ExporterOptions;
  readonly #waiting: SpanBatch[] = [];
  /** The last one of those that wait, if it has room. */
  #filling: SpanBatch | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  readonly #stop = new AbortController();
  /** Ends a pause between two tries. */
  #hurry: (() => void) | undefined;
  #closing = false;
  #isWell = true;

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** Spans that wait to be sent. */
  get waiting(): number {
    return this.#waiting.reduce((sum, { spans }) => sum + spans, 0);
  }

  get isFull(): boolean {
    return this.#closing || (this.#filling === undefined && this.#waiting.length >= MAX_WAITING);
  }

  add(text: string, spans: number): void {
    if (this.#filling === undefined) {
      this.#filling = new SpanBatch(this.#options.envelope);
      this.#waiting.push(this.#filling);
    }
    this.#filling.add(text, spans);
    if (!this.#filling.isFull) this.#timer ??= setTimeout(() => this.#send(), FLUSH_MS);
    else {
      this.#filling = undefined;
      this.#send();
    }
  }

  drop(spans: number): void {
    this.counts.dropped += spans;
  }

  /** Sends what waits, as far as the collector takes it soon. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#hurry?.();
    const timer = setTimeout(() => this.#stop.abort(), FAREWELL_MS);
    await this.#sending;
    this.#send();
    await this.#sending;
    clearTimeout(timer);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length > 0) this.#sending ??= this.#sendAll();
  }

  /** Called when something waits. */
  async #sendAll(): Promise<void> {
    for (let batch = this.#waiting.shift(); batch !== undefined; batch = this.#waiting.shift()) {
      if (batch === this.#filling) this.#filling = undefined;
      await this.#deliver(batch.finish(), batch.spans);
      // One that is not full is left to the timer, so that each is worth its while.
      if (!this.#closing && this.#waiting[0] === this.#filling) break;
    }
    this.#sending = undefined;
    if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#send(), FLUSH_MS);
  }

  async #deliver(body: Uint8Array<ArrayBuffer>, spans: number): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    for (let tries = 1;; tries++) {
      const verdict = await this.#post(body);
      this.#tell(verdict);
      if (verdict.type === "taken") {
        this.counts.exported += spans - verdict.rejected;
        this.counts.refused += verdict.rejected;
        return;
      }
      if (verdict.type === "again" && this.#closing) return this.drop(spans);
      if (verdict.type === "refused" || tries === MAX_TRIES) {
        this.counts.refused += spans;
        return;
      }
      await this.#pause(Math.max(verdict.afterMs, pauseMs * (0.5 + Math.random())));
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }

  async #post(body: Uint8Array<ArrayBuffer>): Promise<Verdict> {
    const { endpoint, headers } = this.#options;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
    const signal = AbortSignal.any([timeout.signal, this.#stop.signal]);
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        headers,
        body,
        signal,
        redirect: "manual",
      });
      return await verdictOf(response);
    } catch (error) {
      const why = timeout.signal.aborted
        ? `no answer within ${TIMEOUT_MS / 1000} s`
        : error instanceof Error
        ? error.message
        : String(error);
      return { type: "again", why, afterMs: 0 };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says it once when something goes wrong, and once when it is over. */
  #tell(verdict: Verdict): void {
    const isWell = verdict.type === "taken";
    if (isWell === this.#isWell) return;
    this.#isWell = isWell;
    const { endpoint, notice } = this.#options;
    if (isWell) notice(`Traces go to ${endpoint} again`);
    else notice(`Cannot send traces to ${endpoint}: ${verdict.why}`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Statuses after which the same may be sent again (OTLP specification, "Retryable Response Codes"). */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

async function verdictOf(response: Response): Promise<Verdict> {
  const { status, ok, headers } = response;
  const text = await response.text();
  if (ok) return { type: "taken", rejected: rejectedBy(text) };
  const why = `it answers ${status}`;
  if (!RETRYABLE.has(status)) return { type: "refused", why };
  const seconds = Number(headers.get("retry-after") ?? 0);
  const afterMs = seconds > 0 ? Math.min(seconds * 1000, MAX_PAUSE_MS) : 0;
  return { type: "again", why, afterMs };
}

/** Partial success: how many spans the collector would not have. */
function rejectedBy(text: string): number {
  try {
    const count = Number(JSON.parse(text)?.partialSuccess?.rejectedSpans ?? 0);
    return count > 0 ? count : 0;
  } catch {
    // Not every collector answers in JSON what came in JSON.
    return 0;
  }
}
