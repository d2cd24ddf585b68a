// Who may open a connection to whom, as NetworkPolicies have it of the pods that are there: a connection needs the word of both
// ends, and an end that no policy is about says yes to all.
import { type Manifest, namespacesOf, podOf, workloads } from './render.ts';

type Direction = 'ingress' | 'egress';

interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
}

/** People's: of no manifest. */
const VKCTL: Pod = {
  ...{ name: 'vkctl', namespace: 'odonata', labels: { 'odonata.dev/vkctl': 'true' }, ports: [] },
};

/** `pmapd->cohd:7421`; to and from elsewhere `cohd->dns:53`, `namespace(odonata.dev/scrapes)->cohd:metrics`, `nats->anywhere:443`. */
export function networkEdges(all: Manifest[]): string[] {
  const pods = [...workloads(all).map(podIn), VKCTL];
  const within = pods.flatMap((from) =>
    pods.flatMap((to) =>
      to.ports
        .filter(
          (port) => allows(all, to, 'ingress', from, port, to) && allows(all, from, 'egress', to, port, to),
        )
        .map(({ containerPort }) => `${from.name}->${to.name}:${containerPort}`),
    ),
  );
  const beyond = pods.flatMap((pod) =>
    (['ingress', 'egress'] as const).flatMap((direction) => {
      const own = policiesOf(all, pod, direction);
      const edge = (there: string, port: unknown) =>
        direction === 'ingress' ? `${there}->${pod.name}:${port}` : `${pod.name}->${there}:${port}`;
      if (own.length === 0) return [edge('anywhere', 'any')];
      return own.flatMap(({ spec }) =>
        (spec[direction] ?? []).flatMap((rule: Manifest) =>
          peersOf(rule, direction).flatMap((peer) =>
            foreign(all, peer).flatMap((there) => portsOf(rule).map((port) => edge(there, port))),
          ),
        ),
      );
    }),
  );
  return [...new Set([...within, ...beyond])].sort();
}

function podIn(workload: Manifest): Pod {
  const { labels } = workload.spec.template.metadata;
  const ports = podOf(workload).containers.flatMap(({ ports = [] }: Manifest) => ports);
  return { name: workload.metadata.name, namespace: workload.metadata.namespace, labels, ports };
}

/** Those that isolate a pod, of its namespace. */
function policiesOf(all: Manifest[], pod: Pod, direction: Direction): Manifest[] {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress';
  return all.filter(
    ({ kind, metadata, spec }) =>
      kind === 'NetworkPolicy' &&
      metadata.namespace === pod.namespace &&
      spec.policyTypes.includes(type) &&
      selects(spec.podSelector, pod.labels),
  );
}

function allows(
  all: Manifest[],
  pod: Pod,
  direction: Direction,
  other: Pod,
  port: Pod['ports'][number],
  listener: Pod,
): boolean {
  const own = policiesOf(all, pod, direction);
  return (
    own.length === 0 ||
    own.some(({ spec }) =>
      (spec[direction] ?? []).some(
        (rule: Manifest) =>
          portsOf(rule).some((each) => each === 'any' || isPort(each, port, listener)) &&
          peersOf(rule, direction).some((peer) => isPeer(all, peer, other, pod.namespace)),
      ),
    )
  );
}

const peersOf = (rule: Manifest, direction: Direction): Manifest[] =>
  rule[direction === 'ingress' ? 'from' : 'to'] ?? [{ anywhere: true }];
const portsOf = (rule: Manifest): (string | number)[] =>
  rule.ports?.map(({ port = 'any' }: Manifest) => port) ?? ['any'];
const isPort = (each: string | number, port: Pod['ports'][number], { ports }: Pod): boolean =>
  each === port.containerPort || (each === port.name && ports.includes(port));

function isPeer(all: Manifest[], peer: Manifest, other: Pod, own: string): boolean {
  if (peer.anywhere) return true;
  const { podSelector = {}, namespaceSelector, ipBlock } = peer;
  if (ipBlock !== undefined) return false;
  const there =
    namespaceSelector === undefined
      ? other.namespace === own
      : selects(namespaceSelector, labelsOf(all, other.namespace));
  return there && selects(podSelector, other.labels);
}

/** What a peer is beside pods of ours. */
function foreign(all: Manifest[], { anywhere, ipBlock, namespaceSelector, podSelector }: Manifest): string[] {
  if (anywhere) return ['anywhere'];
  if (ipBlock !== undefined) return [`address(${ipBlock.cidr})`];
  if (namespaceSelector === undefined) return [];
  const name = namespaceSelector.matchLabels?.['kubernetes.io/metadata.name'];
  if (name !== undefined && namespacesOf(all).some(({ metadata }) => metadata.name === name)) return [];
  if (name === 'kube-system' && podSelector?.matchLabels?.['k8s-app'] === 'kube-dns') return ['dns'];
  return [`namespace(${Object.keys(namespaceSelector.matchLabels ?? { any: '' })[0]})`];
}

const labelsOf = (all: Manifest[], namespace: string): Record<string, string> => ({
  'kubernetes.io/metadata.name': namespace,
  ...namespacesOf(all).find(({ metadata }) => metadata.name === namespace)?.metadata.labels,
});

function selects(
  { matchLabels = {}, matchExpressions = [] }: Manifest,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries<string>(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }: Manifest) => {
      if (operator !== 'In') throw new Error(`a selector with ${operator}`);
      return values.includes(labels[key]);
    })
  );
}
