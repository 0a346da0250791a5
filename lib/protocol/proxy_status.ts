/**
 * `Proxy-Status` (RFC 9209): what the gateway tells of an error that it answers itself, by the registered
 * error types of §2.3. Nothing of the configuration is in it: no address, no name of an upstream, no
 * message. Only faults behind the gateway have a type; the client's own have their status.
 */
import type { HeaderPair } from "../exchange.ts";

const TYPES: Readonly<Record<string, readonly string[]>> = {
  connection_refused: ["connect-refused"],
  connection_timeout: ["connect-timeout"],
  connection_limit_reached: ["queue-full", "queue-timeout"],
  connection_terminated: ["no-output", "script-died"],
  destination_unavailable: ["connect-failed", "connect-busy", "fcgi-overloaded", "stream-refused"],
  destination_not_found: ["script-missing"],
  tls_protocol_error: ["tls-failed"],
  tls_certificate_error: ["tls-certificate"],
  http_response_incomplete: ["head-cut", "reply-cut", "body-short"],
  http_response_header_section_size: ["head-too-large"],
  http_response_transfer_coding: ["transfer-encoding", "bad-chunk"],
  http_response_timeout: ["first-byte-timeout", "timeout"],
  http_upgrade_failed: ["upgrade-failed"],
  http_protocol_error: [
    "no-head",
    "no-http2",
    "bad-field",
    "bad-status",
    "bad-location",
    "bad-content-length",
    "duplicate-field",
    "length-and-chunks",
    "fcgi-version",
    "fcgi-record",
    "fcgi-begin",
    "fcgi-pairs",
    "fcgi-cant-mpx",
    "fcgi-unknown-role",
  ],
  proxy_loop_detected: ["proxy-loop"],
};

const BY_FAILURE: ReadonlyMap<string, HeaderPair> = new Map(
  Object.entries(TYPES).flatMap(([type, failures]) =>
    failures.map((failure): [string, HeaderPair] => [
      failure,
      ["proxy-status", `portico; error=${type}`],
    ])
  ),
);

/** The field for an error of this status and name; undefined: it tells of nothing behind the gateway. */
export function proxyStatus(status: number, failure: string): HeaderPair | undefined {
  // Some names serve both sides: a bad Content-Length is a 400 where the client sent it.
  return status >= 500 ? BY_FAILURE.get(failure) : undefined;
}
