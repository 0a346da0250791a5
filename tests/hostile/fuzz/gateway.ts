/**
 * Fuzzing of the whole gateway, in a process of its own: changed requests over raw sockets, changed replies
 * of upstreams of every kind. Behind each batch every route is asked in earnest; the process lives, its
 * descriptors do not grow, nothing failed that it did not expect, every answer is one or breaks off.
 */
import assert from "node:assert/strict";
import { type Running, startPortico } from "../../support/command.ts";
import { eventually } from "../../support/gateway.ts";
import { tempFolder, writeScript } from "../../support/peers.ts";
import { CHUNKS, FRAMING } from "../requests/framing.ts";
import { FIELDS } from "../requests/fields.ts";
import { HOSTS, METHODS, TARGETS } from "../requests/targets.ts";
import { nextAnswer } from "../wire.ts";
import { latin1, latin1Of, mutate, Random } from "./random.ts";
import type { Bytes } from "./target.ts";
import { SOCKET_KINDS, Upstreams } from "./upstreams.ts";
import { WIRE_TARGETS } from "./wire_targets.ts";

const REQUESTS: readonly string[] = [FRAMING, CHUNKS, FIELDS, HOSTS, METHODS, TARGETS]
  .flatMap((rows) => rows.map(([, sends]) => sends)).filter((sends) => sends.length < 4000);
const REQUEST_WORDS = [
  ...["GET ", "POST ", "HTTP/1.1\r\n", "Host: a.test\r\n", "\r\n\r\n", "Content-Length: 5\r\n"],
  ...["Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "5\r\nhello\r\n", "0\r\n\r\n"],
  ...[
    "Expect: 100-continue\r\n",
    "Range: bytes=0-1\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "%2e%2e/",
  ],
  ...["Connection: Upgrade\r\nUpgrade: websocket\r\n", "If-None-Match: *\r\n", "Cookie: a=b\r\n"],
];

const REPLY_KINDS = ["cgi", ...SOCKET_KINDS] as const;
type ReplyKind = typeof REPLY_KINDS[number];

/** Where the fuzzer of codecs begins, for each kind. */
const GRAMMARS: Readonly<Record<ReplyKind, string>> = {
  cgi: "head of a program's reply",
  fastcgi: "FastCGI records",
  scgi: "head of a program's reply",
  uwsgi: "head of a program's reply",
  proxy: "response of an HTTP origin",
  ws: "WebSocket frames",
};

const PREFIXES = [...REPLY_KINDS, "wsgi", "files", "answer", "moved", "cached", "zipped"];
/** Sent at once, and between two looks at the process. */
const BATCH = 48;
/** Idle connections of the pools, and what the runtime keeps for itself. */
const DESCRIPTORS = 120;
const FAILED = /failure[=":]+internal|nhandled|panicked|Uncaught|application-error/;

export interface FuzzedGateway {
  readonly requests: number;
  readonly replies: number;
}

/** Fuzzes until `isOver`; at least one batch. */
export async function fuzzGateway(seed: number, isOver: () => boolean): Promise<FuzzedGateway> {
  await using folder = await tempFolder();
  await using upstreams = new Upstreams();
  await Deno.mkdir(`${folder.path}/replies`);
  await writeTable(folder.path, upstreams);
  await using portico = await startPortico(["serve", "--config", `${folder.path}/routes.yaml`]);
  const fuzzer = new GatewayFuzzer({ folder: folder.path, upstreams, portico, seed });
  do await fuzzer.batch(); while (!isOver());
  return fuzzer.done;
}

async function writeTable(folder: string, upstreams: Upstreams): Promise<void> {
  await Deno.mkdir(`${folder}/files`);
  await Deno.writeTextFile(`${folder}/files/control`, "a file");
  await writeScript(
    `${folder}/reply.sh`,
    `#!/bin/sh\ncase "$PATH_INFO" in\n/control-*)\n` +
      `printf 'Content-Type: text/plain\\n\\n%s' "\${PATH_INFO#/}" ;;\n` +
      `*) exec cat "${folder}/replies/\${PATH_INFO##*/}" ;;\nesac\n`,
  );
  await Deno.writeTextFile(
    `${folder}/app.ts`,
    "export default { fetch: (request: Request) => new Response(request.url) };\n",
  );
  const port = Object.fromEntries(SOCKET_KINDS.map((kind) => [kind, upstreams.listen(kind)]));
  const at = (kind: string) => `127.0.0.1:${port[kind]}`;
  const times = { timeout: "4s", firstByteTimeout: "2s" };
  const proxy = { to: `http://${at("proxy")}` };
  const routes = [
    { path: "/cgi/*", cgi: `${folder}/reply.sh`, ...times },
    { path: "/fastcgi/*", fastcgi: at("fastcgi"), ...times },
    { path: "/scgi/*", scgi: at("scgi"), ...times },
    { path: "/uwsgi/*", uwsgi: at("uwsgi"), ...times },
    { path: "/proxy/*", proxy, ...times },
    { path: "/ws/*", proxy: `http://${at("ws")}`, ...times },
    { path: "/wsgi/*", wsgi: `${folder}/app.ts`, ...times },
    { path: "/files/*", static: `${folder}/files` },
    { path: "/answer/*", respond: "answer" },
    { path: "/moved/*", redirect: "/answer/moved" },
    { path: "/cached/*", cache: { defaultTtl: "1s" }, wsgi: `${folder}/app.ts`, ...times },
    { path: "/zipped/*", compress: true, proxy, ...times },
  ];
  const lines = ["listen: 127.0.0.1:0", "accessLog: off", `runDir: ${folder}/run`];
  const server = lines.map((line) => `  ${line}\n`).join("");
  await Deno.writeTextFile(
    `${folder}/routes.yaml`,
    `server:\n${server}routes: ${JSON.stringify(routes)}\n`,
  );
}

interface Scene {
  readonly folder: string;
  readonly upstreams: Upstreams;
  readonly portico: Running;
  readonly seed: number;
}

class GatewayFuzzer {
  readonly #scene: Scene;
  readonly #port: number;
  #batches = 0;
  #number = 0;
  #requests = 0;
  #replies = 0;
  /** How much of the log was looked at. */
  #read = 0;
  #descriptors: number | undefined;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#port = Number(new URL(scene.portico.base).port);
  }

  get done(): FuzzedGateway {
    return { requests: this.#requests, replies: this.#replies };
  }

  /** One batch, all of it a function of its own seed. */
  async batch(): Promise<void> {
    const seed = this.#scene.seed + this.#batches++;
    const random = new Random(seed);
    const sent: string[] = [];
    const work = Array.from({ length: BATCH }, () => {
      const one = random.once(2) ? this.#request(random) : this.#reply(random);
      sent.push(one.shown);
      return one.run;
    });
    try {
      await Promise.all(work.map((run) => run()));
      await this.#askAll();
      await this.#look();
    } catch (error) {
      const words = error instanceof Error ? error.stack ?? error.message : String(error);
      const log = this.#scene.portico.err().slice(-2000);
      throw new Error(`fuzz: gateway, --seed ${seed}\n${sent.join("\n")}\n${log}\n${words}`);
    }
  }

  #request(random: Random) {
    this.#requests++;
    const prefix = random.pick(PREFIXES);
    const from = latin1(random.pick(REQUESTS).replaceAll("/x", `/${prefix}/x${this.#number++}`));
    const other = latin1(random.pick(REQUESTS));
    const bytes = mutate(from, { random, words: REQUEST_WORDS, other });
    return { shown: `request ${bytes.toBase64()}`, run: () => this.#send(bytes, 400) };
  }

  #reply(random: Random) {
    this.#replies++;
    const kind = random.pick(REPLY_KINDS);
    const grammar = WIRE_TARGETS.find(({ name }) => name === GRAMMARS[kind]);
    const { seeds, words } = grammar ?? { seeds: [], words: [] };
    const [from, other] = [latin1(random.pick(seeds)), latin1(random.pick(seeds))];
    const bytes = mutate(from, { random, words, other });
    const number = `n${this.#number++}`;
    const then: "close" | "keep" = random.once(4) ? "keep" : "close";
    const method = random.pick(["GET", "GET", "HEAD", "POST"]);
    const run = async () => {
      this.#scene.upstreams.plan(number, { bytes, then });
      if (kind === "cgi") await Deno.writeFile(`${this.#scene.folder}/replies/${number}`, bytes);
      const upgrade = kind === "ws"
        ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        : "Connection: close\r\n";
      const head = `${kind === "ws" ? "GET" : method} /${kind}/${number} HTTP/1.1\r\n`;
      await this.#send(latin1(`${head}Host: a.test\r\n${upgrade}\r\n`), kind === "ws" ? 300 : 5000);
      this.#scene.upstreams.forget(number);
      if (kind === "cgi") await Deno.remove(`${this.#scene.folder}/replies/${number}`);
    };
    return { shown: `reply ${kind} ${bytes.toBase64()}`, run };
  }

  /** Sends, reads for so long at most, and judges what came. */
  async #send(bytes: Bytes, ms: number): Promise<string> {
    const text = await exchange(this.#port, bytes, ms);
    const request = latin1Of(bytes);
    assert.ok(!text.includes(this.#scene.folder), "a path of the server's own reached the client");
    if (/^PRI |HEAD|Upgrade/i.test(request)) return text;
    for (let rest = text; rest !== "";) {
      const answer = nextAnswer(rest, false);
      // The end of the connection, or of our patience.
      if (typeof answer === "string" && !rest.includes("\r\n\r\n")) break;
      if (typeof answer === "string") assert.fail(`${answer} in answer to ${bytes.toBase64()}`);
      if (!answer.whole) break;
      rest = answer.rest;
    }
    return text;
  }

  /** Every route answers, and what it answers is what was asked for. */
  async #askAll(): Promise<void> {
    const token = `control-${this.#number++}`;
    const expected: readonly (readonly [path: string, text: string])[] = [
      ...[...REPLY_KINDS, "zipped"].map((kind) => [`/${kind}/${token}`, token] as const),
      ["/wsgi/control", "http://a.test/wsgi/control"],
      ["/files/control", "a file"],
      ["/answer/control", "answer"],
      ["/cached/control", "http://a.test/cached/control"],
    ];
    await Promise.all(expected.map(async ([path, text]) => {
      const head = `GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
      const answer = nextAnswer(await exchange(this.#port, latin1(head), 20_000), false);
      if (typeof answer === "string") assert.fail(`${path}: ${answer}`);
      assert.deepEqual([answer.status, answer.body, answer.whole], [200, text, true], path);
    }));
  }

  async #look(): Promise<void> {
    const { portico } = this.#scene;
    const log = portico.err();
    assert.doesNotMatch(log.slice(this.#read), FAILED);
    this.#read = log.length;
    const count = () => [...Deno.readDirSync(`/proc/${portico.pid}/fd`)].length;
    this.#descriptors ??= count() + DESCRIPTORS;
    const most = this.#descriptors;
    await eventually(() => count() <= most, 20_000, `fewer than ${most} descriptors`);
  }
}

/** Writes all, and reads until the end or until time is up. */
async function exchange(port: number, bytes: Bytes, ms: number): Promise<string> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  const timer = setTimeout(close, ms);
  const pieces: string[] = [];
  const writing = (async () => {
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
  })().catch(() => {});
  try {
    const buffer = new Uint8Array(65_536);
    for (let count = await socket.read(buffer); count !== null; count = await socket.read(buffer)) {
      pieces.push(latin1Of(buffer.subarray(0, count)));
    }
  } catch {
    // Reset, or time is up.
  }
  clearTimeout(timer);
  close();
  await writing;
  return pieces.join("");
}
