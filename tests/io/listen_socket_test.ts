import assert from "node:assert/strict";
import { spawnListening } from "../../lib/io/listen_socket.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const OPTIONS = { stdin: "null", stdout: "null", stderr: "null" } as const;

/** Our own open sockets. */
function sockets(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      return target.startsWith("socket:") ? [target] : [];
    } catch {
      return [];
    }
  });
}

testWith(["perl"], "spawnListening() leaves the socket to the program alone", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/s`;
  const before = sockets();
  // A blocking accept: it must not find a socket that asks it to come again (EAGAIN).
  const args = ["-e", `accept(my $c, STDIN) or exit 7; syswrite($c, "hello")`];
  const child = await spawnListening(path, "perl", { ...OPTIONS, args });
  assert.deepEqual(sockets(), before);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["s"]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  using connection = await Deno.connect({ transport: "unix", path });
  const buffer = new Uint8Array(9);
  const count = await connection.read(buffer);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), "hello");
  assert.equal((await child.status).code, 0);
});

Deno.test("spawnListening() tells why it cannot listen", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/taken`);
  await assert.rejects(
    spawnListening(`${folder.path}/taken`, "true", OPTIONS),
    /^Error: Cannot listen on .*\/taken: .*address already in use/,
  );
});

Deno.test("spawnListening() keeps nothing of a program that cannot be started", async () => {
  await using folder = await tempFolder();
  const before = sockets();
  await assert.rejects(
    spawnListening(`${folder.path}/s`, "/nowhere/app", OPTIONS),
    Deno.errors.NotFound,
  );
  assert.deepEqual(sockets(), before);
});
