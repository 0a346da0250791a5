/** Ten thousand requests whose clients hang up at any moment: nothing may be left of them. */
import assert from "node:assert/strict";
import { ask, Client, type RequestText, requestText } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { spoolFiles } from "../support/spool_files.ts";
import { serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { DIE, ECHO, fill, formatPlay, HANG, OK, type Play, say, wait } from "../upstreams/play.ts";
import { runningPlays } from "../upstreams/wsgi_probe.ts";
import { linesOf } from "./contract.ts";

const REQUESTS = 10_000;
/** A process each is dear: few of the requests go to CGI. */
const CGI_REQUESTS = 300;
/** The routes that share the rest. */
const OTHERS = ["spool", "stream", "wsgi", "respond"];
const AT_ONCE = 48;

/** What programs may be doing when their client leaves. */
const PLAYS: readonly Play[] = [
  [OK, say("short")],
  [OK, fill(20_000)],
  [OK, say("begin"), wait(0.01), say("end")],
  [OK, fill(500_000)],
  [wait(0.01), OK, say("late")],
  [OK, ECHO],
  [OK, say("half"), DIE],
  [say("no head at all\n")],
  [OK, say("begin"), HANG],
  [HANG],
];

/** A repeatable source of chance (mulberry32): numbers from 0 up to, not including, `below`. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

type Chance = ReturnType<typeof chance>;

function anyRequest(pick: Chance, kinds: readonly string[]): RequestText {
  const play = PLAYS[pick(PLAYS.length)] ?? [];
  const target = `/${kinds[pick(kinds.length)]}/`;
  const headers = { "X-Play": formatPlay(play) };
  if (pick(3) > 0) return { target, headers };
  return {
    method: "POST",
    target,
    headers,
    body: "x".repeat(anyLength(pick, play.includes(HANG))),
  };
}

/** Some bodies are large enough to lie in a file. */
function anyLength(pick: Chance, hangs: boolean): number {
  // A program that hangs and does not read holds up whoever writes to it: it would see no end either.
  return !hangs && pick(50) === 0 ? 1_200_000 : pick(20_000);
}

/** Sends some or all of a request, reads some or nothing of the answer, and hangs up. */
async function hangUpOn(port: number, request: RequestText, pick: Chance): Promise<void> {
  const text = requestText(request);
  const whole = pick(4) > 0;
  using client = await Client.connect(port);
  try {
    await client.write(whole ? text : text.slice(0, pick(text.length)));
    // One that does nothing until it is stopped would keep us.
    const waits = pick(3);
    if (waits === 1) await new Promise((resolve) => setTimeout(resolve, pick(15)));
    if (waits === 2 && whole && !text.includes("hang")) await client.some();
  } catch {
    // The gateway may refuse and hang up first.
  }
}

async function hangUpAtRandom(port: number): Promise<number> {
  let left = REQUESTS;
  let cgiLeft = CGI_REQUESTS;
  const visit = async (seed: number) => {
    const pick = chance(seed);
    while (left-- > 0) {
      const toCgi = cgiLeft > 0 && pick(REQUESTS / CGI_REQUESTS) === 0;
      if (toCgi) cgiLeft--;
      await hangUpOn(port, anyRequest(pick, toCgi ? ["cgi"] : OTHERS), pick);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, seed) => visit(seed)));
  return CGI_REQUESTS - cgiLeft;
}

function tableOf(folder: string): string {
  const fastcgi = `unix:${folder}/s`;
  // The runtime does not tell of a client that leaves after an upload and before the answer: there the
  // time limit ends what hangs.
  const routes = [
    { path: "/cgi/*", cgi: `${TESTS}/upstreams/cgi_probe.sh` },
    { path: "/spool/*", fastcgi },
    { path: "/stream/*", fastcgi, requestBody: "stream" },
    { path: "/wsgi/*", wsgi: `${TESTS}/upstreams/wsgi_probe.ts` },
    { path: "/respond/*", respond: "fixed" },
  ].map((route) => ({ ...route, timeout: "1s" }));
  const server = { accessLog: "json", drainTimeout: "5s", spoolDir: `${folder}/spool` };
  const lines = Object.entries(server).map(([key, value]) => `  ${key}: ${value}\n`);
  return `server:\n${lines.join("")}routes: ${JSON.stringify(routes)}\n`;
}

Deno.test("10,000 requests with clients that hang up at random leave nothing", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-hang-" });
  let kept: TestGateway | undefined;
  await using probe = serveFastcgiProbe(`${folder}/s`);
  await withGateway(tableOf(folder), async (gateway) => {
    kept = gateway;
    const { port, ground } = gateway;
    const processes = () => processesWith(`SERVER_PORT=${port}`);
    assert.ok(await hangUpAtRandom(port) > CGI_REQUESTS / 2);
    await eventually(() => ground.sweeper.size === 0, 10_000, "pending requests to end");
    await eventually(() => probe.running === 0, 10_000, "FastCGI requests to end");
    await eventually(() => processes().length === 0, 10_000, "CGI processes to end");
    await eventually(() => runningPlays(port) === 0, 10_000, "WSGI calls to end");
    assert.deepEqual(spoolFiles(folder), []);
    for (const kind of ["cgi", ...OTHERS]) {
      const headers = { "X-Play": formatPlay([OK, say("fixed")]) };
      assert.equal((await ask(port, { target: `/${kind}/`, headers })).text, "fixed");
    }
  });
  assert.ok(kept !== undefined);
  const ids = (await linesOf(kept.access())).map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length, "a request was logged twice");
  assert.ok(ids.length > REQUESTS / 2 && ids.length <= REQUESTS + 5);
  const lines = await linesOf(kept.log());
  assert.deepEqual(lines.filter(({ failure }) => failure === "internal"), []);
  assert.doesNotMatch(await kept.log(), /did not end within the drain time/);
  await Deno.remove(folder, { recursive: true });
});
