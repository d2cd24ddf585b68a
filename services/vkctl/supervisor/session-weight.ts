// The weight of the supervisor's session. Linux gives all programs of a session one program's part of a processor between them
// (autogroup, sched(7)), while each virtual kernel has a session or a control group of its own: pmapd then has less than the guests
// whose faults it serves, and waits behind them for milliseconds. `nice` counts within a session only.
import { readFileSync, writeFileSync } from 'node:fs';

/** About fifteen times that of a session of guests: services run for microseconds, and must not queue behind those. */
const NICE = -12;

/** For the process that leads its session; a hint, which root may give, of a kernel that has such groups. */
export function weighSession(proc = '/proc/self'): boolean {
  try {
    // proc_pid_stat(5): pid, (name), state, parent, group, session.
    const stat = readFileSync(`${proc}/stat`, 'utf8');
    const session = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3];
    // Of a terminal, say: it is not ours to weigh.
    if (session !== stat.slice(0, stat.indexOf(' '))) return false;
    writeFileSync(`${proc}/autogroup`, String(NICE), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}
