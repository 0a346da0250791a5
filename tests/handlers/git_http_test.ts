/**
 * `git http-backend` without git as the client: what it answers to each request, as git's own tests
 * (t5560 to t5562) expect it of Apache. Statuses, cache fields and bodies must come through unchanged.
 */
import assert from "node:assert/strict";
import { ask, type Body, type Head, type RequestText } from "../support/client.ts";
import { withGateway } from "../support/gateway.ts";
import {
  BACKEND,
  backendRoute,
  commitNoise,
  createOrigin,
  type Git,
  gitAt,
} from "../support/git.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const UPLOAD = "git-upload-pack";
const RECEIVE = "git-receive-pack";
const FLUSH = "0000";

type Answer = Head & Body;

interface Stage {
  readonly git: Git;
  readonly folder: string;
  readonly origin: string;
  get(target: string, method?: string): Promise<Answer>;
  /** Sends a request to a service, in the type that it takes unless told otherwise. */
  post(service: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  configure(name: string, value: boolean): Promise<void>;
  /** The log's lines of the program. */
  log(): Promise<string>;
}

/**
 * Serves a repository that has a pack and loose objects at `/git/origin.git` (every repository of the
 * folder), `/marked/origin.git` (those that say so themselves) and, as a stream, `/stream/origin.git`.
 */
async function withBackend(body: (stage: Stage) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const git = gitAt(folder.path);
  const origin = await createOrigin(git, folder.path, 1000);
  await git(["-C", origin, "config", "--unset", "http.receivepack"]);
  await git(["-C", origin, "repack", "-q", "-a", "-d"]);
  await commitNoise(git, `${folder.path}/tree/second.bin`, 1000);
  await git(["-C", `${folder.path}/tree`, "push", "-q", origin, "main"]);
  await git(["-C", origin, "update-server-info"]);
  for (const name of ["alternates", "http-alternates"]) {
    await Deno.writeTextFile(`${origin}/objects/info/${name}`, "");
  }
  const routes = [
    backendRoute("/git/*", folder.path),
    backendRoute("/marked/*", folder.path, { exportAll: false }),
    backendRoute("/stream/*", folder.path, { options: { requestBody: "stream" } }),
  ];
  await withGateway(`routes:\n${routes.join("\n")}\n`, async ({ port, log }) => {
    const send = (request: RequestText) => ask(port, request);
    await body({
      git,
      folder: folder.path,
      origin,
      log,
      get: (target, method = "GET") => send({ method, target }),
      post: (service, text, headers = {}) => {
        const [, name = ""] = /([^/]*)$/.exec(service) ?? [];
        const type = { "Content-Type": `application/x-${name}-request` };
        const target = service.startsWith("/") ? service : `/git/origin.git/${service}`;
        return send({ method: "POST", target, headers: { ...type, ...headers }, body: text });
      },
      configure: async (name, value) => {
        await git(["-C", origin, "config", name, String(value)]);
      },
    });
  });
}

/** What the backend sends as it lies there: each file with its type, and whether it may be kept. */
function staticFiles(origin: string): readonly (readonly [string, string, "keep" | "ask" | ""])[] {
  const inFolder = (folder: string, pattern: RegExp) => {
    const found = [...Deno.readDirSync(`${origin}/${folder}`)].find(({ name }) =>
      pattern.test(name)
    );
    assert.ok(found !== undefined, `${folder} has no ${pattern}`);
    return `${folder}/${found.name}`;
  };
  const loose = inFolder(inFolder("objects", /^[0-9a-f]{2}$/), /./);
  return [
    ["HEAD", "text/plain", ""],
    ["info/refs", "text/plain", "ask"],
    ["objects/info/packs", "text/plain; charset=utf-8", "ask"],
    ["objects/info/alternates", "text/plain", "ask"],
    ["objects/info/http-alternates", "text/plain", "ask"],
    [loose, "application/x-git-loose-object", "keep"],
    [inFolder("objects/pack", /\.pack$/), "application/x-git-packed-objects", "keep"],
    [inFolder("objects/pack", /\.idx$/), "application/x-git-packed-objects-toc", "keep"],
  ];
}

testWith(["git", BACKEND], "git http-backend: files of a repository, byte by byte", async (t) => {
  await withBackend(async ({ get, origin }) => {
    for (const [file, type, caching] of staticFiles(origin)) {
      await t.step(file.replace(/[0-9a-f]{38,}|\b[0-9a-f]{2}\b/g, "*"), async () => {
        const answer = await get(`/git/origin.git/${file}`);
        assert.deepEqual([answer.status, answer.whole], [200, true]);
        assert.equal(answer.get("content-type"), type);
        // This one the backend makes itself, of what it finds.
        if (file !== "objects/info/packs") {
          assert.deepEqual(answer.bytes, await Deno.readFile(`${origin}/${file}`));
        }
        assert.equal(Number(answer.get("content-length")), answer.bytes.length);
        if (caching === "ask") assertUncached(answer);
        if (caching === "keep") assertKept(answer);

        const head = await get(`/git/origin.git/${file}`, "HEAD");
        assert.equal(head.status, 200);
        assert.equal(head.get("content-length"), answer.get("content-length"));
        assert.equal(head.get("content-type"), type);
        assert.equal(head.get("cache-control"), answer.get("cache-control"));
      });
    }
  });
});

function assertUncached(answer: Head): void {
  assert.equal(answer.get("expires"), "Fri, 01 Jan 1980 00:00:00 GMT");
  assert.equal(answer.get("pragma"), "no-cache");
  // The backend says it twice where it refuses.
  assert.deepEqual([...new Set(answer.all("cache-control"))], [
    "no-cache, max-age=0, must-revalidate",
  ]);
}

function assertKept(answer: Head): void {
  assert.deepEqual(answer.all("cache-control"), ["public, max-age=31536000"]);
  assert.equal(answer.get("pragma"), undefined);
  assert.equal(answer.all("date").length, 1);
  const life = Date.parse(answer.get("expires") ?? "") - Date.parse(answer.get("date") ?? "");
  assert.equal(life, 31_536_000_000);
}

testWith(["git", BACKEND], "git http-backend: what is exported", async () => {
  await withBackend(async ({ get, origin, configure }) => {
    const statuses = async (prefix: string) => {
      const all = staticFiles(origin).map(([file]) => get(`/${prefix}/origin.git/${file}`));
      return [...new Set((await Promise.all(all)).map(({ status }) => status))];
    };
    assert.equal((await get("/git/origin.git/refs/heads/main")).status, 404);
    assert.equal((await get("/git/nothing.git/HEAD")).status, 404);
    assert.deepEqual(await statuses("git"), [200]);
    assert.deepEqual(await statuses("marked"), [404]);
    await Deno.writeTextFile(`${origin}/git-daemon-export-ok`, "");
    assert.deepEqual(await statuses("marked"), [200]);
    await configure("http.getanyfile", true);
    assert.deepEqual(await statuses("git"), [200]);
    await configure("http.getanyfile", false);
    assert.deepEqual(await statuses("git"), [403]);
    const refused = await get("/git/origin.git/info/refs");
    assert.deepEqual([refused.status, refused.text], [403, ""]);
    assertUncached(refused);
  });
});

testWith(["git", BACKEND], "git http-backend: services that are on and off", async (t) => {
  await withBackend(async ({ get, post, configure }) => {
    for (
      const [service, setting, initially] of [
        [UPLOAD, "http.uploadpack", 200],
        [RECEIVE, "http.receivepack", 403],
      ] as const
    ) {
      for (const [value, status] of [[undefined, initially], [true, 200], [false, 403]] as const) {
        await t.step(`${setting} ${value ?? "unset"}`, async () => {
          if (value !== undefined) await configure(setting, value);
          const refs = await get(`/git/origin.git/info/refs?service=${service}`);
          assert.equal(refs.status, status);
          assertUncached(refs);
          const call = await post(service, FLUSH);
          assert.deepEqual([call.status, call.whole], [status, true]);
          assertUncached(call);
          if (status !== 200) return;
          assert.equal(refs.get("content-type"), `application/x-${service}-advertisement`);
          assert.match(refs.text, new RegExp(`^[0-9a-f]{4}# service=${service}\n0000`));
          assert.match(refs.text, / refs\/heads\/main\b/);
          assert.equal(call.get("content-type"), `application/x-${service}-result`);
        });
      }
    }
  });
});

testWith(["git", BACKEND], "git http-backend: requests that it does not take", async (t) => {
  await withBackend(async ({ get, post }) => {
    const allowed = ({ status, get }: Answer) => [status, get("allow")];
    await t.step("a wrong method is told the right ones", async () => {
      assert.deepEqual(allowed(await get(`/git/origin.git/${UPLOAD}`)), [405, "POST"]);
      assert.deepEqual(allowed(await get(`/git/origin.git/${UPLOAD}`, "HEAD")), [405, "POST"]);
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"]) {
        const answer = await get("/git/origin.git/info/refs", method);
        assert.deepEqual(allowed(answer), [405, "GET, HEAD"], method);
      }
    });
    await t.step("a service that is none", async () => {
      for (const service of ["nonsense", "git-nonsense", "git-upload-pack%00", "../../bin/sh"]) {
        const answer = await get(`/git/origin.git/info/refs?service=${service}`);
        assert.equal(answer.status, 403, service);
      }
      assert.equal((await post("git-nonsense", FLUSH)).status, 404);
    });
    await t.step("a body of another type", async () => {
      const answer = await post(UPLOAD, FLUSH, { "Content-Type": "text/plain" });
      assert.equal(answer.status, 415);
      const form = "application/x-git-upload-pack-request";
      assert.equal(
        answer.text,
        `Expected POST with Content-Type '${form}', but received 'text/plain' instead.\n`,
      );
    });
  });
});

testWith(["git", BACKEND], "git http-backend: paths that would lead out", async () => {
  await withBackend(async ({ get, git, folder, log }) => {
    await git(["init", "-q", "--bare", `${folder}/sub/inner.git`]);
    const secret = `${folder}-secret.git`;
    await git(["init", "-q", "--bare", secret]);
    try {
      const name = secret.slice(secret.lastIndexOf("/") + 1);
      // Resolved before a route is looked for, so these ask for /NAME/HEAD, which no route has.
      for (const dots of ["..", "%2e%2e", "%2E.", ".%2e"]) {
        assert.equal((await get(`/git/${dots}/${name}/HEAD`)).status, 404, dots);
        assert.equal((await get(`/git/sub/${dots}/origin.git/HEAD`)).status, 200, dots);
      }
      for (const target of ["/git//origin.git/HEAD", "/git/./origin.git/./HEAD"]) {
        assert.equal((await get(target)).status, 200, target);
      }
      // An encoded slash hides them from the resolution; the backend itself refuses what comes of it.
      for (const escape of ["..%2f", "%2e%2e%2F", "sub%2f..%2F..%2f", ".%2f..%2f"]) {
        const answer = await get(`/git/${escape}${name}/HEAD`);
        assert.equal(answer.status, 500, escape);
        assert.doesNotMatch(answer.text, /refs\/heads/);
      }
      assert.equal((await log()).match(/fatal: '[^']*': aliased/g)?.length, 4);
      assert.equal((await get("/git/sub%2finner.git/HEAD")).status, 200);
      assert.equal((await get("/git/origin.git/..%5c..%5cHEAD")).status, 404);
    } finally {
      await Deno.remove(secret, { recursive: true });
    }
  });
});

const ZERO = "0".repeat(40);

/** A line of git's wire format. */
function packet(text: string): string {
  return (text.length + 4).toString(16).padStart(4, "0") + text;
}

async function gzip(text: string): Promise<string> {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  return Array.from(packed, (byte) => String.fromCharCode(byte)).join("");
}

testWith(
  ["git", BACKEND],
  "git http-backend: bodies plain, compressed, cut and empty",
  async (t) => {
    await withBackend(async ({ post, git, origin, configure, log }) => {
      const rev = async (...args: string[]) => (await git(["-C", origin, ...args])).trim();
      const [head, before] = [await rev("rev-parse", "main"), await rev("rev-parse", "main~1")];
      const wants = packet(`want ${head}\n`) + FLUSH + packet(`have ${before}\n`) +
        packet("done\n");
      await configure("http.receivepack", true);
      const deletion = (branch: string) => {
        const command = `${head} ${ZERO} refs/heads/${branch}\0report-status`;
        return packet(command) + FLUSH;
      };
      const squeezed = { "Content-Encoding": "gzip" };

      for (const mode of ["git", "stream"]) {
        const [upload, receive] = [
          `/${mode}/origin.git/${UPLOAD}`,
          `/${mode}/origin.git/${RECEIVE}`,
        ];
        const isPack = ({ status, text }: Answer) => status === 200 && text.includes("PACK");
        await t.step(`fetch (${mode})`, async () => {
          assert.ok(isPack(await post(upload, wants)));
          assert.ok(isPack(await post(upload, await gzip(wants), squeezed)));
          for (const body of [wants.slice(0, 10), ""]) {
            assert.ok(!isPack(await post(upload, body)));
            assert.ok(!isPack(await post(upload, (await gzip(wants)).slice(0, 10), squeezed)));
          }
        });
        await t.step(`push (${mode})`, async () => {
          for (const [branch, zipped] of [["plain", false], ["zipped", true]] as const) {
            await git(["-C", origin, "branch", branch, "main"]);
            const text = deletion(branch);
            const body = zipped ? await gzip(text) : text;
            const headers = zipped ? squeezed : {};
            await post(receive, body.slice(0, 10), headers);
            await post(receive, "", headers);
            assert.equal(await rev("rev-parse", branch), head);
            const answer = await post(receive, body, headers);
            assert.deepEqual([answer.status, answer.whole], [200, true]);
            assert.ok(answer.text.includes(`ok refs/heads/${branch}`), answer.text);
            assert.equal(await rev("branch", "--list", branch), "");
          }
        });
      }
      assert.match(await log(), /request ended in the middle of the gzip stream/);
    });
  },
);
