/** Several upstreams in `connect`: who gets a request, and what becomes of it when one of them fails. */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";
import {
  end,
  joined,
  out,
  OUT_END,
  type RawResponder,
  type Script,
  serveRaw,
} from "../upstreams/raw_fastcgi.ts";
import { linesOf } from "./contract.ts";

const answers = (name: string): Script => (wire) =>
  wire.write(joined(out(`Content-Type: text/plain\n\n${name}`), OUT_END, end()));
const closes: Script = (wire) => wire.close();

interface Scene {
  readonly gateway: TestGateway;
  readonly responders: readonly (RawResponder | undefined)[];
  readonly folder: string;
  /** Asks so often, one after the other, and gives the answers. */
  ask(count: number, method?: string): Promise<string[]>;
}

/** A script for each place; undefined: nobody is there. */
async function withUpstreams(
  scripts: readonly (Script | undefined)[],
  fields: Readonly<Record<string, unknown>>,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await using temp = await tempFolder();
  await using stack = new AsyncDisposableStack();
  const { path } = temp;
  const responders = scripts.map((script, index) =>
    script && stack.use(serveRaw(`${path}/${index}`, script))
  );
  const connect = scripts.map((_, index) => `unix:${path}/${index}`);
  const text = JSON.stringify([{ path: "/*", fastcgi: { connect, ...fields } }])
    .replaceAll("FOLDER", path);
  await withGateway(`server:\n  accessLog: json\nroutes: ${text}\n`, async (gateway) => {
    await body({
      gateway,
      responders,
      folder: path,
      async ask(count, method = "GET") {
        const texts = [];
        for (let index = 0; index < count; index++) {
          const body = method === "POST" ? { body: "pay" } : {};
          const { status, text } = await ask(gateway.port, { method, target: "/", ...body });
          texts.push(status === 200 ? text : String(status));
        }
        return texts;
      },
    });
  });
}

async function notices({ gateway }: Scene): Promise<string[]> {
  return (await linesOf(gateway.log())).map(({ message }) => message ?? "");
}

Deno.test("fastcgi: balance round-robin takes them in turn", async () => {
  const scripts = ["a", "b", "c"].map(answers);
  await withUpstreams(scripts, { balance: "round-robin" }, async ({ ask }) => {
    assert.equal((await ask(7)).join(""), "abcabca");
  });
});

Deno.test("fastcgi: least-connections gives to who has fewest requests", async () => {
  const slow = (name: string): Script => async (wire, request) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await answers(name)(wire, request);
  };
  await withUpstreams(["a", "b"].map(slow), {}, async ({ ask }) => {
    const all = await Promise.all(Array.from({ length: 8 }, () => ask(1)));
    assert.equal(all.flat().sort().join(""), "aaaabbbb");
  });
});

Deno.test("fastcgi: one that is gone costs nobody an answer, be it a POST, and is left out", async () => {
  await withUpstreams([undefined, answers("b")], { balance: "round-robin" }, async (scene) => {
    assert.equal((await scene.ask(6)).join(""), "bbbbbb");
    assert.equal((await scene.ask(6, "POST")).join(""), "bbbbbb");
    const posts = scene.responders[1]?.requests.filter(({ body }) => body === "pay");
    assert.equal(posts?.length, 6);
    const told = await notices(scene);
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(
      told[0] ?? "",
      /\/0 is down after 3 failures: Cannot connect to ".*": no such socket/,
    );
  });
});

Deno.test("fastcgi: one that breaks off costs no GET its answer, and no POST runs twice", async () => {
  await withUpstreams([closes, answers("b")], {}, async (scene) => {
    assert.equal((await scene.ask(8)).join(""), "bbbbbbbb");
  });
  await withUpstreams([closes, answers("b")], {}, async (scene) => {
    const answered = await scene.ask(8, "POST");
    const posts = scene.responders.map((responder) => responder?.requests.length);
    // Three until it is left out: each failed for good, since it may have had its effect.
    assert.deepEqual(posts, [3, 5]);
    assert.equal(answered.join(""), "502502502bbbbb");
    assert.match((await notices(scene)).join("\n"), /closed a connection without an answer/);
  });
});

Deno.test("fastcgi: who is overloaded passes its requests on to another, each once (§5.5)", async () => {
  const refuses: Script = (wire) => wire.write(end(0, "overloaded"));
  await withUpstreams([refuses, answers("b")], { balance: "round-robin" }, async (scene) => {
    assert.equal((await scene.ask(4)).join(""), "bbbb");
    assert.equal((await scene.ask(4, "POST")).join(""), "bbbb");
    assert.equal(scene.responders[1]?.requests.length, 8);
    assert.deepEqual(await notices(scene), []);
  });
  await withUpstreams([refuses, refuses], {}, async ({ ask }) => {
    assert.equal((await ask(1)).join(""), "503");
  });
});

Deno.test("fastcgi: a backup serves while no other is up, and the first again when it is back", async () => {
  const fields = {
    connect: ["unix:FOLDER/0", { address: "unix:FOLDER/1", backup: true }],
    pool: { retryWindow: "0ms" },
  };
  await withUpstreams([undefined, answers("spare")], fields, async (scene) => {
    assert.deepEqual(new Set(await scene.ask(5)), new Set(["spare"]));
    await using _first = serveRaw(`${scene.folder}/0`, answers("first"));
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.deepEqual(new Set(await scene.ask(5)), new Set(["first"]));
    assert.match((await notices(scene)).join("\n"), /0 is down after 3[^]*0 is back$/);
  });
});

Deno.test("fastcgi: all that are down are tried before a request fails", async () => {
  const fields = { pool: { retryWindow: "0ms" } };
  await withUpstreams([undefined, undefined], fields, async ({ ask, folder }) => {
    assert.equal((await ask(4)).join(""), "502502502502");
    await using _late = serveRaw(`${folder}/1`, answers("late"));
    assert.equal((await ask(2)).join(""), "latelate");
  });
});
