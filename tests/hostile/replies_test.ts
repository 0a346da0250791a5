/**
 * A corpus of hostile replies of upstreams: each comes to the client as the tables say, with its failure's
 * name in the log and nothing of what is behind the gateway; what may be left over on a connection reaches
 * no other request, for behind each row the same route answers a request of its own.
 */
import assert from "node:assert/strict";
import { ProtocolError } from "../../lib/errors.ts";
import { HeadReader, interpretHead } from "../../lib/protocol/cgi_response.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { end, out } from "../upstreams/raw_fastcgi.ts";
import { HEADS } from "./replies/heads.ts";
import { ORIGINS } from "./replies/origins.ts";
import { RECORDS } from "./replies/records.ts";
import { SOCKETS } from "./replies/sockets.ts";
import { type Kind, withUpstreams } from "./upstreams_scene.ts";
import { latin1 } from "./wire.ts";

const LIMIT = 65_536;

/** A program's output as the records of a FastCGI responder. */
function asRecords(output: string): string {
  let text = "";
  for (let at = 0; at < output.length; at += 60_000) {
    text += latin1FromBytes(out(output.slice(at, at + 60_000)));
  }
  return text + latin1FromBytes(end());
}

/** Whether a close is seen with the head or behind it is chance: the answer is refused or cut. */
function settled(words: string, then: "close" | undefined): string {
  return then === undefined ? words : words.replace(/^200 ".*" cut /, "502 ");
}

for (const kind of ["cgi", "fastcgi", "scgi", "uwsgi"] satisfies Kind[]) {
  Deno.test(`${HEADS.length} heads of programs' replies, by ${kind}`, async () => {
    await withUpstreams(async ({ tell }) => {
      for (const [what, sends, outcome] of HEADS) {
        const told = await tell(kind, kind === "fastcgi" ? asRecords(sends) : sends);
        assert.equal(told.replace(/ (?:kept|dropped)$/, ""), outcome, what);
      }
    });
  });
}

Deno.test("the reader of heads tells by itself what comes of them", () => {
  for (const [what, sends, outcome] of HEADS) {
    const expected = /^502 (\S+)$/.exec(outcome)?.[1];
    const read = () => {
      const reader = new HeadReader(LIMIT);
      const head = reader.push(latin1(sends));
      if (head === undefined) throw reader.end();
      return interpretHead(head.fields);
    };
    if (expected === undefined) read();
    else {
      assert.throws(read, (error) => {
        return error instanceof ProtocolError && error.failure === expected;
      }, what);
    }
  }
});

Deno.test(`${RECORDS.length} replies in FastCGI records`, async () => {
  await withUpstreams(async ({ tell }) => {
    for (const [what, sends, outcome, then] of RECORDS) {
      assert.equal(settled(await tell("fastcgi", sends, then), then), settled(outcome, then), what);
    }
  });
});

Deno.test(`${ORIGINS.length} responses of HTTP origins`, async () => {
  await withUpstreams(async ({ tell }) => {
    for (const [what, sends, outcome, then] of ORIGINS) {
      assert.equal(settled(await tell("proxy", sends, then), then), settled(outcome, then), what);
    }
  });
});

Deno.test(`${SOCKETS.length} conversations of origins over WebSockets`, async () => {
  await withUpstreams(async ({ frames }) => {
    for (const [what, sends, gets] of SOCKETS) assert.equal(await frames(sends), gets, what);
  });
});

Deno.test("the corpus has 200 replies and more", () => {
  const count = HEADS.length + RECORDS.length + ORIGINS.length + SOCKETS.length;
  assert.ok(count >= 250, `${count}`);
});
