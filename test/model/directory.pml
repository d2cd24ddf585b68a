/*
 * The directory: directory.ts, directory-rebuild.ts, and what coherency-service.ts does around them. Each inline is the
 * method of its name.
 */

#define hasStream(h) memberOf(streams, h)

inline send(h, type, p, a, v, b) {
  /* What cannot be sent now is asked for again by the holder when it is back. */
  if
  :: hasStream(h) -> assert(nfull(down[(h) - 1])); down[(h) - 1] ! type, p, a, v, b
  :: else
  fi
}

inline dirGrant(p, h, s, v, how) { send(h, grant, p, s, v, how) }

inline sendRecall(p) {
#ifndef RESTORE_ONCE
  /* The grant that told the owner to take the page back may be lost. */
  if
  :: restoreFlag[p] -> send(source[p], grant, p, (exclusive[p] -> MODIFIED : MASTER), dirVersion[p], RESTORE)
  :: else
  fi;
#endif
  send(source[p], recall, p, requester[p] | (dirNumber[requester[p]] << 2), changeVersion[p],
       (mode[p] == READ -> SLAVE : (grantPending[p] -> INVALID : MODIFIED)))
}

#ifdef BROADCAST_TO_SOURCE
#define hearsAsSource(p, h) (true)
#else
#define hearsAsSource(p, h) (h != source[p])
#endif

/* Everybody follows the dataspace, also who has nothing to lose; but the writer, and who is asked for the data. */
inline sendInvalidate(p, resend) {
  for (t_i : 1 .. HOLDERS) {
    if
    :: t_i != requester[p] && hearsAsSource(p, t_i) ->
       broadcasts[dirEpoch * CELLS + AT(p, t_i)] = broadcasts[dirEpoch * CELLS + AT(p, t_i)] | BIT(changeVersion[p])
    :: else
    fi;
    if
    :: resend && memberOf(unacked[p], t_i) -> send(t_i, invalidate, p, 0, changeVersion[p], 0)
    :: else
    fi
  }
}

inline sendChange(p, resend) {
  if
  :: dataPending[p] -> sendRecall(p)
  :: else
  fi;
  if
  :: unacked[p] != 0 -> sendInvalidate(p, resend)
  :: else
  fi
}

inline change(p, h, m, v, src, others) {
  assert((v) < VERSIONS_MAX);
  busy[p] = 1;
  requester[p] = h;
  mode[p] = m;
  source[p] = src;
  unacked[p] = others;
  changeVersion[p] = v;
  dataPending[p] = (source[p] != 0);
  grantPending[p] = ((m) == WRITE && unacked[p] != 0);
  ticks[p] = 0;
  sendChange(p, 0)
}

inline forgetChange(p) {
  busy[p] = 0; requester[p] = 0; mode[p] = 0; changeVersion[p] = 0; source[p] = 0; unacked[p] = 0;
  dataPending[p] = 0; grantPending[p] = 0; ticks[p] = 0
}

inline become(p, h, v) {
  restoreFlag[p] = restoreFlag[p] && (owner[p] == h);
  owner[p] = h; exclusive[p] = 1; sharers[p] = 0; dirVersion[p] = v; zeroFlag[p] = 0
}

inline lose(p) {
  /* Where everybody lives, nothing gets lost. */
  assert(died);
  owner[p] = 0; exclusive[p] = 0; sharers[p] = 0; lost[p] = 1; restoreFlag[p] = 0
}

inline beginRead(p, h) {
  if
  :: owner[p] == h ->
     dirGrant(p, h, (exclusive[p] -> EXCLUSIVE : MASTER), dirVersion[p],
              (zeroFlag[p] -> ZERO : AS_IS))
  :: else ->
     if
     :: memberOf(sharers[p], h) -> dirGrant(p, h, (owner[p] == 0 -> SHARED : SLAVE), dirVersion[p], AS_IS)
     :: else ->
        if
        :: owner[p] != 0 -> change(p, h, READ, dirVersion[p], owner[p], 0)
        :: else ->
           assert(sharers[p] == 0);
           owner[p] = h; exclusive[p] = 1; dirVersion[p]++; zeroFlag[p] = 1;
           dirGrant(p, h, EXCLUSIVE, dirVersion[p], ZERO)
        fi
     fi
  fi
}

inline beginWrite(p, h) {
  t_other = sharers[p] & ~BIT(h);
  if
  :: owner[p] == h && exclusive[p] ->
     dirGrant(p, h, MODIFIED, dirVersion[p], (zeroFlag[p] -> ZERO : AS_IS))
  :: else ->
     t_flag = (owner[p] == h || memberOf(sharers[p], h));   /* hasCopy */
     if
     :: owner[p] != 0 && owner[p] != h && t_flag -> t_other = t_other | BIT(owner[p])
     :: else
     fi;
     if
     :: (t_flag || owner[p] == 0) && t_other == 0 ->
        t_take = (owner[p] == 0 && sharers[p] == 0);        /* zero */
        become(p, h, dirVersion[p] + 1);
        zeroFlag[p] = t_take;
        dirGrant(p, h, MODIFIED, dirVersion[p], (t_take -> ZERO : AS_IS))
     :: else ->
        change(p, h, WRITE, dirVersion[p] + 1, (t_flag -> 0 : owner[p]), t_other)
     fi
  fi
}

inline begin(p, h, m) {
  if
  :: lost[p] -> send(h, refuse, p, m, 0, 0)
  :: else ->
     if
     :: (m) == READ -> beginRead(p, h)
     :: else -> beginWrite(p, h)
     fi
  fi
}

/* A request as 3 bits. */
#define request(h, m) (((h) << 1) | (m))

#ifdef ASKED_AGAIN_IN_VAIN
#define isTwinOfChange(p, h, m) (busy[p] && requester[p] == h && mode[p] == m)
#else
#define isTwinOfChange(p, h, m) (false)
#endif

inline enqueue(p, h, m) {
  if
  :: isTwinOfChange(p, h, m)
  :: else ->
     t_rest = queue[p]; t_i = 0; t_flag = 0;
     do
     :: t_rest != 0 ->
        if
        :: (t_rest & 7) == request(h, m) -> t_flag = 1
        :: else
        fi;
        t_rest = t_rest >> 3; t_i = t_i + 3
     :: else -> break
     od;
     if
     :: !t_flag -> queue[p] = queue[p] | (request(h, m) << t_i)
     :: else
     fi
  fi
}

inline serveQueue(p) {
  do
  :: !busy[p] && queue[p] != 0 ->
     t_h = (queue[p] & 7) >> 1; t_b = queue[p] & 1; queue[p] = queue[p] >> 3;
     if
     :: memberOf(members, t_h) -> begin(p, t_h, t_b)
     :: else
     fi
  :: else -> break
  od
}

inline onAcquire(p, h, m) {
  /* An owner that asks may not know yet that it is one. */
  if
  :: restoreFlag[p] && owner[p] == h -> send(h, grant, p, (exclusive[p] -> MODIFIED : MASTER), dirVersion[p], RESTORE)
  :: else
  fi;
  if
  :: busy[p] -> enqueue(p, h, m)
  :: else -> begin(p, h, m)
  fi
}

inline settle(p, h, v) {
  if
  :: hasStream(h) -> settling[AT(p, h)] = settling[AT(p, h)] | BIT(v)
  :: else
  fi
}

inline advance(p) {
  if
#ifdef GRANT_BEFORE_LAST_ACK
  :: grantPending[p] ->
#else
  :: grantPending[p] && unacked[p] == 0 ->
#endif
     grantPending[p] = 0;
     dirGrant(p, requester[p], MODIFIED, changeVersion[p], AS_IS)
  :: else
  fi;
  if
  :: unacked[p] == 0 && !dataPending[p] ->
     if
     :: mode[p] == WRITE ->
        become(p, requester[p], changeVersion[p]);
        if
        :: source[p] != 0 -> settle(p, source[p], changeVersion[p])
        :: else
        fi
     :: else ->
        exclusive[p] = 0; zeroFlag[p] = 0; restoreFlag[p] = 0;
#ifndef FORGET_SHARER
        sharers[p] = sharers[p] | BIT(requester[p])
#endif
     fi;
     forgetChange(p)
  :: else
  fi
}

inline ownerLost(p) {
  owner[p] = 0; exclusive[p] = 0; restoreFlag[p] = 0;
  if
  :: sharers[p] == 0 -> lose(p)
  :: else ->
     /* The heir: the sharer of the lowest number. */
     t_i = 1;
     do
     :: !memberOf(sharers[p], t_i) -> t_i++
     :: else -> break
     od;
     sharers[p] = sharers[p] & ~BIT(t_i);
     owner[p] = t_i;
     dirGrant(p, t_i, MASTER, dirVersion[p], AS_IS)
  fi
}

/* The owner died, or has nothing, before its data arrived at the requester. */
inline sourceLost(p) {
  queue[p] = (queue[p] << 3) | request(requester[p], mode[p]);
  if
  :: mode[p] == WRITE -> sharers[p] = 0
  :: else
  fi;
  forgetChange(p);
  ownerLost(p)
}

inline requesterLost(p, h) {
  t_flag = (mode[p] == WRITE);
  forgetChange(p);
  if
  :: t_flag -> lose(p)
  :: else ->
     if
     :: owner[p] == h -> ownerLost(p)
     :: else
     fi
  fi
}

inline onAck(p, h, type, v) {
  if
  :: busy[p] && changeVersion[p] == v ->
     if
     :: type == absent && h == source[p] -> sourceLost(p)
     :: else ->
        if
        :: type == invalidated -> unacked[p] = unacked[p] & ~BIT(h)
        :: type == received && h == requester[p] -> dataPending[p] = 0
        :: else
        fi;
        advance(p)
     fi;
     serveQueue(p)
  :: else   /* the echo of a change that is over */
  fi
}

inline dropRequests(p, h) {
  t_rest = queue[p]; queue[p] = 0; t_i = 0;
  do
  :: t_rest != 0 ->
     if
     :: ((t_rest & 7) >> 1) != h -> queue[p] = queue[p] | ((t_rest & 7) << t_i); t_i = t_i + 3
     :: else
     fi;
     t_rest = t_rest >> 3
  :: else -> break
  od
}

inline leavePage(p, h) {
  sharers[p] = sharers[p] & ~BIT(h);
  /* Requests of the dead are taken off where the queue is served. */
  if
  :: busy[p] && requester[p] == h -> requesterLost(p, h)
  :: else ->
     if
     :: busy[p] && source[p] == h && dataPending[p] -> sourceLost(p)
     :: else ->
        if
        :: owner[p] == h && !busy[p] -> ownerLost(p)
        :: owner[p] == h && busy[p] -> owner[p] = 0
        :: else
        fi;
        if
        :: busy[p] && memberOf(unacked[p], h) ->
           unacked[p] = unacked[p] & ~BIT(h);
           advance(p)
        :: else
        fi
     fi
  fi;
  dropRequests(p, h);
  serveQueue(p)
}

inline closeStream(h) {
  streams = streams & ~BIT(h);
  joined = joined & ~BIT(h);
  do
  :: nempty(up[(h) - 1]) -> up[(h) - 1] ? m_type, t_page, t_a, t_version
  :: empty(up[(h) - 1]) -> break
  od;
  do
  :: nempty(down[(h) - 1]) -> down[(h) - 1] ? m_type, t_page, t_a, t_version, t_b
  :: empty(down[(h) - 1]) -> break
  od;
  for (t_page : 0 .. PAGES - 1) { settling[AT(t_page, h)] = 0 }
}

inline onLeave(h) {
  members = members & ~BIT(h);
  dirNumber[h]++;
  for (t_page : 0 .. PAGES - 1) { leavePage(t_page, h) }
}

/* attach(): the holder's hello comes, its welcome goes. */
inline onHello(h) {
  members = members | BIT(h);
  streams = streams | BIT(h);
  down[(h) - 1] ! welcome, 0, rebuilding, dirNumber[h], 0
}

inline onReport(p, h, s, v) {
  if
  :: rebuilding ->
     reportState[AT(p, h)] = (s) & 7;
     reportVersion[AT(p, h)] = v;
     if
     :: ((s) & 8) != 0 -> reportKept = reportKept | BIT(AT(p, h))
     :: else
     fi;
     if
     :: p == PAGES - 1 -> awaited = awaited & ~BIT(h); reported = reported | BIT(h)
     :: else
     fi
  :: else
  fi
}

/* One holder's report of one page. `t_winner` is the version of the owner's copy, `t_kept` that he only kept it. */
inline reportPage(p, h) {
  if
  :: h == CREATOR && owner[p] == h -> owner[p] = 0; exclusive[p] = 0; lost[p] = (sharers[p] == 0)
  :: else
  fi;
  if
  :: reportState[AT(p, h)] == INVALID
  :: reportState[AT(p, h)] == SHARED || reportState[AT(p, h)] == SLAVE ->
     sharers[p] = sharers[p] | BIT(h); lost[p] = 0
  :: else ->
     lost[p] = 0;
     if
     :: owner[p] != 0 && reportVersion[AT(p, h)] < t_winner -> settle(p, h, t_winner)
     :: else ->
        if
        :: owner[p] != 0 -> settle(p, owner[p], reportVersion[AT(p, h)])
        :: else
        fi;
        owner[p] = h;
        t_winner = reportVersion[AT(p, h)];
        t_kept = memberOf(reportKept, AT(p, h))
     fi
  fi;
  if
  :: reportVersion[AT(p, h)] > dirVersion[p] -> dirVersion[p] = reportVersion[AT(p, h)]
  :: else
  fi
}

/* Dataspaces, then the reports in one of two orders, then `rebuilt`: each page has one owner again, or is lost. */
inline onRebuilt(backwards) {
  rebuilding = 0; awaited = 0;
  for (t_page : 0 .. PAGES - 1) {
    owner[t_page] = (memberOf(members, CREATOR) -> CREATOR : 0);
    exclusive[t_page] = (owner[t_page] != 0);
    lost[t_page] = (owner[t_page] == 0);
    t_winner = 0; t_kept = 0;
    for (t_h : 1 .. HOLDERS) {
      t_other = (backwards -> HOLDERS + 1 - t_h : t_h);
      if
      :: memberOf(reported, t_other) && reportState[AT(t_page, t_other)] != NOTHING -> reportPage(t_page, t_other)
      :: else
      fi
    }
    sharers[t_page] = sharers[t_page] & ~BIT(owner[t_page]);
    exclusive[t_page] = (owner[t_page] != 0 && sharers[t_page] == 0);
    if
    :: owner[t_page] == 0 -> ownerLost(t_page)
#ifndef BELIEVE_KEPT
    /* Somebody saw a version after the one that was sent on: it arrived, and may have been written. */
    :: owner[t_page] != 0 && t_kept && dirVersion[t_page] > t_winner + 1 -> ownerLost(t_page)
    :: owner[t_page] != 0 && t_kept && dirVersion[t_page] <= t_winner + 1 ->
#else
    :: owner[t_page] != 0 && t_kept ->
#endif
#ifndef RESTORE_ONCE
       restoreFlag[t_page] = 1;
#endif
       dirGrant(t_page, owner[t_page], (exclusive[t_page] -> MODIFIED : MASTER), dirVersion[t_page], RESTORE)
    :: else
    fi
  }
  for (t_i : 0 .. CELLS - 1) { reportState[t_i] = 0; reportVersion[t_i] = 0 }
  reportKept = 0; reported = 0
}

/* The directory dies, and another one takes its place. It knows who lived, from JetStream. */
inline onRestart() {
  awaited = members; members = 0; reported = 0; rebuilding = 1; dirEpoch++;
  for (t_h : 1 .. HOLDERS) { closeStream(t_h); dirNumber[t_h] = 0 }
  for (t_page : 0 .. PAGES - 1) {
    forgetChange(t_page);
    owner[t_page] = 0; exclusive[t_page] = 0; sharers[t_page] = 0; dirVersion[t_page] = 0; lost[t_page] = 0;
    zeroFlag[t_page] = 0; restoreFlag[t_page] = 0; queue[t_page] = 0
  }
}
