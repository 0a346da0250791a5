/** The HTTP origin behind `proxy` and `cache`: on one port all the time, however often it starts anew. */
import { proofOf, type Wish } from "./proof.ts";

export class Origin implements AsyncDisposable {
  readonly port: number;
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = serve(0);
    this.port = this.#server.addr.port;
  }

  /** Requests under way are answered first, for as long as that takes. */
  async restart(): Promise<void> {
    await this.#server.shutdown();
    await new Promise((resolve) => setTimeout(resolve, 300));
    this.#server = serve(this.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function serve(port: number): Deno.HttpServer<Deno.NetAddr> {
  // Requests that were given up are no faults.
  const onError = () => new Response(null, { status: 500 });
  return Deno.serve(
    { hostname: "127.0.0.1", port, onListen: () => {}, onError },
    async (request) => {
      const query = new URL(request.url).searchParams;
      const number = (name: string) => Number(query.get(name) ?? 0);
      const wish = { id: query.get("id") ?? "", size: number("size"), ticks: number("ticks") };
      const body = new Uint8Array(await request.arrayBuffer());
      const headers = {
        "x-proof": wish.id,
        "cache-control": "max-age=2",
        "content-type": "text/plain",
      };
      const proof = await proofOf(wish, body);
      return new Response(wish.ticks === 0 ? proof : inTicks(wish, proof), { headers });
    },
  );
}

/** The reply in as many pieces as it has ticks. */
function inTicks({ ticks }: Wish, proof: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  const length = Math.ceil(proof.length / ticks);
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue(proof.slice(at, at + length));
      at += length;
      if (at >= proof.length) controller.close();
      else await new Promise((resolve) => setTimeout(resolve, 20));
    },
  });
}
