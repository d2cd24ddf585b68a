/*
 * The node: lines.ts, leaders.ts, led-shard.ts. Each inline is the method of its name, for the line to replica r.
 */

#define isLeased(r) (lineMs[r] > 0)
#define isUsable ((line != 0 && isLeased(line - 1)) || (line == 0 && leftMs > 0))
#define uses (has && isUsable)

inline onLeft() {
  leftMs = lineMs[line - 1];
  line = 0
}

inline onOpened(r) {
  opened[r] = 1;
  askedMs[r] = LEASE;
  onHello(r)
}

inline onWelcome(r, l) {
#ifndef TRUST_SILENT_LEADER
  /* The replica is to speak anew for what it leads. */
  if
  :: line == r + 1 -> onLeft()
  :: else
  fi;
#endif
  joined[r] = 1; lineLife[r] = l;
  lineMs[r] = askedMs[r]; askedMs[r] = 0
}

inline onRenewed(r) {
  lineMs[r] = max(lineMs[r], askedMs[r]);
  asking[r] = 0; askedMs[r] = 0
}

/* This holder had that life under that leader, and has what it had since. */
#ifdef BELIEVE_EVERY_LIFE
#define isLifeOf(l, lastEpoch) (true)
#else
#define isLifeOf(l, lastEpoch) (lives[lastEpoch] == (l))
#endif

inline void() {
  has = 0; reborn = 1;
  for (t_i : 0 .. EPOCHS) { lives[t_i] = 0 }
}

/* l: under which it is asked for its report; 0: it is not. */
inline onLed(r, e, l, lastEpoch) {
  if
  :: (e) < shardEpoch
  :: else ->
     t_same = ((l) == 0 && shardEpoch == (e) && shardLife == lineLife[r]);
     t_voided = (!t_same && !((l) != 0 && isLifeOf(l, lastEpoch)));
     if
     :: t_voided -> void()
     :: else
     fi;
     lives[e] = lineLife[r];
     line = r + 1; shardEpoch = e; shardLife = lineLife[r]; leftMs = 0;
     if
     :: (l) != 0 -> reporting[r] = e; reportingIt = has
     :: else
     fi
  fi
}

inline fromReplica(r) {
  down[r] ? m_type, t_a, t_b, t_c;
  if
  :: m_type == welcome -> onWelcome(r, t_a)
  :: m_type == led -> onLed(r, t_a, t_b, t_c)
  :: m_type == left ->
     if
     :: line == r + 1 -> onLeft()
     :: else
     fi
  :: m_type == renewed -> onRenewed(r)
  :: m_type == grant ->
     if
     :: line == r + 1 && isLeased(r) && shardEpoch == t_a -> has = 1; wrote = 1
     :: else
     fi
  fi
}

/* The process stops, and another one starts, that has nothing. */
inline onStart() {
  start++;
  void();
  reborn = 0;
  line = 0; shardEpoch = 0; shardLife = 0; leftMs = 0;
  for (t_i : 0 .. REPLICAS - 1) {
    lineLife[t_i] = 0; lineMs[t_i] = 0
  }
  broke(0); broke(1)
}
