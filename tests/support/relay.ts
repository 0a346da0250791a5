/** A network between a client and a server of the same machine: a relay that passes on so much a second. */

export interface Relay extends AsyncDisposable {
  readonly port: number;
}

/** Passes connections on to a port of this machine; what clients send, at no more than this rate. */
export function startRelay(to: number, bytesPerSecond: number): Relay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const running = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const client of listener) {
      const relayed = relay(client, to, bytesPerSecond);
      running.add(relayed);
      relayed.finally(() => running.delete(relayed));
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(running);
    },
  };
}

async function relay(client: Deno.TcpConn, to: number, bytesPerSecond: number): Promise<void> {
  const server = await Deno.connect({ hostname: "127.0.0.1", port: to });
  const start = performance.now();
  let sent = 0;
  const pacing = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    async transform(piece, controller) {
      sent += piece.length;
      const early = start + 1000 * sent / bytesPerSecond - performance.now();
      if (early > 5) await new Promise((resolve) => setTimeout(resolve, early));
      controller.enqueue(piece);
    },
  });
  // Either end may hang up when it likes.
  await Promise.allSettled([
    client.readable.pipeThrough(pacing).pipeTo(server.writable),
    server.readable.pipeTo(client.writable),
  ]);
}
