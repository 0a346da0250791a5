/** What a reply has to be, byte by byte, for it to belong to its request. */

type Bytes = Uint8Array<ArrayBuffer>;

/** What a program is asked for; see apps/echo.py and its like. */
export interface Wish {
  /** Sixteen characters that no other request has. */
  readonly id: string;
  /** Bytes of filling. */
  readonly size: number;
  /** Lines that come one by one, 20 ms apart. */
  readonly ticks: number;
}

const UTF8 = new TextEncoder();

export function freshId(): string {
  return crypto.getRandomValues(new Uint8Array(8)).toHex();
}

export function queryOf({ id, size, ticks }: Wish): string {
  return `id=${id}&size=${size}&ticks=${ticks}`;
}

/** The body that proves itself. */
export async function proofOf(wish: Wish, body: Bytes): Promise<Bytes> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  const ticks = Array.from({ length: wish.ticks }, (_, tick) => `${wish.id} ${tick + 1}\n`);
  return UTF8.encode(`${wish.id} ${digest}\n${ticks.join("")}${fillingOf(wish)}`);
}

/** The id again and again, so many characters of it. */
export function fillingOf({ id, size }: Pick<Wish, "id" | "size">): string {
  return id.repeat(Math.ceil(size / id.length)).slice(0, size);
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  return a.every((byte, at) => byte === b[at]);
}
