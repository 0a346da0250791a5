/** What a worker is told at its start. */
import type { RouteView } from "../protocol/wsgi.ts";
import type { LaneMemory } from "../protocol/wsgi_lane.ts";
import type { LoadOptions } from "./wsgi_module.ts";

export interface WorkerSetup {
  readonly app: string;
  readonly load: LoadOptions;
  /** Variables added to the environ. */
  readonly env: Readonly<Record<string, string>>;
  readonly routes: readonly RouteView[];
  /** There are other workers beside this one. */
  readonly multiprocess: boolean;
}

/** The same with what belongs to one life of one worker. */
export interface WorkerData extends WorkerSetup {
  readonly lane: LaneMemory;
}
