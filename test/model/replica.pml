/*
 * Replicas, and the shard's leader among them: replica.ts, members.ts, notes.ts, shard-leader.ts, rebuild.ts. Each inline is
 * the method of its name, for replica r.
 */

#define isLeader(r) (leader == (r) && mayLead[r])
#define canSend(r, n) (len(down[r]) + (n) <= STREAM_MAX)
#define canNote(r, n) (len(notes[r]) + (n) <= NOTES_MAX)

/* A stream breaks, or the node hears that it ended. */
inline broke(r) {
  opened[r] = 0; joined[r] = 0; streamed[r] = 0; asking[r] = 0; askedMs[r] = 0; reporting[r] = 0;
  do
  :: nempty(down[r]) -> down[r] ? m_type, t_a, t_b, t_c
  :: empty(down[r]) -> break
  od
}

inline send(r, type, a, b, c) {
  if
  :: streamed[r] -> down[r] ! type, a, b, c
  :: else
  fi
}

/* --- rebuild.ts ----------------------------------------------------------------------------------------------------- */

inline forgetReport() { reported = 0; reportedIt = 0; reportedReborn = 0 }

inline forgetRebuild() {
  expectedStart = 0; expectedLife = 0; awaited = 0; isAbsentee = 0; isBuriedEarly = 0; untilMs = 0; lateMs = 0;
  isAsked = 0; askedAtMs = 0; notesKept = 0;
  forgetReport()
}

#define isBelieved(r) (expectedStart != 0 && expectedStart == entry[r])

#ifdef BELIEVE_EARLIER_START
#define isInItsPlace(r) (true)
#else
#define isInItsPlace(r) (!isBuriedEarly && (expectedStart == 0 || entry[r] > expectedStart))
#endif

/* ShardLeader.attach: a holder has a new stream, or the shard a new leader. */
inline attach(r) {
  t_b = 0;
  if
  :: rebuilding && isBelieved(r) ->
     forgetReport();
     if
     :: !isAsked -> isAsked = 1; askedAtMs = LEASE
     :: else
     fi;
     t_b = expectedLife
  :: else ->
     if
     :: rebuilding && isInItsPlace(r) -> awaited = 0
     :: else
     fi;
     if
     :: rebuilding && !reported ->
        reported = 1;
#ifndef ASK_NO_NEWCOMER
        reportedReborn = 1   /* reportOfNewcomer */
#endif
     :: else
     fi
  fi;
  t_c = (before != 0 -> beforeEpoch : 0);
  send(r, led, epoch, t_b, t_c)
}

#define isOwing(r) (entry[r] != 0 && welcomed[r] && !reported)
#define isComplete (!awaited && !isOwing(leader))
#define isLate(r) (heldUntilMs[r] == 0 && isAsked && askedAtMs == 0)
#define isSilent(r) (isLeader(r) && rebuilding && untilMs == 0 && isOwing(r) && isLate(r))

/* ShardRebuild.absent */
inline onAbsent() { expectedStart = 0; expectedLife = 0; awaited = 0; isBuriedEarly = 0 }

/* The death of a holder of that start is noted. */
inline onBuried(s) {
  if
  :: expectedStart == (s) && (s) != 0 ->
#ifdef BURY_EARLY
     onAbsent()
#else
     if
     :: awaited -> isBuriedEarly = 1
     :: else
     fi;
     expectedStart = 0; expectedLife = 0
#endif
  :: else
  fi;
  forgetReport();
  isAsked = 0; askedAtMs = 0
}

/* --- holders and their deaths --------------------------------------------------------------------------------------- */

inline drop(r) {
  entry[r] = 0; life[r] = 0; isNoted[r] = 0; welcomed[r] = 0; streamed[r] = 0; heldNoted[r] = 0; deadMs[r] = 0;
  heldUntilMs[r] = 0
}

/* ShardLeader.bury */
inline leaderBuries(r, s, l) {
  if
  :: isLeader(r) && memberOf(dying, l) ->
     dying = dying & ~BIT(l);
     if
     :: rebuilding -> onBuried(s)
     :: else
     fi;
     if
     :: owner == NODE && ownerLife == (l) -> owner = NOBODY; ownerLife = 0
     :: else
     fi
  :: else
  fi
}

inline bury(r) {
  t_start = entry[r]; t_a = life[r]; t_held = welcomed[r];
  drop(r);
  if
  :: t_held ->
     if
     :: leader == r && ledBefore[r] == 0 ->
        dying = dying | BIT(t_a);
        if
        :: rebuilding && expectedStart == t_start -> isAbsentee = 1
        :: else
        fi
     :: else
     fi;
     notes[r] ! buried, t_start, t_a, 0;
#ifdef NO_NOTE_OF_DEATH
     leaderBuries(r, t_start, t_a)
#endif
  :: else
  fi
}

inline welcomeEntry(r) {
  if
  :: streamed[r] ->
     welcomed[r] = 1;
     send(r, welcome, life[r], 0, 0);
     if
     :: leader == r && ledBefore[r] == 0 -> attach(r)
     :: else
     fi
  :: else
  fi
}

inline takeIn(r) {
  entry[r] = start;
  if
  :: beforeStart[r] == start ->
     life[r] = beforeLife[r]; isNoted[r] = 1; heldNoted[r] = beforeHeld[r]
  :: else ->
     lastLife++;
     life[r] = lastLife;
     notes[r] ! takenIn, start, lastLife, 0;
#ifdef WELCOME_UNNOTED
     isNoted[r] = 1
#endif
  fi;
  beforeStart[r] = 0; beforeLife[r] = 0; beforeHeld[r] = 0
}

inline onHello(r) {
  if
  :: entry[r] != 0 && entry[r] != start -> bury(r)
  :: else
  fi;
  if
  :: entry[r] == 0 -> takeIn(r)
  :: else
  fi;
  streamed[r] = 1;
  deadMs[r] = max(deadMs[r], LEASE);
  if
  :: heldNoted[r] -> heldNoted[r] = 0; notes[r] ! released, entry[r], life[r], 0
  :: else
  fi;
  if
  :: isNoted[r] -> welcomeEntry(r)
  :: else
  fi
}

inline onRenew(r, held) {
  asking[r] = 1; askedMs[r] = (held -> HOLD : LEASE);
  if
  :: !streamed[r] || isSilent(r) -> asking[r] = 0; askedMs[r] = 0   /* nobody answers */
  :: else ->
     deadMs[r] = max(deadMs[r], LEASE);
     if
     :: held ->
        notes[r] ! hold, entry[r], life[r], 1;
#ifdef HOLD_UNNOTED
        deadMs[r] = HOLD; heldUntilMs[r] = HOLD; heldNoted[r] = 1;
        send(r, renewed, 0, 0, 0)
#endif
     :: else -> send(r, renewed, 0, 0, 0)
     fi
  fi
}

inline onReport(r) {
  if
  :: isLeader(r) && rebuilding && epoch == reporting[r] && streamed[r] && isAsked ->
     reported = 1; reportedIt = reportingIt; reportedReborn = reborn; awaited = 0
  :: else
  fi;
  reporting[r] = 0
}

/* --- notes ---------------------------------------------------------------------------------------------------------- */

/* What the store keeps. */
inline keep(r) {
  if
  :: m_type == buried || m_type == absent -> noteStart[r] = 0; noteLife[r] = 0; noteHeld[r] = 0
  :: else -> noteStart[r] = t_start; noteLife[r] = t_a; noteHeld[r] = t_held
  fi
}

/*
 * A process that starts writes anew what it finds, and each note names the one whose place it takes: what the process before
 * it said, and comes late, is refused. It is kept only where nothing was noted, before nor since.
 */
inline refuseLate(r) { lateType[r] = 0; lateStart[r] = 0; lateLife[r] = 0; lateHeld[r] = 0 }

/* The first one that is under way; the next would have been sent after it. */
inline becomeLate(r) {
  refuseLate(r);
  if
#ifdef LATE_NOTES
  :: nempty(notes[r]) ->
#else
  :: nempty(notes[r]) && noteStart[r] == 0 ->
#endif
     notes[r] ? m_type, t_start, t_a, t_held;
     lateType[r] = m_type; lateStart[r] = t_start; lateLife[r] = t_a; lateHeld[r] = t_held
  :: else
  fi
}

inline keepLate(r) {
  m_type = lateType[r]; t_start = lateStart[r]; t_a = lateLife[r]; t_held = lateHeld[r];
  refuseLate(r);
  keep(r)
}

/* Replica.noted */
inline onKept(r) {
  if
  :: m_type == takenIn && entry[r] != 0 && life[r] == t_a && !isNoted[r] -> isNoted[r] = 1; welcomeEntry(r)
#ifndef HOLD_UNNOTED
  :: m_type == hold && entry[r] != 0 && life[r] == t_a && mayLead[r] ->
     deadMs[r] = max(deadMs[r], HOLD); heldUntilMs[r] = HOLD; heldNoted[r] = 1;
     send(r, renewed, 0, 0, 0)
#endif
  :: m_type == buried -> leaderBuries(r, t_start, t_a)
  :: m_type == absent ->
     if
     :: isLeader(r) && rebuilding -> onAbsent()
     :: else
     fi
  :: else
  fi
}

/* --- who leads ------------------------------------------------------------------------------------------------------ */

/* Election.take: the next one reads what is noted, and leads. */
inline take(r) {
  t_same = (before != 0);   /* nothing was served since */
  if
  :: before == 0 -> before = leader + 1; beforeEpoch = epoch
  :: else
  fi;
  leader = r; epoch++; rebuilding = 1; dying = 0; owner = NOBODY; ownerLife = 0;
  forgetRebuild();
  t_i = before - 1;
  expectedStart = noteStart[t_i]; expectedLife = noteLife[t_i];
  awaited = (expectedStart != 0);
  t_held = 0;
#ifndef FORGET_HOLDS
  /* expectedOf */
#ifdef HOLDS_OF_THE_LAST
  t_held = (awaited && noteHeld[t_i]);
#else
  t_held = (awaited && ((noteHeld[0] && noteStart[0] == expectedStart) || (noteHeld[1] && noteStart[1] == expectedStart)));
#endif
#endif
  untilMs = LEASE; lateMs = (t_held -> HOLD : LEASE);
#ifndef FORGET_UNSERVED
  /* Who led since may have permitted what he had, though the one that served buried him meanwhile. */
  if
  :: t_same && !awaited && noteStart[1 - t_i] != 0 ->
     awaited = 1; isBuriedEarly = 1; isAbsentee = 1;
     lateMs = (noteHeld[1 - t_i] -> HOLD : LEASE)
  :: else
  fi;
#endif
  if
  :: entry[r] != 0 && welcomed[r] -> attach(r)
  :: else
  fi
}

inline leave(r, e) { send(r, left, e, 0, 0) }

/* The store does not keep it, or does not say so in time: whoever waits for a death does not lead any more. */
inline onRefused(r) {
  if
  :: m_type == takenIn && entry[r] != 0 && life[r] == t_a && !isNoted[r] -> drop(r)
  :: m_type == hold && streamed[r] -> asking[r] = 0; askedMs[r] = 0
  :: m_type == buried || m_type == absent ->
     /* What waits behind is not kept either. */
     do
     :: nempty(notes[r]) -> notes[r] ? m_type, t_start, t_a, t_held
     :: empty(notes[r]) -> break
     od;
     if
     :: entry[r] != 0 && !isNoted[r] -> drop(r)
     :: else
     fi;
     if
     :: leader == r && mayLead[r] ->
        leave(r, epoch);
        if
        :: mayLead[1 - r] -> take(1 - r)
        :: else -> take(r)
        fi
     :: else
     fi
  :: else
  fi
}

/* Another process of the replica: it has what was noted. */
inline onRestart(r) {
  broke(r);
  drop(r);
  becomeLate(r);
  do
  :: nempty(notes[r]) -> notes[r] ? m_type, t_start, t_a, t_held
  :: empty(notes[r]) -> break
  od;
  beforeStart[r] = noteStart[r]; beforeLife[r] = noteLife[r]; beforeHeld[r] = noteHeld[r];
  mayLead[r] = 1; ledBefore[r] = 0;
  if
  :: leader == r -> take(r)
  :: else
  fi
}

/* Replica.absent: it did not come in time. */
#define isMissing (isLeader(leader) && rebuilding && untilMs == 0 && awaited && !isAbsentee && !isBuriedEarly && \
                   entry[leader] == 0 && lateMs == 0)
#define isBuriedLate (isLeader(leader) && rebuilding && untilMs == 0 && isBuriedEarly && lateMs == 0)

#define isReported (isLeader(leader) && rebuilding && isComplete && dying == 0)

/* ShardLeader.serve, and the directory's rebuilt. */
inline serve() {
  rebuilding = 0;
  if
  :: reportedIt -> owner = NODE; ownerLife = life[leader]
  :: !reportedIt && rivalHas -> owner = RIVAL
  :: !reportedIt && !rivalHas && kept && reported && keptFor == entry[leader] && !reportedReborn ->
     assert(!wrote);                         /* latest value */
     owner = RIVAL; rivalHas = 1
  :: else -> owner = NOBODY
  fi;
  kept = 0; keptFor = 0;
  forgetRebuild()
}
