/**
 * The shipped table's FastCGI application: a program that the process manager starts with the path of a
 * Unix socket to listen on. A terminal or a service manager may signal it together with the gateway,
 * which is then still draining: so it, too, finishes what is under way.
 */
import type { ByteString } from "../exchange.ts";
import { brand, documentHeaders, renderDocument } from "./document.ts";
import { environList } from "./environ_view.ts";
import { html } from "./html.ts";
import { type FcgiCall, serveFastcgi } from "./responder.ts";

let served = 0;

/** Answers with a page on the request and on the process. */
async function answer(call: FcgiCall): Promise<void> {
  let bodySize = 0;
  for await (const piece of call.stdin) bodySize += piece.length;
  const page = renderPage(call.params, bodySize, ++served);
  const head = documentHeaders(page.length).map(([name, value]) => `${name}: ${value}\r\n`);
  await call.writeStdout(`Status: 200 OK\r\n${head.join("")}\r\n`);
  await call.writeStdout(page);
}

function renderPage(params: ReadonlyMap<string, ByteString>, bodySize: number, nth: number) {
  const { pid } = Deno;
  return renderDocument({
    title: "A FastCGI responder",
    header: html`
      ${brand("A FastCGI responder")}
      <p class="lede">
        Process ${pid} was started with the server. This is its request number ${nth}, with a body of
        ${bodySize} bytes.
      </p>
    `,
    main: html`
      <section aria-labelledby="environ">
        <h2 id="environ">Its parameters</h2>
        ${environList(params)}
      </section>
    `,
    footer: html`<a href="/">Back to the table</a>`,
    ticks: false,
  });
}

const [path] = Deno.args;
if (path === undefined) throw new TypeError("Cannot listen: name the socket's path");
const responder = serveFastcgi(Deno.listen({ transport: "unix", path }), answer);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => responder.retire());
}
await responder.finished;
Deno.exit();
