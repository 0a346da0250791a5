/**
 * An exchange as the words of a message to a worker, and back (wsgi_wire.ts). Its body goes by itself.
 *
 * Strategy: a program's environ is made of the list of fields as it came: `Headers`, which check and sort
 * what was checked and sorted before, cost more than all the rest and are made for who asks for them. Pure.
 */
import type {
  ByteString,
  Endpoint,
  Exchange,
  FieldReader,
  HeaderPair,
  Mount,
} from "../exchange.ts";
import type { Lifeline } from "../lifeline.ts";
import { Trace } from "../trace.ts";
import { pairsOf, type Words } from "./wsgi_wire.ts";

/** Words before the lists: of route parameters, of variables, of fields. */
const FIXED = 18;

/** An exchange and its mount as a list of texts; what the client claimed falsely stays behind. */
export function encodeExchange(exchange: Exchange, mount: Mount): string[] {
  const { client, server, lifeline: { trace } } = exchange;
  const params = Object.entries(mount.params);
  const variables = exchange.variables ?? [];
  const words = [
    exchange.id,
    exchange.method,
    exchange.target,
    exchange.path,
    exchange.query,
    exchange.hostname,
    exchange.authority,
    exchange.scheme,
    client.address,
    String(client.port),
    server.address,
    String(server.port),
    mount.scriptName,
    mount.pathInfo,
    String(params.length),
    trace?.traceparent ?? "",
    trace?.tracestate ?? "",
    String(variables.length),
  ];
  for (const [name, value] of params) words.push(name, value);
  for (const [name, value] of variables) words.push(name, value);
  exchange.headers.forEach((value, name) => {
    if (!exchange.withholds(name)) words.push(name, value);
  });
  return words;
}

/** The exchange of such a list. Its body is not part of it. */
export function decodeExchange(
  words: Words,
  lifeline: Lifeline,
): { readonly exchange: Exchange; readonly mount: Mount } {
  const word = (at: number): string => words[at] ?? "";
  const variablesAt = FIXED + 2 * Number(word(14));
  const fieldsAt = variablesAt + 2 * Number(word(17));
  if (word(15) !== "") lifeline.trace = new Trace(word(15), word(16) || undefined, false);
  const exchange = new SentExchange(words, {
    variables: fieldsAt > variablesAt ? pairsOf(words, variablesAt, fieldsAt) : undefined,
    fieldList: new FieldList(words, fieldsAt),
    lifeline,
  });
  const params = Object.fromEntries(pairsOf(words, FIXED, variablesAt));
  return { exchange, mount: { scriptName: word(12), pathInfo: word(13), params } };
}

class SentExchange implements Exchange {
  readonly id: string;
  readonly method: string;
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString;
  readonly hostname: string;
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly body = null;
  readonly fieldList: FieldList;
  readonly lifeline: Lifeline;
  readonly variables: readonly HeaderPair[] | undefined;
  #headers: Headers | undefined;

  constructor(words: Words, parts: Pick<SentExchange, "fieldList" | "lifeline" | "variables">) {
    const word = (at: number): string => words[at] ?? "";
    this.id = word(0);
    this.method = word(1);
    this.target = word(2);
    this.path = word(3);
    this.query = word(4);
    this.hostname = word(5);
    this.authority = word(6);
    this.scheme = word(7) === "https" ? "https" : "http";
    this.client = { address: word(8), port: Number(word(9)) };
    this.server = { address: word(10), port: Number(word(11)) };
    this.fieldList = parts.fieldList;
    this.lifeline = parts.lifeline;
    this.variables = parts.variables;
  }

  get headers(): Headers {
    return this.#headers ??= new Headers(this.fieldList.pairs());
  }

  withholds(): boolean {
    return false;
  }
}

/** Fields in the words of a message. */
class FieldList implements FieldReader {
  readonly #words: Words;
  readonly #from: number;

  constructor(words: Words, from: number) {
    this.#words = words;
    this.#from = from;
  }

  get(name: string): string | null {
    let found: string | null = null;
    this.forEach((value, other) => {
      if (other === name) found = found === null ? value : `${found}, ${value}`;
    });
    return found;
  }

  forEach(tell: (value: ByteString, name: string) => void): void {
    const words = this.#words;
    for (let at = this.#from; at + 1 < words.length; at += 2) {
      tell(words[at + 1] ?? "", words[at] ?? "");
    }
  }

  pairs(): HeaderPair[] {
    return pairsOf(this.#words, this.#from, this.#words.length);
  }
}
