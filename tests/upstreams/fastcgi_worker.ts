/** The FastCGI probe as a program of its own, for the process manager. Usage: fastcgi_worker.ts SOCKET */
import { serveFastcgiProbe } from "./fastcgi_probe.ts";

serveFastcgiProbe(Deno.args[0] ?? "");
