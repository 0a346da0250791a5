/**
 * What becomes of a program's reply when the request is conditional or asks for a part: 304 and 412 by
 * the reply's own validators (RFC 9110 §13), 206 and 416 where its length is known (§14).
 *
 * Strategy: head and length go in, a plan comes out; whoever has the body follows it. A program's own
 * 206, 304 or 412 is its business: only a 200 is looked at (§13.2.1, §14.2).
 */
import type { BodyPiece, ByteString, HeaderPair } from "../exchange.ts";
import { declaredLength, fieldOf, without } from "./header_list.ts";
import { weighConditions } from "./http_conditions.ts";
import { parseHttpDate } from "./http_date.ts";
import {
  type ByteRange,
  chooseRanges,
  contentRange,
  frameSlices,
  unsatisfiedRange,
} from "./http_range.ts";

/** The question: a request's method and fields, and the head of the reply that it would get. */
export interface Question {
  readonly method: string;
  readonly asked: Headers;
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** Bytes of the body that is at hand; undefined: what Content-Length says. */
  readonly length?: number | undefined;
  /** Whether parts have to lie one after the other, each beginning after the last one's end. */
  readonly isStream: boolean;
}

export type Plan =
  /** The reply with these fields. */
  | { readonly type: "whole"; readonly headers: readonly HeaderPair[] }
  /** 304, without a body. */
  | { readonly type: "not-modified"; readonly headers: readonly HeaderPair[] }
  /** 206. */
  | {
    readonly type: "part";
    readonly headers: readonly HeaderPair[];
    readonly pieces: readonly BodyPiece[];
  }
  /** 412. */
  | { readonly type: "failed" }
  /** 416, with its Content-Range. */
  | { readonly type: "unsatisfiable"; readonly contentRange: ByteString };

/** Whether a request asks for anything but the whole, come what may. */
export function hasConditions(asked: Headers): boolean {
  // If-Range means nothing without a Range.
  return asked.has("if-none-match") || asked.has("if-modified-since") || asked.has("range") ||
    asked.has("if-match") || asked.has("if-unmodified-since");
}

/** Fields that make a request conditional or ask for a part. */
export const CONDITIONS: readonly string[] = [
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "range",
];

/** Plans the answer to a request whose reply is known. */
export function planReply(question: Question): Plan {
  const { method, asked, status, headers, length = declaredLength(headers) } = question;
  const whole: Plan = { type: "whole", headers };
  if (status !== 200 || (method !== "GET" && method !== "HEAD")) return whole;
  const modified = fieldOf(headers, "last-modified");
  const verdict = weighConditions(method, asked, {
    etag: fieldOf(headers, "etag"),
    modifiedMs: modified === undefined ? undefined : parseHttpDate(modified),
  });
  if (verdict.type === "failed") return { type: "failed" };
  if (verdict.type === "not-modified") {
    return { type: "not-modified", headers: headers.filter(isKeptBy304) };
  }
  const ranges = fieldOf(headers, "accept-ranges");
  if (length === undefined || (ranges !== undefined && ranges.toLowerCase() !== "bytes")) {
    return whole;
  }
  const range = verdict.allowsRange ? asked.get("range") : null;
  const choice = chooseRanges(range, length);
  switch (choice.type) {
    case "unsatisfiable":
      return { type: "unsatisfiable", contentRange: unsatisfiedRange(length) };
    case "slices":
      // What has flowed past does not come back; the whole is always a right answer (§14.2).
      if (!question.isStream || isOrdered(choice.slices)) {
        return planPart(choice.slices, question, length);
      }
      return whole;
    case "whole":
      return ranges === undefined
        ? { type: "whole", headers: [...headers, ["accept-ranges", "bytes"]] }
        : whole;
    default:
      return choice satisfies never;
  }
}

function isOrdered(slices: readonly ByteRange[]): boolean {
  return slices.every(({ start }, at) => start >= (slices[at - 1]?.end ?? 0));
}

/** §15.3.7. */
function planPart(slices: readonly ByteRange[], { headers }: Question, size: number): Plan {
  const others = without(headers, "content-length", "content-range");
  const [slice] = slices;
  if (slice !== undefined && slices.length === 1) {
    const own: HeaderPair[] = [
      ["content-range", contentRange(slice, size)],
      ["content-length", String(slice.end - slice.start)],
    ];
    return { type: "part", headers: [...others, ...own], pieces: slices };
  }
  const boundary = crypto.randomUUID().replaceAll("-", "");
  const type = fieldOf(headers, "content-type");
  const parts = frameSlices(slices, { size, type, boundary });
  const own: HeaderPair[] = [
    ["content-type", parts.type],
    ["content-length", String(parts.length)],
  ];
  return {
    type: "part",
    headers: [...without(others, "content-type"), ...own],
    pieces: parts.pieces,
  };
}

/** §15.4.5: the client knows what it has; it needs what guides its cache. */
function isKeptBy304([name]: HeaderPair): boolean {
  return !/^(?:content-(?!location|security|policy)|accept-ranges$)/i.test(name);
}
