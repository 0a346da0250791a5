/** What the fuzzer throws itself at, and what must hold whatever comes. */
import assert from "node:assert/strict";
import { ConfigError, GatewayError, ProtocolError } from "../../../lib/errors.ts";
import type { HeaderPair } from "../../../lib/exchange.ts";
import { isFieldValue, isToken } from "../../../lib/protocol/http_fields.ts";
import { cutAtRandom, type Random } from "./random.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export interface Target {
  readonly name: string;
  /** Where it begins from: Latin-1. */
  readonly seeds: readonly string[];
  /** Words of its grammar. */
  readonly words: readonly string[];
  /** Throws if something does not hold, or anything but a fault that the codec tells of. */
  run(input: Bytes, random: Random): void;
}

/** What a codec makes of bytes: a value, or the name of its fault. */
export function told<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProtocolError) return `fault ${error.failure}`;
    if (error instanceof GatewayError) return `refused ${error.status} ${error.failure}`;
    if (error instanceof ConfigError) return "faulty";
    throw error;
  }
}

/** A decoder tells the same of all bytes at once and of the same bytes in any cuts. */
export function sameInAnyCut<T>(
  input: Bytes,
  random: Random,
  decode: (pieces: Iterable<Bytes>) => T,
): T | string {
  const whole = told(() => decode([input.slice()]));
  for (let count = 0; count < 2; count++) {
    assert.deepEqual(told(() => decode(cutAtRandom(input, random))), whole);
  }
  return whole;
}

/** Fields that may go to the runtime: a control character in one would end the process. */
export function assertClean(headers: readonly HeaderPair[]): void {
  for (const [name, value] of headers) {
    assert.ok(isToken(name) && isFieldValue(value), JSON.stringify([name, value]));
  }
  new Headers(headers.map(([name, value]): [string, string] => [name, value]));
}
