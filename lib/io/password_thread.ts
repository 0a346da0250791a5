/**
 * The one thread that all routes have their passwords checked by, one after another: whoever guesses
 * passwords takes this thread's time and nobody else's. It starts with the first question.
 */
import { PASSWORD_WORKER } from "./own_program.ts";
import type { PasswordQuestion } from "./password_worker.ts";

interface Waiting {
  readonly question: PasswordQuestion;
  resolve(fits: boolean): void;
  reject(error: Error): void;
}

export class PasswordThread implements AsyncDisposable {
  readonly #line: Waiting[] = [];
  #worker: Worker | undefined;

  /** Questions that are not yet answered. */
  get length(): number {
    return this.#line.length;
  }

  /** Whether a password is the one of a hash. */
  ask(question: PasswordQuestion): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#line.push({ question, resolve, reject });
      if (this.#line.length === 1) this.#next();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new Error("The gateway closes"));
    return Promise.resolve();
  }

  #next(): void {
    const [first] = this.#line;
    if (first === undefined) return;
    this.#worker ??= this.#start();
    this.#worker.postMessage(first.question);
  }

  #start(): Worker {
    const worker = new Worker(PASSWORD_WORKER, { type: "module", name: "passwords" });
    worker.onmessage = ({ data }: MessageEvent<unknown>) => this.#hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(event.message));
    };
    return worker;
  }

  #hear(answer: unknown): void {
    const first = this.#line.shift();
    if (typeof answer === "boolean") first?.resolve(answer);
    else first?.reject(new Error(String(answer)));
    this.#next();
  }

  #fail(error: Error): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#line.splice(0)) reject(error);
  }
}
