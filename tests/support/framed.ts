/** A gateway with `protocol: h2` before an origin that does what a test says, frame by frame. */
import { linesOf } from "../handlers/contract.ts";
import { type FrameOrigin, type Frames, serveFrames } from "../upstreams/frame_origin.ts";
import { type TestGateway, withGateway } from "./gateway.ts";

export type Script = (stream: number, frames: Frames) => void | Promise<void>;

export function tableOf(to: unknown, fields: object = {}, route: object = {}, server = ""): string {
  const routes = [{ path: "/*", proxy: { to, protocol: "h2", ...fields }, ...route }];
  return `server:\n  accessLog: json\n  ${server}\nroutes: ${JSON.stringify(routes)}\n`;
}

export async function withFrames(
  script: Script,
  body: (gateway: TestGateway, origin: FrameOrigin) => Promise<void>,
  setting: { fields?: object; route?: object; server?: string; maxStreams?: number } = {},
): Promise<void> {
  await using origin = serveFrames(script, setting.maxStreams);
  const table = tableOf(origin.url, setting.fields, setting.route, setting.server);
  await withGateway(table, (gateway) => body(gateway, origin));
}

export const OK: [string, string][] = [[":status", "200"]];

export async function hello(stream: number, frames: Frames): Promise<void> {
  await frames.head(stream, OK);
  await frames.data(stream, "hello", true);
}

export async function failuresOf(gateway: TestGateway): Promise<(string | undefined)[]> {
  return (await linesOf(gateway.log())).map(({ failure }) => failure);
}
