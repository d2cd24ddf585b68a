/*
 * What must hold after every step.
 *
 * single writer   who may write is alone
 * latest value    whoever may read has the value of the last write
 * progress        when nothing is under way and nobody is cut off, nobody waits; a change that is left over is settled by
 *                 at most TICKS_MAX ticks. Spin finds the rest: a step that is impossible (invalid end state).
 *
 * (`lose` asserts one more: no page is lost where nobody died.)
 */

/* A holder that is dead, or whose lease ended, reads and writes nothing. */
#define uses(h) (!memberOf(crashed | stopped, h))

#define alone(p, h) \
  ((h == 1 || !uses(1) || state[AT(p, 1)] == INVALID) && \
   (h == 2 || !uses(2) || state[AT(p, 2)] == INVALID) && \
   (h == 3 || !uses(3) || state[AT(p, 3)] == INVALID))

#define nothingUnderWay \
  (empty(up[0]) && empty(up[1]) && empty(up[2]) && empty(down[0]) && empty(down[1]) && empty(down[2]) && \
   transfers[0].receiver == 0)

#define everybodyJoined ((joined | crashed) == 14 && stopped == 0 && (members & crashed) == 0 && !rebuilding)

#define quiet (nothingUnderWay && everybodyJoined)

#if PAGES == 1
#define somethingBusy (busy[0])
#else
#define somethingBusy (busy[0] || busy[1])
#endif

inline check() {
  t_other = (quiet && !somethingBusy);
  for (t_i : 0 .. PAGES - 1) {
    for (t_h : 1 .. HOLDERS) {
      if
      :: uses(t_h) && mayRead(state[AT(t_i, t_h)]) ->
         assert(frame[AT(t_i, t_h)] == last[t_i]);                         /* latest value */
         assert(!mayWrite(state[AT(t_i, t_h)]) || alone(t_i, t_h))         /* single writer */
      :: else
      fi;
      if
      :: t_other && isUp(t_h) ->
         assert(!readPending[AT(t_i, t_h)] && !writePending[AT(t_i, t_h)]) /* progress */
      :: else
      fi
    }
  };
  t_i = 0
}
