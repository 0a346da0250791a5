/**
 * One request that a cache makes to the service behind it, and what becomes of the answer: kept or not,
 * while it is read or at once; a copy confirmed, replaced, or used on because no better is to be had.
 */
import { ClientGone, GatewayError } from "../errors.ts";
import type { ByteSource, Exchange, HeaderPair, Outcome, Reply } from "../exchange.ts";
import type { Lifeline } from "../lifeline.ts";
import {
  confirms,
  freshenedFields,
  keptFields,
  tagsOf,
  validatingFields,
  varyNames,
  wholeSeconds,
  withStatus,
} from "../protocol/cache_answer.ts";
import { judge, type Judgement } from "../protocol/cache_policy.ts";
import { declaredLength } from "../protocol/header_list.ts";
import { forbidsBody } from "../protocol/http_fields.ts";
import type { Flight, Landing } from "./cache_flight.ts";
import { agedFields, sized } from "./cache_hit.ts";
import { fetchingFields, isKnownClient } from "./cache_request.ts";
import type { Asked, Stored } from "./cache_store.ts";
import { discard } from "./discard.ts";
import { Recording } from "./recording.ts";
import type { ResponseCache, UnderWay } from "./response_cache.ts";
import { steadyNow } from "./steady_clock.ts";

export interface FetchOptions {
  /** Asks the service with these fields. */
  readonly serve: (headers: Headers, lifeline: Lifeline) => Outcome | Promise<Outcome>;
  readonly cache: ResponseCache;
  /** The request that gives rise to it. */
  readonly exchange: Exchange;
  readonly url: string;
  readonly asked: Asked;
  /** The stale copy, if there is one. */
  readonly stored: Stored | undefined;
  /** Why it is made (RFC 9211 §2.2). */
  readonly why: string;
  /** Those who wait for it. */
  readonly flight: Flight | undefined;
}

export interface Fetched {
  /** For whoever it was fetched for. */
  readonly outcome: Outcome;
  /** Whether the outcome still has to be cut to what the request asked for. */
  readonly isWhole: boolean;
  /** What others are given in the end. Never rejects. */
  readonly landing: Promise<Landing>;
  /** What others may be given at once. */
  readonly coming: Landing | undefined;
}

const ALONE: Promise<Landing> = Promise.resolve({ type: "alone" });
const NOTHING = new Uint8Array(0);

export class Fetch {
  readonly #options: FetchOptions;
  readonly #underWay: UnderWay;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#underWay = options.flight ?? { url: options.url, isOutdated: false };
  }

  /** Rejects as the service does, unless a stale copy may be used in its stead. */
  async run(lifeline: Lifeline): Promise<Fetched> {
    const watch = this.#options.cache.watch(this.#underWay);
    try {
      const fetched = await this.#run(lifeline);
      fetched.landing.then(watch.over);
      return fetched;
    } catch (error) {
      watch.over();
      throw error;
    }
  }

  async #run(lifeline: Lifeline): Promise<Fetched> {
    const { stored } = this.#options;
    try {
      const validating = stored && validatingFields(stored.headers);
      const outcome = await this.#ask(validating, lifeline);
      if (outcome.type !== "reply") return this.#forOne(outcome);
      if (stored === undefined) return this.#received(outcome);
      if (outcome.status >= 500 && isUsable(stored)) {
        return this.#useOn(stored, outcome) ?? this.#received(outcome);
      }
      if (outcome.status !== 304 || validating === undefined) return this.#received(outcome);
      if (confirms(outcome.headers, stored.headers)) {
        const confirmed = this.#confirmed(stored, outcome);
        if (confirmed !== undefined) return confirmed;
      }
      // It speaks of a copy that we do not have.
      const whole = await this.#ask(undefined, lifeline);
      return whole.type === "reply" ? this.#received(whole) : this.#forOne(whole);
    } catch (error) {
      const isFailure = error instanceof GatewayError ? error.status >= 500 : true;
      if (stored === undefined || !isFailure || !isUsable(stored)) throw error;
      if (lifeline.reason instanceof ClientGone) throw error;
      const used = this.#useOn(stored, undefined);
      if (used === undefined) throw error;
      return used;
    }
  }

  #ask(validating: readonly HeaderPair[] | undefined, lifeline: Lifeline) {
    const { serve, exchange } = this.#options;
    return serve(fetchingFields(exchange.headers, validating), lifeline);
  }

  #forOne(outcome: Outcome): Fetched {
    return { outcome, isWhole: false, landing: ALONE, coming: undefined };
  }

  /** A new answer. */
  #received(reply: Reply): Fetched {
    const { cache, exchange, why, flight } = this.#options;
    const { status, headers, body } = reply;
    const told = { ...reply, headers: withStatus(headers, `fwd=${why}; fwd-status=${status}`) };
    const alone: Fetched = { ...this.#forOne(told), isWhole: true };
    const judgement = reply.file === undefined ? this.#judge(status, headers) : undefined;
    const length = body instanceof Uint8Array ? body.length : declaredLength(headers);
    if (this.#underWay.isOutdated || judgement === undefined) return alone;
    if (length !== undefined && length > cache.longest) return alone;
    const note = `fwd=${why}; stored; ttl=${
      wholeSeconds(judgement.lifetimeMs - judgement.initialAgeMs)
    }`;
    const kept: Reply = { ...reply, headers: withStatus(headers, note) };
    if (body === null || body instanceof Uint8Array || forbidsBody(status)) {
      // Whoever made it may use its memory again, or hold much more of it than this.
      const bytes = body instanceof Uint8Array ? body.slice() : NOTHING;
      const landing = this.#keep(this.#copy(judgement, status, headers, bytes));
      return { outcome: kept, isWhole: true, landing: Promise.resolve(landing), coming: undefined };
    }
    if (exchange.lifeline.reason !== undefined && flight?.isAwaited !== true) return alone;
    return this.#record(kept, body, judgement, { length, headers });
  }

  /** Keeps a body while it is read. */
  #record(
    reply: Reply,
    source: ByteSource,
    judgement: Judgement,
    { length, headers }: {
      readonly length: number | undefined;
      readonly headers: Reply["headers"];
    },
  ): Fetched {
    const { cache, flight } = this.#options;
    const { status } = reply;
    const copyOf = (bytes: Uint8Array<ArrayBuffer>) =>
      this.#copy(judgement, status, headers, bytes);
    const { maxEntry } = cache.options;
    const isLong = length !== undefined && length > maxEntry;
    const recording = new Recording(source, {
      max: isLong ? -1 : maxEntry,
      overflow: () => this.#underWay.isOutdated ? undefined : cache.overflow(copyOf(NOTHING)),
      length,
      isAwaited: () => flight?.isAwaited === true,
    });
    if (flight !== undefined) flight.recording = recording;
    const landing = recording.whole.then((bytes): Landing => {
      if (bytes === undefined || this.#underWay.isOutdated) return { type: "alone" };
      return this.#keep(copyOf(bytes));
    });
    // Of a body that may outgrow the limit nobody else can be promised all.
    const coming = length === undefined || isLong || !isFresh(judgement) ? undefined : {
      type: "coming" as const,
      stored: copyOf(NOTHING),
      length,
      body: () => recording.reader(),
    };
    return { outcome: { ...reply, body: recording.reader() }, isWhole: true, landing, coming };
  }

  /** A 304: the copy holds, with what the answer says of it. Undefined: its body is lost. */
  #confirmed(stored: Stored, { headers, body }: Reply): Fetched | undefined {
    const { cache, why } = this.#options;
    discard(body, "The stored copy still holds");
    const kept = cache.bodyOf(stored);
    if (kept === undefined) return undefined;
    const merged = freshenedFields(stored.headers, headers);
    const judgement = this.#judge(stored.status, merged);
    const bytes = kept instanceof Uint8Array ? kept : stored.body;
    const copy = this.#copy(judgement ?? NO_TIME, stored.status, merged, bytes);
    let landing: Landing = { type: "alone" };
    if (judgement === undefined || this.#underWay.isOutdated) {
      cache.forget(stored);
    } else landing = this.#keep(copy);
    const outcome = this.#answer(copy, kept, `fwd=${why}; fwd-status=304`);
    return { outcome, isWhole: true, landing: Promise.resolve(landing), coming: undefined };
  }

  /** The application fails: the stale copy goes on for a while (RFC 5861 §4). Undefined: it is lost. */
  #useOn(stored: Stored, failed: Reply | undefined): Fetched | undefined {
    const body = this.#options.cache.bodyOf(stored);
    if (body === undefined) return undefined;
    if (failed !== undefined) discard(failed.body, "A stored copy is sent in this reply's stead");
    stored.retryAt = steadyNow() + RETRY_MS;
    const status = failed === undefined ? "" : `; fwd-status=${failed.status}`;
    const outcome = this.#answer(stored, body, `fwd=stale${status}; detail=stale-if-error`);
    const landing = Promise.resolve<Landing>({ type: "stored", stored });
    return { outcome, isWhole: true, landing, coming: undefined };
  }

  #answer(stored: Stored, body: Reply["body"], note: string): Reply {
    const { status } = stored;
    const headers = withStatus(agedFields(stored, steadyNow()), note);
    return { type: "reply", status, headers: sized(headers, stored, body), body };
  }

  #judge(status: number, headers: Reply["headers"]): Judgement | undefined {
    const { cache, exchange } = this.#options;
    const { headers: asked } = exchange;
    const isAuthenticated = isKnownClient(exchange);
    return judge({ asked, isAuthenticated, status, headers }, cache.options);
  }

  #copy(
    judgement: Judgement,
    status: number,
    headers: Reply["headers"],
    body: Stored["body"],
  ): Stored {
    const { url, asked } = this.#options;
    const now = steadyNow();
    const bornAt = now - judgement.initialAgeMs;
    const freshUntil = bornAt + judgement.lifetimeMs;
    return {
      url,
      status,
      headers: keptFields(headers, Date.now()),
      body,
      vary: varyNames(headers).map((name): HeaderPair => [name, asked(name)]),
      bornAt,
      freshUntil,
      staleUntil: freshUntil + judgement.staleWhileRevalidateMs,
      errorUntil: freshUntil + judgement.staleIfErrorMs,
      isForAll: judgement.isForAll,
      tags: tagsOf(headers),
      retryAt: 0,
      wasUsed: false,
      head: undefined,
    };
  }

  /** Stores a copy, and tells whether others may have it. */
  #keep(stored: Stored): Landing {
    const { cache } = this.#options;
    cache.put(stored);
    return steadyNow() < stored.freshUntil ? { type: "stored", stored } : { type: "alone" };
  }
}

/** A copy that could not be renewed is used on for so long before the next attempt. */
const RETRY_MS = 1000;

const NO_TIME: Judgement = {
  lifetimeMs: 0,
  initialAgeMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  isForAll: false,
};

function isUsable({ errorUntil }: Stored): boolean {
  return steadyNow() < errorUntil;
}

function isFresh({ lifetimeMs, initialAgeMs }: Judgement): boolean {
  return lifetimeMs > initialAgeMs;
}
