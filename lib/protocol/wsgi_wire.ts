/**
 * What a gateway and a worker say to each other (`isolate: worker`): an exchange goes over as it is, so
 * that the same code answers it there as here, and its answer comes back.
 *
 * Strategy: a message is a short tuple that begins with its verb and the number of the call that it is
 * about. Texts travel as one flat list, which the engine copies several times faster than objects; an
 * answer that is complete at once is one message. Bytes are copied, never taken away from whoever made
 * them, for an application may send the same array again and again. Pure.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteString, FileRequest, HeaderPair } from "../exchange.ts";
import type { HeadReply } from "./cgi_response.ts";

type Bytes = Uint8Array<ArrayBuffer>;
export type Words = readonly string[];

/** The body of a request: bytes if they are there, else their number, null where that is not known. */
export type BodyNotice = Bytes | { readonly length: number | null } | null;

/** What the gateway says. */
export type ToWorker =
  | readonly ["call", call: number, exchange: Words, body: BodyNotice]
  /** The next piece of the request's body, for each time that the worker asked. */
  | readonly ["piece", call: number, piece: Bytes]
  | readonly ["end", call: number]
  | readonly ["fail", call: number, fault: Words]
  /** Credit for so much of the answer's body more (wsgi_credit.ts). */
  | readonly ["more", call: number, credit: number]
  /** Nobody wants the answer any more. */
  | readonly ["cut", call: number, fault: Words]
  /** Asks for a sign of life. */
  | readonly ["ping"]
  /** Nothing more will be asked: the worker ends when it has nothing left to do. */
  | readonly ["stop"];

/** What the worker says. The verbs of {@link LAST} end a call: each call ends with exactly one of them. */
export type ToGateway =
  | readonly ["ready"]
  /** The application cannot be loaded. */
  | readonly ["refused", message: string]
  /** A complete answer: head and body. */
  | readonly ["whole", call: number, head: Words, body: Bytes]
  /** A head; the body follows. */
  | readonly ["head", call: number, head: Words]
  | readonly ["data", call: number, piece: Bytes]
  | readonly ["done", call: number]
  /** The call failed: before its head, or in the midst of its body. */
  | readonly ["broken", call: number, fault: Words]
  /** A call that was cut has let go of everything. */
  | readonly ["over", call: number]
  /** Asks for the next piece of the request's body. */
  | readonly ["pull", call: number]
  | readonly ["log", id: string, line: string]
  | readonly ["notice", id: string | undefined, message: string]
  | readonly ["pong"]
  /** The worker ends, for what nobody caught. */
  | readonly ["crash", message: string];

/** A message about a call. */
export type CallMessage = Extract<ToGateway, readonly [string, number, ...unknown[]]>;

/** A head as a list of texts: status, promised length, file, fields. */
export function encodeHead({ status, contentLength, file, headers }: HeadReply): string[] {
  const words = [String(status), String(contentLength ?? ""), file?.by ?? "", file?.value ?? ""];
  for (const [name, value] of headers) words.push(name, value);
  return words;
}

export function decodeHead(words: Words): HeadReply {
  const [status, length = "", by, value = ""] = words;
  const head: HeadReply = {
    type: "reply",
    status: Number(status),
    headers: pairsOf(words, 4, words.length),
    contentLength: length === "" ? undefined : Number(length),
  };
  return by === "path" || by === "name" ? { ...head, file: fileOf(by, value) } : head;
}

function fileOf(by: FileRequest["by"], value: ByteString): FileRequest {
  return { by, value };
}

/** The pairs that words are from one place to another. */
export function pairsOf(words: Words, from: number, to: number): HeaderPair[] {
  const pairs: HeaderPair[] = [];
  for (let at = from; at + 1 < to; at += 2) pairs.push([words[at] ?? "", words[at + 1] ?? ""]);
  return pairs;
}

const GONE = "gone";

/** An error as a list of texts. What is none of ours is the application's: its stack is what is told. */
export function encodeFault(error: unknown): string[] {
  if (error instanceof ClientGone) return [GONE];
  if (error instanceof GatewayError) {
    const { status, failure, message, detail = "", headers } = error;
    return [String(status), failure, message, detail, ...headers.flat()];
  }
  if (error instanceof ProtocolError) return ["502", error.failure, error.message];
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return ["500", "application-error", text];
}

export function decodeFault(words: Words): Error {
  const [status, failure = "", message, detail = ""] = words;
  if (status === GONE) return new ClientGone();
  return new GatewayError(Number(status), failure, message ?? "", {
    headers: pairsOf(words, 4, words.length),
    ...(detail === "" ? {} : { detail }),
  });
}

/** From this size on it is cheaper to hand a copy over than to have it copied on the way. */
const LARGE = 16_384;

/** Bytes to send, with what is to be handed over: a copy of those that are more than a few. */
export function parcel(piece: Uint8Array): {
  readonly bytes: Bytes;
  readonly transfer: ArrayBuffer[] | undefined;
} {
  if (piece.length >= LARGE) {
    const bytes = new Uint8Array(piece);
    return { bytes, transfer: [bytes.buffer] };
  }
  // A part of a larger buffer would take all of that with it.
  const { buffer } = piece;
  const whole = piece.length === buffer.byteLength && buffer instanceof ArrayBuffer;
  return { bytes: new Uint8Array(whole ? buffer : piece), transfer: undefined };
}
