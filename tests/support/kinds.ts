/** All kinds of the registry, loaded. */
import { loadKinds } from "../../lib/config/kinds.ts";
import { registry } from "../../lib/handlers/mod.ts";

export const kinds = await loadKinds(registry);
