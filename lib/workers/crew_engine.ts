/** What `serve` runs where a table asks for several workers: their crew, and one log for all of them. */
import type { Reloader } from "../administration.ts";
import { containFaults } from "../observe/contain.ts";
import { SharedTarget } from "../observe/line_writer.ts";
import { Log } from "../observe/log.ts";
import { Crew, type Wanted } from "./crew.ts";

/** What serves: this process, or workers. */
export interface Engine {
  readonly addresses: readonly string[];
  readonly adminUrl: string | undefined;
  set reloader(reloader: Reloader);
  /** Says something in the log. */
  notice(message: string): void;
  /** The access log was moved away. */
  reopenLogs(): void;
  reload(wanted: Wanted): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the workers; rejects, with everything closed again, if one cannot serve. */
export async function startCrew(wanted: Wanted): Promise<Engine> {
  const tellLost = (lines: number) => log.notice(`${lines} lines were lost: nobody took them`);
  const streams = {
    out: new SharedTarget(Deno.stdout, tellLost),
    err: new SharedTarget(Deno.stderr, tellLost),
  };
  const log = new Log(wanted.table.server.accessLog, streams.out, streams.err);
  const contained = containFaults(log);
  const flush = async () => {
    await log.flush();
    await Promise.all([streams.out.flush(), streams.err.flush()]);
  };
  const crew = await Crew.start(wanted, {
    log,
    contained,
    write: (stream, bytes) => streams[stream].offer(bytes),
  }).catch(async (error) => {
    await flush();
    throw error;
  });
  return {
    addresses: crew.addresses,
    adminUrl: crew.adminUrl,
    set reloader(reloader: Reloader) {
      crew.administration.reloader = reloader;
    },
    notice: (message) => log.notice(message),
    reload: (next) => crew.reload(next),
    reopenLogs: () => crew.reopen(),
    async stop() {
      await crew.stop();
      await flushWithin(flush);
    },
  };
}

/** Whoever should read the log may have stopped. */
const FLUSH_MS = 5000;

async function flushWithin(flush: () => Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => timer = setTimeout(resolve, FLUSH_MS));
  await Promise.race([flush(), late]);
  clearTimeout(timer);
}
