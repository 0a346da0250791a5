/**
 * Fields of a reply as the list that they travel in (RFC 9110 §5.2, §5.3): finding, leaving out, and
 * adding to one. Names are compared without regard to case; order is kept.
 */
import type { ByteString, HeaderPair } from "../exchange.ts";

type Headers = readonly HeaderPair[];

function isNamed(name: string, lowerName: string): boolean {
  return name === lowerName ||
    (name.length === lowerName.length && name.toLowerCase() === lowerName);
}

/** All values of a field as one (§5.3); undefined if it is absent. `lowerName` is in lower case. */
export function fieldOf(headers: Headers, lowerName: string): ByteString | undefined {
  let value: ByteString | undefined;
  for (const [name, one] of headers) {
    if (isNamed(name, lowerName)) value = value === undefined ? one : `${value}, ${one}`;
  }
  return value;
}

/** The length that Content-Length declares; undefined: none, or none that can be read. */
export function declaredLength(headers: Headers): number | undefined {
  const value = fieldOf(headers, "content-length");
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** The fields but for those. `lowerNames` are in lower case. */
export function without(headers: Headers, ...lowerNames: readonly string[]): HeaderPair[] {
  return headers.filter(([name]) => !lowerNames.includes(name.toLowerCase()));
}

/** The items of a field that is a list of plain tokens, in lower case. */
export function tokensOf(headers: Headers, lowerName: string): string[] {
  return fieldOf(headers, lowerName)?.toLowerCase().split(",")
    .map((token) => token.trim()).filter((token) => token !== "") ?? [];
}

/** The fields, with Vary naming one more (§12.5.5). */
export function varyingBy(headers: Headers, fieldName: string): HeaderPair[] {
  const named = tokensOf(headers, "vary");
  if (named.includes("*") || named.includes(fieldName.toLowerCase())) return [...headers];
  const before = fieldOf(headers, "vary");
  const all = named.length === 0 ? fieldName : `${before}, ${fieldName}`;
  return [...without(headers, "vary"), ["vary", all]];
}

/** The fields, each ETag made weak: the same content, perhaps in other bytes (§8.8.1). */
export function weakened(headers: Headers): HeaderPair[] {
  return headers.map(([name, value]) =>
    isNamed(name, "etag") && value.startsWith('"') ? [name, `W/${value}`] : [name, value]
  );
}
