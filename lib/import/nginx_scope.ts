/**
 * What holds in one block of nginx's configuration: its own directives, and those of the blocks around it
 * that it does not set anew; and the ledger of what became of each directive, so that none is lost without
 * a word. A directive that nobody spoke of was not taken over.
 */
import type { Directive } from "./nginx_syntax.ts";
import { KNOWN, WHY_LEFT } from "./nginx_words.ts";

/** What became of a directive. */
export interface Verdict {
  readonly directive: Directive;
  /** `moot`: nothing is lost without it. */
  readonly type: "took" | "moot" | "left";
  readonly message: string;
}

/** What became of which directive; the most telling verdict stays. */
export class Verdicts {
  /** By the words of the directive, which stay the same where its block is cut down for telling. */
  readonly #verdicts = new Map<Directive["args"], Verdict>();

  took(directive: Directive, message: string): void {
    this.#note({ directive, type: "took", message });
  }

  moot(directive: Directive, message: string): void {
    this.#note({ directive, type: "moot", message });
  }

  left(directive: Directive, message: string): void {
    this.#note({ directive, type: "left", message });
  }

  /** A directive may be looked at for several routes: what was left once stays told, else what was taken. */
  #note(verdict: Verdict): void {
    const before = this.#verdicts.get(verdict.directive.args);
    if (before === undefined || RANK[verdict.type] > RANK[before.type]) {
      this.#verdicts.set(verdict.directive.args, verdict);
    }
  }

  of(directive: Directive): Verdict {
    const said = this.#verdicts.get(directive.args);
    if (said !== undefined) return said;
    if (KNOWN.has(directive.name)) return { directive, type: "moot", message: "no route needs it" };
    const message = WHY_LEFT.get(directive.name) ?? "Portico has nothing like it";
    return { directive, type: "left", message };
  }

  has(directive: Directive): boolean {
    return this.#verdicts.has(directive.args);
  }
}

const RANK = { moot: 0, took: 1, left: 2 };

/** A block within the blocks around it. */
export class Scope {
  readonly directives: readonly Directive[];
  readonly outer: Scope | undefined;
  readonly verdicts: Verdicts;

  constructor(directives: readonly Directive[], verdicts: Verdicts, outer?: Scope) {
    this.directives = directives;
    this.verdicts = verdicts;
    this.outer = outer;
  }

  /** The block's own directives of that name. */
  own(name: string): readonly Directive[] {
    return this.directives.filter((directive) => directive.name === name);
  }

  /** Those of the nearest block that has any: nginx inherits all or none. */
  all(name: string): readonly Directive[] {
    const own = this.own(name);
    return own.length > 0 || this.outer === undefined ? own : this.outer.all(name);
  }

  /** The last of them. */
  one(name: string): Directive | undefined {
    return this.all(name).at(-1);
  }

  /** The nearest of several names that exclude each other, such as root and alias. */
  nearest(...names: readonly string[]): Directive | undefined {
    const found = this.directives.findLast(({ name }) => names.includes(name));
    return found ?? this.outer?.nearest(...names);
  }

  /** A text with the variables filled in that are known before any request; undefined: others remain. */
  expand(text: string, known: Readonly<Record<string, string>> = {}): string | undefined {
    let fails = false;
    const full = text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, bare?: string) => {
      const name = braced ?? bare ?? "";
      const value = Object.hasOwn(known, name) ? known[name] : this.#variable(name);
      fails ||= value === undefined;
      return value ?? "";
    });
    return fails ? undefined : full;
  }

  /** What `set` says, if it says it without further variables. */
  #variable(name: string): string | undefined {
    const set = this.directives.findLast((own) => own.name === "set" && own.args[0] === `$${name}`);
    if (set === undefined) return this.outer === undefined ? undefined : this.outer.#variable(name);
    const value = set.args[1];
    if (value === undefined || value.includes("$")) return undefined;
    this.verdicts.took(set, "its value is filled in");
    return value;
  }
}

/** A directive as it stands in the file, on one line. */
export function show({ name, args, block }: Directive): string {
  const words = [
    name,
    ...args.map((arg) => /^[^\s;{}"'#]+$/.test(arg) ? arg : JSON.stringify(arg)),
  ];
  const line = words.join(" ");
  return `${line.length > 90 ? `${line.slice(0, 89)}…` : line}${block === undefined ? "" : " {"}`;
}
