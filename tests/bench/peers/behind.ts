/** A server and the application behind it, as one contender: each has an application of its own. */
import type { Contender, Running } from "../model.ts";
import { processTree } from "../processes.ts";

/** An application that runs. */
export interface Upstream {
  /** Its socket's path, or its port on 127.0.0.1. */
  readonly address: string;
  /** The process above all of its processes. */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface UpstreamProgram {
  readonly needs: readonly string[];
  start(folder: string): Promise<Upstream>;
}

/**
 * Starts the application, then the server over its address. Were it shared, a server that keeps its
 * connections would hold processes that others wait for, and nobody's CPU time could be told apart.
 */
export function behind(
  program: UpstreamProgram,
  { name, server }: { readonly name: string; readonly server: (address: string) => Contender },
): Contender {
  return {
    name,
    needs: [...server("").needs, ...program.needs],
    async start(folder, port): Promise<Running> {
      const upstream = await program.start(folder);
      try {
        const front = await server(upstream.address).start(folder, port);
        return {
          ...front,
          upstream: () => processTree(upstream.pid),
          stop: async () => {
            await front.stop();
            await upstream.stop();
          },
        };
      } catch (error) {
        await upstream.stop();
        throw error;
      }
    },
  };
}
