/** A gateway before upstreams that answer what a row says, and what came of it in words. */
import assert from "node:assert/strict";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { tempFolder, writeScript } from "../support/peers.ts";
import { SOCKET_KINDS, type SocketKind, Upstreams } from "./fuzz/upstreams.ts";
import { converse, latin1, nextAnswer } from "./wire.ts";

export type Kind = SocketKind | "cgi";

export interface ReplyScene {
  readonly gateway: TestGateway;
  /** What comes of a reply in words, as in a row of the tables. */
  tell(kind: Kind, sends: string, then?: "close"): Promise<string>;
  /** What the client of a WebSocket gets of frames. */
  frames(sends: string): Promise<string>;
}

const KEEPING: ReadonlySet<Kind> = new Set<Kind>(["fastcgi", "proxy"]);

/** Serves one route of each kind. */
export async function withUpstreams(body: (scene: ReplyScene) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  await using upstreams = new Upstreams();
  const file = `${folder.path}/reply`;
  const script = await writeScript(`${folder.path}/reply.sh`, `#!/bin/sh\nexec cat ${file}\n`);
  const port = Object.fromEntries(SOCKET_KINDS.map((kind) => [kind, upstreams.listen(kind)]));
  const at = (kind: SocketKind) => `127.0.0.1:${port[kind]}`;
  const routes = [
    { path: "/answer", respond: "the answer" },
    { path: "/loop", redirect: "/unused" },
    { path: "/cgi/*", cgi: script },
    { path: "/fastcgi/*", fastcgi: at("fastcgi") },
    { path: "/scgi/*", scgi: at("scgi") },
    { path: "/uwsgi/*", uwsgi: at("uwsgi") },
    { path: "/proxy/*", proxy: `http://${at("proxy")}` },
    { path: "/ws/*", proxy: `http://${at("ws")}` },
  ];
  const table = `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, async (gateway) => {
    let count = 0;
    const ask = (path: string, fields = "Connection: close\r\n") =>
      converse(
        gateway.port,
        latin1(`GET ${path} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`),
      );
    const control = async (kind: Kind) => {
      const token = `control-${++count}`;
      if (kind === "cgi") await Deno.writeTextFile(file, `Content-Type: text/plain\n\n${token}`);
      const answer = nextAnswer(await ask(`/${kind}/${token}`), false);
      if (typeof answer === "string") assert.fail(answer);
      assert.deepEqual([answer.status, answer.body], [200, token], "the request behind it");
    };
    await body({
      gateway,
      tell: async (kind, sends, then) => {
        // A connection that is kept, if the kind keeps any.
        await control(kind);
        const number = `n${++count}`;
        const closes = then === "close" || !KEEPING.has(kind);
        const before = (await gateway.log()).length;
        const bytes = latin1(sends);
        if (kind === "cgi") await Deno.writeFile(file, bytes);
        else upstreams.plan(number, { bytes, then: closes ? "close" : "keep" });
        const answer = nextAnswer(await ask(`/${kind}/${number}`), false);
        if (typeof answer === "string") return answer;
        const failures = Array.from(
          (await gateway.log()).slice(before).matchAll(/"failure":"([a-z0-9-]+)"/g),
          ([, failure]) => failure,
        );
        const connections = kind === "cgi" ? 0 : upstreams.connections(kind);
        await control(kind);
        const words: unknown[] = [answer.status];
        if (failures.length === 0 || !answer.whole) words.push(JSON.stringify(answer.body));
        else assertSilent(answer);
        if (!answer.whole) words.push("cut");
        words.push(...failures);
        if (KEEPING.has(kind) && kind !== "cgi") {
          words.push(
            upstreams.connections(kind as SocketKind) === connections ? "kept" : "dropped",
          );
        }
        return words.join(" ");
      },
      frames: async (sends) => {
        const number = `n${++count}`;
        upstreams.plan(number, { bytes: latin1(sends), then: "close" });
        const gets = await framesOf(`ws://127.0.0.1:${gateway.port}/ws/${number}`);
        await control("ws");
        return gets;
      },
    });
  });
}

/** What a WebSocket gets until it is closed. */
function framesOf(url: string): Promise<string> {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const words: string[] = [];
  socket.onmessage = ({ data }) => {
    words.push(
      data instanceof ArrayBuffer ? `bytes ${new Uint8Array(data).toHex()}` : `text ${data}`,
    );
  };
  return new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error("The WebSocket was not opened, or broke"));
    socket.onclose = ({ code, reason }) =>
      resolve([...words, `close ${code} ${reason}`.trim()].join(", "));
  });
}

const OWN_FIELDS =
  /^(content-type|content-length|cache-control|x-request-id|date|proxy-status|retry-after|connection|vary|x-content-type-options):/i;

/** An error page says the status and the request's number, and nothing of what is behind the gateway. */
function assertSilent({ body, fields }: { body: string; fields: readonly string[] }): void {
  assert.match(body, /^\d{3} [A-Za-z ]+\nRequest id: [0-9a-z-]+\n$/);
  assert.deepEqual(fields.filter((field) => !OWN_FIELDS.test(field)), []);
  assert.doesNotMatch(fields.join("\n"), /127\.0\.0\.1|\/tmp|secret/);
}
