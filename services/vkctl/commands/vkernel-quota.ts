// What a virtual kernel may have, as people say it and hear it.
import type { NamesAllowed, QuotaChange } from '@odonata/client/vkernels.ts';
import { EXIT, Failure } from '../failure.ts';
import { plural } from '../output.ts';
import { formatSize, parseSize } from '../size.ts';
import type { ClusterOption } from './options.ts';

export interface PlaceOptions extends ClusterOption {
  node?: string;
  hostCluster?: string;
  user?: string;
  json?: boolean;
}

export interface QuotaOptions extends PlaceOptions {
  memory?: string;
  cpuWeight?: number;
  cpus?: number;
  processes?: number;
  dataspaces?: number;
  disk?: string;
  descriptors?: number;
  mayListen?: string[];
  mayConnect?: string[];
  /** --no-names: undefined unless given. */
  names?: boolean;
  ownNames?: boolean;
}

export function quotaOf(options: QuotaOptions): QuotaChange {
  const { memory, cpuWeight, cpus, processes, dataspaces, disk, descriptors } = options;
  const sizeOf = (text: string | undefined, flag: string) =>
    text === undefined ? undefined : text === '0' ? 0 : parseSize(text, flag);
  const memoryBytes = sizeOf(memory, '--memory');
  const diskBytes = sizeOf(disk, '--disk');
  const cpuMillis = cpus === undefined ? undefined : Math.round(cpus * 1000);
  return { memoryBytes, cpuWeight, cpuMillis, processes, dataspaces, diskBytes, descriptors };
}

/** Undefined: nothing is said of names. */
export function namesOf({ mayListen, mayConnect, names, ownNames }: QuotaOptions): NamesAllowed | undefined {
  const says = mayListen !== undefined || mayConnect !== undefined || names === false;
  if (ownNames && says)
    throw new Failure('--own-names says that it may use no others', {
      fix: 'Leave out --own-names, or --may-listen, --may-connect and --no-names.',
      exitCode: EXIT.usage,
    });
  if (!says && !ownNames) return undefined;
  return { listen: mayListen ?? [], connect: mayConnect ?? [], none: names === false };
}

export const processesText = (count: number): string => (count === 1 ? 'a process' : `${count} processes`);

/** `half a processor` would not be found by who looks for `--cpus 0.5`. */
export const processorsText = (cpuMillis: number): string =>
  cpuMillis === 1_000
    ? '1 processor'
    : cpuMillis < 1_000
      ? `${cpuMillis / 1_000} of a processor`
      : `${cpuMillis / 1_000} processors`;

interface Shown {
  readonly quota?: Partial<Record<'memoryBytes' | 'diskBytes', bigint>> &
    Partial<Record<'cpuWeight' | 'cpuMillis' | 'processes' | 'dataspaces' | 'descriptors', number>>;
  readonly names?: NamesAllowed | undefined;
}

export function shownQuota({ quota, names }: Shown): string {
  const { memoryBytes = 0n, cpuWeight = 0, cpuMillis = 0, processes = 0, dataspaces = 0 } = quota ?? {};
  const { diskBytes = 0n, descriptors = 0 } = quota ?? {};
  const said = [
    ...(memoryBytes > 0n ? [`${formatSize(memoryBytes)} of memory`] : []),
    ...(cpuMillis > 0 ? [processorsText(cpuMillis)] : []),
    ...(cpuWeight > 0 ? [`a weight of ${cpuWeight}`] : []),
    ...(processes > 0 ? [processesText(processes)] : []),
    ...(dataspaces > 0 ? [`${plural(dataspaces, 'dataspace')} open`] : []),
    ...(diskBytes > 0n ? [`${formatSize(diskBytes)} of disk`] : []),
    ...(descriptors > 0 ? [`${plural(descriptors, 'descriptor')} open`] : []),
    ...(names?.none ? ['no names of its user'] : []),
    ...(names && names.listen.length > 0 ? [`leave to listen by ${names.listen.join(', ')}`] : []),
    ...(names && names.connect.length > 0 ? [`leave to connect to ${names.connect.join(', ')}`] : []),
  ];
  return said.length === 0 ? 'what any may' : said.join(', ');
}
