/** Sends a file, from where SKIP says, by `wsgi.file_wrapper`. */
import type { Application } from "../../lib/protocol/wsgi.ts";

export const closed: string[] = [];

export const application: Application = async (environ, startResponse) => {
  const file = await Deno.open(String(environ["FILE"]));
  await file.seek(Number(environ["SKIP"] ?? 0), Deno.SeekMode.Start);
  startResponse("200 OK", [["Content-Type", "application/octet-stream"]]);
  const close = () => {
    file.close();
    closed.push("file");
  };
  return environ["wsgi.file_wrapper"]({
    read: (into) => file.read(into),
    stat: () => file.stat(),
    seek: (offset, whence) => file.seek(offset, whence),
    close,
  });
};

/** The same with nothing between: the runtime's own file is file-like enough. */
export const bare: Application = async (environ, startResponse) => {
  startResponse("200 OK", [["Content-Type", "application/octet-stream"]]);
  return environ["wsgi.file_wrapper"](await Deno.open(String(environ["FILE"])));
};
