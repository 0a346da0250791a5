/**
 * start_response's memory of one call (PEP 3333, "The start_response() Callable"): which head stands,
 * and whether it can still be replaced.
 */
import type { HeadReply } from "./cgi_response.ts";
import { breach } from "./wsgi.ts";
import { checkedHead } from "./wsgi_head.ts";

const SECTION = "The start_response() Callable";

export class Start {
  #head: HeadReply | undefined;
  #said = false;
  #sent = false;

  get isSent(): boolean {
    return this.#sent;
  }

  /**
   * Takes down a head. It counts as said even if it is refused: saying another one then is a correction,
   * which must name its reason.
   */
  say(status: unknown, headers: unknown, excInfo: unknown): void {
    const reason = checkedReason(excInfo);
    if (this.#sent && reason !== undefined) throw reason;
    if (this.#said && reason === undefined) {
      throw breach("started-twice", "Cannot start a response twice without excInfo", SECTION);
    }
    this.#said = true;
    this.#head = undefined;
    this.#head = checkedHead(status, headers);
  }

  /** The head goes out: from now on it stands. */
  send(): HeadReply {
    if (this.#head === undefined) {
      const message = "Cannot send a response that the application has not started";
      throw breach("not-started", message, SECTION);
    }
    this.#sent = true;
    return this.#head;
  }
}

function checkedReason(excInfo: unknown): Error | undefined {
  if (excInfo === undefined || excInfo === null) return undefined;
  if (excInfo instanceof Error) return excInfo;
  throw breach("exc-info", `Cannot take a ${typeof excInfo} as excInfo: pass the Error`, SECTION);
}
