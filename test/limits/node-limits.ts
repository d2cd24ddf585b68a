// What is bounded in pmapd, and as what it counts when it is hit.
import { OPENED_MAX as OPENED_BY_PROGRAM } from '@odonata/client/memory/mapped-dataspaces.ts';
import { SYNCS_MAX } from '@odonata/coherency/node/backing.ts';
import { PAGE_WAITERS_MAX } from '@odonata/coherency/node/memory/waiting.ts';
import { BARRIERS_OF_PROCESS_MAX } from '@odonata/coherency/node/relay/passed-barriers.ts';
import { UNDER_WAY_MAX } from '@odonata/coherency/node/relay/under-way.ts';
import { WAITING_MAX_BYTES } from '@odonata/coherency/node/transfer/outgoing.ts';
import { WINDOW_MAX_BYTES } from '@odonata/coherency/node/transfer/transfer-window.ts';
import { PROGRAM_PIDS } from '@odonata/rpc/pid.ts';
import { WAITING_MAX as DOOR_MAX } from '@odonata/userfault/descriptor-door.ts';
import { RANGES_MAX } from '../../services/pmapd/contention/range-names.ts';
import { IMAGES_MAX } from '../../services/pmapd/frames/images.ts';
import { SHORT_MAX } from '../../services/pmapd/frames/shortage.ts';
import { PROGRAMS_MAX, PROGRAMS_OF_PERSON, SESSIONS_MAX } from '../../services/pmapd/handlers.ts';
import { ACCEPT_PAGES_MAX } from '../../services/pmapd/losses.ts';
import { WAITING_MAX as ANSWERS_MAX } from '../../services/pmapd/sessions/descriptor-outbox.ts';
import { OPEN_MAX } from '../../services/pmapd/sessions/open-dataspaces.ts';
import { WORK_MAX } from '../../services/pmapd/sessions/session-requests.ts';
import { FILES_MAX, FILES_PART, VMSPACES_MAX } from '../../services/pmapd/sessions/session-vmspaces.ts';
import { UNTOLD_MAX } from '../../services/pmapd/sessions/teller.ts';
import { ENTRIES_MAX } from '../../services/pmapd/sessions/vmspace.ts';
import { FLUSHES_MAX } from '../../services/pmapd/vmspaces/flush.ts';
import {
  ENTRIES_OF_NODE,
  ENTRIES_OF_ONE,
  HANDMADE_BYTES_OF_ONE,
  HANDMADE_ENTRIES_MAX,
  HANDMADE_MAX,
  HANDMADE_OF_ONE,
} from '../../services/pmapd/vmspaces/handmade/owner.ts';
import {
  BACKLOG,
  BACKLOG_MAX as WATCH_BACKLOG_MAX,
  WATCHES_MAX,
  WATCHES_OF_ONE,
  WATCHES_OF_VMSPACE,
} from '../../services/pmapd/vmspaces/watches.ts';
import { MEMORY_MOUNT_BYTES } from '../../services/vkerneld/vkernel/mounts/memory-mount.ts';
import { NODES_BYTES_MAX } from '../../services/vkerneld/vkernel/mounts/memory-tree.ts';
import { UNMADE_MAX } from '../../services/vkerneld/vkernel/mounts/shared-folder.ts';
import { transfersMax } from '../../services/vkerneld/vkernel/transfers.ts';
import { count, EXHAUSTED, INVALID, type Row, size } from './row.ts';

/** Told by an event of its own kind. */
const ENDS = 'event `process-ended-for-memory`';
/** Where programs and virtual kernels see to it themselves. */
const INSIDE = 'by the program';
const DESCRIPTORS = `${EXHAUSTED}, ENFILE`;

export const NODE_LIMITS: readonly Row[] = [
  ['a node', 'virtual kernels', count(SESSIONS_MAX), EXHAUSTED, '', 'sessions'],
  [
    'a person on a node',
    'programs outside of virtual kernels that map',
    count(PROGRAMS_OF_PERSON),
    EXHAUSTED,
    '',
    'programs',
  ],
  ['a node', 'programs outside of virtual kernels that map', count(PROGRAMS_MAX), EXHAUSTED, '', 'programs'],
  ['a node', 'pids of such programs', count(PROGRAM_PIDS), EXHAUSTED, '', 'program-pids'],
  ['such a program', 'dataspaces open', count(OPENED_BY_PROGRAM), EXHAUSTED, '', INSIDE],
  [
    'a node',
    'dataspaces known',
    'half of the limit of open files',
    DESCRIPTORS,
    '`ulimit -Hn`',
    'descriptors',
  ],
  [
    'a node',
    'dataspaces and processes',
    '7/8 of the limit of open files',
    DESCRIPTORS,
    '`ulimit -Hn`',
    'descriptors',
  ],
  ['a node', 'the tmpfs of memory files', 'its size', EXHAUSTED, '`df -h /dev/shm`', 'tmpfs'],
  [
    'a line to a node',
    'pages under way',
    size(WINDOW_MAX_BYTES),
    'they wait',
    '',
    '`transfer_in_flight_bytes`',
  ],
  [
    'a line to a node',
    'pages that wait',
    size(WAITING_MAX_BYTES),
    'dropped, and recalled again',
    '',
    'transfer',
  ],
  [
    'a node',
    'private memory in swap',
    'as set',
    'who asks ends, or the largest overdraft',
    '`--node-swap`',
    ENDS,
  ],
  ['a node', 'who waits for frames', count(SHORT_MAX), 'who asks is refused', '`--node-memory`', ENDS],
  [
    'a node',
    'images of programs',
    `${count(IMAGES_MAX)}, and a quarter of its frames`,
    'not shared',
    '`--node-memory`',
    'images',
  ],
  ['a node', 'frames for an image', 'those that are free', 'not shared', '`--node-memory`', 'image-frames'],
  ['a node', 'descriptors handed over, and not claimed', count(DOOR_MAX), 'the oldest is closed', '', 'door'],
  ['a virtual kernel', 'vmspaces', count(VMSPACES_MAX), EXHAUSTED, '', 'vmspaces'],
  ['a virtual kernel', 'files of memory of its own', count(FILES_MAX), EXHAUSTED, '', 'memory-files'],
  [
    'a virtual kernel',
    'dataspaces open',
    'as set',
    `${EXHAUSTED}, EDQUOT`,
    '`--dataspaces`',
    'vkernel-dataspaces',
  ],
  ['a virtual kernel', 'opens, removals and syncs under way', count(WORK_MAX), EXHAUSTED, '', 'work'],
  [
    'a virtual kernel',
    'answers with memory files that wait',
    count(ANSWERS_MAX),
    EXHAUSTED,
    '',
    'descriptor-answers',
  ],
  [
    'a virtual kernel',
    'bytes of `/tmp`',
    `${size(MEMORY_MOUNT_BYTES)}, and ${100 * FILES_PART} % of its node`,
    'ENOSPC',
    '',
    INSIDE,
  ],
  ['a virtual kernel', 'names and links of `/tmp`, as bytes', size(NODES_BYTES_MAX), 'ENOSPC', '', INSIDE],
  [
    'a virtual kernel',
    'files of `/shared` that are no dataspace yet',
    count(UNMADE_MAX),
    'ENFILE',
    '',
    INSIDE,
  ],
  [
    'a virtual kernel',
    'locks and waits not answered',
    count(UNDER_WAY_MAX),
    EXHAUSTED,
    '',
    'locks-and-waits',
  ],
  [
    'a virtual kernel',
    'events that wait while it has no stream',
    count(UNTOLD_MAX),
    `${EXHAUSTED}, and its session ends`,
    '',
    'untold',
  ],
  [
    'a node',
    'private pages of other nodes',
    'half of its frames',
    `${EXHAUSTED}, and they stay where they are, or go elsewhere`,
    '`vkctl up --node-memory`',
    'lodged-pages',
  ],
  ['a dataspace', 'faults that wait for a page', count(PAGE_WAITERS_MAX), 'SIGBUS', '', 'page-waiters'],
  ['a dataspace', 'syncs that wait', count(SYNCS_MAX), EXHAUSTED, '', 'syncs'],
  ['a dataspace', 'lost pages that are accepted', count(ACCEPT_PAGES_MAX), EXHAUSTED, '', 'accepted-pages'],
  ['a person', 'names of ranges of a dataspace', count(RANGES_MAX), EXHAUSTED, '', 'range-names'],
  ['a process', 'barriers that it came to', count(BARRIERS_OF_PROCESS_MAX), 'EXHAUSTED', '', 'barriers'],
  ['a process', 'dataspaces open', count(OPEN_MAX), `${EXHAUSTED}, EMFILE`, '', 'open-dataspaces'],
  ['a process', 'mappings', count(ENTRIES_MAX), EXHAUSTED, '', 'map-entries'],
  [
    'a person on a node',
    'vmspaces made by hand',
    count(HANDMADE_OF_ONE),
    EXHAUSTED,
    '`--vmspaces`',
    'handmade-vmspaces',
  ],
  [
    'a person on a node',
    'private memory of these',
    size(HANDMADE_BYTES_OF_ONE),
    EXHAUSTED,
    '`--vmspace-bytes`',
    'handmade-memory',
  ],
  [
    ...([
      'a person on a node',
      'map entries of these',
      `${count(ENTRIES_OF_ONE)}, or 4 for each that they may make`,
    ] as const),
    ...([EXHAUSTED, '`--vmspaces`', 'handmade-entries-person'] as const),
  ],
  [
    'a node',
    'vmspaces made by hand',
    count(HANDMADE_MAX),
    EXHAUSTED,
    '`--node-vmspaces`',
    'handmade-vmspaces-node',
  ],
  ['a node', 'frames of their private memory', 'an eighth', EXHAUSTED, '`--node-memory`', 'handmade-frames'],
  [
    ...([
      'a node',
      'map entries of these',
      `${count(ENTRIES_OF_NODE)}, or 4 for each that it may have`,
    ] as const),
    ...([EXHAUSTED, '`--node-vmspaces`', 'handmade-entries-node'] as const),
  ],
  ['a vmspace made by hand', 'map entries', count(HANDMADE_ENTRIES_MAX), EXHAUSTED, '', 'handmade-entries'],
  ['a call', 'vmspaces made or ended by hand', count(4_096), INVALID, '', INSIDE],
  ['a vmspace', 'watches', count(WATCHES_OF_VMSPACE), EXHAUSTED, '', 'watches-vmspace'],
  ['a person on a node', 'watches', count(WATCHES_OF_ONE), EXHAUSTED, '', 'watches-person'],
  ['a node', 'watches', count(WATCHES_MAX), EXHAUSTED, '', 'watches-node'],
  ['a node', 'calls that empty pmaps, at one time', count(FLUSHES_MAX), EXHAUSTED, '', 'flushes'],
  [
    ...(['a watch', 'events that its reader has not read'] as const),
    ...([
      `${count(BACKLOG)}, or as it says up to ${count(WATCH_BACKLOG_MAX)}`,
      'dropped, and the next event says how many',
    ] as const),
    ...(['`backlog`', 'watch-backlog'] as const),
  ],
  [
    ...([
      'a process that is watched',
      'system calls told in a tenth of a second',
      count(transfersMax),
    ] as const),
    ...(['dropped, and the next event says how many', '', '`dropped_events`'] as const),
  ],
];

/** The words of `limit_hits_total` among them. */
export const COUNTED: readonly string[] = NODE_LIMITS.flatMap(([, , , , , counted]) =>
  counted !== undefined && /^[a-z-]+$/.test(counted) ? [counted] : [],
);
