/** Perl's CGI.pm under the `cgi` kind: forms, a large upload, cookies, redirects, and a script that dies. */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const MIB = 2 ** 20;

/** Serves `form.pl` at `/spool` and, its input as it comes, at `/stream`. */
async function withForm(body: (gateway: TestGateway) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const route = (requestBody: string) => ({
    path: `/${requestBody}/*`,
    requestBody,
    maxRequestBody: "80MiB",
    cgi: { script: "apps/cgi/form.pl", env: { TMPDIR: folder.path } },
  });
  const table = `server:
  spoolDir: ${folder.path}/spool
routes: ${JSON.stringify([route("spool"), route("stream")])}
`;
  await withGateway(table, async (gateway) => {
    await body(gateway);
    // What CGI.pm put there is gone with the script, what was spooled has no name.
    assert.deepEqual([...Deno.readDirSync(folder.path)].filter(({ isFile }) => isFile), []);
  });
}

testWith(["perl", "CGI.pm"], "CGI.pm: an upload of 64 MiB", async (t) => {
  const noise = fillRandom(new Uint8Array(64 * MIB));
  const sum = await sha256(noise);
  const name = "gr\u00fc\u00dfe & co.bin";
  const form = new FormData();
  form.set("note", "J\u00fcrgen\r\nline 2");
  form.set("file", new File([noise], name, { type: "application/x-noise" }));
  await withForm(async ({ base, log }) => {
    const upload = async (mode: string, body: FormData | ReadableStream, type?: string) => {
      const headers = type === undefined ? {} : { "Content-Type": type };
      const answer = await fetch(`${base}/${mode}/upload`, { method: "POST", body, headers });
      const { length, ...told } = await answer.json();
      assert.equal(answer.status, 200);
      assert.ok(Number(length) > noise.length, `CONTENT_LENGTH=${length}`);
      assert.deepEqual(told, {
        name,
        note: "J\u00fcrgen\r\nline 2",
        type: "application/x-noise",
        size: noise.length,
        sha256: sum,
      });
    };
    for (const mode of ["spool", "stream"]) {
      await t.step(`with its length (${mode})`, () => upload(mode, form));
    }
    await t.step("chunked, so that only spooling finds its length", async () => {
      const whole = new Response(form);
      const type = whole.headers.get("content-type") ?? "";
      await upload("spool", whole.body ?? assert.fail("no body"), type);
    });
    assert.equal(await log(), "");
  });
});

testWith(["perl", "CGI.pm"], "CGI.pm: fields, cookies, redirects, statuses", async (t) => {
  await withForm(async ({ base, port, log }) => {
    const url = `${base}/spool`;

    await t.step("fields of a query and of both kinds of forms, several of one name", async () => {
      const fields = [["name", "Gr\u00fc\u00dfe & \u{1f600}"], ["name", "+ =;%"], ["empty", ""]];
      const expected = { name: [fields[0]?.[1], fields[1]?.[1]], empty: [""] };
      const query = new URLSearchParams(fields);
      assert.deepEqual(await (await fetch(`${url}/fields?${query}`)).json(), expected);
      const parts = new FormData();
      for (const [name = "", value = ""] of fields) parts.append(name, value);
      for (const body of [query, parts]) {
        const answer = await fetch(`${url}/fields`, { method: "POST", body });
        assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
        assert.deepEqual(await answer.json(), expected);
      }
    });

    await t.step("cookies, two of them each way", async () => {
      const first = await ask(port, { target: "/spool/cookies" });
      const cookies = first.all("set-cookie");
      assert.deepEqual(
        cookies,
        ["one", "two"].map((name) => {
          return `${name}=${name}%20%26%20%C3%BC; path=/; HttpOnly`;
        }),
      );
      const pairs = cookies.map((cookie) => cookie.split(";", 1)[0]);
      const headers = { Cookie: pairs.join("; ") };
      const second = await (await fetch(`${url}/cookies`, { headers })).json();
      // CGI.pm leaves the values of cookies as bytes.
      assert.deepEqual(second, { one: "one & \u00c3\u00bc", two: "two & \u00c3\u00bc" });
    });

    await t.step("redirects with the status that it says", async () => {
      const seen = async (path: string) => {
        const { status, headers, body } = await fetch(url + path, { redirect: "manual" });
        await body?.cancel();
        return [status, headers.get("location")];
      };
      assert.deepEqual(await seen("/redirect"), [303, "/spool/fields?to=here"]);
      assert.deepEqual(await seen("/elsewhere"), [302, "http://example.org/a?b=c"]);
      const followed = await fetch(`${url}/redirect`, { method: "POST", body: "a=b" });
      assert.deepEqual(await followed.json(), { to: ["here"] });
    });

    await t.step("a status of its own", async () => {
      const answer = await fetch(`${url}/missing`);
      assert.deepEqual([answer.status, await answer.text()], [404, "no such thing"]);
    });

    await t.step("a script that dies tells the browser, and the log", async () => {
      const answer = await fetch(`${url}/dies`);
      assert.equal(answer.status, 500);
      assert.match(answer.headers.get("content-type") ?? "", /^text\/html/);
      assert.match(await answer.text(), /Software error[^]*the disk is on fire/);
      assert.match(await log(), /program id=\S+: .*form\.pl: the disk is on fire/);
    });
  });
});
