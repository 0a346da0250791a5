import { handlerContract } from "./contract.ts";
import { FASTCGI } from "./contract_subjects.ts";

handlerContract({ ...FASTCGI, listener: "node" });
