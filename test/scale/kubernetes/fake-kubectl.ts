// Stands in for kubectl where there is no cluster: notes its arguments, answers as Kubernetes would about one Deployment,
// and "forwards" to services that run on this machine. State and answers are files in FAKE_KUBECTL.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.FAKE_KUBECTL!;
const [option, namespace, ...args] = process.argv.slice(2);
const line = args.join(' ');
appendFileSync(join(folder, 'calls'), `${option} ${namespace} ${line}\n`);
const file = (name: string): string => readFileSync(join(folder, name), 'utf8');
const answer = (value: unknown): void => console.log(JSON.stringify(value));

const [verb, what = '', which = ''] = args;
const scaled = /^scale deployment\/\w+ --replicas=(\d+)$/.exec(line);
if (scaled) writeFileSync(join(folder, 'replicas'), scaled[1]!);
else if (verb === 'port-forward') {
  const { [`${what} ${which}`]: address } = JSON.parse(file('forwards')) as Record<string, string>;
  if (address === undefined) {
    console.error(`error: no ${what} with port ${which}`);
    process.exit(1);
  }
  console.log(`Forwarding from ${address} -> ${which.slice(1)}`);
  setInterval(() => {}, 1000); // Until it is ended, as kubectl.
} else if (line.startsWith('get horizontalpodautoscaler')) answer(JSON.parse(file('autoscalers')));
else if (line.startsWith('get deployment')) {
  const containers = [{ envFrom: [{ configMapRef: { name: 'config-1' } }] }];
  answer({ spec: { replicas: Number(file('replicas')), template: { spec: { containers } } } });
} else if (line.startsWith('get configmap config-1')) answer({ data: JSON.parse(file('settings')) });
else if (line.startsWith('get daemonset pmapd')) {
  const volumes = [{ name: 'machine' }, { name: 'nats', secret: { secretName: 'nats-pmapd-2' } }];
  answer({ spec: { template: { spec: { volumes } } } });
} else if (line.startsWith('get secret nats-pmapd-2'))
  answer({ data: { credentials: Buffer.from('pmapd\nfor-trials-only').toString('base64') } });
else if (line.startsWith('get secret odonata-tls-')) {
  const role = /odonata-tls-(\w+)/.exec(line)![1]!;
  const coded = (name: string) => readFileSync(join(folder, 'tls', role, name)).toString('base64');
  answer({
    data: Object.fromEntries(['tls.crt', 'tls.key', 'ca.crt'].map((name) => [name, coded(name)])),
  });
} else if (line.startsWith('get pods')) {
  const pods = JSON.parse(file('pods')) as { name: string; ip: string }[];
  const items = pods.slice(0, Number(file('replicas'))).map(({ name, ip }) => {
    return { metadata: { name }, spec: { nodeName: 'machine' }, status: { podIP: ip } };
  });
  answer({ items });
} else if (verb !== 'rollout') {
  console.error(`error: unknown command "${line}"`);
  process.exit(1);
}
