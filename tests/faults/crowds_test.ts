/**
 * Clients in numbers: ten thousand that do nothing, a thousand that read large replies slowly, and those
 * that send slowly. What each costs is bounded, and serves the next as well.
 *
 * What the runtime leaves open is stated here as well, so that a change of it is noticed: it knows no time
 * limit on heads.
 */
import assert from "node:assert/strict";
import { descriptorsOf, residentOf } from "../soak/meter.ts";
import { ask, Client } from "../support/client.ts";
import { settlesAt, takes, withFaulty } from "../support/faulty.ts";
import { eventually } from "../support/gateway.ts";

const HELLO = { path: "/hello", respond: "hello" };

/** How many descriptors this process may have, and so how large a crowd it can be. */
function room(wanted: number): number {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? "1024";
  return Math.min(wanted, Number(soft) - 500);
}

/** Opens so many connections, some at a time, for a backlog is short. */
async function crowd(port: number, size: number): Promise<Deno.TcpConn[]> {
  const all: Deno.TcpConn[] = [];
  while (all.length < size) {
    const some = Array.from(
      { length: Math.min(200, size - all.length) },
      () => Deno.connect({ hostname: "127.0.0.1", port }),
    );
    all.push(...await Promise.all(some));
  }
  return all;
}

Deno.test("ten thousand idle connections cost little each, and give it back", async () => {
  await withFaulty([HELLO], {}, async ({ gateway, port }) => {
    assert.equal((await ask(port, { target: "/hello" })).text, "hello");
    const before = takes(gateway);
    const bytes = residentOf(gateway.pid);
    const size = room(10_000);
    const idle = await crowd(port, size);
    await eventually(() => descriptorsOf(gateway.pid) >= size, 60_000, `${size} descriptors`);
    assert.equal((await ask(port, { target: "/hello" })).text, "hello");
    const each = (residentOf(gateway.pid) - bytes) / size;
    // Measured: 6 KiB.
    assert.ok(each < 24 * 1024, `${Math.round(each)} bytes a connection`);
    for (const connection of idle) connection.close();
    await settlesAt(gateway, before);
  });
});

Deno.test("a thousand slow readers of large replies hold a bounded part of them", async () => {
  const prepare = async (folder: string) => {
    using file = await Deno.open(`${folder}/large`, { write: true, create: true });
    await file.truncate(64 * 2 ** 20);
    await Deno.writeTextFile(
      `${folder}/app.ts`,
      `export default function* application(environ, startResponse) {
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  for (let i = 0; i < 1024; i++) yield new Uint8Array(65536);
}
`,
    );
  };
  const routes = [HELLO, { path: "/f/*", static: "FOLDER" }, { path: "/a", wsgi: "FOLDER/app.ts" }];
  await withFaulty(routes, { prepare }, async ({ gateway, port }) => {
    assert.equal((await ask(port, { target: "/hello" })).text, "hello");
    const before = takes(gateway);
    const bytes = residentOf(gateway.pid);
    const size = room(1000);
    const taken: number[] = [];
    for (let wave = 0; wave < 2; wave++) {
      const readers = await crowd(port, size);
      await Promise.all(
        readers.map((reader, at) => beginToRead(reader, at % 2 === 0 ? "/f/large" : "/a")),
      );
      // Whoever reads at his own pace is served meanwhile.
      assert.equal((await ask(port, { target: "/hello" })).text, "hello");
      taken.push((residentOf(gateway.pid) - bytes) / size);
      for (const reader of readers) reader.close();
      await settlesAt(gateway, before);
    }
    const [first = 0, second = 0] = taken;
    // Measured: 400 KiB of a file, 85 of an application's reply. The rest waits in the kernel, or the file.
    assert.ok(first < 1.25 * 2 ** 20, `${Math.round(first / 1024)} KiB a reader`);
    // The runtime keeps the memory for the next who come, and takes no more.
    assert.ok(
      second < 1.5 * first,
      `${Math.round(second / 1024)} KiB after ${Math.round(first / 1024)}`,
    );
    assert.equal((await ask(port, { target: "/hello" })).text, "hello");
  });
});

async function beginToRead(reader: Deno.TcpConn, target: string): Promise<void> {
  await reader.write(new TextEncoder().encode(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`));
  await reader.read(new Uint8Array(1));
}

Deno.test("slow senders of bodies are sent away in time, a hundred as one", async () => {
  const server = "  bodyIdleTimeout: 1s\n  bodyMinRate: 100\n";
  const cgi = {
    script: "/bin/sh",
    args: ["-c", "cat >/dev/null; printf 'Content-Type: a/b\\n\\n'"],
  };
  await withFaulty([HELLO, { path: "/cgi", cgi }], { server }, async ({ gateway, port }) => {
    const before = takes(gateway);
    const statuses = await Promise.all(Array.from({ length: 100 }, async (_, at) => {
      using client = await Client.connect(port);
      await client.write("POST /cgi HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
      const over = { now: false };
      const sending = (async () => {
        while (!over.now && at % 2 === 0) {
          await client.write("x").catch(() => over.now = true);
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      })();
      const { status } = await client.head();
      over.now = true;
      await sending;
      return status;
    }));
    assert.deepEqual(new Set(statuses), new Set([408]));
    // Nothing was started for them.
    assert.equal(takes(gateway).children, before.children);
    assert.match(gateway.err(), /route=\/cgi .*status=408 failure=body-too-slow/);
    await settlesAt(gateway, before);
  });
});

Deno.test("heads may take for ever: the runtime has no limit, and this says so", async () => {
  await withFaulty([HELLO], {}, async ({ gateway, port }) => {
    const before = takes(gateway);
    const heads = await crowd(port, 50);
    const head = new TextEncoder().encode("GET /hello HTTP/1.1\r\nHost: h\r\nX-Slow: ");
    for (const connection of heads) await connection.write(head);
    for (let i = 0; i < 30; i++) {
      for (const connection of heads) await connection.write(new Uint8Array([97]));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(takes(gateway).descriptors, before.descriptors + heads.length);
    // They are served once they are done, as is everybody else meanwhile.
    assert.equal((await ask(port, { target: "/hello" })).text, "hello");
    const [first] = heads;
    await first?.write(new TextEncoder().encode("\r\n\r\n"));
    const answer = new Uint8Array(12);
    await first?.read(answer);
    assert.equal(new TextDecoder().decode(answer), "HTTP/1.1 200");
    for (const connection of heads) connection.close();
    await settlesAt(gateway, before);
  });
});
