/*
 * What there is: holders, the directory, and what is under way between them.
 *
 * Names are the code's. A page is one byte: its value is the number of the write that made it, 0 is the page of zeros
 * that nobody wrote. Sets of holders are bits; versions are small numbers, and sets of versions bits again.
 */

#define HOLDERS 3
#ifndef PAGES
#define PAGES 1
#endif

/* Who has a new dataspace whole; 0: nobody, and it reads as zero. */
#ifndef CREATOR
#define CREATOR 1
#endif

/* Bounds: how often processes ask for a page and write to it, and how many faults of each kind there may be. */
#ifndef WANTS
#define WANTS 3
#endif
#ifndef WRITES
#define WRITES 3
#endif
#ifndef BREAKS          /* streams between a holder and the directory */
#define BREAKS 0
#endif
#ifndef LOSSES          /* messages with data, as when a line between two holders breaks */
#define LOSSES 0
#endif
#ifndef EARLY           /* ticks that find a change old while its messages are still under way */
#define EARLY 0
#endif
#ifndef CRASHES         /* of holders */
#define CRASHES 0
#endif
#ifndef SILENCES        /* a holder that is cut off for longer than its lease */
#define SILENCES 0
#endif
#ifndef RESTARTS        /* of the directory */
#define RESTARTS 0
#endif

/* Asserted: no version reaches it. */
#if WANTS > 3
#define VERSIONS_MAX 8
#else
#define VERSIONS_MAX 6
#endif
#define TRANSFERS_MAX 4
#define STREAM_MAX 7
/* After faults end, so many ticks must settle each change. */
#define TICKS_MAX 3

#define BIT(n) (1 << (n))
#define memberOf(set, h) (((set) & BIT(h)) != 0)
/* Index of page p at holder h, in arrays. Holders count from 1, 0 is nobody. */
#define AT(p, h) ((p) * HOLDERS + (h) - 1)
#define CELLS (PAGES * HOLDERS)
#define EPOCHS (RESTARTS + 1)

/* PageState */
#define INVALID   0
#define SHARED    1
#define SLAVE     2
#define MASTER    3
#define EXCLUSIVE 4
#define MODIFIED  5
#define NOTHING   7
#define mayRead(s)  ((s) != INVALID)
#define mayWrite(s) ((s) >= EXCLUSIVE)

/* AccessMode */
#define READ  0
#define WRITE 1

/* How a grant gets its data. */
#define AS_IS   0
#define ZERO    1
#define RESTORE 2

mtype = { /* holder to directory */ acquire, invalidated, received, absent, report,
          /* directory to holder */ welcome, grant, recall, invalidate, refuse };

/* --- holders: as HeldPage of holder.ts ------------------------------------------------------------------------------ */
byte state[CELLS];
byte version[CELLS];
bit  readPending[CELLS];
bit  writePending[CELLS];
byte dataVersion[CELLS];
byte grantVersion[CELLS];
byte retainedVersion[CELLS];
byte frame[CELLS];                /* the bytes of the page */
byte retained[CELLS];             /* the bytes of what was sent on */

bit  creatorKnows[PAGES];         /* the creator has an entry for the page; without one it holds the page, or expired */

byte epoch[HOLDERS + 1];          /* of the last welcome */
byte number[HOLDERS + 1];         /* of the last welcome: who this holder is at its directory */
byte joined;                      /* bits: the welcome of this stream came */
byte crashed;                     /* bits */
byte stopped;                     /* bits: the lease ended, nothing is used */

/* --- the directory: as Page and Change of page-table.ts ------------------------------------------------------------- */
byte dirEpoch;
byte owner[PAGES];
bit  exclusive[PAGES];
byte sharers[PAGES];
byte dirVersion[PAGES];
bit  lost[PAGES];
bit  zeroFlag[PAGES];
bit  restoreFlag[PAGES];
int  queue[PAGES];                /* requests, 3 bits each, the first in the lowest; never 0 where there is one */

bit  busy[PAGES];                 /* a change is under way */
byte requester[PAGES];
bit  mode[PAGES];
byte changeVersion[PAGES];
byte source[PAGES];
byte unacked[PAGES];
bit  dataPending[PAGES];
bit  grantPending[PAGES];
byte ticks[PAGES];                /* resends of this change since the last fault, when nothing else was under way */

byte members;                     /* bits: holders of the directory */
byte dirNumber[HOLDERS + 1];      /* the number that a holder has at the directory */
byte streams;                     /* bits: the holder's stream is open */
bit  rebuilding;
byte awaited;                     /* bits: holders that lived under the last directory and did not report */
byte reported;                    /* bits */
byte reportState[CELLS];           /* NOTHING where the holder does not know the page */
byte reportVersion[CELLS];
byte reportKept;                  /* bits by cell */

/* --- under way ------------------------------------------------------------------------------------------------------- */
chan up[HOLDERS]   = [STREAM_MAX] of { mtype, byte, byte, byte };        /* type, page, mode or state, version */
chan down[HOLDERS] = [STREAM_MAX] of { mtype, byte, byte, byte, byte };  /* type, page, state or receiver, version, how */
/* Settlements wait for a next batch, so they may pass others: versions by cell, as bits. */
byte settling[CELLS];
/* Broadcasts by epoch and cell, versions as bits: each may come at any time, again and again, or never. */
byte broadcasts[EPOCHS * CELLS];
/* Messages with data, in any order. */
typedef Transfer { byte receiver; byte page; byte state; byte version; byte epoch; byte number; byte value };
Transfer transfers[TRANSFERS_MAX];

/* --- what is left of the bounds, and what is right ------------------------------------------------------------------ */
byte wants  = WANTS;
byte writes = WRITES;
byte breaks = BREAKS;
byte losses = LOSSES;
byte early  = EARLY;
byte crashes  = CRASHES;
byte silences = SILENCES;
byte restarts = RESTARTS;
byte last[PAGES];                 /* the value of the last write, in the directory's order */
bit  finished;                    /* all is served, and nothing more is asked */
bit  died;                        /* some holder crashed or lost its lease: pages may be lost */

/* Scratch: no part of the state, set before it is used within one step. */
hidden byte t_type, t_page, t_a, t_version, t_b, t_h, t_i, t_other, t_winner;
hidden byte t_flag, t_take, t_kept;
hidden int  t_rest;
hidden mtype m_type;
