/** Python under the `cgi` kind: wsgiref's own gateway, checked by its validator, and a script by hand. */
import assert from "node:assert/strict";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const MIB = 2 ** 20;
const MODES = ["spool", "stream"] as const;

/** Serves the folder of scripts at `/spool` and, input as it comes, at `/stream`. */
async function withScripts(body: (gateway: TestGateway) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const routes = MODES.map((requestBody) => {
    return { path: `/${requestBody}/*`, requestBody, cgi: { root: "apps/cgi" } };
  });
  const table = `server:\n  spoolDir: ${folder.path}\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, body);
}

testWith(["python3"], "wsgiref.handlers.CGIHandler takes requests of every form", async (t) => {
  await withScripts(async ({ base, log }) => {
    const noise = fillRandom(new Uint8Array(3 * MIB));
    for (const mode of MODES) {
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
        await t.step(`${method} (${mode})`, async () => {
          const url = `${base}/${mode}/wsgi.py`;
          const answer = await fetch(`${url}//x?a=b`, { method });
          assert.equal(answer.status, 200);
          const text = await answer.text();
          if (method === "HEAD") return assert.equal(text, "");
          const { environ, length } = JSON.parse(text);
          assert.deepEqual([environ.REQUEST_METHOD, environ.QUERY_STRING], [method, "a=b"]);
          assert.deepEqual([environ.SCRIPT_NAME, length], [`/${mode}/wsgi.py`, 0]);
        });
      }
      await t.step(`3 MiB of noise (${mode})`, async () => {
        const url = `${base}/${mode}/wsgi.py`;
        const { length, sha1 } = await (await fetch(url, { method: "POST", body: noise })).json();
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", noise));
        assert.deepEqual([length, sha1], [noise.length, digest.toHex()]);
      });
    }
    // The validator would have said what it minds in a traceback.
    assert.doesNotMatch(await log(), /Traceback|AssertionError|exited/);
  });
});

testWith(["python3"], "a Python script reads os.environ and sys.stdin.buffer", async (t) => {
  await withScripts(async ({ base, log }) => {
    await t.step("a form, and its query, in UTF-8", async () => {
      const body = new URLSearchParams([["who", "J\u00fcrgen"], ["who", "\u{1f600} & co"], [
        "no",
        "",
      ]]);
      const url = `${base}/spool/plain.py/form?q=%C3%BC&q=2&e=`;
      const answer = await fetch(url, { method: "POST", body });
      const lines = ["q=\u00fc|2", "e=", "who=J\u00fcrgen|\u{1f600} & co", "no=", ""];
      assert.deepEqual([answer.status, await answer.text()], [200, lines.join("\n")]);
    });
    const noise = fillRandom(new Uint8Array(5 * MIB + 1));
    const sum = await sha256(noise);
    const bodies = [
      ["with its length", () => noise, () => String(noise.length)],
      ["chunked", () => new Blob([noise]).stream(), (mode: string) => {
        // A length that is not known is not told.
        return mode === "spool" ? String(noise.length) : "None";
      }],
    ] as const;
    for (const mode of MODES) {
      for (const [name, body, length] of bodies) {
        await t.step(`bytes come back as they were, ${name} (${mode})`, async () => {
          const url = `${base}/${mode}/plain.py/echo`;
          const answer = await fetch(url, { method: "POST", body: body() });
          assert.equal(answer.headers.get("x-length"), length(mode));
          assert.equal(await sha256(new Uint8Array(await answer.arrayBuffer())), sum);
        });
      }
    }
    await eventually(async () => (await log()).split(`: ${sum}\n`).length === 5);
    assert.doesNotMatch(await log(), /Traceback|exited/);
  });
});
