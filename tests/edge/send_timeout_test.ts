/** Clients that do not take their answer, and programs that take their time to give one. */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";

const ENDLESS = "printf 'Content-Type: text/plain\\r\\n\\r\\n'; exec cat /dev/zero";
const PAUSING = "printf 'Content-Type: text/plain\\r\\n\\r\\na'; sleep 1.5; printf b";

function table(listener: string): string {
  const routes = [
    { path: "/endless", cgi: { script: "/bin/sh", args: ["-c", ENDLESS] } },
    { path: "/pausing", cgi: { script: "/bin/sh", args: ["-c", PAUSING] } },
  ];
  return `server:\n  listener: ${listener}\n  sendTimeout: 500ms\n  accessLog: json\n` +
    `routes: ${JSON.stringify(routes)}\n`;
}

for (const listener of ["deno", "node"]) {
  Deno.test(`${listener}: sendTimeout ends the program of a client that takes nothing`, async () => {
    await withGateway(table(listener), async (gateway) => {
      using client = await Client.connect(gateway.port);
      await client.write("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
      await eventually(async () => (await gateway.log()).includes('"send-timeout"'));
      await eventually(() => processesWith(`SERVER_PORT=${gateway.port}`).length === 0);
    });
  });

  Deno.test(`${listener}: sendTimeout does not count while the program is waited for`, async () => {
    await withGateway(table(listener), async (gateway) => {
      const { text, whole } = await ask(gateway.port, { target: "/pausing" });
      assert.deepEqual({ text, whole }, { text: "ab", whole: true });
    });
  });
}
