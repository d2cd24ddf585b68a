// The services that kubectl scales, under the loads of the local run, through forwarded ports.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectTo } from '@odonata/client/connection.ts';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { createClient } from '@odonata/rpc/client.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { EXIT, Failure } from '../../../services/vkctl/failure.ts';
import type { ScaledService, ServiceName } from '../scaled-service.ts';
import { cohd, cohdLoad, cohdPlace } from '../services/cohd.ts';
import { workOf as routedBy, syslinkd, withSyslinkLoad } from '../services/syslinkd.ts';
import { vkerneld, vkerneldPlace } from '../services/vkerneld.ts';
import { withIdentities } from './identities.ts';
import { Kubectl, NODES } from './kubectl.ts';
import { PodMeter } from './pod-meter.ts';
import { withForwards, withPods } from './pods.ts';

const NATS = ['service/nats', 4222] as const;
const ROUTER = ['service/syslinkd', 7411] as const;

const cohdPods: ScaledService = {
  ...cohd,
  beside: undefined,
  async withPlace(setting, replicas, use) {
    const kubectl = new Kubectl(setting.signal);
    setting.progress(`kubectl scale deployment/cohd --replicas=${replicas}`);
    return await withPods(kubectl, 'cohd', replicas, async ({ pods, settings }) => {
      const credential = await pmapdCredential(new Kubectl(setting.signal, NODES));
      const identified = <T>(use: (folders: TlsFolder[]) => Promise<T>) =>
        withIdentities(setting.signal, ['pmapd', 'cohd'], use);
      const targets = pods.flatMap(
        ({ name }) =>
          [
            [`pod/${name}`, 7421],
            [`pod/${name}`, 7422],
          ] as const,
      );
      const run = async ([pmapd, replica]: TlsFolder[], [nats, ...all]: string[]) => {
        const directories = all.filter((_, i) => i % 2 === 0);
        const forwarded = new Map(pods.map(({ ip }, i) => [`${ip}:7421`, directories[i]!]));
        const at = {
          cluster: settings.ODONATA_COHD_CLUSTER ?? 'odonata',
          nats: `nats://${nats}`,
          natsCredentials: credential.file,
          directories,
          pids: new Map(),
          reach: (address: string) => forwarded.get(address) ?? address,
          folder: pmapd,
          replica: async () => replica!,
        };
        const load = await cohdLoad(at, setting);
        const acquires = 'odonata_cohd_acquires_total';
        const meter = new PodMeter(
          'cohd',
          all.filter((_, i) => i % 2 === 1),
          (scrape) => scrape.sum(acquires),
        );
        try {
          return await use(cohdPlace(replicas, meter, load));
        } finally {
          await load.close();
        }
      };
      return await identified((folders) =>
        withForwards(kubectl, [NATS, ...targets], (addresses) => run(folders, addresses)),
      ).finally(credential.remove);
    });
  },
};

/** As whom the holders of the load come to NATS. Its Secret is found by its pod: kustomize may add a hash to its name. */
async function pmapdCredential(kubectl: Kubectl): Promise<{ file: string; remove: () => void }> {
  const { spec } = await kubectl.json('get', 'daemonset', 'pmapd');
  const volumes: { name: string; secret?: { secretName: string } }[] = spec.template.spec.volumes;
  const name = volumes.find((volume) => volume.name === 'nats')?.secret?.secretName;
  if (name === undefined)
    throw new Failure('daemonset/pmapd has no credential for NATS (a volume named nats)');
  const { data } = await kubectl.json('get', 'secret', name);
  const folder = mkdtempSync(join(tmpdir(), 'odonata-nats-'));
  const file = join(folder, 'pmapd');
  writeFileSync(file, Buffer.from(data.credentials, 'base64'), { mode: 0o600 });
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

const vkerneldPods: ScaledService = {
  ...vkerneld,
  beside: undefined,
  async withPlace(setting, replicas, use) {
    const kubectl = new Kubectl(setting.signal, NODES);
    setting.progress(`kubectl scale deployment/vkerneld --replicas=${replicas}`);
    return await withPods(kubectl, 'vkerneld', replicas, async ({ pods }) => {
      const targets = pods.flatMap(
        ({ name }) =>
          [
            [`pod/${name}`, 7441],
            [`pod/${name}`, 7442],
          ] as const,
      );
      const run = async (folder: TlsFolder | undefined, router: string, all: string[]) => {
        const to = await connectTo('odonata', router, { folder });
        const clients = all
          .filter((_, i) => i % 2 === 0)
          .map((address) => createClient(VkernelService, address, { folder }));
        // Lists and starts are calls and streams that ended.
        const calls = 'odonata_vkerneld_rpc_requests_total';
        const work = all.filter((_, i) => i % 2 === 1);
        const meter = new PodMeter('vkerneld', work, (scrape) =>
          scrape.sum(calls, '/odonata.vkernel.v1.VkernelService/'),
        );
        try {
          const nodes = pods.map(({ node }) => node);
          return await use(await vkerneldPlace({ ...setting, to }, nodes, clients, meter));
        } finally {
          for (const client of clients) client.close();
          to.close();
        }
      };
      return await withIdentities(setting.signal, ['admin'], ([admin]) =>
        withForwards(new Kubectl(setting.signal), [ROUTER], ([router]) =>
          withForwards(kubectl, targets, (all) => run(admin, router!, all)),
        ),
      );
    });
  },
};

const syslinkdPods: ScaledService = {
  ...syslinkd,
  async withPlace(setting, replicas, use) {
    const kubectl = new Kubectl(setting.signal);
    setting.progress(`kubectl scale deployment/syslinkd --replicas=${replicas}`);
    return await withPods(kubectl, 'syslinkd', replicas, async ({ pods }) => {
      const targets = [7411, 7412].flatMap((port) => pods.map(({ name }) => [`pod/${name}`, port] as const));
      return await withIdentities(setting.signal, ['vkerneld', 'admin'], ([endpoint, client]) =>
        withForwards(kubectl, targets, async (all) => {
          const addresses = all.slice(0, pods.length);
          const meter = new PodMeter('syslinkd', all.slice(pods.length), routedBy);
          const folders = { endpoint: endpoint!, client: client! };
          return await withSyslinkLoad({ setting, addresses, meter, folders }, use);
        }),
      );
    });
  },
};

/** @throws Failure for what kubectl cannot scale */
export function onKubernetes(name: ServiceName): ScaledService {
  const refuse = (why: string): Failure =>
    new Failure(`--kubernetes: ${name} ${why}; scaled are cohd, syslinkd and vkerneld`, {
      exitCode: EXIT.usage,
    });
  switch (name) {
    case 'cohd':
      return cohdPods;
    case 'vkerneld':
      return vkerneldPods;
    case 'pmapd':
      throw refuse('is a DaemonSet, one on each machine');
    case 'syslinkd':
      return syslinkdPods;
  }
}
