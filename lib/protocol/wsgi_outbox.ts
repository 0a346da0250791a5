/**
 * Gathers what is said within one turn of the event loop into one message: to wake the other thread costs
 * more than most of what is said to it. Pure.
 */

/** Sends messages together, with what is handed over in them. */
export type Send<Message> = (messages: readonly Message[], transfer?: ArrayBuffer[]) => void;

export class Outbox<Message> {
  readonly #send: Send<Message>;
  #messages: Message[] = [];
  #transfer: ArrayBuffer[] | undefined;
  #isOpen = false;

  constructor(send: Send<Message>) {
    this.#send = send;
  }

  /** Something was said in this turn, be it sent or not. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a message, in the order of posting, at the end of this turn. */
  post(message: Message, transfer?: readonly ArrayBuffer[]): void {
    if (!this.#isOpen) setImmediate(this.#soon);
    this.#isOpen = true;
    this.#messages.push(message);
    if (transfer !== undefined) (this.#transfer ??= []).push(...transfer);
  }

  /** Sends what there is now: what follows may block, or be the end. */
  flush(): void {
    if (this.#messages.length === 0) return;
    const messages = this.#messages;
    const transfer = this.#transfer;
    this.#messages = [];
    this.#transfer = undefined;
    this.#send(messages, transfer);
  }

  readonly #soon = (): void => {
    this.#isOpen = false;
    this.flush();
  };
}
