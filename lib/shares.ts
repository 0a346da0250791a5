/**
 * Resources that several routes, or two generations of the same route, use together: created by the
 * first who names one, closed after the last has let go. This is how pools and processes whose options
 * did not change outlive a reload.
 */
import type { Shared } from "./handler.ts";

interface Entry {
  readonly value: Promise<AsyncDisposable>;
  users: number;
}

export class Shares {
  readonly #entries = new Map<string, Entry>();

  /** A share in the resource named `key`. Whoever uses one key must create one type of resource. */
  async share<T extends AsyncDisposable>(
    key: string,
    create: () => Promise<T>,
  ): Promise<Shared<T>> {
    const known = this.#entries.get(key);
    const entry = known ?? { value: create(), users: 0 };
    this.#entries.set(key, entry);
    entry.users++;
    let released = false;
    const release = async () => {
      if (released) return;
      released = true;
      if (--entry.users > 0) return;
      this.#entries.delete(key);
      await (await entry.value)[Symbol.asyncDispose]();
    };
    try {
      // The key stands for the type: see above.
      const value = await entry.value as T;
      return { value, [Symbol.asyncDispose]: release };
    } catch (error) {
      if (--entry.users === 0) this.#entries.delete(key);
      throw error;
    }
  }
}
