/**
 * HTML without injection: a template tag that escapes whatever is put into it, unless that is markup of
 * the tag's own making.
 */

/** Text that is HTML already. Only {@link html} makes it. */
export class Markup {
  readonly #text: string;
  private constructor(text: string) {
    this.#text = text;
  }

  static tag(strings: TemplateStringsArray, ...values: readonly Value[]): Markup {
    let text = strings[0] ?? "";
    values.forEach((value, i) => text += render(value) + (strings[i + 1] ?? ""));
    return new Markup(text);
  }

  /** Marks text as HTML: for constants of the program's own sources. */
  static constant(text: string): Markup {
    return new Markup(text);
  }

  toString(): string {
    return this.#text;
  }
}

/** Undefined stands for nothing, a list for its items one after another. */
export type Value = string | number | undefined | Markup | readonly Value[];

/** Builds markup; every value that is not markup is escaped, also inside quoted attributes. */
export const html: (strings: TemplateStringsArray, ...values: readonly Value[]) => Markup =
  Markup.tag;

function render(value: Value): string {
  if (value === undefined) return "";
  if (value instanceof Markup) return value.toString();
  if (typeof value === "object") return value.map(render).join("");
  return escapeHtml(String(value));
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Escapes text for element content and quoted attributes; control characters become visible ones. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => ESCAPES[char] ?? "")
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, (char) => visible(char.charCodeAt(0)));
}

/** The picture of a control character (Unicode's block U+2400). */
function visible(code: number): string {
  return String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code);
}
