/**
 * Requests that a client sends ahead on one connection. The parser hands them out as they come; each has
 * its turn when the one before has been answered, so that what one does is done for the next
 * (RFC 9112 §9.3.2), and none has after the last: neither answered nor carried out (§9.6).
 */
interface Line {
  count: number;
  /** When whoever came last is done. */
  end: Promise<void>;
}

export class NodeTurns {
  readonly #lines = new Map<object, Line>();
  readonly #over = new WeakSet<object>();

  /** Whether something is under way on this connection. */
  isBusy(socket: object): boolean {
    return this.#lines.has(socket);
  }

  /** Nothing that comes by this connection from now on has a turn. */
  close(socket: object): void {
    this.#over.add(socket);
  }

  /** Does something when it has its turn; resolves when that is done, or will never be. */
  async take(socket: object, work: () => void | Promise<void>): Promise<void> {
    const line = this.#lines.get(socket) ?? { count: 0, end: Promise.resolve() };
    this.#lines.set(socket, line);
    const { end: before } = line;
    const { promise, resolve } = Promise.withResolvers<void>();
    line.end = promise;
    try {
      if (line.count++ > 0) await before;
      if (!this.#over.has(socket)) await work();
    } finally {
      if (--line.count === 0) this.#lines.delete(socket);
      resolve();
    }
  }
}
