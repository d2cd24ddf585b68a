/*
 * What there is of one shard whose leaders change: a node that may have its page, a rival that may have it, the replicas,
 * what they noted, and what is under way. Names are the code's.
 *
 * The election is not here: one replica leads at a time, and the next one leads when the last one gave the shard up, was
 * started anew, or may not lead any more. The rival is always there, and says at once what it has. Clocks go at one speed,
 * a lease is LEASE ticks. What replicas say takes any time, in order, and so do reports; hellos and renewals are heard at once
 * where they are heard: one that takes long, or is lost with a cut, is one that is said later.
 */

#define REPLICAS 2

/* Bounds of what may happen. */
#ifndef CHANGES         /* of the leader: it gives the shard up, or may not lead for a while */
#define CHANGES 1
#endif
#ifndef RESTARTS        /* of replicas */
#define RESTARTS 0
#endif
#ifndef BREAKS          /* of streams */
#define BREAKS 0
#endif
#ifndef STARTS          /* the last one of the node */
#define STARTS 1
#endif
#ifndef HOLDS           /* leases that the node asks to have held */
#define HOLDS 0
#endif
#ifndef REFUSALS        /* notes that the store does not keep, or of which it does not say so */
#define REFUSALS 0
#endif
#ifndef EARLIER         /* the node is a later start than the one that the second replica knows */
#define EARLIER 0
#endif
#ifndef SENDER          /* the rival had the page first, sent it on, and keeps what it sent */
#define SENDER 0
#endif
#ifndef LIVES_MAX       /* that replicas give to the node in all */
#define LIVES_MAX 3
#endif

/* In ticks: a lease, and one that is held. */
#define LEASE 1
#define HOLD 2

#define EPOCHS (CHANGES + RESTARTS + 1)
#ifndef STREAM_MAX       /* of what one stream carries */
#define STREAM_MAX 2
#endif
#define NOTES_MAX 3

#define BIT(n) (1 << (n))
#define memberOf(set, n) (((set) & BIT(n)) != 0)
#define max(a, b) ((a) > (b) -> (a) : (b))

mtype = { /* replica to node */ welcome, led, left, renewed, grant,
          /* what is noted of the node, and for whom */ takenIn, hold, released, buried, absent };

/* --- the node: lines.ts, led-shard.ts ------------------------------------------------------------------------------- */
byte start = 1;                   /* its incarnation */
bit  has;                         /* the page, with the right to write it */
bit  reborn;                      /* what was held once is gone */
byte lives[EPOCHS + 1];           /* ShardLife: by epoch */
byte line;                        /* of the shard: 1 + the replica; 0: none */
byte shardEpoch;
byte shardLife;                   /* identity: who it is at the leader */
byte leftMs;                      /* without a line: until when the last one's lease may be used */

/* By replica: ReplicaLine. Times are those that are left. */
bit  opened[REPLICAS];
bit  joined[REPLICAS];
byte lineLife[REPLICAS];
byte lineMs[REPLICAS];
bit  asking[REPLICAS];            /* a renewal is not answered */
byte reporting[REPLICAS];         /* the epoch of a report that is under way */
bit  reportingIt;                 /* that it has the page */
byte askedMs[REPLICAS];           /* for how long the lease lasts that a hello or a renewal asks for */

/* --- replicas: holders.ts, replica.ts, members.ts ------------------------------------------------------------------- */
bit  mayLead[REPLICAS];
byte ledBefore[REPLICAS];         /* the epoch at which it may not lead any more, and has not given up */
byte entry[REPLICAS];             /* the node's holder: its incarnation; 0: none */
byte life[REPLICAS];
bit  isNoted[REPLICAS];
bit  welcomed[REPLICAS];
bit  streamed[REPLICAS];
bit  heldNoted[REPLICAS];
byte deadMs[REPLICAS];
byte heldUntilMs[REPLICAS];
byte beforeStart[REPLICAS];       /* Members.before: noted by an earlier process */
byte beforeLife[REPLICAS];
bit  beforeHeld[REPLICAS];
byte lastLife;

/* What is kept of the node, by replica; start 0: nothing. */
byte noteStart[REPLICAS];
byte noteLife[REPLICAS];
bit  noteHeld[REPLICAS];

/* A note of a process that is no more, on its way to the store; type 0: none. */
mtype lateType[REPLICAS];
byte lateStart[REPLICAS];
byte lateLife[REPLICAS];
bit  lateHeld[REPLICAS];

/* --- who leads, and its rebuild: shard-leader.ts, rebuild.ts -------------------------------------------------------- */
byte leader;
byte epoch;
byte before;                      /* the last one that served: 1 + the replica; 0: this one */
byte beforeEpoch;
bit  rebuilding;
byte expectedStart;
byte expectedLife;
bit  awaited;
bit  isAbsentee;
bit  isBuriedEarly;
byte untilMs;
byte lateMs;
bit  isAsked;                     /* the node's holder, for its report */
byte askedAtMs;
bit  reported;
bit  reportedReborn;              /* it cannot say what it had */
bit  reportedIt;                  /* it has the page */
bit  notesKept;                   /* that all have reported */
byte dying;                       /* bits: lives of which the death is not noted */

/* Who has the page, as the leader knows. */
#define NOBODY 0
#define NODE   1
#define RIVAL  2
byte owner;
byte ownerLife;

/* --- the rival ------------------------------------------------------------------------------------------------------ */
bit  rivalHas;
bit  kept;                        /* what it sent on */
byte keptFor;                     /* the start of the node */
bit  wrote;                       /* the node got that, and wrote: what is kept is old */

/* --- under way ------------------------------------------------------------------------------------------------------ */
chan down[REPLICAS]  = [STREAM_MAX] of { mtype, byte, byte, byte };   /* type, epoch or life, life, last epoch */
chan notes[REPLICAS] = [NOTES_MAX] of { mtype, byte, byte, bit };     /* for whom, incarnation, life, held */

byte changes  = CHANGES;
byte restarts = RESTARTS;
byte breaks   = BREAKS;
byte holds    = HOLDS;
byte refusals = REFUSALS;

/* Scratch: no part of the state, set before it is used within one step. */
hidden byte t_a, t_b, t_c, t_i, t_r, t_start;
hidden byte t_held, t_same, t_voided;
hidden mtype m_type;
