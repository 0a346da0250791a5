/**
 * A manifest for Kubernetes: a Deployment with probes and a Service. Who stops a pod waits until the drain
 * is over; what leads requests to it needs a moment to learn that it leaves, which the preStop gives.
 */
import { USER } from "./docker.ts";
import { isLoopback, type Plan, portsOf, stopSeconds } from "./plan.ts";

const LEAVE_SECONDS = 5;

interface Port {
  readonly number: number;
  readonly name: string;
}

export function manifest(plan: Plan): string {
  const ports = portsOf(plan).map((number, at): Port => (
    { number, name: at === 0 ? "http" : `http-${number}` }
  ));
  return `# Portico for ${plan.configFile}, by "portico unit k8s"; "portico unit docker" prints the Dockerfile.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: portico
  labels: { app.kubernetes.io/name: portico }
spec:
  replicas: 2
  selector:
    matchLabels: { app.kubernetes.io/name: portico }
  strategy:
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  template:
    metadata:
      labels: { app.kubernetes.io/name: portico }
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: ${stopSeconds(plan) + LEAVE_SECONDS}
      securityContext:
        runAsNonRoot: true
        runAsUser: ${USER}
        runAsGroup: ${USER}
        seccompProfile: { type: RuntimeDefault }
${container(plan, ports)}
      volumes:
        - name: tmp
          emptyDir: { sizeLimit: 2Gi }
---
${service(ports)}`;
}

function container(plan: Plan, ports: readonly Port[]): string {
  const lines = ports.map(({ number, name }) =>
    `            - { name: ${name}, containerPort: ${number} }`
  );
  return `      containers:
        - name: portico
          image: portico:latest
          ports:
${lines.join("\n")}
${probes(plan, ports[0]?.number ?? 8080)}
          lifecycle:
            preStop:
              sleep: { seconds: ${LEAVE_SECONDS} }
          resources:
            requests: { cpu: 100m, memory: 256Mi }
            limits: { memory: 1Gi }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: tmp, mountPath: /tmp }`;
}

function service(ports: readonly Port[]): string {
  const lines = ports.map(({ number, name }) =>
    `    - { name: ${name}, port: ${number}, targetPort: ${name} }`
  );
  return `apiVersion: v1
kind: Service
metadata:
  name: portico
spec:
  selector: { app.kubernetes.io/name: portico }
  ports:
${lines.join("\n")}
`;
}

/** On the admin listener, where there is one that others can reach; else whether anybody accepts at all. */
function probes({ admin }: Plan, port: number): string {
  const isOpen = admin !== undefined && admin.transport === "tcp" && !isLoopback(admin);
  const ask = (path: string) =>
    isOpen ? `httpGet: { path: ${path}, port: ${admin.port} }` : `tcpSocket: { port: ${port} }`;
  return `          startupProbe:
            ${ask("/readyz")}
            periodSeconds: 1
            failureThreshold: 60
          readinessProbe:
            ${ask("/readyz")}
            periodSeconds: 5
          livenessProbe:
            ${ask("/healthz")}
            periodSeconds: 10
            timeoutSeconds: 5`;
}
