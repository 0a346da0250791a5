/**
 * Which of the content codings that are at hand a client would rather have (RFC 9110 §12.5.3). No answer
 * is ever refused for its coding: what the client cannot be given otherwise it gets as it is.
 */
import type { ByteString } from "../exchange.ts";

interface Preference {
  /** In lower case, or `*`. */
  readonly coding: string;
  readonly weight: number;
}

/**
 * The coding of `available`, best first, that the field prefers; undefined: none, send it as it is.
 * Without a field that is so too: who says nothing may understand nothing.
 */
export function chooseCoding<Coding extends string>(
  field: ByteString | null,
  available: readonly Coding[],
): Coding | undefined {
  if (field === null || available.length === 0) return undefined;
  const preferences = parseField(field);
  // What is not named is as welcome as `*` is; as it is, an answer is always welcome but never sought.
  const others = preferences.find(({ coding }) => coding === "*")?.weight ?? 0;
  const weightOf = (name: string) =>
    preferences.find(({ coding }) => coding === name || coding === `x-${name}`)?.weight;
  let least = weightOf("identity") ?? 0;
  let best: Coding | undefined;
  for (const coding of available) {
    const weight = weightOf(coding) ?? others;
    // The server's own order decides between equals, and against sending it as it is.
    if (weight > least || (best === undefined && weight > 0 && weight === least)) {
      best = coding;
      least = weight;
    }
  }
  return best;
}

function parseField(field: ByteString): Preference[] {
  const preferences: Preference[] = [];
  for (const element of field.toLowerCase().split(",")) {
    const match = ELEMENT.exec(element);
    // An element that cannot be read asks for nothing.
    if (match === null) continue;
    const [, coding = "", weight = "1"] = match;
    preferences.push({ coding, weight: Number(weight) });
  }
  return preferences;
}

/** `gzip`, `br;q=0.5`, `*; q=0` (§12.4.2). */
const ELEMENT =
  /^[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*(?:;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?[ \t]*$/;
