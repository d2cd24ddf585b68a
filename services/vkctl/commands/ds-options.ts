import { parseMode } from '../ownership.ts';
import type { WatchOption } from '../watch.ts';
import type { ClusterOption, QuietOption } from './options.ts';

export interface DsOptions extends ClusterOption, QuietOption, WatchOption {
  node?: string;
  size?: string;
  progress?: boolean;
  durable?: boolean;
  range?: string;
  pad?: boolean;
  incomplete?: boolean;
  mode?: string;
  group?: string;
}

/** Of what is made. */
export const ownership = ({ mode, group = '' }: DsOptions) => ({
  ...(mode !== undefined && { mode: parseMode(mode) }),
  group,
});
