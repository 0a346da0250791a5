/**
 * What the Node-compatible server must not take for a request: what its parser refuses, and what that lets
 * through although HTTP/1.1 does not (RFC 9112). Such answers are written here, not by the gateway.
 */
interface Head {
  readonly httpVersion: string;
  readonly headers: { readonly "transfer-encoding"?: string | undefined };
}

/** What its parser lets through and HTTP/1.1 does not; undefined: nothing. */
export function faultOf({ httpVersion, headers }: Head): number | undefined {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return 505;
  const { "transfer-encoding": coding } = headers;
  // RFC 9112 §6: the framing of such a message cannot be trusted.
  if (coding === undefined || (httpVersion === "1.1" && /chunked$/i.test(coding))) return undefined;
  return 400;
}

/** The whole answer to what the parser could not read. */
export function refusalOf(error: Error): string {
  const code = "code" in error ? error.code : undefined;
  if (code === "HPE_HEADER_OVERFLOW") return answer("431 Request Header Fields Too Large");
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? answer("408 Request Timeout") : REFUSED;
}

function answer(status: string): string {
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
}

export const REFUSED = answer("400 Bad Request");
