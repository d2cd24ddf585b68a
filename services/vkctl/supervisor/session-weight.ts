// The weight of the supervisor's session. Linux gives all programs of a session one program's part of a processor between them
// (autogroup, sched(7)), while each virtual kernel has a session or a control group of its own: pmapd then has less than the guests
// whose faults it serves, and waits behind them for milliseconds. `nice` counts within a session only. For where there is
// no control group (libs/userfault/sandbox/cluster-cgroup.ts).
import { readFileSync, writeFileSync } from 'node:fs';
import { statIn } from '@odonata/rpc/process-stat.ts';

/** About fifteen times that of a session of guests: services run for microseconds, and must not queue behind those. */
const NICE = -12;

/** For the process that leads its session; a hint, which root may give, of a kernel that has such groups. */
export function weighSession(proc = '/proc/self'): boolean {
  try {
    const stat = readFileSync(`${proc}/stat`, 'utf8');
    // Of a terminal, say: it is not ours to weigh.
    if (statIn(stat).sessionId !== Number.parseInt(stat, 10)) return false;
    writeFileSync(`${proc}/autogroup`, String(NICE), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}
