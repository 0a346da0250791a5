/**
 * The contract of a kind that runs programs: one list of behaviours, run against each. A kind joins with
 * one call and a {@link Subject}, which says how a probe program is put under its handler key.
 *
 * The behaviours are in the files beside this one; all drive the same plays (upstreams/play.ts).
 */
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { ask, type Body, Client, type Head, type RequestText } from "../support/client.ts";
import { formatPlay, type Play } from "../upstreams/play.ts";
import { testClients } from "./contract_clients.ts";
import { testEnds } from "./contract_ends.ts";
import { testEnviron } from "./contract_environ.ts";
import { testFaults } from "./contract_faults.ts";
import { testHeads } from "./contract_heads.ts";
import { testReplies } from "./contract_replies.ts";
import { testRequests } from "./contract_requests.ts";

/** Probe programs that are ready to play. */
export interface Stage extends AsyncDisposable {
  /** What stands under the handler key: the probe, with these variables. */
  fields(env: Readonly<Record<string, string>>): unknown;
  /** How many plays go on behind the gateway on this port. */
  running(port: number): number;
}

export interface Subject {
  /** The handler key. */
  readonly kind: string;
  /**
   * Replies are bytes with a head in CGI's form, so that a program can get them wrong (a 502), and
   * programs have an exit status. Else they are calls, and their faults are our own process's: a 500.
   */
  readonly speaksBytes: boolean;
  /** Variables may hold any bytes, not only UTF-8. */
  readonly exactBytes: boolean;
  /** False: programs have no error stream, and no status to end with. Default: true. */
  readonly hasErrors?: boolean;
  /**
   * When CONTENT_LENGTH is told: where it is `known` (default); with every `body`, which is spooled if
   * need be; or `always`, and 0 where there is no body.
   */
  readonly tellsLength?: "known" | "body" | "always";
  /** Which of the runtime's servers listens. Default: its own. */
  readonly listener?: "node";
  /** Variables that this kind has beyond the environ of all. */
  readonly ownVariables: readonly string[];
  stage(): Promise<Stage>;
}

/** Runs every behaviour against one kind. */
export function handlerContract(subject: Subject): void {
  testEnviron(subject);
  testClients(subject);
  testRequests(subject);
  testReplies(subject);
  testFaults(subject);
  testEnds(subject);
  if (subject.speaksBytes) testHeads(subject);
}

export interface Setting {
  /** Options of the probe's route. */
  readonly route?: Readonly<Record<string, unknown>>;
  /** Keys of `server`. */
  readonly server?: Readonly<Record<string, unknown>>;
  /** Further routes, made with the probe under the given variables. */
  readonly more?: readonly {
    readonly path: string;
    readonly env: Readonly<Record<string, string>>;
  }[];
}

/** A gateway whose route `/p/*` is the probe. */
export interface Theatre {
  readonly gateway: TestGateway;
  readonly port: number;
  /** Plays that go on. */
  running(): number;
  /** What the plays have written to PROGRESS. */
  progress(): Promise<string>;
  /** Sends a request that tells the probe what to play, and reads the answer. */
  ask(play: Play, request?: Partial<RequestText>): Promise<Head & Body>;
  /** Sends one and leaves the answer to the caller. */
  send(play: Play, request?: Partial<RequestText>): Promise<Client>;
}

/** Adds the test `KIND: NAME`, with a probe of its own on the stage. */
export function testWithProbe(
  subject: Subject,
  name: string,
  body: (theatre: Theatre) => Promise<void>,
  setting: Setting = {},
): void {
  const by = subject.listener === undefined ? "" : ` (${subject.listener})`;
  Deno.test(`${subject.kind}${by}: ${name}`, async () => {
    const progressFile = await Deno.makeTempFile({ dir: "/tmp", prefix: "pt-progress-" });
    try {
      await using stage = await subject.stage();
      const table = tableOf(subject, setting, (env) => {
        return stage.fields({ PROGRESS: progressFile, ...env });
      });
      let port = 0;
      await withGateway(table, async (gateway) => {
        port = gateway.port;
        await body(theatreOf(gateway, stage, progressFile));
      });
      await eventually(() => stage.running(port) === 0, 2000, "the last programs to end");
    } finally {
      await Deno.remove(progressFile);
    }
  });
}

function tableOf(
  { kind, listener }: Subject,
  { route = {}, server = {}, more = [] }: Setting,
  fields: (env: Readonly<Record<string, string>>) => unknown,
): string {
  const routes = [
    { path: "/p/*", name: "probe", [kind]: fields({}), ...route },
    ...more.map(({ path, env }) => ({ path, [kind]: fields(env) })),
  ];
  const settings = Object.entries({ accessLog: "json", ...(listener && { listener }), ...server })
    .map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
  return `server:\n${settings.join("")}routes: ${JSON.stringify(routes)}\n`;
}

function theatreOf(gateway: TestGateway, stage: Stage, progressFile: string): Theatre {
  const { port } = gateway;
  const requestOf = (play: Play, request: Partial<RequestText>): RequestText => ({
    target: "/p/",
    ...request,
    headers: [...pairsOf(request.headers), ["X-Play", formatPlay(play)]],
  });
  return {
    gateway,
    port,
    running: () => stage.running(port),
    progress: () => Deno.readTextFile(progressFile),
    ask: (play, request = {}) => ask(port, requestOf(play, request)),
    send: (play, request = {}) => Client.send(port, requestOf(play, request)),
  };
}

function pairsOf(headers: RequestText["headers"] = {}): readonly (readonly [string, string])[] {
  return Array.isArray(headers) ? headers : Object.entries(headers);
}

/** One line of the log, which tests have as JSON. */
export interface LogLine {
  readonly level?: string;
  readonly id: string;
  readonly message?: string;
  readonly route?: string;
  readonly kind?: string;
  readonly upstream?: string;
  readonly status?: number;
  readonly failure?: string;
  readonly bytes?: number;
  readonly target?: string;
  readonly durationMs?: number;
  readonly queueMs?: number;
}

/** The lines of the error log, or of the access log. */
export async function linesOf(text: Promise<string>): Promise<LogLine[]> {
  return (await text).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** What CONTENT_LENGTH is where there is no body. */
export function lengthOfNothing({ tellsLength }: Subject): string | undefined {
  return tellsLength === "always" ? "0" : undefined;
}

/** Reads what the step `environ` printed. */
export function parseEnviron(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\0").filter((pair) => pair !== "").map((pair) => {
      const mark = pair.indexOf("=");
      return [pair.slice(0, mark), pair.slice(mark + 1)];
    }),
  );
}
