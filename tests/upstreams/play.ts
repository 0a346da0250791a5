/**
 * Plays: what a probe program does, step by step. A test sends one in the field `X-Play`, so the same
 * test drives every kind of program; a route's variable PLAY goes before it. Probes that play them are
 * cgi_probe.sh, fastcgi_probe.ts and wsgi_probe.ts.
 *
 * On the wire a play is words: `name` or `name=value`, bytes outside printable ASCII as `\0ooo`, which
 * printf(1) and {@link parsePlay} both read.
 */

export type Step =
  /** A reply's head in CGI's form, and anything else that goes to the output. */
  | { readonly do: "say"; readonly value: string }
  /** One line to the error stream. */
  | { readonly do: "log"; readonly value: string }
  | { readonly do: "wait"; readonly value: string }
  /** So many bytes of {@link filling}. */
  | { readonly do: "fill"; readonly value: string }
  /** So many blocks of 1 MiB, each followed by a dot in the file PROGRESS. */
  | { readonly do: "flood"; readonly value: string }
  /** Adds a line to the file PROGRESS. */
  | { readonly do: "mark"; readonly value: string }
  /** Ends with this status. */
  | { readonly do: "exit"; readonly value: string }
  /** Sends the body back as it comes. */
  | { readonly do: "echo" }
  /** Reads the body and prints its SHA-256. */
  | { readonly do: "measure" }
  /** Prints the environ as it was given: `NAME=value` and a NUL each. */
  | { readonly do: "environ" }
  /** Ends in the midst of it all: by a signal, or by dropping the connection. */
  | { readonly do: "die" }
  /** Does nothing until it is stopped. */
  | { readonly do: "hang" };

export type Play = readonly Step[];

/** Output; `\n` ends lines. Code units are bytes. */
export const say = (value: string): Step => ({ do: "say", value });
/** A reply's head in CGI's form, with its blank line. */
export const head = (...lines: readonly string[]): Step => say([...lines, "", ""].join("\n"));
/** The head of everyday. */
export const OK: Step = head("Content-Type: text/plain");
export const log = (value: string): Step => ({ do: "log", value });
export const wait = (seconds: number): Step => ({ do: "wait", value: String(seconds) });
export const fill = (bytes: number): Step => ({ do: "fill", value: String(bytes) });
export const flood = (blocks: number): Step => ({ do: "flood", value: String(blocks) });
export const mark = (value: string): Step => ({ do: "mark", value });
export const exit = (status: number): Step => ({ do: "exit", value: String(status) });
export const ECHO: Step = { do: "echo" };
export const MEASURE: Step = { do: "measure" };
export const ENVIRON: Step = { do: "environ" };
export const DIE: Step = { do: "die" };
export const HANG: Step = { do: "hang" };

/** A play as words. */
export function formatPlay(play: Play): string {
  return play.map((step) => "value" in step ? `${step.do}=${escaped(step.value)}` : step.do)
    .join(" ");
}

/** Reads words back; throws at an unknown one. */
export function parsePlay(words: string): Play {
  return words.split(" ").filter((word) => word !== "").map((word) => {
    const mark = word.indexOf("=");
    const name = mark === -1 ? word : word.slice(0, mark);
    if (!/^(say|log|wait|fill|flood|mark|exit|echo|measure|environ|die|hang)$/.test(name)) {
      throw new Error(`No such step: ${word}`);
    }
    return { do: name, value: unescaped(word.slice(mark + 1)) } as Step;
  });
}

function escaped(value: string): string {
  return value.replace(/[^\x21-\x5b\x5d-\x7e]/g, (char) => {
    return "\\0" + char.charCodeAt(0).toString(8).padStart(3, "0");
  });
}

function unescaped(value: string): string {
  return value.replace(/\\0([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8)));
}

/** What `fill` prints. No two blocks of a power of two of it are alike in place. */
export function filling(bytes: number): Uint8Array<ArrayBuffer> {
  const line = new TextEncoder().encode("0123456789abcdef\n");
  const all = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at++) all[at] = line[at % line.length] ?? 0;
  return all;
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
