/** HTTP: a real nginx as the origin, each server with kept connections to it where it can. */
import { apache } from "../peers/apache.ts";
import { behind, type UpstreamProgram } from "../peers/behind.ts";
import { caddy } from "../peers/caddy.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { keptUpstream, nginx } from "../peers/nginx.ts";
import { portico, withTwoWorkers } from "../peers/portico.ts";
import { httpOrigin, socketProgram } from "../peers/programs.ts";
import type { Contender, Suite } from "../model.ts";
import { among, down, HELLO_BYTES, PAGE_BYTES, rate, up } from "./works.ts";

const LARGE = 100 * 2 ** 20;

export const proxy: Suite = {
  name: "proxy",
  title: "Proxy, nginx as the origin",
  async plan(folder, { largeBytes }) {
    const root = `${folder}/files`;
    await Deno.mkdir(root, { mode: 0o755 });
    await Deno.writeFile(`${root}/page`, new Uint8Array(PAGE_BYTES).fill(0x61));
    for (const bytes of [LARGE, largeBytes]) {
      // With a hole: it has the length without taking the disk.
      await Deno.writeFile(`${root}/${bytes}`, new Uint8Array());
      await Deno.truncate(`${root}/${bytes}`, bytes);
    }
    const plain = (name: string) => !name.includes("workers");
    return {
      contenders: [
        ...contenders(httpOrigin(root)),
        ...withTwoWorkers(...twoWorkers(httpOrigin(root))),
      ],
      works: [
        ...among(rate("hello", "/hello", HELLO_BYTES, [1, 16]), plain),
        ...rate("hello", "/hello", HELLO_BYTES, [64]),
        ...among(rate("hello", "/hello", HELLO_BYTES, [256]), plain),
        ...among(rate("10 KiB page", "/page", PAGE_BYTES, [16]), plain),
        ...among([down(`/${LARGE}`, LARGE), down(`/${largeBytes}`, largeBytes)], plain),
      ],
    };
  },
};

/** Uploads have an origin of their own, which does nothing but count them. */
export const upload: Suite = {
  name: "upload",
  title: "Proxy, uploads",
  async plan(folder, { largeBytes }) {
    const program = await socketProgram(folder, "http", 4);
    return { contenders: contenders(program), works: [up("/", largeBytes)] };
  },
};

function contenders(origin: UpstreamProgram): readonly Contender[] {
  const over = (name: string, server: (address: string) => Contender) =>
    behind(origin, { name, server });
  return [
    over("nginx keep-alive", (address) => nginxKept(address)),
    over("nginx", (address) => {
      const target = address.startsWith("/") ? `unix:${address}:` : address;
      return nginx({ name: "nginx", location: `proxy_pass http://${target}; ${STREAMED}` });
    }),
    over("lighttpd", lighttpdProxy),
    over("Apache mod_proxy_http", apacheProxyHttp),
    over("Caddy", (address) => {
      return caddy(`reverse_proxy ${address.startsWith("/") ? `unix/${address}` : address}`);
    }),
    over("Portico", (address) => portico(route(address))),
  ];
}

function twoWorkers(origin: UpstreamProgram): readonly Contender[] {
  const over = (name: string, server: (address: string) => Contender) =>
    behind(origin, { name, server });
  return [
    over("nginx keep-alive, 2 workers", (address) => nginxKept(address, 2)),
    over("Portico, 2 workers", (address) => portico(route(address), { workers: 2 })),
  ];
}

/** Nothing large goes by way of the disk: the others do not either. */
const STREAMED = "proxy_max_temp_file_size 0; proxy_request_buffering off;";

function nginxKept(address: string, workers = 1): Contender {
  return nginx({
    name: "nginx",
    http: keptUpstream(address.startsWith("/") ? `unix:${address}` : address, 256),
    location: `proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      ${STREAMED}`,
    workers,
  });
}

function route(address: string): string {
  const to = address.startsWith("/") ? `unix:${address}` : `http://${address}`;
  return `  - {path: /*, maxRequestBody: 4GiB, proxy: "${to}"}`;
}

function lighttpdProxy(address: string): Contender {
  const [host = "", port] = address.split(":");
  const at = port === undefined ? `"host" => "${host}"` : `"host" => "${host}", "port" => ${port}`;
  return lighttpd({
    modules: ["mod_proxy"],
    lines: `server.stream-request-body = 1\nproxy.server = ("" => ((${at})))`,
  });
}

function apacheProxyHttp(address: string): Contender {
  const target = address.startsWith("/")
    ? `unix:${address}|http://localhost/`
    : `http://${address}/`;
  return apache({
    modules: ["proxy", "proxy_http"],
    lines: `ProxyPass "/" "${target}"\nProxyTimeout 60`,
  });
}
