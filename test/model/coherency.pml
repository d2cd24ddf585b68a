/*
 * The coherency protocol for spin: three holders and their directory, with every fault that the bounds allow. README.md
 * says how it is run, libs/coherency/PROTOCOL.md what the protocol is.
 */
#include "state.pml"

#include "directory.pml"
#include "holder.pml"
#include "properties.pml"

/* A broadcast of version v for page p that this holder may hear. */
#ifdef IGNORE_EPOCH
#define hears(p, h, v) (memberOf(broadcasts[AT(p, h)] | broadcasts[(EPOCHS - 1) * CELLS + AT(p, h)], v))
#else
#define hears(p, h, v) (memberOf(broadcasts[epoch[h] * CELLS + AT(p, h)], v))
#endif

/* It may come again; an ack that says nothing new is only sent where no other is under way. */
#define mayHear(p, h, v) \
  (isUp(h) && hears(p, h, v) && (version[AT(p, h)] < v || (isJoined(h) && empty(up[h - 1]) && memberOf(unacked[p], h))))

#define arrives(i, h) (transfers[i].receiver == h)

/* Data that was sent to a former life of a holder is not for this one. */
#ifdef FORMER_LIFE
#define forThisLife(i, h) (true)
#else
#define forThisLife(i, h) (transfers[i].number == number[h])
#endif

inline deliver(i, h) {
  t_page = transfers[i].page; t_a = transfers[i].state; t_version = transfers[i].version; t_b = transfers[i].value;
  t_flag = (transfers[i].epoch == epoch[h] && forThisLife(i, h));
  takeTransfer(i);
  if
#ifdef IGNORE_EPOCH
  :: isUp(h) -> knows(t_page, h); onData(t_page, h, t_a, t_version, t_b)
#else
  :: t_flag && isUp(h) -> knows(t_page, h); onData(t_page, h, t_a, t_version, t_b)
#endif
  :: else   /* of another directory */
  fi
}

/* Keeps the messages together, so that the same ones are the same state. */
inline takeTransfer(i) {
  t_i = i;
  do
  :: t_i < TRANSFERS_MAX - 1 ->
     transfers[t_i].receiver = transfers[t_i + 1].receiver; transfers[t_i].page = transfers[t_i + 1].page;
     transfers[t_i].state = transfers[t_i + 1].state; transfers[t_i].version = transfers[t_i + 1].version;
     transfers[t_i].epoch = transfers[t_i + 1].epoch; transfers[t_i].number = transfers[t_i + 1].number;
     transfers[t_i].value = transfers[t_i + 1].value;
     t_i++
  :: else -> break
  od;
  forgetTransfer(TRANSFERS_MAX - 1)
}

inline onSettled(p, h) {
  t_version = 1;
  do
  :: !memberOf(settling[AT(p, h)], t_version) -> t_version++
  :: else -> break
  od;
  settling[AT(p, h)] = settling[AT(p, h)] & ~BIT(t_version);
  forgetKept(p, h, t_version)
}

inline hear(p, h, v) {
#ifdef CONSUME
  broadcasts[epoch[h] * CELLS + AT(p, h)] = broadcasts[epoch[h] * CELLS + AT(p, h)] & ~BIT(v);
#endif
  knows(p, h);
  onInvalidate(p, h, v)
}

/* Requests wait until every report is in. */
#define hasMessage(h) (nempty(up[h - 1]) && !(rebuilding && up[h - 1] ? [acquire, _, _, _]))

inline fromHolder(h) {
  up[h - 1] ? m_type, t_page, t_a, t_version;
  if
  :: m_type == acquire -> onAcquire(t_page, h, t_a)
  :: m_type == report -> onReport(t_page, h, t_a, t_version)
  :: else -> onAck(t_page, h, m_type, t_version)
  fi
}

/* Of a dead or silent holder the lease must have ended first, by its own clock. */
#ifdef NO_LEASE
#define isOver(h) (!hasStream(h))
#else
#define isOver(h) (!hasStream(h) && memberOf(crashed | stopped, h))
#endif
#define mayBury(h) (!rebuilding && memberOf(members, h) && isOver(h))

/* All have reported, or their leases are over. */
#ifdef GRANT_BEFORE_REPORTS
#define mayServe (rebuilding)
#else
#ifdef LATE_REPORT
#define mayServe (rebuilding && (awaited & ~(crashed | stopped | streams)) == 0)
#else
#define mayServe (rebuilding && (awaited & ~((crashed | stopped) & ~streams)) == 0)
#endif
#endif

#ifdef NO_RESEND
#define TICK(p) skip
#else
#define TICK(p) sendChange(p, 1)
#endif

inline crash(h) {
  crashed = crashed | BIT(h);
  for (t_page : 0 .. PAGES - 1) {
    expire(t_page, h);
    readPending[AT(t_page, h)] = 0; writePending[AT(t_page, h)] = 0
  }
}

/* The holder stops using what it has. */
inline leaseEnds(h) {
#ifdef NO_LEASE
  skip
#else
  stopped = stopped | BIT(h)
#endif
}

/* One holder: each step is an event of holder.ts, or something that its processes do. */
proctype Holder(byte h) {
end:
  do
  :: d_step {   /* a message of the stream */
       nempty(down[h - 1]) && isUp(h) ->
       down[h - 1] ? m_type, t_page, t_a, t_version, t_b;
       if
       :: m_type == welcome -> onWelcome(h, t_a, t_version)
       :: else ->
          knows(t_page, h);
          if
          :: m_type == grant -> onGrant(t_page, h, t_a, t_version, t_b)
          :: m_type == recall -> onRecall(t_page, h, t_a, t_version, t_b)
          :: m_type == invalidate -> onInvalidate(t_page, h, t_version)
          :: m_type == refuse -> onRefuse(t_page, h, t_a)
          fi
       fi;
       check()
     }
  :: d_step { arrives(0, h) -> deliver(0, h); check() }   /* data of another holder */
  :: d_step { arrives(1, h) -> deliver(1, h); check() }
  :: d_step { arrives(2, h) -> deliver(2, h); check() }
  :: d_step { arrives(3, h) -> deliver(3, h); check() }
  :: d_step { wants > 0 && !finished && uses(h) && mayWantRead(0, h) -> want(0, h, READ); check() }
  :: d_step { wants > 0 && !finished && uses(h) && mayWantWrite(0, h) -> want(0, h, WRITE); check() }
  :: d_step { writes > 0 && !finished && uses(h) && mayWrite(state[AT(0, h)]) -> wrote(0, h); check() }
  :: d_step { settling[AT(0, h)] != 0 -> onSettled(0, h); check() }
  :: d_step { mayHear(0, h, 1) -> hear(0, h, 1); check() }
  :: d_step { mayHear(0, h, 2) -> hear(0, h, 2); check() }
  :: d_step { mayHear(0, h, 3) -> hear(0, h, 3); check() }
  :: d_step { mayHear(0, h, 4) -> hear(0, h, 4); check() }
  :: d_step { mayHear(0, h, 5) -> hear(0, h, 5); check() }
#if VERSIONS_MAX > 6
  :: d_step { mayHear(0, h, 6) -> hear(0, h, 6); check() }
  :: d_step { mayHear(0, h, 7) -> hear(0, h, 7); check() }
#endif
#if PAGES > 1
  :: d_step { wants > 0 && !finished && uses(h) && mayWantRead(1, h) -> want(1, h, READ); check() }
  :: d_step { wants > 0 && !finished && uses(h) && mayWantWrite(1, h) -> want(1, h, WRITE); check() }
  :: d_step { writes > 0 && !finished && uses(h) && mayWrite(state[AT(1, h)]) -> wrote(1, h); check() }
  :: d_step { settling[AT(1, h)] != 0 -> onSettled(1, h); check() }
  :: d_step { mayHear(1, h, 1) -> hear(1, h, 1); check() }
  :: d_step { mayHear(1, h, 2) -> hear(1, h, 2); check() }
  :: d_step { mayHear(1, h, 3) -> hear(1, h, 3); check() }
  :: d_step { mayHear(1, h, 4) -> hear(1, h, 4); check() }
  :: d_step { mayHear(1, h, 5) -> hear(1, h, 5); check() }
#if VERSIONS_MAX > 6
  :: d_step { mayHear(1, h, 6) -> hear(1, h, 6); check() }
  :: d_step { mayHear(1, h, 7) -> hear(1, h, 7); check() }
#endif
#endif
  od
}

/* The directory: each step is an event of directory.ts. */
proctype Directory() {
  do
  :: d_step { hasMessage(1) -> fromHolder(1); check() }
  :: d_step { hasMessage(2) -> fromHolder(2); check() }
  :: d_step { hasMessage(3) -> fromHolder(3); check() }
  :: d_step { !hasStream(1) && isUp(1) -> onHello(1); check() }
  :: d_step { mayBury(1) -> died = 1; onLeave(1); check() }
  :: d_step { !hasStream(2) && isUp(2) -> onHello(2); check() }
  :: d_step { mayBury(2) -> died = 1; onLeave(2); check() }
  :: d_step { !hasStream(3) && isUp(3) -> onHello(3); check() }
  :: d_step { mayBury(3) -> died = 1; onLeave(3); check() }
  :: d_step { early > 0 && busy[0] && !rebuilding -> early--; sendChange(0, 1); check() }
  :: d_step {
       quiet && busy[0] -> ticks[0]++; assert(ticks[0] <= TICKS_MAX);   /* progress */
       TICK(0); check()
     }
#if PAGES > 1
  :: d_step { early > 0 && busy[1] && !rebuilding -> early--; sendChange(1, 1); check() }
  :: d_step {
       quiet && busy[1] -> ticks[1]++; assert(ticks[1] <= TICKS_MAX);   /* progress */
       TICK(1); check()
     }
#endif
  :: d_step { mayServe -> onRebuilt(0); check() }
  :: d_step { mayServe -> onRebuilt(1); check() }
  :: quiet && !somethingBusy -> finished = 1; break
  od
}

/* What breaks. A change has its ticks anew after each fault. */
inline fault() {
  for (t_i : 0 .. PAGES - 1) { ticks[t_i] = 0 }
}

proctype Faults() {
end:
  do
  :: d_step { breaks > 0 && !finished && hasStream(1) -> breaks--; fault(); closeStream(1); check() }
  :: d_step { crashes > 0 && !finished && isUp(1) -> crashes--; died = 1; fault(); closeStream(1); crash(1); check() }
  :: d_step { silences > 0 && !finished && uses(1) -> silences--; fault(); closeStream(1); leaseEnds(1); check() }
  :: d_step { breaks > 0 && !finished && hasStream(2) -> breaks--; fault(); closeStream(2); check() }
  :: d_step { crashes > 0 && !finished && isUp(2) -> crashes--; died = 1; fault(); closeStream(2); crash(2); check() }
  :: d_step { silences > 0 && !finished && uses(2) -> silences--; fault(); closeStream(2); leaseEnds(2); check() }
  :: d_step { breaks > 0 && !finished && hasStream(3) -> breaks--; fault(); closeStream(3); check() }
  :: d_step { crashes > 0 && !finished && isUp(3) -> crashes--; died = 1; fault(); closeStream(3); crash(3); check() }
  :: d_step { silences > 0 && !finished && uses(3) -> silences--; fault(); closeStream(3); leaseEnds(3); check() }
  :: d_step { restarts > 0 && !finished && !rebuilding -> restarts--; fault(); onRestart(); check() }
  :: d_step { losses > 0 && !finished && transfers[0].receiver != 0 -> losses--; fault(); takeTransfer(0); check() }
  :: d_step { losses > 0 && !finished && transfers[1].receiver != 0 -> losses--; fault(); takeTransfer(1); check() }
  :: d_step { losses > 0 && !finished && transfers[2].receiver != 0 -> losses--; fault(); takeTransfer(2); check() }
  :: d_step { losses > 0 && !finished && transfers[3].receiver != 0 -> losses--; fault(); takeTransfer(3); check() }
  od
}

init {
  d_step {
    for (t_h : 1 .. HOLDERS) { members = members | BIT(t_h) }
    streams = members; joined = members;
    for (t_page : 0 .. PAGES - 1) {
      owner[t_page] = CREATOR; exclusive[t_page] = (CREATOR != 0);
      if
      :: CREATOR != 0 -> state[AT(t_page, CREATOR)] = EXCLUSIVE
      :: else
      fi
    }
  }
  atomic { run Holder(1); run Holder(2); run Holder(3); run Directory(); run Faults() }
}
