/**
 * A folder as a border: what lies inside once all links are resolved, and what does not. Links that stay
 * inside are anybody's business; those that lead out are nobody's.
 */

export class RealFolder {
  /** As configured, without a slash at the end; `""` is the root of the file system. */
  readonly name: string;
  #real: string;

  /** Throws what the system says if there is no such folder. */
  constructor(name: string) {
    this.name = name.replace(/\/+$/, "");
    this.#real = this.#resolve();
  }

  /**
   * The place in the folder of a file whose links are resolved: `/sub/file`, or `""` for the folder itself.
   * Undefined: it lies outside.
   */
  placeOf(real: string): string | undefined {
    const place = this.#placeOf(real);
    if (place !== undefined) return place;
    // The folder may be a link itself, as deployments make them, and lead elsewhere since.
    try {
      this.#real = this.#resolve();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      return undefined;
    }
    return this.#placeOf(real);
  }

  #resolve(): string {
    return Deno.realPathSync(this.name || "/").replace(/\/+$/, "");
  }

  #placeOf(real: string): string | undefined {
    const isInside = real.startsWith(`${this.#real}/`) || real === this.#real;
    return isInside ? real.slice(this.#real.length) : undefined;
  }
}
