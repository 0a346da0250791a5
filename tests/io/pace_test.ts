import assert from "node:assert/strict";
import type { GatewayError } from "../../lib/errors.ts";
import { Pace, type Sender } from "../../lib/io/pace.ts";
import { formatYaml, overSocket } from "../support/slow_sender.ts";
import { withGateway } from "../support/gateway.ts";

/** A sender that is played by hand. */
class Played implements Sender {
  isWaiting = true;
  received = 0;
  readonly fault = Promise.withResolvers<GatewayError>();
  told = 0;
  tooSlow(error: GatewayError): void {
    this.told++;
    this.fault.resolve(error);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("Pace tells a sender once that pauses for longer than the idle time", async () => {
  const pace = new Pace({ idleTimeoutMs: 200, minRate: 0 });
  const sender = new Played();
  const start = performance.now();
  pace.watch(sender);
  const error = await sender.fault.promise;
  assert.deepEqual([error.status, error.failure], [408, "body-too-slow"]);
  assert.match(error.message, /Nothing of the request body came for 200 ms/);
  assert.ok(performance.now() - start >= 200);
  await sleep(60);
  assert.equal(sender.told, 1);
});

Deno.test("Pace leaves a sender alone that sends now and then, where no rate is set", async () => {
  const pace = new Pace({ idleTimeoutMs: 200, minRate: 0 });
  const sender = new Played();
  pace.watch(sender);
  for (let i = 0; i < 8; i++) {
    await sleep(50);
    sender.received++;
  }
  assert.equal(sender.told, 0);
  pace.forget(sender);
});

Deno.test("Pace tells a sender that trickles below the rate, whatever it sent at first", async () => {
  const pace = new Pace({ idleTimeoutMs: 200, minRate: 1000 });
  const sender = new Played();
  pace.watch(sender);
  sender.received = 2 ** 30;
  const trickle = setInterval(() => sender.received++, 20);
  const error = await sender.fault.promise;
  clearInterval(trickle);
  assert.match(error.message, /less than 1000 bytes a second/);
});

Deno.test("Pace leaves a sender alone that keeps the rate", async () => {
  const pace = new Pace({ idleTimeoutMs: 200, minRate: 1000 });
  const sender = new Played();
  pace.watch(sender);
  for (let i = 0; i < 10; i++) {
    await sleep(50);
    sender.received += 200;
  }
  assert.equal(sender.told, 0);
  pace.forget(sender);
});

Deno.test("Pace does not count the time in which the program is waited for", async () => {
  const pace = new Pace({ idleTimeoutMs: 150, minRate: 1000 });
  const sender = new Played();
  sender.isWaiting = false;
  pace.watch(sender);
  await sleep(400);
  assert.equal(sender.told, 0);
  sender.isWaiting = true;
  await sender.fault.promise;
});

Deno.test("Pace watches nobody where both limits are off", async () => {
  const pace = new Pace({ idleTimeoutMs: 0, minRate: 0 });
  const sender = new Played();
  pace.watch(sender);
  await sleep(100);
  assert.equal(sender.told, 0);
  pace.forget(sender);
});

for (const mode of ["spool", "stream"] as const) {
  Deno.test(`a client that pauses in its body is answered 408 (${mode})`, async () => {
    await withGateway(formatYaml(mode, { bodyIdleTimeout: "300ms" }), async ({ port }) => {
      const { reply, ms } = await overSocket(port, { promise: 100, pieces: ["half"], everyMs: 0 });
      assert.match(reply, /^HTTP\/1\.1 408 /);
      assert.ok(ms >= 300 && ms < 2000, `${ms} ms`);
    });
  });

  Deno.test(`a client that trickles its body is answered 408 (${mode})`, async () => {
    const yaml = formatYaml(mode, { bodyIdleTimeout: "300ms", bodyMinRate: "1KiB" });
    await withGateway(yaml, async ({ port }) => {
      const pieces = Array.from({ length: 40 }, () => "x");
      const { reply, ms } = await overSocket(port, { promise: 100, pieces, everyMs: 50 });
      assert.match(reply, /^HTTP\/1\.1 408 /);
      assert.ok(ms >= 300 && ms < 2000, `${ms} ms`);
    });
  });

  Deno.test(`a client that takes its time and keeps the pace is served (${mode})`, async () => {
    await withGateway(formatYaml(mode, { bodyIdleTimeout: "300ms" }), async ({ port }) => {
      const pieces = Array.from({ length: 6 }, () => "y".repeat(100));
      const { reply } = await overSocket(port, { promise: 600, pieces, everyMs: 100 });
      assert.match(reply, /^HTTP\/1\.1 200 /);
      assert.match(reply, /y{600}/);
    });
  });
}

Deno.test("a program that does not read is not held against its client (stream)", async () => {
  const yaml = formatYaml(
    "stream",
    { bodyIdleTimeout: "200ms", bodyMinRate: "1KiB" },
    "sleep 1; wc -c",
  );
  await withGateway(yaml, async ({ port }) => {
    const pieces = Array.from({ length: 16 }, () => "z".repeat(65_536));
    const { reply } = await overSocket(port, { promise: 16 * 65_536, pieces, everyMs: 0 });
    assert.match(reply, /^HTTP\/1\.1 200 /);
    assert.match(reply, /1048576/);
  });
});
