/** The welcome page: the table, a stream that ticks, this request's environ, and what to do next. */
import type { RouteView } from "../protocol/wsgi.ts";
import { brand, renderDocument } from "./document.ts";
import { environList } from "./environ_view.ts";
import { html, type Markup } from "./html.ts";
import { answerOf, isTicks, linkOf } from "./route_links.ts";

/** What the page shows. */
export interface Welcome {
  readonly routes: readonly RouteView[];
  /** The path of this very page. */
  readonly here: string;
  readonly environ: Iterable<readonly [string, unknown]>;
  readonly software: string;
}

/** The whole page, encoded. */
export function renderWelcome(welcome: Welcome): Uint8Array<ArrayBuffer> {
  const { routes, here, environ, software } = welcome;
  const ticks = routes.find(isTicks);
  const stream = ticks === undefined ? undefined : linkOf(ticks);
  return renderDocument({
    title: "Portico is running",
    header: html`
      ${brand("Portico")}
      <p class="lede">
        An edge gateway: one YAML table says which program answers which path, over CGI, FastCGI or WSGI.
      </p>
      <p class="soft">
        It is running. This page is itself an application in the table, called for this request.
      </p>
    `,
    main: html`
      ${routeSection(routes, here)}
      ${stream === undefined ? undefined : streamSection(stream)}
      ${environSection(environ)}
      ${nextSection()}
    `,
    footer: html`${software}`,
    ticks: stream !== undefined,
  });
}

/** The roles repeat what the elements say: on a phone, style makes the table something else. */
function routeSection(routes: readonly RouteView[], here: string): Markup {
  return html`
    <section aria-labelledby="routes">
      <h2 id="routes">The routes</h2>
      <p>
        Tried in the order of <code>routes.yaml</code>: the first that matches a path answers it.
      </p>
      <div class="card">
        <table class="routes" role="table">
          <thead role="rowgroup">
            <tr role="row">
              <th scope="col" role="columnheader">Path</th>
              <th scope="col" role="columnheader">Kind</th>
              <th scope="col" role="columnheader">What answers</th>
              <th scope="col" role="columnheader">Try it</th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${routes.map((route) => routeRow(route, here))}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function routeRow(route: RouteView, here: string): Markup {
  const { path, kind, target } = route;
  const answer = answerOf(route);
  return html`
    <tr role="row" data-kind="${kind}">
      <th scope="row" role="rowheader"><code>${path}</code></th>
      <td role="cell"><span class="kind">${kind}</span></td>
      <td role="cell">
        <span class="what">${answer}</span> <span class="target">${target}</span>
      </td>
      <td role="cell">${tryLink(route, here)}</td>
    </tr>
  `;
}

function tryLink(route: RouteView, here: string): Markup | undefined {
  const path = linkOf(route);
  if (path === undefined) return undefined;
  // Not every browser shows an event stream.
  const link = isTicks(route) ? `${path}?plain` : path;
  if (link === here) return html`<a href="${link}" aria-current="page">this page</a>`;
  return html`<a href="${link}">${link}</a>`;
}

function streamSection(stream: string): Markup {
  return html`
    <section aria-labelledby="stream">
      <h2 id="stream">A stream</h2>
      <p>
        An answer without an end: each tick leaves the server as it is made, and they stop when you leave.
        It comes as server-sent events, and as <a href="${stream}?plain">plain text</a>.
      </p>
      <p class="ticker card" role="timer" data-stream="${stream}" hidden>
        <span class="count" data-count>0</span>
        <span>ticks; the server’s clock says <code data-time>--:--:--</code> UTC</span>
      </p>
      <noscript>
        <iframe src="${stream}?frame" title="The stream, ticking"></iframe>
      </noscript>
    </section>
  `;
}

function environSection(environ: Welcome["environ"]): Markup {
  return html`
    <section aria-labelledby="environ">
      <h2 id="environ">The environ of this request</h2>
      <p>
        What the application behind this page was told. CGI and FastCGI programs are told the same, each in
        its protocol’s own way.
      </p>
      ${environList(environ)}
    </section>
  `;
}

function nextSection(): Markup {
  return html`
    <section aria-labelledby="next">
      <h2 id="next">What next</h2>
      <p>Change a line of <code>routes.yaml</code>, and ask Portico about it:</p>
      <dl class="next">
        <dt><code>deno run -A main.ts check</code></dt>
        <dd>names every fault in the file, with its line and column;</dd>
        <dt><code>deno run -A main.ts explain /shell/hello</code></dt>
        <dd>shows what a program would be told, and runs nothing;</dd>
        <dt><code>deno run -A main.ts flags</code></dt>
        <dd>prints the least permissions that the file needs.</dd>
      </dl>
    </section>
  `;
}
