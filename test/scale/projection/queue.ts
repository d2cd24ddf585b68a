// A station of servers with one queue, M/G/c: arrivals at random, service times of any distribution. The mean wait is
// Allen and Cunneen's approximation (Allen, "Probability, Statistics, and Queueing Theory", 2nd ed., 5.2): exact for
// M/M/c, and for one server it is the formula of Pollaczek and Khinchine.
import assert from 'node:assert/strict';

export interface Queue {
  ratePerS: number;
  serviceS: number;
  servers: number;
  /** Variance of the service time beside its squared mean: 0 where all take as long, 1 for exponential times. */
  cv2: number;
}

/** The share of the time for which a server is busy; 1 and more: the queue grows without end. */
export function utilisation({ ratePerS, serviceS, servers }: Omit<Queue, 'cv2'>): number {
  assert(servers >= 1 && ratePerS >= 0 && serviceS >= 0, 'a station has servers, and no negative load');
  return (ratePerS * serviceS) / servers;
}

/** The probability that an arrival waits (Erlang C); 1 where the queue grows without end. */
export function waitProbability(queue: Omit<Queue, 'cv2'>): number {
  const load = queue.ratePerS * queue.serviceS;
  const busy = utilisation(queue);
  if (busy >= 1) return 1;
  // Erlang B by its recursion, which does not overflow.
  let blocked = 1;
  for (let n = 1; n <= queue.servers; n++) blocked = (load * blocked) / (n + load * blocked);
  return blocked / (1 - busy * (1 - blocked));
}

/** Mean time in the queue; infinite where it grows without end. */
export function waitS(queue: Queue): number {
  const { ratePerS, serviceS, servers, cv2 } = queue;
  if (ratePerS === 0 || serviceS === 0) return 0;
  if (utilisation(queue) >= 1) return Number.POSITIVE_INFINITY;
  const spareRate = servers / serviceS - ratePerS;
  return ((waitProbability(queue) / spareRate) * (1 + cv2)) / 2;
}

/** Mean number in the queue, by Little's law. */
export const waiting = (queue: Queue): number => queue.ratePerS * waitS(queue);
