/**
 * What an application has written with write() and nobody has taken yet (PEP 3333, "The write()
 * Callable"). The promise of a write is the back-pressure: it resolves when the piece is taken.
 */
type Bytes = Uint8Array<ArrayBuffer>;

interface Waiting {
  readonly bytes: Bytes;
  readonly taken: () => void;
  readonly lost: (reason: Error) => void;
}

export class WriteQueue {
  readonly #waiting: Waiting[] = [];

  push(bytes: Bytes): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Applications that do not wait for their writes must not bring the process down.
    promise.catch(() => {});
    if (bytes.length === 0) resolve();
    else this.#waiting.push({ bytes, taken: resolve, lost: reject });
    return promise;
  }

  /** The oldest piece; undefined if there is none. */
  shift(): Bytes | undefined {
    const first = this.#waiting.shift();
    first?.taken();
    return first?.bytes;
  }

  /** All pieces, oldest first. */
  drain(): Bytes[] {
    const pieces: Bytes[] = [];
    for (let piece = this.shift(); piece !== undefined; piece = this.shift()) pieces.push(piece);
    return pieces;
  }

  /** No more is taken, for this reason: whoever waits learns it. */
  close(reason: Error): void {
    for (const { lost } of this.#waiting.splice(0)) lost(reason);
  }
}
