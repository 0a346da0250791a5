/**
 * A shared cache in front of any service (`cache`; RFC 9111): what may be used again is kept in memory
 * and answered from there; what many ask for at once is asked for once.
 *
 * Strategy: a hit costs a look into a map and no promise; all that a reply's fields say was weighed when
 * it was stored. Conditions and ranges are met from the copy, and what fetches one asks for it whole.
 */
import { ClientGone, GatewayError } from "../errors.ts";
import {
  derived,
  type Exchange,
  type Mount,
  type Outcome,
  type Reply,
  type ReplyBody,
} from "../exchange.ts";
import type { Service, ServiceLog, Shared } from "../handler.ts";
import { changedUrls, withStatus } from "../protocol/cache_answer.ts";
import { hasConditions } from "../protocol/conditional_reply.ts";
import { Fetch, type Fetched } from "./cache_fetch.ts";
import { Flight, type Landing, withinCut } from "./cache_flight.ts";
import { agedFields, hit, refuseUnlessStored, sized, suits } from "./cache_hit.ts";
import { askedBy, isKnownClient, urlOf } from "./cache_request.ts";
import type { Stored } from "./cache_store.ts";
import { conditionalReply } from "./conditional.ts";
import type { ResponseCache } from "./response_cache.ts";
import { steadyNow } from "./steady_clock.ts";

export interface CacheSurroundings {
  readonly log: ServiceLog;
  /** The form in which requests differ by Accept-Encoding; undefined: as they write it. */
  readonly codingOf?: ((acceptEncoding: string | null) => string) | undefined;
  /** The longest that a renewal in the background may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** The service behind a cache. Owns both. */
export function withCache(
  service: Service,
  cache: Shared<ResponseCache>,
  surroundings: CacheSurroundings,
): Service {
  const cached = new CachedService(service, cache.value, surroundings);
  return {
    timeoutMs: service.timeoutMs,
    serve: (exchange, mount) => cached.serve(exchange, mount),
    async [Symbol.asyncDispose]() {
      await cached.settle();
      await service[Symbol.asyncDispose]();
      await cache[Symbol.asyncDispose]();
    },
  };
}

/** RFC 9110 §9.2.1. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** A request on its way through the cache. */
interface Asking {
  readonly exchange: Exchange;
  readonly mount: Mount;
  readonly url: string;
  readonly asked: (lowerName: string) => string;
}

class CachedService {
  readonly #service: Service;
  readonly #cache: ResponseCache;
  readonly #surroundings: CacheSurroundings;
  /** Renewals in the background. */
  readonly #renewals = new Map<Flight, Promise<unknown>>();

  constructor(service: Service, cache: ResponseCache, surroundings: CacheSurroundings) {
    this.#service = service;
    this.#cache = cache;
    this.#surroundings = surroundings;
  }

  serve(exchange: Exchange, mount: Mount): Outcome | Promise<Outcome> {
    const { method, headers } = exchange;
    const url = urlOf(exchange);
    if (method !== "GET" && method !== "HEAD") return this.#other({ exchange, mount, url });
    const asked = askedBy(headers, this.#surroundings.codingOf);
    this.#cache.lookUps++;
    const stored = this.#cache.find(url, asked);
    const asking = { exchange, mount, url, asked };
    if (stored === undefined) return this.#miss(asking);
    if (!stored.isForAll && isKnownClient(exchange)) {
      this.#cache.countForwarded("bypass");
      return this.#pass(asking, "bypass");
    }
    const now = steadyNow();
    if (this.#cache.options.clientDirectives && !suits(stored, headers, now)) {
      return this.#renew(asking, stored, "request");
    }
    if (now < stored.freshUntil) return this.#hit(asking, stored, now);
    if (now < stored.staleUntil) {
      this.#renewBehind(asking, stored, now);
      return this.#hit(asking, stored, now);
    }
    if (now < stored.retryAt && now < stored.errorUntil) return this.#hit(asking, stored, now);
    return this.#renew(asking, stored, "stale");
  }

  #hit(asking: Asking, stored: Stored, now: number): Reply | Promise<Outcome> {
    const body = this.#cache.bodyOf(stored);
    if (body === undefined) return this.#miss(asking);
    this.#cache.hits++;
    return hit(stored, body, { exchange: asking.exchange, now });
  }

  /** Ends what goes on in the background, and waits for its end. */
  async settle(): Promise<void> {
    const reason = new Error("The route is closed");
    for (const flight of this.#renewals.keys()) flight.lifeline.cut(reason);
    await Promise.allSettled(this.#renewals.values());
  }

  /** Another method: whatever it changes is forgotten (RFC 9111 §4.4). */
  async #other({ exchange, mount, url }: Omit<Asking, "asked">): Promise<Outcome> {
    this.#cache.countForwarded("method");
    const outcome = await this.#service.serve(exchange, mount);
    if (outcome.type !== "reply") return outcome;
    const { status, headers } = outcome;
    if (!SAFE.has(exchange.method) && status >= 200 && status < 400) {
      for (const one of [url, ...changedUrls(url, headers)]) this.#cache.purge({ url: one });
    }
    return { ...outcome, headers: withStatus(headers, "fwd=method") };
  }

  #miss(asking: Asking): Promise<Outcome> {
    const { exchange, url } = asking;
    const { headers } = exchange;
    const why = this.#cache.has(url) ? "vary-miss" : "uri-miss";
    this.#cache.countForwarded(why);
    if (this.#cache.options.clientDirectives) refuseUnlessStored(headers);
    // A part is no copy, nor is a head; and whoever changes protocols wants to speak with the program.
    if (exchange.method === "HEAD" || headers.has("range") || headers.has("upgrade")) {
      return this.#pass(asking, why);
    }
    const key = this.#keyOf(asking);
    const flight = this.#cache.flight(key);
    if (isKnownClient(exchange)) return this.#fetch(asking, undefined, why);
    if (flight !== undefined && !flight.isOutdated) return this.#follow(asking, flight, why);
    if (this.#cache.isPassed(key, steadyNow())) {
      // Its program may know better what the client has.
      return hasConditions(headers) ? this.#pass(asking, why) : this.#fetch(asking, undefined, why);
    }
    return this.#lead(asking, key, undefined, why);
  }

  /** Asks whether a copy still holds, or for a new one. */
  #renew(asking: Asking, stored: Stored, why: string): Promise<Outcome> {
    const { exchange } = asking;
    this.#cache.countForwarded(why);
    if (this.#cache.options.clientDirectives) refuseUnlessStored(exchange.headers);
    if (exchange.headers.has("upgrade")) return this.#pass(asking, why);
    // What has to be validated each time is validated for each.
    const isShared = stored.freshUntil > stored.bornAt && why === "stale";
    if (!isShared || isKnownClient(exchange)) return this.#fetch(asking, stored, why);
    const key = this.#keyOf(asking);
    const flight = this.#cache.flight(key);
    if (flight !== undefined && !flight.isOutdated) return this.#follow(asking, flight, why);
    return this.#lead(asking, key, stored, why);
  }

  /** One that went by URL alone would let those wait for each other who get different answers. */
  #keyOf({ url, asked }: Asking): string {
    const names = this.#cache.varyingFields(url);
    return names.length === 0 ? url : `${url}\n${names.map(asked).join("\n")}`;
  }

  /** Lets a request through as it is. */
  async #pass({ exchange, mount }: Asking, why: string): Promise<Outcome> {
    const outcome = await this.#service.serve(exchange, mount);
    if (outcome.type !== "reply") return outcome;
    return { ...outcome, headers: withStatus(outcome.headers, `fwd=${why}`) };
  }

  /** Fetches for one alone; what comes may be kept all the same. */
  async #fetch(asking: Asking, stored: Stored | undefined, why: string): Promise<Outcome> {
    const { exchange } = asking;
    const fetched = await this.#fetcher(asking, stored, why).run(exchange.lifeline);
    return finished(fetched, exchange);
  }

  /** Fetches, and lets others wait for it. */
  async #lead(
    asking: Asking,
    key: string,
    stored: Stored | undefined,
    why: string,
  ): Promise<Outcome> {
    const { exchange } = asking;
    const flight = new Flight(asking.url, exchange.lifeline);
    const cut = (reason: Error) => flight.leaderCut(reason);
    exchange.lifeline.onCut(cut);
    const fetching = this.#fly(key, flight, this.#fetcher(asking, stored, why, flight));
    try {
      // A time limit ends the fetch, and then a stale copy may still be of use; a client that left
      // may have left others behind that wait.
      const heeds = (reason: Error) => reason instanceof ClientGone;
      const fetched = await withinCut(exchange.lifeline, fetching, { heeds });
      if (fetched === undefined) throw new Error("A fetch without a time limit ran out of time");
      return finished(fetched, exchange);
    } finally {
      exchange.lifeline.forget(cut);
    }
  }

  async #fly(key: string, flight: Flight, fetch: Fetch): Promise<Fetched> {
    this.#cache.takeOff(key, flight);
    try {
      const fetched = await fetch.run(flight.lifeline);
      fetched.landing.then((landing) => {
        this.#cache.touchDown(key, flight);
        flight.land(landing);
        const isForOne = landing.type === "alone" && !flight.isOutdated;
        if (isForOne) this.#cache.pass(key, steadyNow());
      });
      if (fetched.coming !== undefined) flight.land(fetched.coming);
      // Nobody is left to read an answer that only its asker could.
      if (!flight.isLed && fetched.outcome.type === "reply") abandon(fetched.outcome.body);
      return fetched;
    } catch (error) {
      this.#cache.touchDown(key, flight);
      flight.land(landingOf(error));
      throw error;
    }
  }

  /** Waits for what another has asked for. */
  async #follow(asking: Asking, flight: Flight, why: string): Promise<Outcome> {
    const { exchange, asked } = asking;
    const landing = await flight.wait(exchange.lifeline);
    if (landing.type === "failed") throw landing.error;
    if (landing.type === "alone") return await this.#fetch(asking, undefined, why);
    const { stored } = landing;
    const body = landing.type === "coming" ? landing.body() : this.#cache.bodyOf(stored);
    if (body === undefined) return await this.#fetch(asking, undefined, why);
    if (!stored.vary.every(([name, value]) => asked(name) === value)) {
      abandon(body);
      return await this.#fetch(asking, undefined, "vary-miss");
    }
    const fields = agedFields(stored, steadyNow());
    if (landing.type === "coming") fields.push(["content-length", String(landing.length)]);
    const told = withStatus(fields, `fwd=${why}; collapsed`);
    const headers = landing.type === "coming" ? told : sized(told, stored, body);
    const { status } = stored;
    return conditionalReply({ type: "reply", status, headers, body }, exchange);
  }

  /** Renews a stale copy that has just been used, without anybody waiting. */
  #renewBehind(asking: Asking, stored: Stored, now: number): void {
    const key = this.#keyOf(asking);
    if (now < stored.retryAt || this.#cache.flight(key) !== undefined) return;
    const flight = new Flight(asking.url, undefined);
    const { timeoutMs, log } = this.#surroundings;
    const late = new GatewayError(504, "renewal-timeout", "Renewing a copy took too long");
    const timer = setTimeout(() => flight.lifeline.cut(late), timeoutMs);
    const renewal = this.#fly(key, flight, this.#fetcher(asking, stored, "stale", flight))
      .then(async ({ outcome, landing }) => {
        try {
          await withinCut(flight.lifeline, landing);
        } finally {
          if (outcome.type === "reply") abandon(outcome.body);
        }
      })
      .catch((error) => {
        stored.retryAt = steadyNow() + RETRY_MS;
        log.notice(`Cannot renew the copy of ${asking.url}: ${error}`, asking.exchange.id);
      })
      .finally(() => {
        clearTimeout(timer);
        this.#renewals.delete(flight);
      });
    this.#renewals.set(flight, renewal);
  }

  #fetcher(asking: Asking, stored: Stored | undefined, why: string, flight?: Flight): Fetch {
    const { exchange, mount, url, asked } = asking;
    return new Fetch({
      serve: (headers, lifeline) =>
        this.#service.serve(
          derived(exchange, { method: "GET", headers, lifeline, body: null }),
          mount,
        ),
      cache: this.#cache,
      exchange,
      url,
      asked,
      stored,
      why,
      flight,
    });
  }
}

/** A copy that could not be renewed is used on for so long before the next attempt. */
const RETRY_MS = 1000;

/** The answer to whoever it was fetched for. */
function finished({ outcome, isWhole }: Fetched, exchange: Exchange): Outcome {
  if (outcome.type !== "reply" || !isWhole || !hasConditions(exchange.headers)) return outcome;
  return conditionalReply(outcome, exchange);
}

/** What others learn of a failure. One that only concerns its own request says nothing to them. */
function landingOf(error: unknown): Landing {
  return error instanceof GatewayError && error.status >= 502
    ? { type: "failed", error }
    : { type: "alone" };
}

function abandon(body: ReplyBody): void {
  if (body !== null && !(body instanceof Uint8Array)) body.cancel(new Error("Nobody reads this"));
}
