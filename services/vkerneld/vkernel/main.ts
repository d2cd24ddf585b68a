// A virtual kernel, as an OS process of its own: a child of vkerneld, which sets the environment.

import { createPmap } from '@odonata/pmap/pmap.ts';
import { parseConfig } from '@odonata/rpc/config.ts';
import { useToken } from '@odonata/rpc/identity/own.ts';
import { runService } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { endProcessAfter } from '@odonata/userfault/libc.ts';
import { useShortSlices } from '@odonata/userfault/scheduling.ts';
import { vkernelConfig } from './config.ts';
import { ControlLink } from './control-link.ts';
import { Kernel } from './kernel.ts';
import { dataspacesOf } from './mounts/dataspaces.ts';
import { memoryMount } from './mounts/memory-mount.ts';
import { SupervisorView } from './mounts/proc/cluster-view.ts';
import { ProcFolder } from './mounts/proc/proc-folder.ts';
import type { MountTable } from './mounts/process-files.ts';
import { FoldersAsked } from './mounts/remote/folders-asked.ts';
import { ServedFolders } from './mounts/remote/served-folders.ts';
import { SharedFolder } from './mounts/shared-folder.ts';
import type { Folder } from './mounts/tree.ts';
import { WarmWorkers } from './warm-workers.ts';

const config = parseConfig(
  'vkernel',
  'A virtual kernel. vkerneld starts it; by hand it is of no use.',
  vkernelConfig,
);
const log = createLog(`vkernel ${config.name}`, config.logLevel);

// Node would print them as text between the lines of the log.
process.removeAllListeners('warning');
process.on('warning', (warning) => log.debug({ err: warning }, 'a warning of Node'));

/** As SIGTERM does; no process may send signals here. */
const stop = (): boolean => process.emit('SIGTERM', 'SIGTERM');

useShortSlices();
useToken(config.identity);
runService({
  name: `vkernel ${config.name}`,
  log,
  start: async () => {
    const { name, token, control, pmap: address, userfault: userfaultSocket } = config;
    const workers = new WarmWorkers(config.warmThreads);
    const pmap = createPmap({ address, userfaultSocket, name, log, traceSample: config.traceSample });
    // Programs are refused with this reason; the supervisor need not start us again and again.
    pmap.catch((error: unknown) => log.error({ err: error }, 'no pmap'));
    const tmp = memoryMount({ pmap, log });
    const dataspaces = dataspacesOf(address);
    const shared = new SharedFolder({ dataspaces, store: tmp.store, dev: 0x7368_6172n });
    const view = new SupervisorView((value) => link.send({ case: 'look', value }));
    const folders = new FoldersAsked((value) => link.send({ case: 'folderRequest', value }));
    const served = new ServedFolders({
      send: (value) => link.send({ case: 'folderResponse', value }),
      take: (folder) => link.takeFolder(folder),
      troubled: (error) => log.error({ err: error }, 'a call of a folder that is served failed'),
      countHome: (descriptor) => kernel.countHome(descriptor),
    });
    const mounts = (pid: bigint): MountTable =>
      new Map<string, Folder>([
        ['tmp', tmp.root],
        ['shared', shared],
        [
          'proc',
          new ProcFolder({ view, dataspaces, memory: tmp.store, homeRoom: () => kernel.homeRoom }, pid),
        ],
      ]);
    const kernel = new Kernel({
      pmap,
      workers,
      node: config.nodeIndex,
      nodeName: config.node,
      vkernel: config.index,
      log,
      takeDirectories: (pid, count) => link.takeDirectories(pid, count),
      takeConnection: (pid, number) => link.takeConnection(pid, number),
      mounts,
      folders,
      boundTmp: (bytes) => tmp.store.bound(bytes),
      kept: () => (tmp.isEmpty ? 0 : 1) + served.count,
      send: (event) => link.send(event),
    });
    const link = new ControlLink({
      address: control,
      name,
      token,
      log,
      pids: () => kernel.pids(),
      onMessage: (message) => {
        if (message.event.case === 'shutdown') stop();
        // Also where nobody is left who would end it.
        else if (message.event.case === 'lease')
          endProcessAfter(Number(message.event.value.endsAtMs) - monotonicMs());
        else if (message.event.case === 'looked') view.answered(message.event.value);
        else if (message.event.case === 'folderResponse') folders.answered(message.event.value);
        else if (message.event.case === 'folderRequest') served.handle(message.event.value);
        else kernel.handle(message);
      },
      onReattached: () => {
        kernel.onReattached();
        view.onReattached();
        folders.onReattached();
        served.onReattached();
      },
      onAbandoned: (reason) => {
        log.warn({ reason }, 'ends, abandoned');
        stop();
      },
    });
    return async () => {
      await kernel.shutdown();
      await link.close();
      dataspaces.close();
      await workers.close();
      await pmap.then((made) => made.close()).catch(() => {}); // told above
    };
  },
});
