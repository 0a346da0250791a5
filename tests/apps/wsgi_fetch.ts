/** Fetch handlers for the tests of the `wsgi` kind. */
import type { FetchHandler } from "../../lib/middleware/mod.ts";

/** Tells what it was asked. */
const told: FetchHandler = {
  async fetch(request, { remoteAddr, params, requestId }) {
    const { method, url, headers } = request;
    const body = await request.text();
    return Response.json({
      method,
      url,
      headers: Object.fromEntries(headers),
      body,
      remoteAddr,
      params,
      requestId,
    }, { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] });
  },
};
export default told;

export const events: string[] = [];

/** Streams ticks until its reader leaves. */
export const ticks: FetchHandler = {
  fetch() {
    let tick = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => timer = setTimeout(resolve, tick === 0 ? 0 : 10));
        controller.enqueue(new TextEncoder().encode(`tick ${tick++}\n`));
      },
      cancel() {
        clearTimeout(timer);
        events.push("cancel");
      },
    });
    return new Response(stream, { headers: { "content-type": "text/plain" } });
  },
};

/** Answers when the client has gone. */
export const waiting: FetchHandler = {
  async fetch({ signal }) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    events.push("abort");
    return new Response("too late");
  },
};

/** Fails, as asked. */
export const failing: FetchHandler = {
  fetch() {
    throw new RangeError("as asked");
  },
};

/** A class with a method that needs its object, as applications of frameworks are. */
class Site implements FetchHandler {
  readonly #text = "this is there";
  fetch(): Response {
    return new Response(this.#text);
  }
}
export const site = new Site();

/** Breaks off in the middle. */
export const breaking: FetchHandler = {
  fetch() {
    const pieces = [new TextEncoder().encode("half")];
    return new Response(
      new ReadableStream({
        pull(controller) {
          const piece = pieces.pop();
          if (piece === undefined) controller.error(new RangeError("half is all"));
          else controller.enqueue(piece);
        },
      }),
    );
  },
};
