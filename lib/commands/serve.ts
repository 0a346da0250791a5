/** `serve`: runs the gateway until a signal ends it. */
import type { Reloader } from "../administration.ts";
import { ConfigError } from "../errors.ts";
import type { Table } from "../config/table.ts";
import { type Ground, placeOf } from "../generation.ts";
import { containFaults } from "../observe/contain.ts";
import { Log } from "../observe/log.ts";
import { needsOf } from "../permissions.ts";
import { Server } from "../server.ts";
import { Shares } from "../shares.ts";
import { Sweeper } from "../sweeper.ts";
import type { Wanted } from "../workers/crew.ts";
import type { Engine } from "../workers/crew_engine.ts";
import { shadowWarnings } from "./check.ts";
import {
  complain,
  configPath,
  FAULTY,
  FINE,
  type Invocation,
  listenOf,
  loadSource,
  print,
} from "./command.ts";
import { missingGrants } from "./grants.ts";
import { settled } from "./settled.ts";
import { dangerousSwitches } from "./switches.ts";
import type { Watch } from "./watch.ts";

export async function serve(invocation: Invocation): Promise<number> {
  const { source, table } = await loadSource(invocation);
  const listen = listenOf(invocation, table);
  const needs = needsOf(table, listen, configPath(invocation));
  const complaints = await missingGrants(needs);
  // Only with leave to look can one see what is set.
  const obstacles = complaints.length > 0 ? complaints : dangerousSwitches();
  if (obstacles.length > 0) {
    complain(obstacles.join("\n"));
    return FAULTY;
  }
  for (const warning of shadowWarnings(table)) complain(warning);
  const watch = invocation.watch ? new (await import("./watch.ts")).Watch() : undefined;
  watch?.follow(watchedBy(invocation, table));
  // From here on: a signal in the midst of starting must not leave behind what was started.
  const stopping = stopSignal();
  const server = await start({ source, table, listen, needs });
  if (server === undefined) return FAULTY;
  for (const address of server.addresses) print(`portico: listening on ${address}`);
  if (server.adminUrl !== undefined) print(`portico: status on ${server.adminUrl}`);
  await untilStopped(invocation, server, { watch, stopping });
  return FINE;
}

async function start(wanted: Wanted): Promise<Engine | undefined> {
  try {
    if (wanted.table.server.workers === 1) return await startServer(wanted);
    const { startCrew } = await import("../workers/crew_engine.ts");
    return await startCrew(wanted);
  } catch (error) {
    complain(`portico: ${messageOf(error)}`);
    return undefined;
  }
}

async function startServer({ source, table, listen }: Wanted): Promise<Engine> {
  const log = new Log(table.server.accessLog);
  const contained = containFaults(log);
  const spare = source.path;
  const ground: Ground = { log, sweeper: new Sweeper(), shares: new Shares(), spare, contained };
  try {
    const server = await Server.start(table, listen, ground);
    return {
      addresses: server.addresses,
      adminUrl: server.adminUrl,
      set reloader(reloader: Reloader) {
        server.reloader = reloader;
      },
      notice: (message) => log.notice(message),
      reopenLogs: () => log.reopen(),
      reload: (wanted) => server.reload(wanted.table, wanted.listen),
      stop: () => server.stop(),
    };
  } catch (error) {
    ground.sweeper.close();
    await log.flush();
    throw error;
  }
}

/** Resolves at the first signal that asks for an end. Further ones change nothing: the drain has its limit. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, resolve);
  return promise;
}

interface Life {
  /** Undefined: nothing is watched. */
  readonly watch: Watch | undefined;
  readonly stopping: Promise<void>;
}

/** Resolves when a signal has ended the server; SIGHUP and changes to files reload it meanwhile. */
async function untilStopped(invocation: Invocation, server: Engine, life: Life): Promise<void> {
  let over = false;
  const attempt = inTurn(async () => {
    return over ? "The server stops" : await reloadTable(invocation, server, life);
  });
  const reload = once(async () => void await attempt());
  server.reloader = attempt;
  life.watch?.start(reload);
  Deno.addSignalListener("SIGHUP", reload);
  Deno.addSignalListener("SIGUSR1", () => server.reopenLogs());
  await life.stopping;
  over = true;
  life.watch?.stop();
  await server.stop();
}

/** The table's file, and what its routes are made of. */
function watchedBy(invocation: Invocation, table: Table): string[] {
  const place = placeOf(table);
  const sources = table.routes.flatMap(({ kind, fields }) => kind.watches?.(fields, place) ?? []);
  return [configPath(invocation), ...sources];
}

/** Puts the file's new table in place; a faulty one changes nothing and says why, here and there. */
async function reloadTable(
  invocation: Invocation,
  server: Engine,
  { watch }: Life,
): Promise<string | undefined> {
  try {
    await settled(configPath(invocation));
    const { source, table } = await loadSource(invocation);
    const listen = listenOf(invocation, table);
    const needs = needsOf(table, listen, configPath(invocation));
    const complaints = await missingGrants(needs);
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    for (const warning of shadowWarnings(table)) complain(warning);
    watch?.follow(watchedBy(invocation, table));
    await server.reload({ source, table, listen, needs });
    server.notice(`Reloaded ${invocation.configFile}: ${table.routes.length} routes`);
    return undefined;
  } catch (error) {
    const why = messageOf(error);
    const space = error instanceof ConfigError ? "\n" : " ";
    complain(`portico: the table stays as it was:${space}${why}`);
    return why;
  }
}

/** Runs `task` for each call, one after the other. */
function inTurn<T>(task: () => Promise<T>): () => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const turn = last.then(task);
    last = turn.catch(() => {});
    return turn;
  };
}

/** Runs `task` one call at a time; calls that come while it runs are answered by one more run. */
function once(task: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      await task();
    } while (again);
    running = false;
  };
  return () => void run();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
