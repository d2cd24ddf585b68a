// The times of a lease. Whoever holds it counts from before it asked, whoever waits for its end from after it saw it: so clocks need
// not agree, and rates may differ by a tenth each (8.5 s on a clock that is slow by a tenth are 9.4 s, 11 s on a fast one 10 s).
//
//     0 asked .. 2 renewed .. | 7 s: its node stops what runs | 8.5 s: the kernel ends it | 11 s: others may take it
export const RENEW_MS = 2_000;
/** Without a renewal, vkerneld ends its instances then. */
export const HOLD_MS = 7_000;
/** The virtual kernel's own alarm: it ends by then, whether anybody lives who tells it or not. */
export const ALARM_MS = 8_500;
/** So long unchanged, a lease is over. */
export const TAKE_MS = 11_000;
/** A node that was silent for longer is not counted on. */
export const FRESH_MS = 5_000;
/** A life of this length forgives the restarts before. */
export const STEADY_MS = 60_000;
/** Between the bids of nodes for an instance, the best suited first. */
export const BID_MS = 1_500;
/** Between two questions whether a node is fenced. */
export const ASK_MS = 1_000;
/** What runs for so long, and has no check of its health, is healthy. */
export const SETTLE_MS = 1_000;
/** What a node gives its instances to end by themselves where it goes itself. */
export const LEAVE_GRACE_MS = 2_000;
