/** `auth: {basic: …}` before routes of several kinds, with the thread that checks passwords. */
import assert from "node:assert/strict";
import { PasswordChecker } from "../../lib/io/password_checker.ts";
import { PasswordThread } from "../../lib/io/password_thread.ts";
import { GatewayError } from "../../lib/errors.ts";
import { ask } from "../support/client.ts";
import { eventually, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const SALTED = "$2a$04$a0j2bETjZg/gcVPjaw/tX";
/** By htpasswd, by Argon2's reference, and what hurts: UTF-8, a colon, more than 72 bytes. */
const USERS = `ann:$2y$05$t1UU0MOY0mhyqzZzIELZJ.L2CPfIPwvGkzOHeLvFPRaHIVpP.mhYe
bob:$argon2id$v=19$m=64,t=2,p=2$c2l4dGVlbiBieXRlcyBvZg$IuO7CJEQ43KEsVkxFSAOtxsZvAuA+igHtduVt/vDEOQ
j\u00f6rg:${SALTED}eRgfB6eMqWOco3W0qIs/lhdL5OPRLe9u
long:$2y$04$Q9duPuIHfwwUp8kZStnQ5OhOG1znLVkm6rsQ8R3vmqyH4jFpnhYNC
slow:$2a$10$a0j2bETjZg/gcVPjaw/tXeunJlgINbvOAZYEwnnS23U/lC9Rdh3IO
`;

function login(user: string, password: string): Record<string, string> {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return { Authorization: `Basic ${bytes.toBase64()}` };
}

interface Scene {
  readonly file: string;
  readonly table: string;
}

async function withUsers(body: (scene: Scene) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const file = `${folder.path}/htpasswd`;
  await Deno.writeTextFile(file, USERS);
  await Deno.writeTextFile(`${folder.path}/a.txt`, "a file");
  const auth = `auth: {basic: {file: ${file}, realm: 'The "inner" room'}}`;
  const table = `server:
  accessLog: json
routes:
  - {path: /env/*, ${auth}, cgi: ${TESTS}/apps/cgi/environ.sh}
  - {path: /file/*, auth: {basic: ${file}}, static: ${folder.path}}
  - {path: /text, ${auth}, respond: inner}
  - {path: /old, ${auth}, redirect: /text}
  - {path: /free, respond: outer}
`;
  await body({ file, table });
}

Deno.test("auth: the right password opens routes of every kind, and programs learn the name", () =>
  withUsers(async ({ table }) => {
    await withGateway(table, async ({ port, access, log }) => {
      const users: [string, string, string][] = [
        ["ann", "secret", "ann"],
        ["bob", "secret", "bob"],
        ["j\u00f6rg", "p\u00e4ss:w\u00f6rd", "j\xc3\xb6rg"],
        ["long", "y".repeat(100), "long"],
      ];
      for (const [user, password, told] of users) {
        const headers = { ...login(user, password), "X-Other": "1" };
        const { text } = await ask(port, { target: "/env/x", headers });
        const lines = text.split("\n");
        assert.ok(lines.includes(`REMOTE_USER=${told}`), text);
        assert.ok(lines.includes("AUTH_TYPE=Basic"));
        assert.ok(lines.includes("HTTP_X_OTHER=1"));
        assert.doesNotMatch(text, /AUTHORIZATION/);
        assert.equal((await ask(port, { target: "/file/a.txt", headers })).text, "a file");
        assert.equal((await ask(port, { target: "/text", headers })).text, "inner");
        assert.equal((await ask(port, { target: "/old", headers })).status, 308);
      }
      assert.equal((await ask(port, { target: "/free" })).text, "outer");
      assert.doesNotMatch(await access() + await log(), /secret|p\u00e4ss/);
    });
  }));

Deno.test("auth: anything else is asked for a password, on every kind", () =>
  withUsers(async ({ table }) => {
    await withGateway(table, async ({ port }) => {
      const wrong: Record<string, string>[] = [
        {},
        login("ann", "Secret"),
        login("ann", ""),
        login("nobody", "secret"),
        login("", "secret"),
        login("long", "y".repeat(71)),
        { Authorization: "Bearer abc" },
        { Authorization: "Basic !!!" },
        { Authorization: login("ann", "secret")["Authorization"] + ", Basic x" },
        { "Proxy-Authorization": login("ann", "secret")["Authorization"] ?? "" },
      ];
      for (const target of ["/env/x", "/file/a.txt", "/text", "/old", "/file/none"]) {
        for (const headers of wrong) {
          const answer = await ask(port, { target, headers });
          assert.equal(answer.status, 401, JSON.stringify(headers));
          const realm = target.startsWith("/file") ? "Restricted" : 'The \\"inner\\" room';
          assert.deepEqual(answer.all("www-authenticate"), [
            `Basic realm="${realm}", charset="UTF-8"`,
          ]);
          assert.equal(answer.get("cache-control"), "no-store");
        }
      }
      assert.equal((await ask(port, { method: "HEAD", target: "/text" })).status, 401);
    });
  }));

Deno.test("auth: a changed file counts, a faulty one changes nothing", () =>
  withUsers(async ({ table, file }) => {
    await withGateway(table, async ({ port, log }) => {
      const status = async (user: string) =>
        (await ask(port, { target: "/text", headers: login(user, "secret") })).status;
      assert.deepEqual([await status("ann"), await status("new")], [200, 401]);
      const line = USERS.split("\n")[0] ?? "";
      await Deno.writeTextFile(file, line.replace("ann", "new") + "\n");
      await eventually(async () => await status("new") === 200);
      // Also where the old password was remembered.
      assert.equal(await status("ann"), 401);
      await Deno.writeTextFile(file, "new:secret\n");
      await eventually(async () => (await status("new"), /stay as they were/.test(await log())));
      assert.equal(await status("new"), 200);
      assert.match(await log(), /line 1: a password in the clear/);
      await Deno.remove(file);
      await eventually(async () => (await status("new"), /Cannot find/.test(await log())));
      assert.equal(await status("new"), 200);
      assert.doesNotMatch(await log(), /new:secret/);
    });
  }));

Deno.test("auth: a file that cannot be used is told of at the start", () =>
  withUsers(async ({ table, file }) => {
    const start = () => withGateway(table, () => Promise.resolve());
    await Deno.writeTextFile(file, "ann:$apr1$a$b\n");
    await assert.rejects(start, /route "\/env\/\*" \(cgi\): Cannot use .*line 1: an MD5 hash/);
    await Deno.remove(file);
    await assert.rejects(start, /Cannot find .*htpasswd/);
  }));

Deno.test("auth: what is slow is done once, elsewhere, and remembered", () =>
  withUsers(async ({ table }) => {
    await withGateway(table, async ({ port, reload }) => {
      const headers = login("slow", "secret");
      let longest = 0;
      let last = performance.now();
      const pulse = setInterval(() => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      }, 5);
      const first = performance.now();
      const asked = Array.from({ length: 20 }, () => ask(port, { target: "/text", headers }));
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      clearInterval(pulse);
      assert.deepEqual(new Set(statuses), new Set([200]));
      const once = performance.now() - first;
      const before = performance.now();
      for (let times = 0; times < 20; times++) {
        assert.equal((await ask(port, { target: "/text", headers })).status, 200);
      }
      assert.ok(performance.now() - before < 20 * once / 2);
      assert.ok(longest < Math.max(once, 250), `the loop stood still for ${longest} ms`);
      // The thread and what it knows are carried over.
      await reload(table);
      assert.equal((await ask(port, { target: "/text", headers })).status, 200);
    });
  }));

/** A thread that never answers by itself. */
class Stalled extends PasswordThread {
  readonly asked: { hash: string; answer(fits: boolean): void }[] = [];

  override get length(): number {
    return this.asked.length;
  }

  override ask({ hash }: { hash: string }): Promise<boolean> {
    return new Promise((resolve) => this.asked.push({ hash, answer: resolve }));
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const FEW = new Map([["ann", "hash of ann"], ["bob", "hash of bob"]]);

Deno.test("PasswordChecker asks once for the same, and against a hash for strangers too", async () => {
  await using thread = new Stalled();
  const checker = new PasswordChecker(thread);
  const judge = (user: string, password = "x") =>
    checker.admits(FEW, { user, password: bytes(password) }, "192.0.2.1");
  const judged = [judge("bob"), judge("bob"), judge("nobody"), judge("ann", "")];
  await eventually(() => thread.asked.length === 2);
  // Digests are made side by side: any of the two may be first.
  assert.deepEqual(thread.asked.map(({ hash }) => hash).sort(), ["hash of ann", "hash of bob"]);
  for (const { answer } of thread.asked) answer(true);
  // A stranger never fits, even whose password is another's.
  assert.deepEqual(await Promise.all(judged), [true, true, false, false]);
  assert.equal(await judge("bob"), true);
  assert.equal(thread.asked.length, 2);
  // Another hash, another password.
  const changed = new Map([["bob", "next hash"]]);
  const again = checker.admits(changed, { user: "bob", password: bytes("x") }, "192.0.2.1");
  await eventually(() => thread.asked.length === 3);
  thread.asked[2]?.answer(false);
  assert.equal(await again, false);
});

Deno.test("PasswordChecker bounds what waits, for each client and in all", async () => {
  await using thread = new Stalled();
  const checker = new PasswordChecker(thread);
  const judge = (password: string, from: string) =>
    checker.admits(FEW, { user: "ann", password: bytes(password) }, from);
  const fails = async (judged: Promise<boolean>, status: number) => {
    await assert.rejects(judged, (error: unknown) => {
      assert.ok(error instanceof GatewayError);
      assert.equal(error.status, status);
      assert.deepEqual(error.headers, [["retry-after", "1"]]);
      return true;
    });
  };
  const waiting = Array.from({ length: 4 }, (_, index) => judge(`guess ${index}`, "192.0.2.1"));
  await eventually(() => thread.asked.length === 4);
  await fails(judge("guess 5", "192.0.2.1"), 429);
  for (let index = 0; index < 60; index++) waiting.push(judge(`${index}`, `192.0.2.${index + 2}`));
  await eventually(() => thread.asked.length === 64);
  await fails(judge("another", "198.51.100.1"), 503);
  for (const { answer } of thread.asked.splice(0)) answer(false);
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set([false]));
  const later = judge("guess 6", "192.0.2.1");
  await eventually(() => thread.asked.length === 1);
  thread.asked[0]?.answer(true);
  assert.equal(await later, true);
});

testWith(
  ["htpasswd"],
  "PasswordThread agrees with htpasswd, and ends with its questions",
  async () => {
    const thread = new PasswordThread();
    const hashOf = async (password: string) => {
      const child = new Deno.Command("htpasswd", {
        args: ["-niB", "-C", "4", "u"],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(bytes(password));
      await writer.close();
      return new TextDecoder().decode((await child.output()).stdout).trim().slice(2);
    };
    for (const password of ["a", "p\u00e4ss", "x".repeat(71), "x".repeat(72), "x".repeat(73)]) {
      const hash = await hashOf(password);
      assert.equal(await thread.ask({ hash, password: bytes(password) }), true, password);
      assert.equal(await thread.ask({ hash, password: bytes(`b${password}`) }), false, password);
    }
    const left = thread.ask({ hash: await hashOf("a"), password: bytes("a") });
    await thread[Symbol.asyncDispose]();
    await assert.rejects(left, { message: "The gateway closes" });
  },
);
