/**
 * `git http-backend` under the `cgi` kind, spoken to by the real git: the most demanding CGI program that
 * is everywhere. Clone whole and shallow, push, protocol version 2, requests that git compresses, packs
 * that it sends chunked because they exceed its post buffer, and the dumb protocol.
 */
import assert from "node:assert/strict";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import {
  BACKEND,
  backendRoute,
  commitNoise,
  createOrigin,
  formatHistory,
  type Git,
  gitAt,
  headOf,
} from "../support/git.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const MIB = 2 ** 20;
const MODES = ["spool", "stream"] as const;

interface Stage extends TestGateway {
  readonly git: Git;
  readonly folder: string;
  readonly origin: string;
}

/** Serves one repository at `/spool/origin.git` and `/stream/origin.git`; nothing may go wrong unseen. */
async function withOrigin(bytes: number, body: (stage: Stage) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const git = gitAt(folder.path);
  const origin = await createOrigin(git, folder.path, bytes);
  const routes = MODES.map((requestBody) =>
    backendRoute(`/${requestBody}/*`, folder.path, {
      options: { requestBody, methods: ["GET", "POST"] },
    })
  );
  const table = `server:\n  spoolDir: ${folder.path}/spool\nroutes:\n${routes.join("\n")}\n`;
  await withGateway(table, async (gateway) => {
    await body({ ...gateway, git, folder: folder.path, origin });
    assert.doesNotMatch(await gateway.log(), / (error|warn) /);
  });
}

testWith(["git", BACKEND], "cgi serves git http-backend: clone, push, protocol v2", async (t) => {
  await withOrigin(5 * MIB, async ({ base, folder, git, origin }) => {
    const url = `${base}/spool/origin.git`;
    const clone = `${folder}/clone`;

    await t.step("a repository of 5 MiB is cloned over protocol v2", async () => {
      const env = { GIT_TRACE_CURL: "1", GIT_TRACE_PACKET: "1" };
      const trace = await git(["clone", url, clone], { env });
      // The client asks for it, the server agrees, and the client uses it.
      assert.match(trace, /Git-Protocol: version=2/);
      assert.match(trace, /packet: +(git|clone)< version 2/);
      assert.match(trace, /packet: +(git|clone)> command=fetch/);
      assert.equal(await headOf(git, clone), await headOf(git, origin));
      await git(["-C", clone, "fsck", "--strict"]);
    });

    await t.step("a small push and a fetch go through", async () => {
      await commitNoise(git, `${clone}/small.bin`, 1000);
      await git(["-C", clone, "push", "-q", "origin", "main"]);
      assert.equal(await headOf(git, origin), await headOf(git, clone));
      await git(["-C", `${folder}/tree`, "fetch", "-q", url, "main:fetched"]);
      assert.equal(await headOf(git, `${folder}/tree`, "fetched"), await headOf(git, origin));
    });

    for (const mode of MODES) {
      await t.step(`a push of 5 MiB, which git sends chunked (${mode})`, async () => {
        await commitNoise(git, `${clone}/${mode}.bin`, 5 * MIB);
        const to = `${base}/${mode}/origin.git`;
        const trace = await git(["-C", clone, "push", to, "main"], {
          env: { GIT_TRACE_CURL: "1" },
        });
        assert.match(trace, /Transfer-Encoding: chunked/i);
        assert.equal(await headOf(git, origin), await headOf(git, clone));
        await git(["-C", origin, "fsck", "--strict"]);
      });
    }

    await t.step("four clones at once", async () => {
      const names = Array.from({ length: 4 }, (_, i) => `${folder}/many${i}`);
      await Promise.all(names.map((name) => git(["clone", "-q", url, name])));
      for (const name of names) assert.equal(await headOf(git, name), await headOf(git, origin));
    });
  });
});

testWith(["git", BACKEND], "cgi serves git http-backend: shallow clones", async (t) => {
  await withOrigin(1000, async ({ base, folder, git, origin }) => {
    await git(["-C", origin, "fast-import", "--quiet"], { input: formatHistory("long", 20) });
    const url = `${base}/stream/origin.git`;
    const commits = async (clone: string) =>
      Number(await git(["-C", clone, "rev-list", "--count", "HEAD"]));
    const isShallow = async (clone: string) =>
      (await git(["-C", clone, "rev-parse", "--is-shallow-repository"])).trim() === "true";
    const shallow = async (name: string) => {
      const clone = `${folder}/${name}`;
      await git(["clone", "-q", "--depth", "1", "--branch", "long", url, clone]);
      assert.deepEqual([await commits(clone), await isShallow(clone)], [1, true]);
      return clone;
    };

    await t.step("--depth 1, made deeper, then whole", async () => {
      const clone = await shallow("deeper");
      await git(["-C", clone, "fetch", "-q", "--deepen", "5"]);
      assert.deepEqual([await commits(clone), await isShallow(clone)], [6, true]);
      await git(["-C", clone, "fetch", "-q", "--unshallow"]);
      assert.deepEqual([await commits(clone), await isShallow(clone)], [20, false]);
      await git(["-C", clone, "fsck", "--strict"]);
    });

    await t.step("a push from a shallow clone", async () => {
      const clone = await shallow("pushing");
      await commitNoise(git, `${clone}/new.bin`, 1000);
      await git(["-C", clone, "push", "-q", "origin", "long"]);
      assert.equal(await headOf(git, origin, "long"), await headOf(git, clone, "long"));
      assert.equal(Number(await git(["-C", origin, "rev-list", "--count", "long"])), 21);
    });
  });
});

testWith(
  ["git", BACKEND],
  "cgi serves git http-backend: requests that git compresses",
  async (t) => {
    await withOrigin(1000, async ({ base, folder, git, origin }) => {
      await git(["-C", origin, "fast-import", "--quiet"], {
        input: formatHistory("many", 300, true),
      });
      for (const mode of MODES) {
        for (const version of ["0", "2"]) {
          await t.step(`many wants, then many haves (${mode}, protocol v${version})`, async () => {
            const url = `${base}/${mode}/origin.git`;
            const clone = `${folder}/${mode}${version}`;
            const v = ["-c", `protocol.version=${version}`];
            const env = { GIT_TRACE_CURL: "1" };
            const cloning = await git([...v, "clone", url, clone], { env });
            assert.match(cloning, /=> Send header: Content-Encoding: gzip/);
            assert.equal(/Git-Protocol: version=2/.test(cloning), version === "2");
            const branches = await git(["-C", clone, "branch", "--remotes"]);
            assert.equal(branches.match(/origin\/many-\d+$/gm)?.length, 300);

            const own = formatHistory("own", 300);
            await git(["-C", clone, "fast-import", "--quiet"], { input: own });
            await git(["-C", origin, "fast-import", "--quiet"], {
              input: formatHistory(`new-${mode}-${version}`, 2),
            });
            const fetching = await git([...v, "-C", clone, "fetch"], { env });
            assert.match(fetching, /=> Send header: Content-Encoding: gzip/);
            const branch = `new-${mode}-${version}`;
            assert.equal(
              await headOf(git, clone, `origin/${branch}`),
              await headOf(git, origin, branch),
            );
            await git(["-C", clone, "fsck", "--strict"]);
          });
        }
      }
    });
  },
);

testWith(["git", BACKEND], "cgi serves git http-backend: the dumb protocol", async () => {
  await withOrigin(MIB, async ({ access, base, folder, git, origin }) => {
    await git(["-C", origin, "repack", "-q", "-a", "-d"]);
    await git(["-C", `${folder}/tree`, "commit", "-q", "--allow-empty", "-m", "Loose"]);
    await git(["-C", `${folder}/tree`, "push", "-q", origin, "main"]);
    await git(["-C", origin, "update-server-info"]);
    const clone = `${folder}/clone`;
    await git(["clone", "-q", `${base}/spool/origin.git`, clone], {
      env: { GIT_SMART_HTTP: "0" },
    });
    assert.equal(await headOf(git, clone), await headOf(git, origin));
    await git(["-C", clone, "fsck", "--strict"]);
    const lines = await access();
    assert.match(lines, /GET \S*\/info\/refs HTTP/);
    assert.match(lines, /GET \S*\/objects\/[0-9a-f]{2}\/[0-9a-f]{38} HTTP\S* 200/);
    assert.match(lines, /GET \S*\/objects\/pack\/pack-[0-9a-f]{40}\.pack HTTP\S* 200/);
    assert.doesNotMatch(lines, /POST|service=/);
  });
});
