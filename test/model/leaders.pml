/*
 * Leaders, leases, lives and notes for spin: one shard, one page of it, a node that may have the page, and a rival. README.md
 * says how it is run, libs/coherency/PROTOCOL.md ("What callers owe") what the rules are.
 */
#include "leader-state.pml"

#include "replica.pml"
#include "node.pml"

/* The replica ended the stream, and the node has not heard so. */
#define isZombie(r) (opened[r] && !streamed[r] && len(down[r]) == 0)

/*
 * What must hold after every step.
 *
 * one at a time   the node uses nothing that was given to the rival
 * progress        a rebuild that waits for nothing that is under way, for no time, and for nobody who is there, goes on.
 *                 Spin finds the rest: nothing that can happen (invalid end state)
 *
 * (`serve` asserts one more: what the rival kept is put back only where nobody had it since.)
 */
#define nothingUnderWay (len(down[leader]) + len(notes[leader]) + reporting[leader] == 0)
#define isAwaitingTime (untilMs + lateMs + askedAtMs + deadMs[leader] + heldUntilMs[leader] > 0)
#define canGoOn (isMissing || isBuriedLate || isReported || !opened[leader] || isZombie(leader) || entry[leader] != 0)

inline check() {
  assert(!(uses && rivalHas));
  assert(!(rebuilding && mayLead[leader] && nothingUnderWay && !isAwaitingTime && !canGoOn))
}

inline less(ms) {
  if
  :: ms > 0 -> ms--
  :: else
  fi
}

inline tick() {
  for (t_i : 0 .. REPLICAS - 1) {
    less(lineMs[t_i]); less(askedMs[t_i]); less(deadMs[t_i]); less(heldUntilMs[t_i])
  }
  less(leftMs); less(untilMs); less(lateMs); less(askedAtMs)
}

/* Something waits for time to pass. */
#define timed (lineMs[0] + lineMs[1] + askedMs[0] + askedMs[1] + deadMs[0] + deadMs[1] + heldUntilMs[0] + heldUntilMs[1] + \
               leftMs + untilMs + lateMs + askedAtMs > 0)

/* A line between the node and a replica, and that replica. */
proctype Replica(byte r) {
end:
  do
  :: d_step { !opened[r] && mayLead[r] && canSend(r, 2) && canNote(r, 2) && lastLife < LIVES_MAX -> onOpened(r); check() }
  :: d_step { nempty(down[r]) -> fromReplica(r); check() }
  :: d_step { joined[r] && mayLead[r] && !asking[r] && reporting[r] == 0 && lineMs[r] < LEASE && canSend(r, 1) -> onRenew(r, 0); check() }
  :: d_step {
       holds > 0 && joined[r] && mayLead[r] && !asking[r] && reporting[r] == 0 && canSend(r, 1) && canNote(r, 1) ->
       holds--; onRenew(r, 1); check()
     }
  :: d_step { reporting[r] != 0 -> onReport(r); check() }
#ifdef BURY_THE_SILENT
  :: d_step { isSilent(r) && canNote(r, 1) -> bury(r); check() }
#endif
  :: d_step { isZombie(r) -> broke(r); check() }
  :: d_step { breaks > 0 && opened[r] -> breaks--; broke(r); check() }
  :: d_step { entry[r] != 0 && deadMs[r] == 0 && mayLead[r] && canNote(r, 1) -> bury(r); check() }
  :: d_step {
       nempty(notes[r]) && canSend(r, 2) ->
       notes[r] ? m_type, t_start, t_a, t_held;
#ifndef LATE_NOTES
       refuseLate(r);
#endif
       keep(r); onKept(r); check()
     }
#if RESTARTS
  :: d_step { lateType[r] != 0 -> keepLate(r); check() }
#endif
#if REFUSALS
  :: d_step {
       refusals > 0 && nempty(notes[r]) && changes > 0 && canSend(r, 1) && canSend(1 - r, 2) ->
       refusals--; changes--; notes[r] ? m_type, t_start, t_a, t_held; onRefused(r); check()
     }
  :: d_step {
       refusals > 0 && nempty(notes[r]) && changes > 0 && canSend(r, 1) && canSend(1 - r, 2) ->
       refusals--; changes--; notes[r] ? m_type, t_start, t_a, t_held; keep(r); onRefused(r); check()
     }
#endif
#if RESTARTS
  :: d_step { restarts > 0 -> restarts--; onRestart(r); check() }
#endif
  /* It leads next: the last one gave the shard up, or may not lead any more. */
  :: d_step {
       changes > 0 && isLeader(leader) && mayLead[r] && canSend(leader, 1) && canSend(r, 2) ->
       changes--; leave(leader, epoch); take(r); check()
     }
  :: d_step {
       changes > 0 && isLeader(leader) && leader != r && mayLead[r] && canSend(r, 1) ->
       changes--; mayLead[leader] = 0; ledBefore[leader] = epoch; take(r); check()
     }
  :: d_step {
       !mayLead[r] && canSend(r, 1) ->
       mayLead[r] = 1; leave(r, ledBefore[r]); ledBefore[r] = 0; deadMs[r] = (entry[r] != 0 -> LEASE : 0); check()
     }
  od
}

/* The shard's leader, and what happens to all. */
proctype Leader() {
end:
  do
  :: d_step { timed -> tick(); check() }
  :: d_step { start < STARTS -> onStart(); check() }
  :: d_step {
       isMissing && canNote(leader, 1) ->
       isAbsentee = 1; beforeStart[leader] = 0; beforeLife[leader] = 0; beforeHeld[leader] = 0;
       notes[leader] ! absent, 0, 0, 0; check()
     }
  :: d_step { isBuriedLate -> onAbsent(); check() }
  :: d_step { isReported && !notesKept -> notesKept = 1; before = 0; beforeEpoch = 0; check() }
#ifdef SERVE_UNNOTED
  :: d_step { isReported -> serve(); check() }
#else
  :: d_step { isReported && notesKept -> serve(); check() }
#endif
  /* The page goes from one to the other. */
  :: d_step { !rebuilding && isLeader(leader) && owner == NOBODY -> owner = RIVAL; rivalHas = 1; check() }
#if SENDER
  :: d_step {
       !rebuilding && isLeader(leader) && owner == RIVAL && streamed[leader] && welcomed[leader] && canSend(leader, 1) &&
       !kept && !wrote ->
       owner = NODE; ownerLife = life[leader]; rivalHas = 0; kept = 1; keptFor = entry[leader]; send(leader, grant, epoch, 0, 0); check()
     }
#endif
  od
}

init {
  d_step {
    /* The node is a holder of both, and the first one leads. */
    lastLife = 2; epoch = 1; leader = 0;
    for (t_i : 0 .. REPLICAS - 1) {
      mayLead[t_i] = 1; entry[t_i] = 1; life[t_i] = t_i + 1; isNoted[t_i] = 1; welcomed[t_i] = 1; streamed[t_i] = 1;
      deadMs[t_i] = LEASE; noteStart[t_i] = 1; noteLife[t_i] = t_i + 1;
      opened[t_i] = 1; joined[t_i] = 1; lineLife[t_i] = t_i + 1; lineMs[t_i] = LEASE
    }
#if EARLIER
    start = 2; entry[0] = 2; noteStart[0] = 2;
    opened[1] = 0; joined[1] = 0; streamed[1] = 0; lineLife[1] = 0; lineMs[1] = 0;
#endif
    line = 1; shardEpoch = 1; shardLife = 1; lives[1] = 1;
#if SENDER
    owner = RIVAL; rivalHas = 1
#else
    owner = NODE; ownerLife = 1; has = 1
#endif
  }
  atomic { run Replica(0); run Replica(1); run Leader() }
}
