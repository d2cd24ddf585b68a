/*
 * A holder: holder.ts, and what its caller does (coherent-memory.ts, directories.ts). Each inline is the method of its
 * name, for page p at holder h. Frames and what was retained are the caller's.
 */

#define isJoined(h) memberOf(joined, h)
#define isUp(h) (!memberOf(crashed, h))

/* Sends, or drops while there is no stream: the holder says it again when it joins. */
inline toDirectory(h, type, p, a, v) {
  if
  :: isJoined(h) -> assert(nfull(up[(h) - 1])); up[(h) - 1] ! type, p, a, v
  :: else
  fi
}

inline drop(p, h) { frame[AT(p, h)] = 0 }

inline take(p, h, s, v) {
  state[AT(p, h)] = ((s) == EXCLUSIVE && state[AT(p, h)] == MODIFIED -> MODIFIED : s);
  version[AT(p, h)] = v;
  readPending[AT(p, h)] = 0;
  if
  :: mayWrite(s) -> writePending[AT(p, h)] = 0
  :: else
  fi;
  dataVersion[AT(p, h)] = 0; grantVersion[AT(p, h)] = 0
}

/* Somebody has a later version: what is kept of earlier ones is of no use. */
inline forgetKept(p, h, upTo) {
  if
  :: dataVersion[AT(p, h)] != 0 && dataVersion[AT(p, h)] <= (upTo) -> dataVersion[AT(p, h)] = 0; drop(p, h)
  :: else
  fi;
  if
  :: retainedVersion[AT(p, h)] != 0 && retainedVersion[AT(p, h)] <= (upTo) ->
     retainedVersion[AT(p, h)] = 0; retained[AT(p, h)] = 0
  :: else
  fi
}

inline restore(p, h, s, v) {
  if
  :: state[AT(p, h)] != INVALID || (v) < version[AT(p, h)]
  :: else ->
     if
     :: dataVersion[AT(p, h)] != 0 -> take(p, h, s, v)
     :: dataVersion[AT(p, h)] == 0 && retainedVersion[AT(p, h)] != 0 ->
        frame[AT(p, h)] = retained[AT(p, h)];
        retainedVersion[AT(p, h)] = 0; retained[AT(p, h)] = 0;
        take(p, h, s, v)
     :: else
     fi
  fi
}

inline onGrant(p, h, s, v, how) {
  if
  :: (how) == RESTORE -> restore(p, h, s, v)
  :: (how) != RESTORE && (v) < version[AT(p, h)]
  :: else ->
     if
     :: (how) == ZERO && state[AT(p, h)] == INVALID -> frame[AT(p, h)] = 0; take(p, h, s, v)
     :: (how) != ZERO && state[AT(p, h)] == INVALID && dataVersion[AT(p, h)] != (v) -> grantVersion[AT(p, h)] = v
     :: else -> take(p, h, s, v)
     fi
  fi
}

#ifdef NO_VERSION_CHECK
#define isStale(p, h, s, v) (false)
#else
#define isStale(p, h, s, v) \
  ((v) < version[AT(p, h)] || ((s) != SLAVE && (s) != SHARED && (v) == version[AT(p, h)]))
#endif

inline onData(p, h, s, v, value) {
  if
  :: ((v) == version[AT(p, h)] && state[AT(p, h)] != INVALID) || (dataVersion[AT(p, h)] == (v) && (v) != 0) ->
     toDirectory(h, received, p, 0, v)
  :: else ->
     if
     :: isStale(p, h, s, v) || state[AT(p, h)] != INVALID
     :: else ->
        frame[AT(p, h)] = value;
        toDirectory(h, received, p, 0, v);
        if
        :: (s) != INVALID -> take(p, h, s, v)
        :: (s) == INVALID && grantVersion[AT(p, h)] == (v) -> take(p, h, MODIFIED, v)
        :: else -> dataVersion[AT(p, h)] = v
        fi
     fi
  fi
}

/* A message with data; where there is no room for another, it is lost. */
inline transfer(p, h, to, s, v, bytes) {
  t_i = 0;
  do
  :: t_i < TRANSFERS_MAX && transfers[t_i].receiver != 0 -> t_i++
  :: else -> break
  od;
  if
  :: t_i < TRANSFERS_MAX ->
     transfers[t_i].receiver = (to) & 3; transfers[t_i].number = (to) >> 2; transfers[t_i].page = p; transfers[t_i].state = s;
     transfers[t_i].version = v; transfers[t_i].epoch = epoch[h]; transfers[t_i].value = bytes
  :: else
  fi
}

inline forgetTransfer(i) {
  transfers[i].receiver = 0; transfers[i].page = 0; transfers[i].state = 0; transfers[i].version = 0;
  transfers[i].epoch = 0; transfers[i].value = 0; transfers[i].number = 0
}

inline onRecall(p, h, to, v, s) {
#ifndef RECALL_NEEDS_GRANT
  /* The grant that was to follow the data is lost: that the directory asks says that the page is ours. */
  if
  :: state[AT(p, h)] == INVALID && dataVersion[AT(p, h)] != 0 &&
     dataVersion[AT(p, h)] == (v) - ((s) == SLAVE -> 0 : 1) ->
     state[AT(p, h)] = MODIFIED; version[AT(p, h)] = dataVersion[AT(p, h)]; dataVersion[AT(p, h)] = 0
  :: else
  fi;
#endif
  if
  :: (v) < version[AT(p, h)]
  :: (s) != SLAVE && mayRead(state[AT(p, h)]) && (v) == version[AT(p, h)]
  :: else ->
     if
     :: state[AT(p, h)] == INVALID ->
        if
        :: retainedVersion[AT(p, h)] == (v) && (v) != 0 -> transfer(p, h, to, s, v, retained[AT(p, h)])
        :: else -> toDirectory(h, absent, p, 0, v)
        fi
     :: state[AT(p, h)] != INVALID && (s) == SLAVE ->
        t_flag = (state[AT(p, h)] == MODIFIED || state[AT(p, h)] == MASTER || state[AT(p, h)] == SLAVE);
#ifndef KEEP_WRITING
        state[AT(p, h)] = (t_flag -> MASTER : SHARED);
#endif
        transfer(p, h, to, (t_flag -> SLAVE : SHARED), v, frame[AT(p, h)])
     :: else ->
        transfer(p, h, to, s, v, frame[AT(p, h)]);
#ifndef FORGET_SENT
        retained[AT(p, h)] = frame[AT(p, h)];
        retainedVersion[AT(p, h)] = v;
#endif
        drop(p, h);
        state[AT(p, h)] = INVALID;
        version[AT(p, h)] = v
     fi
  fi
}

inline onInvalidate(p, h, v) {
  if
  :: version[AT(p, h)] < (v) ->
     assert(!mayWrite(state[AT(p, h)]));
     if
     :: state[AT(p, h)] != INVALID -> drop(p, h)
     :: else
     fi;
     state[AT(p, h)] = INVALID;
     version[AT(p, h)] = v;
     forgetKept(p, h, v)
  :: else
  fi;
  toDirectory(h, invalidated, p, 0, v)
}

inline onRefuse(p, h, m) {
  if
  :: (m) == READ -> readPending[AT(p, h)] = 0
  :: else -> writePending[AT(p, h)] = 0
  fi;
  grantVersion[AT(p, h)] = 0;
  dataVersion[AT(p, h)] = 0
}

/* The new directory says that this holder is new: what it had is void. */
inline expire(p, h) {
  state[AT(p, h)] = INVALID; version[AT(p, h)] = 0; dataVersion[AT(p, h)] = 0; grantVersion[AT(p, h)] = 0;
  retainedVersion[AT(p, h)] = 0; retained[AT(p, h)] = 0; frame[AT(p, h)] = 0;
  if
  :: h == CREATOR -> creatorKnows[p] = 0
  :: else
  fi
}

/* What is reported: what arrived and waits for a grant; or what was sent on, one version older than at its receiver. */
inline reportPageOf(p, h) {
  grantVersion[AT(p, h)] = 0;
  if
  :: h == CREATOR && !creatorKnows[p] -> toDirectory(h, report, p, NOTHING, 0)
  :: else ->
     if
     :: state[AT(p, h)] == INVALID && dataVersion[AT(p, h)] != 0 ->
        version[AT(p, h)] = dataVersion[AT(p, h)];
        toDirectory(h, report, p, 8 | MASTER, version[AT(p, h)])
     :: state[AT(p, h)] == INVALID && dataVersion[AT(p, h)] == 0 && retainedVersion[AT(p, h)] != 0 ->
        version[AT(p, h)] = retainedVersion[AT(p, h)] - 1;
        toDirectory(h, report, p, 8 | MASTER, version[AT(p, h)])
     :: else -> toDirectory(h, report, p, state[AT(p, h)], version[AT(p, h)])
     fi
  fi
}

/* A welcome: the same holder goes on; a new one forgets what it had; under a new directory it reports. */
#ifdef REPORT_ONCE
#define reports(hears) (!t_flag)
#else
#define reports(hears) (!t_flag || (hears))
#endif

inline onWelcome(h, hears, n) {
  t_flag = (epoch[h] == dirEpoch && number[h] == (n));   /* sameDirectory */
  epoch[h] = dirEpoch; number[h] = n;
  joined = joined | BIT(h);
  stopped = stopped & ~BIT(h);
  for (t_page : 0 .. PAGES - 1) {
    if
    :: !t_flag && !(hears) -> expire(t_page, h)
    :: else
    fi;
    if
    :: reports(hears) -> reportPageOf(t_page, h)
    :: else
    fi
  }
  for (t_page : 0 .. PAGES - 1) {
    if
    :: readPending[AT(t_page, h)] -> toDirectory(h, acquire, t_page, READ, 0)
    :: else
    fi;
    if
    :: writePending[AT(t_page, h)] -> toDirectory(h, acquire, t_page, WRITE, 0)
    :: else
    fi
  }
}

inline knows(p, h) {
  if
  :: h == CREATOR -> creatorKnows[p] = 1
  :: else
  fi
}

#define mayWantRead(p, h) \
  (!mayRead(state[AT(p, h)]) && !readPending[AT(p, h)] && !writePending[AT(p, h)])
#define mayWantWrite(p, h) (!mayWrite(state[AT(p, h)]) && !writePending[AT(p, h)])

inline want(p, h, m) {
  wants--;
  knows(p, h);
  if
  :: (m) == READ -> readPending[AT(p, h)] = 1
  :: else -> writePending[AT(p, h)] = 1
  fi;
  toDirectory(h, acquire, p, m, 0)
}

inline wrote(p, h) {
  writes--;
  knows(p, h);
  state[AT(p, h)] = MODIFIED;
  last[p]++;
  frame[AT(p, h)] = last[p]
}
