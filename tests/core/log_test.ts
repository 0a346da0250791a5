import assert from "node:assert/strict";
import { Ledger } from "../../lib/ledger.ts";
import { type AccessEntry, Log, type LogFormat, type LogTarget } from "../../lib/observe/log.ts";
import { LineWriter } from "../../lib/observe/line_writer.ts";

class Memory implements LogTarget {
  text = "";
  write(bytes: Uint8Array): Promise<number> {
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
}

function ledgerOf(facts: Partial<Ledger>): Ledger {
  return Object.assign(new Ledger(), facts);
}

const ENTRY: AccessEntry = {
  request: {
    id: "id-1",
    method: "POST",
    target: "/a?b",
    authority: "example.org",
    headers: new Headers({ "user-agent": 'a "b"' }),
    client: { address: "192.0.2.9", port: 1 },
  },
  route: "/a",
  status: 200,
  bytes: 12,
  durationMs: 3.14,
  firstByteMs: 2.71,
  ledger: undefined,
};

async function lineOf(format: LogFormat, changes: Partial<AccessEntry>): Promise<string> {
  const out = new Memory();
  const log = new Log(format, out, new Memory());
  log.access({ ...ENTRY, ...changes });
  await log.flush();
  return out.text;
}

const LEDGER = {
  queuedMs: 10.04,
  connectMs: 0.26,
  receivedBytes: 4096,
  exit: "SIGKILL",
  cpuMs: 20,
  peakBytes: 2 ** 20,
};

Deno.test("the combined access line ends with what the work cost, as pairs", async () => {
  const line = await lineOf("combined", { ledger: ledgerOf(LEDGER) });
  assert.match(
    line,
    /^192\.0\.2\.9 - - \[.*\] "POST \/a\?b HTTP\/1\.1" 200 12 "-" "a \\x22b\\x22" id-1 "\/a" 3\.1 /,
  );
  const cost = "ttfbMs=2.7 queueMs=10 connectMs=0.3 bytesIn=4096 exit=SIGKILL cpuMs=20 " +
    "peakBytes=1048576\n";
  assert.equal(line.slice(line.indexOf("ttfbMs")), cost);
});

Deno.test("the combined access line leaves out what is not known", async () => {
  assert.match(
    await lineOf("combined", { ledger: ledgerOf({ exit: 0 }) }),
    / ttfbMs=2.7 exit=0\n$/,
  );
  assert.match(await lineOf("combined", {}), / "\/a" 3\.1\n$/);
});

Deno.test("the JSON access line has the same facts", async () => {
  const { ttfbMs, exit, peakBytes, queueMs, durationMs } = JSON.parse(
    await lineOf("json", { ledger: ledgerOf({ exit: 3, peakBytes: 5 }) }),
  );
  assert.deepEqual({ ttfbMs, exit, peakBytes, queueMs, durationMs }, {
    ttfbMs: 2.7,
    exit: 3,
    peakBytes: 5,
    queueMs: undefined,
    durationMs: 3.1,
  });
});

Deno.test("Ledger tells when all that was expected is written down", () => {
  const ledger = new Ledger();
  let settled = 0;
  ledger.whenSettled(() => settled++);
  assert.equal(settled, 1);
  ledger.expect();
  ledger.expect();
  ledger.whenSettled(() => settled++);
  ledger.settle();
  assert.equal(settled, 1);
  ledger.settle();
  assert.equal(settled, 2);
});

Deno.test("a line after a pause is written at once, those that follow are gathered", async () => {
  const writes: string[] = [];
  const writer = new LineWriter({
    write(bytes) {
      writes.push(new TextDecoder().decode(bytes));
      return Promise.resolve(bytes.length);
    },
  }, () => assert.fail("lost"));
  for (const line of ["one", "two", "three"]) writer.write(line);
  await Promise.resolve();
  assert.deepEqual(writes, ["one\n"]);
  await writer.flush();
  assert.deepEqual(writes, ["one\n", "two\nthree\n"]);
});
