/**
 * An HTTP/2 origin (h2c) that does exactly what a test says, frame by frame (RFC 9113). Heads are written
 * without compression; those of requests are not read.
 */

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  window: 8,
} as const;
export const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;

/** One connection, as a test steers it. */
export interface Frames {
  send(type: number, flags: number, stream: number, payload?: Uint8Array): Promise<void>;
  /** A response's head. */
  head(
    stream: number,
    fields: readonly (readonly [string, string])[],
    last?: boolean,
  ): Promise<void>;
  data(stream: number, text: string, last?: boolean): Promise<void>;
  reset(stream: number, code: number): Promise<void>;
  goAway(lastStream: number): Promise<void>;
  /** Takes more of a body, and of all bodies. */
  enlarge(stream: number, by: number): Promise<void>;
  close(): void;
  /** Which connection it is, from 1. */
  readonly number: number;
}

export interface FrameOrigin extends AsyncDisposable {
  readonly url: string;
  connections: number;
  /** Requests so far. */
  requests: number;
  /** Bytes of body that came. */
  received: number;
  /** Requests whose bodies the gateway has ended, by a frame of their own. */
  ended: number;
  /** Codes by which the gateway reset streams. */
  readonly resets: number[];
}

/** Serves until disposed. `maxStreams`: what its SETTINGS allow. */
export function serveFrames(
  script: (stream: number, frames: Frames) => void | Promise<void>,
  maxStreams?: number,
): FrameOrigin {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const origin: FrameOrigin = {
    url: `http://127.0.0.1:${listener.addr.port}`,
    connections: 0,
    requests: 0,
    received: 0,
    ended: 0,
    resets: [],
    [Symbol.asyncDispose]: async () => {
      listener.close();
      for (const socket of open) closeQuietly(socket);
      await accepting;
    },
  };
  const accepting = (async () => {
    const serving: Promise<void>[] = [];
    for await (const socket of listener) {
      open.add(socket);
      const frames = framesOn(socket, ++origin.connections);
      serving.push(serve(socket, frames, origin, script, maxStreams).catch(() => {}));
    }
    await Promise.all(serving);
  })();
  return origin;
}

async function serve(
  socket: Deno.Conn,
  frames: Frames,
  origin: FrameOrigin,
  script: (stream: number, frames: Frames) => void | Promise<void>,
  maxStreams: number | undefined,
): Promise<void> {
  const read = reader(socket);
  await read(24);
  const limit = maxStreams === undefined ? [] : [0, 3, ...uint32(maxStreams)];
  await frames.send(FRAME.settings, 0, 0, Uint8Array.from(limit));
  for (;;) {
    const head = await read(9);
    const view = new DataView(head.buffer);
    const [type, flags, stream] = [view.getUint8(3), view.getUint8(4), view.getUint32(5)];
    const payload = await read(view.getUint32(0) >>> 8);
    switch (type) {
      case FRAME.headers:
        origin.requests++;
        Promise.resolve(script(stream, frames)).catch(() => {});
        break;
      case FRAME.data:
        origin.received += payload.length;
        origin.ended += flags & END_STREAM;
        break;
      case FRAME.reset:
        origin.resets.push(new DataView(payload.buffer).getUint32(0));
        break;
      case FRAME.settings:
      case FRAME.ping:
        if ((flags & ACK) === 0) {
          await frames.send(type, ACK, 0, type === FRAME.ping ? payload : undefined);
        }
    }
  }
}

function framesOn(socket: Deno.Conn, number: number): Frames {
  let queue = Promise.resolve();
  const send: Frames["send"] = (type, flags, stream, payload = new Uint8Array(0)) => {
    const { length } = payload;
    const head = [length >> 16, length >> 8 & 255, length & 255, type, flags, ...uint32(stream)];
    const frame = Uint8Array.from([...head, ...payload]);
    return queue = queue.then(async () => {
      for (let at = 0; at < frame.length;) at += await socket.write(frame.subarray(at));
    });
  };
  return {
    number,
    send,
    head: (stream, fields, last = false) =>
      send(FRAME.headers, END_HEADERS | (last ? END_STREAM : 0), stream, encodeHead(fields)),
    data: (stream, text, last = false) =>
      send(FRAME.data, last ? END_STREAM : 0, stream, latin1(text)),
    reset: (stream, code) => send(FRAME.reset, 0, stream, Uint8Array.from(uint32(code))),
    goAway: (lastStream) =>
      send(FRAME.goAway, 0, 0, Uint8Array.from([...uint32(lastStream), 0, 0, 0, 0])),
    enlarge: async (stream, by) => {
      for (const each of [0, stream]) {
        await send(FRAME.window, 0, each, Uint8Array.from(uint32(by)));
      }
    },
    close: () => closeQuietly(socket),
  };
}

/** RFC 7541 §6.2.2: literals that are not remembered. */
function encodeHead(fields: readonly (readonly [string, string])[]): Uint8Array {
  return Uint8Array.from(
    fields.flatMap(([name, value]) => [0, ...encodeText(name), ...encodeText(value)]),
  );
}

function encodeText(text: string): number[] {
  const length: number[] = [];
  let left = text.length;
  if (left < 127) length.push(left);
  else {
    length.push(127);
    for (left -= 127; left >= 128; left = Math.floor(left / 128)) length.push(left % 128 + 128);
    length.push(left);
  }
  return [...length, ...latin1(text)];
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function uint32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

function reader(socket: Deno.Conn): (count: number) => Promise<Uint8Array> {
  return async (count) => {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const more = await socket.read(bytes.subarray(at));
      if (more === null) throw new Error("closed");
      at += more;
    }
    return bytes;
  };
}

function closeQuietly(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
