/** Flask, Django and Bottle as Debian packages them, between wsgiref's validator and Portico. */
import assert from "node:assert/strict";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";

/** The interpreter that distribution packages are for. */
const PYTHON = "/usr/bin/python3";

const FRAMEWORKS = ["flask", "django", "bottle"] as const;

/** The package, if the framework is missing here. */
function missing(framework: string): string[] {
  try {
    const { success } = new Deno.Command(PYTHON, {
      args: ["-c", `import ${framework}`],
      stdout: "null",
      stderr: "null",
    }).outputSync();
    return success ? [] : [`python3-${framework}`];
  } catch {
    return ["python3"];
  }
}

for (const framework of FRAMEWORKS) {
  for (const requestBody of ["spool", "stream"]) {
    const name =
      `wsgi (Python): ${framework} does forms, sessions, uploads and streams (${requestBody})`;
    testWith(missing(framework), name, async (t) => {
      const app = `./apps/python/${framework}_site.py:app`;
      const wsgi = { app, python: PYTHON, processes: 2, threads: 2, validate: true };
      const routes = JSON.stringify([{ path: "/site/*", requestBody, wsgi }]);
      await withGateway(`routes: ${routes}\n`, async (gateway) => {
        // Only Flask goes by wsgi.input_terminated: the others need to be told a length.
        await useSite(t, gateway, requestBody === "spool" || framework === "flask");
        const log = await gateway.log();
        assert.doesNotMatch(log, /AssertionError|was not closed|Warning/);
        assert.match(log, /LookupError: nobody is there/);
      });
    });
  }
}

async function useSite(
  t: Deno.TestContext,
  { base }: TestGateway,
  takesChunked: boolean,
): Promise<void> {
  const site = `${base}/site`;

  await t.step("a form in UTF-8, with a length and chunked", async () => {
    const form = new URLSearchParams([["who", "J\u00fcrgen"], ["who", "\u{1f600} & co"], [
      "no",
      "",
    ]]);
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const chunked = new Blob([form.toString()]).stream();
    for (const body of takesChunked ? [form.toString(), chunked] : [form.toString()]) {
      const answer = await fetch(`${site}/form`, { method: "POST", body, headers });
      assert.deepEqual(await answer.json(), { who: ["J\u00fcrgen", "\u{1f600} & co"], no: [""] });
    }
  });

  await t.step("a session", async () => {
    let cookie = "";
    for (const expected of ["1", "2", "3"]) {
      const answer = await fetch(`${site}/count`, { headers: { cookie } });
      assert.equal(await answer.text(), expected);
      [cookie = ""] = (answer.headers.getSetCookie()[0] ?? "").split(";");
    }
  });

  await t.step("an upload", async () => {
    const body = new FormData();
    body.set("word", "\u00fcber");
    body.set("file", new File([new Uint8Array(3_000_000)], "noise.bin"));
    const answer = await fetch(`${site}/upload`, { method: "POST", body });
    assert.deepEqual(await answer.json(), {
      name: "noise.bin",
      size: 3_000_000,
      word: "\u00fcber",
    });
  });

  await t.step("a stream, piece by piece", async () => {
    const answer = await fetch(`${site}/stream?word=%C3%BC`);
    const times: number[] = [];
    let text = "";
    for await (const piece of answer.body ?? []) {
      text += new TextDecoder().decode(piece);
      times.push(performance.now());
    }
    assert.equal(text, "\u00fc 0\n\u00fc 1\n\u00fc 2\n");
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 250, String(times));
  });

  await t.step("a redirect", async () => {
    const answer = await fetch(`${site}/there`, { redirect: "manual" });
    await answer.body?.cancel();
    assert.equal(answer.status, 302);
    assert.match(answer.headers.get("location") ?? "", /\/count$/);
  });

  await t.step("an exception", async () => {
    const answer = await fetch(`${site}/boom`);
    assert.equal(answer.status, 500);
    assert.doesNotMatch(await answer.text(), /LookupError|nobody/);
  });
}
