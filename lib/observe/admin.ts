/**
 * What the admin listener answers: health, metrics, the status page, reload and purge.
 *
 * Without a token whoever can connect is the operator, who also has a browser: what it sends on behalf of
 * a web page from elsewhere is refused, be it by another origin or by a name that was bent to this
 * machine (DNS rebinding). With one, all but health and the page itself, which holds nothing, ask for it.
 */
import { parseAuthority } from "../protocol/authority.ts";
import { parseIp } from "../protocol/ip.ts";
import type { AdminToken } from "./admin_token.ts";
import type { Metrics } from "./metrics.ts";
import { scrape } from "./scrape.ts";
import { reportStatus } from "./status.ts";
import { STATUS_PAGE, STATUS_PAGE_POLICY } from "./status_page.ts";
import type { Survey } from "./survey.ts";

/** What to forget of the caches. */
export type PurgeOrder = { readonly url: string } | { readonly tag: string } | {
  readonly all: true;
};

/** The server, as the operator reaches it. */
export interface Administered {
  /** Undefined: none is asked for. */
  readonly token: AdminToken | undefined;
  /** Why new requests are not welcome; undefined: they are. */
  readonly unready: string | undefined;
  observe(): Observed | Promise<Observed>;
  /** Reads the table anew; gives why it could not. */
  reload(): Promise<string | undefined>;
  /** Gives how many copies were forgotten. */
  purge(order: PurgeOrder): Promise<number>;
}

/** What there is to see. */
export interface Observed {
  readonly metrics: Metrics;
  readonly survey: Survey;
}

interface Action {
  readonly method: "GET" | "POST";
  /** Whether it is for everybody who can connect. */
  readonly isOpen?: true;
  answer(
    server: Administered,
    request: Request,
    query: URLSearchParams,
  ): Promise<Response> | Response;
}

const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ["/", { method: "GET", isOpen: true, answer: page }],
  ["/healthz", { method: "GET", isOpen: true, answer: () => text(200, "ok\n") }],
  ["/readyz", { method: "GET", isOpen: true, answer: readiness }],
  ["/metrics", { method: "GET", answer: metrics }],
  ["/status.json", { method: "GET", answer: status }],
  ["/reload", { method: "POST", answer: reload }],
  ["/purge", { method: "POST", answer: purge }],
]);

/** Answers a request. `isLocal`: it came by a Unix socket, where a host means nothing. */
export async function administer(
  server: Administered,
  request: Request,
  isLocal: boolean,
): Promise<Response> {
  const url = URL.parse(request.url);
  const action = ACTIONS.get(url?.pathname ?? "");
  if (url === null || action === undefined) return text(404, "Not Found\n");
  const { token } = server;
  if (token === undefined && isForeign(request.headers, isLocal)) {
    return text(403, "Forbidden: this comes from another web site\n");
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method !== action.method) {
    const allow = action.method === "GET" ? "GET, HEAD" : "POST";
    return text(405, "Method Not Allowed\n", { allow });
  }
  if (token !== undefined && action.isOpen !== true && !token.admits(request.headers)) {
    return text(401, "Unauthorized: bring the token\n", { "www-authenticate": "Bearer" });
  }
  return await action.answer(server, request, url.searchParams);
}

/** Whether a browser sends it for a page that is not ours. */
function isForeign(headers: Headers, isLocal: boolean): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const host = headers.get("host") ?? "";
  const origin = headers.get("origin");
  if (origin !== null && origin !== `http://${host}`) return true;
  if (isLocal) return false;
  const name = parseAuthority(host)?.hostname ?? "";
  return name !== "localhost" && parseIp(name.replace(/^\[|\]$/g, "")) === undefined;
}

function page(): Response {
  return text(200, STATUS_PAGE, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": STATUS_PAGE_POLICY,
    "referrer-policy": "no-referrer",
  });
}

function readiness({ unready }: Administered): Response {
  return unready === undefined
    ? text(200, "ready\n")
    : text(503, `${unready}\n`, { "retry-after": "5" });
}

async function metrics(server: Administered, request: Request): Promise<Response> {
  const accept = request.headers.get("accept");
  const { metrics, survey } = await server.observe();
  const scraped = scrape(metrics, survey, accept);
  return text(200, scraped.text, { "content-type": scraped.contentType, vary: "accept" });
}

async function status(server: Administered): Promise<Response> {
  const { metrics, survey } = await server.observe();
  return json(200, reportStatus(metrics, survey));
}

async function reload(server: Administered): Promise<Response> {
  const why = await server.reload();
  return why === undefined ? json(200, { reloaded: true }) : text(422, `${why}\n`);
}

const PURGE_USAGE =
  "Write POST /purge?url=URL, ?key=KEY (a surrogate key) or ?all; url and key may stand several times\n";

async function purge(
  server: Administered,
  _: Request,
  query: URLSearchParams,
): Promise<Response> {
  const orders: PurgeOrder[] = [];
  for (const [name, value] of query) {
    if (name === "url" && URL.canParse(value)) orders.push({ url: value });
    else if (name === "key" && value !== "") orders.push({ tag: value });
    else if (name === "all" && value === "") orders.push({ all: true });
    else return text(400, PURGE_USAGE);
  }
  if (orders.length === 0) return text(400, PURGE_USAGE);
  let purged = 0;
  for (const order of orders) purged += await server.purge(order);
  return json(200, { purged });
}

function json(code: number, value: unknown): Response {
  return text(code, `${JSON.stringify(value)}\n`, { "content-type": "application/json" });
}

function text(code: number, body: string, fields: Readonly<Record<string, string>> = {}): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...fields,
  };
  return new Response(body, { status: code, headers });
}
