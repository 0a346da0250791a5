/**
 * A FastCGI authorizer in front of a route of any kind (`authorize`): a wrapper around its service. The
 * authorizer is told of the request, without its body, before the kind is; what it does not let through
 * never reaches the kind, and neither does anything while it cannot be asked.
 *
 * Source: FastCGI Specification 1.0, §6.3.
 */
import { GatewayError } from "../errors.ts";
import { derived, type Exchange, type HeaderPair, type Mount, type Outcome } from "../exchange.ts";
import type { AuthorizeOptions, Context, Service, Shared } from "../handler.ts";
import { type CutListener, Lifeline } from "../lifeline.ts";
import { sortFields } from "../protocol/authorizer_reply.ts";
import {
  type EnvironPlan,
  type EnvironSink,
  mountFacts,
  planEnviron,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { byteString } from "../protocol/latin1.ts";
import type { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { resolvePath } from "../values.ts";
import { converse } from "./fastcgi_client.ts";
import { type OpenUpstream, openUpstream } from "./fastcgi_upstream.ts";

/** The request may pass, with what is now known of it. */
interface Passed {
  readonly type: "passed";
  readonly variables: readonly HeaderPair[];
}

export class Authorizer implements AsyncDisposable {
  readonly #options: AuthorizeOptions;
  readonly #context: Context;
  readonly #upstream: Shared<OpenUpstream>;
  readonly #plan: EnvironPlan;
  readonly #script: string | undefined;

  constructor(options: AuthorizeOptions, context: Context, upstream: Shared<OpenUpstream>) {
    const { script, env } = options;
    this.#options = options;
    this.#context = context;
    this.#upstream = upstream;
    this.#plan = planEnviron(env, undefined);
    const file = script && resolvePath(script, context.place.folder);
    this.#script = file === undefined ? undefined : byteString(file);
  }

  /**
   * Asks about a request.
   * @throws as {@link converse}, and GatewayError 504 `authorizer-timeout`.
   */
  async ask(exchange: Exchange, mount: Mount): Promise<Passed | Outcome> {
    // A lifeline of its own: the time that the program has begins when the program is asked.
    const lifeline = new Lifeline();
    const cut: CutListener = (reason) => lifeline.cut(reason);
    exchange.lifeline.onCut(cut);
    const timer = setTimeout(() => lifeline.cut(this.#late()), this.#options.timeoutMs);
    try {
      return await this.#ask(derived(exchange, { lifeline, body: null }), mount);
    } finally {
      clearTimeout(timer);
      exchange.lifeline.forget(cut);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstream[Symbol.asyncDispose]();
  }

  async #ask(exchange: Exchange, mount: Mount): Promise<Passed | Outcome> {
    const { options, log } = this.#context;
    const facts = { ...mountFacts(mount, undefined), scriptFilename: this.#script };
    const outcome = await converse(this.#upstream.value, {
      exchange,
      role: "authorizer",
      body: null,
      maxReplyHead: options.maxReplyHead,
      log,
      writeParams: (encoder) => {
        walkEnviron(this.#plan, exchange, facts, new Asking(encoder));
        for (const [name, value] of this.#plan.constants) encoder.pair(name, value);
      },
    });
    if (outcome.type !== "reply") return outcome;
    const { variables, headers, refused } = sortFields(outcome.headers);
    if (outcome.status !== 200) return { ...outcome, headers };
    // What else it says means nothing.
    if (outcome.body !== null && "read" in outcome.body) await drain(outcome.body);
    for (const name of refused) {
      log.notice(`The authorizer cannot set the variable ${name}: skipped`, exchange.id);
    }
    return { type: "passed", variables };
  }

  #late(): GatewayError {
    const message = `The authorizer did not decide within ${this.#options.timeoutMs} ms`;
    return new GatewayError(504, "authorizer-timeout", message);
  }
}

/** An authorizer that other routes may share the connections of. */
export async function openAuthorizer(
  options: AuthorizeOptions,
  context: Context,
): Promise<Authorizer> {
  const { connect, connectTimeoutMs } = options;
  const upstream = await openUpstream({
    connect: connect.map((address) => ({ address, backup: false })),
    connectTimeout: connectTimeoutMs,
  }, context);
  return new Authorizer(options, context, upstream);
}

/** The service, for those whom the authorizer lets through. Owns both. */
export function withAuthorizer(service: Service, authorizer: Authorizer): Service {
  return {
    timeoutMs: service.timeoutMs,
    async serve(exchange, mount) {
      const answer = await authorizer.ask(exchange, mount);
      if (answer.type !== "passed") return answer;
      const variables = [...exchange.variables ?? [], ...answer.variables];
      return await service.serve(derived(exchange, { variables }), mount);
    },
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await authorizer[Symbol.asyncDispose]();
    },
  };
}

/** §6.3: an authorizer is not told what only concerns the one who serves. */
class Asking implements EnvironSink {
  readonly #encoder: FcgiEncoder;

  constructor(encoder: FcgiEncoder) {
    this.#encoder = encoder;
  }

  set(name: string, value: string): void {
    if (!UNTOLD.has(name)) this.#encoder.pair(name, value);
  }
}

const UNTOLD: ReadonlySet<string> = new Set([
  "CONTENT_LENGTH",
  "PATH_INFO",
  "PATH_TRANSLATED",
  "SCRIPT_NAME",
]);

async function drain(body: { read(): Promise<Uint8Array | undefined> }): Promise<void> {
  while (await body.read() !== undefined);
}
