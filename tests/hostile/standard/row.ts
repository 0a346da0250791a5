/**
 * How the tables of what the standards ask are written, and the judge of what came of a row. Unlike
 * `requests/`, which holds what Portico does, these hold what any server in its place should do, whoever
 * it is: the same rows are played against others.
 */
import type { Outcome } from "./play.ts";

/**
 * The section that asks for it, what is sent, its bytes (the control request follows them, but for
 * {@link alone}), and what passes: one of these is enough.
 */
export type Row = readonly [section: string, what: string, sends: string, ...passes: Pass[]];

/** Something that may come of a row and be right. */
export interface Pass {
  /**
   * The statuses, in order: `+` for the control request's own answer, `-` where the connection was closed
   * without any, `cut` behind one whose end did not come, `?` where the server waits for more. Without `+`
   * or `?` the connection was closed.
   */
  readonly answers: RegExp;
  /** All that reached the application whole, as `METHOD target "body"`; nothing, if it is not said. */
  readonly seen?: readonly string[];
  /** What stands in the head that reached the application first. */
  readonly head?: RegExp;
  /** What does not. */
  readonly headless?: RegExp;
  /** What stands in the answers. */
  readonly text?: RegExp;
}

/** Whether it is right. */
export function passes([, , , ...all]: Row, { answers, seen, heads, text }: Outcome): boolean {
  const [head = ""] = heads;
  return all.some((pass) =>
    pass.answers.test(answers) &&
    seen.join("\n") === (pass.seen ?? []).join("\n") &&
    (pass.head?.test(head) ?? true) &&
    !(pass.headless?.test(head) ?? false) &&
    (pass.text?.test(text) ?? true)
  );
}

/** The name that a row has in lists. */
export function nameOf([section, what]: Row): string {
  return `${section}: ${what}`;
}

const ALONE = "\0alone";

/** Bytes that no control request follows. */
export function alone(sends: string): string {
  return sends + ALONE;
}

/** A row's bytes, and whether the control request follows. */
export function bytesOf([, , sends]: Row): { sends: string; isAlone: boolean } {
  const isAlone = sends.endsWith(ALONE);
  return { sends: isAlone ? sends.slice(0, -ALONE.length) : sends, isAlone };
}

/** It is answered, and the connection goes on. */
export function served(...seen: string[]): Pass {
  return { answers: /^200 \+$/, seen };
}

/** It is answered, and the connection ends. */
export function servedLast(...seen: string[]): Pass {
  return { answers: /^200$/, seen };
}

/** "400" where the standard names it. */
export const BAD: Pass = { answers: /^400( \+)?$/ };
export const BAD_LAST: Pass = { answers: /^400$/ };
/** An error of the server's choice. */
export const REFUSED: Pass = { answers: /^[45]\d\d( \+)?$/ };
/** The same, and the connection ends: where the next request begins is not known. */
export const REFUSED_LAST: Pass = { answers: /^[45]\d\d$/ };
/** A body that breaks off may end the connection without a word (RFC 9112 §8), or never come to its end. */
export const NOT_WHOLE: Pass = { answers: /^([45]\d\d( \?)?|-|\?|\d{3} cut)$/ };
