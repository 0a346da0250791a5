import assert from "node:assert/strict";
import { ClientGone, GatewayError } from "../../lib/errors.ts";
import type { Outcome, SizedBody } from "../../lib/exchange.ts";
import { type CgiRequest, runCgi } from "../../lib/io/cgi_run.ts";
import type { CgiCommand } from "../../lib/io/cgi_start.ts";
import { exchangeOf } from "../support/exchange.ts";
import { eventually } from "../support/gateway.ts";
import { MemoryLog } from "../support/service_log.ts";

/** A body of one piece; tells whether it was closed. */
class Body implements SizedBody {
  readonly length: number;
  readonly bytes = undefined;
  closed = 0;
  #piece: Uint8Array | undefined;
  constructor(text: string) {
    this.#piece = new TextEncoder().encode(text);
    this.length = this.#piece.length;
  }
  read(): Promise<Uint8Array | undefined> {
    const piece = this.#piece;
    this.#piece = undefined;
    return Promise.resolve(piece);
  }
  close(): void {
    this.closed++;
  }
}

interface Run {
  readonly log: MemoryLog;
  readonly body: Body;
  readonly request: CgiRequest;
  exits(): number;
}

function prepare(script: string, command: Partial<CgiCommand> = {}): Run {
  const log = new MemoryLog();
  const body = new Body("the body");
  let exits = 0;
  const request: CgiRequest = {
    exchange: exchangeOf(),
    body,
    command: {
      program: "/bin/sh",
      args: ["-c", script],
      env: { PATH: "/usr/bin:/bin" },
      cwd: "/",
      ...command,
    },
    maxReplyHead: 1000,
    log,
    onExit: () => {},
    onEnd: () => exits++,
  };
  return { log, body, request, exits: () => exits };
}

async function textOf(outcome: Outcome): Promise<string> {
  assert.ok(outcome.type === "reply" && outcome.body !== null);
  if (outcome.body instanceof Uint8Array) return new TextDecoder().decode(outcome.body);
  let text = "";
  for (let piece = await outcome.body.read(); piece; piece = await outcome.body.read()) {
    text += new TextDecoder().decode(piece);
  }
  return text;
}

const HEAD = "printf 'Content-Type: a/b\\n\\n';";

Deno.test("runCgi() gives the reply, and tells once that the process is gone", async () => {
  const { request, body, exits } = prepare(`${HEAD} cat`);
  const outcome = await runCgi(request);
  assert.equal(await textOf(outcome), "the body");
  await eventually(() => exits() === 1);
  assert.ok(body.closed > 0);
});

Deno.test("runCgi() starts nothing for a request that was cut off already", async () => {
  const { request, body, exits } = prepare("echo started >&2");
  request.exchange.lifeline.cut(new ClientGone());
  await assert.rejects(runCgi(request), ClientGone);
  assert.equal(exits(), 1);
  assert.ok(body.closed > 0);
});

Deno.test("runCgi() tells what keeps a program from starting", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-run-" });
  const plain = `${folder}/plain`;
  const orphan = `${folder}/orphan`;
  await Deno.writeTextFile(plain, "text", { mode: 0o644 });
  await Deno.writeTextFile(orphan, "#!/nowhere/interpreter\n", { mode: 0o755 });
  const reasons: [program: string, failure: string][] = [
    ["/nowhere/program", "script-missing"],
    [orphan, "script-missing"],
    [plain, "script-not-executable"],
    [folder, "script-not-executable"],
  ];
  for (const [program, failure] of reasons) {
    const { request, body, exits } = prepare("", { program });
    await assert.rejects(runCgi(request), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.deepEqual([error.status, error.failure], [502, failure]);
      assert.ok(error.message.includes(program));
      return true;
    });
    assert.equal(exits(), 1);
    assert.ok(body.closed > 0);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("runCgi() kills what is deaf to SIGTERM, after a grace", async () => {
  const { request, exits } = prepare(
    `trap '' TERM; ${HEAD} echo ready; while :; do sleep 0.1; done`,
  );
  const outcome = await runCgi(request);
  assert.ok(outcome.type === "reply" && outcome.body !== null && "cancel" in outcome.body);
  await outcome.body.read();
  outcome.body.cancel(new ClientGone());
  assert.equal(exits(), 0);
  await eventually(() => exits() === 1);
});

Deno.test("runCgi() does not wait for a child that holds the output of a dead program", async () => {
  const { request, exits } = prepare(`${HEAD} printf done; sleep 2 & exit 0`);
  const before = performance.now();
  assert.equal(await textOf(await runCgi(request)), "done");
  await eventually(() => exits() === 1);
  assert.ok(performance.now() - before < 1800);
});

Deno.test("runCgi() notices that a signal ended the program, whoever holds its error stream", async () => {
  const script = `${HEAD} printf half; sleep 2 >/dev/null & kill -KILL $$`;
  const { request, exits } = prepare(script);
  const outcome = await runCgi(request);
  await assert.rejects(textOf(outcome), /died of SIGKILL/);
  await eventually(() => exits() === 1);
});
