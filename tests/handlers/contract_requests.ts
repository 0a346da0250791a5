/** How a request's body reaches a program, and what keeps it from doing so (RFC 3875 §4.2). */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import { Client } from "../support/client.ts";
import {
  ECHO,
  ENVIRON,
  filling,
  formatPlay,
  mark,
  MEASURE,
  OK,
  type Play,
  say,
  sha256,
} from "../upstreams/play.ts";
import {
  lengthOfNothing,
  linesOf,
  parseEnviron,
  type Subject,
  testWithProbe,
  type Theatre,
} from "./contract.ts";

const LARGE = 3 * 2 ** 20;
/** Prints the body's digest, then the environ. */
const REPORT: Play = [OK, MEASURE, say("\n"), ENVIRON];
const LATIN1 = new TextDecoder("latin1");

export function testRequests(subject: Subject): void {
  testBodies(subject);
  testChunked(subject);
  testUnread(subject);
  testLimits(subject);
  testRefusedUpload(subject);
  testLeaving(subject);
}

function testBodies(subject: Subject): void {
  for (const mode of ["spool", "stream"]) {
    testWithProbe(
      subject,
      `${mode}: gives the body with its length (RFC 3875 §4.1.2, §4.2)`,
      async (theatre) => {
        for (const body of ["", "x", "0123456789".repeat(10_000), LATIN1.decode(filling(LARGE))]) {
          const { digest, environ } = await report(theatre, { method: "POST", body });
          assert.equal(digest, await digestOf(body));
          assert.equal(environ["CONTENT_LENGTH"], String(body.length));
        }
      },
      { route: { requestBody: mode } },
    );

    testWithProbe(
      subject,
      `${mode}: no body, no CONTENT_LENGTH, and an empty input (RFC 3875 §4.1.2)`,
      async (theatre) => {
        for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
          const { digest, environ } = await report(theatre, { method });
          assert.equal(digest, await digestOf(""));
          assert.equal(environ["CONTENT_LENGTH"], lengthOfNothing(subject), method);
        }
      },
      { route: { requestBody: mode } },
    );
  }

  const { tellsLength = "known" } = subject;
  const isKnown = tellsLength === "known";
  testWithProbe(
    subject,
    "stream: sends back while it still receives (RFC 3875 §3.4)",
    async (theatre) => {
      const length: Record<string, string> = isKnown
        ? { "Transfer-Encoding": "chunked" }
        : { "Content-Length": "10" };
      using client = await Client.send(theatre.port, {
        method: "POST",
        target: "/p/",
        headers: { "X-Play": formatPlay([OK, ECHO]), ...length },
      });
      await client.write(isKnown ? "5\r\nping\n\r\n" : "ping\n");
      assert.equal((await client.head()).status, 200);
      assert.equal(await client.some(), "5\r\nping\n\r\n");
      await client.write(isKnown ? "5\r\npong\n\r\n0\r\n\r\n" : "pong\n");
      assert.equal((await client.body()).text, "pong\n");
    },
    { route: { requestBody: "stream" } },
  );

  testWithProbe(
    subject,
    "any method may have a body but GET, whose body is dropped (RFC 3875 §4.2)",
    async (theatre) => {
      for (const method of ["OPTIONS", "PUT", "DELETE", "SEARCH"]) {
        const { digest, environ } = await report(theatre, { method, body: "body" });
        assert.equal(digest, await digestOf("body"), method);
        assert.equal(environ["CONTENT_LENGTH"], "4");
      }
      const { digest, environ } = await report(theatre, { method: "GET", body: "body" });
      assert.equal(digest, await digestOf(""));
      assert.equal(environ["CONTENT_LENGTH"], lengthOfNothing(subject));
    },
  );

  testWithProbe(subject, "refuses a length beside a transfer coding", async (theatre) => {
    const headers = { "Transfer-Encoding": "chunked" };
    const answer = await theatre.ask([OK], { method: "POST", headers, body: "0\r\n\r\n" });
    assert.equal(answer.status, 400);
  });
}

function testChunked(subject: Subject): void {
  const chunked = [["Transfer-Encoding", "chunked"]] as const;

  testWithProbe(
    subject,
    "spool: a chunked body gets its exact length (RFC 3875 §4.1.2, §4.2)",
    async (theatre) => {
      const whole = LATIN1.decode(filling(LARGE));
      using client = await theatre.send(REPORT, { method: "POST", headers: chunked });
      for (let at = 0; at < whole.length; at += 70_000) {
        const piece = whole.slice(at, at + 70_000);
        await client.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
      }
      await client.write("0\r\n\r\n");
      const { digest, environ } = readReport((await client.answer()).text);
      assert.equal(digest, await digestOf(whole));
      assert.equal(environ["CONTENT_LENGTH"], String(LARGE));
      assert.equal("HTTP_TRANSFER_ENCODING" in environ, false);
    },
    { route: { requestBody: "spool" } },
  );

  testWithProbe(
    subject,
    "stream: a chunked body has its length or none, never 0 or -1 (RFC 3875 §4.1.2)",
    async (theatre) => {
      using client = await theatre.send(REPORT, { method: "POST", headers: chunked });
      await client.write("5\r\nhello\r\n0\r\n\r\n");
      const { digest, environ } = readReport((await client.answer()).text);
      assert.equal(digest, await digestOf("hello"));
      const { tellsLength = "known" } = subject;
      assert.equal(environ["CONTENT_LENGTH"], tellsLength === "known" ? undefined : "5");
      assert.equal("HTTP_TRANSFER_ENCODING" in environ, false);
    },
    { route: { requestBody: "stream" } },
  );
}

function testUnread(subject: Subject): void {
  testWithProbe(
    subject,
    "spool: a program need not read its input (RFC 3875 §4.2)",
    async (theatre) => {
      const body = LATIN1.decode(filling(LARGE));
      const answer = await theatre.ask([OK, say("done")], { method: "POST", body });
      assert.equal(answer.text, "done");
      assert.ok(answer.whole);
      assert.deepEqual(await linesOf(theatre.gateway.log()), []);
    },
    { route: { requestBody: "spool" } },
  );

  testWithProbe(
    subject,
    "stream: an answer given before the input has come is whole (RFC 3875 §4.2)",
    async (theatre) => {
      using client = await theatre.send([OK, say("early")], {
        method: "POST",
        headers: { "Content-Length": "1000000" },
      });
      await client.write("the beginning");
      const answer = await client.answer();
      assert.equal(answer.text, "early");
      assert.ok(answer.whole);
      await eventually(() => theatre.running() === 0);
    },
    { route: { requestBody: "stream" } },
  );
}

function testLimits(subject: Subject): void {
  for (const mode of ["spool", "stream"]) {
    const setting = { route: { requestBody: mode, maxRequestBody: "64KiB" } };

    testWithProbe(
      subject,
      `${mode}: a declared length past the limit is a 413 at once`,
      async (theatre) => {
        using client = await theatre.send([mark("started"), OK], {
          method: "POST",
          headers: { "Content-Length": "65537" },
        });
        const answer = await client.answer();
        assert.equal(answer.status, 413);
        assert.equal(await theatre.progress(), "");
      },
      setting,
    );

    testWithProbe(
      subject,
      `${mode}: a body that grows past the limit is a 413`,
      async (theatre) => {
        using client = await theatre.send([MEASURE, OK], {
          method: "POST",
          headers: { "Transfer-Encoding": "chunked" },
        });
        await client.write(`10000\r\n${"x".repeat(65_536)}\r\n1\r\nx\r\n`);
        assert.equal((await client.answer()).status, 413);
        await eventually(() => theatre.running() === 0);
      },
      setting,
    );

    testWithProbe(subject, `${mode}: a body just at the limit is taken`, async (theatre) => {
      const body = "x".repeat(65_536);
      const { digest } = await report(theatre, { method: "POST", body });
      assert.equal(digest, await digestOf(body));
    }, setting);
  }
}

function testRefusedUpload(subject: Subject): void {
  testWithProbe(subject, "a refusal reaches a client that is still sending", async (theatre) => {
    using client = await theatre.send([OK], {
      method: "POST",
      headers: { "Content-Length": String(8 * LARGE) },
    });
    // The gateway may hang up on the rest.
    const sending = client.write(new Uint8Array(8 * LARGE)).catch(() => {});
    const answer = await client.answer();
    assert.equal(answer.status, 413);
    assert.ok(answer.whole);
    client.close();
    await sending;
  }, { route: { maxRequestBody: "1MiB" } });
}

function testLeaving(subject: Subject): void {
  testWithProbe(subject, "spool: a slow sender occupies no program", async (theatre) => {
    using client = await theatre.send([mark("started"), OK, MEASURE], {
      method: "POST",
      headers: { "Content-Length": "6" },
    });
    for (const piece of ["ab", "cd"]) {
      await client.write(piece);
      // Another is served meanwhile, and nothing was started for the slow one.
      assert.equal((await theatre.ask([OK, say("quick")])).text, "quick");
    }
    assert.equal(await theatre.progress(), "");
    await client.write("ef");
    assert.equal((await client.answer()).text, await digestOf("abcdef"));
  }, { route: { requestBody: "spool" } });

  testWithProbe(
    subject,
    "spool: a client that leaves in mid-upload starts nothing",
    async (theatre) => {
      const client = await theatre.send([mark("started"), OK], {
        method: "POST",
        headers: { "Content-Length": "1000" },
      });
      await client.write("some");
      client.close();
      await eventually(async () => (await linesOf(theatre.gateway.access())).length === 1);
      const [line] = await linesOf(theatre.gateway.access());
      assert.equal(line?.status, 499);
      assert.equal(await theatre.progress(), "");
    },
    { route: { requestBody: "spool" } },
  );

  testWithProbe(
    subject,
    "stream: a client that leaves in mid-upload stops the program (RFC 3875 §3.4)",
    async (theatre) => {
      const client = await theatre.send([mark("started"), MEASURE, OK, mark("went on")], {
        method: "POST",
        headers: { "Content-Length": "1000" },
      });
      await client.write("some");
      await eventually(async () => await theatre.progress() === "started\n");
      client.close();
      await eventually(() => theatre.running() === 0);
      await eventually(async () => (await linesOf(theatre.gateway.access())).length === 1);
      assert.equal(await theatre.progress(), "started\n");
    },
    { route: { requestBody: "stream" } },
  );
}

async function report(theatre: Theatre, request: { method: string; body?: string }) {
  return readReport((await theatre.ask(REPORT, request)).text);
}

function readReport(text: string) {
  const [digest = "", environ = ""] = text.split(/\n([^]*)/);
  return { digest, environ: parseEnviron(environ) };
}

async function digestOf(latin1: string): Promise<string> {
  return await sha256(Uint8Array.from(latin1, (char) => char.charCodeAt(0)));
}
