/**
 * The receiving half of a FastCGI conversation: takes the records of one request off its connection,
 * gives out STDOUT, sends STDERR to the log, and heeds the protocol's own verdict.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { GatewayError, ProtocolError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import { formatAddress } from "../fields.ts";
import type { ServiceLog } from "../handler.ts";
import type { FcgiRecord, FcgiRole } from "../protocol/fastcgi.ts";
import { wholeReply } from "../protocol/fastcgi_whole.ts";
import type { Arrival, FcgiLink } from "./fastcgi_connection.ts";
import { ProgramLog } from "./program_log.ts";

/** The failure of an application that takes no more requests. */
export const OVERLOADED = "fcgi-overloaded";

/** What the receiving half needs of a request. */
export interface Awaited {
  readonly exchange: Exchange;
  readonly role: FcgiRole;
  readonly log: ServiceLog;
}

export class FcgiReply {
  /** Something was read: the application has seen the request. */
  heard = false;
  /** The empty STDOUT record came: the body is whole. */
  stdoutEnded = false;
  /** END_REQUEST came. */
  ended = false;
  /** Something came behind the end: whose, nobody knows. */
  spoilt = false;
  /** END_REQUEST said that the connection cannot be shared (§5.5), which this request does. */
  unshared = false;
  readonly #link: FcgiLink;
  readonly #request: Awaited;
  #stderr: ProgramLog | undefined;

  constructor(link: FcgiLink, request: Awaited) {
    this.#link = link;
    this.#request = request;
  }

  /** The first lines that came on STDERR. */
  get excerpt(): string {
    return this.#stderr?.excerpt ?? "";
  }

  /** The upstream's address, for messages. */
  get where(): string {
    return formatAddress(this.#link.address);
  }

  closeLog(): void {
    this.#stderr?.end();
  }

  /**
   * Takes the next bytes off the connection and gives the STDOUT among them, moved together in place;
   * undefined at the connection's end.
   */
  async receive(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.take(await this.#link.receive());
  }

  /** {@link receive}, of bytes that were taken off already. */
  take(arrival: Arrival): Uint8Array<ArrayBuffer> | undefined {
    this.#request.exchange.lifeline.throwIfCut();
    if (arrival === undefined) return undefined;
    const { decoder, requestId } = this.#link;
    const whole = this.heard ? undefined : wholeReply(arrival, requestId);
    this.heard = true;
    if (whole !== undefined) {
      this.ended = true;
      return whole;
    }
    decoder.push(arrival);
    let start = 0;
    let end = 0;
    for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
      const content = this.#heed(record);
      if (content === undefined) continue;
      const from = content.byteOffset - arrival.byteOffset;
      if (end === 0) start = end = from;
      else if (from !== end) arrival.copyWithin(end, from, from + content.length);
      end += content.length;
    }
    return arrival.subarray(start, end);
  }

  /** Acts on a record; gives the content of STDOUT. */
  #heed(record: FcgiRecord): Uint8Array<ArrayBuffer> | undefined {
    if (this.ended) {
      this.spoilt = true;
      return undefined;
    }
    if ("id" in record && record.id !== this.#link.requestId) {
      this.#notice(`${this.where} sent a ${record.type} record for request ${record.id}: skipped`);
      return undefined;
    }
    switch (record.type) {
      case "stdout":
        // §3.3: what comes behind a stream's end is none of it, in one read or in two.
        if (this.stdoutEnded && record.content.length > 0) this.spoilt = true;
        if (record.content.length === 0) this.stdoutEnded = true;
        return this.stdoutEnded ? undefined : record.content;
      case "stderr":
        this.#stderr ??= new ProgramLog(this.#request.log, this.#request.exchange.id);
        this.#stderr.push(record.content);
        return undefined;
      case "end-request":
        this.#end(record);
        return undefined;
      // Answers to questions that were not asked are no fault (§4.2).
      case "get-values-result":
      case "unknown-type":
        return undefined;
      default:
        this.#notice(`${this.where} sent a record of type ${typeOf(record)}: skipped`);
        return undefined;
    }
  }

  /** §5.5: the protocol's own verdict. */
  #end(record: Extract<FcgiRecord, { type: "end-request" }>): void {
    this.ended = true;
    this.#stderr?.end();
    switch (record.protocolStatus) {
      case "request-complete":
        if (record.appStatus !== 0) {
          this.#notice(`${this.where} ended with application status ${record.appStatus}`);
        }
        return;
      case "overloaded":
        throw new GatewayError(503, OVERLOADED, `${this.where} is overloaded`, {
          headers: [["retry-after", "1"]],
        });
      case "cant-mpx-conn":
        this.unshared = this.#link.isShared;
        if (this.unshared) return;
        throw new ProtocolError("fcgi-cant-mpx", `${this.where} refuses a second request`);
      case "unknown-role":
        throw new ProtocolError(
          "fcgi-unknown-role",
          `${this.where} does not take the role of a ${this.#request.role}`,
        );
      default:
        return record.protocolStatus satisfies never;
    }
  }

  #notice(message: string): void {
    this.#request.log.notice(message, this.#request.exchange.id);
  }
}

function typeOf(record: FcgiRecord): string {
  return record.type === "unrecognised" ? String(record.number) : record.type;
}
