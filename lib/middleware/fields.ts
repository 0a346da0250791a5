/**
 * Response fields as middleware handles them: lists of pairs, compared by name without regard to case,
 * and never changed in place, since they are the application's (PEP 3333, "The start_response()
 * Callable").
 */
import type { FieldPair } from "../protocol/wsgi.ts";

export type Fields = readonly FieldPair[];

/** The first value of a field. `lowerName` is in lower case, as in all these. */
export function valueOf(fields: Fields, lowerName: string): string | undefined {
  return fields.find(([name]) => name.toLowerCase() === lowerName)?.[1];
}

/** All fields but those of these names. */
export function without(fields: Fields, ...lowerNames: readonly string[]): FieldPair[] {
  return fields.filter(([name]) => !lowerNames.includes(name.toLowerCase()));
}

/** The fields, with one more name that the answer varies by (RFC 9110 §12.5.5). */
export function varyingBy(fields: Fields, name: string): FieldPair[] {
  const names = fields.filter(([field]) => field.toLowerCase() === "vary")
    .flatMap(([, value]) => value.split(",")).map((one) => one.trim().toLowerCase());
  if (names.includes("*") || names.includes(name.toLowerCase())) return [...fields];
  return [...fields, ["Vary", name]];
}
