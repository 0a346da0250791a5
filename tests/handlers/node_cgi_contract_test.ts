import { handlerContract } from "./contract.ts";
import { CGI } from "./contract_subjects.ts";

handlerContract({ ...CGI, listener: "node" });
