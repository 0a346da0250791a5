/** What becomes of a program's faults: a page that gives nothing away, a log that tells it all. */
import assert from "node:assert/strict";
import { TESTS } from "../support/gateway.ts";
import { DIE, exit, fill, log, OK, type Play, say, wait } from "../upstreams/play.ts";
import { linesOf, type Subject, testWithProbe } from "./contract.ts";

export function testFaults(subject: Subject): void {
  testNoReply(subject);
  testCut(subject);
  testPages(subject);

  const { speaksBytes, hasErrors = true } = subject;
  if (hasErrors) testErrors(subject);
  if (hasErrors && speaksBytes) testExit(subject);
}

function testErrors(subject: Subject): void {
  testWithProbe(
    subject,
    "what a program complains of is logged with the request's id",
    async (theatre) => {
      await theatre.ask([log("one warning"), OK, say("fine"), log("another")]);
      await theatre.ask([log("of the second"), OK]);
      const lines = await linesOf(theatre.gateway.log());
      const [first, second] = await linesOf(theatre.gateway.access());
      assert.deepEqual(lines.map(({ level, id, message }) => [level, id, message]), [
        ["program", first?.id, "one warning"],
        ["program", first?.id, "another"],
        ["program", second?.id, "of the second"],
      ]);
    },
  );
}

function testExit(subject: Subject): void {
  testWithProbe(subject, "a bad exit after a whole reply is logged, no more", async (theatre) => {
    const answer = await theatre.ask([OK, say("all of it"), exit(3)]);
    assert.equal(answer.text, "all of it");
    assert.ok(answer.whole);
    const [line] = await linesOf(theatre.gateway.log());
    assert.equal(line?.level, "notice");
    assert.match(line?.message ?? "", /3$/);
  });
}

function testNoReply(subject: Subject): void {
  const plays: Record<string, Play> = {
    "ends without a word": [],
    "fails without a word": [exit(1)],
    "dies without a word": [DIE],
    "dies after a while": [wait(0.05), DIE],
  };
  for (const [what, play] of Object.entries(plays)) {
    testWithProbe(subject, `a program that ${what} is a ${faultOf(subject)}`, async (theatre) => {
      assert.equal((await theatre.ask(play)).status, faultOf(subject));
      const [line] = (await linesOf(theatre.gateway.log())).filter(({ failure }) => failure);
      assert.match(
        line?.failure ?? "",
        subject.speaksBytes ? /^no-output$/ : /^(wsgi-.*|application-error)$/,
      );
    });
  }
}

function testCut(subject: Subject): void {
  const bodies: Record<string, Play> = {
    "at once": [OK, say("the beginning"), DIE],
    "after a while": [OK, say("the beginning"), wait(0.1), DIE],
    "far into it": [OK, fill(2 ** 20), DIE],
  };
  for (const [when, play] of Object.entries(bodies)) {
    testWithProbe(subject, `a reply cut short ${when} never looks whole`, async (theatre) => {
      using client = await theatre.send(play);
      const answer = await client.answer();
      assert.equal(answer.status, 200);
      assert.equal(answer.whole, false);
      const lines = await linesOf(theatre.gateway.log());
      const [line] = lines.filter(({ failure }) => failure !== undefined);
      assert.match(line?.message ?? "", /^answer cut short: /);
    });
  }
}

function testPages(subject: Subject): void {
  const play = [log(`secret of ${TESTS}`), exit(1)];
  const title = subject.speaksBytes ? "502 Bad Gateway" : "500 Internal Server Error";

  testWithProbe(
    subject,
    "an error page tells the client an id and nothing else",
    async (theatre) => {
      const answer = await theatre.ask(play);
      const [access] = await linesOf(theatre.gateway.access());
      assert.equal(answer.status, faultOf(subject));
      assert.equal(answer.text, `${title}\nRequest id: ${access?.id}\n`);
      assert.equal(answer.get("x-request-id"), access?.id);
      assert.equal(answer.get("cache-control"), "no-store");
      const [failure] = (await linesOf(theatre.gateway.log())).filter(({ failure }) => failure);
      const { id, route, kind, upstream } = failure ?? assert.fail("nothing was logged");
      assert.deepEqual([id, route, kind], [access?.id, "probe", subject.kind]);
      assert.ok(upstream);
    },
  );

  testWithProbe(subject, "dev: an error page explains itself", async (theatre) => {
    const { text } = await theatre.ask(play);
    assert.ok(text.startsWith(`${title}\n`));
    assert.match(text, /\n[a-z]+-[a-z-]+: \S/);
    assert.match(text, /route "probe"/);
    const { speaksBytes, hasErrors = true } = subject;
    if (speaksBytes && hasErrors) assert.ok(text.includes(`secret of ${TESTS}`));
  }, { server: { dev: true } });
}

/** The status of a program's own fault. */
function faultOf({ speaksBytes }: Subject): number {
  return speaksBytes ? 502 : 500;
}
