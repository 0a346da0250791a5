/** How a program's reply reaches the client: at once, whole, and no faster than it is read. */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import {
  ENVIRON,
  fill,
  filling,
  flood,
  formatPlay,
  HANG,
  head,
  OK,
  say,
  sha256,
  wait,
} from "../upstreams/play.ts";
import {
  lengthOfNothing,
  linesOf,
  parseEnviron,
  type Subject,
  testWithProbe,
  type Theatre,
} from "./contract.ts";

const MIB = 2 ** 20;
/** What may lie in the kernel's buffers and ours between a program and a client that does not read. */
const ON_THE_WAY = 24;

export function testReplies(subject: Subject): void {
  testStreaming(subject);
  testLengths(subject);
  testBodiless(subject);
  if (subject.speaksBytes) testLocalRedirects(subject);
}

function testStreaming(subject: Subject): void {
  testWithProbe(subject, "a large reply arrives whole (RFC 3875 §6.4)", async (theatre) => {
    const answer = await theatre.ask([OK, fill(20 * MIB)]);
    assert.ok(answer.whole);
    assert.equal(await sha256(answer.bytes), await sha256(filling(20 * MIB)));
  });

  testWithProbe(
    subject,
    "what is said arrives while the program goes on (RFC 3875 §6.4)",
    async (theatre) => {
      using client = await theatre.send([OK, say("first\n"), HANG]);
      assert.equal((await client.head()).status, 200);
      assert.equal(await client.some(), "6\r\nfirst\n\r\n");
      // A process may say something before /proc tells of what it was started with.
      await eventually(() => theatre.running() > 0);
    },
  );

  testWithProbe(subject, "a slow client slows the program down", async (theatre) => {
    using client = await theatre.send([OK, flood(64)]);
    await client.head();
    const written = async () => (await theatre.progress()).length;
    assert.ok(await settled(written) < ON_THE_WAY);
    const body = await client.body();
    assert.ok(body.whole);
    assert.equal(body.bytes.length, 64 * MIB);
  });
}

/** The value once it has stopped growing. */
async function settled(value: () => Promise<number>): Promise<number> {
  let last = 0;
  let since = performance.now();
  await eventually(async () => {
    const now = await value();
    if (now !== last) since = performance.now();
    last = now;
    return now > 0 && performance.now() - since > 400;
  });
  return last;
}

function testLengths(subject: Subject): void {
  testWithProbe(subject, "a promised length that is kept is passed on", async (theatre) => {
    const answer = await theatre.ask([head("Content-Length: 5"), say("hello")]);
    assert.equal(answer.get("content-length"), "5");
    assert.equal(answer.text, "hello");
  });

  testWithProbe(subject, "a body shorter than promised is cut off, not ended", async (theatre) => {
    for (const pause of [[], [wait(0.05)]]) {
      const play = [head("Content-Length: 100"), say("0123456789"), ...pause];
      const answer = await theatre.ask(play);
      assert.equal(answer.get("content-length"), "100");
      assert.equal(answer.whole, false);
    }
    const failures = (await linesOf(theatre.gateway.log())).map(({ failure }) => failure);
    assert.deepEqual(failures, ["body-short", "body-short"]);
  });

  testWithProbe(
    subject,
    "a body longer than promised is cut to size, and logged",
    async (theatre) => {
      for (const pause of [[], [wait(0.05)]]) {
        const answer = await theatre.ask([head("Content-Length: 5"), ...pause, say("0123456789")]);
        assert.equal(answer.text, "01234");
        assert.ok(answer.whole);
      }
      await eventually(async () =>
        (await theatre.gateway.log()).split("exceeds its Content-Length 5").length === 3
      );
    },
  );
}

function testBodiless(subject: Subject): void {
  testWithProbe(
    subject,
    "HEAD gets the head of the answer to GET (RFC 3875 §4.3.3)",
    async (theatre) => {
      const play = [head("Content-Type: text/plain", "Content-Length: 5"), say("hello")];
      const answer = await theatre.ask(play, { method: "HEAD" });
      assert.equal(answer.status, 200);
      assert.equal(answer.get("content-length"), "5");
      assert.equal(answer.get("content-type"), "text/plain");
    },
  );

  testWithProbe(
    subject,
    "HEAD ends with no byte behind the head (RFC 3875 §4.3.3)",
    async (theatre) => {
      using client = await theatre.send([OK, say("hello")], { method: "HEAD" });
      await client.head();
      assert.ok(await client.closed());
      await eventually(() => theatre.running() === 0);
    },
  );

  for (const status of [204, 304]) {
    testWithProbe(
      subject,
      `${status} has no body, whatever the program says (RFC 3875 §6.2.1)`,
      async (theatre) => {
        const play = [head(`Status: ${status} None`, 'ETag: "x"'), say("not for you")];
        using client = await theatre.send(play);
        const answer = await client.head();
        assert.equal(answer.status, status);
        assert.equal(answer.get("etag"), '"x"');
        assert.ok(await client.closed());
        await eventually(() => theatre.running() === 0);
      },
    );
  }

  testWithProbe(subject, "an empty body is a whole one", async (theatre) => {
    const answer = await theatre.ask([head("Status: 404 Not Here")]);
    assert.equal(answer.status, 404);
    assert.ok(answer.whole);
    assert.equal(answer.text, "");
  });
}

function testLocalRedirects(subject: Subject): void {
  const landed = { path: "/landed/*", env: { PLAY: formatPlay([OK, ENVIRON]) } };

  testWithProbe(
    subject,
    "a local redirect is served as if asked for (RFC 3875 §6.2.2)",
    async (theatre) => {
      const answer = await redirected(theatre, "/landed/there?q=1", {
        method: "POST",
        body: "gone",
      });
      const { REQUEST_METHOD, PATH_INFO, QUERY_STRING, REQUEST_URI, SCRIPT_NAME, ...rest } =
        parseEnviron(answer.text);
      assert.deepEqual([REQUEST_METHOD, REQUEST_URI], ["GET", "/landed/there?q=1"]);
      assert.deepEqual([SCRIPT_NAME, PATH_INFO, QUERY_STRING], ["/landed", "/there", "q=1"]);
      assert.equal(rest["CONTENT_LENGTH"], lengthOfNothing(subject));
      assert.equal("CONTENT_TYPE" in rest, false);
    },
    { more: [landed] },
  );

  testWithProbe(
    subject,
    "a local redirect into nowhere is a 404, a circle a 508 (RFC 3875 §6.2.2)",
    async (theatre) => {
      assert.equal((await redirected(theatre, "/nowhere")).status, 404);
      assert.equal((await redirected(theatre, "/p/again")).status, 508);
      await eventually(() => theatre.running() === 0);
    },
  );
}

async function redirected(
  theatre: Theatre,
  location: string,
  request: { method?: string; body?: string } = {},
) {
  return await theatre.ask([head(`Location: ${location}`)], request);
}
